//! The machine: what this box is, and what it does about what happens.
//!
//! [`Node::step`] takes in one event and returns what to do about it. It knows no clock, no cable and
//! no device; whatever decides is here, and is run by the product and by the simulator alike.
//!
//! | role | when | becomes | and does |
//! |---|---|---|---|
//! | init | it was active, and everything there runs on | active | |
//! | init | leftovers are gone, then the peer is heard | standby | |
//! | init | leftovers are gone, then nothing for `initdead` | fencing | looks at the peer's power |
//! | init | leftovers cannot be removed | | asks to be fenced, and tries again |
//! | standby | the peer's word releases this box (the echo rule, `released_by`) | starting | start |
//! | standby | silence on every link for `deadtime`, a peer seen off, or one that asks for it | fencing | looks at the peer's power |
//! | fencing | the peer's power is off, or an operator says so | starting | start |
//! | fencing | it is the turn of this box to shoot | | fence |
//! | fencing | the peer is heard before the shot | standby | |
//! | starting | everything runs | active | |
//! | starting, active | something failed (too often), and the peer can serve | stopping | stop |
//! | active | home is ready long enough; an operator, here or there, wants it | stopping | stop |
//! | active | silence, or the peer is about to shoot | | fence, at once |
//! | standby, fencing, active | an operator wants the peer off | fencing, or as it was | fence, at once |
//! | stopping | everything is stopped | standby or failed | |
//! | stopping | something cannot be stopped | | asks to be fenced, and resets itself |
//! | failed | no failure is left | standby | |
//!
//! Three rules keep the promise of *one holder*, whatever is lost, late, or repeated:
//!
//! 1. **Echo.** On the peer's word this box starts only if that word echoes its present epoch, and the
//!    epoch rises with every change of role, fitness or request.
//! 2. **Evidence.** Without the peer's word it starts only on evidence: the peer's power seen off, an operator.
//! 3. **Commitment.** A shot that was ordered is waited for, and nothing starts on an order that is not confirmed.

use heapless::Vec;

use crate::dark::Dark;
use crate::failback::Failback;
use crate::heartbeat::{Asks, Boot, Epoch, Heartbeat, Role, Term};
use crate::identity::{LINKS_MAX, LinkId, ResourceId};
use crate::journal::{End, Journal, Standing};
use crate::news::{Cause, Change, News};
use crate::order::{Order, Refusal};
use crate::peer::Peer;
use crate::recovery::{OnFailure, Recovery, Verdict};
use crate::settings::Settings;
use crate::shot::{Belief, Past, Shot};
use crate::takeover::will_serve;
use crate::time::{Instant, Timer, Timers};

/// Something that happened.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Event {
    /// A heartbeat came by a link.
    Heartbeat(LinkId, Heartbeat),
    /// The deadline that [`Node::next_deadline`] told has come.
    Timeout,
    /// The one answer to the question that was asked under this tag.
    Answer(Tag, Answer),
    /// A resource that should run does not, or could not be started again.
    ResourceFailed(ResourceId),
    /// A resource closed the gate through which the resources go home, or opened it.
    Gate {
        /// They are to stay where they are.
        closed: bool,
    },
    /// An operator's word.
    Order(Order),
    /// The line or carrier of a link is there, or is gone.
    Line(LinkId, bool),
    /// The peer's power was seen off, twice, though nobody had asked.
    SeenOff,
    /// After that it was seen on.
    SeenOn,
    /// A witness answers, or none does.
    Witness(bool),
    /// This box's own BMC knows whether its power was last cut by an order.
    WasShot(bool),
}

/// What became of a question.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Answer {
    /// To [`Action::Start`]: everything runs.
    Started,
    /// To [`Action::Start`]: this resource does not.
    StartFailed(ResourceId),
    /// To [`Action::Adopt`]: everything runs, and is watched again.
    Adopted,
    /// To [`Action::Adopt`]: something is missing, or not to be known.
    NotAdopted,
    /// To [`Action::Stop`]: nothing runs that must run on one box only.
    Stopped,
    /// To [`Action::Stop`]: this resource may still run.
    StopFailed(ResourceId),
    /// To [`Action::LookAtPower`]: the peer's power is off.
    PowerOff,
    /// To [`Action::LookAtPower`]: the peer's power is on.
    PowerOn,
    /// To [`Action::LookAtPower`]: the peer's power cannot be seen.
    PowerUnknown,
    /// To [`Action::LookAtPower`]: the same, and none of its devices has given any sign of life.
    PowerSilent,
    /// To [`Action::Fence`]: the peer's power was seen off.
    Fenced,
    /// To [`Action::Fence`]: it was not.
    FenceFailed,
}

