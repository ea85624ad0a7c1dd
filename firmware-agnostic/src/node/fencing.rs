//! Decides who shoots first, and what is waited for.
//!
//! A box that serves shoots a silent peer at once, because the service goes on either way. A box that does not
//! serve looks at the peer's power first: *off* is all the evidence it needs. If the power is on, the other box may
//! serve and go first.
//!
//! **Turns.** Both boxes know nearly the same instant from which they were silent to each other
//! (`Peer::silent_from`). From there the time is cut into slots. A slot is longer than a whole shot takes, and each
//! belongs to one box at most:
//!
//! | slot | belongs to |
//! |---|---|
//! | 0 | the box that holds the resources |
//! | 1 | a box that holds nothing and heard the other one hold them |
//! | 2, 4, 6, ... | the first box of the configuration |
//! | 3, 5, 7, ... | the second one |
//!
//! One box at most holds the resources. If both hold nothing, one of them released last, and the other has heard
//! that or not: so at most one of them last heard the other hold. Slots 0 and 1 are therefore never shared, in any
//! phase of a move the cables fall. A box whose witness does not answer has none of the first six slots, nor has
//! one that hears a newborn deaf peer, where such a peer may shoot at boot.
//!
//! - A box shoots only if the peer has echoed this life of it (*armed*). So a box that was shot never shoots back
//!   before it has heard its peer (*no death-match*). The exceptions are named at `Node::may_shoot`.
//! - A box that was late itself listens before it shoots.
//! - A shot has steps, and the device's thread knows them: it is *ordered*; the device answers and is *ready*; the
//!   power is *cut*. When the peer is heard it is *called off*: what was not sent is not sent, and what was sent is
//!   waited for.
//! - What cannot be seen off is tried again for ever, in every slot of this box.
//! - While the first shot is under way every heartbeat says so: a peer that hears it resets itself at once. Not if the
//!   device did not answer, and not again after a failure: a peer that serves would be lost, and nothing won.
//! - An operator may order a shot at a peer that is well. Such a shot is announced to nobody, and not tried again
//!   as long as the peer is heard.

use core::time::Duration;

use crate::evidence::Evidence;
use crate::heartbeat::{Heartbeat, Incarnation, PeerRequest, Role};
use crate::identity::BoxId;
use crate::journal::Journal;
use crate::node::dark::Dark;
use crate::node::{Action, Actions, Node, Tag, act, tell};
use crate::order::FenceMode;
use crate::peer::{Contact, Health, SeenOff};
use crate::report::{Cause, Report, Unarmed};
use crate::settings::AtBoot;
use crate::time::{Instant, Timer};

/// What goes on against the peer's power.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fencing {
    /// Nothing.
    None,
    /// It is being read.
    Querying(Tag),
    /// The next look, or the next turn, comes after [`Timer::Fencing`].
    Backoff,
    /// It was seen on: the shot comes with the turn of this box.
    Armed,
    /// The device was told to make ready. It is called off if the peer, silent by then, talks.
    Ordered(Tag, CallOff),
    /// The device is ready, and this box listens once more.
    Ready(Tag, CallOff),
    /// The power is being cut.
    Cut(Tag),
    /// The device was told to stop. What it has sent may still happen.
    CalledOff(Tag),
}

/// What calls a shot off that was only ordered.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CallOff {
    /// Any word of a peer that was silent when the shot was ordered.
    Heard,
    /// The proof that the peer lives: it talked all the time.
    Proven,
    /// Nothing: an operator wants it.
    Seen,
}

impl Fencing {
    /// Whether the device has not answered for good.
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Ordered(..) | Self::Ready(..) | Self::Cut(_) | Self::CalledOff(_))
    }

    /// The question of a shot that is under way.
    pub(super) const fn tag(self) -> Option<Tag> {
        match self {
            Self::Ordered(tag, _) | Self::Ready(tag, _) | Self::Cut(tag) | Self::CalledOff(tag) => {
                Some(tag)
            }
            Self::None | Self::Querying(_) | Self::Backoff | Self::Armed => None,
        }
    }
}

