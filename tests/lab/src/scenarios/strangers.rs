//! Plays somebody who has the key of the pair, or who sends again what was sent.

use std::fs;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::Lab;
use crate::observers::expectations::{PATIENCE, is, nobody_noticed, served_by};
use crate::observers::failure::{Failure, expect};
use crate::scenarios::trials::{change, file, marks, put, ready, told};
use crate::stage::config::{Choices, KEY};

/// A box that does not let the other one configure it says so, and what is missing; it answers questions all the same.
pub(crate) fn not_configured(lab: &Lab) -> Result<String, Failure> {
    ready(lab)?;
    let (start, before, old) = (Instant::now(), marks(lab)?, file(lab, Second)?);
    change(lab, "failback_hold = \"2s\"", "failback_hold = \"3s\"")?;
    let said = told(lab, First, &["reload", "--both"], 1)?;
    for word in [
        "server2 does not let server1 configure it: say peer_may_configure = true in its file",
        "or copy the file and say twobox reload there",
        "nothing was changed on either box",
    ] {
        expect(said.contains(word), format!("no {word:?} in {said}"))?;
    }
    let log = lab.log(Second);
    let word = "refused to try a configuration of server1: ";
    expect(log.contains(word), format!("no {word:?} in the log of server2"))?;
    expect(marks(lab)? == before && file(lab, Second)? == old, "something has changed")?;
    is(lab, First, "active")?;
    nobody_noticed(lab, start)
}

/// What runs as root is said by an operator of each box, and by nobody else.
pub(crate) fn no_programs(lab: &Lab) -> Result<String, Failure> {
    ready(lab)?;
    let (before, old) = (marks(lab)?, file(lab, Second)?);
    change(lab, "# here", HOOK)?;
    let said = told(lab, First, &["reload", "--both"], 1)?;
    for word in ["server2 lets server1 change neither programs, accounts nor files", "[[hook]]"] {
        expect(said.contains(word), format!("no {word:?} in {said}"))?;
    }
    expect(marks(lab)? == before && file(lab, Second)? == old, "something has changed")?;
    let owned = |id: BoxId| lab.machine(id).run().join("owned").exists();
    expect(!owned(Second), "a program of server1 ran on server2")?;
    // The same in the file there is the word of an operator there.
    put(lab, Second, &file(lab, First)?)?;
    told(lab, First, &["reload", "--both", "--for", "30s"], 0)?;
    let runs = |_: &Lab| owned(Second);
    expect(lab.wait_for(PATIENCE, runs), "the hook does not run on server2")?;
    let changes = lab.log(Second).contains("server1 changes [[hook]]: changed");
    expect(changes, "the log of server2 does not tell what server1 has changed")?;
    told(lab, First, &["reload", "--confirm"], 0)?;
    Ok("a hook came with an operator of each box only".to_owned())
}

/// What opened letters before comes again all the time, and each letter is answered.
pub(crate) fn recorded_letters(lab: &Lab) -> Result<String, Failure> {
    ready(lab)?;
    let start = Instant::now();
    for id in BoxId::BOTH {
        told(lab, id, &["check", "--peer"], 0)?;
    }
    let time = Duration::from_secs(20);
    let (poured, answered) = std::thread::scope(|scope| {
        let floods = BoxId::BOTH.map(|id| scope.spawn(move || lab.replay_openings(id, 500, time)));
        let mut answered = Ok(0);
        while let Ok(count) = answered
            && floods.iter().any(|flood| !flood.is_finished())
        {
            let asked = BoxId::BOTH.iter().try_for_each(|id| {
                told(lab, *id, &["check", "--peer"], 0)?;
                told(lab, *id, &["history", "--both"], 0).map(|_| ())
            });
            answered = asked.map(|()| count + 4);
        }
        let poured = floods.map(|flood| flood.join().ok().and_then(Result::ok).unwrap_or_default());
        (poured, answered)
    });
    let answered = answered?;
    for id in BoxId::BOTH {
        let status = told(lab, id, &["status", "--json"], 0)?;
        let counts = status.split("\"refused_letters\":{").skip(1);
        let counts = counts.filter_map(|rest| rest.split_once("\"replayed\":")?.1.split_once('}'));
        let refused: u64 = counts.filter_map(|(count, _)| count.parse::<u64>().ok()).sum();
        expect(refused > 100, format!("{refused} openings were refused: {status}"))?;
        let told = lab.log(id).matches("dropped a piece of a letter from ").count();
        expect((1..30).contains(&told), format!("it was told {told} times"))?;
    }
    let seconds = time.as_secs();
    expect(answered > 8, format!("{answered} letters in {seconds} s beside {poured:?} openings"))?;
    nobody_noticed(lab, start)?;
    Ok(format!("{answered} letters answered beside {poured:?} recorded openings"))
}

/// A trial of a key with which the other box signs when the time is over: the key stays until that is over too.
pub(crate) fn trial_of_keys(lab: &Lab) -> Result<String, Failure> {
    ready(lab)?;
    let key = |id, text: &str| fs::write(lab.machine(id).run().join("twobox.key"), text);
    key(First, &format!("{KEY}{NEXT}"))?;
    told(lab, First, &["reload", "--both", "--for", "8s"], 0)?;
    // The next steps on the other box: each is accepted.
    for text in [format!("{KEY}{NEXT}"), format!("{NEXT}{KEY}")] {
        key(Second, &text)?;
        told(lab, Second, &["reload"], 0)?;
        std::thread::sleep(Duration::from_millis(700));
    }
    let waits = |lab: &Lab| lab.log(First).contains("cannot come back yet: ");
    expect(lab.wait_for(PATIENCE, waits), "nobody tells that the key cannot be taken back")?;
    std::thread::sleep(Duration::from_secs(5));
    for id in BoxId::BOTH {
        expect(lab.is_on(id), "a box was shot that runs, because a trial ended")?;
    }
    is(lab, First, "active")?;
    is(lab, Second, "standby")?;
    // Once the other box signs with the old one again, the trial ends.
    key(Second, &format!("{KEY}{NEXT}"))?;
    told(lab, Second, &["reload"], 0)?;
    let back = |lab: &Lab| lab.log(First).contains("the one before is back");
    expect(lab.wait_for(PATIENCE, back), "the trial does not end")?;
    served_by(lab, First)?;
    Ok("the key stayed as long as the other box signed with it".to_owned())
}

/// Each box decides by itself.
pub(crate) fn apart() -> Choices {
    Choices { peer_may_configure: false, ..Choices::default() }
}

const NEXT: &str = "2 this-is-key-2-of-the-lab-and-no-secret\n";

const HOOK: &str = r#"# here
[[hook]]
command = ["/bin/sh", "-c", "touch /run/owned"]
"#;
