//! Changes the configuration while the pair serves.
//!
//! The files are changed in place, as a person would, and the real supervisor is told; what must not be touched is
//! looked at from outside: the number of a process, the requests of the client, the frames that were refused.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::observers::expectations::{PATIENCE, is, nobody_noticed, served_by, whole};
use crate::observers::failure::{Failure, expect};
use crate::observers::figures::Figures;
use crate::scenarios::artifacts::keeps;
use crate::scenarios::stories::LONG;
use crate::stage::config::Choices;
use crate::stage::init::Order;
use crate::stage::process::Process;
use crate::{Lab, name};

/// When anything is changed, what is the same runs on, and nobody outside notices.
pub(crate) fn unnoticed(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let (begun, start) = (lab.find(First, "serve")?, Instant::now());
    let changes: [(&str, &str, &str); 11] = [
        ("keepalive = \"200ms\"", "keepalive = \"150ms\"", "timing.keepalive: 200ms -> 150ms"),
        ("failback_hold = \"2s\"", "failback_hold = \"3s\"", "pair.failback_hold: 2s -> 3s"),
        ("baud = 115200", "baud = 57600", "[[link]] ttyS1: it is opened anew"),
        ("ready = \"notify\"", "ready = \"notify\"\nthreshold = 3", "what runs is not touched"),
        ("outlet = 1", "outlet = 1", "nothing has changed"),
        ("timeout = \"1s\"", "timeout = \"900ms\"", "box.server1.fence: changed"),
        ("# here", "[metrics]\nfile = \"/run/figures\"\n# here", "metrics.file: not said ->"),
        ("# here", "[log]\nlevel = \"debug\"\n# here", "log.level: not said -> debug"),
        ("# here", "[history]\nfile = \"/run/h\"\n# here", "history.file: not said -> /run/h"),
        ("# here", "[ready]\nfile = \"/run/ready\"\n# here", "ready.file: not said ->"),
        ("# here", HOOK, "[[hook]]: changed"),
    ];
    for (from, to, told) in changes {
        for id in BoxId::BOTH {
            edit(lab, id, from, to)?;
            let dry = said(lab, id, &["reload", "--dry-run"])?;
            let said = said(lab, id, &["reload"])?;
            expect(said.contains(told), format!("no {told:?} in {said:?}"))?;
            let first = |text: &str| text.lines().next().map(str::to_owned);
            expect(first(&dry) == first(&said), format!("{dry} was to come, and {said}"))?;
            if said.contains("reloaded") {
                keeps(lab, id, ["reload", "applied", told])?;
            }
        }
        is(lab, First, "active")?;
        is(lab, Second, "standby")?;
    }
    std::thread::sleep(LONG);
    expect(lab.find(First, "serve")? == begun, "the service was started again")?;
    let seen = lab.client().since(start);
    expect(seen.lost == 0, format!("{} of {} requests failed", seen.lost, seen.asked))?;
    let file = |lab: &Lab, name: &str| lab.machine(First).demo(&["exists", name]);
    for name in ["/run/figures", "/run/ready", "/run/told"] {
        let there = |lab: &Lab| file(lab, name).is_ok_and(|it| it.status.success());
        expect(lab.wait_for(PATIENCE, there), format!("{name} is not there"))?;
    }
    Ok(format!("{} requests, none lost", seen.asked))
}

