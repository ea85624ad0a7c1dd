//! Lets reloads meet each other, or a death.

use std::fs;
use std::path::PathBuf;
use std::thread::{ScopedJoinHandle, scope, sleep};
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::observers::expectations::{PATIENCE, is, nobody_noticed};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::stories::runs_on;
use crate::scenarios::trials::{change, file, marks, put, ready, told};
use crate::{Lab, name};

/// Of two reloads at the same moment, the one that is slow to read an older file does not win.
pub(crate) fn overtaken(lab: &Lab) -> Result<String, Failure> {
    ready(lab)?;
    let start = Instant::now();
    let text = file(lab, First)?;
    let [older, newer] =
        ["\"3s\"", "\"4s\""].map(|hold| text.replace("hold = \"2s\"", &format!("hold = {hold}")));
    let late = lab.machine(First).come_late(FILE, older)?;
    scope(|scope| {
        let reload = || scope.spawn(|| told(lab, First, &["reload"], 0));
        let first = reload();
        expect(late.is_read(PATIENCE), "nobody reads the file")?;
        // The process that has it open has it still; others find what lies below.
        lab.machine(First).uncover(FILE)?;
        put(lab, First, &newer)?;
        let second = reload();
        sleep(Duration::from_millis(500));
        late.go_on();
        let ended = |reload: ScopedJoinHandle<'_, Result<String, Failure>>| {
            reload.join().map_err(|_| Failure("who reloads has panicked".to_owned()))?
        };
        let said = ended(first)? + &ended(second)?;
        expect(said.contains("2s -> 3s") && said.contains("3s -> 4s"), said)
    })?;
    let said = told(lab, First, &["reload", "--dry-run"], 0)?;
    expect(said == "nothing has changed\n", format!("the older file is in force: {said}"))?;
    is(lab, First, "active")?;
    nobody_noticed(lab, start)
}

/// A supervisor that dies in the middle of a trial comes back with what was proven, and so does the other box; nobody
/// outside notices, and what was tried can be tried again.
pub(crate) fn killed(lab: &Lab) -> Result<String, Failure> {
    ready(lab)?;
    let (start, before) = (Instant::now(), marks(lab)?);
    let old = change(lab, "failback_hold = \"2s\"", "failback_hold = \"3s\"")?;
    let tried = file(lab, First)?;
    told(lab, First, &["reload", "--both", "--for", "8s"], 0)?;
    let during = marks(lab)?;
    expect(during[0] == during[1] && during != before, format!("{before:?}, {during:?}"))?;
    runs_on(lab, First, |lab| Ok(lab.crash_supervisor(First)?))?;
    let apart = marks(lab)?;
    let so = apart == [before[0].clone(), during[1].clone()];
    expect(so, format!("{before:?} and {during:?} became {apart:?}"))?;
    let back = |lab: &Lab| marks(lab).is_ok_and(|marks| marks == before);
    expect(lab.wait_for(PATIENCE, back), "server2 did not go back")?;
    let lies = |id, ending: &str| fs::read_to_string(beside(lab, id, ending)).ok();
    let rejected = |_: &Lab| lies(Second, "rejected").is_some() && lies(Second, "new").is_none();
    expect(lab.wait_for(PATIENCE, rejected), "server2 has not put aside what was tried")?;
    for id in [First, Second] {
        expect(file(lab, id)? == old, format!("the file of {} is not the one before", name(id)))?;
    }
    expect(lies(Second, "rejected").as_ref() == Some(&tried), "something else was put aside")?;
    expect(lies(First, "new").as_ref() == Some(&tried), "what was tried is lost")?;
    expect(lies(First, "rejected").is_none(), "nobody has given it up on server1")?;
    let said = lab.log(First).matches("twobox.toml.new was on trial when twobox ended").count();
    expect(said == 1, format!("it was said {said} times what lies there"))?;
    // As it says.
    fs::rename(beside(lab, First, "new"), lab.machine(First).run().join(FILE))?;
    told(lab, First, &["reload", "--both"], 0)?;
    told(lab, First, &["reload", "--confirm"], 0)?;
    expect(marks(lab)? == during, "it does not run on both boxes")?;
    expect(lies(First, "new").is_none(), "what is kept lies there still")?;
    is(lab, Second, "standby")?;
    nobody_noticed(lab, start)
}

fn beside(lab: &Lab, id: BoxId, ending: &str) -> PathBuf {
    lab.machine(id).run().join(format!("{FILE}.{ending}"))
}

/// In `/run` of a box.
const FILE: &str = "twobox.toml";