/// Something to be done.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Say this on every link.
    Send(Heartbeat),
    /// Start, in order, what runs on the active box. Asks.
    Start(Tag),
    /// Look whether everything that runs on the active box was left running by the last life, and watch it on. Asks.
    Adopt(Tag),
    /// Stop, in reverse order, what runs on the active box only, whoever started it. Asks.
    Stop(Tag),
    /// Start this one resource again.
    Restart(ResourceId),
    /// Read the peer's power. Asks.
    LookAtPower(Tag),
    /// Cut the peer's power, and see it off. Asks.
    Fence(Tag),
    /// Reset this box by all means.
    Reset,
    /// End: the peer knows, or is not there to know.
    Leave,
    /// Become the next version of the supervisor, now that everything else is done.
    Upgrade,
    /// Tell the operator what became of the order.
    Reply(Result<(), Refusal>),
    /// Write this down, and then only do what comes after it.
    Record(Journal),
    /// Tell the neighbours again where the addresses are.
    Announce,
    /// Tell people. Comes before the effects of what is told.
    Tell(News),
}

/// The epoch's change under which a question was asked; its answer carries it back.
pub type Tag = u32;

/// What there is to do, in this order.
pub type Actions = Vec<Action, ACTIONS_MAX>;

/// One box of the pair.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and most mixtures can be"
)]
pub struct Node {
    pub(crate) settings: Settings,
    pub(crate) boot: Boot,
    pub(crate) change: u32,
    pub(crate) role: Role,
    pub(crate) asks: Asks,
    pub(crate) fit: bool,
    pub(crate) term: Term,
    pub(crate) cause: Cause,
    pub(crate) since: Instant,
    pub(crate) peer: Peer,
    /// The epoch of the peer that was last echoed.
    pub(crate) echoed: Option<Epoch>,
    pub(crate) recovery: Recovery,
    pub(crate) failback: Failback,
    /// What the last life may have left is to run on, if it is whole.
    pub(crate) adopts: bool,
    /// What an earlier life of the supervisor may have left is gone, or known.
    pub(crate) clean: bool,
    /// The resources were told to start or stop, and have not answered.
    pub(crate) asked: Option<Tag>,
    pub(crate) shot: Shot,
    /// The shot under way is an operator's.
    pub(crate) by_order: bool,
    pub(crate) tries: u8,
    pub(crate) dark: Dark,
    /// Whether the network of this box is fine, as far as its witnesses tell.
    pub(crate) witness: bool,
    pub(crate) past: Past,
    pub(crate) timers: Timers,
    /// What goes on for long has been told.
    pub(crate) told: bool,
    /// The operator's order that outlives the supervisor.
    pub(crate) standing: Option<Standing>,
    recorded: Option<Journal>,
    /// What the last life of this box has left, until it is told.
    last_life: Option<Journal>,
    /// The machine with this box's name that was told of last.
    impostor: Option<Boot>,
    /// Whether a fence device is believed that says off.
    pub(crate) belief: Belief,
}

impl Node {
    /// A box that has just been born, and asks at its first step for its leftovers: to be removed, or to run on.
    ///
    /// `journal` is what its last life has left, if that can be read.
    pub fn new(settings: Settings, boot: Boot, journal: Option<Journal>, now: Instant) -> Self {
        let peer = Peer::new(settings.timing, settings.links, boot, now);
        let recovery = Recovery::new(&settings.resources);
        let standing = journal.and_then(|journal| journal.order);
        let mut timers = Timers::default();
        timers.set(Timer::Keepalive, now);
        if let Some(Standing { until: End::At(end), .. }) = standing {
            timers.set(Timer::Order, end);
        }
        Self {
            settings,
            boot,
            change: 0,
            role: Role::Init,
            asks: standing.map_or(Asks::Nothing, |order| order.asks),
            fit: true,
            term: journal.map(|journal| journal.term).unwrap_or_default(),
            cause: Cause::Boot,
            since: now,
            peer,
            echoed: None,
            recovery,
            failback: Failback::default(),
            adopts: journal.is_some_and(|journal| journal.left_services()),
            clean: false,
            asked: None,
            shot: Shot::None,
            by_order: false,
            tries: 0,
            dark: Dark::default(),
            witness: true,
            past: Past::of(journal),
            timers,
            told: false,
            standing,
            recorded: None,
            last_life: journal,
            impostor: None,
            belief: Belief::default(),
        }
    }

