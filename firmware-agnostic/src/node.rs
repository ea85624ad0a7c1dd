//! The machine: what this box is, and what it does about what happens.
//!
//! [`Node::step`] takes in one event and returns what to do about it. It knows no clock, no cable and
//! no device; all that decides is here, and is run by the product and by the simulator alike.
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
//! Three rules keep the promise of *one holder* when heartbeats are lost, late, or repeated:
//!
//! 1. **Echo.** On the peer's word this box starts only if that word echoes its present epoch, and the
//!    epoch rises with every change of role, fitness or request.
//! 2. **Evidence.** Without the peer's word it starts only on evidence: the peer's power seen off, an operator.
//! 3. **Commitment.** A shot that was ordered is waited for, and nothing starts on an order that is not confirmed.

use core::time::Duration;

use heapless::Vec;

use crate::failback::{Failback, Reason};
use crate::heartbeat::{Epoch, Heartbeat, Incarnation, PeerRequest, Role, Term};
use crate::identity::{LINKS_MAX, LinkId, ResourceId};
use crate::journal::{Expiry, Journal, StandingOrder};
use crate::node::dark::Dark;
use crate::node::fencing::{Fencing, LastLoss, PreviousRun};
use crate::node::takeover::will_serve;
use crate::order::{FenceMode, Order, OrderDuration, Refusal};
use crate::peer::{Brought, Peer};
use crate::receiver::Heard;
use crate::recovery::{OnFailure, Recovery, Remedy};
use crate::report::{Cause, Change, Report};
use crate::settings::Settings;
use crate::time::{Instant, Timer, Timers};

mod adopt;
pub mod dark;
mod failback;
pub mod fencing;
mod orders;
pub mod reload;
mod takeover;
mod time_shift;

/// Something that happened.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Event {
    /// A heartbeat came by a link.
    Heartbeat(LinkId, Heard),
    /// The deadline that [`Node::next_deadline`] told has come.
    Timeout,
    /// The one answer to the question that was asked under this tag.
    Answer(Tag, Answer),
    /// A resource that should run does not, or could not be started again.
    ResourceFailed(ResourceId),
    /// A resource that does not run here could not be started now, or could again.
    Startable(ResourceId, bool),
    /// What starts, stops and watches the resources hangs, or works again.
    Hangs(bool),
    /// A resource closed the gate through which the resources go home, or opened it.
    Gate {
        /// They are to stay where they are.
        closed: bool,
    },
    /// An operator's word.
    Order(Order),
    /// The line or carrier of a link is there, or is gone.
    Line(LinkId, bool),
    /// The device that was told to fence under this tag is ready to cut the power, and waits for [`Action::Cut`].
    Ready(Tag),
    /// The peer's power was seen off, twice, though nobody had asked; first at this time.
    SeenOff(Instant),
    /// The peer's power was seen on, though nobody had asked.
    SeenOn,
    /// A shot obliges this box to switch the peer on again, so long from now.
    OwesPower(Duration),
    /// A witness answers, or none does.
    Witness(bool),
    /// This box's own fence device tells how the power of this box was last lost.
    LastLoss(LastLoss),
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
    /// To [`Action::LookAtPower`]: the peer's power is off, read twice from one device. The first reading was
    /// answered at this time.
    PowerOff(Instant),
    /// To [`Action::LookAtPower`]: the peer's power is on.
    PowerOn,
    /// To [`Action::LookAtPower`]: the peer's power cannot be seen.
    PowerUnknown,
    /// To [`Action::LookAtPower`]: the same, and none of its devices has given any sign of life.
    PowerSilent,
    /// To [`Action::Fence`]: the same.
    Fenced(Instant),
    /// To [`Action::Fence`]: it was not; or it was called off, and nothing more will come of it.
    FenceFailed,
    /// To [`Action::PowerOn`]: the order was taken.
    PoweredOn,
    /// To [`Action::PowerOn`]: it was not.
    PowerOnFailed,
}

