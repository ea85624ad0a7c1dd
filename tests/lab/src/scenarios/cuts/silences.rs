//! Silences all links and all BMCs for a while, as a switch does that boots, and lets them come back.
//!
//! The links may come back a little sooner than the BMCs, or later. A box that was heard is not shot; if the BMC
//! comes before any heartbeat does, one box is shot at most. One serves all the time or again in time.

use std::thread::sleep;
use std::time::{Duration, Instant};

use board::time::clock::Clock;
use firmware_agnostic::identity::BoxId::{self, First};
use firmware_agnostic::time::Instant as Moment;
use simulation::random::Random;

use super::{Kind, orders, restore, shot, story, up_to};
use crate::observers::expectations::{PATIENCE, nobody_noticed};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::tour::millis;
use crate::stage::config::Choices;
use crate::{Lab, name};

pub(super) const KIND: Kind = Kind { name: "silences", choices, round };

/// A few rounds.
pub(crate) fn few(lab: &Lab) -> Result<String, Failure> {
    story(lab, &KIND, 857, 2)
}

/// A device that tries for long is in the middle of that when the BMCs come back.
pub(crate) fn choices() -> Choices {
    let timing = super::choices().timing.replace("initdead = \"10s\"", "initdead = \"25s\"");
    Choices { bmc_timeout: "10s", timing, ..super::choices() }
}

fn round(lab: &Lab, chance: &mut Random) -> Result<String, Failure> {
    restore(lab)?;
    for bmc in lab.bmcs() {
        bmc.set(|character| character.off_takes = Duration::ZERO);
    }
    sleep(up_to(chance, Duration::from_millis(300)));
    let silence = Duration::from_secs(2) + up_to(chance, Duration::from_secs(18));
    let (lead, apart) =
        (chance.one_of(&[Lead::Both, Lead::Links, Lead::Bmcs]), up_to(chance, APART));
    let told = format!("silent for {}, {lead:?} back first by {}", millis(silence), millis(apart));
    let (before, start) = (orders(lab), Instant::now());
    answer(lab, false);
    lab.part();
    sleep(silence);
    expect(orders(lab) == before, "a BMC that was silent has taken an order")?;
    let (back, returned) = (Clock.now(), Instant::now());
    come_back(lab, lead, apart);
    let over = |lab: &Lab| {
        let hear = BoxId::BOTH.into_iter().all(|id| lab.hears(id));
        lab.serving().is_some() && (hear || !shot(lab, &before).is_empty())
    };
    let served = lab.wait_for(PATIENCE, over);
    // What was under way by then is done.
    sleep(AFTERWARDS);
    let shot = shot(lab, &before);
    let told = format!("{told}, shot {shot:?}");
    // A BMC of the lab waits for its turn as the client does.
    let slack = ON_ITS_WAY + lab.client().since(returned).pause;
    for id in BoxId::BOTH {
        let late = shot_after_it_was_heard(lab, id, back);
        expect(late <= slack, format!("{told}: {} after it was heard", millis(late)))?;
    }
    expect(shot.len() < 2, format!("{told}: both boxes were shot"))?;
    expect(served, format!("{told}: nobody serves"))?;
    if shot != [name(First)] {
        nobody_noticed(lab, start)?;
    }
    Ok(told)
}

fn come_back(lab: &Lab, lead: Lead, apart: Duration) {
    match lead {
        Lead::Both => {}
        Lead::Links => {
            lab.mend_all();
            sleep(apart);
        }
        Lead::Bmcs => {
            answer(lab, true);
            sleep(apart);
        }
    }
    lab.mend_all();
    answer(lab, true);
}

/// How long before its power was cut a box was heard by the other one; nothing, if it was not heard or not shot.
fn shot_after_it_was_heard(lab: &Lab, id: BoxId, back: Moment) -> Duration {
    let cut = lab.bmcs()[id.index()].cuts().into_iter().find(|cut| *cut > back);
    let heard = heard(&lab.log(id.other()), back);
    cut.zip(heard).map(|(cut, heard)| cut - heard).unwrap_or_default()
}

/// What comes back first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lead {
    Both,
    Links,
    Bmcs,
}

/// Lets the BMCs answer, or not.
fn answer(lab: &Lab, so: bool) {
    for bmc in lab.bmcs() {
        bmc.set(|character| character.answers_every = if so { 1 } else { u32::MAX });
    }
}

/// When the box of this log first heard its peer again.
fn heard(log: &str, since: Moment) -> Option<Moment> {
    let moment = |line: &str| {
        let (seconds, rest) = line.split_once('[')?.1.split_once(']')?;
        let millis = seconds.trim().replace('.', "").parse().ok()?;
        Some((Moment::from_millis(millis), rest.to_owned()))
    };
    let mut lines = log.lines().filter_map(moment);
    let (at, _) = lines
        .find(|(at, said)| *at >= since && said.contains("link ") && said.contains(" carries "))?;
    Some(at)
}

/// How far links and BMCs may be apart when they come back.
const APART: Duration = Duration::from_millis(500);

/// Longer than a question that was sent is on its way, also on a busy machine.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// Longer than a shot takes.
const AFTERWARDS: Duration = Duration::from_secs(6);
