//! Holds the pair at one moment: two boxes, what is in the air between them, and the faults that are still to come.
//!
//! The time is always [`NOW`]: when time passes, all that was moves into the past instead. So two moments that
//! differ by nothing but the hour are one state.

use std::sync::Arc;
use std::time::Duration;

use firmware_agnostic::evidence::Require;
use firmware_agnostic::heartbeat::{Fingerprint, Heartbeat, Incarnation, LinkSet, Priority};
use firmware_agnostic::identity::{BoxId, ResourceId};
use firmware_agnostic::journal::Journal;
use firmware_agnostic::node::{Event, Node, Tag};
use firmware_agnostic::recovery::{OnFailure, Policy};
use firmware_agnostic::settings::AutoFailback;
use firmware_agnostic::settings::{AtBoot, Settings, Times, Timing};
use firmware_agnostic::time::Instant;

/// A state of the model.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Pair {
    pub(crate) boxes: [Machine; 2],
    /// What each box has said, the newest last.
    pub(crate) air: [Vec<Word>; 2],
    /// The links by which nothing that this box says comes through.
    pub(crate) cut: [LinkSet; 2],
    pub(crate) left: Budget,
    /// The first promise that was broken.
    pub(crate) broken: Option<&'static str>,
}

/// What a box has said.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Word {
    pub(crate) heartbeat: Heartbeat,
    /// When.
    pub(crate) at: Instant,
    /// When the listener said the newest of what the speaker had heard of it.
    pub(crate) echo: Option<Instant>,
    /// The listener has begun its life since.
    pub(crate) stale: bool,
}

/// What may still happen, so that the states have an end.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Budget {
    /// Boxes that lose their power by themselves.
    pub(crate) power_cuts: u8,
    /// Supervisors that die, and leave what they have started.
    pub(crate) kills: u8,
    /// Births, after the first two.
    pub(crate) births: u8,
    /// Journals that are gone at a birth.
    pub(crate) journals: u8,
    /// Rounds in which a box does not run.
    pub(crate) stalls: u8,
    /// Resources that fail, or do not start or stop.
    pub(crate) failures: u8,
    /// Words of operators.
    pub(crate) orders: u8,
    /// Boxes whose rank is changed.
    pub(crate) reloads: u8,
    /// Cables that are cut or mended, one way.
    pub(crate) cables: u8,
    /// Rounds in which a box is not done with what it was told, or not answered what it asked.
    pub(crate) slow: u8,
    /// Answers that the peer's power is not off, be it true or not.
    pub(crate) denials: u8,
    /// Words that are heard after a newer one was said.
    pub(crate) old_words: u8,
}

impl Budget {
    /// Nothing more.
    pub(crate) const NONE: Self = Self::all(0);
    /// More than is needed.
    pub(crate) const PLENTY: Self = Self::all(u8::MAX);

    const fn all(count: u8) -> Self {
        Self {
            power_cuts: count,
            kills: count,
            births: count,
            journals: count,
            stalls: count,
            failures: count,
            orders: count,
            reloads: count,
            slow: count,
            denials: count,
            old_words: count,
            cables: count,
        }
    }
}

/// One box.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each may be true without the others")]
pub(crate) struct Machine {
    pub(crate) powered: bool,
    /// The machine of the product, while the supervisor lives.
    pub(crate) node: Option<Arc<Node>>,
    /// Something really runs here that must run on one box only.
    pub(crate) holds: bool,
    /// All of it was started, and none of it told to stop.
    pub(crate) whole: bool,
    /// The peer was heard in this life, by a word that it said since.
    pub(crate) heard: bool,
    /// The life of the peer that was heard last, and when its newest word was said that was heard.
    pub(crate) newest: Option<(Incarnation, Instant)>,
    pub(crate) journal: Option<Journal>,
    /// What the resources are told, in order.
    pub(crate) jobs: Vec<(Verb, Tag)>,
    /// What is asked about the peer's power.
    pub(crate) questions: Vec<Question>,
    /// An order to cut the power of this box is under way, and may be for ever.
    pub(crate) cut_comes: bool,
    births: u8,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Verb {
    Start,
    Stop,
    Adopt,
}

/// A question about the peer's power.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Question {
    /// It is a shot, or else a look.
    pub(crate) shot: bool,
    pub(crate) tag: Tag,
    /// The power was seen off then, and the answer is under way.
    pub(crate) seen_off: Option<Instant>,
    /// How far a shot is.
    pub(crate) stage: Stage,
}