/// Cables are taken out, put in at another place, and named; the others carry on, and no frame of theirs is refused.
pub(crate) fn links(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    let serial = "[[link]]\nkind = \"serial\"\ndevice = \"/run/ttyS1\"\nbaud = 115200\n";
    let first = "[[link]]\nkind = \"udp\"\ninterface = \"eth0\"";
    let front = format!("{serial}\n{first}");
    let received = |lab: &Lab| -> Result<u64, Failure> {
        let status = said(lab, First, &["status", "--json"])?;
        let count = status
            .split("\"name\":\"eth0\"")
            .nth(1)
            .and_then(|it| it.split("\"received\":").nth(1));
        Ok(count.unwrap_or_default().split(',').next().unwrap_or_default().parse()?)
    };
    let mut heard = received(lab)?;
    for (from, to, told) in [
        (serial, "", "[[link]] ttyS1: removed"),
        (first, &front, "[[link]] ttyS1: added"),
        ("interface = \"eth1\"", "interface = \"eth1\"\nname = \"cable\"", "[[link]] cable: added"),
    ] {
        for id in [Second, First] {
            edit(lab, id, from, to)?;
            let said = said(lab, id, &["reload"])?;
            expect(said.contains(told), said)?;
            hear_more(lab)?;
        }
        let redundant = |lab: &Lab| {
            BoxId::BOTH.iter().all(|id| {
                said(lab, *id, &["status"]).is_ok_and(|it| it.contains("serving, and redundant"))
            })
        };
        expect(lab.wait_for(PATIENCE, redundant), format!("{told}: the pair is not whole again"))?;
        let now = received(lab)?;
        expect(now > heard, format!("{told}: eth0 had received {heard} frames, and then {now}"))?;
        heard = now;
    }
    for id in BoxId::BOTH {
        none_refused(lab, id)?;
        expect(!lab.log(id).contains("is late"), "a box was late in between")?;
    }
    nobody_noticed(lab, start)
}

/// A fence device that does not work is corrected while the box waits for it.
pub(crate) fn fence(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let good = original(lab, Second)?;
    edit(lab, Second, "\"/run/demo\", \"switch\", \"server1\"", "\"/bin/false\"")?;
    said(lab, Second, &["reload"])?;
    lab.power_off(First);
    is(lab, Second, "fencing")?;
    std::thread::sleep(LONG);
    expect(lab.holders().is_empty(), "server2 took over from a box that may live")?;
    put(lab, Second, &good)?;
    said(lab, Second, &["reload"])?;
    served_by(lab, Second)?;
    Ok("it took over as soon as its device was right".to_owned())
}

/// A witness and a gate come and go, and what the box knows is what those say that are there now.
pub(crate) fn checks(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    let gate = format!("ready = \"notify\"\ngate = {{ {} }}", CHECK.replace('\n', ", "));
    let witness = format!("[[witness]]\n{CHECK}\n# here");
    let answers = |id, yes: bool| {
        let word = if yes { "witness      answers" } else { "witness      does not answer" };
        let so = |lab: &Lab| said(lab, id, &["status"]).is_ok_and(|it| it.contains(word));
        expect(lab.wait_for(PATIENCE, so), format!("{}: not so: {word}", name(id)))
    };
    let first = original(lab, First)?;
    // In this order, so that the box that serves never sees less than the other.
    for id in [Second, First] {
        edit(lab, id, "# here", &witness)?;
        said(lab, id, &["reload"])?;
        answers(id, false)?;
    }
    for id in [First, Second] {
        lab.machine(id).demo(&["touch", "/run/in-step"])?;
        answers(id, true)?;
    }
    for id in [Second, First] {
        edit(lab, id, "/run/in-step", "/run/never")?;
        said(lab, id, &["reload"])?;
        answers(id, false)?;
    }
    for id in [First, Second] {
        put(lab, id, &first)?;
        said(lab, id, &["reload"])?;
    }
    let knows = |lab: &Lab| {
        said(lab, First, &["status", "--json"]).is_ok_and(|it| it.contains("\"witness\":true"))
    };
    expect(lab.wait_for(PATIENCE, knows), "a witness is missed that is none any more")?;
    nobody_noticed(lab, start)?;
    // A gate that comes while home is away keeps the service where it is.
    lab.power_off(First);
    served_by(lab, Second)?;
    fs::remove_file(lab.machine(Second).run().join("in-step"))?;
    edit(lab, Second, "ready = \"notify\"", &gate)?;
    said(lab, Second, &["reload"])?;
    lab.power_on(First)?;
    is(lab, First, "standby")?;
    std::thread::sleep(LONG);
    served_by(lab, Second)?;
    edit(lab, Second, &gate, "ready = \"notify\"")?;
    said(lab, Second, &["reload"])?;
    served_by(lab, First)?;
    Ok("each was heard, and forgotten".to_owned())
}