impl Answer {
    /// When the peer's power was first read as off.
    pub const fn off_at(self) -> Option<Instant> {
        match self {
            Self::PowerOff(at) | Self::Fenced(at) => Some(at),
            _ => None,
        }
    }
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
    /// Stop, in reverse order, what runs on the active box only, also what another supervisor started. Asks.
    Stop(Tag),
    /// Start this one resource again.
    Restart(ResourceId),
    /// Read the peer's power. Asks.
    LookAtPower(Tag),
    /// Make ready to cut the peer's power, and tell [`Event::Ready`]; where it is off already, that is the answer.
    /// Asks.
    Fence(Tag),
    /// Cut the power now, and see it off: the answer is that to [`Action::Fence`].
    Cut(Tag),
    /// Send nothing more. What was sent may still happen, and is waited for: the answer is that to [`Action::Fence`].
    CallOff(Tag),
    /// Switch the peer on. Asks.
    PowerOn(Tag),
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
    Tell(Report),
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
    settings: Settings,
    boot: Incarnation,
    change: u32,
    role: Role,
    fit: bool,
    term: Term,
    cause: Cause,
    since: Instant,
    peer: Peer,
    /// The epoch of the peer that was last echoed.
    echoed: Option<Epoch>,
    recovery: Recovery,
    failback: Failback,
    /// The operator's order that stands.
    order: Option<StandingOrder>,
    /// It was told to leave.
    leaving: bool,
    /// It could not stop what it holds.
    stuck: bool,
    /// It leaves the resources to the peer, without an order.
    yields: bool,
    /// What the last life may have left is to run on, if it is whole.
    adopts: bool,
    /// What an earlier life of the supervisor may have left is gone, or known.
    clean: bool,
    /// The resources were told to start or stop, and have not answered.
    asked: Option<Tag>,
    fencing: Fencing,
    /// The shot under way is an operator's.
    by_order: Option<FenceMode>,
    questions: u32,
    tries: u8,
    dark: Dark,
    /// The peer has echoed this life: this box may shoot.
    armed: bool,
    /// Whether the network of this box is fine, as far as its witnesses tell.
    witness: bool,
    past: PreviousRun,
    /// When the peer is to get its power back.
    power_on: Option<Instant>,
    timers: Timers,
    /// What goes on for long has been told.
    told: bool,
    /// That nobody serves has been told.
    unserved: bool,
    recorded: Option<Journal>,
    /// What the last life of this box has left, until it is told.
    last_life: Option<Journal>,
    /// The machine with this box's name that was told of last.
    impostor: Option<Incarnation>,
}

impl Node {
    /// A box that has just been born, and asks at its first step for its leftovers: to be removed, or to run on.
    ///
    /// `journal` is what its last life has left, if that can be read.
    pub fn new(
        settings: Settings,
        boot: Incarnation,
        journal: Option<Journal>,
        now: Instant,
    ) -> Self {
        let past = PreviousRun::of(journal);
        let patience = (settings.timing, settings.restart_time);
        let peer = Peer::new(patience, settings.links, boot, past.peer_life(), now);
        let recovery = Recovery::new(&settings.resources);
        let last = journal.unwrap_or_default();
        let mut timers = Timers::default();
        timers.set(Timer::Keepalive, now);
        if let Some(StandingOrder { until: Expiry::At(end), .. }) = last.order {
            timers.set(Timer::Order, end);
        }
        if let Some(at) = last.power_on {
            timers.set(Timer::PowerOn, at.max(now));
        }
        Self {
            settings,
            boot,
            change: 0,
            role: Role::Init,
            fit: true,
            term: last.term,
            cause: Cause::Boot,
            since: now,
            peer,
            echoed: None,
            recovery,
            failback: Failback::resumed(last.failed_stays, now),
            order: last.order,
            leaving: false,
            stuck: false,
            yields: false,
            adopts: last.left_services(),
            clean: false,
            asked: None,
            fencing: Fencing::None,
            by_order: None,
            questions: 0,
            tries: 0,
            dark: Dark::default(),
            armed: false,
            witness: true,
            past,
            power_on: last.power_on,
            timers,
            told: false,
            unserved: false,
            recorded: None,
            last_life: journal,
            impostor: None,
        }
    }

    /// Takes in what happened, and tells what to do about it.
    pub fn step(&mut self, event: Event, now: Instant) -> Actions {
        let mut actions = self.apply(now, |node, actions| node.dispatch(event, now, actions));
        let upgrades = event == Event::Order(Order::Upgrade);
        if upgrades && actions.contains(&Action::Reply(Ok(()))) {
            act(&mut actions, Action::Upgrade);
        }
        actions
    }

