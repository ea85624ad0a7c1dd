//! Tells what the pair does: one story each, in the lines that people would read.
//!
//! The expected trace of a story is the file `stories/NAME.trace` of this crate: the seconds, the box, and
//! the line of its log; a line with a star is what happened to it. `TWOBOX_WRITE=1 cargo test -p simulation --test
//! stories` writes the traces anew: read every difference as a user would before it is committed.

use std::time::Duration;

use firmware_agnostic::evidence::Require;
use firmware_agnostic::heartbeat::{
    Epoch, Fingerprint, Heartbeat, Incarnation, LinkSet, PeerRequest, Priority, Role, Term,
};
use firmware_agnostic::identity::{BoxId, LinkId, ResourceId};
use firmware_agnostic::node::Node;
use firmware_agnostic::order::{Order, OrderDuration, Refusal};
use firmware_agnostic::settings::AtBoot;
use firmware_agnostic::settings::AutoFailback;

use simulation::appliance::Verb;
use simulation::device::Device;
use simulation::fault_model::{MILLI, Mishap, SECOND};
use simulation::story::Story;

#[test]
fn cold_boot() {
    let mut story = Story::begin();
    story.power_on(HOME);
    story.run(400 * MILLI);
    story.power_on(AWAY);
    story.run(30 * SECOND);
    story.end("cold_boot", Some(HOME));
}

#[test]
fn failover_by_power_loss() {
    let mut story = Story::serving();
    story.power_off(HOME, "loses its power");
    story.run(30 * SECOND);
    story.end("failover_by_power_loss", Some(AWAY));
}

#[test]
fn failover_by_hang() {
    let mut story = Story::serving();
    story.hang(HOME);
    story.run(30 * SECOND);
    story.end("failover_by_hang", Some(AWAY));
}

#[test]
fn failback() {
    let mut story = Story::serving();
    story.power_off(HOME, "loses its power");
    story.run(20 * SECOND);
    story.power_on(HOME);
    story.run(60 * SECOND);
    story.end("failback", Some(HOME));
}

#[test]
fn failback_manual() {
    let mut story = Story::serving_with(|settings| settings.auto_failback = AutoFailback::Manual);
    story.power_off(HOME, "loses its power");
    story.run(20 * SECOND);
    story.power_on(HOME);
    story.run(60 * SECOND);
    assert_eq!(story.order(HOME, Order::Takeover(OrderDuration::Reboot)), Some(Ok(())));
    story.run(60 * SECOND);
    story.end("failback_manual", Some(HOME));
}

#[test]
fn one_cable_cut() {
    let mut story = Story::serving();
    for link in 0..3 {
        story.plug(link, false);
        story.run(5 * SECOND);
        story.plug(link, true);
        story.run(5 * SECOND);
    }
    story.end("one_cable_cut", Some(HOME));
}

#[test]
fn one_cable_cut_one_way() {
    let mut story = Story::serving();
    story.plug_one_way(0, HOME, false);
    story.run(5 * SECOND);
    story.plug_one_way(0, HOME, true);
    story.run(5 * SECOND);
    story.end("one_cable_cut_one_way", Some(HOME));
}

#[test]
fn all_cables_cut() {
    let mut story = Story::serving();
    story.cables(false);
    story.run(30 * SECOND);
    story.power_on(AWAY);
    story.run(60 * SECOND);
    story.cables(true);
    story.run(10 * SECOND);
    story.end("all_cables_cut", Some(HOME));
}

/// The shot has to wait for its device, so there is time to mend: the standby that waits its turn goes back.
#[test]
fn all_cables_cut_and_mended() {
    let mut story = Story::serving();
    story.device(AWAY, Device::Broken);
    story.cables(false);
    story.run(4 * SECOND);
    story.cables(true);
    story.run(10 * SECOND);
    story.end("all_cables_cut_and_mended", Some(HOME));
}

#[test]
fn all_cables_cut_from_home() {
    let mut story = Story::serving();
    (0..3).for_each(|link| story.plug_one_way(link, HOME, false));
    story.run(30 * SECOND);
    story.end("all_cables_cut_from_home", Some(HOME));
}

