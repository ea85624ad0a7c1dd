//! What stands on the wire? A heartbeat, and in some worlds its very bytes, which can be damaged.
//!
//! Where nothing damages a byte the heartbeat stands for its bytes, which saves time, and rounds that are like each other
//! can be left out. Where bytes travel they are those of the product's own codec, numbered and signed.

use std::fmt;

use firmware_agnostic::frame::{self, FRAME_MAX, FrameError, Key, Keys, PairId, VERSION};
use firmware_agnostic::heartbeat::Heartbeat;
use firmware_agnostic::identity::LinkId;
use firmware_agnostic::reception::Reception;
use firmware_agnostic::time::Instant;

use super::random::Random;

/// What was said, and what became of it on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// What was said.
    pub heartbeat: Heartbeat,
    /// The release of the supervisor that said it, counted from that of the product.
    pub release: i8,
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

    /// Whether a supervisor of `release` understands the version in which this was said: its own and the one before.
    pub const fn is_understood_by(&self, release: i8) -> bool {
        matches!(release - self.release, 0 | 1)
    }
}

/// One end of all cables: what a supervisor writes, and how it reads.
pub struct Mailbox {
    release: i8,
    /// There is one if bytes travel.
    codec: Option<Codec>,
}

struct Codec {
    keys: Keys,
    pair: PairId,
    reception: Reception,
    number: u32,
}

impl Mailbox {
    /// The end of a supervisor of `release`; `bytes` tells whether bytes travel.
    pub fn new(release: i8, bytes: bool) -> Self {
        Self { release, codec: bytes.then(Codec::new) }
    }

    /// Whether `said` is of a version that is understood here.
    pub const fn understands(&self, said: &Said) -> bool {
        said.is_understood_by(self.release)
    }

    /// Puts `heartbeat` into words.
    pub fn write(&mut self, heartbeat: Heartbeat) -> Said {
        let bytes = self.codec.as_mut().map(|codec| {
            codec.number = codec.number.wrapping_add(1);
            Bytes::of(&frame::encode(codec.number, &heartbeat, &codec.keys, codec.pair))
        });
        Said { heartbeat, release: self.release, damaged: false, bytes }
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
        match (&mut self.codec, said.bytes) {
            (Some(codec), Some(mut bytes)) => {
                if !understood {
                    bytes.text[0] = VERSION.wrapping_add_signed(said.release - self.release);
                }
                codec.reception.receive(link, bytes.get(), now)
            }
            _ if !understood => Err(FrameError::Version),
            _ if said.damaged => Err(FrameError::WrongKey),
            _ => Ok(said.heartbeat),
        }
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("release", &self.release).finish_non_exhaustive()
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
        Self { reception: Reception::new(keys.clone(), pair), keys, pair, number: 0 }
    }
}

/// The longest frame, and what a damaged one has too many.
const ROOM: usize = FRAME_MAX + 8;
