//! Is the peer alive? A failure detector over all links.
//!
//! Every heartbeat names the link it came by, and each link remembers when it last carried one. The
//! peer is dead only when *every* link has been silent for `deadtime`: one cable that still talks
//! is proof of life, and fencing a box that talks is the one mistake this product must not make.
//!
//! ```text
//! silence of the freshest link   0 ........ warntime ........ deadtime ........
//! health                         Alive      Late              Dead
//! ```
//!
//! `Late` changes nothing but the log: it is there so that `deadtime` can be tuned before it bites.
//! Time in which this box did not listen, because it was stalled itself, is no silence.

use core::time::Duration;

use crate::heartbeat::{Asks, Boot, Epoch, Heartbeat, Links, Role};
use crate::identity::{LINKS_MAX, LinkId};
use crate::news::News;
use crate::settings::Timing;
use crate::time::Instant;

/// What the silence of the freshest link says about the peer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Health {
    /// A heartbeat came within `warntime`.
    Alive,
    /// Overdue, yet too early to act on.
    Late,
    /// Silent on every link for `deadtime`.
    Dead,
}

/// What one link carries.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Carries {
    /// Heartbeats in both directions, as far as is known.
    BothWays,
    /// Heartbeats of the peer, which does not hear this box by it.
    OneWay,
    /// Nothing.
    Nothing,
}

/// The peer, seen through the links.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Peer {
    timing: Timing,
    my_boot: Boot,
    ways: heapless::Vec<Way, LINKS_MAX>,
    health: Health,
    word: Option<Heartbeat>,
    /// When another boot was last believed.
    met_at: Instant,
    /// The first change of this box that the peer's present boot can have heard of.
    met: u32,
    /// Its power was seen off, and it has not been heard since.
    fenced: bool,
}

impl Peer {
    /// A peer not heard yet: the silence is counted from `now`.
    pub fn new(timing: Timing, links: usize, my_boot: Boot, now: Instant) -> Self {
        let ways = core::iter::repeat_n(Way::new(now), links.min(LINKS_MAX)).collect();
        let health = Health::Alive;
        Self { timing, my_boot, ways, health, word: None, met: 0, met_at: now, fenced: false }
    }

    /// Notes a heartbeat that came by `link`, unless it is of an earlier boot, and tells whether another boot of the
    /// peer speaks than before. `mine` is the epoch of this box.
    ///
    /// Another boot is believed when the one that is known has fallen silent, or when it has heard this box: a recording
    /// of a boot long gone must not talk a living peer away. Yet no sooner than `warntime` after the last one: two
    /// machines of one name must not rock the pair.
    pub fn heard(&mut self, link: LinkId, heartbeat: Heartbeat, mine: Epoch, now: Instant) -> bool {
        let known = self.word.map(|word| word.epoch);
        let first = known.is_none();
        let same_boot = known.is_some_and(|epoch| epoch.boot == heartbeat.epoch.boot);
        let knows_me = heartbeat.heard.is_some_and(|epoch| epoch.boot == self.my_boot);
        let gone = self.fenced || self.health(now) != Health::Alive;
        let believed = knows_me && now - self.met_at >= self.timing.warntime();
        if !(first || same_boot || gone || believed) {
            return false;
        }
        self.lives(link, now);
        // An older word that came by a slower link is a sign of life, and no news.
        if same_boot && known.is_some_and(|epoch| heartbeat.epoch.change < epoch.change) {
            return false;
        }
        if !same_boot {
            self.met = mine.change + 1;
            self.met_at = now;
        }
        self.word = Some(heartbeat);
        self.fenced = false;
        for link in heartbeat.hears.iter() {
            if let Some(way) = self.ways.get_mut(link.place()) {
                way.echoed_at = now;
            }
        }
        !same_boot
    }

    /// Notes a sign of life without a word that could be believed.
    pub fn lives(&mut self, link: LinkId, now: Instant) {
        if let Some(way) = self.ways.get_mut(link.place()) {
            way.heard_at = Some(now);
        }
    }

    /// Notes that this box did not listen for `time` before `now`.
    pub fn excuse(&mut self, time: Duration, now: Instant) {
        for way in &mut self.ways {
            way.since = (way.since + time).min(now);
            way.heard_at = way.heard_at.map(|at| (at + time).min(now));
            way.echoed_at = (way.echoed_at + time).min(now);
        }
    }