#[test]
fn planned_switch() {
    let mut story = Story::serving();
    assert_eq!(story.order(HOME, Order::Standby(OrderDuration::Reboot)), Some(Ok(())));
    story.run(20 * SECOND);
    assert_eq!(story.serving(), Some(AWAY));
    assert_eq!(story.order(HOME, Order::Resume), Some(Ok(())));
    story.run(60 * SECOND);
    story.end("planned_switch", Some(HOME));
}

#[test]
fn takeover() {
    let mut story = Story::serving();
    assert_eq!(story.order(AWAY, Order::Takeover(OrderDuration::Reboot)), Some(Ok(())));
    story.run(60 * SECOND);
    assert_eq!(story.serving(), Some(AWAY));
    assert_eq!(story.order(AWAY, Order::Resume), Some(Ok(())));
    story.run(60 * SECOND);
    story.end("takeover", Some(HOME));
}

#[test]
fn service_dies_once() {
    let mut story = Story::serving();
    story.fail(HOME, SLAPD);
    story.run(20 * SECOND);
    story.end("service_dies_once", Some(HOME));
}

#[test]
fn service_fails_twice() {
    let mut story = Story::serving();
    story.fail(HOME, SLAPD);
    story.run(5 * SECOND);
    story.fail(HOME, SLAPD);
    story.run(20 * SECOND);
    assert_eq!(story.serving(), Some(AWAY));
    assert_eq!(story.order(HOME, Order::Clear), Some(Ok(())));
    story.run(60 * SECOND);
    story.end("service_fails_twice", Some(HOME));
}

#[test]
fn service_fails_and_nobody_else_is_there() {
    let mut story = Story::begin();
    story.power_on(HOME);
    story.run(40 * SECOND);
    for _ in 0..3 {
        story.fail(HOME, SLAPD);
        story.run(5 * SECOND);
    }
    story.end("service_fails_and_nobody_else_is_there", Some(HOME));
}

#[test]
fn fence_device_broken() {
    let mut story = Story::serving();
    story.device(HOME, Device::Unreachable);
    story.power_off(HOME, "loses its power, and its BMC with it");
    story.run(60 * SECOND);
    assert_eq!(story.serving(), None);
    while story.order(AWAY, Order::Confirm(HOME)) == Some(Err(Refusal::Busy)) {
        story.run(SECOND);
    }
    story.run(60 * SECOND);
    story.end("fence_device_broken", Some(AWAY));
}

#[test]
fn boot_alone_with_peer_off() {
    let mut story = Story::begin();
    story.power_on(AWAY);
    story.run(40 * SECOND);
    story.end("boot_alone_with_peer_off", Some(AWAY));
}

#[test]
fn boot_alone_with_peer_on() {
    let mut story = Story::begin();
    story.power_on(HOME);
    story.hang(HOME);
    story.power_on(AWAY);
    story.run(60 * SECOND);
    assert_eq!(story.role(AWAY), Some(Role::Fencing));
    assert_eq!(story.order(AWAY, Order::Confirm(AWAY)), Some(Err(Refusal::NotThePeer)));
    assert_eq!(story.order(AWAY, Order::Confirm(HOME)), Some(Ok(())));
    story.run(10 * SECOND);
    story.end("boot_alone_with_peer_on", Some(AWAY));
}

#[test]
fn boot_alone_and_fence() {
    let mut story = Story::serving_with(|settings| settings.at_boot = AtBoot::Fence);
    // Their kernels crash, and one box does not come back. Its power was never cut.
    story.hang(HOME);
    story.reset(AWAY);
    story.run(60 * SECOND);
    story.end("boot_alone_and_fence", Some(AWAY));
}

#[test]
fn boot_alone_after_a_shot() {
    let mut story = Story::serving_with(|settings| settings.at_boot = AtBoot::Fence);
    story.cables(false);
    story.run(10 * SECOND);
    story.power_on(AWAY);
    story.run(60 * SECOND);
    assert_eq!(story.role(AWAY), Some(Role::Fencing));
    story.end("boot_alone_after_a_shot", Some(HOME));
}

/// The box and its BMC hang on the same feed.
#[test]
fn peer_goes_dark() {
    let mut story = Story::serving_with(|settings| settings.require = Require::Dark);
    let lines = [0, 2].map(|link| LinkId::new(link).expect("there are three"));
    for link in lines {
        story.line(AWAY, link, true);
    }
    story.power_off(HOME, "loses its power");
    story.device(HOME, Device::Unreachable);
    for link in lines {
        story.line(AWAY, link, false);
    }
    story.run(60 * SECOND);
    story.end("peer_goes_dark", Some(AWAY));
}