    /// Takes in what happened, and tells what to do about it.
    pub fn step(&mut self, event: Event, now: Instant) -> Actions {
        let mut actions = self.undergo(now, |node, actions| node.take_in(event, now, actions));
        let upgrades = event == Event::Order(Order::Upgrade);
        if upgrades && actions.contains(&Action::Reply(Ok(()))) {
            act(&mut actions, Action::Upgrade);
        }
        actions
    }

    fn take_in(&mut self, event: Event, now: Instant, actions: &mut Actions) {
        match event {
            Event::Heartbeat(link, heartbeat) => self.on_heartbeat(link, heartbeat, now, actions),
            Event::Answer(tag, answer) => self.on_answer(tag, answer, now, actions),
            Event::ResourceFailed(resource) => self.on_resource_failed(resource, now, actions),
            Event::Order(order) => {
                let reply = self.on_order(order, now, actions);
                act(actions, Action::Reply(reply));
            }
            Event::Gate { closed } => self.failback.set_gate(closed),
            Event::Line(link, up) => self.on_line(link, up, actions),
            Event::SeenOff => self.on_seen_off(now, actions),
            Event::SeenOn => self.belief = Belief::Whole,
            Event::Witness(answers) => self.on_witness(answers, actions),
            Event::WasShot(shot) => self.past.set_shot(shot),
            Event::Timeout => {}
        }
    }

    /// Has something changed by `what`, decides what the role demands, and says what the peer should know.
    pub(crate) fn undergo(
        &mut self,
        now: Instant,
        what: impl FnOnce(&mut Self, &mut Actions),
    ) -> Actions {
        let mut actions = Actions::new();
        if let Some(journal) = self.last_life.take() {
            tell(&mut actions, News::LastLife { role: journal.role, clean: journal.clean });
        }
        let (change, asked, shot_at) = (self.change, self.asks, self.is_shot_at(now));
        self.notice_lateness(now, &mut actions);
        what(self, &mut actions);
        self.decide(now, &mut actions);
        self.recover(now, &mut actions);
        self.record(&mut actions);
        self.peer.review(now, |news| act(&mut actions, Action::Tell(news)));
        if self.change != change
            || self.echoed != self.peer.epoch()
            || self.timers.expired(Timer::Keepalive, now)
        {
            self.timers.set(Timer::Keepalive, now + self.settings.timing.keepalive());
            self.echoed = self.peer.epoch();
            act(&mut actions, Action::Send(self.heartbeat(now)));
        }
        let stuck = self.asks == Asks::Fence && asked != Asks::Fence;
        let is_shot_at = self.is_shot_at(now) && !shot_at;
        if is_shot_at {
            tell(&mut actions, News::ShotAt);
        }
        // The last words come before the end.
        if (stuck || is_shot_at) && self.role != Role::Init {
            act(&mut actions, Action::Reset);
        }
        self.decide_leaving(now, &mut actions);
        self.timers.drop_expired(now, Timer::Keepalive);
        actions
    }

    /// When [`Event::Timeout`] is wanted, unless something happens before.
    pub fn next_deadline(&self) -> Instant {
        let first = self.timers.next().into_iter().chain(self.peer.deadline()).min();
        first.unwrap_or(self.since)
    }

    /// The sentence that this box says now.
    pub fn heartbeat(&self, now: Instant) -> Heartbeat {
        Heartbeat {
            from: self.settings.me,
            epoch: self.epoch(),
            role: self.role,
            priority: self.settings.priority,
            term: self.term,
            fit: self.fit,
            witness: self.witness,
            shoots: self.shoots(),
            asks: self.asks,
            config: self.settings.config,
            system: self.settings.system,
            heard: self.peer.epoch(),
            hears: self.peer.hears(now),
        }
    }

