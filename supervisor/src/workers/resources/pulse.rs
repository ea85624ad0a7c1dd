//! Sees whether the thread of the resources comes back from what it does.
//!
//! The thread says what it begins and how long that may take, and the loop looks at it with each heartbeat. Only the
//! time in which the loop itself runs counts: of a box that did not run, no thread hangs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firmware_agnostic::time::Instant;

/// What the thread is about. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Pulse(Arc<Mutex<Work>>);

/// One piece of work, and how long it may take; a thread that waits for work may do so for ever.
#[derive(Clone, Copy, Default)]
struct Work {
    number: u64,
    time: Option<Duration>,
}

impl Pulse {
    /// The thread begins something that takes `time` at the most.
    pub(super) fn begins(&self, time: Duration) {
        let mut work = self.work();
        *work = Work { number: work.number.wrapping_add(1), time: Some(time) };
    }

    /// The thread waits for work.
    pub(super) fn rests(&self) {
        self.work().time = None;
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the loop has seen of it.
#[derive(Default)]
pub(super) struct Watch {
    pulse: Pulse,
    number: u64,
    /// For how long it has seen the same piece of work.
    lasts: Duration,
    looked: Instant,
    hangs: bool,
}

impl Watch {
    pub(super) fn new(pulse: Pulse) -> Self {
        Self { pulse, ..Self::default() }
    }

    /// Looks, about every `rhythm`, and tells what is new: that the thread hangs, or works again.
    pub(super) fn look(&mut self, now: Instant, rhythm: Duration) -> Option<bool> {
        let Work { number, time } = *self.pulse.work();
        let passed = (now - std::mem::replace(&mut self.looked, now)).min(rhythm);
        let same = std::mem::replace(&mut self.number, number) == number;
        self.lasts = if same { self.lasts + passed } else { Duration::ZERO };
        let hangs = time.is_some_and(|time| self.lasts > time);
        (std::mem::replace(&mut self.hangs, hangs) != hangs).then_some(hangs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_work_that_takes_too_long_hangs_until_it_is_done() {
        let pulse = Pulse::default();
        let mut watch = Watch::new(pulse.clone());
        let mut at = |second: u64| watch.look(Instant::from_millis(second * 1_000), RHYTHM);
        assert_eq!((at(0), at(100)), (None, None), "it waits for work");
        pulse.begins(2 * RHYTHM);
        assert_eq!([101, 102, 103].map(&mut at), [None; 3]);
        pulse.begins(2 * RHYTHM);
        assert_eq!([104, 105, 106].map(&mut at), [None; 3], "it is at another piece");
        assert_eq!([107, 108].map(&mut at), [Some(true), None]);
        pulse.rests();
        assert_eq!([109, 110].map(&mut at), [Some(false), None]);
    }

    #[test]
    fn a_box_that_did_not_run_has_no_thread_that_hangs() {
        let pulse = Pulse::default();
        let mut watch = Watch::new(pulse.clone());
        let mut at = |second: u64| watch.look(Instant::from_millis(second * 1_000), RHYTHM);
        pulse.begins(2 * RHYTHM);
        assert_eq!([1, 3_600, 7_200].map(&mut at), [None; 3]);
        assert_eq!(at(7_201), Some(true));
    }

    const RHYTHM: Duration = Duration::from_secs(1);
}
