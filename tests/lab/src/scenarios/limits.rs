//! Takes files, memory, processes and disk space away from a box.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};
use rustix::process::{Resource, getrlimit};

use crate::faults::many_clients::{self, Manners};
use crate::observers::expectations::{
    PATIENCE, is, nobody_noticed, order, served_by, silence_below, whole,
};
use crate::observers::failure::{Failure, expect};
use crate::observers::figures::Figures;
use crate::observers::steady_state::Calm;
use crate::scenarios::stories::{LONG, SWITCH, Story, TAKEOVER, adopted, story, term, watched};
use crate::stage::config::Choices;
use crate::stage::handicaps;
use crate::stage::process::Process;
use crate::{Lab, name};

pub(crate) const STORIES: [Story; 10] = [
    Story { choices: fast_line, ..story("forged-frames", forged_frames) },
    story("everybody-asks", everybody_asks),
    Story { choices: strangers, ..story("strangers-ask", strangers_ask) },
    Story { choices: hungry, ..story("no-more-memory", no_more_memory) },
    Story { choices: small_disk, ..story("disk-full-and-protected", no_more_disk) },
    story("no-more-files", no_more_files),
    Story { choices: commoner, ..story("no-more-processes", no_more_processes) },
    Story { choices: stuck_console, ..story("console-stuck", nobody_reads) },
    Story { choices: lost_syslog, ..story("syslog-lost", nobody_reads) },
    Story { choices: lost_console, ..story("console-lost", nobody_reads) },
];

/// Neither supervisor can open anything any more; the service dies, again and again.
fn no_more_files(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let home = term(lab, First)?;
    for id in BoxId::BOTH {
        let supervisor = Process::supervisor(id)?;
        // Not much more than it has.
        let open = supervisor.files()?.len();
        supervisor.limit(Resource::Nofile, Some(open as u64))?;
    }
    let start = Instant::now();
    let trouble = thread::scope(|scope| {
        for id in BoxId::BOTH {
            // As many as are let in at once take what is free.
            scope.spawn(move || lab.crowd(id, Manners::Silent, 16, LONG));
        }
        let short = |lab: &Lab| lab.log(First).contains("only what was put by is left");
        expect(lab.wait_for(PATIENCE, short), "it was not told that no file can be opened")?;
        lab.kill(First, "twobox-guard")?;
        lab.kill(First, "serve")?;
        thread::sleep(LONG / 2);
        served_by(lab, First)
    });
    trouble?;
    // Nor can the service move without opening files. One with good manners gets an answer even now.
    expect(term(lab, First)? == home, "the service has moved")?;
    order(lab, First, "standby")?;
    served_by(lab, Second)?;
    order(lab, First, "resume")?;
    served_by(lab, First)?;
    let measured = silence_below(lab, start, SWITCH)?;
    for id in BoxId::BOTH {
        Process::supervisor(id)?.limit(Resource::Nofile, getrlimit(Resource::Nofile).maximum)?;
    }
    is(lab, Second, "standby")?;
    let guarded = |lab: &Lab| lab.find(First, "twobox-guard").is_ok();
    expect(lab.wait_for(PATIENCE, guarded), "it has no guard")?;
    expect(lab.boots(First) + lab.boots(Second) == 2, "a box was shot, or reset itself")?;
    Ok(measured)
}

/// The supervisor of the active box can start nothing any more, and its service dies.
fn no_more_processes(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    lab.machine(First).demo(&["touch", handicaps::ALONE])?;
    thread::sleep(SOON);
    lab.kill(First, "serve")?;
    served_by(lab, Second)?;
    let measured = silence_below(lab, start, TAKEOVER)?;
    let told = lab.log(First).contains("no more processes");
    expect(told, "it was not told that no process can be started")?;
    // It is stopped by then, and a person who looks is told why, and what to do.
    let status = String::from_utf8(lab.twobox(First, &["status"])?.stdout).unwrap_or_default();
    for said in ["service              stopped, last failed: ", "twobox clear"] {
        expect(status.contains(said), format!("no {said:?} in {status}"))?;
    }
    lab.machine(First).demo(&["remove", handicaps::ALONE])?;
    thread::sleep(SOON);
    order(lab, First, "clear")?;
    served_by(lab, First)?;
    expect(lab.boots(First) + lab.boots(Second) == 2, "a box was shot, or reset itself")?;
    Ok(measured)
}

fn commoner() -> Choices {
    Choices { guise: &["commoner"], ..Choices::default() }
}