    /// How this box is set up.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What this box is.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Names the present stance of this box.
    pub const fn epoch(&self) -> Epoch {
        Epoch { boot: self.boot, change: self.change }
    }

    /// The last takeover that this box made or heard of.
    pub const fn term(&self) -> Term {
        self.term
    }

    /// Why this box is what it is, and since when.
    pub const fn cause(&self) -> (Cause, Instant) {
        (self.cause, self.since)
    }

    /// What this box asks of the peer.
    pub const fn asks(&self) -> Asks {
        self.asks
    }

    /// Whether no resource has failed too often here.
    pub const fn fit(&self) -> bool {
        self.fit
    }

    /// The peer, as this box sees it.
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What is known of the peer as home.
    pub const fn failback(&self) -> &Failback {
        &self.failback
    }

    /// The failures of the resources.
    pub const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Whether the network of this box is fine, as far as its witnesses tell.
    pub const fn witness(&self) -> bool {
        self.witness
    }

    /// What goes on against the peer's power.
    pub const fn shot(&self) -> Shot {
        self.shot
    }

    /// When `timer` runs out, if it runs.
    pub const fn timer(&self, timer: Timer) -> Option<Instant> {
        self.timers.get(timer)
    }

    fn on_heartbeat(
        &mut self,
        link: LinkId,
        heartbeat: Heartbeat,
        now: Instant,
        actions: &mut Actions,
    ) {
        if heartbeat.from == self.settings.me {
            // What comes back from a network is dropped in silence; another boot is another box.
            let boot = heartbeat.epoch.boot;
            if boot != self.boot {
                self.peer.lives(link, now);
                // Once for each life of it, whatever else there is to tell.
                if self.impostor.replace(boot) != Some(boot) {
                    tell(actions, News::Impostor(link));
                }
            }
            return;
        }
        self.told &= self.peer.word(now).is_none();
        let (left, differs) = (self.peer.left(), self.config_differs());
        let held = self.peer.word(now).is_some_and(|word| word.role.holds_resources());
        if self.peer.heard(link, heartbeat, self.epoch(), now) {
            // What an earlier boot of the peer has echoed is not to be believed of this one.
            self.change += 1;
        }
        if self.peer.left() && !left {
            tell(actions, News::PeerLeaves);
        }
        let holds = self.peer.word(now).is_some_and(|word| word.role.holds_resources());
        if self.role.holds_resources() && held && !holds {
            // Whoever was told last by the peer must be told again.
            act(actions, Action::Announce);
        }
        // Whoever may hold from before the peer's last takeover must not take that for its own.
        if !self.role.holds_resources() && !self.adopts {
            self.term = self.term.max(heartbeat.term);
        }
        if self.config_differs() && !differs {
            tell(actions, News::ConfigDiffers);
        }
    }

    /// Whether the peer says that it has ordered the power of this boot of this box off. What keeps a box in its init
    /// is not cured by a reset of its own.
    fn is_shot_at(&self, now: Instant) -> bool {
        let shoots = self.peer.word(now).is_some_and(|word| word.shoots && self.hears_me(word));
        shoots && self.role != Role::Init
    }

    fn on_line(&mut self, link: LinkId, up: bool, actions: &mut Actions) {
        let before = self.peer.lines();
        self.peer.set_line(link, up);
        if self.peer.lines() != before {
            tell(actions, News::Line(link, up));
        }
    }

    fn on_witness(&mut self, answers: bool, actions: &mut Actions) {
        if self.witness != answers {
            self.witness = answers;
            self.change += 1;
            tell(actions, News::Witness(answers));
        }
    }

    /// Ends an order whose time is over.
    fn end_order(&mut self, now: Instant, actions: &mut Actions) {
        if self.timers.expired(Timer::Order, now) {
            tell(actions, News::OrderEnded);
            self.standing = None;
            self.ask(Asks::Nothing);
        }
    }

    pub(crate) fn config_differs(&self) -> bool {
        self.peer.last_word().is_some_and(|word| word.config != self.settings.config)
    }

    /// Tells what lasts once, until it is over: until the peer is heard, or the role changes.
    pub(crate) fn tell_once(&mut self, news: News, actions: &mut Actions) {
        if !core::mem::replace(&mut self.told, true) {
            tell(actions, news);
        }
    }