/// How the power of this box was last lost, as its own device tells.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LastLoss {
    /// It was cut by an order.
    Ordered,
    /// Its feed failed, or a person switched it on: a box that was shot comes up in the same way.
    Unclear,
    /// It was not lost since the box ran last, or it was on when its feed failed.
    None,
}

/// What is known of the time before this life.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct PreviousRun {
    /// The life before was armed.
    armed: bool,
    /// The kernel runs on that ran then.
    this_boot: bool,
    last_loss: Option<LastLoss>,
    /// The newest life of the peer that was echoed by then.
    peer_life: Option<Incarnation>,
}

impl PreviousRun {
    pub(super) fn of(journal: Option<Journal>) -> Self {
        let Some(journal) = journal else { return Self::default() };
        let peer_life = Some(journal.peer_life).filter(|life| *life != Incarnation::default());
        let Journal { armed, this_boot, .. } = journal;
        Self { armed, this_boot, last_loss: None, peer_life }
    }

    /// Whether the supervisor ran before in this boot of the kernel.
    pub(super) const fn ran(self) -> bool {
        self.this_boot
    }

    pub(super) const fn set_last_loss(&mut self, last_loss: LastLoss) {
        self.last_loss = Some(last_loss);
    }

    /// The newest life of the peer that was echoed before this life began.
    pub(super) const fn peer_life(self) -> Option<Incarnation> {
        self.peer_life
    }

    /// What is missing for the certainty that this box was not shot since it last heard its peer.
    ///
    /// A clean end proves nothing, because a box can be shot after it; a feed that failed proves nothing either.
    fn unarmed(self) -> Option<Unarmed> {
        match self.last_loss {
            Some(LastLoss::Ordered) if !self.this_boot => Some(Unarmed::Shot),
            _ if !self.armed => Some(Unarmed::NotHeardBefore),
            _ if self.this_boot => None,
            Some(LastLoss::None | LastLoss::Ordered) => None,
            Some(LastLoss::Unclear) => Some(Unarmed::LossUnclear),
            None => Some(Unarmed::LossUnknown),
        }
    }
}

impl Node {
    pub(super) fn decide_fencing(&mut self, now: Instant, actions: &mut Actions) {
        if self.fencing.is_under_way() {
            return;
        }
        let first = matches!(self.cause, Cause::NotHeard(_));
        let cause = if first { Cause::Heard } else { Cause::HeardAgain };
        match self.peer.contact(now) {
            Contact::Heard(heartbeat) if !wants_to_be_shot(heartbeat) => {
                self.enter(Role::Standby, cause, now, actions);
            }
            Contact::Deaf(heartbeat) if serves(heartbeat) => {
                self.enter(Role::Standby, cause, now, actions);
            }
            // Its guard has stopped everything.
            _ if self.peer.left() => self.enter(Role::Standby, cause, now, actions),
            _ if !self.eligible(now) => {
                self.enter(Role::Standby, Cause::NotEligible, now, actions);
            }
            _ if self.silence_suffices(now) => self.start(Evidence::Silence, now, actions),
            _ => self.pursue(now, actions),
        }
    }

    /// Shoots the peer while serving: at once, because the service goes on either way.
    pub(super) fn decide_shot(&mut self, now: Instant, actions: &mut Actions) {
        if self.fencing.is_under_way() {
            return;
        }
        if self.is_threatened(now) && self.may_shoot(now) {
            self.pursue(now, actions);
        } else {
            // The next threat has nothing to do with this one.
            self.forget_shots();
        }
    }

    /// Looks, waits and shoots, each in its time.
    pub(super) fn pursue(&mut self, now: Instant, actions: &mut Actions) {
        let may_shoot = self.role != Role::Init && self.may_shoot(now);
        match self.fencing {
            _ if self.is_settling(now) => {}
            Fencing::None | Fencing::Backoff if !self.is_due(now) => {}
            Fencing::None | Fencing::Backoff if self.role.holds_resources() => {
                self.fencing = Fencing::Armed;
                self.shoot_in_turn(now, actions);
            }
            Fencing::None | Fencing::Backoff => self.query_power(actions),
            Fencing::Armed if may_shoot => self.shoot_in_turn(now, actions),
            Fencing::Armed => self.wait_for(now + PAUSE),
            _ => {}
        }
    }

