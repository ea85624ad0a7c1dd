//! Cuts every cable while both boxes are alive, and checks that the standby alone is shot, once.
//!
//! The power is cut by BMCs that take from nothing to three seconds, and the cut comes at any moment between two
//! heartbeats. Many runs in one lab; a number begins the chance.

use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{First, Second};

use crate::Lab;
use crate::observers::expectations::{PATIENCE, nobody_noticed, one_holder, whole};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::tour::millis;
use crate::stage::config::Choices;
use simulation::random::Random;

/// Cuts every cable `runs` times.
///
/// # Errors
///
/// When another box than the standby was shot, or a client noticed, or a box was shot twice.
pub fn run(seed: u64, runs: u32) -> Result<(), Failure> {
    let choices = Choices {
        bmcs: true,
        timing:
            "keepalive = \"100ms\"\nwarntime = \"300ms\"\ndeadtime = \"1s\"\ninitdead = \"10s\"\n"
                .to_owned(),
        ..Choices::default()
    };
    let lab = Lab::new(&choices)?;
    let mut chance = Random::new(seed);
    for number in 1..=runs {
        let cut = cut(&lab, &mut chance).and_then(|told| one_holder(&lab).map(|()| told));
        let told = cut.map_err(|Failure(reason)| {
            Failure(format!("cut {number} of {seed}: {reason}")).with_logs(&lab)
        })?;
        println!("cut {number} of {seed}: {told}");
    }
    Ok(())
}

fn cut(lab: &Lab, chance: &mut Random) -> Result<String, Failure> {
    lab.mend_all();
    whole(lab)?;
    std::thread::sleep(Duration::from_micros(chance.within(&(0..300_000))));
    let off_takes = Duration::from_millis(chance.within(&(0..3_001)));
    for bmc in lab.bmcs() {
        bmc.set(|character| character.off_takes = off_takes);
    }
    let orders = |lab: &Lab| lab.bmcs().iter().map(|bmc| bmc.orders().len()).collect::<Vec<_>>();
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
    // Longer than a box listens at boot, and than it lets the other one go first.
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
const REBORN: Duration = Duration::from_secs(17);