/// What is logged goes nowhere, and there is much of it.
fn nobody_reads(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    for id in BoxId::BOTH {
        lab.twobox(id, &["log", "trace"])?;
        let mut orders = 0;
        let full = lab.wait_for(PATIENCE, |lab| {
            orders += lab.crowd(id, Manners::Bossy, 4, LONG / 4).map_or(0, |it| it.answered);
            orders > MANY
        });
        expect(full, format!("{orders} orders are not enough to fill the queue"))?;
    }
    thread::sleep(LONG / 2);
    let (supervisor, home) = (Process::supervisor(First)?, term(lab, First)?);
    lab.machine(First).demo(&["touch", handicaps::PANIC])?;
    let again = |_: &Lab| Process::supervisor(First).is_ok_and(|it| it != supervisor);
    expect(lab.wait_for(PATIENCE, again), "it panicked, and did not end")?;
    is(lab, First, "active")?;
    expect(term(lab, First)? == home, "the term has changed")?;
    let box_ = fs::read_to_string(lab.disk(First).join("twobox.blackbox")).unwrap_or_default();
    expect(box_.contains("wanted by the lab"), "the black box says nothing of the panic")?;
    expect(lab.boots(First) + lab.boots(Second) == 2, "a box was shot, or reset itself")?;
    let seen = lab.client().since(start);
    expect(seen.lost == 0, format!("{} of {} requests failed", seen.lost, seen.asked))?;
    nobody_noticed(lab, start)
}

fn stuck_console() -> Choices {
    Choices { guise: &["panics", "stuck-console"], ..Choices::default() }
}

fn lost_syslog() -> Choices {
    let extra = "[log]\nto = \"syslog\"\n".to_owned();
    Choices { guise: &["panics", "lost-syslog"], extra, ..Choices::default() }
}

fn lost_console() -> Choices {
    Choices { guise: &["panics", "lost-console"], ..Choices::default() }
}

/// Somebody shouts at both boxes, on every link.
fn forged_frames(lab: &Lab) -> Result<String, Failure> {
    let calm = Calm::of(lab)?;
    for (id, before) in BoxId::BOTH.into_iter().zip(calm.figures) {
        let poured = lab.flood(id, RATE, LONG / 2)?;
        let refused = Figures::of(lab, id)?.refused - before.refused;
        let reached = format!("{refused} forged frames reached {}, {poured} a link", name(id));
        // A machine that is busy elsewhere may lose some on the way. The null modem brings its own.
        expect(refused > poured, reached)?;
    }
    calm.still(lab)
}

/// A crowd asks the active box for its status, and then some of it say nothing or never listen.
fn everybody_asks(lab: &Lab) -> Result<String, Failure> {
    let calm = Calm::of(lab)?;
    let good = lab.crowd(First, Manners::Good, 10, LONG)?;
    let told = format!("{good:?} within {LONG:?}");
    expect(good.answered > MANY_AMONG && good.refused == 0, &told)?;
    let among = thread::scope(|scope| {
        for manners in [Manners::Silent, Manners::Deaf] {
            scope.spawn(move || lab.crowd(First, manners, 20, LONG));
        }
        lab.crowd(First, Manners::Good, 4, LONG / 2)
    })?;
    let rude = format!("{among:?} among the rude");
    expect(among.answered > FEW_AMONG && among.longest < LONG * 2, &rude)?;
    Ok(format!("{told}; {rude}; {}", calm.still(lab)?))
}

/// Users who may ask nothing, and one who may, ask as often as they can. Root is answered as if there were nobody else.
fn strangers_ask(lab: &Lab) -> Result<String, Failure> {
    let calm = Calm::of(lab)?;
    let [good, viewers, strangers] = thread::scope(|scope| {
        let crowd = |manners, many| scope.spawn(move || lab.crowd(First, manners, many, LONG));
        let all = [crowd(Manners::Good, 4), crowd(Manners::Viewer, 3), crowd(Manners::Stranger, 3)];
        all.map(|one| one.join().map_err(|_| Failure("a thread has panicked".to_owned())))
    });
    let (good, viewers, strangers) = (good??, viewers??, strangers??);
    let told = format!("{good:?} among viewers {viewers:?} and strangers {strangers:?}");
    expect(good.answered > FEW_AMONG && good.refused == 0 && good.longest < LONG / 2, &told)?;
    // In a user namespace there is nobody else.
    if fs::read_to_string("/proc/self/uid_map")?.split_whitespace().last() != Some("1") {
        expect(strangers.answered == 0 && strangers.refused > MANY, &told)?;
        let most = OFTEN * (LONG.as_secs() + 2);
        expect((1..most).contains(&viewers.answered) && viewers.refused > MANY, &told)?;
    }
    Ok(format!("{told}; {}", calm.still(lab)?))
}

fn strangers() -> Choices {
    let extra = format!("[control]\nviewers = \"{}\"\n", many_clients::VIEWERS);
    Choices { extra, ..fast_line() }
}

/// Neither supervisor may have much more memory than it has. It aborts when it wants more, and its next life goes on.
fn no_more_memory(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let (start, home) = (Instant::now(), term(lab, First)?);
    for id in BoxId::BOTH {
        let supervisor = Process::supervisor(id)?;
        let little = supervisor.field("VmSize")? * 1_024 + LITTLE;
        supervisor.limit(Resource::As, Some(little))?;
        lab.crowd(id, Manners::Good, 16, LONG / 8)?;
        lab.machine(id).demo(&["touch", handicaps::HUNGER])?;
        let told = |lab: &Lab| lab.log(id).contains("memory allocation of");
        expect(lab.wait_for(PATIENCE, told), format!("{} had memory enough", name(id)))?;
    }
    is(lab, First, "active")?;
    is(lab, Second, "standby")?;
    expect(adopted(lab, First) == 1, "its services were not adopted")?;
    expect(term(lab, First)? == home, "the service has moved")?;
    expect(lab.boots(First) + lab.boots(Second) == 2, "a box was shot, or reset itself")?;
    let seen = lab.client().since(start);
    expect(seen.lost == 0, format!("{} of {} requests failed", seen.lost, seen.asked))?;
    nobody_noticed(lab, start)
}

