//! Heartbeats as bytes.
//!
//! ```text
//! byte     0        1       2..4       4..n-16                 n-16..n
//!        version  key id  pair id   number and heartbeat    authentication
//! ```
//!
//! The body is postcard; the authentication is HMAC-SHA256 (RFC 2104) cut to its first 16 bytes, over all
//! that stands before it, so it is the checksum as well. Several keys can be valid at once, which is how
//! a key is changed without a lost heartbeat. On byte streams a frame is COBS-encoded (Cheshire and Baker,
//! 1999) between two zero bytes: after any noise, the next zero begins anew.
//!
//! **Version policy.** A box understands the two newest versions, and speaks the newer one that its peer speaks; so
//! the boxes of a pair are upgraded one after the other, in any order. The bytes of a version are fixed for ever by
//! the files under `tests/wire/`; a new field is a new version.
//!
//! | version | tells, beyond the one before |
//! |---|---|
//! | 1 | who, epoch, role, rank, term, fitness, request, configuration, the epoch that was heard; no longer understood |
//! | 2 | whether the witness answers, whether the listener is being shot, which machine speaks |
//! | 3 | the newest frame of the listener that was heard, on one link after the other, and how long ago |
//!
//! One bit of version 3 was taken into use later: [`Heartbeat::restarts`]. Only guards set it, which a box that
//! does not know it need not hear.
//!
//! The pieces of letters ([`letter`](crate::letter)) travel in frames of the same form, whose first byte is no
//! version of this list, and whose keys are derived from those of the heartbeats.

use core::fmt;
use core::time::Duration;

use heapless::Vec;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::heartbeat::Heartbeat;
use crate::identity::LinkId;

mod keys;
mod v2;
mod v3;

pub(crate) use keys::{Derived, HASH};
pub use keys::{KEYS_MAX, Key, Keys};

/// A version of the protocol: the first byte of each frame.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Version {
    /// The second.
    Two = 2,
    /// The third.
    Three = 3,
}

impl Version {
    /// What a box speaks to a peer of which nothing is known yet.
    pub const NEWEST: Self = Self::Three;
    /// Those that a box understands.
    pub const ALL: [Self; 2] = [Self::Two, Self::Three];

    /// The versions in which to say the `number`th word to a peer that speaks `self`.
    ///
    /// To a peer that speaks an older one the newest is tried now and then: both may be able to, by now.
    pub fn to_say(self, number: u32) -> impl Iterator<Item = Self> {
        let tries = self != Self::NEWEST && number.is_multiple_of(TRY);
        tries.then_some(Self::NEWEST).into_iter().chain([self])
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|version| *version as u8 == byte)
    }
}

/// A frame: what a datagram holds.
pub type Frame = Vec<u8, FRAME_MAX>;

/// What a frame says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Message {
    /// The version in which it is said.
    pub version: Version,
    /// It is the `number`th of this boot.
    pub number: u32,
    /// The heartbeat.
    pub heartbeat: Heartbeat,
    /// The newest frame of the listener that the speaker has heard, from version 3 on.
    pub echo: Option<Echo>,
}

impl Message {
    /// The next word, by a guard that hears nobody: it echoes what was echoed last, and does not know how long ago
    /// that came.
    ///
    /// To a peer of an older version nothing can be said, which takes every word for a proof of life.
    pub fn of_guard(self, heartbeat: Heartbeat) -> Option<Self> {
        let echo = self.echo.map(|echo| Echo { held: u8::MAX, ..echo });
        let number = self.number.wrapping_add(1);
        (self.version == Version::Three).then_some(Self { number, heartbeat, echo, ..self })
    }
}

/// What a box says of a frame that it has heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Echo {
    /// The link by which it came.
    pub link: LinkId,
    /// The low 24 bits of its number.
    pub number: u32,
    /// How long ago it came, in units of [`HELD`] rounded down; 255 is that or longer.
    pub held: u8,
}

impl Echo {
    /// The echo of the frame `number`, which came by `link` so long ago.
    pub fn new(link: LinkId, number: u32, held: Duration) -> Self {
        let held = u8::try_from(held.as_micros() / HELD.as_micros()).unwrap_or(u8::MAX);
        Self { link, number: number & NUMBER_MAX, held }
    }
}

