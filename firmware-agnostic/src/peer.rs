//! Tracks whether the peer is alive: a failure detector over all links.
//!
//! A frame alone is no sign of life, because a network or an attacker can deliver it late. Each frame therefore
//! names the newest frame of this box that the peer has heard. The time at which this box sent that one is the
//! *proof*: the peer surely ran after it. The peer lives for as long as the conversation goes both ways on any
//! links; a recording of an earlier life of the peer proves nothing, however long it is.
//!
//! ```text
//! time since the last proof   0 ........ warntime ........ deadtime ........
//! health                      Alive      Late              Dead
//! ```
//!
//! Both boxes measure this silence from nearly the same instant, no matter which direction of the cables breaks
//! first. So they agree on when it began ([`Peer::silent_from`]), and fencing can give each box its own time to
//! shoot.
//!
//! A peer that still talks but no longer hears this box is [`Contact::Deaf`]. What it says is shown to people and keeps
//! this box from shooting a box that serves, but it is no proof.
//!
//! A peer whose supervisor has died is *restarting*: its guard says on what was said last, and hears nobody. It
//! counts as deaf for `restart_time` from the first such word of that life. What the guard says later counts no
//! more.
//!
//! `Late` changes nothing but the log: it is there so that `deadtime` can be tuned before it bites.
//! Time in which this box did not listen, because it was stalled itself, is no silence.

use core::time::Duration;

use crate::heartbeat::{Epoch, Fingerprint, Heartbeat, Incarnation, LinkSet, PeerRequest, Role};
use crate::identity::{LINKS_MAX, LinkId};
use crate::receiver::Heard;
use crate::report::Report;
use crate::settings::Timing;
use crate::time::Instant;

/// What the time since the last proof says about the peer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Health {
    /// It was proven alive within `warntime`.
    Alive,
    /// Overdue, yet too early to act on.
    Late,
    /// Not proven alive for `deadtime`.
    Dead,
}

/// What there is to hear of the peer now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Contact<'p> {
    /// It lives, and this is what it says.
    Heard(&'p Heartbeat),
    /// It talks, and has not heard this box for `deadtime`. A life that was never proven counts only if it is newer
    /// than every life that was ever echoed: an older one is a recording.
    Deaf(&'p Heartbeat),
    /// Nothing is heard, or its power was seen off.
    Silent,
}

impl<'p> Contact<'p> {
    /// What it says, deaf or not.
    pub const fn heartbeat(self) -> Option<&'p Heartbeat> {
        match self {
            Self::Heard(heartbeat) | Self::Deaf(heartbeat) => Some(heartbeat),
            Self::Silent => None,
        }
    }
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

/// Whether the fence devices of the peer are believed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum DeviceTrust {
    /// They are.
    #[default]
    Trusted,
    /// They said off at this time, and this life of the peer was the last one heard by then.
    Suspect(Instant, Incarnation),
    /// That life went on for `deadtime`: they switch something else. It lasts until they have said on.
    Distrusted,
}

impl DeviceTrust {
    /// Whether what they say is not used.
    pub const fn is_distrusted(self) -> bool {
        matches!(self, Self::Distrusted)
    }
}

/// The proof that the power of the peer is off: read twice from one device, while nothing was heard of the peer.
///
/// Only `Peer::read_off` makes one.
#[derive(Debug)]
pub struct SeenOff(());

/// What a heartbeat has brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Brought {
    /// A word of the life that is known, or one that changes nothing.
    Word,
    /// Another life of the peer speaks from now on.
    NewLife,
    /// Two machines speak under the name of the peer.
    Twins,
    /// The devices have said off while this life of the peer went on.
    Lie,
}

/// The peer, seen through the links.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Peer {
    timing: Timing,
    /// For how long a guard is listened to.
    restart_time: Duration,
    my_boot: Incarnation,
    ways: heapless::Vec<LinkState, LINKS_MAX>,
    health: Health,
    /// The newest word of the life that is believed.
    heartbeat: Option<Heartbeat>,
    /// When that life last talked.
    talked_at: Instant,
    /// Since when its guard talks in its stead.
    restarts_since: Option<Instant>,
    /// The last instant at which the peer surely lived; time in which this box did not run does not count.
    lived_at: Instant,
    /// The same with that time counted, so that the other box comes to the same instant.
    spoke_at: Instant,
    /// When this box said what the peer has heard of it.
    proof: Option<Instant>,
    /// The life before the one that is believed, and the proof with which that one came.
    before: Option<(Incarnation, Instant)>,
    /// The first change of this box that the peer's present life can have heard of.
    known_from_change: u32,
    /// When two machines were last heard under the peer's name.
    twins_at: Option<Instant>,
    /// The machine that last said that it holds the resources; nothing but zeros if none does.
    holder: Fingerprint,
    /// A life that has not heard this one.
    stranger: Option<Stranger>,
    /// The newest life that was echoed before this one of this box began.
    newest: Option<Incarnation>,
    /// When its power was seen off, if it was not proven alive since.
    fenced: Option<Instant>,
    trust: DeviceTrust,
    /// Since when it talks and does not hear this box, as it was reviewed last.
    deaf_since: Option<Instant>,
}

