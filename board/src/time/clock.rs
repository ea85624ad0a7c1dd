//! Reads the one clock of the product: `CLOCK_BOOTTIME`, which counts suspended time and is
//! never set (`clock_gettime(2)`).
//!
//! The core decides in its own [`Instant`]s, and the loop waits for them as they are
//! ([`alarm`](crate::time::alarm)). The timers of smol wait for those of the standard library, which stand still
//! while the box is suspended: a deadline is turned into one only when it is waited for.
//!
//! People want the time of day beside it ([`Wall`]). It can be set and may be wrong, and decides nothing.

use std::fmt;
use std::fs;
use std::sync::OnceLock;
use std::time::{self, Duration};

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

    /// The time of day, for people and their programs.
    pub fn wall(self) -> Wall {
        Wall(self.since_1970().as_secs())
    }

    /// The same, to the millionth of a second.
    pub fn since_1970(self) -> Duration {
        clock_gettime(ClockId::Realtime).try_into().unwrap_or_default()
    }

    /// When a timer must ring to ring at `instant`, or within a thousandth of a second after it.
    pub fn at(self, instant: Instant) -> time::Instant {
        let wait = (instant - self.now()).min(WAIT_MAX);
        time::Instant::now() + wait
    }
}

/// Names the present boot of this machine: the first digits of `/proc/sys/kernel/random/boot_id` (random(4)). Read
/// once.
pub fn boot_id() -> Option<&'static str> {
    static BOOT: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        text.get(..8)
            .filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .map(str::to_owned)
    };
    BOOT.get_or_init(read).as_deref()
}

/// A time of day, in seconds since 1970. Written as RFC 3339 has it, in UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wall(pub u64);

impl Wall {
    /// Reads what [`Wall`] writes.
    pub fn read(text: &str) -> Option<Self> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let numbers = |text: &str, between| -> Option<[u64; 3]> {
            let numbers: Option<Vec<_>> =
                text.split(between).map(|part| part.parse().ok()).collect();
            numbers?.try_into().ok()
        };
        let ([year, month, day], [hour, minute, second]) =
            (numbers(date, '-')?, numbers(time, ':')?);
        let known = (1970..=9999).contains(&year) && (1..=12).contains(&month) && day > 0;
        if !known || day > 31 || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        // Years begin in March here too.
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = year * 365 + year / 4 - year / 100 + year / 400;
        let days = days + (month * 153 + 2) / 5 + day - 1 - 719_468;
        Some(Self(((days * 24 + hour) * 60 + minute) * 60 + second))
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / 86_400, self.0 % 86_400);
        // Years begin in March here, so that the day that not every year has is the last one (400 years have 146,097
        // days, and each five months from March on 153).
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = era * 400 + year + later;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// A deadline that never comes is looked at again after a year, because the standard library's instants end somewhere.
const WAIT_MAX: Duration = Duration::from_secs(365 * 86_400);

#[cfg(test)]
mod tests {
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

    #[test]
    fn the_time_of_day_is_written_as_people_write_it() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Wall(seconds).to_string(), text);
            assert_eq!(Wall::read(text), Some(Wall(seconds)));
        }
        for wrong in ["", "2026", "2026-01-01", "2026-13-01T00:00:00Z", "0-1-1T0:0:0Z", "aTbZ"] {
            assert_eq!(Wall::read(wrong), None, "{wrong}");
        }
        assert!(Clock.wall().0 > 1_600_000_000, "the clock of this machine is set");
    }
}