/// Writes the frame that says `message`. What its version has no words for stays unsaid.
pub fn encode(message: &Message, keys: &Keys, pair: PairId) -> Frame {
    let mut buffer = [0; BODY_MAX];
    let body = match message.version {
        Version::Two => postcard::to_slice(&v2::Body::from(message), &mut buffer),
        Version::Three => postcard::to_slice(&v3::Body::from(message), &mut buffer),
    };
    let body = body.expect("BODY_MAX holds the largest body");
    let key = keys.signing();
    let mut frame = begin(message.version as u8, key, pair);
    add(&mut frame, body);
    let tag = key.sign(&frame);
    add(&mut frame, &tag);
    frame
}

/// Reads a frame.
///
/// # Errors
///
/// The cause for which the frame is to be dropped.
pub fn decode(frame: &[u8], keys: &Keys, pair: PairId) -> Result<Message, FrameError> {
    let Unchecked { first: version, key, signed, body, tag } =
        take_apart(frame, keys, pair, Version::from_byte)?;
    key.verify(signed, tag)?;
    let read = match version {
        Version::Two => whole::<v2::Body>(body).and_then(|body| Message::try_from(body).ok()),
        Version::Three => whole::<v3::Body>(body).and_then(|body| Message::try_from(body).ok()),
    };
    read.ok_or(FrameError::Malformed)
}

/// What the key is called that signs `frame`.
pub(crate) fn signer(frame: &[u8]) -> Option<u8> {
    let [_, key, ..] = *frame.first_chunk::<HEADER>()?;
    Some(key)
}

/// Begins a frame: its header, whose first byte is `first`.
pub(crate) fn begin(first: u8, key: &Key, pair: PairId) -> Frame {
    let [pair_high, pair_low] = pair.0;
    let mut frame = Frame::new();
    add(&mut frame, &[first, key.id(), pair_high, pair_low]);
    frame
}

/// Adds `bytes` to a frame that has room for them, as each one has that this program makes.
pub(crate) fn add(frame: &mut Frame, bytes: &[u8]) {
    frame.extend_from_slice(bytes).expect("FRAME_MAX holds the largest frame");
}

/// A frame of this pair whose authentication has not been checked yet.
pub(crate) struct Unchecked<'f, 'k, T> {
    /// What the first byte means.
    pub(crate) first: T,
    /// The key that the frame names.
    pub(crate) key: &'k Key,
    /// All but the authentication.
    pub(crate) signed: &'f [u8],
    /// What stands between the header and the authentication.
    pub(crate) body: &'f [u8],
    /// The authentication.
    pub(crate) tag: &'f [u8; TAG],
}

/// Takes a frame apart. `known` tells what the first byte means, if it means anything here.
pub(crate) fn take_apart<'f, 'k, T>(
    frame: &'f [u8],
    keys: &'k Keys,
    pair: PairId,
    known: impl FnOnce(u8) -> Option<T>,
) -> Result<Unchecked<'f, 'k, T>, FrameError> {
    if frame.len() > FRAME_MAX {
        return Err(FrameError::Oversized);
    }
    let (signed, tag) = frame.split_last_chunk::<TAG>().ok_or(FrameError::Truncated)?;
    let (header, body) = signed.split_first_chunk::<HEADER>().ok_or(FrameError::Truncated)?;
    let [first, key, pair_high, pair_low] = *header;
    let first = known(first).ok_or(FrameError::Version)?;
    if PairId([pair_high, pair_low]) != pair {
        return Err(FrameError::Foreign);
    }
    let key = keys.get(key).ok_or(FrameError::WrongKey)?;
    Ok(Unchecked { first, key, signed, body, tag })
}

pub(crate) fn whole<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(body) {
        Ok((read, [])) => Some(read),
        _ => None,
    }
}

/// Why a frame was dropped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FrameError {
    /// Too short to be a frame.
    Truncated,
    /// Too long to be a frame.
    Oversized,
    /// Of a version that this box does not understand.
    Version,
    /// Of another pair.
    Foreign,
    /// Signed with a key that this box does not have, or not signed at all.
    WrongKey,
    /// Signed, and yet not a heartbeat: a fault of the peer's program.
    Malformed,
    /// Was here before.
    Replayed,
}