/// A life of the peer that has not heard this life of this box: it has just begun, it is deaf, or it is a recording.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Stranger {
    heartbeat: Heartbeat,
    /// Since when it tells its present role.
    since: Instant,
    at: Instant,
}

impl Peer {
    /// A peer not heard yet: the silence is counted from `now`.
    pub fn new(
        (timing, restart_time): (Timing, Duration),
        links: usize,
        my_boot: Incarnation,
        newest: Option<Incarnation>,
        now: Instant,
    ) -> Self {
        let ways = core::iter::repeat_n(LinkState::new(now), links.min(LINKS_MAX)).collect();
        Self {
            timing,
            restart_time,
            my_boot,
            ways,
            health: Health::Alive,
            heartbeat: None,
            talked_at: now,
            restarts_since: None,
            lived_at: now,
            spoke_at: now,
            proof: None,
            before: None,
            known_from_change: 0,
            twins_at: None,
            holder: Fingerprint::default(),
            stranger: None,
            newest,
            fenced: None,
            trust: DeviceTrust::Trusted,
            deaf_since: None,
        }
    }

    /// Notes a heartbeat that came by `link`. `mine` is the epoch of this box.
    ///
    /// Another life of the peer is believed as soon as it has heard this one, unless the known one was proven alive
    /// later: then its word is a late one of an earlier life.
    pub fn heard(&mut self, link: LinkId, heard: Heard, mine: Epoch, now: Instant) -> Brought {
        let heartbeat = heard.heartbeat;
        let proof = heard.proof.filter(|_| heartbeat.knows(self.my_boot));
        let known = self.heartbeat.map(|heartbeat| heartbeat.epoch);
        let same = known.is_some_and(|epoch| epoch.boot == heartbeat.epoch.boot);
        // A guard speaks for a life that is known, or for nobody.
        if !same && (heartbeat.restarts || proof.is_some() && proof < self.proof) {
            return Brought::Word;
        }
        if let Some(way) = self.ways.get_mut(link.index()) {
            way.heard_at = Some(now);
        }
        if !same && proof.is_none() {
            self.note_stranger(heartbeat, now);
            return Brought::Word;
        }
        if !(heartbeat.restarts && self.has_restarted_for_long(now)) {
            self.talked_at = now;
        }
        let lies = proof.is_some_and(|proof| self.prove(proof, heartbeat.epoch.boot, now));
        let older = same && known.is_some_and(|epoch| heartbeat.epoch.change < epoch.change);
        // The life before was proven alive after the present one had come.
        let twins = self
            .before
            .is_some_and(|(boot, came)| boot == heartbeat.epoch.boot && proof > Some(came));
        if let (false, Some(proof)) = (same, proof) {
            self.known_from_change = mine.change + 1;
            self.before = known.map(|epoch| (epoch.boot, proof));
            self.stranger = None;
            self.restarts_since = None;
        }
        if !older {
            self.take(heartbeat, now);
        }
        if twins || !self.is_of_the_holder(&heartbeat) {
            self.twins_at = Some(now);
            return Brought::Twins;
        }
        match (lies, same) {
            (true, _) => Brought::Lie,
            (false, true) => Brought::Word,
            (false, false) => Brought::NewLife,
        }
    }

    /// Takes over the newest that the peer says.
    fn take(&mut self, heartbeat: Heartbeat, now: Instant) {
        // What the supervisor said may come after what its guard says.
        let restarts = heartbeat.restarts
            || self.restarts_since.is_some() && heartbeat.request != PeerRequest::Leave;
        self.heartbeat = Some(Heartbeat { restarts, ..heartbeat });
        self.restarts_since = restarts.then_some(self.restarts_since.unwrap_or(now));
        for link in heartbeat.hears.iter() {
            if let Some(way) = self.ways.get_mut(link.index()) {
                way.echoed_at = now;
            }
        }
        if heartbeat.role.holds_resources() {
            self.holder = heartbeat.system;
        } else if self.is_of_the_holder(&heartbeat) {
            self.holder = Fingerprint::default();
        }
    }

    /// Notes that `boot` has heard what this box said at `proof`, and tells whether the devices have lied about it.
    fn prove(&mut self, proof: Instant, boot: Incarnation, now: Instant) -> bool {
        // A frame and its echo each take up to a keepalive; what comes later was held back.
        let lived_at = now.min(proof + self.timing.keepalive() * 2);
        self.lived_at = self.lived_at.max(lived_at);
        self.spoke_at = self.spoke_at.max(lived_at);
        self.proof = self.proof.max(Some(proof));
        if self.fenced.is_some_and(|at| proof > at) {
            self.fenced = None;
        }
        let DeviceTrust::Suspect(at, suspect) = self.trust else { return false };
        // `Instant` differences are never negative: a proof before the reading is no time after it.
        let lies = suspect == boot && proof - at >= self.timing.deadtime();
        if suspect != boot {
            self.trust = DeviceTrust::Trusted;
        } else if lies {
            self.trust = DeviceTrust::Distrusted;
        }
        lies
    }

