//! Checks that a pair under pressure stays as it was.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::observers::expectations::{is, nobody_noticed, whole};
use crate::observers::failure::{Failure, expect};
use crate::observers::figures::Figures;
use crate::scenarios::stories::term;
use crate::scenarios::tour::millis;
use crate::{Lab, name};

/// The pair before it was put under pressure.
pub(crate) struct Calm {
    start: Instant,
    term: String,
    pub(crate) figures: [Figures; 2],
    machine: Machine,
}

impl Calm {
    pub(crate) fn of(lab: &Lab) -> Result<Self, Failure> {
        whole(lab)?;
        let figures = [Figures::of(lab, First)?, Figures::of(lab, Second)?];
        let (start, machine) = (Instant::now(), Machine::watch()?);
        Ok(Self { start, term: term(lab, First)?, figures, machine })
    }

    /// Nothing has happened to it, neither box was late, and none has grown.
    pub(crate) fn still(&self, lab: &Lab) -> Result<String, Failure> {
        let mut measured = nobody_noticed(lab, self.start)?;
        for (id, before) in BoxId::BOTH.into_iter().zip(self.figures) {
            let seconds = self.start.elapsed().as_secs();
            let (after, who) = (Figures::of(lab, id)?, name(id));
            // Half of five a second by each link but one.
            let (heard, least) = (after.received - before.received, 5 * 2 * seconds / 2);
            expect(heard >= least, format!("{who} heard {heard} of {least} heartbeats"))?;
            let (late, step) = (millis(after.late), millis(after.step));
            let machine = self.machine.adds();
            let told = format!("{who}: {late} late, {step} a step; machine {}", millis(machine));
            expect(after.late.max(after.step) < LATE + machine, told)?;
            let grown = after.resident.saturating_sub(before.resident);
            expect(grown < GROWN, format!("{who} has {grown} KiB more"))?;
            write!(measured, "; {who} {late} late, {grown} KiB more")?;
        }
        is(lab, First, "active")?;
        is(lab, Second, "standby")?;
        expect(term(lab, First)? == self.term, "the service has moved")?;
        expect(lab.boots(First) + lab.boots(Second) == 2, "a box was shot, or reset itself")?;
        Ok(measured)
    }
}

/// How late is a thread on this machine that does nothing at all?
#[derive(Debug)]
pub(crate) struct Machine(Arc<AtomicU64>, Arc<AtomicBool>);

impl Machine {
    /// Watches from now on.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let (worst, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (noted, end) = (worst.clone(), over.clone());
        thread::Builder::new().name("late".to_owned()).spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let begun = Instant::now();
                thread::sleep(RHYTHM);
                let late = begun.elapsed().saturating_sub(RHYTHM).as_micros();
                noted.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        })?;
        Ok(Self(worst, over))
    }

    /// What several turns of all others may have added so far.
    pub(crate) fn adds(&self) -> Duration {
        self.late() * TIMES
    }

    fn late(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.1.store(true, Ordering::Relaxed);
    }
}

const RHYTHM: Duration = Duration::from_millis(5);

/// What several turns of all others on a busy machine add.
const TIMES: u32 = 10;

/// Half of the deadtime: what the benchmark asks for is a fiftieth of that, on a machine that is not busy.
const LATE: Duration = Duration::from_millis(500);

/// What is touched for the first time in a flood, in KiB. A hundred bytes a frame would be 10 MiB.
const GROWN: u64 = 1_024;