/// One service changes: it alone is started again. Others come and go.
pub(crate) fn services(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    let (service, first) = (lab.find(First, "serve")?, original(lab, First)?);
    for id in [Second, First] {
        edit(
            lab,
            id,
            "# here",
            "[[resource]]\nkind = \"process\"\nname = \"beside\"\ncommand = [\"/bin/sleep\", \"7001\"]\n# here",
        )?;
        said(lab, id, &["reload"])?;
    }
    let runs = |word| move |lab: &Lab| lab.find(First, word).is_ok();
    expect(lab.wait_for(PATIENCE, runs("7001")), "what was added does not run")?;
    expect(lab.find(Second, "7001").is_err(), "what was added runs on the standby")?;
    let beside = lab.find(First, "7001")?;
    for id in [First, Second] {
        edit(lab, id, "\"7001\"", "\"7002\"")?;
        let said = said(lab, id, &["reload"])?;
        expect(said.contains("[[resource]] beside: command: changed"), said)?;
    }
    expect(lab.wait_for(PATIENCE, runs("7002")), "what was changed does not run")?;
    expect(lab.find(First, "7001").is_err(), "what was changed runs as before, too")?;
    expect(lab.find(First, "7002")? != beside, "it has the number of the old one")?;
    // Where it runs is a word like others.
    edit(lab, Second, "\"7002\"]", "\"7002\"]\nwhere = \"both\"")?;
    said(lab, Second, &["reload"])?;
    let here = |lab: &Lab| lab.find(Second, "7002").is_ok();
    expect(lab.wait_for(PATIENCE, here), "it does not run on both boxes")?;
    for id in [First, Second] {
        put(lab, id, &first)?;
        said(lab, id, &["reload"])?;
    }
    let gone = |lab: &Lab| BoxId::BOTH.iter().all(|id| lab.find(*id, "7002").is_err());
    expect(lab.wait_for(PATIENCE, gone), "what was removed runs")?;
    expect(lab.find(First, "serve")? == service, "a service that is the same was started again")?;
    let measured = nobody_noticed(lab, start)?;
    // What does not start has failed, and is tried as its policy says.
    edit(
        lab,
        First,
        "# here",
        "[[resource]]\nkind = \"process\"\nname = \"bad\"\ncommand = [\"/run/demo\", \"exists\", \"/no\"]\non_failure = \"ignore\"\n# here",
    )?;
    said(lab, First, &["reload"])?;
    let told = |lab: &Lab| lab.log(First).contains("resource bad failed");
    expect(lab.wait_for(PATIENCE, told), "nobody noticed that what was added does not run")?;
    served_by(lab, First)?;
    Ok(measured)
}

/// A key is changed in three steps on both boxes, in any order, and not one frame is refused.
pub(crate) fn keys(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let key = |id: u8| format!("{id} this-is-key-{id}-of-the-lab-and-no-secret\n");
    let old = crate::stage::config::KEY.to_owned();
    let new = key(2);
    let steps = [format!("{old}{new}"), format!("{new}{old}"), new.clone()];
    for (step, text) in steps.iter().enumerate() {
        for id in if step == 1 { [Second, First] } else { [First, Second] } {
            let path = lab.machine(id).run().join("twobox.key");
            fs::write(&path, text)?;
            let said = said(lab, id, &["reload"])?;
            expect(said.starts_with("the keys: "), said)?;
            hear_more(lab)?;
        }
    }
    hear_more(lab)?;
    for id in BoxId::BOTH {
        none_refused(lab, id)?;
        let status = said(lab, id, &["status", "--json"])?;
        let whole = status.matches("\"lost\":0").count();
        expect(whole == 3, format!("frames were lost on a link of {}: {status}", name(id)))?;
    }
    // A box that still has the old key alone is not heard: the keys that were told are those that count.
    fs::write(lab.machine(Second).run().join("twobox.key"), &old)?;
    let words = ["reload", "--socket", "/run/twobox.sock"];
    let output = lab.twobox(Second, &words)?;
    let refused = String::from_utf8_lossy(&output.stderr).into_owned();
    expect(refused.contains("the peer would not know the new key"), refused)?;
    for id in BoxId::BOTH {
        crate::observers::expectations::order(lab, id, "maintenance")?;
    }
    said(lab, Second, &["reload"])?;
    let refused = |lab: &Lab| lab.log(First).contains("not signed with any key");
    expect(lab.wait_for(PATIENCE, refused), "a frame with the wrong key was taken")?;
    Ok("no frame was refused".to_owned())
}