    fn dispatch(&mut self, event: Event, now: Instant, actions: &mut Actions) {
        match event {
            Event::Heartbeat(link, heartbeat) => self.on_heartbeat(link, heartbeat, now, actions),
            Event::Answer(tag, answer) => self.on_answer(tag, answer, now, actions),
            Event::ResourceFailed(resource) => self.on_resource_failed(resource, now, actions),
            Event::Order(order) => {
                let reply = self.on_order(order, now, actions);
                act(actions, Action::Reply(reply));
            }
            Event::Startable(resource, can) => self.on_startable(resource, can, actions),
            Event::Hangs(hangs) => self.on_hangs(hangs, actions),
            Event::Gate { closed } => self.failback.set_gate(closed),
            Event::Line(link, up) => self.on_line(link, up, actions),
            Event::Ready(tag) => self.on_ready(tag, now, actions),
            Event::SeenOff(at) => self.on_polled_off(at, now, actions),
            Event::SeenOn => self.peer.read_on(),
            Event::OwesPower(after) => self.promise_power(now + after),
            Event::Witness(answers) => self.on_witness(answers, actions),
            Event::LastLoss(loss) => self.past.set_last_loss(loss),
            Event::Timeout => {}
        }
    }

    /// Has something changed by `what`, decides what the role demands, and says what the peer should know.
    fn apply(&mut self, now: Instant, what: impl FnOnce(&mut Self, &mut Actions)) -> Actions {
        let mut actions = Actions::new();
        if let Some(journal) = self.last_life.take() {
            let Journal { role, clean, this_boot, .. } = journal;
            tell(&mut actions, Report::LastLife { role, clean, this_boot });
        }
        let (change, stuck, shot_at) = (self.change, self.stuck, self.is_shot_at(now));
        self.notice_lateness(now, &mut actions);
        what(self, &mut actions);
        self.decide(now, &mut actions);
        self.recover(now, &mut actions);
        self.record(now, &mut actions);
        self.peer.review(now, |report| act(&mut actions, Action::Tell(report)));
        if self.change != change
            || self.has_news_of_the_peer(now)
            || self.timers.expired(Timer::Keepalive, now)
        {
            self.timers.set(Timer::Keepalive, now + self.settings.timing.keepalive());
            self.echoed = self.peer.epoch(now);
            act(&mut actions, Action::Send(self.heartbeat(now)));
        }
        let is_stuck = self.stuck && !stuck && self.role != Role::Init;
        let is_shot_at = self.is_shot_at(now) && !shot_at;
        if is_shot_at {
            tell(&mut actions, Report::ShotAt);
        }
        // The last words come before the end.
        if is_stuck || is_shot_at {
            act(&mut actions, Action::Reset);
        }
        self.decide_leaving(now, &mut actions);
        self.timers.drop_expired(now, Timer::Keepalive);
        actions
    }

    /// Whether the peer should know at once what was heard of it. A life that is not proven could be a flood of
    /// recordings.
    fn has_news_of_the_peer(&self, now: Instant) -> bool {
        let epoch = self.peer.epoch(now);
        self.echoed != epoch && (self.echoed.is_none() || self.peer.heartbeat(now).is_some())
    }

    /// When [`Event::Timeout`] is wanted, unless something happens before.
    pub fn next_deadline(&self) -> Instant {
        let first = self.timers.next().into_iter().chain(self.peer.deadline()).min();
        first.unwrap_or(self.since)
    }

    /// The heartbeat that this box sends now.
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
            restarts: false,
            request: self.request(),
            config: self.settings.config,
            system: self.settings.system,
            heard: self.peer.epoch(now),
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

    /// Names the present state of this box.
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

    /// When the peer is to get its power back.
    pub const fn power_on(&self) -> Option<Instant> {
        self.power_on
    }