    fn note_stranger(&mut self, heartbeat: Heartbeat, now: Instant) {
        let deadtime = self.timing.deadtime();
        let known = self.stranger.as_ref().filter(|known| {
            known.heartbeat.epoch.boot == heartbeat.epoch.boot && now - known.at < deadtime
        });
        if known.is_none_or(|known| known.heartbeat.epoch.change <= heartbeat.epoch.change) {
            let same = known.filter(|known| known.heartbeat.role == heartbeat.role);
            let since = same.map_or(now, |known| known.since);
            self.stranger = Some(Stranger { heartbeat, since, at: now });
        }
    }

    /// Notes that this box did not listen for `time` before `now`.
    pub fn discount_stall(&mut self, time: Duration, now: Instant) {
        for way in &mut self.ways {
            way.since = (way.since + time).min(now);
            way.heard_at = way.heard_at.map(|at| (at + time).min(now));
            way.echoed_at = (way.echoed_at + time).min(now);
        }
        self.lived_at = (self.lived_at + time).min(now);
    }

    /// Goes on with other times, and with `links`: for each one its place so far.
    pub(crate) fn reload(
        &mut self,
        (timing, restart_time): (Timing, Duration),
        links: &[Option<LinkId>],
        now: Instant,
    ) {
        (self.timing, self.restart_time) = (timing, restart_time);
        let known = |link: &Option<LinkId>| self.ways.get((*link)?.index()).cloned();
        self.ways = links.iter().map(|link| known(link).unwrap_or(LinkState::new(now))).collect();
    }

    /// Counts the silence of a peer not heard yet from `now`.
    pub fn listen_from(&mut self, now: Instant) {
        for way in &mut self.ways {
            way.since = now;
        }
        if self.proof.is_none() {
            (self.lived_at, self.spoke_at) = (now, now);
        }
    }

    /// Weighs what a device has said twice, first at `at`: that the power of the peer is off.
    ///
    /// It proves nothing if the peer was proven alive after that, or if the devices are distrusted.
    pub(crate) fn read_off(&mut self, at: Instant) -> Option<SeenOff> {
        let boot = self.heartbeat.map(|heartbeat| heartbeat.epoch.boot);
        match (self.trust, boot) {
            (DeviceTrust::Distrusted, _) => return None,
            (DeviceTrust::Trusted, Some(boot)) => self.trust = DeviceTrust::Suspect(at, boot),
            // The first reading of this life counts.
            (DeviceTrust::Suspect(..), _) | (DeviceTrust::Trusted, None) => {}
        }
        let lived_on = self.proof.is_some_and(|proof| proof > at);
        (!lived_on).then_some(SeenOff(()))
    }

    /// The devices have said that the power is on: they are believed again.
    pub(crate) const fn read_on(&mut self) {
        self.trust = DeviceTrust::Trusted;
    }

    /// Takes it that the peer's power is off, and was at `now`.
    pub(crate) const fn note_off(&mut self, _: &SeenOff, now: Instant) {
        self.fenced = Some(now);
        self.forget_holder();
    }

    /// Takes a person's word that the peer is off.
    pub(crate) const fn note_confirmed(&mut self, now: Instant) {
        self.note_off(&SeenOff(()), now);
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

    /// How long the peer was not proven alive.
    pub fn silence(&self, now: Instant) -> Duration {
        now - self.lived_at
    }

    /// When the peer became silent for `deadtime`, as the other box counts it too.
    pub fn silent_from(&self) -> Instant {
        self.spoke_at + self.timing.deadtime()
    }

    /// When nothing was heard of the peer for `deadtime`.
    pub(crate) fn heard_from(&self) -> Instant {
        self.talked_at + self.timing.deadtime()
    }

    /// What there is to hear of the peer.
    pub fn contact(&self, now: Instant) -> Contact<'_> {
        let fresh = |at: Instant| now - at < self.timing.deadtime();
        if let Some(heartbeat) = self.heartbeat(now) {
            return Contact::Heard(heartbeat);
        }
        let known =
            self.heartbeat.as_ref().filter(|_| fresh(self.talked_at) && self.fenced.is_none());
        let stranger = self.stranger.as_ref().filter(|it| fresh(it.at) && self.is_new(it));
        known.or(stranger.map(|it| &it.heartbeat)).map_or(Contact::Silent, Contact::Deaf)
    }

    /// Whether the supervisor of the peer has died, and its guard talks in its stead.
    pub fn restarts(&self, now: Instant) -> bool {
        self.contact(now).heartbeat().is_some_and(|heartbeat| heartbeat.restarts)
    }

    /// Whether its guard has talked for so long that nobody waits for another supervisor any more.
    fn has_restarted_for_long(&self, now: Instant) -> bool {
        self.restarts_since.is_some_and(|since| now - since >= self.restart_time)
    }

