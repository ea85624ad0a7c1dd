//! Reads what came by each link: refuses replays, counts losses, and tells what the peer has heard of this box.
//!
//! Every life numbers its frames, the same number on every link. A number that a link has seen, that is older than
//! one it has seen, or that is far behind what another link has brought, is a replay. Recent lives are remembered
//! with their numbers.
//!
//! Each frame names the newest frame of this box that its sender had heard ([`Echo`]). The time at which this box
//! sent that one is the proof that the sender ran after it ([`Heard::proof`]). A recording of an earlier time has
//! no proof, because what it names was sent too long ago to be remembered here.

use core::time::Duration;

use heapless::Vec;

use crate::frame::{self, Echo, FrameError, HELD, Keys, NUMBER_MAX, PairId, Version};
use crate::heartbeat::{Heartbeat, Incarnation};
use crate::identity::{BoxId, LINKS_MAX, LinkId};
use crate::time::Instant;

/// A heartbeat, and when its speaker surely lived.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Heard {
    /// What was said.
    pub heartbeat: Heartbeat,
    /// When this box said the newest of what the speaker had heard of it, unless that is long ago or not known.
    pub proof: Option<Instant>,
}

/// The receiving end of all links.
#[derive(Clone)]
pub struct Reception {
    owner: Option<BoxId>,
    keys: Keys,
    pair: PairId,
    boots: Vec<Numbers, BOOTS_MAX>,
    links: [Statistics; LINKS_MAX],
    speaks: Version,
    signed_with: Option<u8>,
    sent: Sent,
}

impl Reception {
    /// The receiving end for frames of `pair` that are signed with one of `keys`.
    pub fn new(keys: Keys, pair: PairId) -> Self {
        let links = [Statistics::NONE; LINKS_MAX];
        let (speaks, sent) = (Version::NEWEST, Sent::default());
        Self { owner: None, keys, pair, boots: Vec::new(), links, speaks, signed_with: None, sent }
    }

    /// The same of the box `owner`: its own words that come back tell nothing of the peer. A network gives back each
    /// broadcast, and a cable that is a loop everything.
    #[must_use]
    pub fn of(self, owner: BoxId) -> Self {
        Self { owner: Some(owner), ..self }
    }

    /// Notes that this box says the frame `number` now, and tells what it should echo to the life `boot` of the peer.
    pub fn send(&mut self, number: u32, boot: Option<Incarnation>, now: Instant) -> Option<Echo> {
        self.sent.note(number, now);
        let known = self.boots.iter().find(|known| Some(known.boot) == boot)?;
        let (link, number) = known.turn(number)?;
        Some(Echo::new(link, number, now - known.heard_at[link.index()]?))
    }

