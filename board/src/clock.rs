//! What time is it? The one clock of the product: `CLOCK_BOOTTIME`, which counts suspended time and is
//! never set (`clock_gettime(2)`).
//!
//! The core decides in its own [`Instant`]s; timers wait for those of the standard library, which stand still while the
//! box is suspended. So a deadline is turned into one only when it is waited for: a box that was suspended meanwhile
//! wakes late, reads this clock, and knows how late.

use std::time;

use firmware_agnostic::time::Instant;
use rustix::time::{ClockId, clock_gettime};

/// Reads the time since boot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The time since boot, suspended time included.
    pub fn now(self) -> Instant {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let micros = u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000;
        Instant::from_micros(seconds.saturating_mul(1_000_000).saturating_add(micros))
    }

    /// When a timer must ring to ring at `instant`, or within a thousandth of a second after it.
    pub fn at(self, instant: Instant) -> time::Instant {
        let wait = (instant - self.now()).min(WAIT_MAX);
        time::Instant::now() + wait
    }
}

/// A deadline that never comes is looked at again after a year, because the standard library's instants end somewhere.
const WAIT_MAX: time::Duration = time::Duration::from_secs(365 * 86_400);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_passes_forwards() {
        let before = Clock.now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(Clock.now() - before >= Duration::from_millis(2));
    }

    #[test]
    fn a_timer_rings_at_the_deadline_of_the_core() {
        let deadline = Clock.now() + Duration::from_secs(5);
        let wait = Clock.at(deadline) - time::Instant::now();
        assert!(wait <= Duration::from_secs(5) && wait > Duration::from_secs(3), "{wait:?}");
        assert!(Clock.at(Instant::from_micros(u64::MAX)) > Clock.at(deadline));
        assert!(Clock.at(Instant::from_micros(0)) <= time::Instant::now());
    }
}
