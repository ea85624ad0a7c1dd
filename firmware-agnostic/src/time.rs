//! Points in time, and the timers of the machine.
//!
//! The core reads no clock: `now` comes in with every event, the next deadline goes out. An
//! [`Instant`] is a time since the box booted, suspended time included (`CLOCK_BOOTTIME`); nothing
//! that can be set or stepped decides anything.

use core::ops::{Add, Sub};
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Microseconds of the caller's clock.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
pub struct Instant(u64);

impl Instant {
    /// The instant `micros` microseconds after the clock's start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The instant `millis` milliseconds after the clock's start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the clock's start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }
}

/// Rounded up: what is due after a time is not due before it, or a deadline would come again and again.
impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let micros = duration.as_nanos().div_ceil(1_000);
        Self(self.0.saturating_add(u64::try_from(micros).unwrap_or(u64::MAX)))
    }
}

/// So long before; the start of the clock, if it is later.
impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(micros))
    }
}

/// The time from the other instant to this one; nothing if the other one is later.
impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// What the machine waits for, besides the silence of its peer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Timer {
    /// It is time to send the heartbeat again.
    Keepalive,
    /// The peer was not heard since boot, and will not be.
    Initdead,
    /// The shot at the peer, or the next look at its power, is due.
    Fencing,
    /// This box was late, and listens before it acts.
    Relisten,
    /// Home has been well for long enough: the resources go home.
    Failback,
    /// The box that leaves has waited long enough to be heard.
    Leave,
    /// An operator's order ends.
    Order,
    /// A box that has failed, or cannot remove what was left, is given another try.
    Retry,
    /// A failed resource is to be started again, or a failure to be forgotten.
    Recovery,
    /// The peer has been dark for long enough.
    Dark,
    /// The peer is to get its power back.
    PowerOn,
}

/// A deadline for each [`Timer`] that runs.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Timers([Option<Instant>; TIMERS]);

impl Timers {
    /// Starts `timer`, or moves it.
    pub const fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    /// Stops `timer`.
    pub const fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    /// When `timer` expires, if it runs.
    pub const fn get(&self, timer: Timer) -> Option<Instant> {
        self.0[timer as usize]
    }

    /// When `timer` expires, to be moved.
    pub(crate) const fn get_mut(&mut self, timer: Timer) -> Option<&mut Instant> {
        self.0[timer as usize].as_mut()
    }

    /// All that run, to be moved.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        self.0.iter_mut().flatten()
    }

    /// Whether `timer` has run out.
    pub fn expired(&self, timer: Timer, now: Instant) -> bool {
        self.get(timer).is_some_and(|at| at <= now)
    }

    /// Stops what has run out, but for `kept`.
    pub fn drop_expired(&mut self, now: Instant, kept: Timer) {
        for (place, timer) in self.0.iter_mut().enumerate() {
            if place != kept as usize {
                *timer = timer.filter(|at| *at > now);
            }
        }
    }

    /// The first deadline of all but `timer`.
    pub fn next_but(&self, timer: Timer) -> Option<Instant> {
        let others = self.0.iter().enumerate().filter(|(place, _)| *place != timer as usize);
        others.filter_map(|(_, at)| *at).min()
    }

    /// The first deadline of all.
    pub fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }
}

const TIMERS: usize = Timer::PowerOn as usize + 1;
