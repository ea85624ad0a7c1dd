//! Measures how long a user of the service gets no answers, and whether two boxes held the address.
//!
//! The client of the lab asks every 5 ms, so that even an undisturbed service has a gap of that length. What
//! happens to one system happens to all of them, in the same way.

use std::thread::sleep;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};

use super::row::Row;
use super::system::System;
use lab::observers::expectations::{PATIENCE, served_by};
use lab::observers::failure::{Failure, expect};
use lab::{Lab, name};

/// Something that happens to a pair that is well, while home serves.
#[derive(Debug)]
pub struct Happening {
    /// How it is asked for.
    pub name: &'static str,
    /// The name of its line in the table.
    pub what: &'static str,
    then: Then,
    act: fn(&System, &Lab) -> Result<(), Failure>,
}

/// When is it over?
#[derive(Clone, Copy, Debug)]
enum Then {
    /// When this box serves.
    Served(BoxId),
    /// When all that can happen has happened; then it is told who has the address.
    Settled,
    /// The same, and nobody should have noticed.
    Unnoticed,
}

const fn happening(
    name: &'static str,
    what: &'static str,
    then: Then,
    act: fn(&System, &Lab) -> Result<(), Failure>,
) -> Happening {
    Happening { name, what, then, act }
}

/// Everything that can be measured here.
pub static HAPPENINGS: [Happening; 8] = [
    happening("planned", "planned switch", Then::Served(Second), |it, lab| (it.away)(lab)),
    happening("power", "box loss by power", Then::Served(Second), |_, lab| {
        lab.power_off(First);
        Ok(())
    }),
    happening("hang", "box hangs, its power on", Then::Settled, |_, lab| Ok(lab.hang(First)?)),
    happening("service", "service killed", Then::Settled, |_, lab| Ok(lab.kill(First, "serve")?)),
    happening("crash", "supervisor killed, started again", Then::Unnoticed, |_, lab| {
        Ok(lab.crash_supervisor(First)?)
    }),
    happening("gone", "supervisor killed, stays away", Then::Settled, |_, lab| {
        Ok(lab.abandon(First)?)
    }),
    happening("all", "all its processes killed, stay away", Then::Settled, |it, lab| {
        // Stopped first, so that none of them can do anything about the death of another.
        signal(it, lab, "STOP")?;
        lab.abandon(First)?;
        signal(it, lab, "KILL")
    }),
    happening("cables", "every cable cut", Then::Settled, |_, lab| {
        lab.part();
        Ok(())
    }),
];

/// Puts a system through what happens, as often as it says.
///
/// # Errors
///
/// When the system does not come to rest before or after, or does something else than what is to be measured.
pub fn run(system: &System, happening: &Happening, lab: &Lab) -> Result<Vec<Row>, Failure> {
    let Some(trial) = system.trial(happening.name) else {
        return Ok(Vec::new());
    };
    let (mut seen, what) = (Seen::default(), happening.what);
    for turn in 0..trial.turns {
        restore(system, lab)?;
        sleep(PHASE * turn);
        if matches!(happening.then, Then::Unnoticed) {
            let before = Instant::now();
            sleep(system.patience);
            let gap = millis(lab.client().since(before).silence);
            seen.part(&format!("{what}: as long before, when nothing happens"), gap);
        }
        let (doubles, start) = (lab.doubles().len(), Instant::now());
        (happening.act)(system, lab)?;
        match happening.then {
            Then::Served(id) => {
                expect(lab.wait_for(PATIENCE, |lab| lab.holders() == [id]), "it does not move")?;
                seen.part(&format!("{what}: until the address has moved"), millis(start.elapsed()));
                serves(lab, id)?;
            }
            Then::Settled | Then::Unnoticed => sleep(system.patience),
        }
        seen.note(lab, start, doubles);
        if happening.name == "power" {
            for (phase, time) in (system.phases)(lab, Second) {
                seen.part(&format!("{what}: {phase}"), time);
            }
        }
        if happening.name == "planned" {
            let start = Instant::now();
            (system.home)(lab)?;
            serves(lab, First)?;
            seen.part("failback", millis(lab.client().since(start).silence));
        }
    }
    Ok(seen.rows(system, happening, trial.most))
}

/// Waits until a box serves and has done so for a while.
fn serves(lab: &Lab, id: BoxId) -> Result<(), Failure> {
    sleep(SOON);
    served_by(lab, id)?;
    sleep(SOON * 2);
    served_by(lab, id)
}

