//! Leaves out rounds that are like the round before. Days in which nothing happens are most of a life.
//!
//! A round is the time between two heartbeats of a box, or, where the boxes do not speak equally often, the time
//! after which both have spoken a whole number of times. If all that moves (the machines, the heartbeats under way,
//! the next wake of each box) is after a round what it was before it, only a round later, and if chance was not
//! asked and nothing was told, then the next round is like it as well: the world is a function of what was
//! compared, and depends on nothing but differences of time until the first instant that stands still: a timer, or
//! what fate has in store. Whole rounds up to shortly before that instant are left out, and everything that moves
//! is moved on.

use std::time::Duration;

use firmware_agnostic::identity::BoxId;
use firmware_agnostic::node::Node;

use super::cable::Cable;
use super::checks::Broken;
use super::device::Device;
use super::fault_model::Mishap;
use super::random::Random;
use super::{Entry, Reverse, What, World};

impl World {
    /// Lets a round pass, and leaves out those that are like it, at most until `end`.
    pub(super) fn leap(&mut self, end: u64) -> Result<(), Broken> {
        let Some(round) = self.round() else { return Ok(()) };
        if self.horizon(end) < self.now + round * WORTH {
            return Ok(());
        }
        let before = self.moment();
        self.pass(self.now + round)?;
        let after = self.moment();
        let rounds = self.horizon(end).saturating_sub(self.now) / round;
        let times = u32::try_from(rounds.saturating_sub(MARGIN)).unwrap_or(u32::MAX);
        if self.round() == Some(round)
            && times > 0
            && before.is_repeated_by(&after)
            && let Some(nodes) = self.nodes_after(&before, round, times)
        {
            self.skip(nodes, round * u64::from(times));
        }
        Ok(())
    }

    /// The time after which everything could repeat itself.
    fn round(&self) -> Option<u64> {
        let fault_model = &self.fault_model;
        let noisy = self.cables.iter().any(|cable| cable.noise != [0; 2]);
        let chance = Mishap::ON_THE_WAY.into_iter().any(|mishap| fault_model.chance(mishap) > 0);
        // Bytes are numbered: no round is like the one before.
        if self.bytes() || chance || noisy || fault_model.delay.end > fault_model.delay.start {
            return None;
        }
        let mut round: Option<u64> = None;
        for appliance in &self.boxes {
            let Some(supervisor) = &appliance.supervisor else { continue };
            let busy = supervisor.stalled || !supervisor.jobs.is_empty();
            let keepalive = appliance.settings.timing.keepalive().as_nanos().div_ceil(1_000);
            let keepalive = u64::try_from(keepalive).ok()?;
            if busy || appliance.clock().skew != 0 {
                return None;
            }
            round = Some(round.map_or(keepalive, |round| least_common_multiple(round, keepalive)));
        }
        round
    }

    /// The first thing that will happen and is no heartbeat.
    fn horizon(&self, end: u64) -> u64 {
        let fixed = self.queue.iter().filter(|Reverse(entry)| !entry.what.moves());
        let timers = self.boxes.iter().filter_map(|appliance| {
            let at = appliance.supervisor.as_ref()?.node.next_event()?;
            Some(appliance.world_time(at))
        });
        fixed.map(|Reverse(entry)| entry.at).chain(timers).min().unwrap_or(end).min(end)
    }

    fn moment(&self) -> Moment {
        let entries = self.queue.iter().map(|Reverse(entry)| entry).filter(|it| !self.is_stale(it));
        let (mut moving, fixed): (Vec<&Entry>, Vec<&Entry>) =
            entries.partition(|entry| entry.what.moves());
        moving.sort();
        let fixed = fixed.into_iter().map(|entry| entry.number).collect();
        Moment {
            nodes: self.nodes(),
            lives: [0, 1].map(|place: usize| (self.boxes[place].life, self.boxes[place].holds)),
            moving: moving
                .into_iter()
                .map(|entry| {
                    (entry.at - self.now, entry.what.clone().later(self.now.wrapping_neg()))
                })
                .collect(),
            heard: self.boxes.iter().map(|it| it.heard_ages(self.now)).collect(),
            fixed,
            surroundings: (self.cables.clone(), self.devices),
            random: self.random.clone(),
            told: self.checks.told,
        }
    }

    fn nodes(&self) -> [Option<Node>; 2] {
        BoxId::BOTH.map(|id| self.node(id).cloned())
    }

    fn nodes_after(&self, before: &Moment, round: u64, times: u32) -> Option<[Option<Node>; 2]> {
        let mut nodes = self.nodes();
        for (place, node) in nodes.iter_mut().enumerate() {
            let now = self.boxes[place].local(self.now);
            match (&before.nodes[place], node) {
                (None, None) => {}
                (Some(before), Some(node)) => {
                    *node = node.repeated(before, Duration::from_micros(round), times, now)?;
                }
                _ => return None,
            }
        }
        Some(nodes)
    }

    /// A wake that another one has replaced comes to nothing.
    fn is_stale(&self, entry: &Entry) -> bool {
        let What::Wakes(id, life) = entry.what else { return false };
        let appliance = &self.boxes[id.index()];
        let wakes_at = appliance.supervisor.as_ref().map(|supervisor| supervisor.wakes_at);
        appliance.life != life || wakes_at != Some(entry.at)
    }