    /// Goes on with other keys, and with `links`: for each one its place so far.
    pub fn reload(&mut self, keys: Keys, links: &[Option<LinkId>]) {
        self.keys = keys;
        self.links = moved(&self.links, links, Statistics::NONE);
        for numbers in &mut self.boots {
            numbers.last = moved(&numbers.last, links, None);
            numbers.heard_at = moved(&numbers.heard_at, links, None);
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
    ) -> Result<Heard, FrameError> {
        let read = frame::decode(bytes, &self.keys, self.pair).and_then(|message| {
            Ok((self.missing(link, message.number, &message.heartbeat, now)?, message))
        });
        let statistics = &mut self.links[link.index()];
        match read {
            Ok((_, message)) if Some(message.heartbeat.from) == self.owner => {
                Ok(Heard { heartbeat: message.heartbeat, proof: None })
            }
            Ok((missing, message)) => {
                statistics.note(missing, now);
                self.speaks = message.version;
                self.signed_with = frame::signer(bytes);
                let proof = match message.version {
                    // It cannot name a frame, and says only which links it hears.
                    Version::Two => (!message.heartbeat.hears.is_empty()).then_some(now),
                    Version::Three => message.echo.and_then(|echo| self.heard_back(echo, now)),
                };
                Ok(Heard { heartbeat: message.heartbeat, proof })
            }
            Err(cause) => {
                count(&mut statistics.dropped, cause);
                Err(cause)
            }
        }
    }

    /// Counts a frame of a letter that came by `link` and was dropped, and tells how many were for that cause.
    pub fn refuse_piece(&mut self, link: LinkId, cause: FrameError) -> u32 {
        count(&mut self.links[link.index()].pieces_dropped, cause)
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
        &self.links[link.index()]
    }

    /// When this box said what is echoed, and how long the way there and back took.
    fn heard_back(&mut self, echo: Echo, now: Instant) -> Option<Instant> {
        let (at, exact) = self.sent.when(echo.number)?;
        if exact && echo.held < u8::MAX {
            let held = HELD * u32::from(echo.held);
            self.links[echo.link.index()].note_round_trip((now - at).saturating_sub(held));
        }
        Some(at)
    }

    /// How many frames were lost before this one, unless it is a replay.
    fn missing(
        &mut self,
        link: LinkId,
        number: u32,
        heartbeat: &Heartbeat,
        now: Instant,
    ) -> Result<u32, FrameError> {
        let boot = heartbeat.epoch.boot;
        if !self.boots.iter().any(|known| known.boot == boot) {
            if self.boots.is_full() {
                self.boots.remove(0);
            }
            // There is room: the life that was silent for longest has just gone.
            let _ = self.boots.push(Numbers::new(boot, number));
        }
        let Some(place) = self.boots.iter().position(|known| known.boot == boot) else {
            return Err(FrameError::Replayed);
        };
        let Some(numbers) = self.boots.get_mut(place) else { return Err(FrameError::Replayed) };
        let missing = numbers.take(link, number, now)?;
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
    /// The time that a frame and its echo took on their ways, smoothed as in RFC 6298 section 2; none if not known.
    pub round_trip: Option<Duration>,
    /// How far that time varies, smoothed in the same way.
    pub jitter: Duration,
    /// Frames that were dropped, by cause, in the order of [`FrameError::ALL`].
    pub dropped: [u32; FrameError::ALL.len()],
    /// The same of the frames of letters.
    pub pieces_dropped: [u32; FrameError::ALL.len()],
}

impl Statistics {
    const NONE: Self = Self {
        received: 0,
        lost: 0,
        heard_at: None,
        largest_gap: Duration::ZERO,
        round_trip: None,
        jitter: Duration::ZERO,
        dropped: [0; FrameError::ALL.len()],
        pieces_dropped: [0; FrameError::ALL.len()],
    };

    fn note_round_trip(&mut self, time: Duration) {
        let Some(smoothed) = self.round_trip else {
            (self.round_trip, self.jitter) = (Some(time), time / 2);
            return;
        };
        self.jitter = (self.jitter * 3 + smoothed.abs_diff(time)) / 4;
        self.round_trip = Some((smoothed * 7 + time) / 8);
    }

    fn note(&mut self, missing: u32, now: Instant) {
        if let Some(before) = self.heard_at {
            self.largest_gap = self.largest_gap.max(now - before);
        }
        self.heard_at = Some(now);
        self.received += 1;
        self.lost += u64::from(missing);
    }
}

/// Counts what was dropped for `cause`, and tells how often that was.
fn count(dropped: &mut [u32; FrameError::ALL.len()], cause: FrameError) -> u32 {
    let count = &mut dropped[cause as usize];
    *count = count.saturating_add(1);
    *count
}

/// What is known of each link, where `places` tells which one it was.
fn moved<T: Copy>(known: &[T; LINKS_MAX], places: &[Option<LinkId>], new: T) -> [T; LINKS_MAX] {
    let mut moved = [new; LINKS_MAX];
    for (to, from) in moved.iter_mut().zip(places) {
        *to = from.map_or(new, |link| known[link.index()]);
    }
    moved
}

/// The numbers that one life of the peer has used.
#[derive(Clone, Debug)]
struct Numbers {
    boot: Incarnation,
    /// The newest of all links.
    newest: u32,
    last: [Option<u32>; LINKS_MAX],
    heard_at: [Option<Instant>; LINKS_MAX],
}

impl Numbers {
    const fn new(boot: Incarnation, newest: u32) -> Self {
        Self { boot, newest, last: [None; LINKS_MAX], heard_at: [None; LINKS_MAX] }
    }

    /// Notes a frame, and tells how many were lost before it on its link.
    fn take(&mut self, link: LinkId, number: u32, now: Instant) -> Result<u32, FrameError> {
        let last = &mut self.last[link.index()];
        let missing = match *last {
            None => 0,
            Some(last) => match ahead(number, last) {
                None | Some(0) => return Err(FrameError::Replayed),
                Some(ahead) => ahead - 1,
            },
        };
        match ahead(number, self.newest) {
            Some(_) => self.newest = number,
            // The other links have brought so much that is newer: this one was held back.
            None if self.newest.wrapping_sub(number) > COPIES => return Err(FrameError::Replayed),
            None => {}
        }
        *last = Some(number);
        self.heard_at[link.index()] = Some(now);
        Ok(missing)
    }

    /// The link whose turn it is to be echoed, and the newest number that it has brought. A link that has not brought
    /// what others have is left out, because an old echo proves less.
    fn turn(&self, turn: u32) -> Option<(LinkId, u32)> {
        let brought = |link: LinkId| {
            let number = self.last[link.index()]?;
            (self.newest.wrapping_sub(number) <= 1).then_some((link, number))
        };
        let links: Vec<_, LINKS_MAX> =
            (0..LINKS_MAX).filter_map(LinkId::new).filter_map(brought).collect();
        let count = u32::try_from(links.len()).ok().filter(|count| *count > 0)?;
        links.get((turn % count) as usize).copied()
    }
}

/// When this box said its last frames.
#[derive(Clone, Debug, Default)]
struct Sent {
    newest: u32,
    frames: heapless::Deque<(u32, Instant), SENT_MAX>,
}

impl Sent {
    fn note(&mut self, number: u32, now: Instant) {
        self.newest = number;
        // What is said in one moment counts as the first of it, so that a burst does not push the rest out.
        if self.frames.back().is_some_and(|(_, at)| now - *at < MOMENT) {
            return;
        }
        if self.frames.is_full() {
            self.frames.pop_front();
        }
        let _ = self.frames.push_back((number, now));
    }

    /// When the frame was said whose number ends in `number`, or the last one before it that is remembered; and whether
    /// it is the very one.
    fn when(&self, number: u32) -> Option<(Instant, bool)> {
        let age = |of: u32| self.newest.wrapping_sub(of) & NUMBER_MAX;
        let (said, at) = self.frames.iter().rev().find(|(said, _)| age(*said) >= age(number))?;
        // What was never said looks as old as half of all numbers, and so is not remembered.
        Some((*at, *said & NUMBER_MAX == number))
    }
}

/// How far `number` lies ahead of `other`: half of the numbers lie ahead, the other half behind (RFC 1982).
const fn ahead(number: u32, other: u32) -> Option<u32> {
    match number.wrapping_sub(other) {
        0x8000_0000.. => None,
        ahead => Some(ahead),
    }
}

/// A peer that boots more often than this while this box runs has other troubles than a replay.
const BOOTS_MAX: usize = 32;
/// A slow link may be behind a fast one by so many frames.
const COPIES: u32 = 16;
/// The frames whose times are remembered. Those of the longest deadtime that makes sense are fewer.
const SENT_MAX: usize = 256;
/// Frames that follow each other faster are one.
const MOMENT: Duration = Duration::from_millis(5);
