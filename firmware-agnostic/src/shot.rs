//! Who shoots first, and what is waited for?
//!
//! The box that serves shoots a silent peer at once, because the service goes on either way. The box that does not
//! serve looks at the peer's power first: *off* is all the evidence it wants. If it is on, the other box may be the one
//! that serves, and goes before: this one waits for longer than the other's shot can take. The delay follows the
//! role and never the name; it is nothing for a peer that asked to be shot, or that ranks lower and did not serve.
//!
//! - A box that has not heard its peer since boot never shoots (*no death-match*): it looks, again and again.
//! - A box that was late itself listens before it shoots.
//! - A shot that was ordered is waited for: its outcome is unknown until the device has shown the power off.
//! - What cannot be seen off is tried again for ever, with a pause that doubles.
//! - While the first shot is under way every heartbeat says so: a peer that hears it resets itself at once. Not if the
//!   device did not answer, and not again after a failure: a peer that serves would be lost, and nothing won.
//! - A box whose witness does not answer lets the other one go before, whatever it is.
//! - An operator may order a shot at a peer that is well. Such a shot is announced to nobody, and not tried again as long
//!   as the peer is heard.

use core::time::Duration;

use crate::dark::Dark;
use crate::evidence::Evidence;
use crate::heartbeat::{Asks, Boot, Heartbeat, Role};
use crate::journal::Journal;
use crate::news::{Cause, News};
use crate::node::{Action, Actions, Node, Tag, act, tell};
use crate::peer::Health;
use crate::settings::AtBoot;
use crate::time::{Instant, Timer};

/// What goes on against the peer's power.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Shot {
    /// Nothing.
    None,
    /// It is being read.
    Looking(Tag),
    /// The next look, or the first shot, comes with [`Timer::Shot`].
    Waiting,
    /// It was seen on: the shot comes with [`Timer::Shot`].
    Aimed,
    /// It was ordered off: the outcome is waited for.
    Ordered(Tag),
}

/// Whether a fence device is believed that says off.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Belief {
    /// It is.
    #[default]
    Whole,
    /// It said so while this boot of the peer talked, at first then: the peer may just have lost its power.
    Doubted(Instant, Boot),
    /// That boot talked on: the device holds something else, until it has said on.
    Lost,
}

/// How the last life of this box ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Past {
    /// It had heard the peer.
    heard: bool,
    /// By a shot, as far as that is known.
    shot: Option<bool>,
}

impl Past {
    /// What the journal tells: who has left in order was not shot.
    pub(crate) fn of(journal: Option<Journal>) -> Self {
        Self {
            heard: journal.is_some_and(|journal| journal.peer.is_some()),
            shot: journal.filter(|journal| journal.clean).map(|_| false),
        }
    }

    pub(crate) const fn set_shot(&mut self, shot: bool) {
        self.shot = Some(shot);
    }

    /// Whether this box was surely not shot since it last heard its peer.
    fn was_not_shot(self) -> bool {
        self.heard && self.shot == Some(false)
    }
}

impl Node {
    pub(crate) fn decide_fencing(&mut self, now: Instant, actions: &mut Actions) {
        if matches!(self.shot, Shot::Ordered(_)) {
            return;
        }
        match self.peer.word(now) {
            Some(word) if !self.wants_to_be_shot(word, now) => {
                let first = matches!(self.cause, Cause::NotHeard(_));
                let cause = if first { Cause::Heard } else { Cause::HeardAgain };
                self.enter(Role::Standby, cause, now, actions);
            }
            _ if !self.eligible() => self.enter(Role::Standby, Cause::NotEligible, now, actions),
            _ if self.silence_suffices(now) => self.start(Evidence::Silence, now, actions),
            _ if self.shot == Shot::None && self.relistens(now) => {}
            _ if self.shot == Shot::None => self.look(actions),
            _ if self.shot == Shot::Waiting && self.is_due(now) => self.try_again(actions),
            _ if self.shot == Shot::Aimed && self.is_due(now) => self.shoot(actions),
            _ => {}
        }
    }

