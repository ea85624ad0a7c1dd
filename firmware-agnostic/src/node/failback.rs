//! Moves the resources to the other box, or says what keeps them here.

use core::time::Duration;

use crate::failback::{AutoFailback, Reason, Stays};
use crate::heartbeat::{Asks, Heartbeat, Role};
use crate::node::takeover::will_serve;
use crate::node::{Actions, Node, tell};
use crate::order::{Order, Refusal, Until};
use crate::peer::Contact;
use crate::report::{Cause, News};
use crate::time::{Instant, Timer};

impl Node {
    /// Notes how the peer is, in every role of this box.
    pub(super) fn watch_peer(&mut self, now: Instant) {
        let (well, serves) = match self.peer.contact(now) {
            Contact::Heard(word) => {
                let absent =
                    matches!(word.role, Role::Init | Role::Fencing) || !self.hears_me(word);
                let fails = word.role == Role::Failed || !word.fit || !word.witness && self.witness;
                (!absent && !fails, word.role == Role::Active)
            }
            Contact::Deaf(_) | Contact::Silent => (false, false),
        };
        self.failback.observe(well, serves, now);
    }

    /// Moves the resources to the peer, if nothing keeps them here.
    pub(super) fn move_away(
        &mut self,
        reason: Reason,
        now: Instant,
        actions: &mut Actions,
    ) -> Result<(), Stays> {
        self.may_move(reason, now)?;
        let hold = self.failback.hold(self.settings.failback_hold);
        let cause = match reason {
            Reason::Home => Cause::FailbackDue(hold),
            Reason::Claim => Cause::PeerOrdered,
            Reason::Witness => Cause::WitnessLost,
            Reason::Failure(resource) => Cause::ResourceFailed(resource),
            Reason::Order(order) => Cause::Ordered(order),
        };
        self.failback.give(matches!(reason, Reason::Order(_)));
        if matches!(reason, Reason::Home | Reason::Claim | Reason::Witness)
            || reason == Reason::Order(Order::Failback)
        {
            self.concede(actions);
        }
        self.stop(cause, now, actions);
        Ok(())
    }

    fn may_move(&self, reason: Reason, now: Instant) -> Result<(), Stays> {
        let due = self.failback.due(reason, self.settings.failback_hold, now);
        let ordered = matches!(reason, Reason::Order(_));
        // A peer that has not heard yet what this box is would take its time.
        let ready = self.peer.word(now).is_some_and(|word| {
            let connected = word.witness || !self.witness || ordered;
            let knows = match reason {
                Reason::Failure(_) | Reason::Order(_) => self.hears_me(word),
                Reason::Home | Reason::Claim | Reason::Witness => word.echoes(self.epoch()),
            };
            will_serve(word) && connected && knows
        });
        if !ready || self.peer.is_doubled(now) {
            Err(Stays::NotReady)
        } else if self.failback.gate_closed() {
            Err(Stays::Gate)
        } else if self.failback.locked_out() {
            Err(Stays::LockedOut)
        } else if due > now {
            Err(Stays::Until(due))
        } else {
            Ok(())
        }
    }

    /// Moves the resources when it is time, and tells an operator what waits for a word.
    pub(super) fn decide_move(&mut self, now: Instant, actions: &mut Actions) {
        let Some(reason) = self.reason_to_move(now) else {
            self.timers.stop(Timer::Failback);
            return;
        };
        let manual = reason == Reason::Home && self.settings.auto_failback == AutoFailback::Manual;
        let stays =
            if manual { self.may_move(reason, now) } else { self.move_away(reason, now, actions) };
        match stays {
            Ok(()) if manual => self.remind(News::HomeReady, now, actions),
            Err(Stays::LockedOut) => self.remind(News::LockedOut, now, actions),
            Err(Stays::Gate) if reason == Reason::Claim => {
                self.remind(News::GateKeeps, now, actions);
            }
            Err(Stays::Until(due)) => self.timers.set(Timer::Failback, due),
            Ok(()) | Err(Stays::NotReady | Stays::Gate) => self.timers.stop(Timer::Failback),
        }
    }

    /// Why the peer should have the resources rather than this box.
    fn reason_to_move(&self, now: Instant) -> Option<Reason> {
        let word = self.peer.word(now).filter(|word| will_serve(word))?;
        match self.asks() {
            _ if word.asks == Asks::Claim => Some(Reason::Claim),
            // It serves against its order only because the peer did not.
            Asks::Standby => Some(Reason::Order(Order::Standby(Until::Resume))),
            Asks::Nothing if word.witness && !self.witness => Some(Reason::Witness),
            Asks::Nothing if self.is_home_of(word) => {
                (self.settings.auto_failback != AutoFailback::Off).then_some(Reason::Home)
            }
            _ => None,
        }
    }

    /// Gives the resources back now, because an operator says so.
    pub(super) fn order_failback(
        &mut self,
        now: Instant,
        actions: &mut Actions,
    ) -> Result<(), Refusal> {
        if self.role != Role::Active {
            return Err(Refusal::NotServing);
        }
        let word = self.peer.word(now).ok_or(Refusal::PeerSilent)?;
        if !self.is_home_of(word) {
            return Err(Refusal::IsHome);
        }
        self.failback.forgive();
        match self.move_away(Reason::Order(Order::Failback), now, actions) {
            Ok(()) => Ok(()),
            Err(Stays::Gate) => Err(Refusal::GateClosed),
            Err(_) => Err(Refusal::PeerNotReady),
        }
    }

    /// Whether the box that says `word` is home.
    fn is_home_of(&self, word: &Heartbeat) -> bool {
        word.rank() > self.settings.rank()
    }

    fn remind(&mut self, news: News, now: Instant, actions: &mut Actions) {
        if self.timers.get(Timer::Failback).is_none_or(|at| at <= now) {
            tell(actions, news);
            self.timers.set(Timer::Failback, now + REMINDER);
        }
    }
}

/// How often an operator is told what waits for a word.
const REMINDER: Duration = Duration::from_secs(3_600);
