//! Cuts the cables while the resources are on their way from one box to the other.

use firmware_agnostic::heartbeat::Role;
use firmware_agnostic::identity::BoxId::{self, First as HOME, Second as AWAY};
use firmware_agnostic::order::{Order, OrderDuration};
use simulation::World;
use simulation::fault_model::{FaultModel, MILLI, SECOND};
use simulation::fixtures;
use simulation::random::Random;
use simulation::trace::Trace;

/// Each direction of each cable falls silent at a moment of its own: the boxes do not know the same of each other.
#[test]
fn cables_that_are_cut_one_by_one_amid_a_move_cost_one_box_at_most() {
    for seed in 0..600 {
        let mut random = Random::new(seed);
        let mut world = moving(seed);
        world.run(random.within(&(0..2 * SECOND))).unwrap();
        world.forget_lines();
        let apart = random.one_of(&[MILLI, 300 * MILLI, 3 * SECOND, 8 * SECOND]);
        let all = (0..3).flat_map(|link| BoxId::BOTH.map(|from| (link, from)));
        let mut cuts: Vec<_> = all.map(|it| (random.within(&(0..apart)), it)).collect();
        cuts.sort_unstable();
        let start = world.now();
        for (at, (link, from)) in cuts {
            world.run(start + at - world.now()).unwrap();
            world.plug_one_way(link, from, false);
        }
        for time in [WITHIN, 120 * SECOND] {
            world.run(time).unwrap();
            let serves = world.serving().is_some();
            assert!(serves, "seed {seed}: nobody serves\n{}", world.lines().join("\n"));
        }
    }
}

/// A pair whose resources have just been told to move: by an order on either box, or because home is back.
fn moving(seed: u64) -> World {
    let fault_model = FaultModel {
        cut: 0..3 * SECOND,
        stop: 400 * MILLI..900 * MILLI,
        start: 400 * MILLI..900 * MILLI,
        ..FaultModel::none()
    };
    let mut world = World::new(fixtures::pair(), fault_model, seed, Trace::Kept(Vec::new()));
    world.power_on(HOME);
    world.power_on(AWAY);
    world.run(30 * SECOND).unwrap();
    match seed % 3 {
        0 => assert_eq!(world.order(HOME, Order::Standby(OrderDuration::Resume)), Some(Ok(()))),
        1 => assert_eq!(world.order(AWAY, Order::Takeover(OrderDuration::Resume)), Some(Ok(()))),
        _ => {
            world.power_off(HOME, "loses its power");
            world.run(60 * SECOND).unwrap();
            world.power_on(HOME);
            while world.role(AWAY) != Some(Role::Stopping) {
                world.run(5 * MILLI).unwrap();
            }
        }
    }
    world
}

/// Deadtime, two slots, and the longest shot and start.
const WITHIN: u64 = 18 * SECOND;
