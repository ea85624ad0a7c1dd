//! Tries what a hostile reader of the promises tries: each test is one way in which they broke.

use std::time::Duration;

use firmware_agnostic::frame::{self, Key, Keys, Message, PairId, Version};
use firmware_agnostic::heartbeat::{Epoch, Incarnation, PeerRequest, Role, Term};
use firmware_agnostic::identity::BoxId::{self, First as HOME, Second as AWAY};
use firmware_agnostic::identity::ResourceId;
use firmware_agnostic::journal::{Expiry, Journal, StandingOrder};
use firmware_agnostic::node::fencing::LastLoss;
use firmware_agnostic::node::{Action, Answer, Event};
use firmware_agnostic::order::{Order, OrderDuration};
use firmware_agnostic::receiver::Reception;
use firmware_agnostic::settings::{AtBoot, Settings};
use simulation::World;
use simulation::appliance::Verb;
use simulation::device::Device;
use simulation::fault_model::{FaultModel, MILLI, SECOND};
use simulation::fixtures;
use simulation::single_node::{LINK, Scene};
use simulation::trace::Trace;

const RESOURCE: ResourceId = ResourceId::new(0).unwrap();

#[test]
fn a_cut_during_a_failback_costs_one_box_at_most() {
    // The stop takes a second and less: every tenth of it is tried.
    for later in 0..12 {
        let mut world = served(fixtures::pair(), FaultModel::none());
        world.power_off(HOME, "loses its power");
        world.run(20 * SECOND).unwrap();
        world.power_on(HOME);
        while world.role(AWAY) != Some(Role::Stopping) {
            world.run(10 * MILLI).unwrap();
        }
        world.run(later * 100 * MILLI).unwrap();
        world.forget_lines();
        part(&mut world);
        world.run(120 * SECOND).unwrap();
        let lines = || world.lines().join("\n");
        assert!(world.serving().is_some(), "both boxes are off after {later}\n{}", lines());
    }
}

#[test]
fn an_active_box_shoots_at_once_though_a_shot_failed_long_ago() {
    let mut active = Scene::serving_with(|_| ());
    active.silence(Duration::from_secs(2));
    active.is_answered(Answer::FenceFailed);
    for _ in 0..36_000 {
        active.silence(Duration::from_millis(100));
        active.says(|_| ());
    }
    active.done.clear();
    active.silence(Duration::from_secs(2));
    assert!(active.has_done(|action| matches!(action, Action::Fence(_))), "it looks first");
}

/// The links and the device were silent together, and the device is heard first.
#[test]
fn a_device_that_was_silent_is_not_told_to_cut_before_the_links_had_their_turn() {
    let mut active = Scene::active();
    active.silence(Duration::from_millis(500));
    active.device_is_ready();
    active.says(|_| ());
    active.silence(Duration::from_secs(2));
    assert!(!active.has_done(|action| matches!(action, Action::Cut(_))), "it was heard");
}

#[test]
fn a_device_that_is_ready_at_once_cuts_at_once() {
    let mut active = Scene::active();
    active.device_is_ready();
    assert!(active.has_done(|action| matches!(action, Action::Cut(_))));
}

#[test]
fn a_shot_that_failed_long_ago_costs_no_pair() {
    let slow = 4_500 * MILLI..4_500 * MILLI;
    let fault_model =
        FaultModel { reading: slow, cut: 2 * SECOND..2 * SECOND, ..FaultModel::none() };
    let mut world = served(fixtures::pair(), fault_model);
    world.device(AWAY, Device::Unreachable);
    (0..3).for_each(|link| world.plug_one_way(link, AWAY, false));
    world.run(3 * SECOND).unwrap();
    (0..3).for_each(|link| world.plug(link, true));
    world.run(60 * SECOND).unwrap();
    world.device(AWAY, Device::Works);
    world.run(3_600 * SECOND).unwrap();
    assert_eq!(world.serving(), Some(HOME));
    world.forget_lines();
    part(&mut world);
    world.run(60 * SECOND).unwrap();
    assert_eq!(world.serving(), Some(HOME), "\n{}", world.lines().join("\n"));
}

#[test]
fn a_stop_that_hangs_ends_no_order_after_a_reboot() {
    let order = Some(StandingOrder { request: PeerRequest::Standby, until: Expiry::Resume });
    let last = Journal {
        term: Term(3),
        role: Role::Standby,
        peer: Some(Role::Active),
        order,
        ..journal()
    };
    let mut reborn = Scene::born(Some(last), |_| ());
    assert_eq!(reborn.node.request(), PeerRequest::Standby);
    reborn.is_answered(Answer::StopFailed(RESOURCE));
    reborn.silence(Duration::from_secs(2));
    reborn.is_answered(Answer::Stopped);
    assert_eq!(reborn.node.request(), PeerRequest::Standby, "nobody has said resume");
}