    /// Goes on with other times, and with `links`: for each one its place so far. What is new has its time to be heard,
    /// unless the peer was heard by nothing that stays: its silence goes on.
    pub(crate) fn reload(&mut self, timing: Timing, links: &[Option<LinkId>], now: Instant) {
        self.timing = timing;
        let known = |link: &Option<LinkId>| self.ways.get((*link)?.place()).cloned();
        let heard = links.iter().filter_map(known).any(|way| way.heard_at.is_some());
        let since = if heard { now } else { self.freshest() };
        self.ways = links.iter().map(|link| known(link).unwrap_or(Way::new(since))).collect();
    }

    /// Counts the silence of a peer not heard yet from `now`.
    pub fn listen_from(&mut self, now: Instant) {
        for way in &mut self.ways {
            way.since = now;
        }
    }

    /// Notes that the power of the peer was seen off.
    pub const fn seen_off(&mut self) {
        self.fenced = true;
    }

    /// The peer's health at `now`.
    pub fn health(&self, now: Instant) -> Health {
        let silence = self.silence(now);
        if silence < self.timing.warntime() {
            Health::Alive
        } else if silence < self.timing.deadtime() {
            Health::Late
        } else {
            Health::Dead
        }
    }

    /// How long every link has been silent.
    pub fn silence(&self, now: Instant) -> Duration {
        now - self.freshest()
    }

    /// The newest that the peer said, as long as it is neither dead nor fenced.
    pub fn word(&self, now: Instant) -> Option<&Heartbeat> {
        self.word.as_ref().filter(|_| !self.fenced && self.health(now) != Health::Dead)
    }

    /// The newest that the peer said, however long ago.
    pub const fn last_word(&self) -> Option<&Heartbeat> {
        self.word.as_ref()
    }

    /// The peer's epoch, as far as it is known.
    pub fn epoch(&self) -> Option<Epoch> {
        self.word.map(|word| word.epoch)
    }

    /// Whether the peer's last word was that it leaves: what this boot of it holds is nothing, for good.
    ///
    /// A box that has just been born may not know yet what it holds, so its farewell says nothing. And
    /// the word must come from a boot that has heard this box since this box first heard it, so that the farewell of
    /// an earlier boot, come late, says nothing of the present one.
    pub fn left(&self) -> bool {
        self.word.is_some_and(|word| {
            word.asks == Asks::Leave
                && matches!(word.role, Role::Standby | Role::Failed)
                && self.knows_me(&word)
        })
    }

    /// Whether the boot that speaks is surely the present one: it has heard this box since it was met, or nobody has
    /// talked against it for `deadtime`. A recording of an earlier boot does neither while the peer itself is heard.
    pub fn is_present(&self, now: Instant) -> bool {
        let knows_me = self.word.is_some_and(|word| self.knows_me(&word));
        knows_me || now - self.met_at >= self.timing.deadtime()
    }

    fn knows_me(&self, word: &Heartbeat) -> bool {
        word.heard.is_some_and(|epoch| epoch.boot == self.my_boot && epoch.change >= self.met)
    }

    /// Whether the peer's last word was that everything is to be left as it is.
    pub fn in_maintenance(&self) -> bool {
        !self.fenced && self.word.is_some_and(|word| word.asks == Asks::Maintenance)
    }

    /// Takes it that a peer that is silent is no longer in maintenance: an operator says so.
    pub fn end_maintenance(&mut self) {
        if let Some(word) = &mut self.word
            && word.asks == Asks::Maintenance
        {
            word.asks = Asks::Nothing;
        }
    }

    /// Whether the power of the peer was seen off, and the peer was not heard since.
    pub const fn fenced(&self) -> bool {
        self.fenced
    }

    /// Notes that the line or carrier of `link` is there, or is gone. What was never there cannot be gone.
    pub fn set_line(&mut self, link: LinkId, up: bool) {
        if let Some(way) = self.ways.get_mut(link.place()) {
            way.line = match way.line {
                _ if up => Line::Up,
                Line::Unknown => Line::Unknown,
                Line::Up | Line::Down => Line::Down,
            };
        }
    }

    /// The links whose line or carrier is there, and those where it was there and is gone.
    pub fn lines(&self) -> (Links, Links) {
        let all = |line| {
            let ways = self.ways.iter().zip((0..).filter_map(LinkId::new));
            ways.fold(Links::default(), |links, (way, link)| links.with(link, way.line == line))
        };
        (all(Line::Up), all(Line::Down))
    }

    /// Whether every line and carrier that was there is gone.
    pub fn lines_dropped(&self) -> bool {
        let (up, down) = self.lines();
        up.is_empty() && !down.is_empty()
    }

