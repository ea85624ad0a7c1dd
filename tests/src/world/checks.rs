//! Was a promise broken? Each promise has a name, and is checked from outside, by what really runs.

use std::fmt;

use firmware_agnostic::evidence::Require;
use firmware_agnostic::heartbeat::{Asks, Heartbeat, Role};
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::order::Refusal;
use firmware_agnostic::settings::AtBoot;
use firmware_agnostic::time::{Instant, Timer};

use super::appliance::Lost;
use super::misery::SECOND;
use super::simulation::Outcome;
use super::{World, trace};

/// What the checkers remember.
#[derive(Debug, Default)]
pub struct Checks {
    /// The first promise that was broken.
    pub(super) broken: Option<Broken>,
    /// The reply to the last order.
    pub(super) reply: Option<Result<(), Refusal>>,
    /// Changes of role that were told, and shots that were fired.
    pub(super) stirrings: u64,
    /// Lines that were told.
    pub(super) told: u64,
    pub(super) outcome: Outcome,
}

/// A broken promise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken {
    /// Its name.
    pub promise: &'static str,
    /// When, in microseconds of the world.
    pub at: u64,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, at, seen } = self;
        write!(f, "{promise} is broken at {:.3} s: {seen}", *at as f64 / 1e6)
    }
}

impl World {
    /// One holder: what really runs, runs on one box.
    pub(super) fn check_holders(&mut self, id: BoxId) {
        let both = self.boxes.iter().all(|appliance| appliance.holds);
        let required = |it: &super::Appliance| it.settings.require == Require::Fenced;
        if both && self.boxes.iter().all(required) {
            self.broken("one holder", format!("{} starts, and the other holds", trace::name(id)));
        }
    }

    /// No death-match: nobody shoots whom he has not heard in this life. And nobody shoots a peer that talks, or
    /// before he has listened.
    pub(super) fn check_shot(&mut self, id: BoxId) {
        self.checks.stirrings += 1;
        self.checks.outcome.shots += 1;
        let local = self.boxes[id.place()].local(self.now);
        let Some(supervisor) = &self.boxes[id.place()].supervisor else { return };
        let node = &supervisor.node;
        let harmless = |word: &Heartbeat| word.asks != Asks::Fence && word.role != Role::Fencing;
        let talks = node.peer().word(local).is_some_and(harmless);
        let deaf = node.timer(Timer::Relisten).is_some_and(|until| until > local);
        let name = trace::name(id);
        let appliance = &self.boxes[id.place()];
        let may_at_boot =
            appliance.settings.at_boot == AtBoot::Fence && appliance.lost != Lost::Shot;
        if !supervisor.heard_peer && !may_at_boot {
            self.broken("no death-match", format!("{name} shoots unheard"));
        } else if talks {
            self.broken("no shot at a peer that talks", format!("{name} shoots"));
        } else if deaf {
            self.broken("a box that was late listens first", format!("{name} shoots"));
        }
    }

    /// No hot loop: what is to be done at once is done in the step, and nobody talks without end.
    pub(super) fn check_step(&mut self, id: BoxId, local: Instant) {
        let Some(supervisor) = &self.boxes[id.place()].supervisor else { return };
        let node = &supervisor.node;
        let (deadline, role) = (node.next_deadline(), node.role());
        if deadline <= local {
            let seen =
                format!("{} wants to be woken at {deadline:?} at {local:?}", trace::name(id));
            self.broken("no hot loop", seen);
        }
        let free = matches!(role, Role::Standby | Role::Fencing | Role::Failed);
        if free && self.boxes[id.place()].holds {
            let seen = format!("{} says {role}, and holds", trace::name(id));
            self.broken("no false word", seen);
        }
    }

    pub(super) fn check_speech(&mut self, id: BoxId) {
        let second = self.now / SECOND;
        let Some(supervisor) = &mut self.boxes[id.place()].supervisor else { return };
        if supervisor.spoke.0 != second {
            supervisor.spoke = (second, 0);
        }
        supervisor.spoke.1 += 1;
        if supervisor.spoke.1 > WORDS_MAX {
            self.broken("no hot loop", format!("{} never stops talking", trace::name(id)));
        }
    }

    /// What has stirred so far: roles that changed, shots that were fired.
    pub const fn stirrings(&self) -> u64 {
        self.checks.stirrings
    }

    /// What was seen so far.
    pub fn outcome(&self) -> Outcome {
        Outcome { time: self.now, left_out: self.left_out, ..self.checks.outcome }
    }

    pub(super) fn broken(&mut self, promise: &'static str, seen: String) {
        let broken = Broken { promise, at: self.now, seen };
        self.note_world(format_args!("{broken}"));
        self.checks.broken.get_or_insert(broken);
    }
}

/// Five heartbeats a second are usual; each change on either side adds one, and a bad second has a dozen changes.
const WORDS_MAX: u32 = 100;