/// The disk for the state is full, and then it can only be read.
fn no_more_disk(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    for id in BoxId::BOTH {
        // It has room of its own in its last page.
        lab.machine(id).demo(&["remove", &format!("{}/history", handicaps::DISK)])?;
        lab.machine(id).demo(&["fill"])?;
    }
    moves_there_and_back(lab)?;
    for id in BoxId::BOTH {
        let told = lab.log(id).contains("what happens is not kept");
        expect(told, format!("{} does not say that its disk is full", name(id)))?;
        let failure = written(lab, id, "history")?.unwrap_or_default();
        expect(failure.contains("not written"), format!("status of {}: {failure}", name(id)))?;
        let shown = lab.twobox(id, &["history", "--config", "/run/twobox.toml"])?;
        let shown = [shown.stdout, shown.stderr].concat();
        let shown = String::from_utf8_lossy(&shown);
        expect(shown.contains("make room on that disk"), format!("history says: {shown}"))?;
        // The journal has had its place from the beginning.
        expect(
            written(lab, id, "journal")?.is_none(),
            format!("the journal of {} fails", name(id)),
        )?;
    }
    let term = protect(lab, First)?;
    expect(self::term(lab, First)? == term, "the term has changed")?;
    protect(lab, Second)?;
    moves_there_and_back(lab)?;
    for id in BoxId::BOTH {
        let failure = written(lab, id, "journal")?.unwrap_or_default();
        expect(failure.contains("not written"), format!("status of {}: {failure}", name(id)))?;
        expect(lab.log(id).contains("will not know what it was"), "the log says nothing of it")?;
        lab.machine(id).demo(&["unprotect"])?;
        let written =
            |lab: &Lab| written(lab, id, "journal").is_ok_and(|failure| failure.is_none());
        expect(lab.wait_for(PATIENCE, written), "the journal is not written again")?;
    }
    expect(lab.boots(First) + lab.boots(Second) == 2, "a box was shot, or reset itself")?;
    silence_below(lab, start, SWITCH)
}

/// Kills the supervisor of a box, and protects the disk in the moment in which nobody writes. Tells the term before.
fn protect(lab: &Lab, id: BoxId) -> Result<String, Failure> {
    let (before, supervisor) = (term(lab, id)?, Process::supervisor(id)?);
    thread::scope(|scope| {
        let protected = scope.spawn(|| lab.machine(id).demo(&["protect"]));
        thread::sleep(SOON);
        lab.crash_supervisor(id)?;
        let protected = protected.join().map_err(|_| Failure("a thread has panicked".into()))??;
        expect(protected.status.success(), String::from_utf8_lossy(&protected.stderr))
    })?;
    let again = |_: &Lab| Process::supervisor(id).is_ok_and(|it| it != supervisor);
    expect(lab.wait_for(PATIENCE, again), "its supervisor was not started again")?;
    whole(lab)?;
    Ok(before)
}

fn moves_there_and_back(lab: &Lab) -> Result<(), Failure> {
    order(lab, First, "standby")?;
    served_by(lab, Second)?;
    is(lab, First, "standby")?;
    order(lab, First, "resume")?;
    served_by(lab, First)?;
    is(lab, Second, "standby")
}

/// What the status says of `file`, if it says anything.
fn written(lab: &Lab, id: BoxId, file: &str) -> Result<Option<String>, Failure> {
    let status = String::from_utf8_lossy(&lab.twobox(id, &["status"])?.stdout).into_owned();
    Ok(status.lines().find(|line| line.starts_with(&format!("{file}: "))).map(str::to_owned))
}

fn small_disk() -> Choices {
    let history = format!("[history]\nfile = \"{}/history\"\n", handicaps::DISK);
    let mut choices =
        Choices { guise: &["small-disk"], state: handicaps::DISK.to_owned(), ..watched() };
    choices.extra += &history;
    choices
}

fn hungry() -> Choices {
    Choices { guise: &["hungry"], ..Choices::default() }
}

fn fast_line() -> Choices {
    Choices { baud: 921_600, ..Choices::default() }
}

/// Frames a second, by each link.
const RATE: u32 = 10_000;

/// In bytes: soon used up.
const LITTLE: u64 = 4 << 20;

/// More lines than the supervisor keeps for its readers.
const MANY: u64 = 1_100;

/// As often as the supervisor answers one user within a second.
const OFTEN: u64 = 50;

/// Answers to ten who ask, on any machine.
const MANY_AMONG: u64 = 50;

/// Answers to a few who ask among many who do not, when nobody is waited for.
const FEW_AMONG: u64 = 8;

/// What was asked for by a file has happened.
const SOON: Duration = Duration::from_millis(200);
