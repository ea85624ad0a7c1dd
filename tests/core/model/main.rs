//! Checks that no order of events breaks a promise. All are tried, within bounds, on the machine that ships.
//!
//! stateright goes through every state that two [`Node`]s can come to. The time is not bounded, and neither is what
//! boxes, cables and devices do as they should: each word is heard at once or later in its round, each job and each
//! answer comes whenever it likes. What goes wrong is bounded by a [`Budget`], and a boot by the changes of its
//! stance. `TWOBOX_CHANGES=n` sets those: a few for a quick look, many for a long one.
//!
//! | module | question |
//! |---|---|
//! | [`pair`] | what is the pair at one moment? |
//! | [`steps`] | what can happen next? |
//! | [`promises`] | was a promise broken? |
//! | [`calm`] | does somebody serve when the faults are over? |

use std::env;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use firmware_agnostic::identity::BoxId;
use firmware_agnostic::node::Node;
use firmware_agnostic::order::{Order, OrderDuration};
use firmware_agnostic::recovery::OnFailure;
use firmware_agnostic::settings::Settings;
use stateright::{Checker, HasDiscoveries, Model, Property};

use pair::{Budget, Pair};
use steps::Step;

mod calm;
mod pair;
mod promises;
mod steps;

/// Cables are cut and mended, each way for itself.
#[test]
fn cables() {
    let budget = Budget { cables: 3, denials: 1, ..Budget::NONE };
    Bounds { budget, ..Bounds::few(1, 7) }.hold("cables", MILLION);
}

/// A word comes late, or again, and a cable is cut.
#[test]
fn words() {
    let budget = Budget { cables: 1, old_words: 1, denials: 1, ..Budget::NONE };
    Bounds { budget, ..Bounds::few(1, 7) }.hold("words", MILLION);
}

/// A box loses its power, and a box that is off comes back, twice; a journal is lost.
#[test]
fn crashes() {
    let budget = Budget { power_cuts: 1, births: 2, journals: 1, denials: 1, ..Budget::NONE };
    Bounds { budget, ..Bounds::few(1, 6) }.hold("crashes", MILLION);
}

/// A supervisor dies, what it has started runs on, and it is started again.
#[test]
fn deaths() {
    let budget = Budget { kills: 1, births: 1, journals: 1, slow: 1, denials: 1, ..Budget::NONE };
    Bounds { budget, ..Bounds::few(1, 7) }.hold("deaths", MILLION);
}

/// The same, where what runs on is not found again, or fails.
#[test]
fn adoptions() {
    let budget = Budget { kills: 1, births: 1, failures: 1, ..Budget::NONE };
    Bounds { budget, ..Bounds::few(1, 6) }.hold("adoptions", MILLION / 2);
}

/// A box does not run for a while, and another loses its power.
#[test]
fn stalls() {
    let budget = Budget { power_cuts: 1, stalls: 3, denials: 1, ..Budget::NONE };
    Bounds { budget, ..Bounds::few(1, 5) }.hold("stalls", MILLION);
}

/// Operators say anything at any time, while a resource fails, or does not start or stop.
#[test]
fn orders() {
    let budget = Budget { orders: 2, failures: 1, denials: 1, ..Budget::NONE };
    Bounds { budget, orders: ORDERS, ..Bounds::few(1, 5) }.hold("orders", MILLION);
}

/// The ranks of the boxes are changed while they go on, and a word comes late, or again.
#[test]
fn reloads() {
    let budget = Budget { reloads: 2, cables: 1, old_words: 1, ..Budget::NONE };
    Bounds { budget, ..Bounds::few(1, 5) }.hold("reloads", MILLION);
}

/// Time passes by moving all else into the past: an instant that stood still would be a lie in every state.
#[test]
fn every_instant_of_a_box_moves() {
    let settings = pair::settings(2, OnFailure::Failover);
    let mut pair = Pair::born(Budget::PLENTY, &settings).calmed(&settings);
    pair.take(Step::Fails(BoxId::First), &settings);
    let node = pair.node(BoxId::First).expect("it lives");
    let instants = |node: &Node| -> Vec<u64> {
        let text = format!("{node:?}");
        let numbers = text.split("Instant(").skip(1).filter_map(|rest| rest.split(')').next());
        numbers.map(|number| number.parse().expect("microseconds")).collect()
    };
    let moved = instants(&node.earlier(pair::ROUND, pair::OLDEST));
    let round = u64::try_from(pair::ROUND.as_micros()).expect("it is short");
    let oldest = pair::OLDEST.as_micros();
    let expected = instants(node).into_iter().map(|at| at.saturating_sub(round).max(oldest));
    let expected: Vec<_> = expected.collect();
    assert!(expected.len() > 10, "{expected:?}");
    assert_eq!(moved, expected);
}