/// Somebody pulls every cable, and the password of the BMC was changed: it has power, and so may its box.
#[test]
fn peer_looks_dark_and_its_bmc_refuses() {
    let mut story = Story::serving_with(|settings| settings.require = Require::Dark);
    let line = LinkId::new(2).expect("there are three");
    story.line(AWAY, line, true);
    story.device(HOME, Device::Refuses);
    story.device(AWAY, Device::Unreachable);
    story.cables(false);
    story.line(AWAY, line, false);
    story.run(60 * SECOND);
    assert_eq!(story.role(AWAY), Some(Role::Fencing));
    story.end("peer_looks_dark_and_its_bmc_refuses", Some(HOME));
}

/// Somebody pulls every cable, and the network of the BMCs as well; but one line is seen again.
#[test]
fn peer_looks_dark_and_is_not() {
    let mut story = Story::serving_with(|settings| settings.require = Require::Dark);
    let line = LinkId::new(2).expect("there are three");
    story.line(AWAY, line, true);
    story.cables(false);
    story.device(HOME, Device::Unreachable);
    story.device(AWAY, Device::Unreachable);
    story.line(AWAY, line, false);
    story.run(7 * SECOND);
    story.line(AWAY, line, true);
    story.run(60 * SECOND);
    assert_eq!(story.role(AWAY), Some(Role::Fencing));
    story.end("peer_looks_dark_and_is_not", Some(HOME));
}

#[test]
fn active_loses_its_witness() {
    let mut story = Story::serving();
    story.witness(HOME, false);
    story.run(60 * SECOND);
    assert_eq!(story.serving(), Some(AWAY));
    story.witness(HOME, true);
    story.run(60 * SECOND);
    story.end("active_loses_its_witness", Some(HOME));
}

#[test]
fn both_boxes_lose_their_witness() {
    let mut story = Story::serving();
    story.witness(HOME, false);
    story.witness(AWAY, false);
    story.run(60 * SECOND);
    story.end("both_boxes_lose_their_witness", Some(HOME));
}

/// The active box is cut off from everything: the other one goes before.
#[test]
fn active_is_isolated() {
    let mut story = Story::serving();
    story.witness(HOME, false);
    story.cables(false);
    story.run(30 * SECOND);
    assert_eq!(story.serving(), Some(AWAY));
    story.end("active_is_isolated", Some(AWAY));
}

/// Its power goes, and the device happens to be asked before the silence counts.
#[test]
fn power_loss_is_seen_by_the_poll() {
    let mut story = Story::serving();
    story.fault_model.poll = 600 * MILLI..600 * MILLI + 1;
    story.power_off(HOME, "loses its power");
    story.run(30 * SECOND);
    story.end("power_loss_is_seen_by_the_poll", Some(AWAY));
}

/// The device of the active box shows another one's power.
#[test]
fn a_device_says_off_while_its_box_talks() {
    let mut story = Story::serving();
    story.see_off(AWAY);
    story.run(5 * SECOND);
    story.see_off(AWAY);
    // Nothing starts on its word any more.
    story.device(AWAY, Device::Unreachable);
    story.cables(false);
    story.run(800 * MILLI);
    story.see_off(AWAY);
    story.run(3 * SECOND);
    assert_eq!(story.role(AWAY), Some(Role::Fencing));
    story.end("a_device_says_off_while_its_box_talks", Some(HOME));
}

/// The active box is not heard, but hears that it is being shot.
#[test]
fn poison_pill() {
    let mut story = Story::serving();
    story.device(AWAY, Device::Broken);
    (0..3).for_each(|link| story.plug_one_way(link, HOME, false));
    story.run(60 * SECOND);
    story.end("poison_pill", Some(AWAY));
}

/// Nothing would be won if a box that serves reset itself for a device that does not work.
#[test]
fn no_pill_without_a_device() {
    let mut story = Story::serving();
    story.device(HOME, Device::Unreachable);
    story.device(AWAY, Device::Broken);
    (0..3).for_each(|link| story.plug_one_way(link, HOME, false));
    story.run(30 * SECOND);
    story.end("no_pill_without_a_device", Some(HOME));
}

