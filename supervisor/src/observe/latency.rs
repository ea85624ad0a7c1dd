//! Measures whether the loop keeps up, and how near a false alarm was.
//!
//! Three things are measured, each at its worst since the start: how late the loop was with what was due, how long it
//! took over one event with all that followed from it, and the longest silence of the peer that ended before it was
//! taken for dead. Who knows them knows which `deadtime` is safe.

use std::time::Duration;

use board::time::clock::Clock;
use firmware_agnostic::node::{Event, Node};
use firmware_agnostic::receiver::Heard;
use firmware_agnostic::time::Instant;

/// The worst of each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latency {
    /// How late it was.
    pub(crate) late: Duration,
    /// How long it took over one event.
    pub(crate) step: Duration,
    /// How long the peer was silent, and yet alive.
    pub(crate) silence: Duration,
}

impl Latency {
    /// The loop has an event in its hands, at `now`.
    pub(crate) fn begin(&mut self, node: &Node, event: &Event, now: Instant) {
        self.late = self.late.max(now - node.next_deadline());
        let known = node.peer().heartbeat(now).map(|heartbeat| heartbeat.epoch.boot);
        // Another life of the peer was not silent: it was not there.
        let same = |heard: &Heard| known.is_some_and(|boot| boot == heard.heartbeat.epoch.boot);
        if matches!(event, Event::Heartbeat(_, heard) if same(heard)) {
            self.silence = self.silence.max(node.peer().silence(now));
        }
    }

    /// It is done with the event that it had at `begun`.
    pub(crate) fn end(&mut self, begun: Instant) {
        self.step = self.step.max(Clock.now() - begun);
    }

    /// The least `deadtime` that leaves as much room again as was ever needed.
    pub(crate) fn needs(&self) -> Duration {
        let needed = (self.silence + self.late) * 2;
        let tenths = u64::try_from(needed.as_millis().div_ceil(100)).unwrap_or(u64::MAX);
        Duration::from_millis(tenths.saturating_mul(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadtime_leaves_as_much_room_again_as_was_needed() {
        let millis = Duration::from_millis;
        let latency = Latency { late: millis(40), step: millis(1), silence: millis(611) };
        assert_eq!(latency.needs(), millis(1_400));
        assert_eq!(Latency::default().needs(), Duration::ZERO);
    }
}
