//! Shows when a resource that fails is started again, when its box is not fit, and when a failure is forgotten.
//!
//! And what becomes of a box whose resources nothing looks after.

use std::time::Duration;

use firmware_agnostic::heartbeat::{PeerRequest, Role};
use firmware_agnostic::identity::ResourceId;
use firmware_agnostic::node::{Action, Answer, Event};
use firmware_agnostic::recovery::{OnFailure, Policy, Recovery, Remedy};
use firmware_agnostic::report::Report;
use firmware_agnostic::time::Instant;
use simulation::single_node::Scene;

#[test]
fn each_restart_waits_longer_up_to_a_bound() {
    let mut recovery = Recovery::new(&[policy(OnFailure::Restart); 2]);
    let waits = [0, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000];
    for wait in waits {
        assert_eq!(recovery.failed(SLAPD, NOW), Remedy::Restarted);
        assert_eq!(recovery.deadline(), Some(NOW + MILLI * wait));
        assert!(wait == 0 || recovery.due(NOW + MILLI * (wait - 1)).is_none());
        assert_eq!(recovery.due(NOW + MILLI * wait), Some(SLAPD));
        assert_eq!(recovery.due(NOW + MILLI * wait), None, "it was told");
    }
}

#[test]
fn a_resource_that_nobody_else_could_serve_is_started_again() {
    let mut recovery = Recovery::new(&[policy(OnFailure::Failover)]);
    assert_eq!(recovery.failed(SLAPD, NOW), Remedy::Restarted);
    assert_eq!(recovery.due(NOW), Some(SLAPD));
    assert_eq!(recovery.failed(SLAPD, NOW), Remedy::TooOften(OnFailure::Failover));
    assert_eq!(recovery.due(NOW + 10 * SECOND), None);
    recovery.force_restart(SLAPD, NOW);
    assert_eq!(recovery.due(NOW + 199 * MILLI), None);
    assert_eq!(recovery.due(NOW + 200 * MILLI), Some(SLAPD));
    recovery.force_restart(SLAPD, NOW);
    recovery.call_off();
    assert_eq!(recovery.due(NOW + SECOND), None, "it is being stopped");
}

#[test]
fn a_box_that_is_not_fit_waits_a_second_or_as_long_as_its_worst_resource() {
    let mut recovery = Recovery::new(&[policy(OnFailure::Failover); 2]);
    recovery.start_failed(SLAPD, NOW);
    assert_eq!(recovery.pause(), SECOND);
    (0..4).for_each(|_| recovery.start_failed(SLAPD, NOW));
    assert_eq!(recovery.pause(), 1_600 * MILLI);
    recovery.start_failed(DISK, NOW);
    assert_eq!(recovery.pause(), 1_600 * MILLI);
    recovery.grant_retry();
    assert_eq!(recovery.pause(), SECOND, "no resource makes it unfit");
}

#[test]
fn a_failure_is_forgotten_when_its_time_is_over_and_not_before() {
    let forget_after = Some(90 * SECOND);
    let policy = Policy { forget_after, ..policy(OnFailure::Failover) };
    let mut recovery = Recovery::new(&[policy]);
    recovery.start_failed(SLAPD, NOW);
    assert_eq!((recovery.count(SLAPD), recovery.count(DISK)), (1, 0));
    recovery.forget(NOW + 90 * SECOND - MILLI);
    assert!(!recovery.fit());
    recovery.forget(NOW + 90 * SECOND);
    assert!(recovery.fit() && recovery.count(SLAPD) == 0 && recovery.deadline().is_none());
    recovery.start_failed(SLAPD, NOW);
    assert_eq!(recovery.failed(SLAPD, NOW + 90 * SECOND), Remedy::Restarted, "as the first one");
}

#[test]
fn what_failed_in_maintenance_is_met_once_unless_it_is_stopped() {
    let mut recovery = Recovery::new(&[policy(OnFailure::Failover); 2]);
    recovery.defer(DISK);
    assert_eq!((recovery.take_deferred(), recovery.take_deferred()), (Some(DISK), None));
    recovery.defer(DISK);
    recovery.call_off();
    assert_eq!(recovery.take_deferred(), None);
}

#[test]
fn a_resource_that_can_be_started_again_needs_no_pardon() {
    let mut recovery = Recovery::new(&[policy(OnFailure::Failover)]);
    assert!(!recovery.set_startable(SLAPD, true), "that is known");
    assert!(recovery.set_startable(SLAPD, false) && !recovery.fit());
    recovery.grant_retry();
    assert!(recovery.fit());
    assert!(!recovery.set_startable(SLAPD, false), "that is known");
    assert!(!recovery.fit(), "the try that was granted is over");
    assert!(recovery.set_startable(SLAPD, true) && recovery.fit());
    assert!(!recovery.set_startable(DISK, false), "there is none");
}

/// It runs services that nobody watches: it lets the peer serve, and is reset where it cannot even stop them.
#[test]
fn an_active_box_whose_resources_hang_gives_them_up_as_soon_as_the_peer_can_serve() {
    let mut active = Scene::serving_with(|_| ());
    active.says(|word| word.role = Role::Failed);
    active.happens(Event::Hangs(true));
    assert!(active.has_done(|it| *it == Action::Tell(Report::Hangs(true))));
    assert_eq!((active.node.role(), active.node.fit()), (Role::Active, false), "it is alone");
    active.says(|_| ());
    assert_eq!(active.node.role(), Role::Stopping);
    active.is_answered(Answer::StopFailed(SLAPD));
    assert_eq!(active.node.request(), PeerRequest::Fence);
    assert!(active.has_done(|it| *it == Action::Reset));
}

#[test]
fn a_box_whose_resources_hung_for_a_while_is_as_before() {
    let mut active = Scene::serving_with(|_| ());
    active.says(|word| word.role = Role::Failed);
    active.happens(Event::Hangs(true));
    active.happens(Event::Hangs(false));
    assert!(active.node.fit());
    active.says(|_| ());
    assert_eq!(active.node.role(), Role::Active);
}

/// A start that fails there ends with a reset, which mends most of what hangs.
#[test]
fn a_standby_whose_resources_hang_starts_only_if_nobody_else_serves() {
    let mut standby = Scene::standby();
    standby.happens(Event::Hangs(true));
    standby.says(|word| word.request = PeerRequest::HandOver);
    assert_eq!((standby.node.role(), standby.node.fit()), (Role::Standby, false));
    standby.says(|word| word.role = Role::Failed);
    standby.silence(Duration::from_millis(800));
    standby.says(|word| word.role = Role::Failed);
    standby.silence(Duration::from_millis(300));
    standby.says(|word| word.role = Role::Failed);
    assert_eq!(standby.node.role(), Role::Starting);
}

fn policy(on_failure: OnFailure) -> Policy {
    Policy { on_failure, threshold: 2, forget_after: None }
}

const SLAPD: ResourceId = ResourceId::new(0).expect("there is a first resource");
const DISK: ResourceId = ResourceId::new(1).expect("there is a second resource");
const NOW: Instant = Instant::from_millis(1_000_000);
const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