#[test]
fn supervisor_killed_on_the_active() {
    let mut story = Story::serving();
    let term = story.node(HOME).map(Node::term);
    story.fault_model.respawn = 200 * MILLI..200 * MILLI;
    story.kill(HOME);
    for _ in 0..600 {
        story.run(100 * MILLI);
        assert!(story.holds(HOME) && !story.holds(AWAY));
    }
    assert_eq!(story.node(HOME).map(Node::term), term);
    story.end("supervisor_killed_on_the_active", Some(HOME));
}

/// Too late for the peer to trust in it, and too early to be shot.
#[test]
fn supervisor_killed_on_the_active_and_slow_to_start() {
    let mut story = Story::serving();
    story.fault_model.respawn = 3 * SECOND..3 * SECOND;
    story.kill(HOME);
    story.run(60 * SECOND);
    story.end("supervisor_killed_on_the_active_and_slow_to_start", Some(HOME));
}

/// A box whose supervisor is started again is no dead box: its guard says so.
#[test]
fn supervisor_killed_on_the_standby_and_slow_to_start() {
    let mut story = Story::serving();
    story.fault_model.respawn = 3 * SECOND..3 * SECOND;
    for _ in 0..3 {
        story.kill(AWAY);
        for _ in 0..100 {
            story.run(100 * MILLI);
            assert_eq!(story.role(HOME), Some(Role::Active));
        }
        assert_eq!(story.role(AWAY), Some(Role::Standby));
    }
    assert_eq!(story.outcome().shots, 0);
    story.end("supervisor_killed_on_the_standby_and_slow_to_start", Some(HOME));
}

/// The guard stops everything and says so: nobody has to be shot.
#[test]
fn supervisor_killed_on_the_active_for_good() {
    let mut story = Story::serving();
    story.fault_model.respawn = 100 * SECOND..100 * SECOND;
    story.kill(HOME);
    story.run(60 * SECOND);
    assert_eq!(story.outcome().shots, 0);
    story.end("supervisor_killed_on_the_active_for_good", Some(AWAY));
}

/// The same, and its guard is not heard.
#[test]
fn supervisor_killed_on_the_standby_behind_cut_cables() {
    let mut story = Story::serving();
    story.fault_model.respawn = 3 * SECOND..3 * SECOND;
    story.kill(AWAY);
    story.run(400 * MILLI);
    story.cables(false);
    story.run(60 * SECOND);
    assert_eq!(story.outcome().shots, 1);
    story.end("supervisor_killed_on_the_standby_behind_cut_cables", Some(HOME));
}

#[test]
fn supervisor_killed_together_with_a_service() {
    let mut story = Story::serving();
    story.fault_model = story.fault_model.clone().with(Mishap::AdoptFails, 1_000_000);
    story.kill(HOME);
    story.run(60 * SECOND);
    story.end("supervisor_killed_together_with_a_service", Some(HOME));
}

/// A person took the silence of the supervisor for the death of the box.
#[test]
fn supervisor_killed_and_the_peer_told_to_take_over() {
    let mut story = Story::serving_with(|settings| {
        settings.require = Require::Dark;
        settings.restart_time = Duration::from_secs(20);
    });
    story.device(HOME, Device::Unreachable);
    story.fault_model.respawn = 10 * SECOND..10 * SECOND;
    story.cables(false);
    story.kill(HOME);
    story.run(5 * SECOND);
    assert_eq!(story.order(AWAY, Order::Confirm(HOME)), Some(Ok(())));
    story.cables(true);
    story.run(60 * SECOND);
    story.end("supervisor_killed_and_the_peer_told_to_take_over", None);
}

#[test]
fn active_stalls() {
    let mut story = Story::serving();
    story.stall(HOME, 700 * MILLI);
    story.run(10 * SECOND);
    story.stall(HOME, 3 * SECOND);
    story.run(10 * SECOND);
    story.stall(HOME, 20 * SECOND);
    story.run(30 * SECOND);
    story.end("active_stalls", Some(AWAY));
}

/// What was ordered comes, so it is waited for; the takeover follows it at once.
#[test]
fn active_heard_again_after_the_shot() {
    let mut story = Story::serving();
    story.fault_model.cut = 3 * SECOND..3 * SECOND;
    story.stall(HOME, 8 * SECOND);
    story.run(30 * SECOND);
    story.end("active_heard_again_after_the_shot", Some(AWAY));
}

