//! Shows the rules of a shot: who may shoot, when it is his turn, and what ends it.

use std::time::Duration;

use firmware_agnostic::evidence::Require;
use firmware_agnostic::heartbeat::{Epoch, Heartbeat, Incarnation, PeerRequest, Role};
use firmware_agnostic::identity::BoxId;
use firmware_agnostic::node::fencing::{CallOff, Fencing, LastLoss};
use firmware_agnostic::node::{Action, Answer, Event};
use firmware_agnostic::order::{FenceMode, Order, OrderDuration};
use firmware_agnostic::report::Report;
use firmware_agnostic::settings::AtBoot;
use firmware_agnostic::time::{Instant, Timer};

use simulation::single_node::Scene;

#[test]
fn any_word_of_a_peer_that_was_silent_calls_off_a_shot_that_is_ordered() {
    let mut active = Scene::active();
    let epoch = active.node.epoch();
    assert!(matches!(active.node.fencing(), Fencing::Ordered(_, CallOff::Heard)));
    let heard = Some(epoch);
    active.says_unproven(|word| word.heard = heard);
    assert!(matches!(active.node.fencing(), Fencing::CalledOff(_)));
    assert_eq!(active.node.epoch(), epoch, "it was said to nobody that this box shoots");
    assert!(listens(&active), "if the cables are whole again the proof comes soon");
    active.happens(Event::Timeout);
    assert_eq!(active.done.iter().filter(|it| calls_off(it)).count(), 1, "it is told once");
}

#[test]
fn a_shot_at_a_peer_that_talks_all_the_time_is_called_off_by_a_proof_only() {
    let mut active = shoots_a_deaf_peer();
    talks_deaf(&mut active, SECOND, |word| word.role = Role::Fencing);
    assert!(matches!(active.node.fencing(), Fencing::Ordered(_, CallOff::Proven)));
    active.says(|word| word.role = Role::Standby);
    assert!(matches!(active.node.fencing(), Fencing::CalledOff(_)));
    assert!(!listens(&active), "it has the proof");
    // One that gives up on its own is no threat any more.
    let mut active = shoots_a_deaf_peer();
    talks_deaf(&mut active, SECOND / 5, |_| ());
    assert!(matches!(active.node.fencing(), Fencing::CalledOff(_)));
}

#[test]
fn a_deaf_peer_that_serves_again_is_not_shot_by_a_box_that_does_not() {
    let shoots_beside = |role| {
        let mut standby = Scene::standby();
        standby.says(stuck);
        standby.is_answered(Answer::PowerOn);
        assert!(matches!(standby.node.fencing(), Fencing::Ordered(_, CallOff::Proven)));
        talks_deaf(&mut standby, 2 * SECOND, stuck);
        assert!(matches!(standby.node.fencing(), Fencing::Ordered(_, CallOff::Proven)));
        talks_deaf(&mut standby, SECOND / 5, |word| word.role = role);
        matches!(standby.node.fencing(), Fencing::Ordered(..))
    };
    assert!(!shoots_beside(Role::Active));
    assert!(shoots_beside(Role::Standby), "nobody serves");
}

#[test]
fn a_stuck_peer_is_shot_though_it_talks_and_until_it_does_not_ask_for_it() {
    for serves in [false, true] {
        let mut scene = if serves { Scene::serving_with(|_| ()) } else { Scene::standby() };
        scene.says(stuck);
        if !serves {
            assert_eq!(scene.node.role(), Role::Fencing);
            scene.is_answered(Answer::PowerOn);
        }
        assert!(matches!(scene.node.fencing(), Fencing::Ordered(_, CallOff::Proven)), "at once");
        scene.device_is_ready();
        scene.says(stuck);
        assert!(matches!(scene.node.fencing(), Fencing::Cut(_)), "it is still to be shot");
        scene.says(|word| word.role = Role::Standby);
        assert!(matches!(scene.node.fencing(), Fencing::CalledOff(_)));
    }
}