impl FrameError {
    /// Every cause, in the order of its declaration.
    pub const ALL: [Self; 7] = [
        Self::Truncated,
        Self::Oversized,
        Self::Version,
        Self::Foreign,
        Self::WrongKey,
        Self::Malformed,
        Self::Replayed,
    ];

    /// The one word for it, as status and log have it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Oversized => "oversized",
            Self::Version => "version",
            Self::Foreign => "foreign",
            Self::WrongKey => "wrong_key",
            Self::Malformed => "malformed",
            Self::Replayed => "replayed",
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "too short for a frame",
            Self::Oversized => "too long for a frame",
            Self::Version => "of a protocol version that this box does not speak",
            Self::Foreign => "of another pair",
            Self::WrongKey => "not signed with any key of this pair",
            Self::Malformed => "signed, and yet unreadable",
            Self::Replayed => "was here before",
        })
    }
}

/// Names the pair, so that two pairs on one network do not read each other as an attack.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PairId([u8; 2]);

impl PairId {
    /// The first bytes of the SHA-256 of the pair's name.
    pub fn of(name: &str) -> Self {
        let [first, second, ..] = <[u8; 32]>::from(Sha256::digest(name.as_bytes()));
        Self([first, second])
    }
}

/// Encodes a frame for a byte stream: a zero, the frame in COBS, a zero.
pub fn enclose<'o>(frame: &[u8], out: &'o mut [u8; LINE_MAX]) -> &'o [u8] {
    let frame = frame.get(..FRAME_MAX).unwrap_or(frame);
    out[0] = 0;
    let length = cobs::try_encode(frame, &mut out[1..LINE_MAX - 1])
        .expect("COBS adds one byte to fewer than 255");
    out[1 + length] = 0;
    &out[..length + 2]
}

/// Finds the frames in a byte stream.
///
/// What came before the first zero is dropped, for its beginning is not known. What is longer than a frame, or is
/// not COBS, is given out as it is: nobody takes it for a frame, and it is counted.
#[derive(Clone, Debug)]
pub struct Deframer {
    bytes: Vec<u8, { FRAME_MAX + 2 }>,
    /// The last byte was a zero: what stands in `bytes` has been given out.
    whole: bool,
    /// No zero has come yet.
    lost: bool,
}

impl Deframer {
    /// A deframer that waits for the first zero.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), whole: false, lost: true }
    }

    /// Whether the last byte was one of a frame, of which more are to come.
    pub fn is_in_the_middle(&self) -> bool {
        !self.whole && !self.bytes.is_empty()
    }

    /// Takes in one byte, and gives the frame that it ends, if it ends one.
    pub fn push(&mut self, byte: u8) -> Option<&[u8]> {
        if self.whole {
            self.bytes.clear();
            self.whole = false;
        }
        if byte != 0 {
            // What is too long is kept up to where that can be seen.
            let _ = self.bytes.push(byte);
            return None;
        }
        self.whole = true;
        if core::mem::replace(&mut self.lost, false) || self.bytes.is_empty() {
            return None;
        }
        let whole = self.bytes.len();
        let length = if self.bytes.is_full() {
            whole
        } else {
            let mut decoded = self.bytes.clone();
            match cobs::decode_in_place(&mut decoded) {
                Ok(length) => {
                    self.bytes = decoded;
                    length
                }
                Err(_) => whole,
            }
        };
        self.bytes.get(..length)
    }
}

impl Default for Deframer {
    fn default() -> Self {
        Self::new()
    }
}

/// With the two zeros and the byte that COBS adds a frame is at most this long on the wire, so that a cable of
/// 9600 baud carries three a second within a third of its capacity.
pub const LINE_MAX: usize = 64;
/// The longest frame.
pub const FRAME_MAX: usize = LINE_MAX - 3;
/// Version, key id, pair id.
const HEADER: usize = 4;
/// RFC 2104 section 5 wants at least half of the hash.
pub(crate) const TAG: usize = 16;
/// What is left for what a frame says.
pub(crate) const BODY_MAX: usize = FRAME_MAX - HEADER - TAG;
/// The unit in which a box tells how long ago it has heard what it echoes.
pub const HELD: Duration = Duration::from_millis(4);
/// An echo has the low bits of a number only: they begin anew after more than a month of heartbeats.
pub(crate) const NUMBER_MAX: u32 = 0xff_ffff;
/// One word in so many is said in the newest version as well.
const TRY: u32 = 16;