/// The active box is heard again while the device makes ready: nothing is sent, and it serves on.
#[test]
fn active_heard_again_before_the_shot() {
    let mut story = Story::serving();
    story.stall(HOME, 7 * SECOND);
    story.run(30 * SECOND);
    story.end("active_heard_again_before_the_shot", Some(HOME));
}

#[test]
fn standby_stalls() {
    let mut story = Story::serving();
    story.stall(AWAY, 700 * MILLI);
    story.run(10 * SECOND);
    story.device(AWAY, Device::Broken);
    story.stall(AWAY, 3 * SECOND);
    story.run(10 * SECOND);
    story.end("standby_stalls", Some(HOME));
}

#[test]
fn clean_shutdown_of_the_active() {
    let mut story = Story::serving();
    story.stays_away = true;
    assert_eq!(story.order(HOME, Order::Leave), Some(Ok(())));
    story.run(2 * SECOND);
    story.power_off(HOME, "has shut down");
    story.run(30 * SECOND);
    story.end("clean_shutdown_of_the_active", Some(AWAY));
}

#[test]
fn clean_shutdown_of_the_standby() {
    let mut story = Story::serving();
    story.stays_away = true;
    assert_eq!(story.order(AWAY, Order::Leave), Some(Ok(())));
    story.run(30 * SECOND);
    story.end("clean_shutdown_of_the_standby", Some(HOME));
}

#[test]
fn resources_do_not_stop() {
    let mut story = Story::serving();
    story.refuse(HOME, Some(Verb::Stop));
    assert_eq!(story.order(HOME, Order::Standby(OrderDuration::Reboot)), Some(Ok(())));
    story.run(5 * SECOND);
    story.refuse(HOME, None);
    story.run(20 * SECOND);
    story.end("resources_do_not_stop", Some(AWAY));
}

#[test]
fn resources_do_not_start_at_home() {
    let mut story = Story::begin();
    story.refuse(HOME, Some(Verb::Start));
    story.power_on(HOME);
    story.power_on(AWAY);
    story.run(40 * SECOND);
    assert_eq!(story.serving(), Some(AWAY));
    story.refuse(HOME, None);
    story.run(150 * SECOND);
    story.end("resources_do_not_start_at_home", Some(HOME));
}

#[test]
fn silence_is_enough_here() {
    let mut story = Story::serving_with(|settings| settings.require = Require::Silence);
    story.cables(false);
    story.run(20 * SECOND);
    story.cables(true);
    story.run(20 * SECOND);
    story.end("silence_is_enough_here", None);
}

/// Each stay that fails doubles the hold; after the fifth, only an operator sends the resources home.
#[test]
fn failed_stays_lock_home_out() {
    let mut story = Story::serving();
    for _ in 0..=5 {
        story.fail(HOME, SLAPD);
        story.run(SECOND);
        story.fail(HOME, SLAPD);
        story.run(10 * SECOND);
        assert_eq!(story.serving(), Some(AWAY));
        for _ in 0..20 {
            if story.serving() != Some(HOME) {
                story.run(60 * SECOND);
            }
        }
    }
    assert_eq!(story.serving(), Some(AWAY), "locked out");
    assert_eq!(story.order(AWAY, Order::Failback), Some(Ok(())));
    story.run(20 * SECOND);
    story.end("failed_stays_lock_home_out", Some(HOME));
}

#[test]
fn gate_closed() {
    let mut story = Story::serving();
    story.power_off(HOME, "loses its power");
    story.run(8 * SECOND);
    story.gate(AWAY, true);
    story.power_on(HOME);
    story.run(100 * SECOND);
    assert_eq!(story.order(AWAY, Order::Failback), Some(Err(Refusal::GateClosed)));
    story.gate(AWAY, false);
    story.run(20 * SECOND);
    story.end("gate_closed", Some(HOME));
}

#[test]
fn standby_for_a_time() {
    let mut story = Story::serving();
    let order = Order::Standby(OrderDuration::Time(Duration::from_secs(60)));
    assert_eq!(story.order(HOME, order), Some(Ok(())));
    story.run(55 * SECOND);
    assert_eq!(story.serving(), Some(AWAY));
    story.run(45 * SECOND);
    story.end("standby_for_a_time", Some(HOME));
}