    /// Whether a life that was never proven began after all that are known.
    fn is_new(&self, stranger: &Stranger) -> bool {
        let known = self.heartbeat.map(|heartbeat| heartbeat.epoch.boot).or(self.newest);
        known.is_none_or(|known| stranger.heartbeat.epoch.boot.is_after(known))
    }

    /// The newest that the peer said, as long as it lives.
    pub fn heartbeat(&self, now: Instant) -> Option<&Heartbeat> {
        self.heartbeat
            .as_ref()
            .filter(|_| self.fenced.is_none() && self.health(now) != Health::Dead)
    }

    /// The newest that the peer said, however long ago.
    pub const fn last_heartbeat(&self) -> Option<&Heartbeat> {
        self.heartbeat.as_ref()
    }

    /// The epoch of the peer that this box echoes. A life that was never proven is echoed too, or two boxes would wait
    /// for each other.
    pub fn epoch(&self, now: Instant) -> Option<Epoch> {
        let known = self.heartbeat.as_ref();
        let stranger = self.stranger.as_ref().map(|it| &it.heartbeat);
        let spoken = self.contact(now).heartbeat().or(stranger).or(known);
        spoken.map(|heartbeat| heartbeat.epoch)
    }

    /// The newest life of the peer that this box has echoed, or may.
    pub(crate) fn newest_life(&self) -> Option<Incarnation> {
        let proven = self.heartbeat.map(|heartbeat| heartbeat.epoch.boot);
        let stranger = self.stranger.as_ref().filter(|it| self.is_new(it));
        stranger.map(|it| it.heartbeat.epoch.boot).or(proven).or(self.newest)
    }

    /// Whether the peer has talked and not heard this box for `deadtime`.
    pub(crate) fn is_deaf(&self, now: Instant) -> bool {
        self.deaf_since.is_some_and(|since| now - since >= self.timing.deadtime())
    }

    /// A life that talks, and says that it has never heard anybody; and since when it has its role.
    pub(crate) fn newborn(&self, now: Instant) -> Option<(&Heartbeat, Instant)> {
        let stranger = self.stranger.as_ref()?;
        let talks = matches!(self.contact(now), Contact::Deaf(heartbeat) if *heartbeat == stranger.heartbeat);
        (talks && stranger.heartbeat.heard.is_none())
            .then_some((&stranger.heartbeat, stranger.since))
    }

    /// Whether the peer's last word was that it leaves: what this life of it holds is nothing, for good.
    ///
    /// A box that has just been born may not know yet what it holds, so its farewell says nothing. And
    /// the word must come from a life that has heard this box since this box first heard it, so that the farewell of
    /// an earlier life, come late, says nothing of the present one.
    pub fn left(&self) -> bool {
        self.heartbeat.is_some_and(|heartbeat| {
            heartbeat.request == PeerRequest::Leave
                && matches!(heartbeat.role, Role::Standby | Role::Failed)
                && heartbeat.heard.is_some_and(|epoch| {
                    epoch.boot == self.my_boot && epoch.change >= self.known_from_change
                })
                && self.is_of_the_holder(&heartbeat)
        })
    }

    /// Whether `heartbeat` comes from the machine that held last, as far as machines are known.
    pub(crate) fn is_of_the_holder(&self, heartbeat: &Heartbeat) -> bool {
        let unknown = Fingerprint::default();
        self.holder == unknown || heartbeat.system == unknown || heartbeat.system == self.holder
    }

    /// Takes a person's word that the machine which held is off.
    pub(crate) const fn forget_holder(&mut self) {
        self.holder = Fingerprint([0; 4]);
    }

    /// Whether two machines were heard under the name of the peer in the last `deadtime`.
    pub(crate) fn is_doubled(&self, now: Instant) -> bool {
        self.twins_at.is_some_and(|at| now - at < self.timing.deadtime())
    }

    /// Whether the peer's last word was that everything is to be left as it is.
    pub fn in_maintenance(&self) -> bool {
        self.fenced.is_none()
            && self.heartbeat.is_some_and(|heartbeat| heartbeat.request == PeerRequest::Maintenance)
    }

    /// Takes it that a peer that is silent is no longer in maintenance: an operator says so.
    pub fn end_maintenance(&mut self) {
        if let Some(heartbeat) = &mut self.heartbeat
            && heartbeat.request == PeerRequest::Maintenance
        {
            heartbeat.request = PeerRequest::Nothing;
        }
    }

    /// Whether the power of the peer was seen off, and the peer was not proven alive since.
    pub const fn fenced(&self) -> bool {
        self.fenced.is_some()
    }

    /// Whether the fence devices of the peer are believed.
    pub const fn trust(&self) -> DeviceTrust {
        self.trust
    }

    /// Notes that the line or carrier of `link` is there, or is gone. What was never there cannot be gone.
    pub fn set_line(&mut self, link: LinkId, up: bool) {
        if let Some(way) = self.ways.get_mut(link.index()) {
            way.line = match way.line {
                _ if up => SignalLine::Up,
                SignalLine::Unknown => SignalLine::Unknown,
                SignalLine::Up | SignalLine::Down => SignalLine::Down,
            };
        }
    }

