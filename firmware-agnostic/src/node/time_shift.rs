//! Moves the times of a box whose rounds repeat themselves, for the simulator and the model.
//!
//! A box and its peer that repeat themselves are after each round what they were before it, but for a few instants that
//! went on by one round. So a simulator of a pair may leave out rounds, and may prove each time that it may.

use core::time::Duration;

use crate::journal::{Journal, StandingOrder};
use crate::node::Node;
use crate::time::{Instant, Timer};

impl Node {
    /// This box at `now`, as it is after `times` more rounds like the one that lies between `before` and now; `None`
    /// if that round was more than a repetition.
    ///
    /// It is none if an instant that moves with the heartbeats went on by the whole `round`, or stands still and was so
    /// old before the round that all has come of it, and if all else is what it was. Every other instant stands in a
    /// timer, so this holds until [`next_event`](Self::next_event).
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
            let stands = *later == *before && now - *later >= deadtime + round;
            if moved != round && !stands {
                return None;
            }
            *back = *before;
            *later = *later + moved * times;
        }
        (back == before).then_some(later)
    }

    /// When something comes that is no heartbeat, if this box goes on as it does.
    pub fn next_event(&self) -> Option<Instant> {
        self.timers.next_but(Timer::Keepalive)
    }

    /// A copy with every instant moved back by `time`, so that states that differ only in the hour compare equal.
    ///
    /// No instant lies before `oldest`: ages that reach so far back become one. The instant from which the slots
    /// are counted lies in the last two of them before the start of the clock instead, because each box has every
    /// second one.
    #[must_use]
    pub fn earlier(&self, time: Duration, oldest: Instant) -> Self {
        let mut earlier = self.clone();
        let slots = earlier.peer.slots_from();
        let begun = *slots - Instant::default();
        let turns =
            if begun < time { self.settings.timing.fence_delay() * 2 } else { Duration::ZERO };
        let slots = Instant::default() + (begun + turns).saturating_sub(time);
        for instant in earlier.instants() {
            *instant = (*instant - time).max(oldest);
        }
        *earlier.peer.slots_from() = slots;
        earlier
    }

    fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let (failback, recovery) = (self.failback.instants(), self.recovery.instants());
        let others = self.timers.instants().chain(failback).chain(recovery);
        let order = self.order.iter_mut().filter_map(StandingOrder::ends_at);
        let promised = &mut self.power_on;
        let journals = self.recorded.iter_mut().chain(&mut self.last_life);
        let journals = journals.flat_map(Journal::instants);
        self.peer
            .instants()
            .chain(others)
            .chain([&mut self.since])
            .chain(order)
            .chain(promised)
            .chain(journals)
    }

    fn moments(&mut self) -> impl Iterator<Item = &mut Instant> {
        let keepalive = self.timers.get_mut(Timer::Keepalive);
        self.peer.instants().chain(keepalive).chain(self.failback.bad_at())
    }
}