#[test]
fn standby_for_good_survives_a_reboot() {
    let mut story = Story::serving();
    assert_eq!(story.order(HOME, Order::Standby(OrderDuration::Resume)), Some(Ok(())));
    story.run(10 * SECOND);
    story.power_off(HOME, "loses its power");
    story.run(10 * SECOND);
    story.power_on(HOME);
    story.run(100 * SECOND);
    assert_eq!(story.serving(), Some(AWAY));
    assert_eq!(story.order(HOME, Order::Resume), Some(Ok(())));
    story.run(20 * SECOND);
    story.end("standby_for_good_survives_a_reboot", Some(HOME));
}

#[test]
fn maintenance_while_the_active_crashes() {
    let mut story = Story::serving();
    assert_eq!(story.order(HOME, Order::Maintenance(OrderDuration::Reboot)), Some(Ok(())));
    story.fail(HOME, SLAPD);
    story.run(5 * SECOND);
    story.power_off(HOME, "loses its power");
    story.run(60 * SECOND);
    assert_eq!(story.serving(), None);
    assert_eq!(story.order(AWAY, Order::Resume), Some(Ok(())));
    story.run(60 * SECOND);
    story.end("maintenance_while_the_active_crashes", Some(AWAY));
}

#[test]
fn maintenance_ends() {
    let mut story = Story::serving();
    assert_eq!(story.order(HOME, Order::Maintenance(OrderDuration::Resume)), Some(Ok(())));
    story.run(5 * SECOND);
    assert_eq!(
        story.order(AWAY, Order::Takeover(OrderDuration::Reboot)),
        Some(Err(Refusal::Maintenance))
    );
    story.kill(HOME);
    story.run(30 * SECOND);
    assert_eq!(story.order(HOME, Order::Resume), Some(Ok(())));
    story.run(60 * SECOND);
    story.end("maintenance_ends", Some(HOME));
}

#[test]
fn failback_now() {
    let mut story = Story::serving_with(|settings| settings.auto_failback = AutoFailback::Off);
    assert_eq!(story.order(HOME, Order::Failback), Some(Err(Refusal::IsHome)));
    story.power_off(HOME, "loses its power");
    story.run(20 * SECOND);
    assert_eq!(story.order(AWAY, Order::Failback), Some(Err(Refusal::PeerSilent)));
    story.power_on(HOME);
    story.run(60 * SECOND);
    assert_eq!(story.serving(), Some(AWAY));
    assert_eq!(story.order(AWAY, Order::Failback), Some(Ok(())));
    story.run(20 * SECOND);
    story.end("failback_now", Some(HOME));
}

/// Neither can start what is to run; the box that waits longest is given another try, again and again.
#[test]
fn both_boxes_failed() {
    let mut story = Story::serving();
    story.refuse(HOME, Some(Verb::Start));
    story.refuse(AWAY, Some(Verb::Start));
    assert_eq!(story.order(HOME, Order::Standby(OrderDuration::Reboot)), Some(Ok(())));
    story.run(10 * SECOND);
    assert_eq!(story.order(HOME, Order::Resume), Some(Ok(())));
    story.run(30 * SECOND);
    assert_eq!(story.serving(), None);
    story.refuse(AWAY, None);
    story.run(30 * SECOND);
    story.refuse(HOME, None);
    story.run(200 * SECOND);
    story.end("both_boxes_failed", Some(HOME));
}

#[test]
fn leftovers_cannot_be_stopped() {
    let mut story = Story::serving();
    story.refuse(HOME, Some(Verb::Stop));
    story.device(HOME, Device::Broken);
    story.fault_model = story.fault_model.clone().with(Mishap::AdoptFails, 1_000_000);
    story.kill(HOME);
    story.run(30 * SECOND);
    assert_eq!(story.serving(), None);
    story.refuse(HOME, None);
    story.run(60 * SECOND);
    story.end("leftovers_cannot_be_stopped", Some(HOME));
}