/// Which states are tried.
struct Bounds {
    settings: [Settings; 2],
    orders: &'static [Order],
    budget: Budget,
    /// The changes of stance of one boot.
    changes: u32,
}

impl Bounds {
    fn few(links: usize, changes: u32) -> Self {
        let settings = pair::settings(links, OnFailure::Failover);
        Self { settings, orders: &[], budget: Budget::NONE, changes }
    }

    /// Tries every state, and fails where a promise is broken, or where there was little to try.
    fn hold(self, name: &str, least: usize) {
        // Each set wants the memory and the cores for itself.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = env::var("TWOBOX_CHANGES").ok().map(|it| it.parse().expect("a number"));
        let changes = chosen.unwrap_or(self.changes);
        let bounds = Self { changes, ..self };
        let checker = bounds.checker().threads(CORES).finish_when(HasDiscoveries::AnyFailures);
        let checker = checker.spawn_dfs().join();
        let (states, depth) = (checker.unique_state_count(), checker.max_depth());
        println!("{name}: {states} states, none more than {depth} steps deep");
        for promise in [PROMISES, LIVENESS] {
            let Some(path) = checker.discovery(promise) else { continue };
            let broken = path.last_state().broken.unwrap_or(LIVENESS);
            let steps = path.into_actions();
            panic!("{broken} is broken after {} steps: {steps:#?}", steps.len());
        }
        checker.assert_properties();
        assert!(chosen.is_some() || states >= least, "{name}: only {states} states");
    }

    /// From a sample of the states, because it takes as long as a thousand steps.
    fn somebody_serves(&self, pair: &Pair) -> bool {
        let mut hasher = DefaultHasher::new();
        pair.hash(&mut hasher);
        if !hasher.finish().is_multiple_of(SAMPLE) {
            return true;
        }
        let calm = pair.calmed(&self.settings);
        calm.broken.is_none() && calm.one_serves()
    }
}

impl Model for Bounds {
    type State = Pair;
    type Action = Step;

    fn init_states(&self) -> Vec<Pair> {
        vec![Pair::born(self.budget, &self.settings)]
    }

    fn actions(&self, pair: &Pair, steps: &mut Vec<Step>) {
        pair.steps(self.settings[0].links, self.orders, steps);
    }

    fn next_state(&self, pair: &Pair, step: Step) -> Option<Pair> {
        let mut next = pair.clone();
        next.take(step, &self.settings);
        (next != *pair).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(PROMISES, |_, pair: &Pair| pair.broken.is_none()),
            Property::always(LIVENESS, Self::somebody_serves),
            // Or nothing was tried.
            Property::sometimes("home serves", |_, pair: &Pair| pair.serves(BoxId::First)),
            Property::sometimes("away serves", |_, pair: &Pair| pair.serves(BoxId::Second)),
        ]
    }

    fn within_boundary(&self, pair: &Pair) -> bool {
        let changes = |id| pair.node(id).map_or(0, |node| node.epoch().change);
        BoxId::BOTH.into_iter().all(|id| changes(id) <= self.changes)
    }
}

const PROMISES: &str = "every promise is kept";
const LIVENESS: &str = "somebody serves";
const ORDERS: &[Order] = &[
    Order::Standby(OrderDuration::Resume),
    Order::Takeover(OrderDuration::Reboot),
    Order::Maintenance(OrderDuration::Reboot),
    Order::Failback,
    Order::Resume,
    Order::Clear,
    Order::Confirm(BoxId::First),
    Order::Confirm(BoxId::Second),
    Order::Leave,
];
/// What a set tries at least.
const MILLION: usize = 1_000_000;
/// One state in so many is lived on from.
const SAMPLE: u64 = 5_000;
const CORES: usize = 2;