    /// The operator's order that stands.
    pub const fn order(&self) -> Option<StandingOrder> {
        self.order
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
    pub const fn fencing(&self) -> Fencing {
        self.fencing
    }

    /// When `timer` runs out, if it runs.
    pub const fn timer(&self, timer: Timer) -> Option<Instant> {
        self.timers.get(timer)
    }

    fn on_heartbeat(&mut self, link: LinkId, heard: Heard, now: Instant, actions: &mut Actions) {
        let heartbeat = heard.heartbeat;
        if heartbeat.from == self.settings.me {
            // What comes back from a network is dropped in silence; another boot is another box, or a recording of this
            // one, and no sign that the peer lives.
            let boot = heartbeat.epoch.boot;
            if boot != self.boot && self.impostor.replace(boot) != Some(boot) {
                tell(actions, Report::Impostor(link));
            }
            return;
        }
        self.told &= self.peer.heartbeat(now).is_none();
        let (left, differs) = (self.peer.left(), self.config_differs());
        let before = self
            .peer
            .heartbeat(now)
            .map(|heartbeat| (heartbeat.role.holds_resources(), heartbeat.request));
        let (doubled, restarts) = (self.peer.is_doubled(now), self.peer.restarts(now));
        match self.peer.heard(link, heard, self.epoch(), now) {
            Brought::Word => {}
            // What an earlier life of the peer has echoed is not to be believed of this one.
            Brought::NewLife => self.change += 1,
            Brought::Twins => {
                self.change += 1;
                if !doubled {
                    tell(actions, Report::Twins(link));
                }
            }
            Brought::Lie => tell(actions, Report::OffAndTalks),
        }
        if self.peer.restarts(now) && !restarts {
            let holds = heartbeat.role.holds_resources();
            tell(actions, Report::PeerRestarts { holds, within: self.settings.restart_time });
        }
        let Some(heartbeat) = self.peer.heartbeat(now).copied() else { return };
        self.armed = true;
        if self.power_on.is_some_and(|at| at <= now) {
            // It has its power.
            self.on_power_on(true, actions);
        }
        if self.peer.left() && !left {
            tell(actions, Report::PeerLeaves);
        }
        let holds = heartbeat.role.holds_resources();
        if self.role.holds_resources() && before.is_some_and(|(held, _)| held) && !holds {
            // The neighbours that the peer told last must be told again.
            act(actions, Action::Announce);
        }
        if heartbeat.request == PeerRequest::Claim
            && before.is_none_or(|(_, request)| request != PeerRequest::Claim)
        {
            self.failback.forgive();
        }
        // A box that may hold from before the peer's last takeover must not take that for its own.
        if !self.role.holds_resources() && !self.adopts {
            self.term = self.term.max(heartbeat.term);
        }
        if self.config_differs() && !differs {
            tell(actions, Report::ConfigDiffers);
        }
    }

    /// Whether the peer says that it has ordered the power of this life of this box off. What keeps a box in its init
    /// is not cured by a reset of its own.
    fn is_shot_at(&self, now: Instant) -> bool {
        // A peer that shoots is often deaf.
        let heartbeat = self.peer.contact(now).heartbeat();
        heartbeat.is_some_and(|heartbeat| heartbeat.shoots && self.echoes_me(heartbeat))
            && self.role != Role::Init
    }

    fn on_line(&mut self, link: LinkId, up: bool, actions: &mut Actions) {
        let before = self.peer.lines();
        self.peer.set_line(link, up);
        if self.peer.lines() != before {
            tell(actions, Report::Line(link, up));
        }
    }

    fn on_witness(&mut self, answers: bool, actions: &mut Actions) {
        if self.witness != answers {
            self.witness = answers;
            self.change += 1;
            tell(actions, Report::Witness(answers));
        }
    }

    /// Ends an order whose time is over.
    fn end_order_in_time(&mut self, now: Instant, actions: &mut Actions) {
        if self.timers.expired(Timer::Order, now) {
            tell(actions, Report::OrderEnded);
            self.end_order();
        }
    }

    /// The peer gets its power back then.
    fn promise_power(&mut self, at: Instant) {
        self.power_on = Some(at);
        self.timers.set(Timer::PowerOn, at);
    }

    /// Switches the peer on when it is time, until a device takes the order or the peer is heard.
    fn keep_promise(&mut self, now: Instant, actions: &mut Actions) {
        let busy = self.fencing.is_under_way() || matches!(self.fencing, Fencing::Querying(_));
        // What came due while a device was busy is due still.
        let due = self.timers.get(Timer::PowerOn).is_none_or(|at| at <= now);
        if self.power_on.is_some() && due && !busy {
            tell(actions, Report::PoweringOn);
            act(actions, Action::PowerOn(POWER_ON));
            self.timers.set(Timer::PowerOn, now + POWER_ON_AGAIN);
        }
    }

    fn on_power_on(&mut self, taken: bool, actions: &mut Actions) {
        if taken {
            self.power_on = None;
            self.timers.stop(Timer::PowerOn);
        } else if self.power_on.is_some() {
            tell(actions, Report::PowerOnFailed { again: POWER_ON_AGAIN });
        }
    }

    fn config_differs(&self) -> bool {
        self.peer.last_heartbeat().is_some_and(|heartbeat| heartbeat.config != self.settings.config)
    }

    /// Tells what lasts once, until it is over: until the peer is heard, or the role changes.
    fn tell_once(&mut self, report: Report, actions: &mut Actions) {
        if !core::mem::replace(&mut self.told, true) {
            tell(actions, report);
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
            Answer::PowerOff(_) | Answer::PowerOn | Answer::PowerUnknown | Answer::PowerSilent => {
                if self.fencing == Fencing::Querying(tag) {
                    // A device that refuses has power, and so may the peer.
                    self.dark.bmc_silent = answer == Answer::PowerSilent;
                    self.dark.unseen = self.dark.bmc_silent || answer == Answer::PowerUnknown;
                    self.on_power(answer.off_at(), now, actions);
                }
            }
            Answer::Fenced(_) | Answer::FenceFailed => {
                if self.fencing.tag() == Some(tag) {
                    self.on_shot(answer.off_at(), now, actions);
                }
            }
            Answer::PoweredOn | Answer::PowerOnFailed => {
                self.on_power_on(answer == Answer::PoweredOn, actions);
            }
        }
    }

    fn on_group(&mut self, answer: Answer, now: Instant, actions: &mut Actions) {
        match (self.role, answer) {
            (Role::Init, answer) if self.adopts => self.on_adopted(answer, now, actions),
            (Role::Init, Answer::Stopped) => {
                self.clean = true;
                self.on_stop_succeeded();
                self.peer.listen_from(now);
                // A peer that boots together with this box takes its time; one that ran is heard soon.
                let timing = &self.settings.timing;
                let listens = if self.past.ran() { timing.deadtime() } else { timing.initdead() };
                self.timers.set(Timer::Initdead, now + listens);
            }
            (Role::Starting, Answer::Started) => {
                self.enter(Role::Active, Cause::Started, now, actions);
            }
            (Role::Starting, Answer::StartFailed(resource)) => {
                self.recovery.start_failed(resource, now);
                self.stop(Cause::StartFailed(resource), now, actions);
            }
            (Role::Stopping, Answer::Stopped) => {
                self.on_stop_succeeded();
                self.refit();
                let role = if self.fit { Role::Standby } else { Role::Failed };
                self.enter(role, Cause::Stopped, now, actions);
            }
            (Role::Init, Answer::StopFailed(resource)) => {
                // A reset would lead here again, and again. The peer may cut the power; a person may log in meanwhile.
                tell(actions, Report::Leftover(resource));
                self.on_stop_failed(now);
            }
            (Role::Stopping, Answer::StopFailed(resource)) => {
                tell(actions, Report::StopFailed(resource));
                self.on_stop_failed(now);
            }
            _ => {}
        }
    }

    fn on_resource_failed(&mut self, resource: ResourceId, now: Instant, actions: &mut Actions) {
        if self.role == Role::Stopping {
            return;
        }
        if self.request() == PeerRequest::Maintenance {
            tell(actions, Report::Frozen(resource));
            self.recovery.defer(resource);
            return;
        }
        let holds = self.role.holds_resources();
        match self.recovery.failed(resource, now) {
            Remedy::Ignored => tell(actions, Report::Ignored(resource)),
            Remedy::Restarted => tell(actions, Report::Restarting(resource)),
            Remedy::TooOften(OnFailure::Fence) if holds => {
                tell(actions, Report::TooOften(resource));
                self.change_request(|node| node.stuck = true);
            }
            Remedy::TooOften(on_failure)
                if holds && self.move_away(Reason::Failure(resource), now, actions).is_ok() =>
            {
                tell(actions, Report::TooOften(resource));
                if on_failure == OnFailure::Standby {
                    self.stand(PeerRequest::Standby, OrderDuration::Reboot, now);
                }
            }
            Remedy::TooOften(_) => {
                tell(actions, Report::Insisting(resource));
                self.recovery.force_restart(resource, now);
            }
        }
        self.refit();
    }

    fn on_startable(&mut self, resource: ResourceId, can: bool, actions: &mut Actions) {
        if self.recovery.set_startable(resource, can) {
            tell(actions, Report::Startable(resource, can));
            self.refit();
        }
    }

    /// A box that cannot watch what it has is not fit. It lets the peer serve; and if it cannot even stop what it has,
    /// it resets itself, as any box that cannot release.
    fn on_hangs(&mut self, hangs: bool, actions: &mut Actions) {
        if self.recovery.set_hanging(hangs) {
            tell(actions, Report::Hangs(hangs));
            self.refit();
        }
    }

    /// Meets what failed in maintenance when that is over; what finds no room is met in the next step.
    fn take_deferred(&mut self, now: Instant, actions: &mut Actions) {
        while self.request() != PeerRequest::Maintenance
            && actions.len() < ACTIONS_MAX / 2
            && let Some(resource) = self.recovery.take_deferred()
        {
            self.on_resource_failed(resource, now, actions);
        }
    }

    /// Does what the role demands, now that everything has been taken in.
    fn decide(&mut self, now: Instant, actions: &mut Actions) {
        self.recovery.forget(now);
        self.end_order_in_time(now, actions);
        self.take_deferred(now, actions);
        self.grant_retry(now);
        self.refit();
        self.watch_peer(now);
        self.watch_dark(now, actions);
        self.call_off_unwanted(now, actions);
        match self.role {
            Role::Init => self.decide_init(now, actions),
            Role::Standby => self.decide_standby(now, actions),
            Role::Fencing => self.decide_fencing(now, actions),
            Role::Starting | Role::Active => self.decide_serving(now, actions),
            Role::Failed if self.fit && self.request() != PeerRequest::Maintenance => {
                self.enter(Role::Standby, Cause::Recovered, now, actions);
            }
            Role::Stopping => self.stop_again(now, actions),
            Role::Failed => {}
        }
        self.watch_service(now, actions);
        if self.role != Role::Init && self.peer.is_deaf(now) {
            self.tell_once(Report::PeerDeaf, actions);
        }
        self.keep_promise(now, actions);
    }

    /// A box that cannot release asks to be fenced, because it must not be trusted with having released.
    fn on_stop_failed(&mut self, now: Instant) {
        self.change_request(|node| node.stuck = true);
        let pause = self.pause();
        self.timers.set(Timer::Retry, now + pause);
    }

    fn on_stop_succeeded(&mut self) {
        self.tries = 0;
        self.change_request(|node| node.stuck = false);
    }

    /// Tries again what could not be stopped, for as long as this box is neither reset nor fenced.
    fn stop_again(&mut self, now: Instant, actions: &mut Actions) {
        let due = self.timers.get(Timer::Retry).is_none_or(|at| at <= now);
        if self.asked.is_none() && due {
            self.asked = Some(self.change);
            act(actions, Action::Stop(self.change));
        }
    }

    fn decide_serving(&mut self, now: Instant, actions: &mut Actions) {
        let heartbeat = self.peer.heartbeat(now).copied();
        if let Some(heartbeat) = heartbeat
            && heartbeat.role.holds_resources()
            // A word that never heard of this boot may be a recording; who serves on is told so by the true one.
            && self.echoes_me(&heartbeat)
            && (heartbeat.term, heartbeat.rank()) > (self.term, self.settings.rank())
        {
            self.stop(Cause::DualActive, now, actions);
            return;
        }
        if self.request() == PeerRequest::Maintenance {
            self.timers.stop(Timer::Failback);
            return;
        }
        self.decide_shot(now, actions);
        // Nothing is given to a peer whose power is being cut.
        if self.role == Role::Active && !self.fencing.is_under_way() {
            self.decide_move(now, actions);
        }
    }

    fn decide_leaving(&mut self, now: Instant, actions: &mut Actions) {
        // Who leaves and still holds has been asked to stop.
        let busy = self.asked.is_some() || self.fencing.is_under_way();
        if self.request() != PeerRequest::Leave || busy {
            return;
        }
        if self.timers.get(Timer::Leave).is_none() {
            self.timers.set(Timer::Leave, now + self.settings.timing.deadtime());
        }
        let knows = self.peer.heartbeat(now).is_none_or(|heartbeat| heartbeat.echoes(self.epoch()));
        if knows || self.timers.expired(Timer::Leave, now) {
            act(actions, Action::Leave);
        }
    }

    /// Gives a box that is not fit another try, with a pause, while it is alone.
    fn grant_retry(&mut self, now: Instant) {
        let waits = matches!(self.role, Role::Standby | Role::Failed) && !self.fit;
        let free = match self.request() {
            PeerRequest::Nothing | PeerRequest::Claim => true,
            PeerRequest::Standby => self.failback.is_given_by_order(),
            _ => false,
        };
        if !waits || !free || self.peer_serves_or_will(now) {
            if !matches!(self.role, Role::Init | Role::Stopping) {
                self.timers.stop(Timer::Retry);
            }
            return;
        }
        match self.timers.get(Timer::Retry) {
            None => self.timers.set(Timer::Retry, now + self.recovery.pause()),
            Some(at) if at <= now => self.recovery.grant_retry(),
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
        self.peer.discount_stall(late, now);
        let keepalive = self.settings.timing.keepalive();
        if late > keepalive {
            self.relisten(now);
            tell(actions, Report::Stalled(late));
        }
    }

    /// Whether the peer would take the resources if this box let them go.
    fn peer_can_serve(&self, now: Instant) -> bool {
        self.peer
            .heartbeat(now)
            .is_some_and(|heartbeat| will_serve(heartbeat) && self.echoes_me(heartbeat))
    }

    fn echoes_me(&self, heartbeat: &Heartbeat) -> bool {
        heartbeat.knows(self.boot)
    }

    fn stop(&mut self, cause: Cause, now: Instant, actions: &mut Actions) {
        self.recovery.call_off();
        self.refit();
        self.timers.stop(Timer::Failback);
        self.enter(Role::Stopping, cause, now, actions);
        self.asked = Some(self.change);
        act(actions, Action::Stop(self.change));
    }

    fn enter(&mut self, role: Role, cause: Cause, now: Instant, actions: &mut Actions) {
        let from = core::mem::replace(&mut self.role, role);
        self.change += 1;
        self.cause = cause;
        self.since = now;
        self.told = false;
        if !self.fencing.is_under_way() {
            self.fencing = Fencing::None;
            self.timers.stop(Timer::Fencing);
        }
        let change = Change { from, to: role, cause, epoch: self.epoch(), term: self.term };
        tell(actions, Report::Changed(change));
        self.record(now, actions);
    }

    /// Writes down what has changed, if it is worth a write.
    fn record(&mut self, now: Instant, actions: &mut Actions) {
        let journal = self.journal(now);
        if self.recorded.as_ref().map(worth) != Some(worth(&journal)) {
            self.recorded = Some(journal);
            act(actions, Action::Record(journal));
        }
    }

    /// What the next life of this box should know.
    fn journal(&self, now: Instant) -> Journal {
        Journal {
            term: self.term,
            // A life that ends before it knows has changed nothing.
            role: if self.adopts { Role::Active } else { self.role },
            clean: self.request() == PeerRequest::Leave
                && !self.role.holds_resources()
                && !self.adopts,
            peer: self.peer.last_heartbeat().map(|heartbeat| heartbeat.role),
            fenced: self.peer.fenced(),
            order: self.order,
            life: self.boot,
            peer_life: self.peer.newest_life().unwrap_or_default(),
            armed: self.armed && !self.may_be_shot(now),
            failed_stays: self.failback.failed_stays(),
            power_on: self.power_on,
            this_boot: false,
        }
    }

    fn refit(&mut self) {
        let fit = self.recovery.fit();
        if self.fit != fit {
            self.fit = fit;
            self.change += 1;
        }
    }
}

/// What is worth a write.
///
/// A term that was only heard is, so that no number is given twice. A life of the peer is, before it is echoed:
/// the peer may shoot from then on, and the next life of this box must know a recording of it.
fn worth(journal: &Journal) -> Journal {
    Journal { peer: None, fenced: false, ..*journal }
}

fn tell(actions: &mut Actions, report: Report) {
    act(actions, Action::Tell(report));
}

fn act(actions: &mut Actions, action: Action) {
    let full = actions.push(action).is_err();
    debug_assert!(!full, "ACTIONS_MAX is too small for {action:?}");
}

/// There is one promise to switch the peer on, so its questions need no names.
const POWER_ON: Tag = 0;
/// A BMC that was without power with its box takes a minute to come up.
const POWER_ON_AGAIN: Duration = Duration::from_secs(30);

/// A step tells of every link twice at most, of three things more, and starts every resource again at most.
pub const ACTIONS_MAX: usize = 40;

/// What may come after the restarts: a record, a word on each link and on the peer's health, the heartbeat, the end.
const AFTERWARDS: usize = LINKS_MAX + 6;
