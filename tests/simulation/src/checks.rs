//! Checks the promises. Each promise has a name, and is checked from outside, by what really runs.

use std::fmt;
use std::time::Duration;

use firmware_agnostic::evidence::{Evidence, Require};
use firmware_agnostic::frame::FrameError;
use firmware_agnostic::heartbeat::{Heartbeat, PeerRequest, Role};
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::node::fencing::Fencing;
use firmware_agnostic::node::{Action, Node};
use firmware_agnostic::order::Refusal;
use firmware_agnostic::receiver::Heard;
use firmware_agnostic::report::{Cause, Change, Report, Severity};
use firmware_agnostic::settings::AtBoot;
use firmware_agnostic::time::{Instant, Timer};

use super::appliance::{Lost, Power};
use super::fault_model::SECOND;
use super::life::Outcome;
use super::wire::Said;
use super::{World, trace};

pub use seen::Seen;

mod seen;
mod stays;

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
    /// Since when both boxes serve and hear each other.
    dual_since: Option<u64>,
    /// The last shot of each box.
    shots: [Option<Shot>; 2],
    /// Whether the last cut of each box came in time.
    shot: [bool; 2],
    /// What each box has told at the level of an error.
    alarms: [u64; 2],
}

/// A shot that was ordered.
#[derive(Clone, Copy, Debug)]
struct Shot {
    /// By an operator.
    ordered: bool,
    /// By a box that has heard its peer, when it had the turn.
    in_turn: bool,
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
    /// One holder: what really runs, runs on one box. Only a box may break that which is set up to believe silence, or
    /// darkness; and nobody can tell a device that lies from a peer that is off, until the peer talks.
    pub(super) fn check_holders(&mut self, id: BoxId) {
        let both = self.boxes.iter().all(|appliance| appliance.holds);
        let believes = self.boxes[id.index()].settings.require != Require::Fenced;
        let lied_to = self.boxes[id.index()].supervisor.as_ref().is_some_and(|supervisor| {
            supervisor.seen.has_read_off() && !supervisor.seen.was_true()
        });
        if both && !believes && !lied_to {
            self.broken("one holder", format!("{} starts, and the other holds", trace::name(id)));
        }
    }

    /// One box is shot: two boxes that were silent to each other never cut each other's power, if their devices take no
    /// longer than they may.
    pub(super) fn check_cut_box(&mut self, id: BoxId, by: Option<BoxId>) {
        self.checks.shot[id.index()] = by.is_some();
        let Some(by) = by else { return };
        let lost = &self.boxes[by.index()];
        let off =
            lost.power == Power::Off && lost.lost == Lost::Shot && self.checks.shot[by.index()];
        // Who shoots first is a matter of times: where they differ, so may the outcome. Operators shoot when they like.
        let alike = lost.settings.timing == self.boxes[id.index()].settings.timing;
        let in_turn = self.checks.shots.iter().flatten().all(|shot| shot.in_turn);
        if off && alike && in_turn {
            let seen = format!("{} is shot, and {} was", trace::name(id), trace::name(by));
            self.broken("one box is shot", seen);
        }
    }

    /// What was called off or is not wanted any more is not cut.
    pub(super) fn check_cut(&mut self, id: BoxId) {
        let local = self.boxes[id.index()].local(self.now);
        let Some(supervisor) = &self.boxes[id.index()].supervisor else { return };
        let talks = talks_to(&supervisor.node, local);
        let ordered = self.checks.shots[id.index()].is_some_and(|shot| shot.ordered);
        if talks && !ordered {
            self.broken("no shot at a peer that talks", format!("{} cuts", trace::name(id)));
        }
    }

    /// No death-match: nobody shoots whom he has not heard in this life. And nobody shoots a peer that talks, or
    /// before he has listened. Only an operator may.
    pub(super) fn check_shot(&mut self, id: BoxId) {
        self.checks.stirrings += 1;
        self.checks.outcome.shots += 1;
        let local = self.boxes[id.index()].local(self.now);
        let appliance = &self.boxes[id.index()];
        let Some(supervisor) = &appliance.supervisor else { return };
        let node = &supervisor.node;
        let talks = talks_to(node, local);
        let deaf = node.timer(Timer::Relisten).is_some_and(|until| until > local);
        let name = trace::name(id);
        let may_at_boot =
            appliance.settings.at_boot == AtBoot::Fence && appliance.lost != Lost::Shot;
        let (ordered, heard) = (supervisor.seen.is_shot_by_order(), supervisor.seen.has_heard());
        self.checks.shots[id.index()] = Some(Shot { ordered, in_turn: !ordered && heard });
        if ordered {
            self.saw("a box is shot because an operator wants it");
        } else if !heard && !may_at_boot {
            self.broken("no death-match", format!("{name} shoots unheard"));
        } else if talks {
            self.broken("no shot at a peer that talks", format!("{name} shoots"));
        } else if deaf {
            self.broken("a box that was late listens first", format!("{name} shoots"));
        }
    }

