//! Checks that the service is never unavailable for longer than `twobox check` says.
//!
//! The pair of the sample configuration, in which everything takes its longest time, fails at any moment between two
//! heartbeats; the silence is held against the line of the report that is about it.

use std::time::Duration;

use board::resource::RunsOn;
use firmware_agnostic::evidence::Require;
use firmware_agnostic::heartbeat::Role;
use firmware_agnostic::identity::{BoxId, LinkId, ResourceId};
use firmware_agnostic::order::{Order, OrderDuration};
use firmware_agnostic::settings::AtBoot;
use supervisor::config::validation::{Bound, bounds};
use supervisor::config::{Config, Identity};

use simulation::World;
use simulation::device::Device;
use simulation::fault_model::{FaultModel, MILLI, SECOND};
use simulation::random::Random;
use simulation::trace::Trace;

#[test]
fn a_planned_switch() {
    holds("planned switch", &config(""), |world| {
        assert_eq!(world.order(HOME, Order::Standby(OrderDuration::Reboot)), Some(Ok(())));
        AWAY
    });
}

#[test]
fn power_is_lost() {
    holds("active box loses its power", &config(""), |world| {
        world.power_off(HOME, "loses its power");
        AWAY
    });
}

#[test]
fn a_box_and_its_bmc_lose_their_power() {
    let config = config("").map(|mut config| {
        config.settings.require = Require::Dark;
        config
    });
    holds("active box and its BMC", &config, |world| {
        let link = LinkId::new(1).unwrap();
        world.line(AWAY, link, true);
        world.power_off(HOME, "loses its power");
        world.device(HOME, Device::Unreachable);
        world.line(AWAY, link, false);
        AWAY
    });
}

#[test]
fn a_supervisor_dies_for_good() {
    holds("supervisor of the active box dies", &config(""), |world| {
        world.fault_model.respawn = 1_000 * SECOND..1_000 * SECOND;
        world.kill(HOME);
        AWAY
    });
}

#[test]
fn a_box_hangs() {
    holds("active box hangs", &config(""), |world| {
        world.hang(HOME);
        AWAY
    });
}

#[test]
fn all_cables_are_cut() {
    holds("all links cut", &config(""), |world| {
        (0..2).for_each(|link| world.plug(link, false));
        HOME
    });
}

/// What a box in the middle of its stop is to the other one, is a box that hangs.
#[test]
fn all_cables_are_cut_amid_a_move() {
    let config = config("");
    let (bound, fault_model) = (bound("active box hangs", &config[0]), fault_model(&config[0]));
    let (stop, start) = (fault_model.stop.end, fault_model.start.end);
    // Anywhere on the way, and around the moments in which one box has stopped, and the other hears that.
    let moments = [0..stop + start + SECOND, stop - SECOND..stop + SECOND];
    for seed in 0..8 * SEEDS {
        let mut world = serving(&config, seed);
        match seed % 4 {
            0 => assert_eq!(world.order(HOME, Order::Standby(OrderDuration::Resume)), Some(Ok(()))),
            1 => {
                assert_eq!(world.order(AWAY, Order::Takeover(OrderDuration::Resume)), Some(Ok(())));
            }
            _ => {
                world.power_off(HOME, "loses its power");
                world.run(600 * SECOND).unwrap();
                assert_eq!(world.serving(), Some(AWAY));
                world.power_on(HOME);
                while world.role(AWAY) != Some(Role::Stopping) {
                    world.run(MILLI).unwrap();
                }
            }
        }
        let moment = &moments[usize::from(seed % 8 < 4)];
        world.run(Random::new(seed).within(moment)).unwrap();
        (0..2).for_each(|link| world.plug(link, false));
        let begin = world.now();
        while world.serving().is_none() {
            world.run(MILLI).unwrap();
            let gone = Duration::from_micros(world.now() - begin);
            assert!(gone <= bound + WAY, "seed {seed}: gone for {gone:?}, longer than {bound:?}");
        }
        world.run(600 * SECOND).unwrap();
        assert!(world.serving().is_some(), "seed {seed}: both boxes are off");
    }
}

#[test]
fn a_box_loses_its_witness() {
    let config = config("");
    // The world begins where the last question has been asked in vain.
    let asked = config[0].witnesses.iter().map(board::check::Config::time).max().unwrap();
    holds_but("active box loses its witness", &config, asked, |world| {
        world.witness(HOME, false);
        AWAY
    });
}

#[test]
fn a_resource_fails_too_often() {
    let config = config("");
    let times = config[0].resources.iter().map(|it| it.policy.threshold).max().unwrap();
    // The world restarts at once what the product may take a whole timeout for.
    holds("resource fails too often", &config, |world| {
        for _ in 0..times {
            world.fail(HOME, ResourceId::new(1).unwrap());
        }
        AWAY
    });
}