    /// Shoots the peer while serving: at once, because the service goes on either way.
    pub(crate) fn decide_shot(&mut self, now: Instant, actions: &mut Actions) {
        let (threatens, warned) = match self.peer.word(now) {
            // A peer that fences and hears nothing is about to shoot this box, unless the cables were mended just now,
            // and then it will say so. One that hears this box again has shot already, and another shot would leave
            // nobody. One that has not heard this box since it booted cannot shoot.
            Some(word) if word.role == Role::Fencing => {
                let deaf = word.heard.is_some() && word.hears.is_empty();
                (deaf && self.peer.is_present(now), true)
            }
            Some(word) => (self.wants_to_be_shot(word, now), false),
            // Where silence is enough the peer may serve as well, and a shot would not make that better.
            None => {
                let dead = self.peer.health(now) == Health::Dead && !self.silence_suffices(now);
                (dead && !self.peer.left() && !self.peer.fenced(), false)
            }
        };
        match self.shot {
            Shot::Ordered(_) => {}
            _ if !threatens || !self.may_shoot() => self.shot = Shot::None,
            Shot::None if warned || !self.witness => {
                let warning =
                    if warned { self.settings.timing.keepalive() * 2 } else { Duration::ZERO };
                self.wait_for(now + self.turn().max(warning));
            }
            Shot::Looking(_) => {}
            // A timer that still runs here belongs to an earlier threat.
            Shot::None if self.relistens(now) => {}
            Shot::Waiting | Shot::Aimed if !self.is_due(now) => {}
            Shot::None | Shot::Waiting => self.try_again(actions),
            Shot::Aimed => self.shoot(actions),
        }
    }

    pub(crate) fn on_power(&mut self, off: bool, now: Instant, actions: &mut Actions) {
        if off {
            self.on_shot(true, now, actions);
            return;
        }
        if self.darkness_suffices() && !self.relistens(now) {
            self.start(Evidence::Dark, now, actions);
            return;
        }
        let turn = if self.role.holds_resources() { now } else { self.since + self.turn() };
        if self.may_shoot() {
            // Not here: the peer may have been heard since the question, or this box may have to listen first.
            self.wait_for(turn);
            self.shot = Shot::Aimed;
        } else {
            if self.tries == 0 {
                tell(actions, News::Waiting);
            }
            let pause = self.pause();
            self.wait_for(now + pause);
        }
    }

    pub(crate) fn on_shot(&mut self, off: bool, now: Instant, actions: &mut Actions) {
        if matches!(self.shot, Shot::Ordered(_)) {
            // What this box says of its shot has changed.
            self.change += 1;
        }
        let by_order = core::mem::take(&mut self.by_order);
        let off = off && self.belief != Belief::Lost;
        if off && self.role == Role::Fencing && self.relistens(now) {
            // Seen before this box stalled: the peer may have come up since, and serve. It is looked at again.
            self.shot = Shot::None;
        } else if off {
            self.shot = Shot::None;
            self.tries = 0;
            self.peer.seen_off();
            if self.role == Role::Fencing && self.eligible() {
                self.start(Evidence::Fenced, now, actions);
            } else {
                tell(actions, News::Fenced);
            }
        } else if by_order && self.peer.word(now).is_some() {
            self.shot = Shot::None;
            tell(actions, News::NotFenced);
        } else {
            let pause = self.pause();
            self.wait_for(now + pause);
            let serves = self.role.holds_resources();
            tell(actions, News::FenceFailed { again: pause, serves });
        }
    }

    /// Takes it that the peer is off, unless it talks: then the device is wrong, and people are told.
    pub(crate) fn on_seen_off(&mut self, now: Instant, actions: &mut Actions) {
        let alive = self.peer.health(now) == Health::Alive;
        let talks = self.peer.word(now).filter(|_| alive).map(|word| word.epoch.boot);
        match (self.belief, talks) {
            (Belief::Lost, _) | (_, None) => {}
            (Belief::Doubted(at, boot), Some(talks)) if boot == talks => {
                if now - at >= self.settings.timing.deadtime() {
                    self.belief = Belief::Lost;
                    tell(actions, News::OffAndTalks);
                }
            }
            (_, Some(talks)) => self.belief = Belief::Doubted(now, talks),
        }
        if alive || self.relistens(now) || self.belief == Belief::Lost {
            return;
        }
        match (self.role, self.shot) {
            // Nobody listens yet; or the answer to the order comes.
            (Role::Init, _) | (_, Shot::Ordered(_)) => {}
            // Or everything is to be left as it is.
            _ if self.peer.fenced() || self.peer.in_maintenance() => {}
            (Role::Standby, _) if self.eligible() => {
                self.peer.seen_off();
                self.start(Evidence::Fenced, now, actions);
            }
            _ => self.on_shot(true, now, actions),
        }
    }