    /// When the peer was last heard by `link`.
    pub fn heard_at(&self, link: LinkId) -> Option<Instant> {
        self.ways.get(link.place())?.heard_at
    }

    /// What `link` carries, as it was last told.
    pub fn carries(&self, link: LinkId) -> Option<Carries> {
        self.ways.get(link.place()).map(|way| way.carries)
    }

    /// The links by which the peer is heard.
    pub fn hears(&self, now: Instant) -> Links {
        let mut links = Links::default();
        for (way, link) in self.ways.iter().zip((0..).filter_map(LinkId::new)) {
            let fresh = way.heard_at.is_some_and(|at| now - at < self.timing.deadtime());
            links = links.with(link, fresh);
        }
        links
    }

    /// Tells what has changed with the peer's health and with the links.
    pub fn review(&mut self, now: Instant, mut tell: impl FnMut(News)) {
        let (silence, health) = (self.silence(now), self.health(now));
        let expected = self.word.is_some() && !self.fenced && !self.left();
        if expected && health == Health::Late && self.health == Health::Alive {
            tell(News::Late(silence));
        }
        self.health = health;
        let deadtime = self.timing.deadtime();
        for (way, link) in self.ways.iter_mut().zip((0..).filter_map(LinkId::new)) {
            let carries = way.look(deadtime, now);
            if way.carries == Carries::Nothing && carries != Carries::Nothing {
                way.echoed_at = now;
            }
            if carries != way.carries {
                way.carries = carries;
                tell(News::Link(link, carries));
            }
        }
    }

    /// When there will be something to review, should nothing more be heard.
    pub fn deadline(&self) -> Option<Instant> {
        let deadtime = self.timing.deadtime();
        let health = match self.health {
            Health::Alive => Some(self.freshest() + self.timing.warntime()),
            Health::Late => Some(self.freshest() + deadtime),
            Health::Dead => None,
        };
        let ways = self.ways.iter().filter_map(|way| match way.carries {
            Carries::BothWays => {
                let heard_at = way.heard_at.unwrap_or(way.since);
                Some(heard_at.min(way.echoed_at.max(way.since)) + deadtime)
            }
            Carries::OneWay => way.heard_at.map(|at| at + deadtime),
            Carries::Nothing => None,
        });
        ways.chain(health).min()
    }

    /// The instants that move with the heartbeats.
    pub(crate) fn moments(&mut self) -> impl Iterator<Item = &mut Instant> {
        self.ways.iter_mut().flat_map(Way::instants)
    }

    /// All that it knows the time of.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let ways = self.ways.iter_mut().flat_map(|way| {
            let Way { since, heard_at, echoed_at, .. } = way;
            heard_at.iter_mut().chain([echoed_at, since])
        });
        ways.chain([&mut self.met_at])
    }

    /// Whether nothing more comes of the instants that do not.
    pub(crate) fn is_settled(&self, now: Instant) -> bool {
        let deadtime = self.timing.deadtime();
        let old = |since| now - since >= deadtime;
        self.ways.iter().all(|way| old(way.since)) && old(self.met_at)
    }

    fn freshest(&self) -> Instant {
        let heard = self.ways.iter().filter_map(|way| way.heard_at).max();
        heard.or(self.ways.iter().map(|way| way.since).max()).unwrap_or(self.met_at)
    }
}

/// One link, in both directions.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Way {
    /// Since when this box listens to it.
    since: Instant,
    heard_at: Option<Instant>,
    /// When the peer last said that it hears this box by this link.
    echoed_at: Instant,
    carries: Carries,
    line: Line,
}

/// Something electrical that tells whether there is a live machine at the other end: the control lines of a null-modem
/// cable, the carrier of a direct Ethernet cable.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Line {
    /// The link has none, or it was never seen up.
    Unknown,
    Up,
    Down,
}

impl Way {
    const fn new(now: Instant) -> Self {
        let (carries, line) = (Carries::BothWays, Line::Unknown);
        Self { since: now, heard_at: None, echoed_at: now, carries, line }
    }

    fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        self.heard_at.iter_mut().chain([&mut self.echoed_at])
    }

    fn look(&self, deadtime: Duration, now: Instant) -> Carries {
        if now - self.heard_at.unwrap_or(self.since) >= deadtime {
            Carries::Nothing
        } else if self.heard_at.is_some()
            && now - self.echoed_at.max(self.since) >= deadtime
            && self.carries != Carries::Nothing
        {
            Carries::OneWay
        } else {
            Carries::BothWays
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::heartbeat::{Fingerprint, Priority, Term};
    use crate::identity::BoxId;
    use crate::settings::Times;

    const ETHERNET: LinkId = LinkId::new(0).unwrap();
    const SERIAL: LinkId = LinkId::new(1).unwrap();
    const MINE: Epoch = Epoch { boot: Boot(*b"me  "), change: 3 };

    #[test]
    fn silence_turns_alive_to_late_to_dead() {
        let mut peer = peer();
        peer.heard(ETHERNET, word(1), MINE, at(500));
        assert_eq!(peer.health(at(999)), Health::Alive);
        assert_eq!(peer.health(at(1_000)), Health::Late);
        assert_eq!(peer.health(at(1_499)), Health::Late);
        assert_eq!(peer.health(at(1_500)), Health::Dead);
        assert_eq!(peer.word(at(1_500)), None);
    }

    #[test]
    fn one_talking_link_is_proof_of_life() {
        let mut peer = peer();
        peer.heard(ETHERNET, word(1), MINE, at(0));
        peer.heard(SERIAL, word(1), MINE, at(900));
        assert_eq!(peer.health(at(1_200)), Health::Alive);
        let mut told = Vec::new();
        peer.review(at(1_200), |news| told.push(news));
        assert_eq!(told, [News::Link(ETHERNET, Carries::Nothing)]);
    }

    #[test]
    fn an_older_word_is_a_sign_of_life_and_no_news() {
        let mut peer = peer();
        peer.heard(ETHERNET, word(7), MINE, at(0));
        peer.heard(SERIAL, word(6), MINE, at(900));
        assert_eq!(peer.epoch().map(|epoch| epoch.change), Some(7));
        assert_eq!(peer.silence(at(900)), Duration::ZERO);
    }

    #[test]
    fn a_recording_does_not_talk_a_living_peer_away() {
        let mut peer = peer();
        let ancient = Epoch { boot: Boot(*b"gone"), change: 9 };
        peer.heard(ETHERNET, word(1), MINE, at(0));
        peer.heard(ETHERNET, Heartbeat { epoch: ancient, ..word(9) }, MINE, at(100));
        assert_eq!(peer.epoch(), Some(word(1).epoch));
        peer.heard(ETHERNET, Heartbeat { epoch: ancient, ..word(9) }, MINE, at(600));
        assert_eq!(peer.epoch(), Some(ancient), "the peer is late, so it may have booted");
        let reborn = Heartbeat { heard: Some(MINE), ..word(1) };
        peer.heard(ETHERNET, reborn, MINE, at(700));
        assert_eq!(peer.epoch(), Some(ancient), "that was too soon");
        peer.heard(ETHERNET, Heartbeat { epoch: ancient, ..word(9) }, MINE, at(1_000));
        peer.heard(ETHERNET, reborn, MINE, at(1_100));
        assert_eq!(peer.epoch(), Some(reborn.epoch), "it knows this box");
    }

    #[test]
    fn a_peer_that_was_seen_off_may_have_booted() {
        let mut peer = peer();
        peer.heard(ETHERNET, word(1), MINE, at(0));
        peer.seen_off();
        let reborn = Epoch { boot: Boot(*b"new "), change: 0 };
        peer.heard(ETHERNET, Heartbeat { epoch: reborn, ..word(0) }, MINE, at(100));
        assert_eq!(peer.epoch(), Some(reborn));
    }

    #[test]
    fn time_in_which_this_box_did_not_listen_is_no_silence() {
        let mut peer = peer();
        peer.heard(ETHERNET, word(1), MINE, at(0));
        peer.excuse(Duration::from_secs(60), at(60_200));
        assert_eq!(peer.silence(at(60_200)), Duration::from_millis(200));
    }

    fn word(change: u32) -> Heartbeat {
        Heartbeat {
            from: BoxId::Second,
            epoch: Epoch { boot: Boot(*b"peer"), change },
            role: Role::Standby,
            priority: Priority(50),
            term: Term(0),
            fit: true,
            witness: true,
            shoots: false,
            asks: Asks::Nothing,
            config: Fingerprint::default(),
            system: Fingerprint::default(),
            heard: None,
            hears: Links::default().with(ETHERNET, true).with(SERIAL, true),
        }
    }

    fn peer() -> Peer {
        let millis = Duration::from_millis;
        let timing = Timing::new(Times {
            keepalive: millis(200),
            warntime: millis(500),
            deadtime: millis(1_000),
            initdead: millis(15_000),
            fence_time: millis(5_000),
            baud: None,
        });
        Peer::new(timing.unwrap(), 2, MINE.boot, at(0))
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }
}
