//! Tells what the pair does when a box does not run, a disk fails, or the boxes are not of one release.
//!
//! They are told as those of `stories.rs`, and their traces are written anew in the same way.

use firmware_agnostic::evidence::Require;
use firmware_agnostic::heartbeat::Role;
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::order::{Order, OrderDuration};

use simulation::device::Device;
use simulation::fault_model::{MILLI, Mishap, SECOND};
use simulation::story::Story;
use simulation::wire::Release;

/// Both are guests of one host that is suspended: no time in which nobody listened is a silence.
#[test]
fn both_boxes_stall() {
    let mut story = Story::serving();
    story.stall(HOME, 60 * SECOND);
    story.stall(AWAY, 60 * SECOND);
    story.run(90 * SECOND);
    story.end("both_boxes_stall", Some(HOME));
}

/// The standby could not see the active off, so it waited; the active goes on, because nobody else serves.
#[test]
fn active_is_suspended_and_cannot_be_fenced() {
    let mut story = Story::serving();
    story.device(HOME, Device::Unreachable);
    story.stall(HOME, 60 * SECOND);
    story.run(59 * SECOND);
    assert_eq!((story.role(AWAY), story.serving()), (Some(Role::Fencing), Some(HOME)));
    story.run(30 * SECOND);
    story.end("active_is_suspended_and_cannot_be_fenced", Some(HOME));
}

/// Where silence is enough the other box serves by then: the one that wakes yields to the later takeover.
#[test]
fn active_wakes_beside_another() {
    let mut story = Story::serving_with(|settings| settings.require = Require::Silence);
    story.stall(HOME, 20 * SECOND);
    story.run(60 * SECOND);
    story.end("active_wakes_beside_another", Some(HOME));
}

/// The answer of the fence device waits for the box to run again, which looks once more whether it is good still.
#[test]
fn standby_stalls_while_it_fences() {
    let mut story = Story::serving();
    story.hang(HOME);
    story.run(7 * SECOND);
    assert_eq!(story.role(AWAY), Some(Role::Fencing));
    story.stall(AWAY, 10 * SECOND);
    story.run(30 * SECOND);
    story.end("standby_stalls_while_it_fences", Some(AWAY));
}

#[test]
fn box_stalls_while_it_starts() {
    let mut story = Story::serving();
    story.power_off(HOME, "loses its power");
    while story.role(AWAY) != Some(Role::Starting) {
        story.run(100 * MILLI);
    }
    story.stall(AWAY, 10 * SECOND);
    story.run(30 * SECOND);
    story.end("box_stalls_while_it_starts", Some(AWAY));
}

/// A box that fell behind in the middle of a hand-over is late for its own word, and for nothing else.
#[test]
fn home_stalls_while_the_resources_come_home() {
    let mut story = Story::serving();
    assert_eq!(story.order(AWAY, Order::Takeover(OrderDuration::Reboot)), Some(Ok(())));
    story.run(20 * SECOND);
    assert_eq!(story.order(AWAY, Order::Resume), Some(Ok(())));
    while story.role(AWAY) != Some(Role::Stopping) {
        story.run(100 * MILLI);
    }
    story.stall(HOME, 3 * SECOND);
    story.run(30 * SECOND);
    story.end("home_stalls_while_the_resources_come_home", Some(HOME));
}

/// The entry under way is torn, so the box boots with the one before it: it does not know that it was told to stand by.
#[test]
fn power_goes_while_the_journal_is_written() {
    let mut story = Story::serving();
    story.fault_model = story.fault_model.clone().with(Mishap::TornWrite, 1_000_000);
    story.order(AWAY, Order::Standby(OrderDuration::Resume));
    story.fault_model = story.fault_model.clone().without(&[Mishap::TornWrite]);
    story.run(5 * SECOND);
    story.power_on(AWAY);
    story.run(40 * SECOND);
    story.power_off(HOME, "loses its power");
    story.run(20 * SECOND);
    story.end("power_goes_while_the_journal_is_written", Some(AWAY));
}

/// What could not be written is not known after the power cut; nothing else is the matter.
#[test]
fn journal_cannot_be_written() {
    let mut story = Story::serving();
    story.lock_journal(AWAY, true);
    assert_eq!(story.order(AWAY, Order::Standby(OrderDuration::Resume)), Some(Ok(())));
    story.power_off(AWAY, "loses its power");
    story.run(5 * SECOND);
    story.power_on(AWAY);
    story.run(40 * SECOND);
    story.power_off(HOME, "loses its power");
    story.run(20 * SECOND);
    story.end("journal_cannot_be_written", Some(AWAY));
}

/// One box after the other, by hand-over: the releases understand each other, and nobody is fenced.
#[test]
fn boxes_are_upgraded_one_after_the_other() {
    let mut story = Story::serving();
    story.install(HOME, Release::Before);
    story.install(AWAY, Release::Before);
    story.run(60 * SECOND);
    story.forget_lines();
    let shots = story.outcome().shots;
    for id in [AWAY, HOME] {
        assert_eq!(story.order(id, Order::Leave), Some(Ok(())));
        while story.role(id).is_some() {
            story.run(100 * MILLI);
        }
        story.install(id, Release::Present);
        story.run(60 * SECOND);
    }
    assert_eq!(story.outcome().shots, shots);
    story.end("boxes_are_upgraded_one_after_the_other", Some(HOME));
}

/// A peer that nobody understands is as good as silent; people are told why.
#[test]
fn peer_speaks_a_foreign_version() {
    let mut story = Story::serving();
    story.install(AWAY, Release::Foreign);
    story.run(60 * SECOND);
    story.install(AWAY, Release::Present);
    story.power_on(AWAY);
    story.run(60 * SECOND);
    story.end("peer_speaks_a_foreign_version", Some(HOME));
}

/// The order comes in the very moment in which the resources begin to move.
#[test]
fn order_comes_at_a_change_of_role() {
    let mut story = Story::serving();
    story.ambush(AWAY, Order::Standby(OrderDuration::Reboot));
    assert_eq!(story.order(HOME, Order::Standby(OrderDuration::Reboot)), Some(Ok(())));
    story.run(30 * SECOND);
    story.ambush(HOME, Order::Takeover(OrderDuration::Reboot));
    assert_eq!(story.order(HOME, Order::Resume), Some(Ok(())));
    assert_eq!(story.order(AWAY, Order::Resume), Some(Ok(())));
    story.run(60 * SECOND);
    story.end("order_comes_at_a_change_of_role", Some(HOME));
}

const HOME: BoxId = BoxId::First;
const AWAY: BoxId = BoxId::Second;
