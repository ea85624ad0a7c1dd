//! Runs a simulation: misery and calm by turns, and after each calm somebody must serve.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{iter, panic, thread};

use firmware_agnostic::evidence::Require;
use firmware_agnostic::heartbeat::Role;
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::order::{Order, OrderDuration};
use firmware_agnostic::settings::Settings;

use super::checks::Broken;
use super::fault_model::{FaultModel, MILLI, SECOND};
use super::faults::OneFault;
use super::plan::{Calm, Plan};
use super::random::Random;
use super::trace::Trace;
use super::{World, fixtures};

/// What was seen in a run: a run that has seen nothing has shown nothing.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Microseconds that were simulated.
    pub time: u64,
    /// Those of them in which nothing happened, and that were left out.
    pub left_out: u64,
    /// Starts of the resources.
    pub takeovers: u64,
    /// Shots.
    pub shots: u64,
    /// Orders that were taken.
    pub orders: u64,
    /// What went wrong, and how often.
    pub seen: BTreeMap<&'static str, u64>,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.time += other.time;
        self.left_out += other.left_out;
        self.takeovers += other.takeovers;
        self.shots += other.shots;
        self.orders += other.orders;
        for (what, times) in other.seen {
            *self.seen.entry(what).or_default() += times;
        }
    }
}

/// What is seen in the runs below `count`, on all cores.
///
/// # Panics
///
/// If one of them does.
pub fn sum(count: u64, run: impl Fn(u64) -> Outcome + Sync) -> Outcome {
    let next = AtomicU64::new(0);
    let some = || {
        let numbers = iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let runs = numbers.take_while(|number| *number < count).map(&run);
        runs.fold(Outcome::default(), |mut sum, outcome| {
            sum += outcome;
            sum
        })
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(some)).collect();
        threads.into_iter().fold(Outcome::default(), |mut sum, thread| {
            sum += thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
            sum
        })
    })
}

/// Runs the world that grows from `seed`.
///
/// # Errors
///
/// The first promise that is broken.
pub fn run(seed: u64, trace: Trace) -> Result<Outcome, Broken> {
    live(&Plan::random(seed), trace, false)
}

/// Runs what is planned; `leaps` leaves out what is like what was before.
///
/// # Errors
///
/// The first promise that is broken.
pub fn live(plan: &Plan, trace: Trace, leaps: bool) -> Result<Outcome, Broken> {
    let mut world = world(plan, trace);
    world.leaps = leaps;
    play(plan, &mut world)?;
    Ok(world.outcome())
}

/// The lines of a run, and how it ended.
pub fn tell(plan: &Plan, leaps: bool) -> (Vec<String>, Result<Outcome, Broken>) {
    let mut world = world(plan, Trace::Kept(Vec::new()));
    world.leaps = leaps;
    let end = play(plan, &mut world);
    (world.lines().to_vec(), end.map(|()| world.outcome()))
}

fn world(plan: &Plan, trace: Trace) -> World {
    let mut world = World::new(plan.pair.clone(), FaultModel::calm(), plan.seed, trace);
    world.bytes_travel = plan.bytes_travel;
    for id in BoxId::BOTH {
        world.clock_rate(id, plan.clocks[id.index()]);
        if plan.on[id.index()] {
            world.power_on(id);
        }
    }
    world
}

fn play(plan: &Plan, world: &mut World) -> Result<(), Broken> {
    let bound = plan.pair.iter().map(bound).max().unwrap_or_default();
    if plan.pair[0].config != plan.pair[1].config {
        world.saw("the configurations differ");
    }
    for turn in &plan.turns {
        world.stir_up(turn.fault_model.clone(), &turn.faults);
        world.run(turn.length)?;
        world.calm_down();
        turn.calm.begin(world);
        settle(world, bound)?;
        for id in BoxId::BOTH {
            world.power_on(id);
        }
    }
    Ok(())
}

impl Calm {
    fn begin(self, world: &mut World) {
        let links = world.cables.len();
        match self {
            Self::All => {}
            Self::OneBox(id) => world.switch_off(id),
            Self::OneCable => (1..links).for_each(|link| world.plug(link, false)),
            Self::NoFence(device) => {
                for id in BoxId::BOTH {
                    world.device(id, device);
                }
            }
        }
    }
}

/// What is under way when a fault comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Nothing.
    Rest,
    /// The box that served lost its power, and comes back.
    Return,
    /// An operator sends the resources to the other box.
    HandOver,
    /// An operator has the other box take them.
    Claim,
    /// Both boxes boot.
    Boot,
}

impl Phase {
    /// Has it begin, and runs into the midst of it.
    fn begin(self, world: &mut World, random: &mut Random, bound: u64) -> Result<(), Broken> {
        let Some(serving) = world.serving() else { return Ok(()) };
        match self {
            Self::Rest => return Ok(()),
            Self::Return => {
                world.power_off(serving, "loses its power");
                world.run(bound)?;
                world.power_on(serving);
                let moves = |world: &World| {
                    BoxId::BOTH
                        .into_iter()
                        .any(|id| matches!(world.role(id), Some(Role::Starting | Role::Stopping)))
                };
                let end = world.now() + bound;
                while !moves(world) && world.now() < end {
                    world.run(50 * MILLI)?;
                }
            }
            Self::HandOver => {
                world.order(serving, Order::Standby(OrderDuration::Resume));
            }
            Self::Claim => {
                world.order(serving.other(), Order::Takeover(OrderDuration::Resume));
            }
            Self::Boot => BoxId::BOTH.into_iter().for_each(|id| world.reset(id)),
        }
        let most = if self == Self::Boot { bound } else { 7 * SECOND };
        world.run(random.within(&(0..most)))
    }
}