    /// Whether the peer is about to shoot this box, which serves, or to take over beside it.
    fn is_threatened(&self, now: Instant) -> bool {
        match self.peer.contact(now) {
            Contact::Heard(heartbeat) => wants_to_be_shot(heartbeat),
            // One that has not heard this box since it booted cannot shoot.
            Contact::Deaf(heartbeat) => {
                wants_to_be_shot(heartbeat)
                    || heartbeat.role == Role::Fencing && heartbeat.heard.is_some()
            }
            // Where silence is enough the peer may serve as well, and a shot would not make that better.
            Contact::Silent => {
                let dead = self.peer.health(now) == Health::Dead && !self.silence_suffices(now);
                dead && !self.peer.left() && !self.peer.fenced()
            }
        }
    }

    /// Whether a shot that was ordered is still wanted.
    fn is_wanted(&self, until: CallOff, now: Instant) -> bool {
        let heard = match (until, self.peer.contact(now)) {
            // The order was given to a box that serves or wants to: of another one it would cut the service.
            (CallOff::Seen, _) => return self.role == Role::Fencing || self.role.holds_resources(),
            (_, Contact::Heard(heartbeat)) => !wants_to_be_shot(heartbeat),
            (CallOff::Heard, Contact::Deaf(_)) => true,
            (CallOff::Proven, Contact::Deaf(heartbeat)) => {
                self.role == Role::Fencing && serves(heartbeat)
            }
            (_, Contact::Silent) => false,
        };
        match self.role {
            Role::Fencing => !heard && self.eligible(now),
            Role::Starting | Role::Active => !heard && self.is_threatened(now),
            Role::Init | Role::Standby | Role::Stopping | Role::Failed => false,
        }
    }

    /// Calls off a shot that is not wanted any more, in any role.
    pub(super) fn call_off_unwanted(&mut self, now: Instant, actions: &mut Actions) {
        match self.fencing {
            Fencing::Ordered(_, until) | Fencing::Ready(_, until)
                if !self.is_wanted(until, now) =>
            {
                self.call_off(now, actions);
            }
            // The device that was silent has answered, and nothing was heard since.
            Fencing::Ready(tag, _) if self.is_due(now) => self.cut(tag, actions),
            Fencing::Cut(_)
                if self.by_order.is_none()
                    && self
                        .peer
                        .heartbeat(now)
                        .is_some_and(|heartbeat| !wants_to_be_shot(heartbeat)) =>
            {
                self.call_off(now, actions);
            }
            _ => {}
        }
    }

    /// Ends a shot as far as that is possible.
    pub(super) fn call_off(&mut self, now: Instant, actions: &mut Actions) {
        let (Some(tag), false) =
            (self.fencing.tag(), matches!(self.fencing, Fencing::CalledOff(_)))
        else {
            return;
        };
        if matches!(self.fencing, Fencing::Cut(_)) {
            // What this box says of its shot has changed.
            self.change += 1;
        }
        if matches!(self.peer.contact(now), Contact::Deaf(_)) {
            // It has just begun to talk: if the cables are whole again the proof comes soon.
            self.relisten(now);
        }
        self.fencing = Fencing::CalledOff(tag);
        act(actions, Action::CallOff(tag));
    }

    /// The device is ready to cut the power.
    pub(super) fn on_ready(&mut self, tag: Tag, now: Instant, actions: &mut Actions) {
        match self.fencing {
            Fencing::Ordered(ordered, until) if ordered == tag => {
                if !self.is_wanted(until, now) {
                    self.call_off(now, actions);
                } else if self.is_settling(now)
                    || until != CallOff::Seen && (self.tries > 0 || self.is_due(now))
                {
                    // A device that was not reached comes back together with the links, at the end of a common fault.
                    self.fencing = Fencing::Ready(tag, until);
                    let listens = self.settings.timing.keepalive() * 2;
                    self.timers.set(Timer::Fencing, now + listens);
                } else {
                    self.cut(tag, actions);
                }
            }
            // The next device of the list goes on where the one before has failed.
            Fencing::Cut(ordered) if ordered == tag => act(actions, Action::Cut(tag)),
            _ => {}
        }
    }