/// The password of a BMC is another, in a file that is none of those that say so.
pub(crate) fn secrets(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let file = lab.machine(Second).run().join("bmc.pw");
    let right = fs::read_to_string(&file)?;
    let words = "box.server1.fence: its secret is another now";
    for password in ["hush-hush", &right] {
        fs::write(&file, password)?;
        for order in [&["reload", "--dry-run"][..], &["reload"][..]] {
            let said = said(lab, Second, order)?;
            expect(said.contains(words) && !said.contains("hush"), said)?;
        }
        let said = said(lab, Second, &["reload"])?;
        expect(said == "nothing has changed\n", said)?;
    }
    Ok("a password that was changed is taken".to_owned())
}

/// With any mistake in the file, the pair is as it was.
pub(crate) fn in_vain(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    // What is first looked at some time after the start is known by then.
    std::thread::sleep(Duration::from_secs(2));
    let before = lab.find(First, "serve")?;
    for (from, to, told) in [
        ("[timing]", "[timing", "twobox.toml:"),
        ("keepalive = \"200ms\"", "keepalive = \"200s\"", "does not hold"),
        ("keepalive = \"200ms\"", "kepalive = \"100ms\"", "did you mean keepalive?"),
        ("/run/demo\", \"serve", "/run/none\", \"serve", "is not here"),
        (
            "ready = \"notify\"",
            "ready = \"notify\"\nuser = \"nobody-here\"",
            "user nobody-here is not",
        ),
        ("# here", "[metrics]\nfile = \"/run/none/m\"\n# here", "the folder /run/none is not"),
        ("/run/twobox.key", "/run/no.key", "no.key"),
        ("name = \"lab\"", "name = \"laboratory\"", "pair.name: cannot change"),
        ("/run/journal", "/run/journal2", "journal.file: cannot change"),
        ("interface = \"eth1\"", "interface = \"eth9\"", "no interface eth9"),
        (
            "keepalive = \"200ms\"\nwarntime = \"500ms\"\ndeadtime = \"1s\"",
            "keepalive = \"250ms\"\nwarntime = \"600ms\"\ndeadtime = \"1s\"",
            "in two steps",
        ),
    ] {
        let original = original(lab, First)?;
        edit(lab, First, from, to)?;
        let (known, text) = (facts(lab)?, fs::read_to_string(lab.machine(First).run().join(FILE))?);
        for words in [&["reload", "--dry-run"][..], &["reload"]] {
            let words = [words, &["--socket", "/run/twobox.sock"]].concat();
            let output = lab.twobox(First, &words)?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            expect(output.status.code() == Some(1), format!("{to}: {:?}", output.status))?;
            expect(said.contains(told), format!("no {told:?} in {said}"))?;
            expect(said.contains("nothing was changed"), said)?;
        }
        let told = |lab: &Lab| lab.log(First).matches("nothing was changed").count();
        let before = told(lab);
        lab.machine(First).order(Order::HangUp)?;
        let logged = |lab: &Lab| told(lab) > before;
        expect(lab.wait_for(PATIENCE, logged), "the log does not say that nothing was changed")?;
        expect(facts(lab)? == known, format!("after {text}: something has changed"))?;
        put(lab, First, &original)?;
    }
    expect(said(lab, First, &["reload"])? == "nothing has changed\n", "something has changed")?;
    expect(lab.find(First, "serve")? == before, "the service was started again")?;
    served_by(lab, First)?;
    Ok("nothing has changed".to_owned())
}

