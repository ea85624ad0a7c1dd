//! Cuts every cable, again and again, in one lab.
//!
//! A kind of cut is one round, which is played as often as one likes. A number begins the chance, as far as real
//! processes allow. Several labs can run side by side, each with a number of its own.

use std::time::Duration;

use firmware_agnostic::identity::BoxId::{self, First, Second};
use simulation::random::Random;

use crate::observers::expectations::{PATIENCE, one_holder, order, served_by, whole};
use crate::observers::failure::{Failure, expect};
use crate::stage::config::Choices;
use crate::{Lab, name};

pub(crate) mod at_rest;
pub(crate) mod moves;
pub(crate) mod silences;

/// One way to cut every cable, and what must come of it.
pub(crate) struct Kind {
    name: &'static str,
    choices: fn() -> Choices,
    round: fn(&Lab, &mut Random) -> Result<String, Failure>,
}

/// The words by which they are asked for.
const KINDS: [Kind; 3] = [at_rest::KIND, moves::KIND, silences::KIND];

/// Plays `runs` rounds of a kind.
///
/// # Errors
///
/// When a promise was broken, or there is no such kind.
pub fn run(kind: &str, seed: u64, runs: u32) -> Result<(), Failure> {
    let Some(kind) = KINDS.iter().find(|known| known.name == kind) else {
        let known = KINDS.map(|kind| kind.name).join(", ");
        return Err(Failure(format!("there are no cuts {kind:?}: say {known}")));
    };
    let lab = Lab::new(&(kind.choices)())?;
    play(&lab, kind, seed, runs, |told| println!("{told}"))
        .map_err(|failure| failure.with_logs(&lab))
}

/// The same in a lab that is there, as a story.
fn play(
    lab: &Lab,
    kind: &Kind,
    seed: u64,
    runs: u32,
    mut tell: impl FnMut(String),
) -> Result<(), Failure> {
    let mut chance = Random::new(seed);
    for number in 1..=runs {
        let name = format!("cut {number} of {} {seed}", kind.name);
        let played = (kind.round)(lab, &mut chance).and_then(|told| one_holder(lab).map(|()| told));
        match played {
            Ok(told) => tell(format!("{name}: {told}")),
            Err(Failure(reason)) => return Err(Failure(format!("{name}: {reason}"))),
        }
    }
    Ok(())
}

/// A few rounds, as a story.
fn story(lab: &Lab, kind: &Kind, seed: u64, runs: u32) -> Result<String, Failure> {
    let mut last = String::new();
    play(lab, kind, seed, runs, |told| last = told)?;
    Ok(last)
}

/// What all kinds have in common.
fn choices() -> Choices {
    let timing =
        "keepalive = \"100ms\"\nwarntime = \"300ms\"\ndeadtime = \"1s\"\ninitdead = \"10s\"\n";
    Choices { bmcs: true, timing: timing.to_owned(), ..Choices::default() }
}

/// Makes the pair whole after anything, with home active, and no order and no failed stay left.
fn restore(lab: &Lab) -> Result<(), Failure> {
    lab.mend_all();
    for bmc in lab.bmcs() {
        // A box that dies leaves its session behind, and dies more often here than a BMC forgets one.
        bmc.set(|character| character.sessions_max = usize::MAX);
    }
    for id in BoxId::BOTH {
        lab.power_on(id)?;
    }
    let hear = |lab: &Lab| BoxId::BOTH.into_iter().all(|id| lab.hears(id));
    expect(lab.wait_for(PATIENCE, hear), "the boxes do not hear each other")?;
    order(lab, Second, "resume")?;
    order(lab, First, "takeover")?;
    served_by(lab, First)?;
    order(lab, First, "resume")?;
    whole(lab)
}

/// The boxes whose BMCs were ordered to cut their power since `before`.
fn shot(lab: &Lab, before: &[usize]) -> Vec<&'static str> {
    let counts = orders(lab).into_iter().zip(before);
    let shot = BoxId::BOTH.into_iter().zip(counts).filter(|(_, (now, then))| now > then);
    shot.map(|(id, _)| name(id)).collect()
}

/// How many orders each BMC has taken.
fn orders(lab: &Lab) -> Vec<usize> {
    lab.bmcs().iter().map(|bmc| bmc.orders().len()).collect()
}

/// A time of at most so much.
fn up_to(chance: &mut Random, most: Duration) -> Duration {
    Duration::from_micros(chance.within(&(0..most.as_micros() as u64)))
}

/// The longest that a BMC of the lab takes until the power is gone.
const OFF_TAKES: Duration = Duration::from_secs(3);

/// Longer than a box listens at boot, and than it lets the other one go first.
const REBORN: Duration = Duration::from_secs(17);