    fn cut(&mut self, tag: Tag, actions: &mut Actions) {
        self.change += 1;
        self.fencing = Fencing::Cut(tag);
        act(actions, Action::Cut(tag));
    }

    /// A look has its answer: the power was read as off, first at `off`, or it was not.
    pub(super) fn on_power(&mut self, off: Option<Instant>, now: Instant, actions: &mut Actions) {
        self.fencing = Fencing::None;
        if let Some(at) = off {
            self.on_off(at, now, actions);
            return;
        }
        if self.darkness_suffices() && !self.is_settling(now) {
            self.start(Evidence::Dark, now, actions);
        } else if self.role == Role::Fencing && self.may_shoot(now) {
            // Not here: the peer may have been heard since the question, or this box may have to listen first.
            self.fencing = Fencing::Armed;
        } else {
            if self.role == Role::Fencing && self.tries == 0 {
                self.tell_why_it_waits(actions);
            }
            let pause = self.pause();
            self.wait_for(now + pause);
        }
    }

    fn tell_why_it_waits(&self, actions: &mut Actions) {
        let unarmed = self.past.unarmed().filter(|_| self.settings.at_boot == AtBoot::Fence);
        tell(actions, unarmed.map_or(Report::Waiting, Report::WaitingUnarmed));
    }

    /// The power of the peer was read as off, twice, first at `at`.
    fn on_off(&mut self, at: Instant, now: Instant, actions: &mut Actions) {
        let seen = self.peer.read_off(at);
        match seen {
            // Seen before this box stalled: the peer may have come up since, and serve. It is looked at again.
            Some(_) if self.is_settling(now) => {}
            Some(seen) => self.on_seen_off(&seen, now, actions),
            None if self.peer.trust().is_distrusted() => self.on_not_seen_off(now, actions),
            // It was heard meanwhile: what is true now is looked at again, if it still matters.
            None => {}
        }
    }

    fn on_seen_off(&mut self, seen: &SeenOff, now: Instant, actions: &mut Actions) {
        self.forget_shots();
        self.peer.note_off(seen, now);
        let waits = matches!(self.role, Role::Init | Role::Standby | Role::Fencing);
        if waits && self.is_ready_to_serve(now) && !self.peer.in_maintenance() {
            self.start(Evidence::Fenced, now, actions);
        } else {
            tell(actions, Report::Fenced);
        }
    }

    /// A shot has its answer: the power was read as off, first at `off`, or it was not.
    pub(super) fn on_shot(&mut self, off: Option<Instant>, now: Instant, actions: &mut Actions) {
        let called_off = matches!(self.fencing, Fencing::CalledOff(_));
        if matches!(self.fencing, Fencing::Cut(_)) {
            // What this box says of its shot has changed.
            self.change += 1;
        }
        let by_order = self.by_order.take();
        self.fencing = Fencing::None;
        self.timers.stop(Timer::Fencing);
        if by_order == Some(FenceMode::Drill) {
            // Whether it was seen off or not.
            self.promise_power(now);
        }
        if let Some(at) = off {
            self.on_off(at, now, actions);
        } else if called_off {
            tell(actions, Report::CalledOff);
        } else if by_order.is_some() && self.peer.heartbeat(now).is_some() {
            tell(actions, Report::NotFenced);
        } else {
            self.on_not_seen_off(now, actions);
        }
    }

    fn on_not_seen_off(&mut self, now: Instant, actions: &mut Actions) {
        let pause = self.pause();
        self.wait_for(now + pause);
        let serves = self.role.holds_resources();
        // A box that serves has no need to look in between.
        let again = if serves { self.fence_delay(now + pause) - now } else { pause };
        tell(actions, Report::FenceFailed { again, serves });
    }

    /// The power of the peer was read as off, twice, first at `at`, though nobody had asked.
    pub(super) fn on_polled_off(&mut self, at: Instant, now: Instant, actions: &mut Actions) {
        let Some(seen) = self.peer.read_off(at) else { return };
        let late = self.peer.health(now) != Health::Alive;
        let known = self.peer.fenced() || self.peer.in_maintenance() || self.has_just_begun(now);
        if late && !known && !self.is_settling(now) && !self.fencing.is_under_way() {
            self.on_seen_off(&seen, now, actions);
        }
    }