/// A hundred hang-ups in a second, and fifty reloads: the same files, threads and service as before.
pub(crate) fn storm(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    let service = lab.find(First, "serve")?;
    for id in BoxId::BOTH {
        edit(
            lab,
            id,
            "# here",
            &format!(
                "{HOOK}\n[metrics]\nfile = \"/run/figures\"\n[[witness]]\nkind = \"ping\"\naddress = \"192.0.2.100\"\ninterface = \"eth0\"\nevery = \"200ms\"\ntimeout = \"200ms\"\n# here"
            ),
        )?;
        said(lab, id, &["reload"])?;
    }
    std::thread::sleep(Duration::from_secs(2));
    let before = held()?;
    for _ in 0..100 {
        lab.machine(First).order(Order::HangUp)?;
        std::thread::sleep(Duration::from_millis(10));
    }
    let original = original(lab, First)?;
    let other = original
        .replace("every = \"200ms\"", "every = \"300ms\"")
        .replace("file = \"/run/figures\"", "file = \"/run/figures2\"")
        .replace("timeout = \"1s\"", "timeout = \"900ms\"")
        .replace("baud = 115200", "baud = 57600")
        .replace("echo $TWOBOX_WHAT", "echo x$TWOBOX_WHAT")
        .replace("# here", "[history]\nfile = \"/run/other\"\n# here");
    let mut longest = Duration::ZERO;
    for text in [&other, &original].into_iter().cycle().take(50) {
        put(lab, First, text)?;
        let begun = Instant::now();
        let said = said(lab, First, &["reload"])?;
        longest = longest.max(begun.elapsed());
        // The last of the signals may have taken it just before.
        expect(said.ends_with("reloaded\n") || said == "nothing has changed\n", said)?;
    }
    let same = |_: &Lab| held().is_ok_and(|now| now == before);
    let fits = lab.wait_for(PATIENCE, same);
    expect(fits, format!("files and threads: {before:?} before, {:?} after", held()?))?;
    is(lab, First, "active")?;
    is(lab, Second, "standby")?;
    expect(lab.find(First, "serve")? == service, "the service was started again")?;
    let seen = lab.client().since(start);
    expect(seen.lost == 0, format!("{} of {} requests failed", seen.lost, seen.asked))?;
    let status = said(lab, First, &["status"])?;
    let pace = status.lines().find(|line| line.starts_with("loop: ")).unwrap_or_default();
    let longest = longest.as_millis();
    Ok(format!("{before:?} files and threads, a reload took {longest} ms at most; {pace}"))
}

/// The boxes say that they differ until both are reloaded, and what to do about it.
pub(crate) fn one_after_the_other(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    for (first, last) in [(First, Second), (Second, First)] {
        let text = original(lab, first)?;
        let (from, to) =
            if first == First { ("\"200ms\"", "\"100ms\"") } else { ("\"100ms\"", "\"200ms\"") };
        let text = text.replace(&format!("keepalive = {from}"), &format!("keepalive = {to}"));
        put(lab, first, &text)?;
        said(lab, first, &["reload"])?;
        let differ = |lab: &Lab| {
            BoxId::BOTH.iter().all(|id| {
                lab.twobox(*id, &["status"]).is_ok_and(|it| {
                    String::from_utf8_lossy(&it.stdout).contains("configured differently")
                })
            })
        };
        expect(lab.wait_for(PATIENCE, differ), "nobody says that the boxes differ")?;
        std::thread::sleep(LONG);
        for id in BoxId::BOTH {
            // Who reloads one box after the other wakes nobody at night.
            let log = lab.log(id);
            let mut told = log.lines().filter(|line| line.contains("is configured differently"));
            expect(told.next().is_some() && !log.contains("] error: server"), log.clone())?;
        }
        is(lab, First, "active")?;
        is(lab, Second, "standby")?;
        put(lab, last, &text)?;
        said(lab, last, &["reload"])?;
        expect(lab.wait_for(PATIENCE, |lab| !differ(lab)), "the boxes differ for ever")?;
    }
    for id in BoxId::BOTH {
        expect(lab.log(id).contains("say twobox reload on both"), "nobody says what to do")?;
        expect(!lab.log(id).contains("is late"), "a box was late in between")?;
    }
    nobody_noticed(lab, start)
}