/// How far a shot is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Stage {
    /// The device is being asked.
    Asked,
    /// It is ready, and waits.
    Ready,
    /// It was told to cut the power.
    Cut,
    /// It was called off before.
    CalledOff,
}

impl Pair {
    /// Two boxes that are born at the same moment.
    pub(crate) fn born(left: Budget, settings: &[Settings; 2]) -> Self {
        let mut pair = Self {
            boxes: Default::default(),
            air: Default::default(),
            cut: Default::default(),
            left,
            broken: None,
        };
        for id in BoxId::BOTH {
            pair.give_birth(id, settings);
        }
        pair
    }

    /// The box is switched on if it was off, and its supervisor starts.
    pub(crate) fn give_birth(&mut self, id: BoxId, settings: &[Settings; 2]) {
        let machine = &mut self.boxes[id.index()];
        machine.births += 1;
        let before = machine.journal.map(|journal| journal.life).unwrap_or_default();
        let boot = Incarnation::after(before, [b'a' + id.index() as u8, machine.births]);
        let settings = settings[id.index()].clone();
        machine.node = Some(Arc::new(Node::new(settings, boot, machine.journal, NOW)));
        for word in &mut self.air[id.other().index()] {
            word.stale = true;
        }
        let machine = &mut self.boxes[id.index()];
        machine.powered = true;
        self.step(id, Event::Timeout);
    }

    /// Moves all that was said and seen a round into the past.
    pub(crate) fn age(&mut self) {
        // What is older than a proof of life can be is told apart no more.
        let before = |at: Instant| (at - ROUND).max(NOW - ROUND * 8);
        for word in self.air.iter_mut().flatten() {
            (word.at, word.echo) = (before(word.at), word.echo.map(before));
        }
        for machine in &mut self.boxes {
            machine.newest = machine.newest.map(|(boot, at)| (boot, before(at)));
            for question in &mut machine.questions {
                question.seen_off = question.seen_off.map(before);
            }
        }
    }

    pub(crate) fn at(&self, id: BoxId) -> &Machine {
        &self.boxes[id.index()]
    }

    pub(crate) fn node(&self, id: BoxId) -> Option<&Node> {
        self.at(id).node.as_deref()
    }
}

impl Machine {
    /// The supervisor is gone, with all that it waited for.
    pub(crate) fn die(&mut self) {
        *self = Self {
            powered: self.powered,
            holds: self.holds,
            whole: self.whole,
            journal: self.journal,
            cut_comes: self.cut_comes,
            births: self.births,
            ..Self::default()
        };
    }

    /// Nothing runs here any more.
    pub(crate) fn fall_silent(&mut self) {
        self.holds = false;
        self.whole = false;
        self.journal = self.journal.map(Journal::after_a_boot);
        self.die();
    }
}

/// Two boxes with one resource, the first one home, whose times are few rounds.
pub(crate) fn settings(links: usize, on_failure: OnFailure) -> [Settings; 2] {
    let rounds = |rounds: u32| ROUND * rounds;
    let times = Times {
        keepalive: ROUND,
        warntime: rounds(3),
        deadtime: rounds(5),
        initdead: rounds(13),
        fence_time: ROUND,
        baud: None,
    };
    BoxId::BOTH.map(|me| Settings {
        me,
        priority: Priority(if me == BoxId::First { 100 } else { 50 }),
        auto_failback: AutoFailback::On,
        failback_hold: ROUND,
        require: Require::Fenced,
        dark_time: rounds(4),
        restart_time: rounds(6),
        at_boot: AtBoot::Wait,
        timing: Timing::new(times).expect("they are in the right order"),
        links,
        resources: [Policy { on_failure, threshold: 1, forget_after: Some(rounds(8)) }]
            .into_iter()
            .collect(),
        config: Fingerprint::default(),
        system: Fingerprint::default(),
    })
}

/// The time between two heartbeats, and between two moments of the model.
pub(crate) const ROUND: Duration = Duration::from_millis(250);
/// After the silence in which each box has had two slots, and two more slots.
pub(crate) const NOW: Instant = Instant::from_millis(9_000);
/// Fourteen rounds ago: longer than everything else that is waited for.
pub(crate) const OLDEST: Instant = Instant::from_millis(5_500);
pub(crate) const RESOURCE: ResourceId = ResourceId::new(0).expect("there is a first resource");