    fn on_answer(&mut self, tag: Tag, answer: Answer, now: Instant, actions: &mut Actions) {
        // The late answer to a question that an earlier role asked is no answer.
        match answer {
            Answer::Started
            | Answer::StartFailed(_)
            | Answer::Adopted
            | Answer::NotAdopted
            | Answer::Stopped
            | Answer::StopFailed(_) => {
                if self.asked == Some(tag) {
                    self.asked = None;
                    self.on_group(answer, now, actions);
                }
            }
            Answer::PowerOff | Answer::PowerOn | Answer::PowerUnknown | Answer::PowerSilent => {
                if self.shot == Shot::Looking(tag) {
                    // A device that refuses has power, and so may the peer.
                    self.dark.mute = answer == Answer::PowerSilent;
                    self.dark.unseen = self.dark.mute || answer == Answer::PowerUnknown;
                    self.on_power(answer == Answer::PowerOff, now, actions);
                }
            }
            Answer::Fenced | Answer::FenceFailed => {
                if self.shot == Shot::Ordered(tag) {
                    self.on_shot(answer == Answer::Fenced, now, actions);
                }
            }
        }
    }

    fn on_group(&mut self, answer: Answer, now: Instant, actions: &mut Actions) {
        match (self.role, answer) {
            (Role::Init, answer) if self.adopts => self.on_adopted(answer, now, actions),
            (Role::Init, Answer::Stopped) => {
                self.clean = true;
                self.come_loose();
                self.peer.listen_from(now);
                self.timers.set(Timer::Initdead, now + self.settings.timing.initdead());
            }
            (Role::Starting, Answer::Started) => {
                self.enter(Role::Active, Cause::Started, now, actions);
            }
            (Role::Starting, Answer::StartFailed(resource)) => {
                self.recovery.start_failed(resource, now);
                self.drop_claim();
                self.stop(Cause::StartFailed(resource), now, actions);
            }
            (Role::Stopping, Answer::Stopped) => {
                self.come_loose();
                self.refit();
                let role = if self.fit { Role::Standby } else { Role::Failed };
                self.enter(role, Cause::Stopped, now, actions);
            }
            (Role::Init, Answer::StopFailed(resource)) => {
                // A reset would lead here again, and again. The peer may cut the power; a person may log in meanwhile.
                tell(actions, News::Leftover(resource));
                self.stick(now);
            }
            (Role::Stopping, Answer::StopFailed(resource)) => {
                tell(actions, News::StopFailed(resource));
                self.stick(now);
            }
            _ => {}
        }
    }

    fn on_resource_failed(&mut self, resource: ResourceId, now: Instant, actions: &mut Actions) {
        if self.role == Role::Stopping {
            return;
        }
        if self.asks == Asks::Maintenance {
            tell(actions, News::Frozen(resource));
            self.recovery.freeze(resource);
            return;
        }
        let holds = self.role.holds_resources();
        match self.recovery.failed(resource, now) {
            Verdict::Ignored => tell(actions, News::Ignored(resource)),
            Verdict::Restarted => tell(actions, News::Restarting(resource)),
            Verdict::TooOften(OnFailure::Fence) if holds => {
                tell(actions, News::TooOften(resource));
                self.ask(Asks::Fence);
            }
            Verdict::TooOften(on_failure) if holds && self.peer_can_serve(now) => {
                tell(actions, News::TooOften(resource));
                self.drop_claim();
                if on_failure == OnFailure::Standby {
                    self.ask(Asks::Standby);
                }
                self.stop(Cause::ResourceFailed(resource), now, actions);
            }
            Verdict::TooOften(_) => {
                tell(actions, News::Insisting(resource));
                self.recovery.insist(resource, now);
            }
        }
        self.refit();
    }

    /// Meets what failed in maintenance when that is over; what finds no room is met in the next step.
    fn thaw(&mut self, now: Instant, actions: &mut Actions) {
        while self.asks != Asks::Maintenance
            && actions.len() < ACTIONS_MAX / 2
            && let Some(resource) = self.recovery.thaw()
        {
            self.on_resource_failed(resource, now, actions);
        }
    }