    /// The links whose line or carrier is there, and those where it was there and is gone.
    pub fn lines(&self) -> (LinkSet, LinkSet) {
        let all = |line| {
            let ways = self.ways.iter().zip((0..).filter_map(LinkId::new));
            ways.fold(LinkSet::default(), |links, (way, link)| links.with(link, way.line == line))
        };
        (all(SignalLine::Up), all(SignalLine::Down))
    }

    /// Whether every line and carrier that was there is gone.
    pub fn lines_dropped(&self) -> bool {
        let (up, down) = self.lines();
        up.is_empty() && !down.is_empty()
    }

    /// When the peer was last heard by `link`.
    pub fn heard_at(&self, link: LinkId) -> Option<Instant> {
        self.ways.get(link.index())?.heard_at
    }

    /// What `link` carries, as it was last told.
    pub fn carries(&self, link: LinkId) -> Option<Carries> {
        self.ways.get(link.index()).map(|way| way.carries)
    }

    /// The links by which the peer is heard.
    pub fn hears(&self, now: Instant) -> LinkSet {
        let mut links = LinkSet::default();
        for (way, link) in self.ways.iter().zip((0..).filter_map(LinkId::new)) {
            let fresh = way.heard_at.is_some_and(|at| now - at < self.timing.deadtime());
            links = links.with(link, fresh);
        }
        links
    }

    /// Tells what has changed with the peer's health and with the links.
    pub fn review(&mut self, now: Instant, mut tell: impl FnMut(Report)) {
        let (silence, health) = (self.silence(now), self.health(now));
        let expected = self.heartbeat.is_some_and(|heartbeat| !heartbeat.restarts)
            && self.fenced.is_none()
            && !self.left();
        if expected && health == Health::Late && self.health == Health::Alive {
            tell(Report::Late(silence));
        }
        self.health = health;
        let deaf =
            |heartbeat: &Heartbeat| !heartbeat.restarts && heartbeat.request != PeerRequest::Leave;
        let deaf = matches!(self.contact(now), Contact::Deaf(heartbeat) if deaf(heartbeat));
        self.deaf_since = deaf.then_some(self.deaf_since.unwrap_or(now));
        let deadtime = self.timing.deadtime();
        for (way, link) in self.ways.iter_mut().zip((0..).filter_map(LinkId::new)) {
            let carries = way.look(deadtime, now);
            if way.carries == Carries::Nothing && carries != Carries::Nothing {
                way.echoed_at = now;
            }
            if carries != way.carries {
                way.carries = carries;
                tell(Report::Link(link, carries));
            }
        }
    }

    /// When there will be something to review, should nothing more be heard.
    pub fn deadline(&self) -> Option<Instant> {
        let deadtime = self.timing.deadtime();
        let health = match self.health {
            Health::Alive => Some(self.lived_at + self.timing.warntime()),
            Health::Late => Some(self.lived_at + deadtime),
            Health::Dead => None,
        };
        let talked_at = self.stranger.iter().map(|it| it.at).chain([self.talked_at]).max();
        let deaf = talked_at.filter(|_| self.deaf_since.is_some()).map(|at| at + deadtime);
        let ways = self.ways.iter().filter_map(|way| match way.carries {
            Carries::BothWays => {
                let heard_at = way.heard_at.unwrap_or(way.since);
                Some(heard_at.min(way.echoed_at.max(way.since)) + deadtime)
            }
            Carries::OneWay => way.heard_at.map(|at| at + deadtime),
            Carries::Nothing => None,
        });
        ways.chain(health).chain(deaf).min()
    }

    /// The instant from which the slots are counted.
    pub(crate) const fn slots_from(&mut self) -> &mut Instant {
        &mut self.spoke_at
    }

    /// All that it knows the time of.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let Self { ways, talked_at, lived_at, spoke_at, proof, stranger, .. } = self;
        let Self { before, twins_at, fenced, trust, deaf_since, restarts_since, .. } = self;
        let suspected = match trust {
            DeviceTrust::Suspect(at, _) => Some(at),
            DeviceTrust::Trusted | DeviceTrust::Distrusted => None,
        };
        let stranger = stranger.iter_mut().flat_map(|it| [&mut it.at, &mut it.since]);
        let note_alive = before.iter_mut().map(|(_, came)| came).chain(stranger);
        let seen = twins_at.iter_mut().chain(fenced).chain(suspected).chain(deaf_since);
        let seen = seen.chain(restarts_since);
        let heard = [talked_at, lived_at, spoke_at].into_iter().chain(proof);
        ways.iter_mut().flat_map(LinkState::instants).chain(heard).chain(note_alive).chain(seen)
    }
}

/// One link, in both directions.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct LinkState {
    /// Since when this box listens to it.
    since: Instant,
    heard_at: Option<Instant>,
    /// When the peer last said that it hears this box by this link.
    echoed_at: Instant,
    carries: Carries,
    line: SignalLine,
}

