//! What is one run of the simulation? Misery and calm by turns, and after each calm somebody must serve.

use std::ops::{AddAssign, Range};
use std::time::Duration;

use firmware_agnostic::evidence::Require;
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::order::Order;
use firmware_agnostic::settings::Settings;

use super::checks::Broken;
use super::device::Device;
use super::misery::{Misery, SECOND};
use super::random::Random;
use super::trace::Trace;
use super::{World, sample};

/// What was seen in a run: a run that has seen nothing has shown nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Microseconds that were simulated.
    pub time: u64,
    /// Starts of the resources.
    pub takeovers: u64,
    /// Shots.
    pub shots: u64,
    /// Orders that were taken.
    pub orders: u64,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.time += other.time;
        self.takeovers += other.takeovers;
        self.shots += other.shots;
        self.orders += other.orders;
    }
}

/// Runs the world that grows from `seed`.
///
/// # Errors
///
/// The first promise that is broken.
pub fn run(seed: u64, trace: Trace) -> Result<Outcome, Broken> {
    let mut random = Random::new(seed);
    let settings = sample::any_pair(&mut random);
    let bound = bound(&settings[0]);
    let mut world = World::new(settings, Misery::calm(), random.bits(), trace);
    world.set_clocks();
    for id in BoxId::BOTH {
        if random.happens(800_000) {
            world.power_on(id);
        }
    }
    for _ in 0..TURNS {
        world.stir_up(some_misery(&mut random));
        world.run(random.within(&MISERY))?;
        world.calm_down();
        let calm = random.one_of(&[Calm::All, Calm::OneBox, Calm::OneCable, Calm::NoFence]);
        calm.begin(&mut world, &mut random);
        settle(&mut world, bound)?;
        for id in BoxId::BOTH {
            world.power_on(id);
        }
    }
    Ok(world.outcome())
}

/// What is well when all is well enough that somebody must serve.
#[derive(Clone, Copy, Debug)]
enum Calm {
    /// Everything.
    All,
    /// One box is off, and stays so.
    OneBox,
    /// One cable carries.
    OneCable,
    /// No power can be cut.
    NoFence,
}

impl Calm {
    fn begin(self, world: &mut World, random: &mut Random) {
        let links = world.cables.len();
        match self {
            Self::All => {}
            Self::OneBox => world.switch_off(random.one_of(&BoxId::BOTH)),
            Self::OneCable => (1..links).for_each(|link| world.plug(link, false)),
            Self::NoFence => {
                let device = random.one_of(&[Device::Broken, Device::Unreachable]);
                for id in BoxId::BOTH {
                    world.device(id, device);
                }
            }
        }
    }
}

/// One fault among all that is well, and nobody comes to help: it never costs both boxes, and a cut costs
/// only the one that does not serve.
///
/// # Errors
///
/// The first promise that is broken.
pub fn one_fault(seed: u64, trace: Trace) -> Result<Outcome, Broken> {
    let mut random = Random::new(seed);
    let mut settings = sample::any_pair(&mut random);
    for it in &mut settings {
        it.require = Require::Fenced;
        it.failback_hold = Duration::from_secs(3_600);
    }
    let bound = bound(&settings[0]);
    let misery = Misery { rescue: 0..0, ..Misery::calm() };
    let mut world = World::new(settings, misery, random.bits(), trace);
    world.set_clocks();
    for id in BoxId::BOTH {
        world.power_on(id);
    }
    world.run(bound + random.within(&(0..2 * SECOND)))?;
    let before = world.serving();
    let cut = world.one_fault(&mut random);
    world.run(bound)?;
    let after = world.serving();
    if before.is_none() || after.is_none() || cut && after != before {
        let what = format!("{before:?} served before, and {after:?} after");
        return Err(Broken { promise: "one fault costs one box", at: world.now(), seen: what });
    }
    Ok(world.outcome())
}

/// Somebody serves: what was left in the air has landed, the operators have taken everything back, and then
/// one box must serve within the bound, and go on serving without a stir.
fn settle(world: &mut World, bound: u64) -> Result<(), Broken> {
    for _ in 0..LANDING / SECOND {
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
    let (timing, calm) = (&settings.timing, Misery::calm());
    let boot = calm.rescue.end + calm.boot.end + calm.stop.end + micros(timing.initdead());
    let shot = PAUSE_MAX + micros(timing.fence_delay()) + 2 * micros(timing.fence_time());
    let home = micros(settings.failback_hold) + calm.stop.end + calm.start.end;
    boot + shot + calm.start.end + boot + home + 5 * SECOND
}

fn some_misery(random: &mut Random) -> Misery {
    let all = Misery::all();
    let slow = 5 * SECOND..100 * SECOND;
    let troubles = random.one_of(&[0, 1]);
    let all = Misery { troubles: if troubles == 0 { all.troubles.clone() } else { slow }, ..all };
    match random.within(&(0..4)) {
        0 => Misery { loss: 0, duplicate: 0, echo: 0, ancient: 0, ..all },
        1 => Misery { start_fails: 0, stop_fails: 0, ..all },
        2 => Misery { fence_fails: 0, fence_lies: 0, fence_late: 0, fence_mute: 0, ..all },
        _ => all,
    }
}

/// Turns of misery and calm in one run.
const TURNS: usize = 8;
/// How long one misery lasts.
const MISERY: Range<u64> = 60 * SECOND..1_200 * SECOND;
/// Late cuts of power, hung stops, old troubles.
const LANDING: u64 = 20 * SECOND;
/// Nothing may happen for so long once all is well.
const QUIET: u64 = 60 * SECOND;
/// The longest pause between two looks at the power, as the core has it.
const PAUSE_MAX: u64 = 30 * SECOND;