/// One fault among all that is well, at rest or while something is under way, and nobody comes to help: it never costs
/// both boxes, and at rest a cut costs only the one that does not serve.
///
/// # Errors
///
/// The first promise that is broken.
pub fn one_fault(seed: u64, trace: Trace) -> Result<Outcome, Broken> {
    let mut random = Random::new(seed);
    let mut settings = fixtures::any_pair(&mut random);
    let (timing, own) = (settings[0].timing, random.within(&(1..20)));
    let hold = random.one_of(&[0, own, own, 3_600]);
    for it in &mut settings {
        it.require = Require::Fenced;
        // Who shoots first is a matter of times: where they differ, so may the outcome.
        it.timing = timing;
        it.failback_hold = Duration::from_secs(hold);
    }
    let bound = settings.iter().map(bound).max().unwrap_or_default();
    let mut fault_model = FaultModel { rescue: 0..0, ..FaultModel::calm() };
    if random.happens(500_000) {
        // Devices that take their time to the last moment.
        let most = timing.fence_time().as_micros() as u64;
        let reading = random.within(&(10 * MILLI..SECOND));
        let cut = most.saturating_sub(4 * reading + SECOND / 10).max(SECOND);
        (fault_model.reading, fault_model.cut) = (reading..reading + 1, cut..cut + 1);
    }
    let mut world = World::new(settings, fault_model, random.bits(), trace);
    for id in BoxId::BOTH {
        world.clock_rate(id, random.within(&(0..2_001)).cast_signed() - 1_000);
        world.power_on(id);
    }
    world.run(bound + random.within(&(0..2 * SECOND)))?;
    let phases = [Phase::Rest, Phase::Return, Phase::HandOver, Phase::Claim, Phase::Boot];
    let phase = random.one_of(&phases);
    phase.begin(&mut world, &mut random, bound)?;
    let before = world.serving();
    let fault = world.one_fault(&mut random);
    world.run(30 * SECOND)?;
    for id in BoxId::BOTH {
        // Where the box that an operator wants to serve is the one that is lost.
        world.order(id, Order::Resume);
    }
    world.run(bound)?;
    let after = world.serving();
    let rests = phase == Phase::Rest;
    let cut = matches!(fault, OneFault::CutOneWay | OneFault::CutBothWays);
    // A box that boots and never hears its peer waits for a person, who confirms that the other one is off.
    let unheard = matches!(fault, OneFault::Hang | OneFault::CutBothWays);
    let lost = after.is_none() && !(phase == Phase::Boot && unheard);
    if rests && before.is_none() || lost || rests && cut && after != before {
        let what = format!("{phase:?}: {before:?} served before, and {after:?} after");
        return Err(Broken { promise: "one fault costs one box", at: world.now(), seen: what });
    }
    Ok(world.outcome())
}

/// Somebody serves: what was left in the air has landed, the operators have taken everything back, and then
/// one box must serve within the bound, and go on serving without a stir.
fn settle(world: &mut World, bound: u64) -> Result<(), Broken> {
    // Of a peer that is in maintenance, or was when it went away, only its silence is an end.
    let deadtime = |it: &super::Appliance| it.settings.timing.deadtime().as_micros() as u64;
    let silent = world.boxes.iter().map(deadtime).max().unwrap_or_default() + SECOND;
    for _ in 0..LANDING.max(silent).div_ceil(SECOND) {
        for id in BoxId::BOTH {
            world.order(id, Order::Resume);
            world.order(id, Order::Clear);
        }
        world.run(SECOND)?;
    }
    let begin = world.now();
    world.run(bound)?;
    let stirrings = world.stirrings();
    let (serving, now) = (world.serving(), world.now());
    let roles = BoxId::BOTH.map(|id| world.role(id));
    let promise = "somebody serves";
    let Some(serving) = serving else {
        let seen = format!("{roles:?} since {:.3}", begin as f64 / 1e6);
        return Err(Broken { promise, at: now, seen });
    };
    world.run(QUIET)?;
    if world.serving() != Some(serving) || world.stirrings() != stirrings {
        let roles = [roles, BoxId::BOTH.map(|id| world.role(id))];
        return Err(Broken { promise, at: now, seen: format!("no rest: {roles:?}") });
    }
    Ok(())
}

/// The longest way to a box that serves and stays: boot in vain, look and shoot in vain with the longest pause,
/// shoot again, start; then home boots, is held off, and the resources move.
fn bound(settings: &Settings) -> u64 {
    let micros = |time: Duration| time.as_micros() as u64;
    let (timing, calm) = (&settings.timing, FaultModel::calm());
    let boot = calm.rescue.end + calm.boot.end + calm.stop.end + micros(timing.initdead());
    let shot = PAUSE_MAX + micros(timing.fence_delay()) + 2 * micros(timing.fence_time());
    let home = micros(settings.failback_hold) + calm.stop.end + calm.start.end;
    boot + shot + calm.start.end + boot + home + 5 * SECOND
}

/// Late cuts of power, hung stops, old troubles.
const LANDING: u64 = 20 * SECOND;
/// Nothing may happen for so long once all is well.
const QUIET: u64 = 60 * SECOND;
/// The longest pause between two looks at the power, as the core has it.
const PAUSE_MAX: u64 = 30 * SECOND;
