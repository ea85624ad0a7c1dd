//! Carries what stands on the wire: a heartbeat, and in some worlds its very bytes, which can be damaged.
//!
//! Where nothing damages a byte the heartbeat stands for its bytes, which saves time, and rounds that are like each
//! other can be left out. Where bytes travel they are those of the product's own codec, numbered and signed.

use std::collections::BTreeMap;
use std::fmt;

use firmware_agnostic::frame::{self, FRAME_MAX, FrameError, Key, Keys, Message, PairId, Version};
use firmware_agnostic::heartbeat::{Heartbeat, Incarnation};
use firmware_agnostic::identity::LinkId;
use firmware_agnostic::receiver::{Heard, Reception};
use firmware_agnostic::time::Instant;

use super::fault_model::SECOND;
use super::random::Random;

/// Which supervisor a box has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Release {
    /// The one before: it knows only the first version of the protocol.
    Before,
    /// This one.
    Present,
    /// One that is so far away that the two have no version in common.
    Foreign,
}

/// What was said, and what became of it on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// What can be heard of what was said.
    pub heartbeat: Heartbeat,
    /// Nobody but a supervisor of this release understands it, if there is one.
    only: Option<Release>,
    /// It is not as it was said any more.
    pub damaged: bool,
    /// When it was said, in microseconds of the world.
    pub at: u64,
    /// When the listener said the newest of what the speaker had heard of it.
    pub echo: Option<u64>,
    bytes: Option<Bytes>,
}

impl Said {
    /// The same, said and heard so much later.
    #[must_use]
    pub fn later(self, micros: u64) -> Self {
        let echo = self.echo.map(|at| at.wrapping_add(micros));
        Self { at: self.at.wrapping_add(micros), echo, ..self }
    }

    /// When the listener said the newest of what the speaker had heard of it, as far as these words can tell: the
    /// version before tells only which links are heard.
    pub fn proof(&self) -> Option<u64> {
        let old = self.bytes.is_some_and(|bytes| bytes.text[0] == Version::Two as u8);
        self.echo.filter(|_| !old || !self.heartbeat.hears.is_empty())
    }

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
    release: Release,
    keys: Keys,
    pair: PairId,
    reception: Reception,
    number: u32,
    /// What was said last, in its last version, and its words.
    last: Option<(Said, Option<Message>)>,
    /// When the newest word was said of each life that was heard of late.
    newest: BTreeMap<[u8; 4], u64>,
}

impl Mailbox {
    /// The end of a supervisor of `release`.
    pub fn new(release: Release) -> Self {
        let key = Key::new(1, b"a secret of the simulated pair");
        let keys = Keys::new([key]).expect("one key is a ring");
        let pair = PairId::of("simulated");
        let (reception, newest) = (Reception::new(keys.clone(), pair), BTreeMap::new());
        Self { release, reception, keys, pair, number: 0, last: None, newest }
    }

    /// How long ago the newest word of each life was said.
    pub fn ages(&self, now: u64) -> Vec<([u8; 4], u64)> {
        self.newest.iter().map(|(life, at)| (*life, now - at)).collect()
    }

    /// All that was heard was said so much later.
    pub fn skip(&mut self, micros: u64) {
        self.newest.values_mut().for_each(|at| *at += micros);
    }

    /// Whether `said` is of a version that is understood here.
    pub fn understands(&self, said: &Said) -> bool {
        let old = said.bytes.is_none_or(|bytes| bytes.text[0] == Version::Two as u8);
        match self.release {
            Release::Present => said.only != Some(Release::Foreign),
            Release::Before => said.only != Some(Release::Foreign) && old,
            Release::Foreign => said.only == Some(Release::Foreign),
        }
    }

    /// Puts `heartbeat` into words, in one version or two; `bytes` tells whether bytes travel. It is `now` in the
    /// world, and `local` here.
    pub fn write(
        &mut self,
        heartbeat: Heartbeat,
        bytes: bool,
        now: u64,
        local: Instant,
    ) -> Vec<Said> {
        let only = Some(self.release).filter(|release| *release == Release::Foreign);
        self.newest.retain(|_, at| *at + REMEMBERED > now);
        let heard = heartbeat.heard.map(|epoch| epoch.boot);
        let echo = heard.and_then(|Incarnation(life)| self.newest.get(&life)).copied();
        let said = Said { heartbeat, only, damaged: false, at: now, echo, bytes: None };
        if !bytes {
            self.last = Some((said, None));
            return vec![said];
        }
        // Only what has bytes has a number, so that rounds without bytes can be left out.
        self.number = self.number.wrapping_add(1);
        let versions: Vec<Version> = match self.release {
            Release::Before => vec![Version::Two],
            Release::Present => self.reception.speaks().to_say(self.number).collect(),
            Release::Foreign => vec![Version::NEWEST],
        };
        let echo = self.reception.send(self.number, heard, local);
        let words = versions.into_iter().map(|version| {
            let word = Message { version, number: self.number, heartbeat, echo };
            let frame = frame::encode(&word, &self.keys, self.pair);
            // What a version has no words for is not heard.
            let heard = frame::decode(&frame, &self.keys, self.pair);
            let heartbeat = heard.expect("what is written can be read").heartbeat;
            let said = Said { heartbeat, bytes: Some(Bytes::of(&frame)), ..said };
            self.last = Some((said, Some(word)));
            said
        });
        words.collect()
    }

    /// What was said last.
    pub fn last(&self) -> Option<Heartbeat> {
        self.last.map(|(said, _)| said.heartbeat)
    }

    /// Puts into words what a guard says when this end has said its last, if there are words for it.
    pub fn write_for_guard(&mut self, heartbeat: Heartbeat, now: u64) -> Option<Said> {
        let (said, word) = self.last?;
        let said = Said { heartbeat, at: now, ..said };
        let Some(word) = word else { return Some(said) };
        let word = word.of_guard(heartbeat)?;
        self.last = Some((said, Some(word)));
        let frame = frame::encode(&word, &self.keys, self.pair);
        Some(Said { bytes: Some(Bytes::of(&frame)), ..said })
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
        local: impl Fn(u64) -> Instant,
        now: u64,
    ) -> Result<Heard, FrameError> {
        let understood = self.understands(said);
        let read = match said.bytes {
            Some(mut bytes) => {
                if !understood {
                    bytes.text[0] = u8::MAX;
                }
                self.reception.receive(link, bytes.get(), local(now))
            }
            None if !understood => Err(FrameError::Version),
            None if said.damaged => Err(FrameError::WrongKey),
            None => {
                let remembered = |at: &u64| *at + REMEMBERED > now;
                let proof = said.echo.filter(remembered).map(local);
                Ok(Heard { heartbeat: said.heartbeat, proof })
            }
        };
        if let Ok(heard) = &read {
            let Incarnation(life) = heard.heartbeat.epoch.boot;
            let newest = self.newest.entry(life).or_insert(said.at);
            *newest = said.at.max(*newest);
        }
        read
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

/// A box remembers for so long what it said and heard: longer than any deadtime here.
const REMEMBERED: u64 = 30 * SECOND;
/// The longest frame, and what a damaged one has too many.
const ROOM: usize = FRAME_MAX + 8;
