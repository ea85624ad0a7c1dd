//! Has both boxes take a new configuration together.
//!
//! In the end both have the same: the new one if that was confirmed, and else the old one.

use std::fs;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::observers::expectations::{PATIENCE, is, nobody_noticed, order, served_by, whole};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::artifacts::keeps;
use crate::stage::power_switch::Switch;
use crate::{Lab, Way, name};

/// What one of the boxes cannot run with is taken by none.
pub(crate) fn refused(lab: &Lab) -> Result<String, Failure> {
    ready(lab)?;
    let before = marks(lab)?;
    let wrong = "interface = { server1 = \"eth1\", server2 = \"eth9\" }";
    let first = change(lab, "interface = \"eth1\"", wrong)?;
    let said = told(lab, First, &["reload", "--both"], 1)?;
    for word in ["server2: ", "no interface eth9", "nothing was changed on either box"] {
        expect(said.contains(word), format!("no {word:?} in {said}"))?;
    }
    keeps(lab, First, ["reload", "refused", "no interface eth9"])?;
    put(lab, First, &first)?;
    let wrong = "interface = { server1 = \"eth9\", server2 = \"eth1\" }";
    change(lab, "interface = \"eth1\"", wrong)?;
    let said = told(lab, First, &["reload", "--both"], 1)?;
    expect(said.contains("no interface eth9") && !said.contains("server2:"), said)?;
    put(lab, First, &first)?;
    told(lab, First, &["reload", "--confirm"], 1)?;
    expect(marks(lab)? == before, "something has changed")?;
    // A device that does not answer could not cut the power either. That holds for both boxes.
    change(lab, "timeout = \"1s\"", "timeout = \"900ms\"")?;
    // The other box says which programs run there: its file has them too.
    put(lab, Second, &file(lab, First)?)?;
    for (silent, words) in [
        (Second, "box.server2.fence: command does not tell the power"),
        (First, "server2: box.server1.fence: command does not tell the power"),
    ] {
        lab.set_switch(silent, Switch::Unreachable);
        let said = told(lab, First, &["reload", "--both"], 1)?;
        expect(said.contains(words), format!("no {words:?} in {said}"))?;
        lab.set_switch(silent, Switch::Sound);
    }
    for id in BoxId::BOTH {
        put(lab, id, &first)?;
    }
    expect(marks(lab)? == before, "something has changed")?;
    // What somebody has changed there is not written over.
    put(lab, Second, &first.replace("failback_hold = \"2s\"", "failback_hold = \"5s\""))?;
    change(lab, "failback_hold = \"2s\"", "failback_hold = \"3s\"")?;
    let said = told(lab, First, &["reload", "--both"], 1)?;
    expect(said.contains("twobox.toml was changed, and"), said)?;
    put(lab, First, &first)?;
    let said = told(lab, First, &["reload", "--both", "--for", "2h"], 1)?;
    expect(said.contains("2h is too long for a trial"), said)?;
    expect(marks(lab)? == before, "something has changed")?;
    Ok("nothing has changed".to_owned())
}

/// What is confirmed, on either box, is in both files and stays.
pub(crate) fn kept(lab: &Lab) -> Result<String, Failure> {
    ready(lab)?;
    let start = Instant::now();
    for (on, hold) in [(First, "3s"), (Second, "4s")] {
        let before = marks(lab)?;
        let old = file(lab, Second)?;
        let (from, to) = (hold_of(&old)?, format!("failback_hold = \"{hold}\""));
        change(lab, &from, &to)?;
        let said = told(lab, First, &["reload", "--both", "--for", "4s"], 0)?;
        expect(said.contains("pair.failback_hold: ") && said.contains("--confirm"), said)?;
        for id in BoxId::BOTH {
            expect(file(lab, id)? == old, "a file was written before it was confirmed")?;
        }
        for (id, words) in [
            (Second, &["reload"][..]),
            (Second, &["upgrade"][..]),
            (Second, &["reload", "--both"][..]),
            (First, &["reload", "--both"][..]),
        ] {
            let said = told(lab, id, words, 1)?;
            expect(said.contains("is on trial for "), said)?;
        }
        let status = well(lab, Second)?;
        expect(status.contains("configuration: on trial for "), status)?;
        let hold = format!("{from} -> {hold}").replace("failback_hold = ", "pair.failback_hold: ");
        keeps(lab, First, ["reload", "on_trial", &hold.replace('"', "")])?;
        told(lab, on, &["reload", "--confirm"], 0)?;
        keeps(lab, on, ["reload", "kept\"", "is kept by both boxes"])?;
        keeps(lab, on.other(), ["reload", "kept_on_word", "word"])?;
        let said = told(lab, on.other(), &["upgrade"], 1)?;
        expect(said.contains("or wait for 31"), format!("a letter may take longer: {said}"))?;
        for on in [on, on.other()] {
            let said = told(lab, on, &["reload", "--confirm"], 0)?;
            expect(!said.contains("warning"), said)?;
        }
        expect(file(lab, Second)? == file(lab, First)?, "the files differ")?;
        std::thread::sleep(Duration::from_secs(5));
        let after = marks(lab)?;
        let same = after[0] == after[1] && after[0] != before[0];
        expect(same, format!("{before:?} became {after:?}"))?;
    }
    // Who has it already goes back to nothing.
    let said = told(lab, First, &["reload", "--both", "--for", "4s"], 0)?;
    expect(said.starts_with("nothing has changed"), said)?;
    for id in BoxId::BOTH {
        let status = well(lab, id)?;
        expect(!status.contains("on trial"), status)?;
        let beside = lab.machine(id).run().join("twobox.toml.new");
        expect(!beside.exists(), "what nobody tries lies there")?;
    }
    told(lab, First, &["reload", "--confirm"], 0)?;
    std::thread::sleep(Duration::from_secs(1));
    expect(!lab.log(Second).contains("is given up"), "what both have was given up")?;
    is(lab, Second, "standby")?;
    nobody_noticed(lab, start)
}