    /// Makes sure of the peer before taking over.
    pub(super) fn begin_fencing(&mut self, cause: Cause, now: Instant, actions: &mut Actions) {
        self.forget_shots();
        if self.silence_suffices(now) {
            self.start(Evidence::Silence, now, actions);
        } else {
            self.enter(Role::Fencing, cause, now, actions);
            self.query_power(actions);
        }
    }

    /// Whether the peer may be about to shoot this box, where that matters after a boot.
    ///
    /// It is written down before the shot can come. A later life would have to learn of the shot from a device that
    /// knows the last loss only, and that one may be another.
    pub(super) fn may_be_shot(&self, now: Instant) -> bool {
        let unproven = self.peer.health(now) != Health::Alive;
        self.settings.at_boot == AtBoot::Fence && unproven && !self.peer.fenced()
    }

    /// What was tried against the peer so far counts no more.
    fn forget_shots(&mut self) {
        if !self.fencing.is_under_way() {
            self.fencing = Fencing::None;
            self.timers.stop(Timer::Fencing);
        }
        self.tries = 0;
        self.dark = Dark::default();
    }

    /// No death-match: a box shoots only if the peer has echoed this life of it. There are two exceptions:
    ///
    /// - The integrator wants it to shoot after boot, and it surely was not shot since it last heard its peer.
    /// - The peer says that it has never heard anybody and looks for evidence. Such a peer is deaf from its birth,
    ///   so nobody would ever serve. It cannot have shot this box, because it is not armed. It is no recording,
    ///   because its life is newer than any that was ever echoed before ([`Contact::Deaf`]).
    pub(super) fn may_shoot(&self, now: Instant) -> bool {
        let at_boot = self.settings.at_boot == AtBoot::Fence && self.past.unarmed().is_none();
        let deaf = self.peer.newborn(now).is_some_and(|(heartbeat, since)| {
            heartbeat.role == Role::Fencing && now - since >= self.settings.timing.deadtime()
        });
        self.armed || at_boot || deaf
    }

    fn silence_suffices(&self, now: Instant) -> bool {
        let serves =
            matches!(self.peer.contact(now), Contact::Deaf(heartbeat) if serves(heartbeat));
        let dead = self.peer.health(now) == Health::Dead && !serves;
        Evidence::Silence.suffices(self.settings.require) && dead
    }

    /// When the turn of this box comes: now, if it has it.
    fn fence_delay(&self, now: Instant) -> Instant {
        let wanted = self.peer.last_heartbeat().is_some_and(wants_to_be_shot);
        let slot = self.settings.timing.fence_delay();
        let start = self.peer.silent_from().max(self.silent_since_birth(now));
        let passed = (now - start).as_micros() / slot.as_micros().max(1);
        let first = u32::try_from(passed).unwrap_or(u32::MAX - SLOTS);
        let begins = |number: u32| start + slot.saturating_mul(number);
        // A shot that begins late in its slot would end in the next one.
        let grace = self.settings.timing.grace();
        // Until its last word the other box may have heard this one, and count from then: the first slot is its own.
        let other = self.peer.heard_from() + slot - self.settings.timing.keepalive() * 2;
        let holds = self.role.holds_resources();
        let mut mine = (first..first + SLOTS)
            .filter(|number| self.owns(*number, now) && begins(*number) + grace > now)
            .map(begins)
            .filter(|at| holds || *at >= other);
        match mine.next() {
            _ if wanted => now,
            Some(at) => at.max(now),
            None => now + slot,
        }
    }

    /// A box that has not heard its peer since birth is as far as one that has been silent for `deadtime` by now.
    fn silent_since_birth(&self, now: Instant) -> Instant {
        let deaf = self.peer.newborn(now).map_or(Instant::default(), |(_, since)| since);
        if self.armed { Instant::default() } else { self.since.max(deaf) }
    }

    /// Whether a deaf peer may be about to shoot this box after a boot of both. It counts its slots by a clock of
    /// its own.
    fn may_be_shot_unheard(&self, now: Instant) -> bool {
        let at_boot = self.settings.at_boot == AtBoot::Fence;
        at_boot && !self.armed && self.peer.newborn(now).is_some()
    }

