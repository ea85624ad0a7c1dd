//! Takes the orders of operators, or refuses them.

use crate::evidence::Evidence;
use crate::failback::{Reason, Stays};
use crate::heartbeat::{PeerRequest, Role};
use crate::identity::BoxId;
use crate::journal::{Expiry, StandingOrder};
use crate::node::{Actions, Node};
use crate::order::{FenceMode, Order, OrderDuration, Refusal};
use crate::report::Cause;
use crate::time::{Instant, Timer};

impl Node {
    /// What this box asks of its peer: computed from what stands and from what is under way, so that no trouble ends an
    /// order.
    pub const fn request(&self) -> PeerRequest {
        match self.order {
            _ if self.stuck => PeerRequest::Fence,
            _ if self.leaving => PeerRequest::Leave,
            Some(StandingOrder { request: PeerRequest::Claim, .. }) | None if self.yields => {
                PeerRequest::HandOver
            }
            Some(order) => order.request,
            None => PeerRequest::Nothing,
        }
    }

    /// Changes something of which that is computed. The epoch rises if the peer should know.
    pub(super) fn change_request(&mut self, change: impl FnOnce(&mut Self)) {
        let before = self.request();
        change(self);
        if self.request() != before {
            self.change += 1;
        }
    }

    pub(super) fn on_order(
        &mut self,
        order: Order,
        now: Instant,
        actions: &mut Actions,
    ) -> Result<(), Refusal> {
        if matches!(self.request(), PeerRequest::Leave | PeerRequest::Fence) {
            return match order {
                Order::Leave => {
                    self.change_request(|node| node.leaving = true);
                    Ok(())
                }
                _ => Err(Refusal::Leaving),
            };
        }
        match order {
            Order::Standby(until) => self.order_standby(until, now, actions),
            Order::Takeover(until) => self.order_takeover(until, now),
            Order::Maintenance(until) => self.order_maintenance(until, now),
            Order::Failback => self.order_failback(now, actions),
            Order::Resume => {
                self.failback.forgive();
                if self.peer.heartbeat(now).is_none() {
                    // A peer that went away in maintenance cannot end it itself.
                    self.peer.end_maintenance();
                }
                self.end_order();
                Ok(())
            }
            Order::Clear => {
                self.recovery.clear();
                Ok(())
            }
            Order::Confirm(id) => self.order_confirm(id, now, actions),
            Order::Fence { id, mode } => self.order_fence(id, mode, now, actions),
            Order::Upgrade => self.order_upgrade(),
            Order::Leave => {
                self.change_request(|node| node.leaving = true);
                if matches!(self.role, Role::Starting | Role::Active) {
                    self.stop(Cause::Ordered(order), now, actions);
                }
                Ok(())
            }
        }
    }

    fn order_standby(
        &mut self,
        until: OrderDuration,
        now: Instant,
        actions: &mut Actions,
    ) -> Result<(), Refusal> {
        if matches!(self.role, Role::Starting | Role::Active) {
            self.peer_must_serve(now)?;
            self.failback.forgive();
            let moved = self.move_away(Reason::Order(Order::Standby(until)), now, actions);
            moved.map_err(|stays| match stays {
                Stays::Gate => Refusal::GateClosed,
                Stays::NotReady | Stays::LockedOut | Stays::Until(_) => Refusal::PeerNotReady,
            })?;
        }
        self.stand(PeerRequest::Standby, until, now);
        Ok(())
    }

    fn order_maintenance(&mut self, until: OrderDuration, now: Instant) -> Result<(), Refusal> {
        match self.role {
            Role::Standby | Role::Active | Role::Failed => {
                self.stand(PeerRequest::Maintenance, until, now);
                Ok(())
            }
            Role::Init | Role::Fencing | Role::Starting | Role::Stopping => Err(Refusal::Busy),
        }
    }

    /// Lets an order stand for as long as it is to.
    pub(super) fn stand(&mut self, request: PeerRequest, until: OrderDuration, now: Instant) {
        let until = match until {
            OrderDuration::Resume => Expiry::Resume,
            OrderDuration::Reboot => Expiry::Reboot,
            OrderDuration::Time(time) => Expiry::At(now + time),
        };
        match until {
            Expiry::At(end) => self.timers.set(Timer::Order, end),
            Expiry::Resume | Expiry::Reboot => self.timers.stop(Timer::Order),
        }
        self.change_request(|node| {
            (node.order, node.yields) = (Some(StandingOrder { request, until }), false);
        });
    }