#[test]
fn both_boxes_boot() {
    let config = config("");
    begin("both boxes boot", &config, |world| {
        for id in BoxId::BOTH {
            world.power_on(id);
        }
        HOME
    });
}

#[test]
fn one_box_boots_and_the_other_is_off() {
    for id in BoxId::BOTH {
        begin("boot alone, other box off", &config(""), |world| {
            world.power_on(id);
            id
        });
    }
}

#[test]
fn one_box_boots_and_the_other_hangs() {
    let config = config("[fencing]\nat_boot = \"fence\"\n");
    assert_eq!(config[0].settings.at_boot, AtBoot::Fence);
    let bound = bound("boot alone, other box on and silent", &config[0]);
    for seed in 0..SEEDS {
        let mut world = serving(&config, seed);
        world.hang(HOME);
        world.reset(AWAY);
        within(&mut world, AWAY, boot() + bound, seed);
    }
}

fn holds(what: &str, config: &[Config; 2], happen: impl Fn(&mut World) -> BoxId) {
    holds_but(what, config, Duration::ZERO, happen);
}

/// The bound holds without the part of it that the world leaves out.
fn holds_but(
    what: &str,
    config: &[Config; 2],
    but: Duration,
    happen: impl Fn(&mut World) -> BoxId,
) {
    let bound = bound(what, &config[0]).saturating_sub(but);
    for seed in 0..SEEDS {
        let mut world = serving(config, seed);
        let serves = happen(&mut world);
        within(&mut world, serves, bound, seed);
        assert!(world.run(60 * SECOND).is_ok());
    }
}

fn begin(what: &str, config: &[Config; 2], happen: impl Fn(&mut World) -> BoxId) {
    let bound = bound(what, &config[0]);
    for seed in 0..SEEDS {
        let mut world = World::new(settings(config), fault_model(&config[0]), seed, Trace::Off);
        let serves = happen(&mut world);
        within(&mut world, serves, boot() + bound, seed);
    }
}

/// Waits until `id` serves alone: at most for `bound`, and the way of a heartbeat.
fn within(world: &mut World, id: BoxId, bound: Duration, seed: u64) {
    let begin = world.now();
    while world.serving() != Some(id) {
        world.run(MILLI).unwrap();
        let gone = Duration::from_micros(world.now() - begin);
        assert!(gone <= bound + WAY, "seed {seed}: gone for {gone:?}, longer than {bound:?}");
    }
}

fn bound(what: &str, config: &Config) -> Duration {
    let mut found = bounds(config).filter(|Bound { what: told, .. }| told.starts_with(what));
    let worst = found.next().unwrap_or_else(|| panic!("no bound for {what}")).worst;
    worst.unwrap_or_else(|| panic!("{what} has no bound"))
}

fn serving(config: &[Config; 2], seed: u64) -> World {
    let mut world = World::new(settings(config), fault_model(&config[0]), seed, Trace::Off);
    for id in BoxId::BOTH {
        world.power_on(id);
    }
    world.run(300 * SECOND).unwrap();
    assert_eq!(world.serving(), Some(HOME));
    world.run(Random::new(seed).within(&(0..SECOND))).unwrap();
    world
}

/// Everything takes as long as it may, and nothing fails.
fn fault_model(config: &Config) -> FaultModel {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap();
    let exactly = |time: u64| time..time + 1;
    let total = |place, time: fn(&board::resource::Config) -> Duration| -> Duration {
        config.resources.iter().filter(|it| it.place == place).map(time).sum()
    };
    let stop = total(RunsOn::Active, |it| it.stop_timeout);
    let start =
        total(RunsOn::Standby, |it| it.stop_timeout) + total(RunsOn::Active, |it| it.start_timeout);
    let fence = micros(config.settings.timing.fence_time());
    FaultModel {
        boot: exactly(micros(boot())),
        start: exactly(micros(start)),
        stop: exactly(micros(stop)),
        cut: exactly(fence * 3 / 5),
        reading: exactly(fence * 3 / 10),
        ..FaultModel::none()
    }
}

fn settings(config: &[Config; 2]) -> [firmware_agnostic::settings::Settings; 2] {
    config.each_ref().map(|config| config.settings.clone())
}

/// The sample, as both boxes read it.
fn config(more: &str) -> [Config; 2] {
    let sample = SAMPLE.replace("[fencing]\n", if more.is_empty() { "[fencing]\n" } else { more });
    ["server1", "server2"].map(|name| {
        let identity = Identity { told: Some(name.to_owned()), ..Identity::default() };
        Config::read(&sample, &identity).expect("the sample is right")
    })
}

const fn boot() -> Duration {
    Duration::from_secs(10)
}

const SAMPLE: &str = include_str!("../../images/dist/twobox.toml");
const HOME: BoxId = BoxId::First;
const AWAY: BoxId = BoxId::Second;
/// What the cables and the roundings of a few steps take.
const WAY: Duration = Duration::from_millis(5);
const SEEDS: u64 = 40;