/// Something electrical that tells whether there is a live machine at the other end: the control lines of a null-modem
/// cable, the carrier of a direct Ethernet cable.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum SignalLine {
    /// The link has none, or it was never seen up.
    Unknown,
    Up,
    Down,
}

impl LinkState {
    const fn new(now: Instant) -> Self {
        let (carries, line) = (Carries::BothWays, SignalLine::Unknown);
        Self { since: now, heard_at: None, echoed_at: now, carries, line }
    }

    fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        self.heard_at.iter_mut().chain([&mut self.echoed_at, &mut self.since])
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
    const MINE: Epoch = Epoch { boot: Incarnation(*b"me  "), change: 3 };

    #[test]
    fn silence_turns_alive_to_late_to_dead() {
        let mut peer = peer();
        peer.heard(ETHERNET, proven(1, 400), MINE, at(500));
        assert_eq!(peer.health(at(999)), Health::Alive);
        assert_eq!(peer.health(at(1_000)), Health::Late);
        assert_eq!(peer.health(at(1_499)), Health::Late);
        assert_eq!(peer.health(at(1_500)), Health::Dead);
        assert_eq!(peer.heartbeat(at(1_500)), None);
    }

    #[test]
    fn one_talking_link_is_proof_of_life() {
        let mut peer = peer();
        peer.heard(ETHERNET, proven(1, 0), MINE, at(0));
        peer.heard(SERIAL, proven(1, 800), MINE, at(900));
        assert_eq!(peer.health(at(1_200)), Health::Alive);
        let mut told = Vec::new();
        peer.review(at(1_200), |report| told.push(report));
        assert_eq!(told, [Report::Link(ETHERNET, Carries::Nothing)]);
    }

    #[test]
    fn an_older_word_is_a_sign_of_life_and_no_news() {
        let mut peer = peer();
        peer.heard(ETHERNET, proven(7, 0), MINE, at(0));
        peer.heard(SERIAL, proven(6, 800), MINE, at(900));
        assert_eq!(peer.epoch(at(900)).map(|epoch| epoch.change), Some(7));
        assert_eq!(peer.silence(at(900)), Duration::ZERO);
    }

    #[test]
    fn a_frame_that_was_held_back_is_no_sign_of_life() {
        let mut peer = peer();
        peer.heard(ETHERNET, proven(1, 0), MINE, at(0));
        for late in [500, 900, 1_300] {
            peer.heard(ETHERNET, proven(2, 0), MINE, at(late));
        }
        assert_eq!(
            peer.silence(at(1_400)),
            Duration::from_secs(1),
            "a frame and its echo take 400 ms"
        );
        assert!(matches!(peer.contact(at(1_400)), Contact::Deaf(_)));
        assert_eq!(peer.contact(at(2_300)), Contact::Silent);
    }

    #[test]
    fn a_recording_of_an_earlier_life_does_nothing() {
        let mut peer = peer();
        peer.heard(ETHERNET, proven(1, 0), MINE, at(0));
        for now in (100..5_000).step_by(100) {
            for number in 0..6 {
                let epoch = Epoch { boot: life(number), change: 9 };
                let heard = Some(Epoch { boot: Incarnation(*b"old "), change: 9 });
                let heartbeat = Heartbeat { epoch, heard, role: Role::Active, ..heartbeat(9) };
                peer.heard(ETHERNET, Heard { heartbeat, proof: Some(at(now)) }, MINE, at(now));
            }
        }
        assert_eq!(peer.silence(at(5_000)), Duration::from_secs(5));
        assert_eq!(peer.contact(at(5_000)), Contact::Silent);
    }

    #[test]
    fn another_life_is_believed_as_soon_as_it_has_heard_this_one() {
        let mut peer = peer();
        peer.heard(ETHERNET, proven(9, 0), MINE, at(0));
        let reborn = |heard, proof| {
            let epoch = Epoch { boot: life(7), change: 0 };
            Heard { heartbeat: Heartbeat { epoch, heard, ..heartbeat(0) }, proof }
        };
        assert_eq!(peer.heard(ETHERNET, reborn(None, None), MINE, at(100)), Brought::Word);
        assert_eq!(peer.epoch(at(100)).map(|epoch| epoch.boot), Some(life(6)));
        let heard = peer.heard(ETHERNET, reborn(Some(MINE), Some(at(150))), MINE, at(200));
        assert_eq!(heard, Brought::NewLife);
        assert_eq!(peer.epoch(at(200)).map(|epoch| epoch.boot), Some(life(7)));
        let late = peer.heard(SERIAL, proven(8, 100), MINE, at(250));
        assert_eq!(late, Brought::Word, "a late word of the life before");
        let twin = peer.heard(SERIAL, proven(10, 250), MINE, at(300));
        assert_eq!(twin, Brought::Twins, "the life before goes on");
        assert!(peer.is_doubled(at(1_299)) && !peer.is_doubled(at(1_300)), "for deadtime");
    }

