//! The body of version 3: every field has its fixed place, in 41 bytes.
//!
//! ```text
//! byte  0        4      7      11       15         16     20       24       28      32       36      37      40
//!       number   bits   life   change   priority   term   config   system   heard   change   hears   echo    held
//!
//! bits  0..3   3..6      6      7     8         9        10      11       12..15   15         16..24
//!       role   request   from   fit   witness   shoots   heard   echoes   link     restarts   zero
//! ```
//!
//! Numbers are little-endian. What is absent is nothing but zeros.

use serde::{Deserialize, Serialize};

use super::{Echo, Message, Version};
use crate::heartbeat::{
    Epoch, Fingerprint, Heartbeat, Incarnation, LinkSet, PeerRequest, Priority, Role, Term,
};
use crate::identity::{BoxId, LinkId};

#[derive(Deserialize, Serialize)]
pub(super) struct Body {
    number: [u8; 4],
    bits: [u8; 3],
    epoch: Fixed,
    priority: Priority,
    term: [u8; 4],
    config: Fingerprint,
    system: Fingerprint,
    heard: Fixed,
    hears: LinkSet,
    echo: [u8; 3],
    held: u8,
}

/// An epoch that always takes as many bytes.
#[derive(Clone, Copy, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Fixed {
    boot: [u8; 4],
    change: [u8; 4],
}

impl From<&Message> for Body {
    fn from(message: &Message) -> Self {
        let said = &message.heartbeat;
        let (from, echoes) = (said.from == BoxId::Second, message.echo.is_some());
        let flags = [from, said.fit, said.witness, said.shoots, said.heard.is_some(), echoes];
        let places = flags.into_iter().zip(FLAGS..);
        let flags = places.fold(0, |bits, (flag, place)| bits | u32::from(flag) << place);
        let link = message.echo.map_or(0, |echo| echo.link.index() as u32);
        let restarts = u32::from(said.restarts) << RESTARTS;
        let bits =
            said.role as u32 | (said.request as u32) << ASKS | flags | link << LINK | restarts;
        let [low, middle, high, _] = bits.to_le_bytes();
        let [first, second, third, _] = message.echo.map_or(0, |echo| echo.number).to_le_bytes();
        Self {
            number: message.number.to_le_bytes(),
            bits: [low, middle, high],
            epoch: said.epoch.into(),
            priority: said.priority,
            term: said.term.0.to_le_bytes(),
            config: said.config,
            system: said.system,
            heard: said.heard.map(Fixed::from).unwrap_or_default(),
            hears: said.hears,
            echo: [first, second, third],
            held: message.echo.map_or(0, |echo| echo.held),
        }
    }
}

impl TryFrom<Body> for Message {
    type Error = ();

    /// Fails for what no box says: it may be of a version that is to come.
    fn try_from(body: Body) -> Result<Self, ()> {
        let [low, middle, high] = body.bits;
        let bits = u32::from_le_bytes([low, middle, high, 0]);
        let flag = |place: u32| bits >> (FLAGS + place) & 1 != 0;
        let value = |place: u32| (bits >> place & VALUE) as usize;
        let [first, second, third] = body.echo;
        let number = u32::from_le_bytes([first, second, third, 0]);
        let heard = flag(4).then_some(body.heard);
        let echo = if flag(5) {
            let link = LinkId::new(value(LINK)).ok_or(())?;
            Some(Echo { link, number, held: body.held })
        } else {
            None
        };
        let nothing = value(LINK) == 0 && number == 0 && body.held == 0;
        if bits >> BITS != 0
            || heard.is_none() && body.heard != Fixed::default()
            || echo.is_none() && !nothing
        {
            return Err(());
        }
        let heartbeat = Heartbeat {
            from: if flag(0) { BoxId::Second } else { BoxId::First },
            epoch: body.epoch.into(),
            role: *Role::ALL.get(value(0)).ok_or(())?,
            priority: body.priority,
            term: Term(u32::from_le_bytes(body.term)),
            fit: flag(1),
            witness: flag(2),
            shoots: flag(3),
            restarts: bits >> RESTARTS & 1 != 0,
            request: *PeerRequest::ALL.get(value(ASKS)).ok_or(())?,
            config: body.config,
            system: body.system,
            heard: heard.map(Epoch::from),
            hears: body.hears,
        };
        let number = u32::from_le_bytes(body.number);
        Ok(Self { version: Version::Three, number, heartbeat, echo })
    }
}

impl From<Epoch> for Fixed {
    fn from(epoch: Epoch) -> Self {
        Self { boot: epoch.boot.0, change: epoch.change.to_le_bytes() }
    }
}

impl From<Fixed> for Epoch {
    fn from(fixed: Fixed) -> Self {
        Self { boot: Incarnation(fixed.boot), change: u32::from_le_bytes(fixed.change) }
    }
}

const ASKS: u32 = 3;
const FLAGS: u32 = 6;
const LINK: u32 = 12;
/// Only guards set it. A box that does not know it drops the frame, and is where it was: it hears nothing.
const RESTARTS: u32 = 15;
/// The bits in use.
const BITS: u32 = 16;
/// A role, a request or a link takes three bits.
const VALUE: u32 = 0b111;

const _: () =
    assert!(Role::ALL.len() <= 8 && PeerRequest::ALL.len() <= 8, "three bits hold eight values");
