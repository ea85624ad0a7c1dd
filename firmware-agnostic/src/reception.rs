//! What came by each link: replays are refused, losses counted.
//!
//! Every boot numbers its frames, the same number on every link. A number that a link has seen, or that is
//! older than one it has seen, is a replay. Recent boots are remembered with their numbers, so that
//! a recording of an earlier boot is a replay as well.

use core::time::Duration;

use heapless::Vec;

use crate::frame::{self, FrameError, Keys, PairId, Version};
use crate::heartbeat::{Boot, Heartbeat};
use crate::identity::{LINKS_MAX, LinkId};
use crate::time::Instant;

/// The receiving end of all links.
#[derive(Clone)]
pub struct Reception {
    keys: Keys,
    pair: PairId,
    boots: Vec<Numbers, BOOTS_MAX>,
    links: [Statistics; LINKS_MAX],
    speaks: Version,
    signed_with: Option<u8>,
}

impl Reception {
    /// The receiving end for frames of `pair` that are signed with one of `keys`.
    pub fn new(keys: Keys, pair: PairId) -> Self {
        let links = [Statistics::NONE; LINKS_MAX];
        Self { keys, pair, boots: Vec::new(), links, speaks: Version::NEWEST, signed_with: None }
    }

    /// Goes on with other keys, and with `links`: for each one its place so far.
    pub fn reload(&mut self, keys: Keys, links: &[Option<LinkId>]) {
        self.keys = keys;
        self.links = moved(&self.links, links, Statistics::NONE);
        for numbers in &mut self.boots {
            numbers.last = moved(&numbers.last, links, None);
        }
    }

    /// Reads what came by `link`.
    ///
    /// # Errors
    ///
    /// The cause for which it was dropped, and counted.
    pub fn receive(
        &mut self,
        link: LinkId,
        bytes: &[u8],
        now: Instant,
    ) -> Result<Heartbeat, FrameError> {
        let read = frame::decode(bytes, &self.keys, self.pair)
            .and_then(|word| Ok((self.missing(link, word.number, &word.heartbeat)?, word)));
        let statistics = &mut self.links[link.place()];
        match read {
            Ok((missing, word)) => {
                statistics.heard(missing, now);
                self.speaks = word.version;
                self.signed_with = frame::signer(bytes);
                Ok(word.heartbeat)
            }
            Err(cause) => {
                let count = &mut statistics.dropped[cause as usize];
                *count = count.saturating_add(1);
                Err(cause)
            }
        }
    }

    /// The version of the protocol in which the last word came.
    pub const fn speaks(&self) -> Version {
        self.speaks
    }

    /// What the key is called that signed the last word.
    pub const fn signed_with(&self) -> Option<u8> {
        self.signed_with
    }

    /// What is known of `link`.
    pub const fn statistics(&self, link: LinkId) -> &Statistics {
        &self.links[link.place()]
    }

    /// How many frames were lost before this one, unless it is a replay.
    fn missing(
        &mut self,
        link: LinkId,
        number: u32,
        heartbeat: &Heartbeat,
    ) -> Result<u32, FrameError> {
        let boot = heartbeat.epoch.boot;
        if !self.boots.iter().any(|known| known.boot == boot) {
            if self.boots.is_full() {
                self.boots.remove(0);
            }
            // There is room: whoever was silent for longest has just gone.
            let _ = self.boots.push(Numbers { boot, last: [None; LINKS_MAX] });
        }
        let Some(place) = self.boots.iter().position(|known| known.boot == boot) else {
            return Err(FrameError::Replayed);
        };
        let Some(numbers) = self.boots.get_mut(place) else { return Err(FrameError::Replayed) };
        let last = &mut numbers.last[link.place()];
        let missing = match *last {
            None => 0,
            Some(last) => match number.wrapping_sub(last) {
                // Half of the numbers lie ahead, the other half behind (RFC 1982).
                0 | 0x8000_0000.. => return Err(FrameError::Replayed),
                ahead => ahead - 1,
            },
        };
        *last = Some(number);
        self.boots[place..].rotate_left(1);
        Ok(missing)
    }
}

/// What is known of one link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Statistics {
    /// Frames that were read.
    pub received: u64,
    /// Frames that never came, by the gaps in their numbers.
    pub lost: u64,
    /// When the last frame came.
    pub heard_at: Option<Instant>,
    /// The longest time between two frames.
    pub largest_gap: Duration,
    /// Frames that were dropped, by cause, in the order of [`FrameError::ALL`].
    pub dropped: [u32; FrameError::ALL.len()],
}

impl Statistics {
    const NONE: Self = Self {
        received: 0,
        lost: 0,
        heard_at: None,
        largest_gap: Duration::ZERO,
        dropped: [0; FrameError::ALL.len()],
    };

    fn heard(&mut self, missing: u32, now: Instant) {
        if let Some(before) = self.heard_at {
            self.largest_gap = self.largest_gap.max(now - before);
        }
        self.heard_at = Some(now);
        self.received += 1;
        self.lost += u64::from(missing);
    }
}

/// What is known of each link, where `places` tells which one it was.
fn moved<T: Copy>(known: &[T; LINKS_MAX], places: &[Option<LinkId>], new: T) -> [T; LINKS_MAX] {
    let mut moved = [new; LINKS_MAX];
    for (to, from) in moved.iter_mut().zip(places) {
        *to = from.map_or(new, |link| known[link.place()]);
    }
    moved
}

#[derive(Clone, Debug)]
struct Numbers {
    boot: Boot,
    last: [Option<u32>; LINKS_MAX],
}

/// A peer that boots more often than this while this box runs has other troubles than a replay.
const BOOTS_MAX: usize = 32;