    #[test]
    fn two_lives_that_have_heard_the_same_word_are_no_twins() {
        let mut peer = peer();
        peer.heard(ETHERNET, proven(9, 0), MINE, at(0));
        let epoch = Epoch { boot: life(7), change: 0 };
        let heartbeat = Heartbeat { epoch, heard: Some(MINE), ..heartbeat(0) };
        peer.heard(ETHERNET, Heard { heartbeat, proof: Some(at(150)) }, MINE, at(200));
        let late = peer.heard(SERIAL, proven(10, 150), MINE, at(250));
        assert_ne!(late, Brought::Twins, "the first died between two cables");
    }

    #[test]
    fn a_farewell_is_true_of_a_life_that_has_heard_what_this_box_is_since_they_met() {
        let farewell = |change| {
            let mut peer = peer();
            peer.heard(ETHERNET, proven(1, 0), MINE, at(0));
            let heard = Some(Epoch { change, ..MINE });
            let heartbeat = Heartbeat { request: PeerRequest::Leave, heard, ..heartbeat(2) };
            peer.heard(ETHERNET, Heard { heartbeat, proof: Some(at(100)) }, MINE, at(100));
            peer.left()
        };
        assert!(!farewell(MINE.change), "as an earlier life of it may have heard");
        assert!(farewell(MINE.change + 1));
    }

    #[test]
    fn what_a_supervisor_said_comes_late_and_does_not_end_its_restart() {
        let mut peer = peer();
        peer.heard(ETHERNET, proven(1, 0), MINE, at(0));
        let says = |peer: &mut Peer, restarts, request, now| {
            let heartbeat = Heartbeat { restarts, request, heard: Some(MINE), ..heartbeat(1) };
            peer.heard(ETHERNET, Heard { heartbeat, proof: None }, MINE, at(now));
            peer.restarts(at(now))
        };
        assert!(says(&mut peer, true, PeerRequest::Nothing, 100));
        assert!(says(&mut peer, false, PeerRequest::Nothing, 200));
        assert!(
            !says(&mut peer, false, PeerRequest::Leave, 300),
            "a guard that has stopped everything"
        );
    }

    #[test]
    fn a_guard_is_listened_to_for_restart_time() {
        let mut peer = peer();
        peer.heard(ETHERNET, proven(1, 0), MINE, at(0));
        for now in (1_000..=6_000).step_by(500) {
            let heartbeat = Heartbeat { restarts: true, heard: Some(MINE), ..heartbeat(1) };
            peer.heard(ETHERNET, Heard { heartbeat, proof: None }, MINE, at(now));
        }
        assert!(matches!(peer.contact(at(6_499)), Contact::Deaf(_)));
        assert_eq!(peer.contact(at(6_500)), Contact::Silent, "its heartbeat at 6 s counts no more");
    }

    #[test]
    fn a_stranger_is_as_old_as_its_role() {
        let mut peer = peer();
        let mut since = |number, change, role, now| {
            let epoch = Epoch { boot: life(number), change };
            let heartbeat = Heartbeat { epoch, role, ..heartbeat(0) };
            peer.heard(ETHERNET, Heard { heartbeat, proof: None }, MINE, at(now));
            peer.newborn(at(now)).map(|(heartbeat, since)| (heartbeat.role, since))
        };
        let (init, fencing) = (Role::Init, Role::Fencing);
        assert_eq!(since(7, 1, init, 100), Some((init, at(100))));
        assert_eq!(since(7, 2, init, 300), Some((init, at(100))));
        assert_eq!(since(7, 3, fencing, 500), Some((fencing, at(500))));
        assert_eq!(since(7, 2, init, 600), Some((fencing, at(500))), "an older heartbeat");
        assert_eq!(since(8, 1, fencing, 700), Some((fencing, at(700))), "another life");
        assert_eq!(since(8, 2, fencing, 1_699), Some((fencing, at(700))));
        assert_eq!(since(8, 3, fencing, 2_699), Some((fencing, at(2_699))), "it was silent");
    }

    #[test]
    fn a_peer_is_deaf_when_it_talks_for_deadtime_and_hears_nothing() {
        let mut peer = peer();
        peer.heard(ETHERNET, proven(1, 0), MINE, at(0));
        for now in (200..=2_400).step_by(200) {
            let heartbeat = Heartbeat { heard: Some(MINE), ..heartbeat(1) };
            peer.heard(ETHERNET, Heard { heartbeat, proof: None }, MINE, at(now));
            peer.review(at(now), |_| ());
            assert_eq!(peer.is_deaf(at(now)), now >= 2_000, "{now}: it hears nothing since 1 s");
        }
    }

