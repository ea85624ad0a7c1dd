//! Cuts every cable while the resources are on their way from one box to the other.
//!
//! They go home by themselves, or to any box by an operator's order, and take about a second for the way. One box is
//! shot or none, and one serves within the time that `twobox check` prints for an active box that hangs: that is what
//! a box in the middle of its stop is to the other one.

use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};
use simulation::random::Random;
use supervisor::config::Config;
use supervisor::config::validation::bounds;

use super::{Kind, OFF_TAKES, orders, restore, shot, story, up_to};
use crate::observers::expectations::{PATIENCE, is, served_by};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::stories::LATE;
use crate::scenarios::tour::millis;
use crate::stage::config::Choices;
use crate::{Lab, name};

pub(super) const KIND: Kind = Kind { name: "moves", choices, round };

/// A few rounds.
pub(crate) fn few(lab: &Lab) -> Result<String, Failure> {
    story(lab, &KIND, 945, 2)
}

/// The second in which the resources go home, and BMCs that need as long.
pub(crate) fn in_a_failback(lab: &Lab) -> Result<String, Failure> {
    restore(lab)?;
    goes_home(lab, || {})?;
    stays_up(lab, [Duration::from_secs(1); 2])
}

/// Resources that take their time to stop and to start.
pub(crate) fn choices() -> Choices {
    let mut choices = super::choices();
    // The first words are those of the address.
    choices.resources =
        format!("{TIMES}\n{}{TIMES}{KILL}\n{SLOW}{TIMES}{KILL}\n", choices.resources);
    choices
}

fn round(lab: &Lab, chance: &mut Random) -> Result<String, Failure> {
    restore(lab)?;
    let (way, moment) =
        (chance.one_of(&[Move::Home, Move::Order, Move::Claim]), up_to(chance, WAY));
    match way {
        Move::Home => goes_home(lab, || sleep(moment))?,
        Move::Order => by_order(lab, First, "standby", moment),
        Move::Claim => by_order(lab, Second, "takeover", moment),
    }
    let off_takes = [(); 2].map(|()| up_to(chance, OFF_TAKES));
    let told = stays_up(lab, off_takes)?;
    Ok(format!("{way:?} + {}: {told}", millis(moment)))
}

/// Why the resources move.
#[derive(Clone, Copy, Debug)]
enum Move {
    Home,
    Order,
    Claim,
}

/// Lets home die and come back, and cuts every cable when the resources are on their way home.
fn goes_home(lab: &Lab, wait: impl FnOnce()) -> Result<(), Failure> {
    let stops = |lab: &Lab| lab.log(Second).matches("active -> stopping").count();
    let before = stops(lab);
    lab.power_off(First);
    served_by(lab, Second)?;
    lab.power_on(First)?;
    is(lab, First, "standby")?;
    expect(lab.wait_for(PATIENCE, |lab| stops(lab) > before), "nothing goes home")?;
    wait();
    lab.part();
    Ok(())
}

/// Gives an order, and cuts every cable `moment` later, be it done by then or not.
fn by_order(lab: &Lab, id: BoxId, word: &str, moment: Duration) {
    scope(|scope| {
        let ordered = scope.spawn(|| lab.twobox(id, &[word]));
        sleep(moment);
        lab.part();
        // The box may be shot before it has answered.
        let _ = ordered.join();
    });
}

/// With every cable cut just now, one box is shot or none, and one serves in time.
fn stays_up(lab: &Lab, off_takes: [Duration; 2]) -> Result<String, Failure> {
    let (before, start) = (orders(lab), Instant::now());
    for (bmc, takes) in lab.bmcs().iter().zip(off_takes) {
        bmc.set(|character| character.off_takes = takes);
    }
    let bound = bound(lab)?;
    let settled = |lab: &Lab| {
        lab.serving().is_some_and(|serves| !lab.is_on(serves.other()))
            || BoxId::BOTH.iter().all(|id| !lab.is_on(*id))
    };
    // If it never comes to that, it is seen below who was shot and who serves.
    lab.wait_for(bound + LATE, settled);
    // What was ordered before the box that ordered it died is done by then.
    sleep(OFF_TAKES + Duration::from_millis(500));
    // The client waits for its turn too.
    lab.wait_for(LATE, |lab| lab.serving().is_some());
    let (shot, serves) = (shot(lab, &before), lab.serving());
    let on = BoxId::BOTH.map(|id| lab.is_on(id));
    expect(shot.len() < 2, format!("both boxes were shot, and {on:?} have power"))?;
    let Some(serves) = serves else {
        return Err(Failure(format!("nobody serves; shot: {shot:?}, power: {on:?}")));
    };
    let seen = lab.client().since(start);
    let told = format!("shot {shot:?}, {} serves, silence {}", name(serves), millis(seen.silence));
    let slack = LATE + seen.pause;
    expect(seen.silence < bound + slack, format!("{told}, longer than {}", millis(bound)))?;
    Ok(told)
}

/// What `twobox check` prints.
fn bound(lab: &Lab) -> Result<Duration, Failure> {
    let config = Config::load(&lab.machine(First).run().join("twobox.toml"), Some(name(First)))?;
    let hangs = bounds(&config).find(|bound| bound.what.starts_with("active box hangs"));
    let worst = hangs.and_then(|bound| bound.worst);
    worst
        .ok_or_else(|| Failure("twobox check has no bound for an active box that hangs".to_owned()))
}

/// Longer than the way takes.
const WAY: Duration = Duration::from_millis(1_800);

/// So that the bound is not that of a machine that takes half a minute for each.
const TIMES: &str = "start_timeout = \"5s\"\nstop_timeout = \"4s\"\n";
const KILL: &str = "kill_after = \"3s\"\n";

const SLOW: &str = "[[resource]]\nkind = \"process\"\nname = \"slow\"\nready = { file = \"/run/slow\" }\n\
    command = [\"/bin/sh\", \"-c\", \"trap 'sleep 0.5; exit 0' TERM; sleep 0.4; rm -f /run/slow; \
    touch /run/slow; while :; do sleep 0.05; done\"]\n";