    /// No hot loop: what is to be done at once is done in the step, and nobody talks without end. And a box that owes
    /// its peer its power waits for something to give it back.
    pub(super) fn check_step(&mut self, id: BoxId, local: Instant) {
        let Some(supervisor) = &self.boxes[id.index()].supervisor else { return };
        let node = &supervisor.node;
        let (deadline, role) = (node.next_deadline(), node.role());
        let busy = node.fencing().is_under_way() || matches!(node.fencing(), Fencing::Querying(_));
        let forgets = node.power_on().is_some() && !busy && node.timer(Timer::PowerOn).is_none();
        if deadline <= local {
            let seen =
                format!("{} wants to be woken at {deadline:?} at {local:?}", trace::name(id));
            self.broken("no hot loop", seen);
        }
        if forgets {
            let seen = format!("{} has forgotten to switch it on", trace::name(id));
            self.broken("power that is owed is given", seen);
        }
        let free = matches!(role, Role::Standby | Role::Fencing | Role::Failed);
        if free && self.boxes[id.index()].holds {
            let seen = format!("{} says {role}, and holds", trace::name(id));
            self.broken("no false word", seen);
        }
    }

    /// Silence is not evidence: a box that starts has told why, and it is so. And the resources go home only when
    /// they may.
    pub(super) fn check_change(&mut self, id: BoxId, change: &Change) {
        let (now, name) = (self.now, trace::name(id));
        let other = self.node(id.other()).map(|node| node.heartbeat(Instant::default()));
        let appliance = &mut self.boxes[id.index()];
        let local = appliance.local(now);
        let settings = &appliance.settings;
        let Some(supervisor) = &mut appliance.supervisor else { return };
        let (seen, mine) = (&mut supervisor.seen, supervisor.node.heartbeat(local));
        seen.tells(change.to);
        // A speaker with an unknown boot, and does not know this one, may be a recording.
        let epoch = supervisor.node.peer().last_heartbeat().map(|word| word.epoch);
        let believed = epoch.and_then(|epoch| seen.word_of(epoch.boot)).copied();
        let silence = now - seen.proven_at();
        let serves = believed.is_some_and(|(word, at)| {
            // The clocks of the boxes run at rates of their own.
            let talks = Duration::from_micros(now - at) < settings.timing.deadtime() * 99 / 100;
            let holds = word.role.holds_resources() && word.request != PeerRequest::Fence;
            talks && holds && !seen.has_read_off()
        });
        let deadtime = settings.timing.deadtime().as_micros() as u64;
        let wrong = match change.cause {
            Cause::Evidence(evidence) => {
                let true_ = match evidence {
                    Evidence::Released => seen.is_released(&mine),
                    Evidence::Fenced => seen.is_answered() && seen.has_read_off(),
                    Evidence::Dark => settings.require != Require::Fenced && seen.is_answered(),
                    Evidence::Operator => seen.is_confirmed(),
                    Evidence::Silence => {
                        let silent = silence * 100 > deadtime * 99 && !serves;
                        settings.require == Require::Silence && silent
                    }
                };
                // An operator wants the resources here, or not there: home has not failed.
                let ordered = mine.request == PeerRequest::Claim
                    || believed
                        .is_some_and(|(word, _)| word.fit && word.request == PeerRequest::Standby);
                seen.stays.end(ordered, now);
                (!true_).then(|| ("silence is not evidence", format!("{evidence:?} is not so")))
            }
            _ if change.to == Role::Starting => {
                Some(("silence is not evidence", "no evidence is told".to_owned()))
            }
            Cause::FailbackDue(hold) => {
                let wrong = seen.stays.begin(hold, settings.failback_hold, now);
                let failed = seen.stays.failed();
                if failed > 0 {
                    self.saw("the resources go home after a failed stay");
                }
                wrong.map(|wrong| ("no ping-pong", format!("{name} gives back {wrong}")))
            }
            Cause::Adopted => {
                let left = appliance.whole && change.from == Role::Init;
                (!left).then(|| ("only what runs is adopted", "not everything runs".to_owned()))
            }
            Cause::DualActive => {
                self.saw("a box yields to the other one that serves");
                let before = |other: Heartbeat| {
                    other.role.holds_resources()
                        && (other.term, other.rank()) < (mine.term, mine.rank())
                };
                other
                    .is_some_and(before)
                    .then(|| ("one yields", format!("{name} is the wrong one")))
            }
            _ => None,
        };
        if let Some((promise, seen)) = wrong {
            self.broken(promise, format!("{name} {} -> {}: {seen}", change.from, change.to));
        }
    }

