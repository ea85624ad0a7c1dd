//! Defines the heartbeat: what each box says of itself, every `keepalive` and at once on every change.
//!
//! It is the whole of a box's state, never a request: a lost heartbeat costs nothing, a repeated one
//! changes nothing, and there is no retransmission.
//!
//! A heartbeat that says *standby* may be old. One that echoes the listener's present [`Epoch`] was
//! said by a box that knew what the listener is now; only such a word lets anybody start (the echo
//! rule, in `node.rs`). So the epoch rises with everything that could change the other's mind.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::identity::{BoxId, LINKS_MAX, LinkId};

/// What a box says of itself.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Heartbeat {
    /// Who speaks.
    pub from: BoxId,
    /// Names the state that the speaker has now.
    pub epoch: Epoch,
    /// What the speaker is.
    pub role: Role,
    /// The speaker's rank.
    pub priority: Priority,
    /// The last takeover that the speaker made or heard of.
    pub term: Term,
    /// Whether the speaker could serve.
    pub fit: bool,
    /// Whether the speaker's network is fine, as far as its witnesses tell.
    pub witness: bool,
    /// Whether the speaker has ordered the listener's power off: who hears that it is being shot resets itself at once.
    pub shoots: bool,
    /// The supervisor of the speaker has died, and its guard says on what was said last: nothing new starts there, and
    /// the supervisor is being started again.
    pub restarts: bool,
    /// What the speaker asks of the listener.
    pub request: PeerRequest,
    /// What the speaker was configured with.
    pub config: Fingerprint,
    /// The machine on which the speaker runs; nothing but zeros if that is not known.
    pub system: Fingerprint,
    /// The last epoch of the listener that the speaker heard.
    pub heard: Option<Epoch>,
    /// The links on which the speaker hears the listener.
    pub hears: LinkSet,
}

impl Heartbeat {
    /// Whether the speaker knew, when it spoke, what `epoch` names.
    pub fn echoes(&self, epoch: Epoch) -> bool {
        self.heard == Some(epoch)
    }

    /// Whether the speaker had heard the life `boot` of the listener when it spoke.
    pub fn knows(&self, boot: Incarnation) -> bool {
        self.heard.is_some_and(|epoch| epoch.boot == boot)
    }

    /// What decides between the boxes when nothing else does.
    pub const fn rank(&self) -> Rank {
        Rank::new(self.priority, self.from)
    }

    /// What the guard of a supervisor that died says in its stead, while it waits for another one.
    ///
    /// A box that was shooting, or that asked to be shot, is better silent: the peer then does what it would have done.
    pub fn while_it_restarts(self) -> Option<Self> {
        let speaks = self.role != Role::Fencing
            && !self.shoots
            && !matches!(self.request, PeerRequest::Fence | PeerRequest::Leave);
        speaks.then_some(Self { restarts: true, ..self })
    }

    /// What the guard says when it has stopped everything: this life holds nothing, and never will. It has failed.
    #[must_use]
    pub fn farewell(self) -> Self {
        let change = self.epoch.change.wrapping_add(1);
        let epoch = Epoch { change, ..self.epoch };
        Self {
            epoch,
            role: Role::Standby,
            fit: false,
            shoots: false,
            request: PeerRequest::Leave,
            ..self
        }
    }
}

/// Names one state (role, fitness, request) of one boot.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Epoch {
    /// The boot.
    pub boot: Incarnation,
    /// Rises by one with every change of state.
    pub change: u32,
}

/// Names one life of a supervisor: its number in the life of the box, and two random bytes.
///
/// The random bytes tell lives apart whose number is the same because a journal was lost.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Incarnation(pub [u8; 4]);

impl Incarnation {
    /// The life that follows `before`.
    #[must_use]
    pub fn after(before: Self, random: [u8; 2]) -> Self {
        let [high, low] = before.number().wrapping_add(1).to_be_bytes();
        let [one, other] = random;
        Self([high, low, one, other])
    }

