//! Runs a supervisor for long, and checks that it does not grow.
//!
//! For minutes the pair switches, its service and its guards are killed, its cables are pulled, everybody asks it and
//! somebody shouts at it; but no supervisor ends. Afterwards each must have what it had before: no more memory, no more
//! files, no more threads.

use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};

use rustix::process::Pid;

use crate::faults::many_clients::Manners;
use crate::observers::expectations::{PATIENCE, one_holder, order, served_by, whole};
use crate::observers::failure::{Failure, expect};
use crate::stage::config::Choices;
use crate::stage::process::Process;
use crate::{Cable, Lab, name};
use simulation::random::Random;

/// Wears the pair for `time`.
///
/// # Errors
///
/// When a supervisor has grown, or a promise was broken.
pub fn run(time: Duration) -> Result<(), Failure> {
    let lab = Lab::new(&Choices::default())?;
    wear(&lab, time).map_err(|failure| failure.with_logs(&lab))
}

fn wear(lab: &Lab, time: Duration) -> Result<(), Failure> {
    whole(lab)?;
    let mut chance = Random::new(1);
    // What is done for the first times takes what it will have for ever.
    rounds(lab, time / 5, &mut chance)?;
    rest(lab)?;
    let before = [Age::of(First)?, Age::of(Second)?];
    let start = Instant::now();
    let rounds = rounds(lab, time, &mut chance)?;
    rest(lab)?;
    for (id, before) in BoxId::BOTH.into_iter().zip(before) {
        let after = Age::of(id)?;
        println!("{}: before {before}\n{:>7}  after  {after}", name(id), "");
        after
            .is_not_beyond(&before)
            .map_err(|Failure(more)| Failure(format!("{}: {more}", name(id))))?;
    }
    let seconds = start.elapsed().as_secs();
    println!("{rounds} rounds of all troubles in {seconds} s, and neither supervisor has grown");
    one_holder(lab)
}

/// Lets every trouble happen, again and again, at least once. Tells how often.
fn rounds(lab: &Lab, time: Duration, chance: &mut Random) -> Result<u32, Failure> {
    let start = Instant::now();
    for round in 1.. {
        for trouble in TROUBLES {
            trouble.happens(lab, chance)?;
        }
        if round % 10 == 0 {
            println!(
                "{:>5} s: {} | {}",
                start.elapsed().as_secs(),
                Age::of(First)?,
                Age::of(Second)?
            );
        }
        if start.elapsed() >= time {
            return Ok(round);
        }
    }
    Ok(0)
}

/// The pair is as it should be, and what was closed is closed.
fn rest(lab: &Lab) -> Result<(), Failure> {
    lab.mend_all();
    whole(lab)?;
    thread::sleep(REST);
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Switch,
    ServiceDies,
    GuardsDie,
    LinkFlaps,
    Asked,
    ShoutedAt,
}

const TROUBLES: [Trouble; 6] = [
    Trouble::Switch,
    Trouble::ServiceDies,
    Trouble::GuardsDie,
    Trouble::LinkFlaps,
    Trouble::Asked,
    Trouble::ShoutedAt,
];

impl Trouble {
    fn happens(self, lab: &Lab, chance: &mut Random) -> Result<(), Failure> {
        match self {
            Self::Switch => {
                order(lab, First, "standby")?;
                served_by(lab, Second)?;
                order(lab, First, "resume")?;
            }
            Self::ServiceDies => {
                let again = lab.log(First).matches("runs again").count();
                lab.kill(First, "serve")?;
                let dead = |lab: &Lab| lab.log(First).matches("runs again").count() > again;
                expect(lab.wait_for(PATIENCE, dead), "the service was not started again")?;
                // Or else it fails too often in the end.
                order(lab, First, "clear")?;
            }
            Self::GuardsDie => {
                for id in BoxId::BOTH {
                    lab.kill(id, "twobox-guard")?;
                }
            }
            Self::LinkFlaps => {
                let cable = chance.one_of(&[Cable::Lan(Second), Cable::Direct, Cable::Serial]);
                lab.cut(cable);
                thread::sleep(FLAP);
                lab.mend(cable);
            }
            Self::Asked => {
                for manners in [Manners::Good, Manners::Silent, Manners::Deaf] {
                    for id in BoxId::BOTH {
                        lab.crowd(id, manners, 20, FLAP / 4)?;
                    }
                }
            }
            Self::ShoutedAt => {
                for id in BoxId::BOTH {
                    lab.flood(id, RATE, FLAP / 2)?;
                }
            }
        }
        let fine = |lab: &Lab| {
            let role = lab.role(First);
            if role.as_deref() == Some("failed") {
                // Its service was killed once too often, or while it began.
                let _ = order(lab, First, "clear");
            }
            lab.serving() == Some(First)
                && role.as_deref() == Some("active")
                && lab.role(Second).as_deref() == Some("standby")
        };
        expect(lab.wait_for(PATIENCE, fine), format!("the pair is not whole after {self:?}"))
    }
}

/// What a supervisor has.
#[derive(Clone, Copy, Debug)]
struct Age {
    /// KiB.
    resident: u64,
    /// Memory that no file stands behind: heap and stacks, in KiB.
    own: u64,
    files: usize,
    threads: u64,
    pid: Pid,
}

impl Age {
    fn of(id: BoxId) -> io::Result<Self> {
        let supervisor = Process::supervisor(id)?;
        Ok(Self {
            resident: supervisor.field("VmRSS")?,
            own: supervisor.number("smaps_rollup", "Anonymous", 10)?,
            files: supervisor.files()?.len(),
            threads: supervisor.field("Threads")?,
            pid: supervisor.pid()?,
        })
    }

    fn is_not_beyond(&self, before: &Self) -> Result<(), Failure> {
        expect(self.pid == before.pid, "it was started again on the way")?;
        expect(self.files <= before.files, "it has more files open")?;
        expect(self.threads <= before.threads, "it has more threads")?;
        expect(self.own <= before.own + GROWN, "it has more memory of its own")?;
        expect(self.resident <= before.resident + GROWN, "it has more memory")
    }
}

impl fmt::Display for Age {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident, own, files, threads, .. } = self;
        write!(
            formatter,
            "{resident} KiB resident, {own} KiB its own, {files} files, {threads} threads"
        )
    }
}

const FLAP: Duration = Duration::from_secs(1);

/// What ends later than what it belonged to: threads that read what a service said, clients that are hung up on.
const REST: Duration = Duration::from_secs(3);

/// Forged frames a second, by each link.
const RATE: u32 = 10_000;

/// In KiB: the black box fills up within its bound of 64 KiB, a full history is halved through 32 KiB, and for
/// minutes it looks as if memory were lost: the C library keeps for each thread up to seven pieces of each size up
/// to a KiB that it has freed, at the most 235 KiB (`tcache`; looked up in `/proc/PID/mem` while it soaked: what is
/// in use stays the same).
const GROWN: u64 = 512;
