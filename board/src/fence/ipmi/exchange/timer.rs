//! When a packet was sent first, how often, and when it is sent again.

use std::time::Duration;

use firmware_agnostic::time::Instant;

use crate::fence::ipmi::message::IpmiRequest;

/// The time of one packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketTimer {
    first: Instant,
    wake: Instant,
    pause: Duration,
    pause_max: Duration,
}

impl PacketTimer {
    /// Of a packet that is sent `now`, and that is waited for until `pause` is over.
    pub(super) fn new(now: Instant, pause: Duration) -> Self {
        let pause_max = (pause * 2).clamp(UNKNOWN, PAUSE_MAX.max(pause));
        Self { first: now, wake: now + pause, pause, pause_max }
    }

    /// The packet is sent again; the next time is twice as far away, and not so far that a BMC which comes back,
    /// with its network or from a restart, is noticed late.
    pub(super) fn again(&mut self, now: Instant) {
        self.pause = (self.pause * 2).min(self.pause_max);
        self.wake = now + self.pause;
    }

    /// There is something to do in `pause` at the latest.
    pub(super) fn hurry(&mut self, now: Instant, pause: Duration) {
        self.wake = self.wake.min(now + pause);
    }

    pub(super) const fn wake(&self) -> Instant {
        self.wake
    }

    /// When it was sent first.
    pub(super) const fn first(&self) -> Instant {
        self.first
    }
}

/// How long the BMC took for each command when it was asked last.
///
/// A BMC that reads its power in a millisecond may take seconds to switch it. What it was never asked before is not
/// asked again before a second has passed: where one packet is served after the other, each copy takes as long as
/// the first.
#[derive(Default)]
pub(super) struct Paces(Vec<((u8, u8), Duration)>);

impl Paces {
    /// How long an answer to `request` is waited for before it is asked again. The login before took up to `took`
    /// for an answer.
    pub(super) fn of(&self, request: &IpmiRequest, took: Duration) -> Duration {
        let known = self.0.iter().find(|(command, _)| *command == key(request));
        known.map_or_else(|| (took * 2).clamp(UNKNOWN, PAUSE_MAX), |(_, pace)| *pace)
    }

    /// Notes that the answer to `request` took so long.
    pub(super) fn learn(&mut self, request: &IpmiRequest, took: Duration) {
        let pace = (took * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        match self.0.iter_mut().find(|(command, _)| *command == key(request)) {
            Some((_, known)) => *known = pace,
            None => self.0.push((key(request), pace)),
        }
    }
}

const fn key(request: &IpmiRequest) -> (u8, u8) {
    (request.function, request.command)
}

/// A BMC answers in a few milliseconds, or in half a second when its own work comes first.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// One that takes longer than this to answer is not helped by more questions.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(4);
/// How long an answer is waited for where nothing is known.
pub(super) const UNKNOWN: Duration = Duration::from_secs(1);