/// What nobody confirms is gone again, on both boxes.
pub(crate) fn unconfirmed(lab: &Lab) -> Result<String, Failure> {
    ready(lab)?;
    let (start, before, old) = (Instant::now(), marks(lab)?, file(lab, Second)?);
    change(lab, "failback_hold = \"2s\"", "failback_hold = \"3s\"")?;
    let tried = file(lab, First)?;
    told(lab, First, &["reload", "--both", "--for", "3s"], 0)?;
    expect(file(lab, First)? == old, "the file of server1 is not the one that was proven")?;
    let during = marks(lab)?;
    expect(during[0] == during[1] && during != before, format!("{before:?}, {during:?}"))?;
    let back = |lab: &Lab| marks(lab).is_ok_and(|marks| marks == before);
    expect(lab.wait_for(PATIENCE, back), "the boxes did not go back")?;
    told(lab, First, &["reload", "--confirm"], 1)?;
    for id in BoxId::BOTH {
        keeps(
            lab,
            id,
            ["reload", "returned", "nobody has confirmed it: pair.failback_hold: 3s -> 2s"],
        )?;
        let run = lab.machine(id).run();
        expect(file(lab, id)? == old, format!("the file of {} is not the one before", name(id)))?;
        let aside = |_: &Lab| !run.join("twobox.toml.new").exists();
        expect(lab.wait_for(PATIENCE, aside), "what was tried lies there still")?;
        let rejected = fs::read_to_string(run.join("twobox.toml.rejected"))?;
        expect(rejected == tried, format!("what was given up is {rejected}"))?;
        expect(lab.log(id).contains("twobox.toml.rejected"), "nobody tells where it is")?;
    }
    is(lab, Second, "standby")?;
    nobody_noticed(lab, start)
}

/// A box that is busy when the time is over goes back as soon as it can, and says once that it waits.
pub(crate) fn busy(lab: &Lab) -> Result<String, Failure> {
    ready(lab)?;
    let before = marks(lab)?;
    change(lab, "# here", STUBBORN)?;
    // What runs there is for an operator there to say.
    put(lab, Second, &file(lab, First)?)?;
    told(lab, First, &["reload", "--both", "--for", "3s"], 0)?;
    let started = |lab: &Lab| lab.log(First).contains("stubborn runs");
    expect(lab.wait_for(PATIENCE, started), "what was added does not run")?;
    order(lab, First, "standby")?;
    let back = |lab: &Lab| marks(lab).is_ok_and(|marks| marks == before);
    expect(lab.wait_for(PATIENCE, back), "the boxes have not both gone back")?;
    let waits = lab.log(First).matches("cannot come back yet").count();
    expect(waits == 1, format!("it was said {waits} times that it waits"))?;
    served_by(lab, Second)?;
    Ok("server1 went back once it had stopped".to_owned())
}

/// A confirmation that cannot be told confirms nothing.
pub(crate) fn parted(lab: &Lab) -> Result<String, Failure> {
    ready(lab)?;
    let before = marks(lab)?;
    rest(lab)?;
    change(lab, "failback_hold = \"2s\"", "failback_hold = \"3s\"")?;
    told(lab, First, &["reload", "--both", "--for", "6s"], 0)?;
    lab.part();
    let said = told(lab, First, &["reload", "--confirm"], 5)?;
    expect(said.contains("not confirmed: both boxes go back"), &*said)?;
    std::thread::sleep(Duration::from_secs(7));
    lab.mend_all();
    let back = |lab: &Lab| marks(lab).is_ok_and(|marks| marks == before);
    expect(lab.wait_for(PATIENCE, back), "the boxes have not both gone back")?;
    served_by(lab, First)?;
    Ok(said.trim().replace('\n', "; "))
}

