//! What if a box has nothing left to give: no file, no memory, no process, no room on its disk?

use std::fmt::Write;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};
use rustix::process::{Resource, getrlimit};

use super::config::Choices;
use super::crowd::Manners;
use super::expectations::{is, order, served_by, silence_below, whole};
use super::failure::{Failure, expect};
use super::figures::Figures;
use super::stories::{LONG, NOTHING, SWITCH, Story, TAKEOVER, story, term};
use super::supervisor::Supervisor;
use super::tour::millis;
use super::{Lab, guise, name};

pub(super) const STORIES: [Story; 6] = [
    Story { choices: fast_line, ..story("forged-frames", forged_frames) },
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
        let supervisor = Supervisor::of(id)?;
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
        expect(lab.wait_for(LONG, short), "it was not told that no file can be opened")?;
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
        Supervisor::of(id)?.limit(Resource::Nofile, getrlimit(Resource::Nofile).maximum)?;
    }
    is(lab, Second, "standby")?;
    expect(lab.boots(First) + lab.boots(Second) == 2, "a box was shot, or reset itself")?;
    Ok(measured)
}

/// The supervisor of the active box can start nothing any more, and its service dies.
fn no_more_processes(lab: &Lab) -> Result<String, Failure> {
    whole(lab)?;
    let start = Instant::now();
    lab.machine(First).demo(&["touch", guise::ALONE])?;
    thread::sleep(SOON);
    lab.kill(First, "serve")?;
    served_by(lab, Second)?;
    let measured = silence_below(lab, start, TAKEOVER)?;
    let told = lab.log(First).contains("no more processes");
    expect(told, "it was not told that no process can be started")?;
    lab.machine(First).demo(&["remove", guise::ALONE])?;
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
        let orders = lab.crowd(id, Manners::Bossy, 4, LONG / 4)?.answered;
        expect(orders > MANY, format!("{orders} orders are not enough to fill the queue"))?;
    }
    thread::sleep(LONG / 2);
    let (supervisor, home) = (Supervisor::of(First)?, term(lab, First)?);
    lab.machine(First).demo(&["touch", guise::PANIC])?;
    let again = |_: &Lab| Supervisor::of(First).is_ok_and(|it| it.pid() != supervisor.pid());
    expect(lab.wait_for(LONG, again), "it panicked, and did not end")?;
    is(lab, First, "active")?;
    expect(term(lab, First)? == home, "the term has changed")?;
    let box_ = fs::read_to_string(lab.disk(First).join("twobox.blackbox")).unwrap_or_default();
    expect(box_.contains("wanted by the lab"), "the black box says nothing of the panic")?;
    expect(lab.boots(First) + lab.boots(Second) == 2, "a box was shot, or reset itself")?;
    let seen = lab.client().since(start);
    expect(seen.lost == 0, format!("{} of {} requests failed", seen.lost, seen.asked))?;
    silence_below(lab, start, NOTHING)
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
    whole(lab)?;
    let start = Instant::now();
    let home = term(lab, First)?;
    let before = [Figures::of(lab, First)?, Figures::of(lab, Second)?];
    let poured = lab.flood(&BoxId::BOTH, RATE, LONG)?;
    let seconds = LONG.as_secs();
    let mut measured = silence_below(lab, start, NOTHING)?;
    for (id, before) in BoxId::BOTH.into_iter().zip(before) {
        let after = Figures::of(lab, id)?;
        let (refused, received) =
            (after.refused - before.refused, after.received - before.received);
        let (who, late, step) = (name(id), millis(after.late), millis(after.step));
        let most = format!("{refused} of {poured} forged frames by each link reached {who}");
        expect(refused > poured * 2, most)?;
        // Five a second by each of two links; the third is jammed.
        let least = 5 * 2 * seconds * 4 / 5;
        expect(received >= least, format!("{who} heard {received} of {least} heartbeats"))?;
        expect(after.late.max(after.step) < LATE, format!("{who}: {late} late, {step} a step"))?;
        let grown = after.resident.saturating_sub(before.resident);
        expect(grown < GROWN, format!("{who} has {grown} KiB more"))?;
        write!(measured, "; {who} refused {refused}, {late} late, {grown} KiB more")?;
    }
    is(lab, First, "active")?;
    is(lab, Second, "standby")?;
    expect(term(lab, First)? == home, "the service has moved")?;
    expect(lab.boots(First) + lab.boots(Second) == 2, "a box was shot, or reset itself")?;
    Ok(measured)
}

fn fast_line() -> Choices {
    Choices { baud: 921_600, ..Choices::default() }
}

/// Frames a second, by each link.
const RATE: u32 = 10_000;

/// A tenth of the deadtime: what the benchmark asks for is a tenth of that, on a machine that is not busy.
const LATE: Duration = Duration::from_millis(100);

/// What is touched for the first time in a flood, in KiB. A hundred bytes a frame would be 10 MiB.
const GROWN: u64 = 1_024;

/// More lines than the supervisor keeps for whoever reads them.
const MANY: u64 = 1_100;

/// What was asked for by a file has happened.
const SOON: Duration = Duration::from_millis(200);
