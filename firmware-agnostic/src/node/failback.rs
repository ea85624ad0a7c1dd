//! Moves the resources to the other box, or says what keeps them here.

use core::time::Duration;

use crate::failback::{Reason, Stays};
use crate::heartbeat::{Heartbeat, PeerRequest, Role};
use crate::node::takeover::will_serve;
use crate::node::{Actions, Node, tell};
use crate::order::{Order, OrderDuration, Refusal};
use crate::peer::Contact;
use crate::report::{Cause, Report};
use crate::settings::AutoFailback;
use crate::time::{Instant, Timer};

impl Node {
    /// Notes how the peer is, in every role of this box.
    pub(super) fn watch_peer(&mut self, now: Instant) {
        let (well, serves) = match self.peer.contact(now) {
            Contact::Heard(heartbeat) => {
                let absent = matches!(heartbeat.role, Role::Init | Role::Fencing)
                    || !self.echoes_me(heartbeat);
                let fails = heartbeat.role == Role::Failed
                    || !heartbeat.fit
                    || !heartbeat.witness && self.witness;
                (!absent && !fails, heartbeat.role == Role::Active)
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
            Reason::Hang => Cause::Unwatched,
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
        let ready = self.peer.heartbeat(now).is_some_and(|heartbeat| {
            let connected = heartbeat.witness || !self.witness || ordered;
            let knows = match reason {
                Reason::Hang | Reason::Failure(_) | Reason::Order(_) => self.echoes_me(heartbeat),
                Reason::Home | Reason::Claim | Reason::Witness => heartbeat.echoes(self.epoch()),
            };
            will_serve(heartbeat) && connected && knows
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
            Ok(()) if manual => self.remind(Report::HomeReady, now, actions),
            Err(Stays::LockedOut) => self.remind(Report::LockedOut, now, actions),
            Err(Stays::Gate) if reason == Reason::Claim => {
                self.remind(Report::GateKeeps, now, actions);
            }
            Err(Stays::Until(due)) => self.timers.set(Timer::Failback, due),
            Ok(()) | Err(Stays::NotReady | Stays::Gate) => self.timers.stop(Timer::Failback),
        }
    }

    /// Why the peer should have the resources rather than this box.
    fn reason_to_move(&self, now: Instant) -> Option<Reason> {
        let heartbeat = self.peer.heartbeat(now).filter(|heartbeat| will_serve(heartbeat))?;
        match self.request() {
            _ if heartbeat.request == PeerRequest::Claim => Some(Reason::Claim),
            _ if self.recovery.hangs() => Some(Reason::Hang),
            // It serves against its order only because the peer did not.
            PeerRequest::Standby => Some(Reason::Order(Order::Standby(OrderDuration::Resume))),
            PeerRequest::Nothing if heartbeat.witness && !self.witness => Some(Reason::Witness),
            PeerRequest::Nothing if self.is_home_of(heartbeat) => {
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
        let heartbeat = self.peer.heartbeat(now).ok_or(Refusal::PeerSilent)?;
        if !self.is_home_of(heartbeat) {
            return Err(Refusal::IsHome);
        }
        self.failback.forgive();
        match self.move_away(Reason::Order(Order::Failback), now, actions) {
            Ok(()) => Ok(()),
            Err(Stays::Gate) => Err(Refusal::GateClosed),
            Err(_) => Err(Refusal::PeerNotReady),
        }
    }

    /// Whether the box that says `heartbeat` is home.
    fn is_home_of(&self, heartbeat: &Heartbeat) -> bool {
        heartbeat.rank() > self.settings.rank()
    }

    fn remind(&mut self, report: Report, now: Instant, actions: &mut Actions) {
        if self.timers.get(Timer::Failback).is_none_or(|at| at <= now) {
            tell(actions, report);
            self.timers.set(Timer::Failback, now + REMINDER);
        }
    }
}

/// How often an operator is told what waits for a word.
const REMINDER: Duration = Duration::from_secs(3_600);