    /// Makes sure of the peer before taking over.
    pub(crate) fn doubt(&mut self, cause: Cause, now: Instant, actions: &mut Actions) {
        self.tries = 0;
        self.shot = Shot::None;
        self.dark = Dark::default();
        if self.silence_suffices(now) {
            self.start(Evidence::Silence, now, actions);
        } else {
            self.enter(Role::Fencing, cause, now, actions);
            self.look(actions);
        }
    }

    /// No death-match: a box that has not heard its peer since boot does not shoot it, unless the integrator wants it,
    /// and it is known that this box was not itself shot.
    pub(crate) fn may_shoot(&self) -> bool {
        let at_boot = self.settings.at_boot == AtBoot::Fence && self.past.was_not_shot();
        self.peer.epoch().is_some() || at_boot
    }

    fn silence_suffices(&self, now: Instant) -> bool {
        Evidence::Silence.suffices(self.settings.require) && self.peer.health(now) == Health::Dead
    }

    /// Whether the peer asks to be shot, and it is no recording that does.
    pub(crate) fn wants_to_be_shot(&self, word: &Heartbeat, now: Instant) -> bool {
        word.asks == Asks::Fence && self.peer.is_present(now)
    }

    /// How long the other box may shoot first: it goes before if it serves, or else if it ranks higher; and whatever it
    /// is, if no witness answers here. Two boxes never have the same turn.
    fn turn(&self) -> Duration {
        let word = self.peer.last_word();
        if word.is_some_and(|word| word.asks == Asks::Fence) {
            return Duration::ZERO;
        }
        let first = self.role.holds_resources()
            || word.is_some_and(|word| {
                !word.role.holds_resources() && word.rank() < self.settings.rank()
            });
        let before = u32::from(!first) + 2 * u32::from(!self.witness);
        self.settings.timing.fence_delay().saturating_mul(before)
    }

    /// Whether the time of the next look or shot has come. A box that was late listens first.
    fn is_due(&self, now: Instant) -> bool {
        self.timers.get(Timer::Shot).is_none_or(|at| at <= now) && !self.relistens(now)
    }

    fn relistens(&self, now: Instant) -> bool {
        self.timers.get(Timer::Relisten).is_some_and(|until| until > now)
    }

    /// Whether to tell the peer that it is being shot.
    pub(crate) const fn shoots(&self) -> bool {
        matches!(self.shot, Shot::Ordered(_))
            && self.tries == 0
            && !self.dark.unseen
            && !self.by_order
    }

    pub(crate) fn look(&mut self, actions: &mut Actions) {
        self.shot = Shot::Looking(self.change);
        act(actions, Action::LookAtPower(self.change));
    }

    /// Shoots; but after a shot that failed it looks first, because the order may have been taken all the same.
    fn try_again(&mut self, actions: &mut Actions) {
        if self.may_shoot() && self.tries == 0 {
            self.shoot(actions);
        } else {
            self.look(actions);
        }
    }

    fn wait_for(&mut self, at: Instant) {
        self.shot = Shot::Waiting;
        self.timers.set(Timer::Shot, at);
    }

    fn shoot(&mut self, actions: &mut Actions) {
        self.change += 1;
        self.shot = Shot::Ordered(self.change);
        tell(actions, News::Shooting);
        act(actions, Action::Fence(self.change));
    }

    /// Shoots because an operator wants it, whatever the peer is.
    pub(crate) fn shoot_by_order(&mut self, actions: &mut Actions) {
        self.tries = 0;
        self.dark = Dark::default();
        self.by_order = true;
        self.shoot(actions);
    }

    pub(crate) fn pause(&mut self) -> Duration {
        let pause = (PAUSE * (1 << self.tries.min(8))).min(PAUSE_MAX);
        self.tries = self.tries.saturating_add(1);
        pause
    }
}

/// The first pause between two looks at the peer's power, or two shots.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause: a fence device that comes back is used within half a minute.
const PAUSE_MAX: Duration = Duration::from_secs(30);
