//! What an operator can order, and why an order is refused.
//!
//! An order is an event of the machine like any other: it is taken or refused at once, and one that is
//! refused leaves nothing behind.

use core::fmt;
use core::time::Duration;

use crate::identity::BoxId;

/// An operator's word.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Order {
    /// Give up the resources, and take none.
    Standby(OrderDuration),
    /// Take the resources, and keep them.
    Takeover(OrderDuration),
    /// Leave everything as it is, and have the peer do so too.
    Maintenance(OrderDuration),
    /// Give the resources back to home now, without the hold.
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
pub enum OrderDuration {
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
