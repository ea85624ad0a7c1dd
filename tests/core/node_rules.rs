//! Shows that each rule of the machine is needed: what it does about words and answers that chance hardly brings about.
//!
//! Each test is about one thing that a right peer may say, or an operator do, once in the life of a pair.
//! `tests/mutants` shows that a rule without its test is missed.

use std::time::Duration;

use firmware_agnostic::evidence::Require;
use firmware_agnostic::heartbeat::{
    Epoch, Heartbeat, Incarnation, PeerRequest, Priority, Role, Term,
};
use firmware_agnostic::identity::{BoxId, LinkId, RESOURCES_MAX, ResourceId};
use firmware_agnostic::journal::Journal;
use firmware_agnostic::node::fencing::Fencing;
use firmware_agnostic::node::{Action, Actions, Answer, Event};
use firmware_agnostic::order::{FenceMode, Order, OrderDuration, Refusal};
use firmware_agnostic::recovery::OnFailure;
use firmware_agnostic::report::Report;
use firmware_agnostic::settings::AutoFailback;
use firmware_agnostic::settings::Settings;
use firmware_agnostic::time::Timer;

use simulation::fixtures;
use simulation::single_node::{LINK, Scene};

#[test]
fn the_term_and_an_order_outlive_a_reboot() {
    let last = Scene::serving_with(|_| ()).last_record(|scene| {
        assert_eq!(scene.order(Order::Standby(OrderDuration::Resume)), Ok(()));
    });
    assert!(
        last.term > Term(0)
            && last.order.is_some_and(|order| order.request == PeerRequest::Standby)
    );
    let reborn = Scene::born(Some(last), |_| ());
    assert_eq!((reborn.node.term(), reborn.node.request()), (last.term, PeerRequest::Standby));
}

/// The guard of the peer says for `time` what its supervisor said last.
fn guard_talks(scene: &mut Scene, time: Duration, role: Role) {
    let (end, heard) = (scene.now + time, scene.node.epoch());
    while scene.now < end {
        scene.silence(SECOND / 5);
        scene.says_unproven(|word| {
            (word.restarts, word.role, word.heard) = (true, role, Some(heard));
        });
    }
}

const RESTART_TIME: Duration = Duration::from_secs(7);

#[test]
fn a_peer_that_restarts_is_waited_for_and_not_for_ever() {
    let shoots = |action: &Action| matches!(action, Action::Fence(_) | Action::LookAtPower(_));
    let peer = [(Role::Active, Role::Standby), (Role::Standby, Role::Active)];
    for (role, of_peer) in peer {
        let mut scene =
            if role == Role::Active { Scene::serving_with(|_| ()) } else { Scene::standby() };
        guard_talks(&mut scene, RESTART_TIME, of_peer);
        assert!(!scene.has_done(shoots), "{role}");
        assert_eq!(scene.node.role(), role);
        let told = scene.node.peer().restarts(scene.now);
        assert!(told && scene.node.peer().heartbeat(scene.now).is_none(), "its words are no proof");
        // It talks on, and that counts no more: the next turn of this box comes.
        guard_talks(&mut scene, 20 * SECOND, of_peer);
        assert!(scene.has_done(shoots), "{role}");
    }
}

#[test]
fn a_guard_that_falls_silent_is_not_waited_for() {
    let mut active = Scene::serving_with(|_| ());
    guard_talks(&mut active, 2 * SECOND, Role::Standby);
    assert!(!active.has_done(|action| matches!(action, Action::Fence(_))));
    active.silence(20 * SECOND);
    assert!(active.has_done(|action| matches!(action, Action::Fence(_))));
}

#[test]
fn a_guard_of_an_unknown_life_says_nothing() {
    let mut active = Scene::serving_with(|_| ());
    active.epoch = Epoch { boot: Incarnation([0x70, 0x66, 0, 0]), change: 0 };
    guard_talks(&mut active, 2 * SECOND, Role::Standby);
    assert!(active.has_done(|action| matches!(action, Action::Fence(_))));
}

#[test]
fn nothing_is_handed_to_a_peer_that_restarts() {
    let mut active = Scene::serving_with(|_| ());
    active.says(|_| ());
    active.says(|word| word.restarts = true);
    assert_eq!(active.order(Order::Standby(OrderDuration::Reboot)), Err(Refusal::PeerNotReady));
    active.epoch = Epoch { boot: Incarnation([0x70, 0x66, 0, 0]), change: 0 };
    active.says(|_| ());
    assert_eq!(
        active.order(Order::Standby(OrderDuration::Reboot)),
        Ok(()),
        "another life has come"
    );
}

#[test]
fn the_farewell_of_a_guard_releases() {
    for late in [SECOND, RESTART_TIME + 3 * SECOND] {
        let mut standby = Scene::standby();
        guard_talks(&mut standby, late, Role::Active);
        let (heard, last) = (standby.node.epoch(), standby.epoch);
        standby.says_unproven(|word| {
            (word.role, word.heard, word.epoch) = (Role::Active, Some(heard), last);
            *word = word.farewell();
        });
        standby.silence(SECOND / 5);
        assert_eq!(standby.node.role(), Role::Starting);
        assert!(!standby.has_done(|action| matches!(action, Action::Fence(_))));
    }
}

#[test]
fn a_guard_says_nothing_new() {
    let word = Scene::standby().node.heartbeat(Scene::standby().now);
    let says = |but: fn(&mut Heartbeat)| {
        let mut word = word;
        but(&mut word);
        word.while_it_restarts()
    };
    assert_eq!(says(|_| ()), Some(Heartbeat { restarts: true, ..word }));
    assert_eq!(says(|word| word.role = Role::Fencing), None);
    assert_eq!(says(|word| word.shoots = true), None);
    assert_eq!(says(|word| word.request = PeerRequest::Fence), None);
    assert_eq!(says(|word| word.request = PeerRequest::Leave), None);
}