/// A box that was replaced knows nothing, and a stranger who speaks for it says that it serves.
#[test]
fn a_replaced_box_asserts_that_it_serves() {
    let mut story = Story::serving();
    story.power_off(AWAY, "is taken away, and replaced");
    story.lose_journal(AWAY);
    story.configure(AWAY, |settings| settings.priority = Priority(200));
    story.run(10 * SECOND);
    story.power_on(AWAY);
    story.run(8 * SECOND);
    let (boot, link) = (Incarnation(*b"evil"), LinkId::new(0).expect("there is a first link"));
    let heard = story.node(HOME).map(Node::epoch);
    let word = Heartbeat {
        from: AWAY,
        epoch: Epoch { boot, change: 9 },
        role: Role::Active,
        priority: Priority(200),
        term: Term(9),
        fit: true,
        witness: true,
        shoots: false,
        restarts: false,
        request: PeerRequest::Nothing,
        config: Fingerprint::default(),
        system: Fingerprint::default(),
        heard: None,
        hears: LinkSet::default(),
    };
    story.forge(HOME, link, word);
    story.run(SECOND);
    assert_eq!(story.role(HOME), Some(Role::Active), "a recording does not know this boot");
    story.forge(HOME, link, Heartbeat { heard, term: Term(0), ..word });
    story.run(SECOND);
    assert_eq!(story.role(HOME), Some(Role::Active), "a low term does not go before");
    story.run(100 * SECOND);
    // It is home now, by its rank.
    story.end("a_replaced_box_asserts_that_it_serves", Some(AWAY));
}

#[test]
fn journal_lost() {
    let mut story = Story::serving();
    assert_eq!(story.order(AWAY, Order::Standby(OrderDuration::Resume)), Some(Ok(())));
    story.power_off(AWAY, "loses its power");
    story.lose_journal(AWAY);
    story.run(5 * SECOND);
    story.power_on(AWAY);
    story.run(30 * SECOND);
    story.hang(HOME);
    story.run(30 * SECOND);
    story.end("journal_lost", Some(AWAY));
}

#[test]
fn boot_alone_with_peer_unknown() {
    let mut story = Story::begin();
    story.device(HOME, Device::Unreachable);
    story.power_on(AWAY);
    story.run(120 * SECOND);
    assert_eq!(story.serving(), None);
    story.device(HOME, Device::Works);
    story.run(60 * SECOND);
    story.end("boot_alone_with_peer_unknown", Some(AWAY));
}

#[test]
fn clean_shutdown_of_both_and_boot_of_one() {
    let mut story = Story::serving();
    story.stays_away = true;
    for id in [AWAY, HOME] {
        assert_eq!(story.order(id, Order::Leave), Some(Ok(())));
        story.run(2 * SECOND);
        story.power_off(id, "has shut down");
    }
    story.run(30 * SECOND);
    story.power_on(AWAY);
    story.run(60 * SECOND);
    story.end("clean_shutdown_of_both_and_boot_of_one", Some(AWAY));
}

/// One clock loses half a percent, the other gains it.
#[test]
fn clocks_run_at_different_rates() {
    let mut story = Story::begin();
    story.clock_rate(HOME, -5_000);
    story.clock_rate(AWAY, 5_000);
    story.power_on(HOME);
    story.power_on(AWAY);
    story.run(86_400 * SECOND);
    story.cables(false);
    story.run(100 * SECOND);
    story.cables(true);
    story.run(100 * SECOND);
    story.end("clocks_run_at_different_rates", Some(HOME));
}

/// The BMC's addresses were mixed up: a box that shoots, shoots itself. Nobody is ever seen off, so nobody else starts.
#[test]
fn fence_shoots_the_wrong_box() {
    let mut story = Story::serving();
    story.device(HOME, Device::WrongBox);
    story.device(AWAY, Device::WrongBox);
    story.hang(HOME);
    story.run(30 * SECOND);
    assert_eq!(story.serving(), None);
    story.device(HOME, Device::Works);
    story.power_on(AWAY);
    story.run(60 * SECOND);
    story.power_off(HOME, "is switched off by hand");
    story.device(HOME, Device::WrongBox);
    story.run(10 * SECOND);
    while story.order(AWAY, Order::Confirm(HOME)) == Some(Err(Refusal::Busy)) {
        story.run(SECOND);
    }
    story.run(10 * SECOND);
    story.end("fence_shoots_the_wrong_box", Some(AWAY));
}

const HOME: BoxId = BoxId::First;
const AWAY: BoxId = BoxId::Second;
const SLAPD: ResourceId = ResourceId::new(1).expect("two is fewer than RESOURCES_MAX");
