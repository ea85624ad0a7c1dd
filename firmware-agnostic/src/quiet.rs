//! What changes in a box while nothing happens? When it spoke and heard last, and nothing else.
//!
//! A box and its peer that repeat themselves are after each round what they were before it, but for a few instants that
//! went on by one round. So whoever simulates a pair may leave out rounds, and may prove each time that it may.

use core::time::Duration;

use crate::node::Node;
use crate::shot::Belief;
use crate::time::{Instant, Timer};

impl Node {
    /// This box at `now`, as it is after `times` more rounds like the one that lies between `before` and now; `None`
    /// if that round was more than a repetition.
    ///
    /// It is none if an instant that moves with the heartbeats went on by the whole `round`, or stands still and is so
    /// old that nothing more comes of it, and if all else is what it was. Every other instant stands in a timer, so
    /// this holds until [`next_event`](Self::next_event).
    pub fn repeated(
        &self,
        before: &Self,
        round: Duration,
        times: u32,
        now: Instant,
    ) -> Option<Self> {
        let deadtime = self.settings.timing.deadtime();
        let (mut later, mut back, mut before) = (self.clone(), self.clone(), before.clone());
        for ((later, back), before) in later.moments().zip(back.moments()).zip(before.moments()) {
            let moved = *later - *before;
            let stands = *later == *before && now - *later >= deadtime;
            if moved != round && !stands {
                return None;
            }
            *back = *before;
            *later = *later + moved * times;
        }
        (self.peer.is_settled(now) && back == before).then_some(later)
    }

    /// When something comes that is no heartbeat, if this box goes on as it does.
    pub fn next_event(&self) -> Option<Instant> {
        self.timers.next_but(Timer::Keepalive)
    }

    /// This box as if all of its life had come `time` earlier, so that what differs by nothing but the hour becomes alike.
    ///
    /// No instant lies before the start of the clock: ages that reach so far back become one.
    #[must_use]
    pub fn earlier(&self, time: Duration) -> Self {
        let mut earlier = self.clone();
        for instant in earlier.instants() {
            let since_start = *instant - Instant::default();
            *instant = Instant::default() + since_start.saturating_sub(time);
        }
        earlier
    }

    fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let (failback, recovery) = (self.failback.instants(), self.recovery.instants());
        let others = self.timers.instants().chain(failback).chain(recovery);
        let doubted = match &mut self.belief {
            Belief::Doubted(at) => Some(at),
            Belief::Whole | Belief::Lost => None,
        };
        self.peer.instants().chain(others).chain(doubted).chain([&mut self.since])
    }

    fn moments(&mut self) -> impl Iterator<Item = &mut Instant> {
        let keepalive = self.timers.get_mut(Timer::Keepalive);
        self.peer.moments().chain(keepalive).chain(self.failback.trouble_at())
    }
}
