//! Cutting the other box's power by hand: tried without an order, ordered, and as a drill.
//!
//! The order is the supervisor's to take or refuse; what is here asks it how it goes, and tells a person. Nothing here
//! decides.

use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use board::fence::{self, DryRunStep};
use board::host::plain_text::Plain;
use board::time::clock::Clock;
use firmware_agnostic::report::Time;

use super::Exit;
use super::fail;
use crate::config::Config;
use crate::control::client::{Verdict, ask};
use crate::observe::record::Record;

/// Asks every device that cuts the power of the other box whether it would, and orders nothing.
pub(super) fn dry_run(config: &Config) -> Exit {
    let peer = config.settings.me.other();
    let (name, devices) = (config.name(peer), config.fence_of(peer));
    let mut failed = 0;
    for device in devices {
        tell(&format!("{} of {name}", device.name));
        let mut whole = true;
        fence::dry_run(device, |DryRunStep { what, took, said }| {
            let (mark, said) = match said {
                Ok(said) => ("", said),
                Err(said) => ("FAILED: ", said),
            };
            whole &= mark.is_empty();
            tell(&format!("  {what:<18} {:>8}  {mark}{said}", Time(took).to_string()));
        });
        failed += usize::from(!whole);
    }
    match (devices.len(), failed) {
        (0, _) => fail(
            Exit::Refused,
            &format!("{name} has no fence device: only an operator's word counts"),
        ),
        (_, 0) => {
            tell(&format!("nothing was ordered; every device would be used to cut {name}'s power"));
            Exit::Done
        }
        (all, failed) => fail(Exit::Refused, &format!("{failed} of {all} devices would fail")),
    }
}

/// Orders the power of the box called `name` cut, and tells how it goes.
pub(super) fn fence(socket: &Path, name: &str, yes: bool) -> Exit {
    let request = format!("fence {name}{}", if yes { " yes" } else { "" });
    told(shoot(socket, name, &request).map(|took| {
        tell(&format!("{name} is fenced: its power was seen off after {took}"));
    }))
}

/// Has the power of a standby box that is well cut, seen off, and put on again, and waits until the pair is whole. The
/// supervisor does it, also if nobody waits any more.
pub(super) fn drill(socket: &Path, name: &str) -> Exit {
    told(try_drill(socket, name))
}

fn try_drill(socket: &Path, name: &str) -> Result<(), Error> {
    let before = progress(socket)?;
    let get = |record: &Record, word| record.get(word).unwrap_or_default().to_owned();
    if !is(&before, "redundant") {
        let summary = get(&before, "summary");
        return Err(Error::refused(format!("a drill wants a pair that is well: {summary}")));
    }
    if !is(&before, "serves") {
        return Err(Error::refused(
            "this box does not serve: drill on the box that does".to_owned(),
        ));
    }
    tell(&format!("drill: {name} loses its power, and gets it back"));
    let line = |what: &str, took: Time| tell(&format!("  {what:<28} {took}"));
    line("ordered, and seen off", shoot(socket, name, &format!("drill {name}"))?);
    let begun = Clock.now();
    let by_hand = |reason: String| Error::refused(format!("{reason}; power {name} on by hand"));
    wait(socket, POWER_ON_MAX, |now| get(now, "power") == "on")
        .map_err(|error| by_hand(error.text))?;
    line("powered on again", Time(Clock.now() - begun));
    let boot = get(&before, "peer_boot");
    wait(socket, RETURN_MAX, |now| is(now, "heard") && get(now, "peer_boot") != boot)?;
    line("heard again", Time(Clock.now() - begun));
    let after = wait(socket, RETURN_MAX, |now| is(now, "redundant"))?;
    line("the pair is whole", Time(Clock.now() - begun));
    tell(&format!("done: {}", get(&after, "summary")));
    Ok(())
}

/// Orders the shot, and waits for its end. Tells how long that took.
fn shoot(socket: &Path, name: &str, request: &str) -> Result<Time, Error> {
    let begun = Clock.now();
    order(socket, request)?;
    let after = wait(socket, SHOT_MAX, |now| !is(now, "shoots"))?;
    let took = Time(Clock.now() - begun);
    // What was seen before the order proves nothing.
    if after.get("shot") == Some("seen_off") {
        return Ok(took);
    }
    let why = after.get("failure").unwrap_or("see twobox history");
    Err(Error::refused(format!("{name} is not fenced after {took}, take it for alive: {why}")))
}

/// Waits until where things stand is as wanted.
fn wait(socket: &Path, most: Duration, so: impl Fn(&Record) -> bool) -> Result<Record, Error> {
    let begun = Clock.now();
    loop {
        let now = progress(socket)?;
        if so(&now) {
            return Ok(now);
        }
        if Clock.now() - begun > most {
            let summary = now.get("summary").unwrap_or_default();
            return Err(Error::refused(format!("not so after {}: {summary}", Time(most))));
        }
        thread::sleep(BETWEEN);
    }
}

fn progress(socket: &Path) -> Result<Record, Error> {
    let line = order(socket, "progress")?;
    Record::read(line.trim_end())
        .ok_or_else(|| Error::refused("the supervisor is of another version".to_owned()))
}

fn order(socket: &Path, request: &str) -> Result<String, Error> {
    match ask(socket, request) {
        Ok(answer) if answer.verdict == Verdict::Refused => {
            Err(Error::refused(answer.text.trim_end().to_owned()))
        }
        Ok(answer) => Ok(answer.text),
        Err(error) => Err(Error { exit: Exit::of(&error), text: error.to_string() }),
    }
}

/// Why it was not done, and how the command ends.
struct Error {
    exit: Exit,
    text: String,
}

impl Error {
    const fn refused(text: String) -> Self {
        Self { exit: Exit::Refused, text }
    }
}

fn told(done: Result<(), Error>) -> Exit {
    match done {
        Ok(()) => Exit::Done,
        Err(Error { exit, text }) => fail(exit, &text),
    }
}

fn is(record: &Record, word: &str) -> bool {
    record.get(word) == Some("true")
}

/// At once, because what comes next may take its time.
fn tell(line: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{}", Plain(line)).and_then(|()| out.flush());
}

/// Often enough for a person and for a report in thousandths.
const BETWEEN: Duration = Duration::from_millis(20);
/// Longer than any device may take that a configuration allows for.
const SHOT_MAX: Duration = Duration::from_secs(10 * 60);
/// A BMC takes seconds.
const POWER_ON_MAX: Duration = Duration::from_secs(2 * 60);
/// A server takes minutes to boot.
const RETURN_MAX: Duration = Duration::from_secs(20 * 60);
