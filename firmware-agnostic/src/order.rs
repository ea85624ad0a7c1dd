//! What an operator can order, and why an order is refused.
//!
//! An order is an event of the machine like any other: it is taken or refused at once, and one that is
//! refused leaves nothing behind.

use core::fmt;
use core::time::Duration;

use crate::evidence::Evidence;
use crate::failback::{Reason, Stays};
use crate::heartbeat::{Asks, Role};
use crate::identity::BoxId;
use crate::journal::{End, Standing};
use crate::news::Cause;
use crate::node::{Actions, Node};
use crate::time::{Instant, Timer};

/// An operator's word.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Order {
    /// Give up the resources, and take none.
    Standby(Until),
    /// Take the resources, and keep them.
    Takeover(Until),
    /// Leave everything as it is, and have the peer do so too.
    Maintenance(Until),
    /// Give the resources back to home now, whatever the hold.
    Failback,
    /// Let priority and `auto_failback` decide again.
    Resume,
    /// Forget the failures of the resources: their cause is mended.
    Clear,
    /// The named box is known to hold nothing: a person has looked.
    Confirm(BoxId),
    /// Cut the power of the named box, silent or not.
    Fence {
        /// The peer.
        id: BoxId,
        /// What the operator means by it.
        mode: FenceMode,
    },
    /// Hand over and leave: the supervisor is to end.
    Leave,
    /// Become the next version of the supervisor, while everything that runs here runs on.
    Upgrade,
}

/// What an operator means who orders that the power of the peer is cut.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FenceMode {
    /// The peer is to be off. Refused if it serves, or if this box would have to take over.
    Plain,
    /// The same, and this box takes over.
    Forced,
    /// A drill: as `Plain`, and the peer gets its power back at once.
    Drill,
}

/// How long an order stands, unless `resume` ends it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Until {
    /// Until this box boots anew.
    Reboot,
    /// For this long, or until this box boots anew.
    Time(Duration),
    /// For good: it is written down, and stands after a reboot. An order to take over does not: a box that had to boot
    /// earns the resources anew.
    Resume,
}

/// Why an order was not taken.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Refusal {
    /// This box is not done with what it does.
    Busy,
    /// This box is about to leave.
    Leaving,
    /// The peer is not heard, so nobody would serve.
    PeerSilent,
    /// The peer does not hear this box.
    PeerDeaf,
    /// The peer is not ready to serve.
    PeerNotReady,
    /// The peer is heard, so there is nothing to confirm.
    PeerHeard,
    /// Nothing here waits for a confirmation.
    NothingToConfirm,
    /// The named box is this one.
    NotThePeer,
    /// The named box, whose power is to be cut, is this one.
    CutsItself,
    /// This box has failed resources.
    NotFit,
    /// This box does not serve.
    NotServing,
    /// This box is home.
    IsHome,
    /// A resource keeps the resources here.
    GateClosed,
    /// The peer is in maintenance.
    Maintenance,
    /// The service is not here: to cut the peer's power means to take over.
    WouldTakeOver,
    /// The peer holds the resources too.
    PeerServes,
    /// An operator keeps this box from serving, so nobody would.
    KeptFromServing,
    /// With the new configuration the boxes would no longer hear each other.
    NoLinkStays,
    /// A box with the new times and one with the present ones would take each other for late.
    TimesApart,
    /// The peer would not know the key by which this box signs.
    KeyUnknown,
    /// This box would not know the key by which the peer signs.
    KeyInUse,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "this box is in the middle of a change: wait for it, see twobox status",
            Self::Leaving => "this box is about to leave",
            Self::PeerSilent => "the peer is not heard: nobody would serve",
            Self::PeerDeaf => "the peer does not hear this box: mend a cable first",
            Self::PeerNotReady => "the peer is not ready to serve: see twobox status on both boxes",
            Self::PeerHeard => {
                "the peer is heard on a link: it is alive, and there is nothing to confirm"
            }
            Self::NothingToConfirm => "this box waits for no confirmation: see twobox status",
            Self::NotThePeer => {
                "that is this box: name the other one, whose power you have seen off"
            }
            Self::CutsItself => "that is this box: name the other one, whose power is to be cut",
            Self::NotServing => "this box does not serve: say it on the box that does",
            Self::IsHome => "this box is home already",
            Self::GateClosed => "a resource keeps the gate closed: its data is not in step yet",
            Self::Maintenance => "the peer is in maintenance: say twobox resume there first",
            Self::WouldTakeOver => {
                "this box does not serve: say it on the box that does, or with --yes, and this box takes over"
            }
            Self::PeerServes => "the peer serves as well: see twobox status on both boxes, or add --yes",
            Self::KeptFromServing => {
                "an operator keeps this box from serving: nobody would; say twobox resume first"
            }
            Self::NoLinkStays => {
                "no link on which the peer is heard would stay: change one after the other, or say twobox maintenance first"
            }
            Self::TimesApart => {
                "the boxes would take each other for late until both have these times: go there in two steps, keepalive \
                 lower first, or the other times higher first"
            }
            Self::KeyUnknown => {
                "the peer would not know the new key: add it below the old one on both boxes first, or say twobox \
                 maintenance on both"
            }
            Self::KeyInUse => {
                "the peer signs with a key that would be gone: put the new key first on both boxes, and reload both, before"
            }
            Self::NotFit => "a resource has failed here: mend the cause, then say twobox clear",
        })
    }
}