#[test]
fn an_order_outlives_the_supervisor_for_its_time() {
    let last = Scene::standby().last_record(|scene| {
        assert_eq!(scene.order(Order::Maintenance(OrderDuration::Time(60 * SECOND))), Ok(()));
    });
    let mut reborn = Scene::born(Some(last), |_| ());
    reborn.silence(50 * SECOND);
    assert_eq!(reborn.node.request(), PeerRequest::Maintenance);
    let ended = reborn.last_record(|scene| scene.silence(20 * SECOND));
    assert_eq!(ended.order, None);
    let last = Scene::standby().last_record(|scene| {
        assert_eq!(scene.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    });
    assert_eq!(Scene::born(Some(last), |_| ()).node.request(), PeerRequest::Standby);
    assert_eq!(Scene::born(Some(last.after_a_boot()), |_| ()).node.request(), PeerRequest::Nothing);
}

#[test]
fn what_ran_on_is_not_kept_by_a_box_that_was_told_to_leave() {
    let last = Scene::standby().last_record(|scene| {
        scene.says(|word| word.request = PeerRequest::HandOver);
        scene.is_answered(Answer::Started);
    });
    let mut reborn = Scene::born(Some(last), |_| ());
    assert_eq!(reborn.order(Order::Leave), Ok(()));
    reborn.is_answered(Answer::Adopted);
    assert_eq!(reborn.node.role(), Role::Init);
    let mut reborn = Scene::born(Some(last), |_| ());
    reborn.is_answered(Answer::Adopted);
    assert_eq!(reborn.node.role(), Role::Active, "nobody has told this one to");
}

#[test]
fn an_order_that_ends_is_written_down() {
    let resumed = Scene::standby().last_record(|scene| {
        assert_eq!(scene.order(Order::Standby(OrderDuration::Resume)), Ok(()));
        assert_eq!(scene.order(Order::Resume), Ok(()));
    });
    assert_eq!(resumed.order, None);
    let mut standby = Scene::standby();
    standby.done.clear();
    assert_eq!(standby.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    assert_eq!(standby.order(Order::Takeover(OrderDuration::Resume)), Ok(()));
    let records = |scene: &Scene| {
        scene.done.iter().filter(|action| matches!(action, Action::Record(_))).count()
    };
    assert_eq!(records(&standby), 2, "both are worth a write");
    standby.happens(Event::Timeout);
    assert_eq!(records(&standby), 2);
    let last = standby.last_record(|_| ());
    assert!(last.order.is_some_and(|order| order.request == PeerRequest::Claim));
    assert_eq!(last.after_a_boot().order, None, "a box that had to boot earns them anew");
}

#[test]
fn a_box_that_asks_to_be_fenced_resets_itself_once() {
    let mut active = Scene::serving_with(|_| ());
    assert_eq!(active.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    assert!(resets(&active.is_answered(Answer::StopFailed(RESOURCE))));
    assert!(!resets(&active.happens(Event::Timeout)));
}

#[test]
fn a_box_that_is_shot_at_resets_itself_once_and_only_if_it_is_meant() {
    let mut active = Scene::serving_with(|_| ());
    let another = Some(Epoch { boot: Incarnation(*b"gone"), change: 7 });
    assert!(!resets(&active.says(|word| (word.shoots, word.heard) = (true, another))));
    assert!(resets(&active.says(|word| word.shoots = true)));
    assert!(!resets(&active.says(|word| word.shoots = true)));
    let mut newborn = Scene::born(None, |_| ());
    assert!(!resets(&newborn.says(|word| word.shoots = true)));
    assert!(resets(&newborn.is_answered(Answer::Stopped)), "there is something to lose again");
}

#[test]
fn what_does_not_change_is_not_told() {
    let mut standby = Scene::standby();
    let (line, witness) = (Event::Line(LINK, true), Event::Witness(false));
    assert!(tells(&standby.happens(line), Report::Line(LINK, true)));
    assert!(!tells(&standby.happens(line), Report::Line(LINK, true)));
    assert!(tells(&standby.happens(witness), Report::Witness(false)));
    assert!(!tells(&standby.happens(witness), Report::Witness(false)));
    let leaves = |word: &mut Heartbeat| word.request = PeerRequest::Leave;
    assert!(tells(&standby.says(leaves), Report::PeerLeaves));
    assert!(!tells(&standby.says(leaves), Report::PeerLeaves));
}

#[test]
fn that_nobody_serves_is_told_each_time_unless_this_box_leaves() {
    let mut standby = Scene::standby();
    assert_eq!(standby.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    for _ in 0..2 {
        standby.talks(SECOND, |word| word.role = Role::Active);
        standby.done.clear();
        standby.silence(5 * SECOND);
        assert!(standby.has_done(|action| *action == Action::Tell(Report::NobodyServes)));
    }
    let mut leaving = Scene::standby();
    assert_eq!(leaving.order(Order::Leave), Ok(()));
    leaving.silence(5 * SECOND);
    assert!(!leaving.has_done(|action| *action == Action::Tell(Report::NobodyServes)));
}

#[test]
fn an_answer_to_nothing_stops_nothing() {
    let mut active = Scene::serving_with(|_| ());
    let started = active.asked;
    assert_eq!(active.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    active.happens(Event::Answer(started, Answer::Stopped));
    assert_eq!(active.node.role(), Role::Stopping);
}

#[test]
fn a_claim_stands_where_the_resources_do_not_start() {
    let mut standby = Scene::standby();
    assert_eq!(standby.order(Order::Takeover(OrderDuration::Reboot)), Ok(()));
    standby.says(|word| word.request = PeerRequest::HandOver);
    assert_eq!((standby.node.role(), standby.node.request()), (Role::Starting, PeerRequest::Claim));
    standby.is_answered(Answer::StartFailed(RESOURCE));
    assert_eq!((standby.node.role(), standby.node.request()), (Role::Stopping, PeerRequest::Claim));
    standby.happens(Event::ResourceFailed(RESOURCE));
    assert_eq!(standby.node.recovery().count(RESOURCE), 1, "it is being stopped");
}

#[test]
fn a_failure_leads_to_what_its_policy_says() {
    let mut standby = Scene::standby_with(policy(OnFailure::Fence));
    standby.fails_twice();
    assert_eq!(standby.node.request(), PeerRequest::Nothing, "nothing is held");
    let mut active = Scene::serving_with(policy(OnFailure::Standby));
    active.fails_twice();
    assert_eq!((active.node.role(), active.node.request()), (Role::Stopping, PeerRequest::Standby));
    let mut active = Scene::serving_with(policy(OnFailure::Failover));
    active.says(|word| word.heard = None);
    active.fails_twice();
    assert_eq!(active.node.role(), Role::Active, "the peer is deaf: nobody would serve");
}

#[test]
fn a_box_that_has_failed_keeps_still_in_maintenance_and_under_orders() {
    for order in [Order::Maintenance(OrderDuration::Reboot), Order::Standby(OrderDuration::Reboot)]
    {
        let mut failed = Scene::serving_with(policy(OnFailure::Failover));
        failed.fails_twice();
        failed.is_answered(Answer::Stopped);
        assert_eq!((failed.node.role(), failed.order(order)), (Role::Failed, Ok(())));
        failed.talks(20 * SECOND, |word| word.role = Role::Failed);
        assert_eq!(failed.node.role(), Role::Failed, "no pardon: {order:?}");
        assert_eq!(failed.order(Order::Clear), Ok(()));
        let maintained = matches!(order, Order::Maintenance(_));
        assert_eq!(failed.node.role() == Role::Failed, maintained, "{order:?}");
    }
}

#[test]
fn a_box_that_has_failed_is_pardoned_beside_a_standby_that_is_not_fit() {
    let mut failed = Scene::serving_with(policy(OnFailure::Failover));
    failed.fails_twice();
    failed.is_answered(Answer::Stopped);
    failed.talks(20 * SECOND, |word| word.fit = false);
    assert_ne!(failed.node.role(), Role::Failed);
}

#[test]
fn maintenance_shoots_nobody() {
    let mut active = Scene::serving_with(|_| ());
    assert_eq!(active.order(Order::Maintenance(OrderDuration::Reboot)), Ok(()));
    active.silence(10 * SECOND);
    assert!(!active.has_done(|action| matches!(action, Action::Fence(_))));
}

#[test]
fn only_who_serves_and_is_known_to_hands_over_to_a_claim() {
    let claims = |word: &mut Heartbeat| word.request = PeerRequest::Claim;
    let mut starting = Scene::standby();
    starting.says(|word| word.request = PeerRequest::HandOver);
    starting.says(claims);
    assert_eq!(starting.node.role(), Role::Starting);
    let mut active = Scene::serving_with(|_| ());
    let before = active.before();
    active.says(|word| (word.request, word.heard) = (PeerRequest::Claim, before));
    assert_eq!(active.node.role(), Role::Active, "it was said to who did not serve");
    active.says(|word| (word.request, word.fit) = (PeerRequest::Claim, false));
    assert_eq!(active.node.role(), Role::Active, "nobody would serve");
    active.says(claims);
    assert_eq!(active.node.role(), Role::Stopping);
}

#[test]
fn a_lost_witness_moves_the_resources_unless_an_order_keeps_them() {
    let mut seeing = Scene::serving_with(|_| ());
    seeing.says(|_| ());
    assert_eq!(seeing.node.role(), Role::Active, "nothing is lost");
    let mut claimed = Scene::serving_with(|_| ());
    assert_eq!(claimed.order(Order::Takeover(OrderDuration::Reboot)), Ok(()));
    claimed.happens(Event::Witness(false));
    claimed.says(|_| ());
    assert_eq!(claimed.node.role(), Role::Active);
}

#[test]
fn who_leaves_is_heard_or_has_waited_for_it() {
    let mut standby = Scene::standby();
    assert_eq!(standby.order(Order::Leave), Ok(()));
    standby.talks(SECOND / 2, |word| word.heard = None);
    assert!(!standby.has_left());
    standby.talks(SECOND, |word| word.heard = None);
    assert!(standby.has_left());
    let holding = Scene::serving_with(|_| ()).last_record(|scene| {
        assert_eq!(scene.order(Order::Leave), Ok(()));
    });
    assert!(!holding.clean, "it holds");
}

#[test]
fn a_box_that_was_stuck_shoots_as_any_other() {
    let mut active = Scene::serving_with(|_| ());
    assert_eq!(active.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    active.is_answered(Answer::StopFailed(RESOURCE));
    active.talks(SECOND, |_| ());
    active.is_answered(Answer::Stopped);
    active.says(|word| word.request = PeerRequest::HandOver);
    active.is_answered(Answer::Started);
    assert_eq!(active.node.role(), Role::Active);
    active.done.clear();
    active.silence(2 * SECOND);
    assert!(active.has_done(|action| matches!(action, Action::Fence(_))));
}

#[test]
fn a_box_that_was_late_listens_before_it_shoots() {
    let fences = |action: &Action| matches!(action, Action::Fence(_));
    let mut standby = Scene::standby();
    standby.silence(2 * SECOND);
    standby.is_answered(Answer::PowerOn);
    let mut active = Scene::serving_with(|_| ());
    while active.node.next_deadline() < active.heard + SECOND {
        active.now = active.node.next_deadline();
        active.happens(Event::Timeout);
    }
    for mut scene in [standby, active] {
        scene.now = scene.now + 30 * SECOND;
        scene.happens(Event::Timeout);
        assert!(!scene.has_done(fences), "{:?}", scene.node.role());
        // Its first slot is over, by the clock of the other box.
        scene.silence(13 * SECOND);
        assert!(scene.has_done(fences), "{:?}", scene.node.role());
    }
}

#[test]
fn a_box_leaves_when_all_is_done() {
    let mut active = Scene::active();
    assert!(matches!(active.node.fencing(), Fencing::Ordered(..)));
    let shot = active.asked;
    assert_eq!(active.order(Order::Leave), Ok(()));
    let stop = active.asked;
    active.says(|_| ());
    assert!(!active.has_left(), "it holds");
    active.happens(Event::Answer(stop, Answer::Stopped));
    active.says(|_| ());
    assert!(!active.has_left(), "it waits for the shot: {:?}", active.node.fencing());
    assert!(active.happens(Event::Answer(shot, Answer::FenceFailed)).contains(&CALLED_OFF));
    assert!(active.has_left());

    let mut newborn = Scene::born(None, |_| ());
    assert_eq!(newborn.order(Order::Leave), Ok(()));
    assert!(!newborn.has_left(), "it does not know what was left");
    newborn.is_answered(Answer::Stopped);
    assert!(newborn.has_left());
}

#[test]
fn what_is_being_stopped_is_not_started_again() {
    let mut active = Scene::serving_with(|settings| policy_of(settings, OnFailure::Failover, 5));
    for _ in 0..3 {
        active.happens(Event::ResourceFailed(RESOURCE));
    }
    active.done.clear();
    assert_eq!(active.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    active.talks(20 * SECOND, |_| ());
    active.is_answered(Answer::Stopped);
    active.talks(20 * SECOND, |word| word.role = Role::Active);
    assert!(!active.has_done(|action| matches!(action, Action::Restart(_))));
}

#[test]
fn an_order_ends_with_what_it_asked_for() {
    let mut standby = Scene::standby();
    assert_eq!(standby.order(Order::Maintenance(OrderDuration::Time(10 * SECOND))), Ok(()));
    assert_eq!(standby.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    standby.talks(20 * SECOND, |word| word.role = Role::Active);
    assert_eq!(standby.node.request(), PeerRequest::Standby);
    assert_eq!(standby.order(Order::Standby(OrderDuration::Time(10 * SECOND))), Ok(()));
    assert_eq!(standby.order(Order::Resume), Ok(()));
    standby.done.clear();
    standby.talks(20 * SECOND, |word| word.role = Role::Active);
    assert!(!standby.has_done(|action| *action == Action::Tell(Report::OrderEnded)));
    assert_eq!(standby.order(Order::Standby(OrderDuration::Time(10 * SECOND))), Ok(()));
    let epoch = standby.node.epoch();
    assert_eq!(standby.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    standby.talks(20 * SECOND, |word| word.role = Role::Active);
    assert_eq!(
        (standby.node.request(), standby.node.epoch()),
        (PeerRequest::Standby, epoch),
        "as before"
    );
}

#[test]
fn who_became_fit_since_is_not_released_by_the_word_of_before() {
    let mut standby = Scene::standby_with(policy(OnFailure::Failover));
    standby.fails_twice();
    standby.says(|word| word.request = PeerRequest::HandOver);
    assert_eq!(standby.node.role(), Role::Standby, "it is not fit");
    standby.says(|word| word.role = Role::Active);
    let before = Some(standby.node.epoch());
    assert_eq!(standby.order(Order::Clear), Ok(()));
    standby.says(|word| word.heard = before);
    assert_eq!(standby.node.role(), Role::Standby, "the peer may count on this box being unfit");
    standby.says(|_| ());
    assert_eq!(standby.node.role(), Role::Starting);
}

#[test]
fn of_two_claims_the_higher_stands_and_no_claim_moves_a_box_under_orders() {
    let claims = |rank| {
        move |word: &mut Heartbeat| (word.priority, word.request) = (rank, PeerRequest::Claim)
    };
    let mut standby = Scene::standby();
    assert_eq!(standby.order(Order::Takeover(OrderDuration::Reboot)), Ok(()));
    standby.says(claims(Priority(1)));
    assert_eq!(standby.node.request(), PeerRequest::Claim);
    standby.says(claims(HOME));
    assert_eq!(standby.node.request(), PeerRequest::HandOver);
    let mut ordered = Scene::standby();
    assert_eq!(ordered.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    ordered.says(claims(HOME));
    assert_eq!(ordered.node.request(), PeerRequest::Standby);
    let mut idle = Scene::standby();
    idle.says(claims(Priority(1)));
    assert_eq!((idle.node.role(), idle.node.request()), (Role::Standby, PeerRequest::HandOver));
}

#[test]
fn a_claim_of_a_box_that_is_not_fit_releases() {
    let mut standby = Scene::standby();
    standby.says(|word| {
        (word.priority, word.request, word.fit) = (HOME, PeerRequest::Claim, false);
    });
    assert_eq!(standby.node.role(), Role::Starting);
}

#[test]
fn a_farewell_stays_true() {
    let mut standby = Scene::standby();
    assert_eq!(standby.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    standby.says(|word| word.request = PeerRequest::Leave);
    standby.silence(10 * SECOND);
    assert_eq!(standby.order(Order::Resume), Ok(()));
    assert_eq!(standby.node.role(), Role::Starting, "this box was something else when it was said");
    let mut newborn = Scene::standby();
    newborn.says(|word| (word.role, word.request) = (Role::Init, PeerRequest::Leave));
    assert_eq!(newborn.node.role(), Role::Standby, "it may not know what it holds");
    let mut another = Scene::standby();
    let gone = Some(Epoch { boot: Incarnation(*b"gone"), change: 99 });
    another.says(|word| (word.request, word.heard) = (PeerRequest::Leave, gone));
    assert_eq!(another.node.role(), Role::Standby, "it was said to an earlier boot");
}

#[test]
fn a_term_is_never_given_twice() {
    let mut active = Scene::serving_with(|_| ());
    let later = Term(active.node.term().0 + 5);
    active.says(|word| (word.role, word.term) = (Role::Active, later));
    assert_eq!(active.node.role(), Role::Stopping);
    active.says(|word| (word.request, word.term) = (PeerRequest::Leave, later));
    active.is_answered(Answer::Stopped);
    assert_eq!((active.node.role(), active.node.term()), (Role::Starting, Term(later.0 + 1)));
}

#[test]
fn a_peer_that_cannot_shoot_is_no_threat() {
    let deaf = |heard: fn(&Scene) -> Option<Epoch>, role| {
        let mut active = Scene::serving_with(|_| ());
        let heard = heard(&active);
        active.says(|_| ());
        for _ in 0..10 {
            active.silence(200 * MILLI);
            active.says_unproven(|word| (word.role, word.heard) = (role, heard));
        }
        matches!(active.node.fencing(), Fencing::Ordered(..))
    };
    let before = |active: &Scene| active.before();
    assert!(deaf(before, Role::Fencing), "at once: the service goes on");
    assert!(!deaf(before, Role::Standby), "it is kept from serving, or it would fence");
    let mut hears = Scene::serving_with(|_| ());
    hears.talks(2 * SECOND, |word| word.role = Role::Fencing);
    assert_eq!(hears.node.fencing(), Fencing::None, "it hears again, and will say so");
    let mut newborn = Scene::serving_with(|_| ());
    newborn.epoch = Epoch { boot: Incarnation::after(newborn.epoch.boot, [7; 2]), change: 0 };
    for _ in 0..10 {
        newborn.silence(200 * MILLI);
        newborn.says_unproven(|word| word.role = Role::Fencing);
    }
    assert_eq!(newborn.node.fencing(), Fencing::None, "it has never heard anybody");
}

#[test]
fn a_box_that_may_not_serve_any_more_does_not_shoot() {
    let mut standby = Scene::standby_with(policy(OnFailure::Failover));
    standby.silence(2 * SECOND);
    standby.is_answered(Answer::PowerOn);
    assert_eq!(standby.node.fencing(), Fencing::Armed);
    standby.fails_twice();
    standby.silence(20 * SECOND);
    assert!(!standby.has_done(|action| matches!(action, Action::Fence(_))));
    let mut fencing = Scene::standby_with(policy(OnFailure::Failover));
    fencing.silence(2 * SECOND);
    fencing.is_answered(Answer::PowerOn);
    fencing.silence(10 * SECOND);
    assert!(matches!(fencing.node.fencing(), Fencing::Ordered(..)));
    fencing.fails_twice();
    fencing.is_seen_off();
    assert_eq!(fencing.node.role(), Role::Standby, "nor does its shot make it serve");
}

#[test]
fn a_shot_that_failed_is_tried_again_in_the_next_slot_of_this_box() {
    let fences = |action: &Action| matches!(action, Action::Fence(_));
    let mut active = Scene::active();
    active.done.clear();
    active.is_answered(Answer::FenceFailed);
    active.silence(10 * SECOND);
    assert!(!active.has_done(fences), "the other box has this slot");
    active.silence(2 * SECOND);
    assert!(active.has_done(fences));
    active.silence(20 * SECOND);
    assert!(!active.has_done(fences), "it is not answered");
}

#[test]
fn a_question_is_not_asked_twice() {
    let mut standby = Scene::standby();
    standby.silence(2 * SECOND);
    assert!(standby.has_done(|action| matches!(action, Action::LookAtPower(_))));
    standby.silence(10 * SECOND);
    assert!(!standby.has_done(|action| matches!(action, Action::LookAtPower(_))));
}

#[test]
fn a_peer_that_asks_to_be_shot_is_shot_also_where_silence_is_enough() {
    let mut standby = Scene::standby_with(|settings| settings.require = Require::Silence);
    standby.says(|word| (word.role, word.request) = (Role::Stopping, PeerRequest::Fence));
    assert_eq!(standby.node.role(), Role::Fencing);
}

#[test]
fn only_the_first_shot_at_a_device_that_answers_is_a_pill() {
    let shoots = |scene: &Scene| scene.node.heartbeat(scene.now).shoots;
    let mut active = Scene::active();
    assert!(!shoots(&active), "the device has not answered");
    active.device_is_ready();
    assert!(shoots(&active));
    active.is_answered(Answer::FenceFailed);
    assert!(!shoots(&active));
    active.silence(13 * SECOND);
    active.device_is_ready();
    active.silence(SECOND);
    assert!(matches!(active.node.fencing(), Fencing::Cut(_)) && !shoots(&active), "not the first");
    let mut standby = Scene::standby();
    for answer in [Answer::PowerSilent, Answer::PowerOn] {
        standby.says(|word| word.role = Role::Active);
        standby.silence(2 * SECOND);
        assert!(!standby.node.signs(standby.now).bmc_silent, "it was not asked yet");
        standby.is_answered(answer);
        standby.silence(10 * SECOND);
        standby.device_is_ready();
        standby.silence(SECOND);
        assert!(matches!(standby.node.fencing(), Fencing::Cut(_)));
        assert_eq!(shoots(&standby), answer == Answer::PowerOn);
        standby.is_answered(Answer::FenceFailed);
    }
}

#[test]
fn darkness_is_no_evidence_while_it_lasts_too_short_or_the_peer_talks() {
    let dark = |settings: &mut Settings| settings.require = Require::Dark;
    let lines = |scene: &mut Scene, up: &[bool]| {
        for up in up {
            scene.happens(Event::Line(OTHER_LINK, *up));
        }
    };
    let ask = |scene: &mut Scene| {
        for _ in 0..40 {
            scene.silence(SECOND);
            scene.is_answered(Answer::PowerSilent);
            scene.is_answered(Answer::FenceFailed);
        }
    };
    let mut standby = Scene::standby_with(dark);
    lines(&mut standby, &[true, false]);
    ask(&mut standby);
    assert_eq!(standby.node.role(), Role::Starting, "or the others would show nothing");
    let mut never_up = Scene::standby_with(dark);
    lines(&mut never_up, &[false]);
    ask(&mut never_up);
    assert_eq!(never_up.node.role(), Role::Fencing);
    let mut one_up = Scene::standby_with(dark);
    lines(&mut one_up, &[true, false]);
    one_up.happens(Event::Line(LINK, true));
    ask(&mut one_up);
    assert_eq!(one_up.node.role(), Role::Fencing);
    let mut required = Scene::standby();
    lines(&mut required, &[true, false]);
    ask(&mut required);
    assert_eq!(required.node.role(), Role::Fencing, "only a power that is off is evidence here");
    assert_eq!(required.node.signs(required.now).dark_at, None, "it has been dark for long enough");
    let mut active = Scene::serving_with(dark);
    lines(&mut active, &[true, false]);
    ask(&mut active);
    assert_eq!(active.node.role(), Role::Active);
    let mut pleads = Scene::standby_with(dark);
    lines(&mut pleads, &[true, false]);
    for _ in 0..40 {
        pleads
            .talks(SECOND, |word| (word.role, word.request) = (Role::Stopping, PeerRequest::Fence));
        pleads.is_answered(Answer::PowerSilent);
        pleads.is_answered(Answer::FenceFailed);
    }
    assert_eq!(pleads.node.role(), Role::Fencing, "who talks is not dark");
}

/// The pause after a shot that fails grows to half a minute: it is no reason to look later.
#[test]
fn the_look_at_the_end_of_darkness_waits_for_no_pause() {
    let mut standby = Scene::standby_with(|settings| {
        settings.require = Require::Dark;
        settings.dark_time = Duration::from_secs(30);
    });
    standby.happens(Event::Line(OTHER_LINK, true));
    standby.happens(Event::Line(OTHER_LINK, false));
    standby.silence(2 * SECOND);
    standby.is_answered(Answer::PowerSilent);
    let dark_at = standby.node.signs(standby.now).dark_at.expect("it is dark by now");
    let shoots = |scene: &Scene| matches!(scene.node.fencing(), Fencing::Ordered(..));
    // Each shot takes its whole time, and the last of them reaches beyond the dark time.
    while standby.now < dark_at {
        standby.silence(SECOND / 10);
        if shoots(&standby) && standby.now + 10 * SECOND < dark_at {
            standby.silence(5 * SECOND);
            standby.is_answered(Answer::FenceFailed);
        }
        if matches!(standby.node.fencing(), Fencing::Querying(_)) {
            standby.is_answered(Answer::PowerSilent);
        }
    }
    assert!(shoots(&standby), "{:?}", standby.node.fencing());
    standby.is_answered(Answer::FenceFailed);
    assert!(matches!(standby.node.fencing(), Fencing::Querying(_)), "{:?}", standby.node.fencing());
    standby.is_answered(Answer::PowerSilent);
    assert_eq!(standby.node.role(), Role::Starting);
}

#[test]
fn a_box_that_took_over_from_the_dark_never_shoots_unheard() {
    let mut alone = Scene::born(None, |settings| settings.require = Require::Dark);
    alone.is_answered(Answer::Stopped);
    alone.happens(Event::Line(OTHER_LINK, true));
    alone.happens(Event::Line(OTHER_LINK, false));
    for _ in 0..60 {
        alone.silence(SECOND);
        alone.is_answered(Answer::PowerSilent);
    }
    assert_eq!(alone.node.role(), Role::Starting);
    alone.is_answered(Answer::Started);
    alone.done.clear();
    alone.silence(20 * SECOND);
    assert_eq!(alone.node.fencing(), Fencing::None);
    let acts = |action: &Action| matches!(action, Action::Fence(_) | Action::LookAtPower(_));
    assert!(!alone.has_done(acts));
}

#[test]
fn a_device_that_answers_is_light_first_and_last() {
    let alone = || {
        let mut alone = Scene::born(None, |settings| settings.require = Require::Dark);
        alone.is_answered(Answer::Stopped);
        alone.happens(Event::Line(OTHER_LINK, true));
        alone.happens(Event::Line(OTHER_LINK, false));
        alone.silence(16 * SECOND);
        assert_eq!(alone.node.role(), Role::Fencing);
        alone
    };
    let mut first = alone();
    for _ in 0..30 {
        first.is_answered(Answer::PowerOn);
        first.silence(SECOND);
    }
    first.is_answered(Answer::PowerOn);
    first.done.clear();
    while !first.has_done(|action| matches!(action, Action::LookAtPower(_))) {
        first.silence(SECOND / 10);
    }
    first.is_answered(Answer::PowerSilent);
    assert_eq!(first.node.role(), Role::Fencing, "it is mute since this moment only");
    let mut last = alone();
    last.is_answered(Answer::PowerSilent);
    for _ in 0..200 {
        last.silence(SECOND / 10);
        let ripens = last.node.signs(last.now).dark_at.is_some();
        last.is_answered(if ripens { Answer::PowerSilent } else { Answer::PowerOn });
    }
    assert_eq!(last.node.role(), Role::Fencing);
}

#[test]
fn darkness_does_not_overtake_a_shot() {
    let mut standby = Scene::standby_with(|settings| settings.require = Require::Dark);
    standby.happens(Event::Line(OTHER_LINK, true));
    standby.happens(Event::Line(OTHER_LINK, false));
    standby.silence(2 * SECOND);
    standby.is_answered(Answer::PowerSilent);
    standby.silence(20 * SECOND);
    assert!(matches!(standby.node.fencing(), Fencing::Ordered(..)), "{:?}", standby.node.fencing());
}

#[test]
fn a_peer_that_was_seen_off_is_no_longer_in_maintenance() {
    let mut active = Scene::active();
    active.says(|word| word.request = PeerRequest::Maintenance);
    assert!(active.node.peer().in_maintenance());
    active.now = active.now + 100 * MILLI;
    active.is_seen_off();
    assert!(!active.node.peer().in_maintenance());
}

#[test]
fn a_stay_has_failed_only_if_home_gave_up_by_itself() {
    type Word = fn(&mut Heartbeat);
    let hold = |scene: &Scene| scene.node.failback().hold(SECOND);
    let gives_up: [(Word, bool); 5] = [
        (|word| word.role = Role::Failed, true),
        (|word| word.fit = false, true),
        (|word| (word.witness, word.request) = (false, PeerRequest::HandOver), true),
        (|word| word.request = PeerRequest::Standby, false),
        (|word| word.request = PeerRequest::HandOver, false),
    ];
    for (number, (says, failed)) in gives_up.into_iter().enumerate() {
        let mut away = Scene::gave_back();
        away.says(|word| {
            word.priority = HOME;
            says(word);
        });
        assert_eq!(away.node.role(), Role::Starting, "{number}");
        assert_eq!(hold(&away) > SECOND, failed, "{number}");
        if failed {
            away.is_answered(Answer::Started);
            away.says(|word| word.priority = HOME);
            assert_eq!(away.order(Order::Failback), Ok(()));
            assert_eq!(hold(&away), SECOND, "an order forgives");
        }
    }
}

#[test]
fn a_resume_forgives_home() {
    let mut away = Scene::gave_back();
    away.says(|word| (word.priority, word.role) = (HOME, Role::Failed));
    assert!(away.node.failback().hold(SECOND) > SECOND);
    assert_eq!(away.order(Order::Resume), Ok(()));
    assert_eq!(away.node.failback().hold(SECOND), SECOND);
}

#[test]
fn a_home_that_sees_less_is_not_well_and_two_that_see_nothing_are() {
    let home =
        |sees: bool| move |word: &mut Heartbeat| (word.priority, word.witness) = (HOME, sees);
    let hold = |settings: &mut Settings| settings.failback_hold = 10 * SECOND;
    let mut active = Scene::serving_with(hold);
    active.talks(8 * SECOND, home(true));
    active.says(home(false));
    active.talks(4 * SECOND, home(true));
    assert_eq!(active.node.role(), Role::Active, "the hold has begun anew");
    let mut active = Scene::serving_with(hold);
    active.talks(8 * SECOND, home(true));
    active.says(|word| (word.priority, word.role) = (HOME, Role::Failed));
    active.talks(4 * SECOND, home(true));
    assert_eq!(active.node.role(), Role::Active, "nor is one that has failed");
    let mut active = Scene::serving_with(hold);
    active.talks(8 * SECOND, home(true));
    active.happens(Event::Witness(false));
    active.talks(4 * SECOND, home(false));
    assert_eq!(active.node.role(), Role::Stopping);
}

#[test]
fn a_resume_does_not_stop_a_hand_over() {
    let mut active = Scene::serving_with(|_| ());
    active.happens(Event::Witness(false));
    active.says(|_| ());
    assert_eq!(
        (active.node.role(), active.node.request()),
        (Role::Stopping, PeerRequest::HandOver)
    );
    assert_eq!(active.order(Order::Resume), Ok(()));
    assert_eq!(active.node.request(), PeerRequest::HandOver);
}

#[test]
fn home_must_hear_and_auto_failback_off_is_off() {
    let home = |word: &mut Heartbeat| word.priority = HOME;
    let mut off = Scene::serving_with(|settings| settings.auto_failback = AutoFailback::Off);
    off.talks(100 * SECOND, home);
    assert_eq!(off.node.role(), Role::Active);
    let on = |settings: &mut Settings| settings.failback_hold = 10 * SECOND;
    let mut deaf = Scene::serving_with(on);
    deaf.talks(20 * SECOND, |word| (word.priority, word.heard) = (HOME, None));
    deaf.says(home);
    assert_eq!(deaf.node.role(), Role::Active, "it was in no order while it was deaf");
    deaf.talks(20 * SECOND, home);
    assert_eq!(deaf.node.role(), Role::Stopping);
}

#[test]
fn orders_are_refused_to_and_for_who_cannot() {
    let takeover = Order::Takeover(OrderDuration::Reboot);
    let mut standby = Scene::standby_with(policy(OnFailure::Failover));
    standby.says(|word| (word.role, word.heard) = (Role::Active, None));
    assert_eq!(standby.order(takeover), Err(Refusal::PeerDeaf));
    assert_eq!(standby.order(Order::Standby(OrderDuration::Reboot)), Ok(()), "nothing is given up");
    standby.fails_twice();
    standby.says(|word| word.role = Role::Active);
    assert_eq!(standby.order(takeover), Err(Refusal::NotFit));
    let mut active = Scene::serving_with(|_| ());
    active.says(|word| (word.heard, word.fit) = (None, true));
    assert_eq!(active.order(Order::Standby(OrderDuration::Reboot)), Err(Refusal::PeerDeaf));
    active.says(|word| word.request = PeerRequest::Standby);
    assert_eq!(active.order(Order::Standby(OrderDuration::Reboot)), Err(Refusal::PeerNotReady));
    assert_eq!(active.order(Order::Takeover(OrderDuration::Reboot)), Ok(()));
    assert_eq!(active.order(Order::Takeover(OrderDuration::Time(SECOND))), Ok(()));
}

#[test]
fn a_confirmation_is_for_who_waits_for_one() {
    let mut standby = Scene::standby();
    assert_eq!(standby.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    standby.silence(5 * SECOND);
    let confirm = Order::Confirm(BoxId::Second);
    assert_eq!(standby.order(confirm), Err(Refusal::NothingToConfirm));
    let mut fencing = Scene::standby_with(policy(OnFailure::Failover));
    fencing.silence(5 * SECOND);
    assert_eq!(fencing.order(Order::Confirm(BoxId::First)), Err(Refusal::NotThePeer));
    fencing.is_answered(Answer::PowerOn);
    fencing.silence(10 * SECOND);
    assert!(matches!(fencing.node.fencing(), Fencing::Ordered(..)));
    fencing.fails_twice();
    assert_eq!(fencing.order(confirm), Err(Refusal::NotFit));
    assert_eq!(fencing.order(Order::Clear), Ok(()));
    assert_eq!(fencing.order(confirm), Ok(()));
    assert!(fencing.node.peer().fenced());
    assert_eq!(fencing.node.role(), Role::Starting);
    assert!(matches!(fencing.node.fencing(), Fencing::CalledOff(_)), "it may be repaired by now");
    assert!(fencing.has_done(|action| matches!(action, Action::CallOff(_))));
}

#[test]
fn a_resume_ends_what_was_ordered_and_nothing_else() {
    let mut handing_over = Scene::standby();
    handing_over.says(|word| word.request = PeerRequest::Claim);
    assert_eq!(handing_over.order(Order::Resume), Ok(()));
    assert_eq!(handing_over.node.request(), PeerRequest::HandOver);
    let mut standby = Scene::standby();
    let maintained =
        |word: &mut Heartbeat| (word.role, word.request) = (Role::Active, PeerRequest::Maintenance);
    standby.says(maintained);
    assert_eq!(standby.order(Order::Resume), Ok(()));
    assert!(standby.node.peer().in_maintenance(), "the peer can say so itself");
    standby.silence(5 * SECOND);
    assert_eq!(standby.order(Order::Resume), Ok(()));
    assert!(!standby.node.peer().in_maintenance());
    let mut left = Scene::standby();
    assert_eq!(left.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    left.says(|word| word.request = PeerRequest::Leave);
    left.silence(5 * SECOND);
    assert_eq!(left.order(Order::Resume), Ok(()));
    assert_eq!(left.node.role(), Role::Starting, "the farewell stands");
}

/// What is too long to be said in each test.
trait Told {
    fn gave_back() -> Self;
    fn fails_twice(&mut self);
    fn before(&self) -> Option<Epoch>;
    fn has_left(&mut self) -> bool;
}

impl Told for Scene {
    /// A box that has given the resources back to home, which has served them for a moment.
    fn gave_back() -> Self {
        let mut away = Self::serving_with(|settings| settings.failback_hold = 10 * SECOND);
        away.talks(20 * SECOND, |word| word.priority = HOME);
        away.is_answered(Answer::Stopped);
        away.says(|word| (word.priority, word.role) = (HOME, Role::Active));
        away
    }

    fn fails_twice(&mut self) {
        for _ in 0..2 {
            self.happens(Event::ResourceFailed(RESOURCE));
        }
    }

    /// What it was before it was what it is.
    fn before(&self) -> Option<Epoch> {
        let Epoch { boot, change } = self.node.epoch();
        Some(Epoch { boot, change: change - 1 })
    }

    fn has_left(&mut self) -> bool {
        self.has_done(|action| *action == Action::Leave)
    }
}

fn policy(on_failure: OnFailure) -> impl FnOnce(&mut Settings) {
    move |settings| policy_of(settings, on_failure, 2)
}

fn policy_of(settings: &mut Settings, on_failure: OnFailure, threshold: u8) {
    for policy in &mut settings.resources {
        (policy.on_failure, policy.threshold, policy.forget_after) = (on_failure, threshold, None);
    }
}

fn tells(actions: &Actions, report: Report) -> bool {
    actions.contains(&Action::Tell(report))
}

fn resets(actions: &Actions) -> bool {
    actions.contains(&Action::Reset)
}

/// A box whose device said off while this boot of the peer talked, and talked on.
fn lied_to() -> Scene {
    let mut standby = Scene::standby();
    standby.is_polled_off();
    standby.talks(2 * SECOND, |word| word.role = Role::Active);
    standby.is_polled_off();
    standby
}

#[test]
fn a_device_that_is_known_to_lie_is_no_evidence_until_it_has_said_on() {
    let mut standby = lied_to();
    standby.silence(2 * SECOND);
    assert_eq!(standby.node.role(), Role::Fencing);
    standby.is_seen_off();
    assert_eq!(standby.node.role(), Role::Fencing, "a look is not believed");
    for _ in 0..40 {
        standby.silence(SECOND);
        standby.is_answered(Answer::PowerUnknown);
        standby.is_seen_off();
        assert_eq!(standby.node.role(), Role::Fencing, "and neither is a shot");
    }
    standby.happens(Event::SeenOn);
    for _ in 0..40 {
        standby.silence(SECOND);
        standby.is_seen_off();
    }
    assert_eq!(standby.node.role(), Role::Starting);
}

#[test]
fn a_device_is_doubted_and_not_yet_disbelieved() {
    let evidence = |mut standby: Scene| {
        standby.silence(2 * SECOND);
        standby.is_seen_off();
        standby.node.role()
    };
    assert_eq!(evidence(lied_to()), Role::Fencing, "or the others would show nothing");
    let mut once = Scene::standby();
    once.is_polled_off();
    once.is_polled_off();
    assert_eq!(evidence(once), Role::Starting, "it may have lost its power just now");
    let mut reborn = Scene::standby();
    reborn.is_polled_off();
    reborn.silence(700 * MILLI);
    reborn.epoch = Epoch { boot: Incarnation(*b"anew"), change: 0 };
    reborn.talks(2 * SECOND, |word| word.role = Role::Active);
    reborn.is_polled_off();
    assert_eq!(evidence(reborn), Role::Starting, "another boot has had its power cut in between");
}

#[test]
fn a_poll_ends_no_maintenance() {
    let late = |request| {
        let mut standby = Scene::standby();
        standby.says(|word| (word.role, word.request) = (Role::Active, request));
        standby.silence(700 * MILLI);
        standby.is_polled_off();
        standby.node.role()
    };
    assert_eq!(late(PeerRequest::Nothing), Role::Starting);
    assert_eq!(late(PeerRequest::Maintenance), Role::Standby);
}

#[test]
fn a_box_that_fences_is_not_upgraded() {
    let mut standby = Scene::standby();
    standby.silence(2 * SECOND);
    standby.is_answered(Answer::PowerOn);
    assert_eq!(standby.node.role(), Role::Fencing);
    assert_eq!(standby.order(Order::Upgrade), Err(Refusal::Busy));
}

#[test]
fn darkness_that_was_seen_before_a_stall_is_looked_at_again() {
    let ripe = || {
        let mut standby = Scene::standby_with(|settings| settings.require = Require::Dark);
        standby.happens(Event::Line(OTHER_LINK, true));
        standby.happens(Event::Line(OTHER_LINK, false));
        // Until the look at the end of the dark time.
        let dark = |scene: &Scene| scene.node.signs(scene.now).dark_at;
        while dark(&standby).is_none_or(|at| at > standby.now + SECOND) {
            standby.silence(500 * MILLI);
            standby.is_answered(Answer::PowerSilent);
            standby.is_answered(Answer::FenceFailed);
        }
        while dark(&standby).is_some() {
            standby.silence(100 * MILLI);
            standby.is_answered(Answer::FenceFailed);
        }
        assert_eq!(standby.node.role(), Role::Fencing);
        standby
    };
    let mut at_once = ripe();
    at_once.is_answered(Answer::PowerSilent);
    assert_eq!(at_once.node.role(), Role::Starting);
    let mut stalled = ripe();
    stalled.now = stalled.now + 5 * SECOND;
    stalled.is_answered(Answer::PowerSilent);
    assert_eq!(stalled.node.role(), Role::Fencing);
}

#[test]
fn a_peer_that_is_owed_its_power_gets_it_or_is_heard() {
    let owed = || {
        let mut standby = Scene::standby();
        standby.happens(Event::OwesPower(60 * SECOND));
        let due = standby.now + 60 * SECOND;
        standby.talks(59_500 * MILLI, |word| word.role = Role::Active);
        assert_eq!(standby.node.power_on(), Some(due), "what is heard before says nothing");
        assert_eq!(standby.node.timer(Timer::PowerOn), Some(due));
        assert!(!standby.has_done(|action| matches!(action, Action::PowerOn(_))));
        standby
    };
    let mut silent = owed();
    silent.silence(600 * MILLI);
    assert!(silent.has_done(|action| matches!(action, Action::PowerOn(_))));
    silent.is_answered(Answer::PowerOnFailed);
    let due = silent.node.power_on().expect("it is still owed");
    assert_eq!(silent.node.timer(Timer::PowerOn), Some(due + 30 * SECOND), "it is tried again");
    silent.is_answered(Answer::PoweredOn);
    assert_eq!((silent.node.power_on(), silent.node.timer(Timer::PowerOn)), (None, None));
    let mut heard = owed();
    heard.talks(SECOND, |word| word.role = Role::Active);
    assert_eq!(heard.node.power_on(), None, "it has its power");
}

#[test]
fn a_box_says_anew_what_its_witnesses_tell() {
    let mut standby = Scene::standby();
    let before = standby.node.epoch().change;
    assert!(standby.node.witness());
    standby.happens(Event::Witness(false));
    assert!(!standby.node.witness());
    assert_eq!(standby.node.epoch().change, before + 1);
    assert_eq!(standby.node.order(), None);
    assert_eq!(standby.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    assert!(standby.node.order().is_some_and(|order| order.request == PeerRequest::Standby));
}

/// A recording of an earlier boot, which was about to shoot; the present one is late, and then talks on.
#[test]
fn a_recording_that_fences_gets_nobody_shot() {
    let mut active = Scene::serving_with(|_| ());
    let old = active.epoch;
    active.silence(600 * MILLI);
    active.epoch = Epoch { boot: Incarnation(*b"anew"), change: 0 };
    active.talks(2 * SECOND, |_| ());
    active.silence(600 * MILLI);
    let heard = Some(Epoch { boot: Incarnation(*b"gone"), change: 1 });
    for _ in 0..3 {
        active.says_unproven(|word| {
            (word.role, word.epoch, word.heard) = (Role::Fencing, old, heard);
        });
        active.silence(100 * MILLI);
    }
    assert_eq!(active.node.fencing(), Fencing::None);
}

#[test]
fn the_epoch_rises_with_every_new_stance_and_never_falls() {
    type Does = fn(&mut Scene);
    let changes: [(&str, Does); 5] = [
        ("another life of the peer", |scene| {
            scene.epoch = Epoch { boot: Incarnation(*b"anew"), change: 0 };
            scene.says(|word| word.role = Role::Active);
        }),
        ("two machines of one name", |scene| {
            let old = scene.epoch;
            scene.epoch = Epoch { boot: Incarnation(*b"anew"), change: 0 };
            scene.says(|word| word.role = Role::Active);
            let before = scene.node.epoch();
            scene.epoch = old;
            scene.silence(SECOND / 5);
            scene.says(|word| word.role = Role::Active);
            assert_eq!(scene.node.epoch().change, before.change + 1);
        }),
        ("a resource that cannot be started here", |scene| {
            scene.happens(Event::Startable(RESOURCE, false));
        }),
        ("another configuration", |scene| {
            let settings = scene.node.settings().clone();
            scene.node.reload(fixtures::in_place(settings), scene.now);
        }),
        ("an order", |scene| {
            assert_eq!(scene.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
        }),
    ];
    for (what, does) in changes {
        let mut standby = Scene::standby();
        let before = standby.node.epoch();
        does(&mut standby);
        assert!(standby.node.epoch().change > before.change, "{what}");
    }
}

#[test]
fn two_machines_of_one_name_are_told_of_once() {
    let mut standby = Scene::standby();
    let old = standby.epoch.boot;
    let mut says = |boot| {
        standby.epoch.boot = boot;
        standby.silence(SECOND / 5);
        tells(&standby.says(|word| word.role = Role::Active), Report::Twins(LINK))
    };
    let new = Incarnation(*b"anew");
    assert!(!says(new), "it was reborn");
    assert!(says(old), "and lives");
    assert!(!says(new) && !says(old));
}

#[test]
fn where_two_machines_have_one_name_neither_releases() {
    let mut standby = Scene::standby();
    let old = standby.epoch.boot;
    for boot in [Incarnation(*b"anew"), old] {
        standby.epoch.boot = boot;
        standby.silence(SECOND / 5);
        standby.says(|word| word.role = Role::Active);
    }
    standby.says(|word| word.request = PeerRequest::HandOver);
    assert_eq!(standby.node.role(), Role::Standby);
    standby.talks(2 * SECOND, |word| word.request = PeerRequest::HandOver);
    assert_eq!(standby.node.role(), Role::Starting, "one of them is gone");
}

#[test]
fn what_could_not_be_removed_at_birth_is_told_and_tried_again_after_a_pause() {
    let mut newborn = Scene::born(None, |_| ());
    let stops = |action: &Action| matches!(action, Action::Stop(_));
    newborn.done.clear();
    let actions = newborn.is_answered(Answer::StopFailed(RESOURCE));
    assert!(tells(&actions, Report::Leftover(RESOURCE)) && !resets(&actions));
    assert_eq!(
        newborn.node.request(),
        PeerRequest::Fence,
        "it must not be trusted with having released"
    );
    assert_eq!(newborn.order(Order::Leave), Ok(()));
    assert_eq!(newborn.order(Order::Standby(OrderDuration::Reboot)), Err(Refusal::Leaving));
    assert!(!newborn.has_done(stops));
    newborn.silence(SECOND / 5);
    assert!(!newborn.has_done(stops), "after half a second");
    newborn.silence(SECOND / 2);
    assert!(newborn.has_done(stops));
    newborn.is_answered(Answer::StopFailed(RESOURCE));
    newborn.silence(9 * SECOND / 10);
    assert!(!newborn.has_done(stops), "the pause doubles");
    newborn.silence(SECOND / 5);
    assert!(newborn.has_done(stops));
}

#[test]
fn a_box_that_leaves_may_be_told_so_again_and_nothing_else() {
    let mut standby = Scene::standby();
    standby.says(|word| word.role = Role::Active);
    for _ in 0..2 {
        assert_eq!(standby.order(Order::Leave), Ok(()));
    }
    assert_eq!(standby.order(Order::Resume), Err(Refusal::Leaving));
}

#[test]
fn a_power_that_is_off_is_believed_as_soon_as_a_box_has_listened() {
    let polled_after = |cleans: bool, time: Duration| {
        let mut newborn = Scene::born(None, |_| ());
        if cleans {
            newborn.is_answered(Answer::Stopped);
        }
        newborn.silence(time);
        newborn.is_polled_off();
        newborn.node.role()
    };
    assert_eq!(polled_after(true, 700 * MILLI), Role::Init, "a peer that talks is heard soon");
    assert_eq!(polled_after(true, 1_100 * MILLI), Role::Starting);
    assert_eq!(polled_after(false, 10 * SECOND), Role::Init, "leftovers may run here");
    let mut fencing = Scene::standby();
    fencing.silence(2 * SECOND);
    assert_eq!(fencing.node.role(), Role::Fencing);
    fencing.is_polled_off();
    assert_eq!(fencing.node.role(), Role::Starting);
}

#[test]
fn a_box_that_finds_its_services_again_yields_to_a_later_takeover() {
    let mut last = Scene::serving_with(|_| ()).last_record(|_| ());
    last.term = Term(5);
    let mut reborn = Scene::born(Some(last), |_| ());
    let serves = |word: &mut Heartbeat| (word.role, word.term) = (Role::Active, Term(6));
    reborn.says(serves);
    assert_eq!(reborn.node.term(), Term(5), "that of its own services");
    reborn.is_answered(Answer::Adopted);
    reborn.says(serves);
    assert_eq!(reborn.node.role(), Role::Stopping);
}

#[test]
fn the_answer_of_an_adoption_is_given_once() {
    let last = Scene::serving_with(|_| ()).last_record(|_| ());
    let mut reborn = Scene::born(Some(last), |_| ());
    let adopts = reborn.asked;
    reborn.is_answered(Answer::NotAdopted);
    assert!(reborn.asked > adopts);
    reborn.happens(Event::Answer(adopts, Answer::Stopped));
    reborn.silence(SECOND);
    reborn.says(|word| word.role = Role::Active);
    assert_eq!(reborn.node.role(), Role::Init, "its leftovers may run");
}

#[test]
fn an_operator_is_told_once_an_hour_what_waits_for_a_word() {
    let count = |scene: &mut Scene, report: Report| {
        let done = std::mem::take(&mut scene.done);
        done.into_iter().filter(|action| *action == Action::Tell(report)).count()
    };
    let hour = 3_600 * SECOND;
    let home = |word: &mut Heartbeat| word.priority = HOME;
    let mut manual = Scene::serving_with(|settings| settings.auto_failback = AutoFailback::Manual);
    manual.talks(hour / 2, home);
    assert_eq!(count(&mut manual, Report::HomeReady), 1);
    manual.talks(hour, home);
    assert_eq!(count(&mut manual, Report::HomeReady), 1);
    assert_eq!(manual.node.role(), Role::Active);
    // A gate is told of where it keeps what an operator wants.
    let mut gated = Scene::serving_with(|_| ());
    gated.happens(Event::Gate { closed: true });
    gated.talks(hour / 2, home);
    assert_eq!(count(&mut gated, Report::GateKeeps), 0);
    let claims = |word: &mut Heartbeat| (word.priority, word.request) = (HOME, PeerRequest::Claim);
    gated.talks(hour / 2, claims);
    assert_eq!(count(&mut gated, Report::GateKeeps), 1);
    gated.talks(hour, claims);
    assert_eq!(count(&mut gated, Report::GateKeeps), 1);
    assert_eq!(gated.node.role(), Role::Active);
}

#[test]
fn who_serves_against_his_order_gives_up_when_the_peer_can() {
    let mut taken_back = Scene::serving_with(|_| ());
    assert_eq!(taken_back.order(Order::Standby(OrderDuration::Resume)), Ok(()));
    taken_back.is_answered(Answer::Stopped);
    let failed = |word: &mut Heartbeat| (word.role, word.fit) = (Role::Failed, false);
    taken_back.says(failed);
    assert!(taken_back.has_done(|action| *action == Action::Tell(Report::TakenBack)));
    taken_back.is_answered(Answer::Started);
    taken_back.talks(SECOND, failed);
    assert_eq!(
        (taken_back.node.role(), taken_back.node.request()),
        (Role::Active, PeerRequest::Standby)
    );
    // Its failed stay has doubled the hold.
    taken_back.talks(70 * SECOND, |_| ());
    assert_eq!(
        (taken_back.node.role(), taken_back.node.request()),
        (Role::Stopping, PeerRequest::Standby)
    );
}

#[test]
fn an_order_that_is_refused_forgives_nothing() {
    let mut away = Scene::gave_back();
    away.says(|word| (word.priority, word.role) = (HOME, Role::Failed));
    away.is_answered(Answer::Started);
    let stays = away.node.failback().failed_stays();
    assert!(stays > 0 && away.node.role() == Role::Active);
    away.says(|word| (word.priority, word.fit) = (HOME, false));
    assert_eq!(away.order(Order::Standby(OrderDuration::Reboot)), Err(Refusal::PeerNotReady));
    assert_eq!(away.node.failback().failed_stays(), stays);
}

#[test]
fn a_claim_forgives_home_when_it_begins() {
    let claims = |word: &mut Heartbeat| (word.priority, word.request) = (HOME, PeerRequest::Claim);
    let failed = |word: &mut Heartbeat| (word.priority, word.role) = (HOME, Role::Failed);
    let gave_back = || {
        let mut away = Scene::gave_back();
        away.says(failed);
        away.is_answered(Answer::Started);
        assert_eq!(away.node.failback().failed_stays(), 1);
        away
    };
    let mut silent = gave_back();
    silent.says(|word| word.priority = HOME);
    assert_eq!(silent.node.failback().failed_stays(), 1, "nobody has claimed");
    let mut claimed = gave_back();
    claimed.happens(Event::Gate { closed: true });
    claimed.says(claims);
    assert_eq!(claimed.node.failback().failed_stays(), 0);
    // It stands on while home fails once more.
    claimed.happens(Event::Gate { closed: false });
    claimed.talks(60 * SECOND, claims);
    claimed.is_answered(Answer::Stopped);
    claimed.says(|word| {
        (word.priority, word.request, word.role) = (HOME, PeerRequest::Claim, Role::Active);
    });
    claimed.says(|word| {
        claims(word);
        word.role = Role::Failed;
    });
    assert_eq!(claimed.node.failback().failed_stays(), 1);
    claimed.says(|word| {
        claims(word);
        word.role = Role::Failed;
    });
    assert_eq!(claimed.node.failback().failed_stays(), 1, "that is no new claim");
}

#[test]
fn no_power_is_switched_on_while_it_is_cut_or_looked_at() {
    let powers_on = |action: &Action| matches!(action, Action::PowerOn(_));
    let mut active = Scene::active();
    active.happens(Event::OwesPower(SECOND));
    active.silence(2 * SECOND);
    assert!(!active.has_done(powers_on), "a fencing is under way");
    active.is_answered(Answer::FenceFailed);
    active.silence(SECOND);
    assert!(active.has_done(powers_on));
    let mut fencing = Scene::standby();
    fencing.silence(2 * SECOND);
    assert!(matches!(fencing.node.fencing(), Fencing::Querying(_)));
    fencing.happens(Event::OwesPower(SECOND));
    fencing.silence(2 * SECOND);
    assert!(!fencing.has_done(powers_on), "it is looked at");
    fencing.is_answered(Answer::PowerUnknown);
    fencing.silence(SECOND / 5);
    assert!(fencing.has_done(powers_on));
}

#[test]
fn the_answer_of_another_shot_ends_no_shot() {
    let mut active = Scene::active();
    active.happens(Event::Answer(active.asked.wrapping_add(1), Answer::FenceFailed));
    assert!(matches!(active.node.fencing(), Fencing::Ordered(..)));
    active.is_answered(Answer::FenceFailed);
    assert_eq!(active.node.fencing(), Fencing::Backoff);
}

#[test]
fn a_deaf_peer_is_told_of_once_until_it_is_heard() {
    let deaf = |scene: &mut Scene, time: Duration, but: fn(&mut Heartbeat)| {
        let (end, heard) = (scene.now + time, scene.node.epoch());
        while scene.now < end {
            scene.silence(SECOND / 5);
            scene.says_unproven(|word| {
                (word.role, word.heard) = (Role::Active, Some(heard));
                but(word);
            });
        }
        let told = std::mem::take(&mut scene.done);
        told.iter().filter(|action| **action == Action::Tell(Report::PeerDeaf)).count()
    };
    let mut standby = Scene::standby();
    assert_eq!(deaf(&mut standby, 1_800 * MILLI, |_| ()), 0, "it may be a moment's");
    assert_eq!(deaf(&mut standby, 5 * SECOND, |_| ()), 1);
    assert_eq!(deaf(&mut standby, 20 * SECOND, |_| ()), 0);
    standby.talks(SECOND, |word| word.role = Role::Active);
    assert_eq!(deaf(&mut standby, 5 * SECOND, |_| ()), 1, "again");
    let mut left = Scene::standby();
    assert_eq!(left.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    assert_eq!(
        deaf(&mut left, 5 * SECOND, |word| word.request = PeerRequest::Leave),
        0,
        "it need not hear"
    );
    let mut restarts = Scene::standby();
    assert_eq!(
        deaf(&mut restarts, 5 * SECOND, |word| word.restarts = true),
        0,
        "its guard is deaf"
    );
}

#[test]
fn nobody_serves_is_told_at_once_of_a_peer_that_was_seen_off() {
    let mut standby = Scene::standby();
    assert_eq!(standby.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    standby.says(|word| word.role = Role::Active);
    standby.silence(700 * MILLI);
    standby.done.clear();
    standby.is_polled_off();
    assert!(standby.has_done(|action| *action == Action::Tell(Report::NobodyServes)));
}

#[test]
fn a_box_that_holds_and_fails_by_policy_asks_to_be_shot() {
    let mut active = Scene::serving_with(policy(OnFailure::Fence));
    active.fails_twice();
    assert_eq!((active.node.role(), active.node.request()), (Role::Active, PeerRequest::Fence));
    let mut moves = Scene::serving_with(policy(OnFailure::Fence));
    moves.done.clear();
    moves.happens(Event::ResourceFailed(RESOURCE));
    moves.happens(Event::ResourceFailed(RESOURCE));
    assert!(moves.has_done(|action| *action == Action::Reset));
}

#[test]
fn what_cannot_be_started_here_is_told_and_counts() {
    let mut standby = Scene::standby_with(policy(OnFailure::Failover));
    let cannot = Event::Startable(RESOURCE, false);
    assert!(tells(&standby.happens(cannot), Report::Startable(RESOURCE, false)));
    assert!(!standby.node.fit());
    assert!(!tells(&standby.happens(cannot), Report::Startable(RESOURCE, false)));
    standby.happens(Event::Startable(RESOURCE, true));
    assert!(standby.node.fit());
}

#[test]
fn an_unfit_box_that_is_to_cut_its_peer_is_refused() {
    let force = Order::Fence { id: BoxId::Second, mode: FenceMode::Forced };
    let mut standby = Scene::standby_with(policy(OnFailure::Failover));
    standby.fails_twice();
    standby.says(|word| word.role = Role::Active);
    assert_eq!(standby.order(force), Err(Refusal::NotFit));
}

#[test]
fn an_unfit_box_that_is_alone_is_given_another_try_after_a_pause() {
    let tries_after = |time: Duration| {
        let mut standby = Scene::standby_with(policy(OnFailure::Failover));
        for _ in 0..2 {
            standby.happens(Event::ResourceFailed(RESOURCE));
        }
        standby.says(|word| word.role = Role::Active);
        assert!(!standby.node.fit());
        standby.talks(60 * SECOND, |word| word.role = Role::Active);
        assert!(!standby.node.fit(), "the peer serves");
        standby.says(|word| word.fit = false);
        let alone = standby.now + time;
        while standby.now < alone {
            standby.silence(SECOND / 20);
            standby.says(|word| word.fit = false);
        }
        standby.node.fit()
    };
    assert!(!tries_after(900 * MILLI));
    assert!(tries_after(1_100 * MILLI));
}

#[test]
fn all_that_failed_in_maintenance_is_met_afterwards() {
    let all: Vec<_> = (0..RESOURCES_MAX).filter_map(ResourceId::new).collect();
    let mut active = Scene::serving_with(|settings| {
        let policy = settings.resources[0];
        settings.resources = std::iter::repeat_n(policy, RESOURCES_MAX).collect();
    });
    assert_eq!(active.order(Order::Maintenance(OrderDuration::Reboot)), Ok(()));
    for resource in &all {
        active.happens(Event::ResourceFailed(*resource));
    }
    active.done.clear();
    assert_eq!(active.order(Order::Resume), Ok(()));
    active.talks(SECOND, |_| ());
    let restarted = active.done.iter().filter_map(|action| match action {
        Action::Restart(resource) => Some(*resource),
        _ => None,
    });
    let mut restarted: Vec<_> = restarted.collect();
    restarted.sort();
    assert_eq!(restarted, all);
}

#[test]
fn a_journal_names_the_newest_life_of_the_peer() {
    let peer_life = |scene: Scene| scene.last_record(|_| ()).peer_life;
    let mut standby = Scene::standby();
    let known = standby.epoch.boot;
    standby.happens(Event::Witness(false));
    assert_eq!(peer_life(standby), known);
    let reborn = |boot| {
        let mut standby = Scene::standby();
        standby.epoch = Epoch { boot, change: 0 };
        standby.says_unproven(|_| ());
        peer_life(standby)
    };
    let after = Incarnation::after(known, [7; 2]);
    assert_eq!(reborn(after), after, "it is echoed from now on");
    assert_eq!(reborn(Incarnation([0x70, 0x64, 0, 0])), known, "that is a recording");
    let last = Scene::standby().last_record(|_| ());
    let silent = Scene::born(Some(last), |_| ()).last_record(|scene| {
        scene.is_answered(Answer::Stopped);
        scene.silence(20 * SECOND);
    });
    assert_eq!(silent.peer_life, known, "nobody was heard since");
}

#[test]
fn a_box_whose_kernel_runs_on_hears_its_peer_soon_or_never() {
    let begins = |last: Journal| {
        let mut alone = Scene::born(Some(last), |_| ());
        alone.is_answered(Answer::Stopped);
        let from = alone.now;
        while alone.node.role() == Role::Init && alone.now < from + 60 * SECOND {
            alone.silence(SECOND / 10);
        }
        alone.now - from
    };
    let mut last = Scene::standby().last_record(|_| ());
    last.this_boot = true;
    let timing = Scene::standby().node.settings().timing;
    assert_eq!(begins(last), timing.deadtime());
    assert_eq!(begins(last.after_a_boot()), timing.initdead());
}

#[test]
fn a_box_that_serves_is_not_fit_until_its_failures_are_forgotten() {
    let mut active = Scene::serving_with(policy(OnFailure::Failover));
    active.silence(2 * SECOND);
    active.is_seen_off();
    active.fails_twice();
    assert_eq!((active.node.role(), active.node.fit()), (Role::Active, false));
    active.silence(60 * SECOND);
    assert!(!active.node.fit(), "a pardon is for who waits");
}

#[test]
fn who_gave_up_by_order_and_is_not_fit_is_given_another_try_where_the_peer_fails() {
    let mut gave = Scene::serving_with(policy(OnFailure::Failover));
    assert_eq!(gave.order(Order::Standby(OrderDuration::Resume)), Ok(()));
    gave.is_answered(Answer::Stopped);
    gave.fails_twice();
    gave.says(|word| (word.role, word.fit) = (Role::Failed, false));
    assert_eq!((gave.node.role(), gave.node.fit()), (Role::Standby, false));
    gave.talks(5 * SECOND, |word| (word.role, word.fit) = (Role::Failed, false));
    assert_eq!(gave.node.role(), Role::Starting);
}

const CALLED_OFF: Action = Action::Tell(Report::CalledOff);
const HOME: Priority = Priority(255);
const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
const OTHER_LINK: LinkId = LinkId::new(1).expect("there is a second link");
const RESOURCE: ResourceId = ResourceId::new(0).expect("there is a first resource");