#[test]
fn the_epoch_rises_with_what_a_box_says_of_its_shot() {
    let mut active = Scene::active();
    let mut last = active.node.epoch().change;
    let mut rises = |active: &Scene| {
        let change = active.node.epoch().change;
        change > std::mem::replace(&mut last, change)
    };
    active.device_is_ready();
    assert!(rises(&active), "it cuts");
    active.is_answered(Answer::FenceFailed);
    assert!(rises(&active), "it has cut");
    shoots_again(&mut active);
    assert!(!rises(&active), "nothing is cut yet");
    active.is_answered(Answer::FenceFailed);
    assert!(!rises(&active), "nothing was cut");

    let mut active = Scene::active();
    active.device_is_ready();
    let cuts = active.node.epoch().change;
    active.says(|_| ());
    assert!(matches!(active.node.fencing(), Fencing::CalledOff(_)));
    assert_eq!(active.node.epoch().change, cuts + 1, "it does not any more");
    assert!(active.is_answered(Answer::FenceFailed).contains(&Action::Tell(Report::CalledOff)));
    assert_eq!(active.node.epoch().change, cuts + 1, "as before");
}

#[test]
fn a_device_that_is_ready_for_another_shot_cuts_nothing() {
    let mut active = Scene::active();
    let another = active.asked.wrapping_add(1);
    active.happens(Event::Ready(another));
    assert!(matches!(active.node.fencing(), Fencing::Ordered(..)));
    active.device_is_ready();
    active.done.clear();
    active.happens(Event::Ready(another));
    assert!(!active.has_done(cuts));
    active.device_is_ready();
    assert!(active.has_done(cuts), "the next device of the list goes on");
    let mut idle = Scene::serving_with(|_| ());
    idle.done.clear();
    idle.device_is_ready();
    assert!(!idle.has_done(cuts));
}

#[test]
fn a_device_that_was_not_reached_before_is_ready_and_the_box_listens_first() {
    let again = || {
        let mut active = Scene::active();
        active.is_answered(Answer::FenceFailed);
        shoots_again(&mut active);
        active.done.clear();
        active.device_is_ready();
        assert!(matches!(active.node.fencing(), Fencing::Ready(_, CallOff::Heard)));
        assert!(!active.has_done(cuts));
        active.silence(SECOND / 10);
        assert!(matches!(active.node.fencing(), Fencing::Ready(..)), "for two keepalives");
        active
    };
    let mut silent = again();
    silent.silence(SECOND / 2);
    assert!(silent.has_done(cuts));
    let mut heard = again();
    heard.says(|_| ());
    assert!(heard.has_done(calls_off));
    assert!(matches!(heard.node.fencing(), Fencing::CalledOff(_)));
}

#[test]
fn a_shot_by_order_waits_for_no_word_and_ends_with_none() {
    let mut active = Scene::active();
    active.is_answered(Answer::FenceFailed);
    active.says(|_| ());
    assert_eq!(active.order(FENCE), Ok(()));
    active.says(|_| ());
    assert!(matches!(active.node.fencing(), Fencing::Ordered(_, CallOff::Seen)));
    active.device_is_ready();
    assert!(matches!(active.node.fencing(), Fencing::Cut(_)), "at once");
    active.says(|_| ());
    assert!(matches!(active.node.fencing(), Fencing::Cut(_)));
    // The next one is nobody's order.
    active.is_answered(Answer::FenceFailed);
    active.silence(2 * SECOND);
    active.device_is_ready();
    // It was not ready at once: this box listens first.
    active.silence(SECOND);

    assert!(matches!(active.node.fencing(), Fencing::Cut(_)));
    active.says(|_| ());
    assert!(matches!(active.node.fencing(), Fencing::CalledOff(_)));
}