#[test]
fn a_stop_that_hangs_ends_no_order_at_once() {
    let mut active = Scene::serving_with(|_| ());
    assert_eq!(active.order(Order::Standby(OrderDuration::Resume)), Ok(()));
    active.is_answered(Answer::StopFailed(RESOURCE));
    active.silence(Duration::from_millis(900));
    active.is_answered(Answer::Stopped);
    assert_eq!((active.node.role(), active.node.request()), (Role::Standby, PeerRequest::Standby));
}

/// It was shot, and before anybody switched it on its feed was pulled and plugged: IPMI tells of the last loss only.
#[test]
fn a_second_loss_of_power_hides_no_shot() {
    let serving = Scene::serving_with(at_boot);
    let last = recorded(&serving);
    assert!(last.is_some_and(|last| last.armed));
    let reborn = Scene::born(last, at_boot);
    assert!(!shoots_unheard(reborn, Some(LastLoss::Unclear)), "it was shot, and shoots unheard");
}

/// The life that came up first after the shot lost its power before it had written anything.
#[test]
fn a_second_loss_of_power_before_the_first_write_hides_no_shot() {
    let mut parted = Scene::serving_with(at_boot);
    parted.done.clear();
    let warntime = parted.node.settings().timing.warntime();
    parted.silence(warntime);
    let last = recorded(&parted);
    assert!(last.is_some(), "it may be shot from now on, and does not write that down");
    let reborn = Scene::born(last, at_boot);
    assert!(!shoots_unheard(reborn, Some(LastLoss::None)), "it was shot, and shoots unheard");
}

/// As in the others, but surely not shot.
#[test]
fn a_box_that_lost_no_power_shoots_at_boot() {
    let last = Journal { armed: true, ..journal() };
    assert!(shoots_unheard(Scene::born(Some(last), at_boot), Some(LastLoss::None)));
}

#[test]
fn a_clean_end_hides_no_shot() {
    let last = Journal { clean: true, armed: true, ..journal() };
    let reborn = Scene::born(Some(last), at_boot);
    assert!(!shoots_unheard(reborn, None), "it was shot, and shoots unheard");
}

#[test]
fn a_start_that_failed_once_is_tried_again_beside_an_order() {
    for (never, time) in [(true, 3_600), (false, 30)] {
        let mut world = served(pair(never), FaultModel::none());
        world.refuse(AWAY, Some(Verb::Start));
        assert_eq!(world.order(HOME, Order::Standby(OrderDuration::Resume)), Some(Ok(())));
        world.run(10 * SECOND).unwrap();
        world.refuse(AWAY, None);
        world.run(time * SECOND).unwrap();
        assert!(world.serving().is_some(), "nobody serves\n{}", world.lines().join("\n"));
    }
}

#[test]
fn an_unfit_standby_that_is_alone_is_given_another_try() {
    for (never, time) in [(true, 3_600), (false, 60)] {
        let mut world = served(pair(never), FaultModel::none());
        for _ in 0..2 {
            world.fail(AWAY, RESOURCE);
            world.run(5 * SECOND).unwrap();
        }
        world.power_off(HOME, "loses its power");
        world.run(time * SECOND).unwrap();
        assert!(world.serving().is_some(), "nobody serves\n{}", world.lines().join("\n"));
    }
}

#[test]
fn a_device_that_lied_is_not_believed_by_the_next_look_of_nobody() {
    let mut standby = suspected_and_talking_for_19_seconds();
    standby.silence(Duration::from_millis(600));
    standby.is_polled_off();
    assert_eq!(standby.node.role(), Role::Standby, "the peer served 0.8 s ago");
}

#[test]
fn a_device_that_lied_is_not_believed_by_the_look_after_deadtime() {
    let mut standby = suspected_and_talking_for_19_seconds();
    standby.silence(Duration::from_secs(2));
    assert_eq!(standby.node.role(), Role::Fencing);
    standby.is_seen_off();
    assert_eq!(standby.node.role(), Role::Fencing, "the peer served 2 s ago");
}

