//! States what is expected of a pair.
//!
//! What takes time is waited for; what must never be is looked up in the records of the client and of the watch.

use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::observers::failure::{Failure, expect};
use crate::scenarios::tour::millis;
use crate::{Lab, name};

/// Boots both boxes, and waits until home is active, the other stands by, and each hears the other.
pub fn whole(lab: &Lab) -> Result<(), Failure> {
    for id in BoxId::BOTH {
        lab.power_on(id)?;
    }
    served_by(lab, First)?;
    is(lab, First, "active")?;
    is(lab, Second, "standby")?;
    // A box that was seen off counts as off until it is heard.
    let both = |lab: &Lab| BoxId::BOTH.into_iter().all(|id| lab.hears(id));
    expect(lab.wait_for(PATIENCE, both), "the boxes do not hear each other")
}

/// Waits until a box serves.
pub fn served_by(lab: &Lab, id: BoxId) -> Result<(), Failure> {
    let so = |lab: &Lab| lab.serving() == Some(id);
    expect(lab.wait_for(PATIENCE, so), format!("{} does not serve", name(id)))
}

/// Waits until a box is in a role.
pub fn is(lab: &Lab, id: BoxId, role: &str) -> Result<(), Failure> {
    let so = |lab: &Lab| lab.role(id).as_deref() == Some(role);
    expect(lab.wait_for(PATIENCE, so), format!("{} is not {role}", name(id)))
}

/// Gives a box an order, as an operator does.
pub fn order(lab: &Lab, id: BoxId, word: &str) -> Result<(), Failure> {
    let output = lab.twobox(id, &[word])?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    expect(output.status.success(), format!("twobox {word} on {}: {said}", name(id)))
}

/// One box has answered the client since `start`, all the time.
pub fn nobody_noticed(lab: &Lab, start: Instant) -> Result<String, Failure> {
    let answers = lab.client().since(start).answers;
    expect(answers.len() < 2, format!("the service has moved: {answers:?}"))?;
    silence_below(lab, start, NOTHING)
}

/// The client has noticed at most so much since `start`, and what it could not notice because it did not run itself.
pub fn silence_below(lab: &Lab, start: Instant, most: Duration) -> Result<String, Failure> {
    let seen = lab.client().since(start);
    let (short, silence) = (seen.silence <= most + seen.pause, millis(seen.silence));
    let (most, pause) = (millis(most), millis(seen.pause));
    expect(
        short,
        format!("a silence of {silence}, longer than {most}; the client paused {pause}"),
    )?;
    Ok(format!("longest silence {silence}"))
}

/// The watch has never seen the address on both boxes at the same time.
pub fn one_holder(lab: &Lab) -> Result<(), Failure> {
    expect(lab.watch.looks() > 0, "the watch did not look")?;
    let doubles = lab.doubles();
    let Some(first) = doubles.first() else { return Ok(()) };
    let time = millis(first.until - first.since);
    expect(
        false,
        format!("both boxes had the address, {} times, at first for {time}", doubles.len()),
    )
}

/// Long enough for any machine, and for every back-off; waited out only when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What may cost nothing, on a machine that does much else.
const NOTHING: Duration = Duration::from_secs(3);