/// The peer serves by then: a drill would cut the service.
#[test]
fn a_shot_by_order_ends_when_its_box_serves_no_more() {
    let mut active = Scene::active();
    active.is_answered(Answer::FenceFailed);
    active.says(|_| ());
    assert_eq!(active.order(FENCE), Ok(()));
    assert_eq!(active.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    active.says(|_| ());
    active.is_answered(Answer::Stopped);
    assert_eq!(active.node.role(), Role::Standby);
    assert!(matches!(active.node.fencing(), Fencing::CalledOff(_)));
    active.device_is_ready();
    assert!(!active.has_done(|action| matches!(action, Action::Cut(_))));
}

#[test]
fn a_shot_by_order_that_fails_is_tried_again_only_at_a_silent_peer() {
    let mut silent = Scene::serving_with(|_| ());
    assert_eq!(silent.order(FENCE), Ok(()));
    silent.silence(2 * SECOND);
    let failed = silent.is_answered(Answer::FenceFailed);
    assert!(failed.iter().any(|it| matches!(it, Action::Tell(Report::FenceFailed { .. }))));
    assert_eq!(silent.node.fencing(), Fencing::Backoff);
}

#[test]
fn where_silence_is_enough_a_stuck_peer_that_falls_silent_is_replaced() {
    let mut standby = Scene::standby_with(|settings| settings.require = Require::Silence);
    standby.says(stuck);
    assert_eq!(standby.node.role(), Role::Fencing);
    standby.silence(2 * SECOND);
    assert_eq!(standby.node.role(), Role::Starting);
    let mut required = Scene::standby();
    required.says(stuck);
    required.silence(2 * SECOND);
    assert_eq!(required.node.role(), Role::Fencing);
}

#[test]
fn where_silence_is_enough_a_box_that_serves_shoots_nobody() {
    let mut active = Scene::serving_with(|settings| settings.require = Require::Silence);
    active.silence(20 * SECOND);
    assert!(!active.has_done(fences));
}

#[test]
fn a_peer_that_left_or_was_seen_off_is_no_threat() {
    let mut left = Scene::serving_with(|_| ());
    left.says(|word| word.request = PeerRequest::Leave);
    left.silence(20 * SECOND);
    assert!(!left.has_done(fences));
    let mut off = Scene::active();
    off.is_seen_off();
    off.done.clear();
    off.silence(20 * SECOND);
    assert!(!off.has_done(fences));
}

#[test]
fn a_box_that_starts_looks_at_nothing_and_shoots_in_its_turn() {
    let mut starting = Scene::standby();
    starting.says(|word| word.request = PeerRequest::HandOver);
    assert_eq!(starting.node.role(), Role::Starting);
    starting.silence(2 * SECOND);
    assert!(matches!(starting.node.fencing(), Fencing::Ordered(..)));
    assert!(!starting.has_done(|it| matches!(it, Action::LookAtPower(_))));
}

/// From the silence on, in slots: the box that serves, the one that heard it serve, and then both by turns.
#[test]
fn each_box_has_its_slots() {
    let slot = Scene::standby().node.settings().timing.fence_delay();
    let first_shot = |mut scene: Scene| {
        let from = scene.node.peer().silent_from();
        for _ in 0..2_000 {
            if matches!(scene.node.fencing(), Fencing::Ordered(..)) {
                return (scene.now - from).as_millis() / slot.as_millis();
            }
            scene.is_answered(Answer::PowerOn);
            scene.silence(SECOND / 20);
        }
        u128::MAX
    };
    let second = |settings: &mut firmware_agnostic::settings::Settings| settings.me = BoxId::Second;
    let idle = |mut scene: Scene, me: BoxId| {
        let yields = move |word: &mut Heartbeat| {
            (word.from, word.role) = (me.other(), Role::Standby);
            (word.priority.0, word.fit) = (250, true);
        };
        scene.says(yields);
        assert_eq!(scene.node.role(), Role::Standby);
        scene
    };
    let unseeing = |mut scene: Scene| {
        scene.happens(Event::Witness(false));
        scene
    };
    let other = || {
        let mut scene = Scene::born(None, second);
        scene.is_answered(Answer::Stopped);
        scene
    };
    assert_eq!(first_shot(Scene::serving_with(|_| ())), 0);
    assert_eq!(first_shot(Scene::standby()), 1);
    assert_eq!(first_shot(idle(Scene::standby(), BoxId::First)), 2);
    assert_eq!(first_shot(idle(other(), BoxId::Second)), 3);
    let mut second_serves = other();
    for request in [PeerRequest::Nothing, PeerRequest::HandOver] {
        second_serves.says(|word| {
            (word.from, word.request) = (BoxId::First, request);
            word.role = if request == PeerRequest::Nothing { Role::Active } else { Role::Standby };
        });
    }
    second_serves.is_answered(Answer::Started);
    assert_eq!(second_serves.node.role(), Role::Active);
    assert_eq!(first_shot(second_serves), 0);
    assert_eq!(first_shot(unseeing(Scene::serving_with(|_| ()))), 6);
    assert_eq!(first_shot(unseeing(Scene::standby())), 6);
    assert_eq!(first_shot(unseeing(idle(other(), BoxId::Second))), 7);
}

#[test]
fn a_shot_that_would_begin_late_in_its_slot_waits_for_the_next() {
    let timing = Scene::standby().node.settings().timing;
    let begins = |late: Duration| {
        let mut standby = Scene::standby();
        let mine = standby.node.peer().silent_from() + timing.fence_delay();
        while standby.now < mine + late {
            let rest = mine + late - standby.now;
            standby.silence(rest.min(SECOND / 10));
        }
        standby.is_answered(Answer::PowerOn);
        matches!(standby.node.fencing(), Fencing::Ordered(..))
    };
    assert!(begins(Duration::ZERO));
    assert!(begins(timing.grace() * 9 / 10));
    assert!(!begins(timing.grace()));
}

/// Until its last word the other box may have heard this one, and count its slots from then.
#[test]
fn the_first_slot_after_its_last_word_is_that_of_the_other_box() {
    let timing = Scene::standby().node.settings().timing;
    let slot_after = |talks: Duration| {
        let mut standby = Scene::standby();
        let from = standby.node.peer().silent_from();
        talks_deaf(&mut standby, talks, |word| word.role = Role::Active);
        for _ in 0..2_000 {
            standby.silence(SECOND / 20);
            standby.is_answered(Answer::PowerOn);
            if matches!(standby.node.fencing(), Fencing::Ordered(..)) {
                return (standby.now - from).as_millis() / timing.fence_delay().as_millis();
            }
        }
        u128::MAX
    };
    assert_eq!(slot_after(SECOND / 5), 1);
    // From its last word on: deadtime, and a slot but for two keepalives.
    assert_eq!(slot_after(6_200 * MILLI), 2);
    assert_eq!(slot_after(6_600 * MILLI), 4);
}

#[test]
fn a_deaf_peer_that_talks_is_not_shot_by_a_box_that_does_not_serve() {
    let mut standby = Scene::standby();
    for _ in 0..500 {
        talks_deaf(&mut standby, SECOND / 5, |word| word.role = Role::Fencing);
        standby.is_answered(Answer::PowerOn);
    }
    assert_eq!(standby.node.role(), Role::Fencing);
    assert!(!standby.has_done(fences), "it may have heard this box a moment ago");
    shoots_again(&mut standby);
}

/// After a boot a deaf peer counts its slots by a clock of its own.
#[test]
fn a_box_that_may_be_shot_by_a_deaf_newborn_peer_gives_it_the_first_slots() {
    let slot = Scene::standby().node.settings().timing.fence_delay();
    let shoots_after = |at_boot, armed: bool| {
        let mut last = Scene::standby().last_record(|_| ());
        (last.armed, last.this_boot, last.peer_life) = (true, true, Incarnation::default());
        let mut alone = Scene::born(Some(last), |settings| settings.at_boot = at_boot);
        alone.is_answered(Answer::Stopped);
        if armed {
            alone.says(|word| word.role = Role::Active);
        }
        alone.epoch = Epoch { boot: Incarnation::after(alone.epoch.boot, [9; 2]), change: 1 };
        let mut from = None;
        for _ in 0..2_000 {
            alone.says_unproven(|word| word.role = Role::Fencing);
            alone.silence(SECOND / 20);
            alone.is_answered(Answer::PowerOn);
            if alone.node.role() == Role::Fencing {
                from.get_or_insert(alone.now);
            }
            if matches!(alone.node.fencing(), Fencing::Ordered(..)) {
                let waits = alone.now - from.expect("it does not serve");
                return Some(waits.as_millis() / slot.as_millis());
            }
        }
        None
    };
    assert_eq!(shoots_after(AtBoot::Fence, true), Some(1), "it has heard it serve");
    assert_eq!(shoots_after(AtBoot::Fence, false), Some(6));
    assert_eq!(shoots_after(AtBoot::Wait, false), Some(2), "nobody shoots at boot");
}

#[test]
fn a_box_is_armed_by_its_peer_or_by_the_certainty_that_it_was_not_shot() {
    let shoots = |at_boot, armed| {
        let mut last = Scene::standby().last_record(|_| ());
        (last.armed, last.this_boot) = (armed, true);
        let mut alone = Scene::born(Some(last), |settings| settings.at_boot = at_boot);
        alone.is_answered(Answer::Stopped);
        alone.silence(30 * SECOND);
        alone.is_answered(Answer::PowerOn);
        let aims = alone.node.fencing() == Fencing::Armed;
        alone.silence(60 * SECOND);
        assert_eq!(alone.has_done(fences), aims);
        aims
    };
    assert!(shoots(AtBoot::Fence, true));
    assert!(!shoots(AtBoot::Fence, false));
    assert!(!shoots(AtBoot::Wait, true));
    let after_a_boot = |loss: Option<LastLoss>| {
        let mut last = Scene::standby().last_record(|_| ()).after_a_boot();
        last.armed = true;
        let mut alone = Scene::born(Some(last), |settings| settings.at_boot = AtBoot::Fence);
        alone.is_answered(Answer::Stopped);
        if let Some(loss) = loss {
            alone.happens(Event::LastLoss(loss));
        }
        alone.silence(30 * SECOND);
        alone.is_answered(Answer::PowerOn);
        alone.node.fencing() == Fencing::Armed
    };
    assert!(after_a_boot(Some(LastLoss::None)));
    assert!(!after_a_boot(Some(LastLoss::Unclear)) && !after_a_boot(Some(LastLoss::Ordered)));
    assert!(!after_a_boot(None), "nobody knows");
}

/// As far as one that has been silent for `deadtime`.
#[test]
fn a_box_that_has_heard_nobody_counts_its_slots_from_when_it_gave_up() {
    let mut last = Scene::standby().last_record(|_| ()).after_a_boot();
    last.armed = true;
    let mut alone = Scene::born(Some(last), |settings| settings.at_boot = AtBoot::Fence);
    alone.is_answered(Answer::Stopped);
    alone.happens(Event::LastLoss(LastLoss::None));
    alone.silence(16 * SECOND);
    let (_, from) = alone.node.cause();
    assert_eq!(alone.node.role(), Role::Fencing);
    alone.is_answered(Answer::PowerOn);
    shoots_again(&mut alone);
    let slot = alone.node.settings().timing.fence_delay();
    assert_eq!((alone.now - from).as_millis() / slot.as_millis(), 2);
}

#[test]
fn a_box_that_aims_at_a_deaf_peer_lets_it_be_when_it_falls_silent() {
    let mut alone = alone();
    for _ in 0..10 {
        alone.says_unproven(|word| word.role = Role::Fencing);
        alone.silence(SECOND / 5);
    }
    alone.is_answered(Answer::PowerOn);
    assert_eq!(alone.node.fencing(), Fencing::Armed);
    alone.done.clear();
    for _ in 0..40 {
        if alone.node.fencing() == Fencing::Armed {
            alone.silence(SECOND / 20);
        }
    }
    assert_eq!(alone.node.fencing(), Fencing::Backoff, "it may be a box that has shot this one");
    assert!(alone.node.timer(Timer::Fencing).is_some_and(|at| at > alone.now), "with a pause");
    alone.silence(60 * SECOND);
    assert!(!alone.has_done(fences));
}

#[test]
fn a_box_that_was_late_listens_for_two_keepalives_before_it_looks() {
    let mut fencing = alone();
    fencing.is_answered(Answer::PowerUnknown);
    fencing.now = fencing.now + SECOND;
    fencing.happens(Event::Timeout);
    assert_eq!(fencing.node.fencing(), Fencing::Backoff);
    fencing.silence(300 * MILLI);
    assert_eq!(fencing.node.fencing(), Fencing::Backoff);
    fencing.silence(200 * MILLI);
    assert!(matches!(fencing.node.fencing(), Fencing::Querying(_)));
}

#[test]
fn a_peer_that_serves_is_stood_by_for_though_it_is_deaf() {
    let mut fencing = Scene::standby();
    fencing.silence(2 * SECOND);
    assert_eq!(fencing.node.role(), Role::Fencing);
    let heard = Some(fencing.node.epoch());
    fencing.says_unproven(|word| (word.role, word.heard) = (Role::Active, heard));
    assert_eq!(fencing.node.role(), Role::Standby);
}

#[test]
fn a_device_that_lies_and_one_that_was_late_are_told_apart() {
    let failed = |it: &Action| matches!(it, Action::Tell(Report::FenceFailed { .. }));
    let mut lied_to = Scene::standby();
    lied_to.is_polled_off();
    lied_to.talks(2 * SECOND, |word| word.role = Role::Active);
    lied_to.silence(2 * SECOND);
    assert!(lied_to.is_seen_off().iter().any(failed), "it is tried again");
    assert_eq!(lied_to.node.fencing(), Fencing::Backoff);
    let mut late = Scene::serving_with(|_| ());
    assert_eq!(late.order(FENCE), Ok(()));
    let before = late.now;
    late.talks(SECOND / 2, |_| ());
    assert!(!late.is_answered(Answer::Fenced(before)).iter().any(failed));
    assert_eq!(late.node.fencing(), Fencing::None, "what is true now is another matter");
}

#[test]
fn a_box_that_serves_tells_when_it_shoots_again() {
    let mut active = Scene::active();
    let told = active.is_answered(Answer::FenceFailed);
    let again = told.iter().find_map(|it| match it {
        Action::Tell(Report::FenceFailed { again, serves: true }) => Some(*again),
        _ => None,
    });
    let again = again.expect("it is told");
    active.silence(again.saturating_sub(MILLI));
    assert_eq!(active.node.fencing(), Fencing::Armed);
    active.silence(2 * MILLI);
    assert!(matches!(active.node.fencing(), Fencing::Ordered(..)));
}

#[test]
fn the_next_threat_has_nothing_to_do_with_this_one() {
    let mut active = Scene::active();
    active.is_answered(Answer::FenceFailed);
    assert_eq!(active.node.fencing(), Fencing::Backoff);
    active.says(|_| ());
    assert_eq!((active.node.fencing(), active.node.timer(Timer::Fencing)), (Fencing::None, None));
    active.done.clear();
    active.silence(2 * SECOND);
    assert!(active.has_done(|it| *it == Action::Tell(Report::Shooting { drill: false })));
}

#[test]
fn the_answer_to_the_question_before_is_no_answer() {
    let mut fencing = alone();
    let before = fencing.asked;
    fencing.is_answered(Answer::PowerUnknown);
    fencing.silence(SECOND);
    assert!(matches!(fencing.node.fencing(), Fencing::Querying(_)));
    fencing.happens(Event::Answer(before, Answer::PowerOff(fencing.now)));
    assert!(matches!(fencing.node.fencing(), Fencing::Querying(_)));
}

#[test]
fn a_newborn_deaf_peer_is_shot_when_it_has_looked_for_evidence_for_deadtime() {
    let shoots = |role, looks: Duration, heard: Option<Epoch>| {
        let mut alone = alone();
        alone.epoch = Epoch { boot: Incarnation(*b"peer"), change: 1 };
        let end = alone.now + looks;
        while alone.now < end {
            alone.says_unproven(|word| (word.role, word.heard) = (role, heard));
            alone.silence(SECOND / 5);
        }
        alone.is_answered(Answer::PowerOn);
        alone.node.fencing() == Fencing::Armed
    };
    let other = Some(Epoch { boot: Incarnation(*b"gone"), change: 1 });
    assert!(shoots(Role::Fencing, SECOND * 3 / 2, None));
    assert!(!shoots(Role::Fencing, SECOND * 3 / 5, None), "it may hear this box soon");
    assert!(!shoots(Role::Init, SECOND * 3 / 2, None), "it has not looked yet");
    assert!(!shoots(Role::Fencing, SECOND * 3 / 2, other), "it has heard somebody");
}

#[test]
fn a_power_that_is_off_unasked_is_evidence_where_the_peer_is_late_and_not_heard_again() {
    let mut alive = Scene::standby();
    alive.is_polled_off();
    assert_eq!(alive.node.role(), Role::Standby, "it talks");
    let mut late = Scene::standby();
    late.silence(700 * MILLI);
    late.is_polled_off();
    assert_eq!(late.node.role(), Role::Starting);
    let mut serving = Scene::serving_with(|_| ());
    serving.silence(700 * MILLI);
    assert!(serving.is_polled_off().contains(&Action::Tell(Report::Fenced)));
    assert!(serving.node.peer().fenced());
    assert!(!serving.is_polled_off().contains(&Action::Tell(Report::Fenced)), "it is known");
    let mut shoots = Scene::active();
    shoots.is_polled_off();
    assert!(!shoots.node.peer().fenced(), "the shot that is under way will tell");
}

#[test]
fn what_is_off_before_a_stall_is_looked_at_again() {
    let mut standby = Scene::standby();
    standby.silence(700 * MILLI);
    standby.now = standby.now + SECOND;
    standby.happens(Event::Timeout);
    standby.is_polled_off();
    assert_eq!(standby.node.role(), Role::Standby);
    let mut fencing = Scene::standby();
    fencing.silence(2 * SECOND);
    fencing.now = fencing.now + 10 * SECOND;
    fencing.is_seen_off();
    assert_eq!(fencing.node.role(), Role::Fencing);
    fencing.silence(SECOND);
    assert!(matches!(fencing.node.fencing(), Fencing::Querying(_)));
}

#[test]
fn the_pause_after_a_look_in_vain_doubles_up_to_half_a_minute() {
    let mut alone = alone();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        alone.is_answered(Answer::PowerUnknown);
        let due = alone.node.timer(Timer::Fencing).expect("it looks again");
        pauses.push((due - alone.now).as_millis());
        alone.silence(due - alone.now);
        assert!(matches!(alone.node.fencing(), Fencing::Querying(_)));
    }
    assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
}

