//! Cuts every cable while home serves, and checks that the standby alone is shot, once.
//!
//! The power is cut by BMCs that take from nothing to three seconds, and the cut comes at any moment between two
//! heartbeats.

use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{First, Second};
use simulation::random::Random;

use super::{Kind, OFF_TAKES, REBORN, choices, orders, up_to};
use crate::Lab;
use crate::observers::expectations::{PATIENCE, nobody_noticed, whole};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::tour::millis;

pub(super) const KIND: Kind = Kind { name: "at-rest", choices, round };

fn round(lab: &Lab, chance: &mut Random) -> Result<String, Failure> {
    lab.mend_all();
    whole(lab)?;
    std::thread::sleep(Duration::from_micros(chance.within(&(0..300_000))));
    let off_takes = up_to(chance, OFF_TAKES);
    for bmc in lab.bmcs() {
        bmc.set(|character| character.off_takes = off_takes);
    }
    let seen_before = lab.log(First).matches(SEEN).count();
    let (before, start) = (orders(lab), Instant::now());
    lab.part();
    expect(lab.wait_for(PATIENCE, |lab| !lab.is_on(Second)), "the standby was not shot")?;
    let shot_after = start.elapsed();
    // A person who gave it power before would have it shot again, and rightly so.
    let seen = |lab: &Lab| lab.log(First).matches(SEEN).count() > seen_before;
    expect(lab.wait_for(PATIENCE, seen), "the standby was not seen off")?;
    let seen_after = start.elapsed().saturating_sub(shot_after);
    lab.power_on(Second)?;
    std::thread::sleep(REBORN);
    expect(lab.is_on(First) && lab.is_on(Second), "a second box was shot, or one a second time")?;
    let shots: Vec<usize> = orders(lab).iter().zip(before).map(|(now, then)| now - then).collect();
    expect(
        shots == [0, 1],
        format!("{shots:?} orders to the BMCs, and not one to that of the standby"),
    )?;
    let silence = nobody_noticed(lab, start)?;
    Ok(format!(
        "shot in {}, of which its power took {}, seen {} later, {silence}",
        millis(shot_after),
        millis(off_takes),
        millis(seen_after)
    ))
}

const SEEN: &str = "server2 is fenced: its power was seen off";
