//! What stands on the wire? A heartbeat, and in some worlds its very bytes, which can be damaged.
//!
//! Where nothing damages a byte the heartbeat stands for its bytes, which saves time, and rounds that are like each other
//! can be left out. Where bytes travel they are those of the product's own codec, numbered and signed.

use std::fmt;

use firmware_agnostic::frame::{self, FRAME_MAX, FrameError, Key, Keys, PairId, Version, Word};
use firmware_agnostic::heartbeat::{Fingerprint, Heartbeat};
use firmware_agnostic::identity::LinkId;
use firmware_agnostic::reception::Reception;
use firmware_agnostic::time::Instant;

use super::random::Random;

/// What was said, and what became of it on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// What was said.
    pub heartbeat: Heartbeat,
    /// The version of the protocol in which it was said.
    version: i8,
    /// It is not as it was said any more.
    pub damaged: bool,
    bytes: Option<Bytes>,
}

impl Said {
    /// Turns some bits over, or cuts the end off, or adds to it.
    pub fn damage(&mut self, random: &mut Random) {
        self.damaged = true;
        if let Some(bytes) = &mut self.bytes {
            bytes.damage(random);
        }
    }
}

/// One end of all cables: what a supervisor writes, and how it reads.
pub struct Mailbox {
    /// The newest version that is spoken and understood here; the one before is too.
    newest: i8,
    /// The version in which the peer last spoke.
    speaks: i8,
    /// Words since then, or in all where bytes travel.
    number: u32,
    /// There is one if bytes travel.
    codec: Option<Codec>,
}

struct Codec {
    keys: Keys,
    pair: PairId,
    reception: Reception,
}

impl Mailbox {
    /// The end of a supervisor of `release`, counted from that of the product; `bytes` tells whether bytes travel.
    pub fn new(release: i8, bytes: bool) -> Self {
        let newest = PRODUCT + release;
        Self { newest, speaks: newest, number: 0, codec: bytes.then(Codec::new) }
    }

    /// Whether `said` is of a version that is understood here.
    pub const fn understands(&self, said: &Said) -> bool {
        matches!(self.newest - said.version, 0 | 1)
    }

    /// Whether a word is like the one before, whatever its number.
    pub const fn is_monotonous(&self) -> bool {
        self.codec.is_none() && self.speaks == self.newest
    }

    /// Puts `heartbeat` into words, in the versions in which the product would.
    pub fn write(&mut self, heartbeat: Heartbeat) -> Vec<Said> {
        self.number = self.number.wrapping_add(1);
        let known = if self.speaks == self.newest { Version::NEWEST } else { Version::One };
        let versions = known.to_say(self.number);
        let versions = versions.map(|version| self.newest - PRODUCT + version as i8);
        versions.map(|version| self.write_in(version, heartbeat)).collect()
    }

    fn write_in(&self, version: i8, heartbeat: Heartbeat) -> Said {
        let real = if version >= PRODUCT { Version::Two } else { Version::One };
        let bytes = self.codec.as_ref().map(|codec| {
            let word = Word { version: real, number: self.number, heartbeat };
            Bytes::of(&frame::encode(&word, &codec.keys, codec.pair))
        });
        let unsaid =
            Heartbeat { witness: true, shoots: false, system: Fingerprint::default(), ..heartbeat };
        let heartbeat = if real == Version::Two { heartbeat } else { unsaid };
        Said { heartbeat, version, damaged: false, bytes }
    }

    /// Reads what came by `link`.
    ///
    /// # Errors
    ///
    /// The cause for which it is dropped; a damaged heartbeat that has no bytes counts as not signed.
    pub fn read(
        &mut self,
        link: LinkId,
        said: &Said,
        now: Instant,
    ) -> Result<Heartbeat, FrameError> {
        let understood = self.understands(said);
        let read = match (&mut self.codec, said.bytes) {
            (Some(codec), Some(mut bytes)) => {
                if !understood {
                    bytes.text[0] = UNKNOWN;
                }
                codec.reception.receive(link, bytes.get(), now)
            }
            _ if !understood => Err(FrameError::Version),
            _ if said.damaged => Err(FrameError::WrongKey),
            _ => Ok(said.heartbeat),
        };
        if read.is_ok() && self.speaks != said.version {
            self.speaks = said.version;
            // As if all before had been left out.
            if self.codec.is_none() {
                self.number = 0;
            }
        }
        read
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("newest", &self.newest).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Bytes {
    text: [u8; ROOM],
    length: usize,
}

impl Bytes {
    fn of(frame: &[u8]) -> Self {
        let mut text = [0; ROOM];
        text[..frame.len()].copy_from_slice(frame);
        Self { text, length: frame.len() }
    }

    fn get(&self) -> &[u8] {
        &self.text[..self.length]
    }

    fn damage(&mut self, random: &mut Random) {
        match random.within(&(0..4)) {
            0 => self.length = random.within(&(0..self.length as u64)) as usize,
            1 => self.length += 1 + random.within(&(0..(ROOM - self.length) as u64)) as usize,
            _ => {
                // Each bit once, so that none turns back.
                let first = random.within(&(0..self.length as u64 * 8)) as usize;
                let count = 1 + random.within(&(0..4)) as usize;
                for bit in (first..self.length * 8).step_by(7).take(count) {
                    self.text[bit / 8] ^= 1 << (bit % 8);
                }
            }
        }
    }
}

impl Codec {
    fn new() -> Self {
        let key = Key::new(1, b"a secret of the simulated pair");
        let (keys, pair) = (Keys::new([key]).expect("one key is a ring"), PairId::of("simulated"));
        Self { reception: Reception::new(keys.clone(), pair), keys, pair }
    }
}

/// The newest version of the product.
const PRODUCT: i8 = Version::NEWEST as i8;
/// A version that nobody speaks.
const UNKNOWN: u8 = 0xee;
/// The longest frame, and what a damaged one has too many.
const ROOM: usize = FRAME_MAX + 8;