#[test]
fn why_a_box_waits_at_boot_is_told_once() {
    let waits =
        |it: &Action| matches!(it, Action::Tell(Report::Waiting | Report::WaitingUnarmed(_)));
    let mut alone = alone();
    alone.done.clear();
    alone.is_answered(Answer::PowerOn);
    assert!(alone.has_done(|it| *it == Action::Tell(Report::Waiting)));
    alone.silence(SECOND);
    alone.is_answered(Answer::PowerOn);
    assert!(!alone.has_done(waits));
}

/// The peer cannot stop what it holds.
const fn stuck(word: &mut Heartbeat) {
    (word.role, word.request) = (Role::Stopping, PeerRequest::Fence);
}

/// The peer hears nothing of this box any more, and talks.
fn talks_deaf(scene: &mut Scene, time: Duration, but: impl Fn(&mut Heartbeat)) {
    let (end, heard) = (scene.now + time, scene.node.epoch());
    while scene.now < end {
        scene.silence(SECOND / 5);
        scene.epoch.change += 1;
        scene.says_unproven(|word| {
            word.heard = Some(heard);
            but(word);
        });
    }
}

/// The next slot of this box comes.
fn shoots_again(scene: &mut Scene) {
    for _ in 0..100 {
        if matches!(scene.node.fencing(), Fencing::Ordered(..)) {
            return;
        }
        scene.silence(SECOND / 5);
    }
    panic!("it has a slot in 20 s: {:?}", scene.node.fencing());
}

/// A box that has booted, heard nobody, and looks at its peer's power.
fn alone() -> Scene {
    let mut alone = Scene::born(None, |_| ());
    alone.is_answered(Answer::Stopped);
    alone.silence(20 * SECOND);
    assert!(matches!(alone.node.fencing(), Fencing::Querying(_)));
    alone
}

/// A box that serves, and whose peer is deaf and about to shoot.
fn shoots_a_deaf_peer() -> Scene {
    let mut active = Scene::serving_with(|_| ());
    talks_deaf(&mut active, 3 * SECOND / 2, |word| word.role = Role::Fencing);
    assert!(matches!(active.node.fencing(), Fencing::Ordered(_, CallOff::Proven)));
    active
}

fn listens(scene: &Scene) -> bool {
    scene.node.timer(Timer::Relisten).is_some_and(|until: Instant| until > scene.now)
}

const fn fences(action: &Action) -> bool {
    matches!(action, Action::Fence(_))
}

const fn cuts(action: &Action) -> bool {
    matches!(action, Action::Cut(_))
}

const fn calls_off(action: &Action) -> bool {
    matches!(action, Action::CallOff(_))
}

const FENCE: Order = Order::Fence { id: BoxId::Second, mode: FenceMode::Plain };
const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