    /// Whether a slot belongs to this box.
    fn owns(&self, slot: u32, now: Instant) -> bool {
        let holds = self.role.holds_resources();
        let heard_hold =
            self.peer.last_heartbeat().is_some_and(|heartbeat| heartbeat.role.holds_resources());
        match slot {
            _ if (!self.witness || self.may_be_shot_unheard(now)) && slot < WITNESSED => false,
            0 => holds,
            1 => !holds && heard_hold,
            _ => slot.is_multiple_of(2) == (self.settings.me == BoxId::First),
        }
    }

    /// Shoots if this box has the turn, or waits for it.
    fn shoot_in_turn(&mut self, now: Instant, actions: &mut Actions) {
        let at = self.fence_delay(now);
        if at > now {
            self.timers.set(Timer::Fencing, at);
            return;
        }
        let until = match self.peer.contact(now) {
            Contact::Silent => CallOff::Heard,
            Contact::Heard(_) | Contact::Deaf(_) => CallOff::Proven,
        };
        // A device that can be reached is ready by then.
        self.timers.set(Timer::Fencing, now + self.settings.timing.keepalive() * 2);
        self.shoot(until, actions);
    }

    /// Whether the time of the next look or shot has come.
    fn is_due(&self, now: Instant) -> bool {
        self.timers.get(Timer::Fencing).is_none_or(|at| at <= now)
    }

    pub(super) fn is_settling(&self, now: Instant) -> bool {
        self.timers.get(Timer::Relisten).is_some_and(|until| until > now)
    }

    pub(super) fn relisten(&mut self, now: Instant) {
        self.timers.set(Timer::Relisten, now + self.settings.timing.keepalive() * 2);
    }

    /// Whether to tell the peer that it is being shot.
    pub(super) const fn shoots(&self) -> bool {
        matches!(self.fencing, Fencing::Cut(_))
            && self.tries == 0
            && !self.dark.unseen
            && self.by_order.is_none()
    }

    pub(super) fn query_power(&mut self, actions: &mut Actions) {
        let tag = self.question();
        self.fencing = Fencing::Querying(tag);
        act(actions, Action::LookAtPower(tag));
    }

    /// Names a question about the peer's power, so that the answer to one of the last questions before is not its
    /// answer.
    const fn question(&mut self) -> Tag {
        self.questions = self.questions.wrapping_add(1) % QUESTIONS;
        self.change.wrapping_mul(QUESTIONS).wrapping_add(self.questions)
    }

    fn wait_for(&mut self, at: Instant) {
        self.fencing = Fencing::Backoff;
        self.timers.set(Timer::Fencing, at);
    }

    fn shoot(&mut self, until: CallOff, actions: &mut Actions) {
        let tag = self.question();
        self.fencing = Fencing::Ordered(tag, until);
        tell(actions, Report::Shooting { drill: self.by_order == Some(FenceMode::Drill) });
        act(actions, Action::Fence(tag));
    }

    /// Shoots because an operator wants it, in any state of the peer.
    pub(super) fn shoot_by_order(&mut self, mode: FenceMode, actions: &mut Actions) {
        self.forget_shots();
        self.by_order = Some(mode);
        self.shoot(CallOff::Seen, actions);
    }

    pub(super) fn pause(&mut self) -> Duration {
        let pause = (PAUSE * (1 << self.tries.min(8))).min(PAUSE_MAX);
        self.tries = self.tries.saturating_add(1);
        pause
    }
}

/// Whether the peer asks to be shot.
pub(super) fn wants_to_be_shot(heartbeat: &Heartbeat) -> bool {
    heartbeat.request == PeerRequest::Fence
}

/// Whether a peer that talks keeps the service up, deaf or not.
pub(super) fn serves(heartbeat: &Heartbeat) -> bool {
    heartbeat.role.holds_resources() && !wants_to_be_shot(heartbeat)
}

/// So many questions in a row have different names.
const QUESTIONS: u32 = 2;

/// The first pause between two looks at the peer's power, or two shots.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause: a fence device that comes back is used within half a minute.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A box without its witness has none of these slots, so that one with it has tried twice or three times before.
const WITNESSED: u32 = 6;
/// Of so many slots in a row one belongs to each box.
const SLOTS: u32 = WITNESSED + 2;
