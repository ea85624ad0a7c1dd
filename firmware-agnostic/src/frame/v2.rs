//! The body of version 2: each value that is one of a few stands in one small number.
//!
//! ```text
//! bits  0..3   3..6   6..9   9     10    11       12      13
//!       kind   role   asks   from  fit   witness  shoots  heard
//! ```

use serde::{Deserialize, Serialize};

use super::{Message, Version};
use crate::heartbeat::{
    Epoch, Fingerprint, Heartbeat, Incarnation, LinkSet, PeerRequest, Priority, Role, Term,
};
use crate::identity::BoxId;

#[derive(Deserialize, Serialize)]
pub(super) struct Body {
    number: u32,
    bits: u16,
    epoch: Epoch,
    priority: Priority,
    term: Term,
    config: Fingerprint,
    system: Fingerprint,
    /// Nothing but zeros if nothing was heard.
    heard: Epoch,
    hears: LinkSet,
}

impl From<&Message> for Body {
    fn from(message: &Message) -> Self {
        let said = &message.heartbeat;
        let flags =
            [said.from == BoxId::Second, said.fit, said.witness, said.shoots, said.heard.is_some()];
        let places = flags.into_iter().zip(FLAGS..);
        let flags = places.fold(0, |bits, (flag, place)| bits | u16::from(flag) << place);
        Self {
            number: message.number,
            bits: KIND | (said.role as u16) << ROLE | (said.request as u16) << ASKS | flags,
            epoch: said.epoch,
            priority: said.priority,
            term: said.term,
            config: said.config,
            system: said.system,
            heard: said.heard.unwrap_or(NOBODY),
            hears: said.hears,
        }
    }
}

impl TryFrom<Body> for Message {
    type Error = ();

    /// Fails for what no box says: it may be of a version that is to come.
    fn try_from(body: Body) -> Result<Self, ()> {
        let bits = body.bits;
        let flag = |place: u32| bits >> (FLAGS + place) & 1 != 0;
        let value = |place: u32| usize::from(bits >> place & VALUE);
        let heard = flag(4).then_some(body.heard);
        if value(0) != usize::from(KIND)
            || bits >> BITS != 0
            || heard.is_none() && body.heard != NOBODY
        {
            return Err(());
        }
        let heartbeat = Heartbeat {
            from: if flag(0) { BoxId::Second } else { BoxId::First },
            epoch: body.epoch,
            role: *Role::ALL.get(value(ROLE)).ok_or(())?,
            priority: body.priority,
            term: body.term,
            fit: flag(1),
            witness: flag(2),
            shoots: flag(3),
            restarts: false,
            request: *PeerRequest::ALL.get(value(ASKS)).ok_or(())?,
            config: body.config,
            system: body.system,
            heard,
            hears: body.hears,
        };
        Ok(Self { version: Version::Two, number: body.number, heartbeat, echo: None })
    }
}

/// There is one kind of heartbeat yet.
const KIND: u16 = 0;
const ROLE: u32 = 3;
const ASKS: u32 = 6;
const FLAGS: u32 = 9;
/// The bits in use.
const BITS: u32 = 14;
/// A kind, a role or a request takes three bits.
const VALUE: u16 = 0b111;
const NOBODY: Epoch = Epoch { boot: Incarnation([0; 4]), change: 0 };

const _: () =
    assert!(Role::ALL.len() <= 8 && PeerRequest::ALL.len() <= 8, "three bits hold eight values");