    fn skip(&mut self, nodes: [Option<Node>; 2], micros: u64) {
        let mut entries = std::mem::take(&mut self.queue).into_vec();
        entries.retain(|Reverse(entry)| !self.is_stale(entry));
        for Reverse(entry) in &mut entries {
            if entry.what.moves() {
                entry.at += micros;
                entry.what = entry.what.clone().later(micros);
            }
        }
        self.queue = entries.into();
        for (appliance, node) in self.boxes.iter_mut().zip(nodes) {
            if let (Some(supervisor), Some(node)) = (&mut appliance.supervisor, node) {
                supervisor.node = node;
                supervisor.mailbox.skip(micros);
                supervisor.wakes_at = supervisor.wakes_at.saturating_add(micros);
            }
        }
        self.now += micros;
        self.left_out += micros;
    }
}

impl What {
    /// The same, with what was said so much later.
    fn later(self, micros: u64) -> Self {
        match self {
            Self::Arrives(id, link, said) => Self::Arrives(id, link, Box::new(said.later(micros))),
            other => other,
        }
    }

    /// Whether this happens again in every round.
    const fn moves(&self) -> bool {
        matches!(self, Self::Arrives(..) | Self::Wakes(..))
    }
}

/// All that the next round depends on.
struct Moment {
    nodes: [Option<Node>; 2],
    lives: [(u32, bool); 2],
    /// From now.
    moving: Vec<(u64, What)>,
    /// How long ago each box has heard what.
    heard: Vec<Vec<([u8; 4], u64)>>,
    /// In no order.
    fixed: Vec<u64>,
    surroundings: (Vec<Cable>, [Device; 2]),
    random: Random,
    told: u64,
}

impl Moment {
    /// Whether `later` is the same again; the machines are compared by [`Node::repeated`].
    fn is_repeated_by(&self, later: &Self) -> bool {
        self.lives == later.lives
            && self.moving == later.moving
            && self.heard == later.heard
            && self.surroundings == later.surroundings
            && self.random == later.random
            && self.told == later.told
            && sorted(&self.fixed) == sorted(&later.fixed)
    }
}

fn sorted(numbers: &[u64]) -> Vec<u64> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers
}

fn least_common_multiple(one: u64, other: u64) -> u64 {
    let (mut divisor, mut rest) = (one, other);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    one / divisor * other
}

/// A leap over fewer rounds is not worth the look.
const WORTH: u64 = 8;
/// Rounds that are lived before the next event, so that what happens at one time happens in the right order.
const MARGIN: u64 = 2;
/// The world looks so often whether it may leap, in microseconds.
pub(super) const SLICE: u64 = 2_000_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use firmware_agnostic::identity::ResourceId;
    use firmware_agnostic::order::{Order, OrderDuration};
    use firmware_agnostic::settings::{Settings, Times, Timing};

    use super::super::fault_model::{FaultModel, MILLI, SECOND};
    use super::super::fixtures;
    use super::super::trace::Trace;
    use super::*;

    #[test]
    fn a_round_that_was_disturbed_is_not_repeated() {
        assert!(repeats(|_| {}), "where nothing happens, nothing changes");
        let disturbances: [fn(&mut World); 10] = [
            |world| {
                world.order(BoxId::First, Order::Maintenance(OrderDuration::Reboot));
            },
            |world| world.fail(BoxId::First, ResourceId::new(0).unwrap()),
            |world| world.gate(BoxId::Second, true),
            |world| world.plug(0, false),
            |world| world.plug_one_way(2, BoxId::Second, false),
            |world| world.device(BoxId::First, Device::Broken),
            |world| world.stall(BoxId::Second, 300 * MILLI),
            |world| world.kill(BoxId::First),
            |world| world.power_off(BoxId::Second, "loses its power"),
            |world| {
                world.random.bits();
            },
        ];
        for (number, disturb) in disturbances.into_iter().enumerate() {
            assert!(!repeats(disturb), "disturbance {number}");
        }
    }

    #[test]
    fn boxes_that_speak_at_different_times_repeat_themselves_together() {
        let mut pair = fixtures::pair();
        pair[1].timing = timing(300);
        let mut world = serving(pair);
        assert_eq!(world.round(), Some(600 * MILLI));
        world.leaps = true;
        world.run(86_400 * SECOND).unwrap();
        assert!(world.left_out > 86_300 * SECOND, "{}", world.left_out);
    }

    /// Whether a round in which `disturb` happens would be taken for one in which nothing does.
    fn repeats(disturb: impl FnOnce(&mut World)) -> bool {
        let mut world = serving(fixtures::pair());
        let round = world.round().expect("nothing is under way");
        let before = world.moment();
        world.pass(world.now + round / 2).unwrap();
        disturb(&mut world);
        world.pass(world.now + round - round / 2).unwrap();
        before.is_repeated_by(&world.moment()) && world.nodes_after(&before, round, 1).is_some()
    }

    fn serving(pair: [Settings; 2]) -> World {
        let mut world = World::new(pair, FaultModel::none(), 1, Trace::Off);
        for id in BoxId::BOTH {
            world.power_on(id);
        }
        world.run(60 * SECOND).unwrap();
        assert!(world.serving().is_some());
        world
    }

    fn timing(keepalive: u64) -> Timing {
        let times = Times {
            keepalive: Duration::from_millis(keepalive),
            warntime: Duration::from_millis(800),
            deadtime: Duration::from_millis(1_800),
            initdead: Duration::from_secs(15),
            fence_time: Duration::from_secs(5),
            baud: None,
        };
        Timing::new(times).expect("each is longer than the one before")
    }
}