    /// Does what the role demands, now that everything has been taken in.
    fn decide(&mut self, now: Instant, actions: &mut Actions) {
        self.recovery.forget(now);
        self.end_order(now, actions);
        self.thaw(now, actions);
        self.pardon(now);
        self.refit();
        self.watch_home(now);
        self.watch_dark(now, actions);
        match self.role {
            Role::Init => self.decide_init(now, actions),
            Role::Standby => self.decide_standby(now, actions),
            Role::Fencing => self.decide_fencing(now, actions),
            Role::Starting | Role::Active => self.decide_serving(now, actions),
            Role::Failed if self.fit && self.asks != Asks::Maintenance => {
                self.enter(Role::Standby, Cause::Recovered, now, actions);
            }
            Role::Stopping => self.stop_again(now, actions),
            Role::Failed => {}
        }
    }

    /// A box that cannot release asks to be fenced, because it must not be trusted with having released.
    fn stick(&mut self, now: Instant) {
        self.ask(Asks::Fence);
        let pause = self.pause();
        self.timers.set(Timer::Pardon, now + pause);
    }

    fn come_loose(&mut self) {
        self.tries = 0;
        if self.asks == Asks::Fence {
            self.ask(Asks::Nothing);
        }
    }

    /// Tries again what could not be stopped, for as long as this box is neither reset nor fenced.
    pub(crate) fn stop_again(&mut self, now: Instant, actions: &mut Actions) {
        let due = self.timers.get(Timer::Pardon).is_none_or(|at| at <= now);
        if self.asked.is_none() && due {
            self.asked = Some(self.change);
            act(actions, Action::Stop(self.change));
        }
    }

    fn decide_serving(&mut self, now: Instant, actions: &mut Actions) {
        let word = self.peer.word(now).copied();
        if let Some(word) = word
            && word.role.holds_resources()
            // A word that never heard of this boot may be a recording; who serves on is told so by the true one.
            && self.hears_me(&word)
            && (word.term, word.rank()) > (self.term, self.settings.rank())
        {
            self.stop(Cause::DualActive, now, actions);
            return;
        }
        if self.asks == Asks::Maintenance {
            self.timers.stop(Timer::Failback);
            return;
        }
        self.decide_shot(now, actions);
        // Nothing is given to a peer whose power is being cut.
        if self.role != Role::Active || matches!(self.shot, Shot::Ordered(_)) {
            return;
        }
        if let Some(cause) = word.and_then(|word| self.gives_way(&word)) {
            self.ask(Asks::HandOver);
            self.stop(cause, now, actions);
            return;
        }
        self.decide_failback(now, actions);
    }

    /// Why this box should let the peer serve, which could, and knows that this box serves.
    fn gives_way(&self, word: &Heartbeat) -> Option<Cause> {
        let ready = will_serve(word) && word.echoes(self.epoch());
        let sees_more = word.witness && !self.witness;
        match word.asks {
            _ if !ready => None,
            Asks::Claim => Some(Cause::PeerOrdered),
            _ if sees_more && self.asks == Asks::Nothing => Some(Cause::WitnessLost),
            _ => None,
        }
    }

    fn decide_leaving(&mut self, now: Instant, actions: &mut Actions) {
        // Who leaves and still holds has been asked to stop.
        let busy = self.asked.is_some() || matches!(self.shot, Shot::Ordered(_));
        if self.asks != Asks::Leave || busy {
            return;
        }
        if self.timers.get(Timer::Leave).is_none() {
            self.timers.set(Timer::Leave, now + self.settings.timing.deadtime());
        }
        let knows = self.peer.word(now).is_none_or(|word| word.echoes(self.epoch()));
        if knows || self.timers.expired(Timer::Leave, now) {
            act(actions, Action::Leave);
        }
    }

    /// Gives a box that has failed another try while nobody else serves or could.
    fn pardon(&mut self, now: Instant) {
        let alone = self.peer.word(now).is_none_or(|word| {
            word.role == Role::Failed || word.role == Role::Standby && !word.fit
        });
        if self.role != Role::Failed || self.asks != Asks::Nothing || !alone {
            if !matches!(self.role, Role::Init | Role::Stopping) {
                self.timers.stop(Timer::Pardon);
            }
            return;
        }
        match self.timers.get(Timer::Pardon) {
            None => self.timers.set(Timer::Pardon, now + self.recovery.pause()),
            Some(at) if at <= now => self.recovery.pardon(),
            Some(_) => {}
        }
    }