    /// Whether this life began after `other`, if both belong to one box: half of the numbers lie ahead (RFC 1982).
    pub const fn is_after(self, other: Self) -> bool {
        matches!(self.number().wrapping_sub(other.number()), 1..0x8000)
    }

    const fn number(self) -> u16 {
        let [high, low, ..] = self.0;
        u16::from_be_bytes([high, low])
    }
}

/// The number of the last takeover in the life of the pair.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
pub struct Term(pub u32);

/// The fixed rank of a box; the box with the higher one is home.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Priority(pub u8);

/// A total order of the two boxes, even when a wrong configuration gives both the same priority.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rank(Priority, bool);

impl Rank {
    /// The rank of `box_` at `priority`.
    pub const fn new(priority: Priority, id: BoxId) -> Self {
        Self(priority, matches!(id, BoxId::First))
    }
}

/// What a box is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Role {
    /// Just born: lets go of what an earlier life may have left, then listens.
    #[default]
    Init,
    /// Holds nothing, and is ready to.
    Standby,
    /// Makes sure that the peer holds nothing.
    Fencing,
    /// Holds the resources, and starts them.
    Starting,
    /// Holds the resources.
    Active,
    /// Holds the resources, and stops them.
    Stopping,
    /// Gave up the resources because they failed here.
    Failed,
}

impl Role {
    /// Every role, in the order of its declaration, which is that of the wire.
    pub const ALL: [Self; 7] = [
        Self::Init,
        Self::Standby,
        Self::Fencing,
        Self::Starting,
        Self::Active,
        Self::Stopping,
        Self::Failed,
    ];

    /// Whether something may run here that must run on one box only.
    pub const fn holds_resources(self) -> bool {
        matches!(self, Self::Starting | Self::Active | Self::Stopping)
    }
}

/// What a box asks of the other one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum PeerRequest {
    /// Nothing: priority decides.
    Nothing,
    /// To take the resources which it has just given up.
    HandOver,
    /// To serve in its stead for as long as an operator wants it.
    Standby,
    /// To give it the resources, and to leave them there: an operator wants it.
    Claim,
    /// To serve in its stead, and not to wonder at its silence: it is about to leave.
    Leave,
    /// To cut its power: it could not release what it holds.
    Fence,
    /// To leave everything as it is, even when it fails.
    Maintenance,
}

impl PeerRequest {
    /// Every request, in the order of its declaration, which is that of the wire.
    pub const ALL: [Self; 7] = [
        Self::Nothing,
        Self::HandOver,
        Self::Standby,
        Self::Claim,
        Self::Leave,
        Self::Fence,
        Self::Maintenance,
    ];

    /// Whether the speaker, while it is standby, leaves the resources to the listener.
    pub const fn yields(self) -> bool {
        matches!(self, Self::HandOver | Self::Standby | Self::Leave)
    }
}

/// The first bytes of a hash over what both boxes must have in common.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Fingerprint(pub [u8; 4]);

impl Fingerprint {
    /// The first bytes of the SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(bytes));
        Self([a, b, c, d])
    }
}

/// A set of links.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct LinkSet(u8);

impl LinkSet {
    /// The set with `link` put in or taken out.
    #[must_use]
    pub const fn with(self, link: LinkId, present: bool) -> Self {
        let bit = 1 << link.index();
        if present { Self(self.0 | bit) } else { Self(self.0 & !bit) }
    }

    /// Whether `link` is in the set.
    pub const fn contains(self, link: LinkId) -> bool {
        self.0 & (1 << link.index()) != 0
    }

    /// Whether no link is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The links of the set, in the order of the configuration.
    pub fn iter(self) -> impl Iterator<Item = LinkId> {
        (0..LINKS_MAX).filter_map(LinkId::new).filter(move |link| self.contains(*link))
    }
}

const _: () = assert!(LINKS_MAX <= 8, "a set of links is one byte");