impl Node {
    /// What this box asks of its peer: computed from what stands and from what is under way, so that no trouble ends an
    /// order.
    pub const fn asks(&self) -> Asks {
        match self.order {
            _ if self.stuck => Asks::Fence,
            _ if self.leaving => Asks::Leave,
            Some(Standing { asks: Asks::Claim, .. }) | None if self.yields => Asks::HandOver,
            Some(order) => order.asks,
            None => Asks::Nothing,
        }
    }

    /// Changes something of which that is computed. The epoch rises if the peer should know.
    pub(crate) fn request(&mut self, change: impl FnOnce(&mut Self)) {
        let before = self.asks();
        change(self);
        if self.asks() != before {
            self.change += 1;
        }
    }

    pub(crate) fn on_order(
        &mut self,
        order: Order,
        now: Instant,
        actions: &mut Actions,
    ) -> Result<(), Refusal> {
        if matches!(self.asks(), Asks::Leave | Asks::Fence) {
            return match order {
                Order::Leave => {
                    self.request(|node| node.leaving = true);
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
                if self.peer.word(now).is_none() {
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
                self.request(|node| node.leaving = true);
                if matches!(self.role, Role::Starting | Role::Active) {
                    self.stop(Cause::Ordered(order), now, actions);
                }
                Ok(())
            }
        }
    }

    fn order_standby(
        &mut self,
        until: Until,
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
        self.stand(Asks::Standby, until, now);
        Ok(())
    }

    fn order_maintenance(&mut self, until: Until, now: Instant) -> Result<(), Refusal> {
        match self.role {
            Role::Standby | Role::Active | Role::Failed => {
                self.stand(Asks::Maintenance, until, now);
                Ok(())
            }
            Role::Init | Role::Fencing | Role::Starting | Role::Stopping => Err(Refusal::Busy),
        }
    }

    /// Lets an order stand for as long as it is to.
    pub(crate) fn stand(&mut self, asks: Asks, until: Until, now: Instant) {
        let until = match until {
            Until::Resume => End::Resume,
            Until::Reboot => End::Reboot,
            Until::Time(time) => End::At(now + time),
        };
        match until {
            End::At(end) => self.timers.set(Timer::Order, end),
            End::Resume | End::Reboot => self.timers.stop(Timer::Order),
        }
        self.request(|node| (node.order, node.yields) = (Some(Standing { asks, until }), false));
    }

    pub(crate) fn end_order(&mut self) {
        self.timers.stop(Timer::Order);
        self.request(|node| node.order = None);
    }

    fn order_takeover(&mut self, until: Until, now: Instant) -> Result<(), Refusal> {
        match self.role {
            Role::Starting | Role::Active => {}
            Role::Failed => return Err(Refusal::NotFit),
            Role::Standby if !self.fit() => return Err(Refusal::NotFit),
            Role::Standby => {
                let word = self.peer.word(now).ok_or(Refusal::PeerSilent)?;
                if !self.hears_me(word) {
                    return Err(Refusal::PeerDeaf);
                }
                if word.asks == Asks::Maintenance {
                    return Err(Refusal::Maintenance);
                }
            }
            Role::Init | Role::Fencing | Role::Stopping => return Err(Refusal::Busy),
        }
        self.stand(Asks::Claim, until, now);
        Ok(())
    }

    fn order_confirm(
        &mut self,
        id: BoxId,
        now: Instant,
        actions: &mut Actions,
    ) -> Result<(), Refusal> {
        let word = self.peer.word(now).copied();
        if id == self.settings.me {
            Err(Refusal::NotThePeer)
        } else if word.is_some_and(|word| !self.peer.is_of_the_holder(&word)) {
            self.peer.forget_holder();
            Ok(())
        } else if word.is_some() {
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
        let peer_serves = self.peer.word(now).is_some_and(|word| word.role.holds_resources());
        let force = mode == FenceMode::Forced;
        if id == self.settings.me {
            return Err(Refusal::CutsItself);
        }
        match self.role {
            _ if self.shot.is_under_way() => return Err(Refusal::Busy),
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
        if !settled || self.asked.is_some() || self.shot.is_under_way() {
            Err(Refusal::Busy)
        } else {
            Ok(())
        }
    }

    fn peer_must_serve(&self, now: Instant) -> Result<(), Refusal> {
        let word = self.peer.word(now).ok_or(Refusal::PeerSilent)?;
        if !self.hears_me(word) {
            Err(Refusal::PeerDeaf)
        } else if !self.peer_can_serve(now) {
            Err(Refusal::PeerNotReady)
        } else {
            Ok(())
        }
    }
}