    pub(super) fn end_order(&mut self) {
        self.timers.stop(Timer::Order);
        self.change_request(|node| node.order = None);
    }

    fn order_takeover(&mut self, until: OrderDuration, now: Instant) -> Result<(), Refusal> {
        match self.role {
            Role::Starting | Role::Active => {}
            Role::Failed => return Err(Refusal::NotFit),
            Role::Standby if !self.fit() => return Err(Refusal::NotFit),
            Role::Standby => {
                let heartbeat = self.peer.heartbeat(now).ok_or(Refusal::PeerSilent)?;
                if !self.echoes_me(heartbeat) {
                    return Err(Refusal::PeerDeaf);
                }
                if heartbeat.request == PeerRequest::Maintenance {
                    return Err(Refusal::Maintenance);
                }
            }
            Role::Init | Role::Fencing | Role::Stopping => return Err(Refusal::Busy),
        }
        self.stand(PeerRequest::Claim, until, now);
        Ok(())
    }

    fn order_confirm(
        &mut self,
        id: BoxId,
        now: Instant,
        actions: &mut Actions,
    ) -> Result<(), Refusal> {
        let heartbeat = self.peer.heartbeat(now).copied();
        if id == self.settings.me {
            Err(Refusal::NotThePeer)
        } else if heartbeat.is_some_and(|heartbeat| !self.peer.is_of_the_holder(&heartbeat)) {
            self.peer.forget_holder();
            Ok(())
        } else if heartbeat.is_some() {
            Err(Refusal::PeerHeard)
        } else if self.role != Role::Fencing {
            Err(Refusal::NothingToConfirm)
        } else if !self.eligible(now) {
            Err(Refusal::NotFit)
        } else {
            // A box that was seen off may be repaired by now: it is not shot any more.
            self.call_off(now, actions);
            self.peer.note_confirmed(now);
            self.start(Evidence::Operator, now, actions);
            Ok(())
        }
    }

    /// A box that serves may always cut its peer's power, because the service goes on. One that does not takes over
    /// thereby, if it could at all.
    fn order_fence(
        &mut self,
        id: BoxId,
        mode: FenceMode,
        now: Instant,
        actions: &mut Actions,
    ) -> Result<(), Refusal> {
        let peer_serves =
            self.peer.heartbeat(now).is_some_and(|heartbeat| heartbeat.role.holds_resources());
        let force = mode == FenceMode::Forced;
        if id == self.settings.me {
            return Err(Refusal::CutsItself);
        }
        match self.role {
            _ if self.fencing.is_under_way() => return Err(Refusal::Busy),
            Role::Active if peer_serves && !force => return Err(Refusal::PeerServes),
            Role::Standby | Role::Fencing if !force => return Err(Refusal::WouldTakeOver),
            Role::Standby | Role::Fencing | Role::Failed if !self.fit => {
                return Err(Refusal::NotFit);
            }
            Role::Standby | Role::Fencing if !self.eligible(now) => {
                return Err(Refusal::KeptFromServing);
            }
            Role::Standby => {
                let cause = Cause::Ordered(Order::Fence { id, mode });
                self.enter(Role::Fencing, cause, now, actions);
            }
            Role::Active | Role::Fencing => {}
            Role::Init | Role::Starting | Role::Stopping | Role::Failed => {
                return Err(Refusal::Busy);
            }
        }
        self.shoot_by_order(mode, actions);
        Ok(())
    }

    const fn order_upgrade(&self) -> Result<(), Refusal> {
        let settled = matches!(self.role, Role::Standby | Role::Active | Role::Failed);
        if !settled || self.asked.is_some() || self.fencing.is_under_way() {
            Err(Refusal::Busy)
        } else {
            Ok(())
        }
    }

    fn peer_must_serve(&self, now: Instant) -> Result<(), Refusal> {
        let heartbeat = self.peer.heartbeat(now).ok_or(Refusal::PeerSilent)?;
        if !self.echoes_me(heartbeat) {
            Err(Refusal::PeerDeaf)
        } else if !self.peer_can_serve(now) {
            Err(Refusal::PeerNotReady)
        } else {
            Ok(())
        }
    }
}