#[test]
fn a_recording_arms_no_box() {
    let (pair, keys) =
        (PairId::of("x"), Keys::new([Key::new(1, b"a secret of the pair")]).unwrap());
    // Recorded while the life before served.
    let mut before = Scene::serving_with(|_| ());
    before.says(|_| ());
    let mut heartbeat = *before.node.peer().last_heartbeat().unwrap();
    heartbeat.heard = Some(Epoch { boot: Incarnation(*b"gone"), change: 5 });
    heartbeat.role = Role::Standby;
    for version in [Version::Two, Version::Three] {
        let word = Message { version, number: 77, heartbeat, echo: None };
        let recorded = frame::encode(&word, &keys, pair);
        // It is shot, and boots; every cable is cut.
        let mut reborn = Scene::born(None, |_| ());
        let mut reception = Reception::new(keys.clone(), pair);
        reborn.is_answered(Answer::Stopped);
        let heard = reception.receive(LINK, &recorded, reborn.now).unwrap();
        reborn.happens(Event::Heartbeat(LINK, heard));
        reborn.done.clear();
        reborn.silence(Duration::from_secs(2));
        reborn.is_answered(Answer::PowerOn);
        reborn.silence(Duration::from_secs(10));
        assert!(!reborn.has_done(|action| matches!(action, Action::Fence(_))), "{version:?}");
    }
}

#[test]
fn one_deaf_box_at_a_cold_boot_leaves_somebody_to_serve() {
    for deaf in BoxId::BOTH {
        let mut world =
            World::new(fixtures::pair(), FaultModel::none(), 1, Trace::Kept(Vec::new()));
        (0..3).for_each(|link| world.plug_one_way(link, deaf.other(), false));
        for id in BoxId::BOTH {
            world.power_on(id);
        }
        world.run(3_600 * SECOND).unwrap();
        let lines = || world.lines().join("\n");
        assert!(world.serving().is_some(), "nobody serves beside {deaf:?}\n{}", lines());
    }
}

/// Without a hold, and with one that is shorter than a start that hangs.
#[test]
fn a_short_hold_is_no_ping_pong() {
    for (hold, start) in [(0, 2), (2, 30)] {
        let fault_model =
            FaultModel { start: start * SECOND..start * SECOND, ..FaultModel::none() };
        let mut pair = fixtures::pair();
        for it in &mut pair {
            it.failback_hold = Duration::from_secs(hold);
        }
        let mut world = World::new(pair, fault_model, 1, Trace::Off);
        world.power_on(HOME);
        world.power_on(AWAY);
        world.run(90 * SECOND).unwrap();
        world.power_off(HOME, "loses its power");
        world.run(60 * SECOND).unwrap();
        assert_eq!(world.serving(), Some(AWAY));
        world.refuse(HOME, Some(Verb::Start));
        world.power_on(HOME);
        let before = world.outcome().takeovers;
        world.run(24 * 3_600 * SECOND).unwrap();
        let tries = (world.outcome().takeovers - before) / 2;
        assert!((1..=6).contains(&tries), "{tries} times in a day");
    }
}

/// A pair of which the first box serves.
fn served(pair: [Settings; 2], fault_model: FaultModel) -> World {
    let mut world = World::new(pair, fault_model, 1, Trace::Kept(Vec::new()));
    world.power_on(HOME);
    world.power_on(AWAY);
    world.run(30 * SECOND).unwrap();
    assert_eq!(world.serving(), Some(HOME));
    world
}

/// The pair of the sample, whose failures are forgotten or not.
fn pair(never: bool) -> [Settings; 2] {
    let mut pair = fixtures::pair();
    for policy in pair.iter_mut().flat_map(|it| &mut it.resources).filter(|_| never) {
        policy.forget_after = None;
    }
    pair
}

fn part(world: &mut World) {
    (0..3).for_each(|link| world.plug(link, false));
}

fn journal() -> Journal {
    Journal { term: Term(3), role: Role::Standby, peer: Some(Role::Active), ..Journal::default() }
}

const fn at_boot(settings: &mut Settings) {
    settings.at_boot = AtBoot::Fence;
}

/// What stands in the journal after a boot, if anything was written.
fn recorded(scene: &Scene) -> Option<Journal> {
    scene.done.iter().rev().find_map(|action| match action {
        Action::Record(journal) => Some(journal.after_a_boot()),
        _ => None,
    })
}

fn shoots_unheard(mut reborn: Scene, told: Option<LastLoss>) -> bool {
    reborn.is_answered(Answer::NotAdopted);
    reborn.is_answered(Answer::Stopped);
    if let Some(loss) = told {
        reborn.happens(Event::LastLoss(loss));
    }
    reborn.done.clear();
    reborn.silence(Duration::from_secs(17));
    reborn.is_answered(Answer::PowerOn);
    reborn.silence(Duration::from_secs(10));
    reborn.has_done(|action| matches!(action, Action::Fence(_)))
}

fn suspected_and_talking_for_19_seconds() -> Scene {
    let mut standby = Scene::standby();
    standby.is_polled_off();
    let end = standby.now + Duration::from_secs(19);
    while standby.now < end {
        standby.says(|word| word.role = Role::Active);
        standby.silence(Duration::from_millis(200));
    }
    standby
}