    /// Starts again what is due.
    fn recover(&mut self, now: Instant, actions: &mut Actions) {
        // What finds no room is started in the next step.
        while actions.len() < ACTIONS_MAX - AFTERWARDS
            && let Some(resource) = self.recovery.due(now)
        {
            act(actions, Action::Restart(resource));
        }
        match self.recovery.deadline() {
            Some(at) => self.timers.set(Timer::Recovery, at),
            None => self.timers.stop(Timer::Recovery),
        }
    }

    /// Time in which this box did not run is no silence of the peer; after a long one it listens before it acts.
    fn notice_lateness(&mut self, now: Instant, actions: &mut Actions) {
        let late = now - self.next_deadline();
        if late.is_zero() {
            return;
        }
        self.peer.excuse(late, now);
        let keepalive = self.settings.timing.keepalive();
        if late > keepalive {
            self.timers.set(Timer::Relisten, now + keepalive * 2);
            tell(actions, News::Stalled(late));
        }
    }

    /// Whether the peer would take the resources if this box let them go.
    pub(crate) fn peer_can_serve(&self, now: Instant) -> bool {
        self.peer.word(now).is_some_and(|word| will_serve(word) && self.hears_me(word))
    }

    pub(crate) fn hears_me(&self, word: &Heartbeat) -> bool {
        word.heard.is_some_and(|epoch| epoch.boot == self.boot)
    }

    pub(crate) fn stop(&mut self, cause: Cause, now: Instant, actions: &mut Actions) {
        self.recovery.call_off();
        self.refit();
        self.timers.stop(Timer::Failback);
        self.enter(Role::Stopping, cause, now, actions);
        self.asked = Some(self.change);
        act(actions, Action::Stop(self.change));
    }

    pub(crate) fn enter(&mut self, role: Role, cause: Cause, now: Instant, actions: &mut Actions) {
        let from = core::mem::replace(&mut self.role, role);
        self.change += 1;
        self.cause = cause;
        self.since = now;
        self.told = false;
        if !matches!(self.shot, Shot::Ordered(_)) {
            self.shot = Shot::None;
        }
        let change = Change { from, to: role, cause, epoch: self.epoch(), term: self.term };
        tell(actions, News::Changed(change));
        self.record(actions);
    }

    /// Writes down what has changed, if it is worth a write.
    fn record(&mut self, actions: &mut Actions) {
        if self.adopts {
            // A life that ends before it knows has changed nothing.
            return;
        }
        let journal = self.journal();
        let worth = |journal: Journal| (journal.role, journal.clean, journal.order);
        if self.recorded.map(worth) != Some(worth(journal)) {
            self.recorded = Some(journal);
            act(actions, Action::Record(journal));
        }
    }

    /// What the next life of this box should know.
    fn journal(&self) -> Journal {
        Journal {
            term: self.term,
            role: self.role,
            clean: self.asks == Asks::Leave && !self.role.holds_resources(),
            peer: self.peer.last_word().map(|word| word.role),
            fenced: self.peer.fenced(),
            order: self.standing,
        }
    }

    /// An operator's wish for this box to serve ends where it cannot.
    fn drop_claim(&mut self) {
        if self.asks == Asks::Claim {
            self.ask(Asks::Nothing);
        }
    }

    pub(crate) fn ask(&mut self, asks: Asks) {
        if self.asks != asks {
            self.asks = asks;
            // An order ends with what it asked for.
            self.timers.stop(Timer::Order);
            self.change += 1;
        }
    }

    pub(crate) fn refit(&mut self) {
        let fit = self.recovery.fit();
        if self.fit != fit {
            self.fit = fit;
            self.change += 1;
        }
    }
}

pub(crate) fn tell(actions: &mut Actions, news: News) {
    act(actions, Action::Tell(news));
}

pub(crate) fn act(actions: &mut Actions, action: Action) {
    let full = actions.push(action).is_err();
    debug_assert!(!full, "ACTIONS_MAX is too small for {action:?}");
}

/// A step tells of every link twice at most, of three things more, and starts every resource again at most.
pub const ACTIONS_MAX: usize = 40;

/// What may come after the restarts: a record, a word on each link and on the peer's health, the sentence, the end.
const AFTERWARDS: usize = LINKS_MAX + 6;
