//! Shows what the simulator and the model rely on: a box that is moved in time is as if it had lived on.

use std::time::Duration;

use firmware_agnostic::heartbeat::{Heartbeat, Priority, Role};
use firmware_agnostic::identity::{LinkId, ResourceId};
use firmware_agnostic::node::{Answer, Event, Node};
use firmware_agnostic::order::{Order, OrderDuration};
use firmware_agnostic::receiver::Heard;
use firmware_agnostic::time::Instant;

use simulation::single_node::{LINK, Scene};

#[test]
fn a_box_that_repeats_itself_may_be_moved_on() {
    for fit in [true, false] {
        let mut standby = Scene::standby();
        standby.says(|word| (word.role, word.fit) = (Role::Active, fit));
        for _ in 0..20 {
            round(&mut standby);
        }
        let before = standby.node.clone();
        round(&mut standby);
        let moved = standby.node.repeated(&before, ROUND, 5, standby.now);
        let moved = moved.expect("nothing happens");
        for _ in 0..5 {
            round(&mut standby);
        }
        assert!(standby.node == moved, "{:?}\n{moved:?}", standby.node);
    }
}

#[test]
fn a_round_in_which_something_happens_is_no_repetition() {
    let repeats = |happens: fn(&mut Scene)| {
        let mut standby = Scene::standby();
        for _ in 0..20 {
            round(&mut standby);
        }
        let before = standby.node.clone();
        happens(&mut standby);
        round(&mut standby);
        standby.node.repeated(&before, ROUND, 5, standby.now).is_some()
    };
    assert!(repeats(|_| ()));
    assert!(!repeats(|standby| drop(standby.happens(Event::Witness(false)))));
    assert!(!repeats(round), "it is twice as long");
}

#[test]
fn what_stands_still_for_deadtime_tells_nothing_more() {
    let mut standby = Scene::standby();
    for _ in 0..20 {
        round(&mut standby);
    }
    let deadtime = standby.node.settings().timing.deadtime();
    let last = standby.now;
    hear(&mut standby, OTHER_LINK);
    while standby.now < last + 2 * SECOND {
        let before = standby.node.clone();
        round(&mut standby);
        // Older than that before the round began, so that all has come of it.
        let stands = standby.now - last >= deadtime + ROUND;
        // What is told of the cable is no repetition either.
        let told = standby.node.peer().carries(OTHER_LINK) != before.peer().carries(OTHER_LINK);
        let moved = standby.node.repeated(&before, ROUND, 1, standby.now);
        assert_eq!(moved.is_some(), stands && !told, "after {:?}", standby.now - last);
    }
}

#[test]
fn nothing_is_left_out_beyond_the_next_event() {
    let mut standby = Scene::standby();
    for _ in 0..100 {
        round(&mut standby);
    }
    assert_eq!(standby.node.next_event(), None, "heartbeats are none");
    assert_eq!(standby.order(Order::Standby(OrderDuration::Time(60 * SECOND))), Ok(()));
    assert_eq!(standby.node.next_event(), Some(standby.now + 60 * SECOND));
}

/// The slots stay with their boxes, each of which has every second one, where the clock has no room for them.
#[test]
fn the_slots_move_with_the_time_and_never_change_hands() {
    let standby = Scene::standby();
    let timing = standby.node.settings().timing;
    let (slots, begun) = (timing.fence_delay() * 2, standby.node.peer().silent_from());
    let spoke = begun - timing.deadtime() - Instant::default();
    for millis in [0, 1, 400, 999] {
        let time = Duration::from_millis(millis);
        let moved = standby.node.earlier(time, Instant::default());
        assert_eq!(moved.peer().silent_from(), begun - time);
    }
    let whole = standby.node.earlier(spoke, Instant::default());
    assert_eq!(whole.peer().silent_from(), begun - spoke);
    let more = standby.node.earlier(spoke + SECOND, Instant::default());
    assert_eq!(more.peer().silent_from(), begun - spoke + slots - SECOND);
}

#[test]
fn no_instant_moves_before_the_oldest() {
    let standby = Scene::standby();
    let oldest = Instant::from_millis(900);
    let moved = standby.node.earlier(SECOND * 9 / 10, oldest);
    assert_eq!(moved.peer().heard_at(LINK), Some(oldest));
    assert_eq!(moved.cause().1, oldest);
    let little = standby.node.earlier(SECOND / 20, oldest);
    assert_eq!(little.cause().1, standby.node.cause().1 - SECOND / 20);
}

/// An instant that stood still would be another box.
#[test]
fn every_instant_of_a_box_moves() {
    let instants = |node: &Node| -> Vec<u64> {
        let text = format!("{node:?}");
        let numbers = text.split("Instant(").skip(1).filter_map(|rest| rest.split(')').next());
        numbers.map(|number| number.parse().expect("microseconds")).collect()
    };
    let home = |word: &mut Heartbeat| word.priority = Priority(255);
    let mut gave_back = Scene::serving_with(|settings| settings.failback_hold = SECOND);
    gave_back.talks(5 * SECOND, home);
    gave_back.is_answered(Answer::Stopped);
    gave_back.says(|word| {
        home(word);
        word.role = Role::Active;
    });
    let mut busy = Scene::serving_with(|settings| {
        settings.resources.iter_mut().for_each(|policy| policy.threshold = 5);
    });
    busy.happens(Event::OwesPower(60 * SECOND));
    for _ in 0..2 {
        busy.happens(Event::ResourceFailed(ResourceId::new(0).expect("there is one")));
    }
    assert_eq!(busy.order(Order::Maintenance(OrderDuration::Time(60 * SECOND))), Ok(()));
    let mut off = Scene::standby();
    off.silence(SECOND * 7 / 10);
    off.is_polled_off();
    for scene in [gave_back, busy, off] {
        let moved = instants(&scene.node.earlier(SECOND / 2, Instant::default()));
        let expected: Vec<_> = instants(&scene.node).iter().map(|at| at - 500_000).collect();
        assert!(expected.len() > 10, "{expected:?}");
        assert_eq!(moved, expected, "{:?}", scene.node);
    }
}

/// A keepalive passes, and the peer says what it has said before.
fn round(scene: &mut Scene) {
    scene.silence(ROUND);
    hear(scene, LINK);
}

fn hear(scene: &mut Scene, link: LinkId) {
    let heartbeat = *scene.node.peer().last_heartbeat().expect("it has talked");
    scene.happens(Event::Heartbeat(link, Heard { heartbeat, proof: Some(scene.now) }));
}

const ROUND: Duration = Duration::from_millis(200);
const SECOND: Duration = Duration::from_secs(1);
const OTHER_LINK: LinkId = LinkId::new(1).expect("there is a second link");