    /// Nothing is lost silently: what a box is has been told, and stands in its journal, before it says so or acts
    /// as such.
    pub(super) fn check_recorded(&mut self, id: BoxId, action: &Action) {
        let Some(supervisor) = &self.boxes[id.index()].supervisor else { return };
        let recorded = supervisor.recorded;
        let right = match action {
            // A box is init when it is born.
            Action::Send(word) => {
                word.role == Role::Init
                    || recorded == Some(word.role) && supervisor.seen.has_told(word.role)
            }
            Action::Start(_) => recorded == Some(Role::Starting),
            Action::Fence(_) | Action::Cut(_) => {
                recorded.is_some_and(|role| role == Role::Fencing || role.holds_resources())
            }
            _ => true,
        };
        if !right {
            let seen =
                format!("{} is recorded as {recorded:?}, and does {action:?}", trace::name(id));
            self.broken("nothing is lost silently", seen);
        }
    }

    /// No false frame: what was damaged is not read, and what was not is.
    pub(super) fn check_reading(
        &mut self,
        id: BoxId,
        said: &Said,
        read: Result<Heard, FrameError>,
    ) {
        let Some(supervisor) = &self.boxes[id.index()].supervisor else { return };
        let whole = !said.damaged && supervisor.mailbox.understands(said);
        let right = match read {
            Ok(heard) => whole && heard.heartbeat == said.heartbeat,
            Err(FrameError::Replayed) => true,
            Err(_) => !whole,
        };
        if !right {
            self.broken("no false frame", format!("{} reads {read:?}", trace::name(id)));
        }
    }

    /// One yields: two boxes that serve and hear each other do so for a moment only.
    pub(super) fn check_dual(&mut self) {
        let serves = |id| matches!(self.role(id), Some(Role::Starting | Role::Active));
        let hears = |id: BoxId| {
            let other = self.node(id.other())?.epoch().boot;
            let supervisor = self.boxes[id.index()].supervisor.as_ref()?;
            let (word, at) = supervisor.seen.word_of(other)?;
            let knows = word.heard.is_some_and(|it| it.boot == supervisor.node.epoch().boot);
            let warntime = self.boxes[id.index()].settings.timing.warntime().as_micros() as u64;
            let fresh = at + warntime >= self.now && !supervisor.stalled;
            Some(fresh && knows && word.role.holds_resources())
        };
        let both = BoxId::BOTH.into_iter().all(serves)
            && BoxId::BOTH.into_iter().all(|id| hears(id).unwrap_or(false));
        if !both {
            self.checks.dual_since = None;
            return;
        }
        if self.checks.dual_since.is_none() {
            self.saw("both boxes serve and hear each other");
        }
        let since = *self.checks.dual_since.get_or_insert(self.now);
        let patience = |it: &super::Appliance| 2 * it.settings.timing.deadtime().as_micros() as u64;
        if self.now - since > self.boxes.iter().map(patience).max().unwrap_or_default() {
            self.broken("one yields", "both boxes serve, and hear each other".to_owned());
        }
    }

    pub(super) fn check_speech(&mut self, id: BoxId) {
        let second = self.now / SECOND;
        let Some(supervisor) = &mut self.boxes[id.index()].supervisor else { return };
        if supervisor.spoke.0 != second {
            supervisor.spoke = (second, 0);
        }
        supervisor.spoke.1 += 1;
        if supervisor.spoke.1 > WORDS_MAX {
            self.broken("no hot loop", format!("{} never stops talking", trace::name(id)));
        }
    }

    /// A box that is kept from serving says so: see [`simulation`](super::life).
    pub(super) fn check_alarm(&mut self, id: BoxId, report: &Report) {
        if report.weight() == Severity::Error {
            self.checks.alarms[id.index()] += 1;
        }
    }

    /// How often each box has told something that an operator must act on.
    pub const fn alarms(&self) -> [u64; 2] {
        self.checks.alarms
    }

    /// What has stirred so far: roles that changed, shots that were fired.
    pub const fn stirrings(&self) -> u64 {
        self.checks.stirrings
    }

    /// Counts something worth seeing.
    pub(super) fn saw(&mut self, what: &'static str) {
        *self.checks.outcome.seen.entry(what).or_default() += 1;
    }

    /// What was seen so far.
    pub fn outcome(&self) -> Outcome {
        Outcome { time: self.now, left_out: self.left_out, ..self.checks.outcome.clone() }
    }

    pub(super) fn broken(&mut self, promise: &'static str, seen: String) {
        let broken = Broken { promise, at: self.now, seen };
        self.note_world(format_args!("{broken}"));
        self.checks.broken.get_or_insert(broken);
    }
}

/// Whether the peer talks to `node`, and does not ask to be shot.
fn talks_to(node: &Node, local: Instant) -> bool {
    node.peer().heartbeat(local).is_some_and(|heartbeat| heartbeat.request != PeerRequest::Fence)
}

/// Five heartbeats a second are usual; each change on either side adds one, and a bad second has a dozen changes.
const WORDS_MAX: u32 = 100;
