//! Brings many faults about at once.
//!
//! Cables, power, switches and supervisors fail and come back by chance, faster than the pair can settle. During all
//! of it there must never be two holders; and when the weather is fair again, the pair must become whole by itself.
//! A number begins the chance, so that a storm can be raised again, as far as real processes allow.

use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::observers::expectations::{PATIENCE, one_holder, whole};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::tour::condition;
use crate::stage::config::Choices;
use crate::stage::power_switch::Switch;
use crate::{Cable, Lab, Way, name};
use simulation::random::Random;

/// Raises the storm that `seed` begins, and lets it blow for `time`.
///
/// # Errors
///
/// When a promise was broken.
pub fn run(seed: u64, time: Duration) -> Result<(), Failure> {
    let lab = Lab::new(&Choices::default())?;
    whole(&lab).map_err(|failure| failure.with_logs(&lab))?;
    let mut chance = Random::new(seed);
    let start = Instant::now();
    let mut blows = 0;
    while start.elapsed() < time {
        let said = blow(&lab, &mut chance)?;
        let now = BoxId::BOTH.map(|id| condition(&lab, id));
        println!("{:>7.3} s  {said:<44} {}", start.elapsed().as_secs_f32(), now.join(" | "));
        one_holder(&lab).map_err(|failure| failure.with_logs(&lab))?;
        blows += 1;
        std::thread::sleep(Duration::from_millis(chance.within(&(0..2_500))));
    }
    println!("{:>7.3} s  fair weather", start.elapsed().as_secs_f32());
    let fair = clear_up(&lab).and_then(|()| one_holder(&lab));
    fair.map_err(|failure| failure.with_logs(&lab))?;
    println!("storm {seed}: {blows} blows, never two holders, and whole again");
    Ok(())
}

/// One thing that goes wrong, or right again, and how a person would say it.
fn blow(lab: &Lab, chance: &mut Random) -> Result<String, Failure> {
    let id = chance.one_of(&BoxId::BOTH);
    let own = name(id);
    let cable = chance.one_of(&[Cable::Lan(id), Cable::Direct, Cable::Serial]);
    let way = chance.one_of(&[Way::Lan, Way::Direct, Way::Serial]);
    Ok(match chance.within(&(0..12)) {
        0 | 1 => {
            lab.cut(cable);
            format!("{cable} is cut")
        }
        2 | 3 => {
            lab.mend_all();
            "every cable is mended".to_owned()
        }
        4 => {
            lab.lose(way, id);
            format!("{way:?} loses what {own} says")
        }
        5 => {
            lab.part();
            "every way is lost".to_owned()
        }
        6 => {
            lab.power_off(id);
            format!("{own} loses its power")
        }
        7 | 8 => {
            for id in BoxId::BOTH {
                lab.power_on(id)?;
            }
            "both boxes get power".to_owned()
        }
        9 => {
            let switches = [Switch::Sound, Switch::Unreachable, Switch::Lying, SLOW];
            let switch = chance.one_of(&switches);
            lab.set_switch(id, switch);
            format!("the switch of {own} is {switch:?}")
        }
        10 => {
            // A box without power has no supervisor to lose.
            let _ = lab.crash_supervisor(id);
            format!("the supervisor of {own} dies")
        }
        _ => {
            let time = Duration::from_millis(chance.within(&(0..3_000)));
            // It may be shot meanwhile.
            let _ = lab.stall(id, time);
            format!("the supervisor of {own} stalled for {} ms", time.as_millis())
        }
    })
}

/// Everything is mended and has power: one box must serve, and its peer stand by, without anybody's help.
fn clear_up(lab: &Lab) -> Result<(), Failure> {
    lab.mend_all();
    for id in [First, Second] {
        lab.set_switch(id, Switch::Sound);
    }
    let calm = Instant::now();
    let on = |lab: &Lab| lab.is_on(First) && lab.is_on(Second);
    // Who was out of reach may still be shot, by one who had decided so before.
    while calm.elapsed() < Duration::from_secs(3) || !on(lab) {
        for id in BoxId::BOTH {
            lab.power_on(id)?;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let settled = |lab: &Lab| {
        lab.serving().is_some_and(|id| lab.role(id.other()).as_deref() == Some("standby"))
    };
    expect(lab.wait_for(PATIENCE, settled), "the pair is not whole in fair weather")
}

/// Slow, but within what the supervisor gives a switch.
const SLOW: Switch = Switch::Slow(Duration::from_millis(300));