/// What was seen of one happening, turn by turn.
#[derive(Default)]
struct Seen {
    gaps: Vec<f64>,
    /// Of the client itself.
    pauses: Vec<f64>,
    /// Somebody did not serve in the end.
    mute: bool,
    /// All else that took its time.
    parts: Vec<(String, Vec<f64>)>,
    lost: Vec<f64>,
    /// The milliseconds in which both boxes had the address.
    doubled: Vec<f64>,
    holders: Vec<String>,
}

impl Seen {
    fn part(&mut self, part: &str, time: f64) {
        match self.parts.iter_mut().find(|(name, _)| name == part) {
            Some((_, times)) => times.push(time),
            None => self.parts.push((part.to_owned(), vec![time])),
        }
    }

    fn note(&mut self, lab: &Lab, start: Instant, doubles: usize) {
        let window = lab.client().since(start);
        self.gaps.push(millis(window.silence));
        self.pauses.push(millis(window.pause));
        self.lost.push(window.lost as f64);
        let doubles = lab.doubles().into_iter().skip(doubles);
        self.doubled.push(millis(doubles.map(|it| it.until - it.since).sum()));
        let holders: Vec<_> = lab.holders().into_iter().map(name).collect();
        let answered = lab.client().last().is_some_and(|(_, ago)| ago < MUTE);
        self.mute |= !answered;
        let mute = if answered { "" } else { ", mute" };
        let holders = if holders.is_empty() { "nobody".to_owned() } else { holders.join(" and ") };
        self.holders.push(format!("{holders}{mute}"));
    }

    fn rows(self, system: &System, happening: &Happening, most: Option<f64>) -> Vec<Row> {
        let what = happening.what;
        // What is promised is promised of the pair alone.
        let none = system.package.is_none().then_some(0.0);
        let mut rows = vec![if self.mute {
            Row::said(what, &format!("no end in {} s", system.patience.as_secs()))
        } else {
            Row::new(what, "ms", self.gaps).at_most(most)
        }];
        if matches!(happening.then, Then::Unnoticed) {
            let pauses = format!("{what}: longest pause of the client itself");
            rows.push(Row::new(&pauses, "ms", self.pauses));
            let lost = Row::new(&format!("{what}: requests lost"), "", self.lost);
            rows.push(lost.at_most(none));
        }
        let parts = self.parts.into_iter();
        rows.extend(parts.map(|(part, times)| Row::new(&part, "ms", times)));
        let doubled = Row::new(&format!("{what}: both had the address"), "ms", self.doubled);
        rows.push(doubled.at_most(none));
        if !matches!(happening.then, Then::Served(_)) {
            let mut holders = self.holders;
            holders.sort();
            holders.dedup();
            let end = format!("{what}: who has it in the end");
            rows.push(Row::said(&end, &holders.join(" or ")));
        }
        rows
    }
}

/// Sends a signal to every process of a system on home.
fn signal(system: &System, lab: &Lab, signal: &str) -> Result<(), Failure> {
    let script = "for it in /proc/[0-9]*; do [ \"$(cat $it/comm)\" = $1 ] && kill -$2 ${it#/proc/}; done; exit 0";
    let words = ["-c", script, "sh", system.comm, signal];
    Ok(lab.enter(First, "/bin/sh", &words).map(drop)?)
}

/// The pair is whole: home serves and the other stands by. What is off gets its power; where that is not enough,
/// both boot anew.
///
/// # Errors
///
/// When that takes too long.
pub fn restore(system: &System, lab: &Lab) -> Result<(), Failure> {
    lab.mend_all();
    let whole = |lab: &Lab| lab.serving() == Some(First) && (system.stands_by)(lab);
    if whole(lab) {
        return (system.forgive)(lab);
    }
    if lab.is_on(First) && lab.is_on(Second) {
        lab.power_off(First);
        lab.power_off(Second);
    }
    (system.forgive)(lab)?;
    for id in BoxId::BOTH {
        lab.power_on(id)?;
    }
    expect(lab.wait_for(PATIENCE, whole), format!("{} does not come to rest", system.name))?;
    sleep(SOON * 3);
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Each time at another moment between two heartbeats: ten of these are spread evenly over 200 ms, and over 20.
const PHASE: Duration = Duration::from_millis(61);

/// Who has not answered for so long does not only wait for a processor.
const MUTE: Duration = Duration::from_secs(1);

/// Long enough for an answer, and for a change of mind to show.
const SOON: Duration = Duration::from_millis(150);
