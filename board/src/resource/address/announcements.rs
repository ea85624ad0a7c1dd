//! When the neighbours are told where an address is: in two bursts after each change, and now and then for ever.
//!
//! Telling once is not enough, since frames get lost and some switches learn only what they hear after a pause:
//!
//! ```text
//! change         5 s                    refresh       refresh
//! |||||           |||||                    |             |
//! ```

use std::time::Duration;

use crate::thread::deadline::Deadline;

/// What has been told since the last change, and what is due.
pub(super) struct Announcements {
    refresh: Duration,
    /// How often it was told since the last change.
    told: usize,
    /// Over when it is to be told again.
    next: Deadline,
}

impl Announcements {
    /// Nothing was told yet, and it is time to. Later it is told once every `refresh`.
    pub(super) fn new(refresh: Duration) -> Self {
        Self { refresh, told: 0, next: Deadline::new(Duration::ZERO) }
    }

    /// Begins with the first burst: something has changed.
    pub(super) fn begin(&mut self) {
        *self = Self::new(self.refresh);
    }

    /// Begins with the second burst, at its time after a change that comes now: later than the word of a peer that
    /// has taken over meanwhile, and whose neighbours are not to be told otherwise.
    pub(super) fn begin_later(&mut self) {
        self.told = LATER;
        self.next = Deadline::new(Duration::from_millis(PAUSES[LATER - 1]));
    }

    /// How long until it is to be told again.
    pub(super) fn left(&self) -> Duration {
        self.next.left()
    }

    /// It is told now.
    pub(super) fn told(&mut self) {
        let gap = PAUSES.get(self.told).copied().map_or(self.refresh, Duration::from_millis);
        self.told += 1;
        self.next = Deadline::new(gap);
    }
}

/// Milliseconds to the next announcement: a burst of five, and another after 5 s for switches that were still busy
/// with the change when they heard the first.
const PAUSES: [u64; 9] = [50, 100, 150, 200, 4_500, 50, 100, 150, 200];
/// The first announcement of the second burst.
const LATER: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bursts_and_then_the_slow_refresh() {
        let mut announcements = Announcements::new(Duration::from_secs(60));
        for change in ["first", "again"] {
            assert_eq!(announcements.left(), Duration::ZERO, "{change}");
            let pauses: Vec<_> = (0..11)
                .map(|_| {
                    announcements.told();
                    // To the next 10 ms, for time passes.
                    announcements.left().as_millis().div_ceil(10) * 10
                })
                .collect();
            assert_eq!(pauses, [50, 100, 150, 200, 4_500, 50, 100, 150, 200, 60_000, 60_000]);
            announcements.begin();
        }
    }
}