    #[test]
    fn a_link_that_the_peer_does_not_hear_carries_one_way_after_deadtime() {
        let mut peer = peer();
        let mut told = Vec::new();
        let mut talks = |from: u64, to: u64, links: &[LinkId]| {
            told.clear();
            for now in (from..to).step_by(200) {
                let only = LinkSet::default().with(ETHERNET, true);
                let heartbeat = Heartbeat { hears: only, heard: Some(MINE), ..heartbeat(1) };
                for link in links {
                    peer.heard(*link, Heard { heartbeat, proof: Some(at(now)) }, MINE, at(now));
                }
                peer.review(at(now), |report| told.push((now, report)));
            }
            told.clone()
        };
        let one_way = Report::Link(SERIAL, Carries::OneWay);
        assert_eq!(talks(0, 3_000, &[ETHERNET, SERIAL]), [(1_000, one_way)]);
        let nothing = Report::Link(SERIAL, Carries::Nothing);
        assert_eq!(talks(3_000, 6_000, &[ETHERNET]), [(3_800, nothing)]);
        // It is given the time to be heard.
        let both_ways = Report::Link(SERIAL, Carries::BothWays);
        let told = talks(6_000, 9_000, &[ETHERNET, SERIAL]);
        assert_eq!(told, [(6_000, both_ways), (7_000, one_way)]);
    }

    #[test]
    fn only_the_machine_that_held_can_release() {
        let mut peer = peer();
        let says = |role, system, change| {
            let system = Fingerprint([system; 4]);
            Heartbeat { role, system, heard: Some(MINE), ..heartbeat(change) }
        };
        let heard = |heartbeat, now| Heard { heartbeat, proof: Some(at(now)) };
        peer.heard(ETHERNET, heard(says(Role::Active, 1, 1), 0), MINE, at(0));
        let other = Epoch { boot: life(7), change: 1 };
        let claims = Heartbeat { epoch: other, ..says(Role::Standby, 2, 1) };
        assert_eq!(peer.heard(ETHERNET, heard(claims, 100), MINE, at(100)), Brought::Twins);
        assert!(!peer.is_of_the_holder(&claims));
        peer.note_confirmed(at(200));
        assert!(peer.is_of_the_holder(&claims));
    }

    #[test]
    fn devices_that_say_off_while_the_peer_goes_on_are_distrusted_until_they_say_on() {
        let mut peer = peer();
        peer.heard(ETHERNET, proven(1, 0), MINE, at(0));
        assert!(peer.read_off(at(100)).is_some());
        assert!(peer.read_off(at(700)).is_some(), "the first reading counts");
        peer.heard(ETHERNET, proven(1, 900), MINE, at(1_000));
        assert_eq!(peer.trust(), DeviceTrust::Suspect(at(100), life(6)), "it may take a while");
        assert_eq!(peer.heard(ETHERNET, proven(1, 1_100), MINE, at(1_200)), Brought::Lie);
        assert!(peer.read_off(at(9_000)).is_none());
        peer.read_on();
        assert!(peer.read_off(at(9_200)).is_some());
    }

    #[test]
    fn a_peer_that_was_proven_alive_after_the_reading_was_not_seen_off() {
        let mut peer = peer();
        peer.heard(ETHERNET, proven(1, 500), MINE, at(600));
        assert!(peer.read_off(at(499)).is_none());
        let seen = peer.read_off(at(500)).expect("nothing was heard since");
        peer.note_off(&seen, at(700));
        peer.heard(ETHERNET, proven(1, 700), MINE, at(800));
        assert!(peer.fenced(), "that was said before");
        peer.heard(ETHERNET, proven(1, 701), MINE, at(900));
        assert!(!peer.fenced());
    }

    #[test]
    fn time_in_which_this_box_did_not_listen_is_no_silence() {
        let mut peer = peer();
        peer.heard(ETHERNET, proven(1, 0), MINE, at(0));
        peer.discount_stall(Duration::from_secs(60), at(60_200));
        assert_eq!(peer.silence(at(60_200)), Duration::from_millis(200));
        assert_eq!(peer.silent_from(), at(1_000), "the other box does not know of that");
        peer.review(at(60_900), |report| {
            assert_eq!(report, Report::Late(Duration::from_millis(900)));
        });
        assert_eq!(peer.carries(SERIAL), Some(Carries::BothWays), "it was not listened to either");
    }

    const fn life(number: u8) -> Incarnation {
        Incarnation([0, number, b'p', b'r'])
    }

    /// A word of a peer that has heard what this box said at `proof`.
    fn proven(change: u32, proof: u64) -> Heard {
        let heartbeat = Heartbeat { heard: Some(MINE), ..heartbeat(change) };
        Heard { heartbeat, proof: Some(at(proof)) }
    }

    fn heartbeat(change: u32) -> Heartbeat {
        Heartbeat {
            from: BoxId::Second,
            epoch: Epoch { boot: life(6), change },
            role: Role::Standby,
            priority: Priority(50),
            term: Term(0),
            fit: true,
            witness: true,
            shoots: false,
            restarts: false,
            request: PeerRequest::Nothing,
            config: Fingerprint::default(),
            system: Fingerprint::default(),
            heard: None,
            hears: LinkSet::default().with(ETHERNET, true).with(SERIAL, true),
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
        Peer::new((timing.unwrap(), Duration::from_secs(5)), 2, MINE.boot, None, at(0))
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }
}