/// The box that has kept it on the word of the other one goes back, as that never learnt of it.
pub(crate) fn word_lost(lab: &Lab) -> Result<String, Failure> {
    ready(lab)?;
    let (before, old) = (marks(lab)?, file(lab, Second)?);
    rest(lab)?;
    change(lab, "failback_hold = \"2s\"", "failback_hold = \"3s\"")?;
    told(lab, First, &["reload", "--both", "--for", "8s"], 0)?;
    // Over the serial cable there is time between the word and its answer.
    for id in BoxId::BOTH {
        lab.lose(Way::Lan, id);
        lab.lose(Way::Direct, id);
    }
    std::thread::sleep(Duration::from_millis(1_500));
    let said = std::thread::scope(|scope| {
        let confirm = scope.spawn(|| told(lab, First, &["reload", "--confirm"], 5));
        let kept = |lab: &Lab| lab.log(Second).contains("is kept on the other box's word");
        let kept = lab.wait_for(PATIENCE, kept);
        lab.lose(Way::Serial, Second);
        expect(kept, "server2 was not told")?;
        confirm.join().map_err(|_| Failure("the one who confirms has panicked".to_owned()))?
    })?;
    expect(said.contains("not confirmed"), &*said)?;
    let written = |lab: &Lab| file(lab, Second).is_ok_and(|text| text != old);
    expect(lab.wait_for(PATIENCE, written), "server2 has not kept it")?;
    std::thread::sleep(Duration::from_secs(8));
    lab.mend_all();
    let back = |lab: &Lab| marks(lab).is_ok_and(|marks| marks == before);
    expect(lab.wait_for(PATIENCE, back), "the boxes have not both gone back")?;
    let restored =
        |lab: &Lab| BoxId::BOTH.iter().all(|id| file(lab, *id).is_ok_and(|it| it == old));
    expect(lab.wait_for(PATIENCE, restored), "a file is the one that was tried")?;
    served_by(lab, First)?;
    Ok("server2 went back after server1".to_owned())
}

/// The pair is whole, and its links carry both ways.
pub(crate) fn ready(lab: &Lab) -> Result<(), Failure> {
    whole(lab)?;
    expect(lab.wait_for(PATIENCE, |lab| marks(lab).is_ok()), "server2 does not answer")
}

/// Nobody shoots a box that is not heard.
fn rest(lab: &Lab) -> Result<(), Failure> {
    BoxId::BOTH.iter().try_for_each(|id| order(lab, *id, "maintenance"))
}

/// What each box runs with.
pub(crate) fn marks(lab: &Lab) -> Result<[String; 2], Failure> {
    let output = lab.twobox(First, &["check", "--peer"])?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let mark = |id| {
        let begin = format!("{} runs twobox", name(id));
        let line = said.lines().find(|line| line.starts_with(&begin))?;
        line.rsplit(' ').next().map(str::to_owned)
    };
    match (mark(First), mark(Second)) {
        (Some(first), Some(second)) => Ok([first, second]),
        _ => Err(Failure(format!("no marks in {said}"))),
    }
}

/// Changes the file of the first box, and tells what it was.
pub(crate) fn change(lab: &Lab, from: &str, to: &str) -> Result<String, Failure> {
    let text = file(lab, First)?;
    expect(text.contains(from), format!("no {from:?} in the file"))?;
    put(lab, First, &text.replace(from, to))?;
    Ok(text)
}

fn hold_of(text: &str) -> Result<String, Failure> {
    let line = text.lines().find(|line| line.starts_with("failback_hold"));
    line.map(str::to_owned).ok_or_else(|| Failure("no failback_hold in the file".to_owned()))
}

pub(crate) fn file(lab: &Lab, id: BoxId) -> Result<String, Failure> {
    Ok(fs::read_to_string(lab.machine(id).run().join("twobox.toml"))?)
}

pub(crate) fn put(lab: &Lab, id: BoxId, text: &str) -> Result<(), Failure> {
    Ok(fs::write(lab.machine(id).run().join("twobox.toml"), text)?)
}

/// Waits until the pair is well, and gives the status that says so.
fn well(lab: &Lab, id: BoxId) -> Result<String, Failure> {
    let mut status = told(lab, id, &["status"], 0);
    lab.wait_for(PATIENCE, |lab| {
        status = told(lab, id, &["status"], 0);
        status.is_ok()
    });
    status
}

/// What a command says that ends with `code`.
pub(crate) fn told(lab: &Lab, id: BoxId, words: &[&str], code: i32) -> Result<String, Failure> {
    let words = [words, &["--socket", "/run/twobox.sock"]].concat();
    let output = lab.twobox(id, &words)?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let ended = output.status.code();
    expect(ended == Some(code), format!("{}: {ended:?}: {said}", words.join(" ")))?;
    Ok(said.into_owned())
}

/// It takes five seconds to stop.
const STUBBORN: &str = r#"[[resource]]
kind = "process"
name = "stubborn"
command = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
kill_after = "5s"
"#;