/// What a person reads of the first box, without what time changes by itself.
fn facts(lab: &Lab) -> Result<String, Failure> {
    let output = lab.twobox(First, &["status", "--json", "--socket", "/run/twobox.sock"])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let counts = |word: &str| {
        let timed = ["_ms\"", "_us\"", "\"received\"", "\"age", "\"lost\""];
        timed.iter().any(|it| word.contains(it))
    };
    Ok(text.split(',').filter(|word| !counts(word)).collect::<Vec<_>>().join(","))
}

/// How many files the supervisor of the first box has open, and how many threads it has.
fn held() -> io::Result<(usize, usize)> {
    let supervisor = Process::supervisor(First)?;
    Ok((supervisor.files()?.len(), supervisor.threads()?.len()))
}

/// No frame was refused by a box, for any reason.
fn none_refused(lab: &Lab, id: BoxId) -> Result<(), Failure> {
    let status = said(lab, id, &["status", "--json"])?;
    let mut links = status.split("\"refused\":{").skip(1).peekable();
    expect(links.peek().is_some(), format!("nothing is told of refused frames: {status}"))?;
    for link in links {
        let counts = link.split('}').next().unwrap_or_default();
        let none = counts.split(',').all(|count| count.ends_with(":0"));
        expect(none, format!("{} refused frames: {counts}", name(id)))?;
    }
    Ok(())
}

/// Waits until each box has heard the other some more times, on any link.
fn hear_more(lab: &Lab) -> Result<(), Failure> {
    for id in BoxId::BOTH {
        let before = Figures::of(lab, id)?.received;
        let more = |lab: &Lab| Figures::of(lab, id).is_ok_and(|now| now.received >= before + MORE);
        expect(lab.wait_for(PATIENCE, more), format!("{} hears nothing more", name(id)))?;
    }
    Ok(())
}

fn original(lab: &Lab, id: BoxId) -> Result<String, Failure> {
    Ok(fs::read_to_string(lab.machine(id).run().join(FILE))?)
}

fn put(lab: &Lab, id: BoxId, text: &str) -> Result<(), Failure> {
    Ok(fs::write(lab.machine(id).run().join(FILE), text)?)
}

pub(crate) fn edit(lab: &Lab, id: BoxId, from: &str, to: &str) -> Result<(), Failure> {
    let text = original(lab, id)?;
    expect(text.contains(from), format!("no {from:?} in the file"))?;
    put(lab, id, &text.replace(from, to))
}

/// What a command says that must succeed.
pub(crate) fn said(lab: &Lab, id: BoxId, words: &[&str]) -> Result<String, Failure> {
    let output = lab.twobox(id, words)?;
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    // The status of a pair in between is degraded, and no failure of the command.
    let done = output.status.success() || words.first() == Some(&"status");
    expect(done, format!("twobox {} on {}: {complained}", words.join(" "), name(id)))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a story puts what it adds.
pub(crate) fn choices() -> Choices {
    Choices { extra: "# here\n# outlet = 1\n".to_owned(), ..Choices::default() }
}

/// Several heartbeats by each link.
const MORE: u64 = 12;

/// In `/run` of a box.
const FILE: &str = "twobox.toml";

const CHECK: &str = "kind = \"command\"\ncommand = [\"/run/demo\", \"exists\", \"/run/in-step\"]\n\
                     every = \"100ms\"\nthreshold = 1";

const HOOK: &str = "[[hook]]\ncommand = [\"/bin/sh\", \"-c\", \"echo $TWOBOX_WHAT >> /run/told\"]\n\
                    on = [\"reload\"]\n";
