//! Checks what becomes of each order of an operator and of rare events, and in which words it is told.
//!
//! One box, and a peer that says what the test wants; the stories have two boxes, and the simulation has everything.

use std::time::Duration;

use firmware_agnostic::frame::FrameError;
use firmware_agnostic::heartbeat::{
    Fingerprint, Heartbeat, Incarnation, PeerRequest, Priority, Role, Term,
};
use firmware_agnostic::identity::{BoxId, ResourceId};
use firmware_agnostic::node::fencing::Fencing;
use firmware_agnostic::node::{Action, Actions, Answer, Event};
use firmware_agnostic::order::{FenceMode, Order, OrderDuration, Refusal};
use firmware_agnostic::peer::Carries;
use firmware_agnostic::report::{Names, Report, Severity, Unarmed};

use simulation::single_node::{LINK, ME, Scene};

#[test]
fn an_order_to_go_home_wants_a_home_that_is_ready() {
    let order = Order::Failback;
    let mut standby = Scene::standby();
    assert_eq!(standby.order(order), Err(Refusal::NotServing));
    let mut active = Scene::active();
    assert_eq!(active.order(order), Err(Refusal::PeerSilent));
    active.says(|_| ());
    assert_eq!(active.order(order), Err(Refusal::IsHome));
    active.says(|word| (word.priority, word.fit) = (HOME, false));
    assert_eq!(active.order(order), Err(Refusal::PeerNotReady));
    active.says(|word| word.priority = HOME);
    active.happens(Event::Gate { closed: true });
    assert!(active.node.failback().gate_closed());
    assert_eq!(active.order(order), Err(Refusal::GateClosed));
    active.happens(Event::Gate { closed: false });
    assert_eq!(active.order(order), Ok(()));
    assert_eq!(active.node.role(), Role::Stopping);
}

#[test]
fn maintenance_keeps_everything_as_it_is_for_its_time() {
    let mut active = Scene::active();
    let time = Duration::from_secs(60);
    assert_eq!(active.order(Order::Maintenance(OrderDuration::Time(time))), Ok(()));
    let (change, request) = (active.node.epoch(), active.node.request());
    let actions = active.happens(Event::ResourceFailed(RESOURCE));
    assert!(tells(&actions, Report::Frozen(RESOURCE)));
    assert_eq!((active.node.epoch(), active.node.request()), (change, request));
    active.now = active.now + time;
    let actions = active.happens(Event::Timeout);
    assert!(tells(&actions, Report::OrderEnded));
    assert_eq!(active.node.request(), PeerRequest::Nothing);

    let mut booting = Scene::born(None, |_| ());
    assert_eq!(booting.order(Order::Maintenance(OrderDuration::Reboot)), Err(Refusal::Busy));
}

#[test]
fn what_failed_in_maintenance_is_met_when_that_is_over() {
    let [first, second] = [0, 1].map(|place| ResourceId::new(place).unwrap());
    let mut active = Scene::active();
    assert_eq!(active.order(Order::Maintenance(OrderDuration::Reboot)), Ok(()));
    for resource in [first, second, first] {
        active.happens(Event::ResourceFailed(resource));
    }
    assert_eq!(active.order(Order::Clear), Ok(()), "who mends the cause mends not what runs");
    active.done.clear();
    active.silence(Duration::from_secs(1) / 2);
    let restarts = |action: &Action| matches!(action, Action::Restart(_));
    let told = |action: &Action| matches!(action, Action::Tell(Report::Frozen(_)));
    assert!(!active.done.iter().any(told), "it was told when it failed");
    assert!(!active.has_done(restarts));
    assert_eq!(active.order(Order::Resume), Ok(()));
    let restarted = active.done.iter().filter_map(|action| match action {
        Action::Restart(resource) => Some(*resource),
        _ => None,
    });
    assert_eq!(restarted.collect::<Vec<_>>(), [first, second]);

    // What was stopped meanwhile is not wanted any more.
    let mut active = Scene::active();
    assert_eq!(active.order(Order::Maintenance(OrderDuration::Reboot)), Ok(()));
    active.happens(Event::ResourceFailed(first));
    active.says(|word| (word.role, word.term) = (Role::Active, Term(99)));
    active.is_answered(Answer::Stopped);
    assert_eq!(active.node.role(), Role::Standby);
    assert_eq!(active.order(Order::Resume), Ok(()));
    active.silence(Duration::from_secs(1) / 2);
    assert!(!active.has_done(restarts));
}

#[test]
fn an_upgrade_wants_a_settled_box_and_forgets_no_order() {
    let mut booting = Scene::born(None, |_| {});
    assert_eq!(booting.order(Order::Upgrade), Err(Refusal::Busy));
    let mut active = Scene::active();
    assert!(matches!(active.node.fencing(), Fencing::Ordered(..)));
    assert_eq!(active.order(Order::Upgrade), Err(Refusal::Busy));
    active.is_answered(Answer::FenceFailed);
    active.says(|_| ());
    assert_eq!(active.order(Order::Takeover(OrderDuration::Reboot)), Ok(()));
    let actions = active.happens(Event::Order(Order::Upgrade));
    // The asker is told first.
    assert_eq!(actions[..1], [Action::Reply(Ok(()))]);
    assert_eq!(actions.last(), Some(&Action::Upgrade));
}

#[test]
fn a_peer_in_maintenance_is_neither_replaced_nor_shot() {
    let mut standby = Scene::standby();
    standby.says(|word| (word.role, word.request) = (Role::Active, PeerRequest::Maintenance));
    assert_eq!(standby.order(Order::Takeover(OrderDuration::Reboot)), Err(Refusal::Maintenance));
    standby.says(|word| word.request = PeerRequest::Maintenance);
    assert_eq!(standby.node.role(), Role::Standby, "not even where it says that it stands by");
    standby.silence(Duration::from_secs(60));
    assert_eq!((standby.node.role(), standby.node.fencing()), (Role::Standby, Fencing::None));
}

#[test]
fn an_order_that_nobody_could_carry_out_is_refused() {
    let mut standby = Scene::standby();
    standby.says(|word| word.role = Role::Active);
    assert_eq!(standby.order(Order::Confirm(BoxId::Second)), Err(Refusal::PeerHeard));
    let mut active = Scene::active();
    active.is_answered(Answer::FenceFailed);
    active.says(|word| word.heard = None);
    assert_eq!(active.order(Order::Standby(OrderDuration::Reboot)), Err(Refusal::PeerSilent));
    active.says(|_| ());
    active.says(|word| word.heard = None);
    assert_eq!(active.order(Order::Standby(OrderDuration::Reboot)), Err(Refusal::PeerDeaf));
    active.says(|word| word.fit = false);
    assert_eq!(active.order(Order::Standby(OrderDuration::Reboot)), Err(Refusal::PeerNotReady));
    active.says(|_| ());
    assert_eq!(active.order(Order::Leave), Ok(()));
    assert_eq!(active.order(Order::Resume), Err(Refusal::Leaving));
}

#[test]
fn a_box_that_serves_cuts_its_peer_when_an_operator_wants_it() {
    let mut active = Scene::active();
    // It has shot already, because its peer was silent.
    active.is_answered(Answer::FenceFailed);
    active.says(|_| ());
    let me = Order::Fence { id: BoxId::First, mode: FenceMode::Plain };
    assert_eq!(active.order(me), Err(Refusal::CutsItself));
    active.says(|word| word.role = Role::Starting);
    assert_eq!(active.order(FENCE), Err(Refusal::PeerServes));
    active.says(|_| ());
    assert_eq!(active.order(FENCE), Ok(()));
    active.device_is_ready();
    assert!(!active.node.heartbeat(active.now).shoots, "nobody resets itself for this");
    assert_eq!(active.order(FENCE), Err(Refusal::Busy));
    // Nothing goes to a peer that is about to be dead.
    active.says(|word| (word.priority, word.request) = (HOME, PeerRequest::Claim));
    assert_eq!((active.node.role(), active.node.request()), (Role::Active, PeerRequest::Nothing));
    let actions = active.is_answered(Answer::FenceFailed);
    assert!(tells(&actions, Report::NotFenced));
    active.says(|_| ());
    assert_eq!(active.node.fencing(), Fencing::None, "it is not tried again");
    assert_eq!(active.order(FENCE), Ok(()));
    assert!(tells(&active.is_seen_off(), Report::Fenced));
    assert!(active.node.peer().fenced());
    active.silence(Duration::from_secs(10));
    assert_eq!((active.node.role(), active.node.fencing()), (Role::Active, Fencing::None));
}

/// Whether it was seen off or not.
#[test]
fn a_peer_that_is_cut_as_a_drill_gets_its_power_back() {
    for is_seen in [true, false] {
        let mut active = Scene::active();
        active.is_answered(Answer::FenceFailed);
        active.says(|_| ());
        let drill = Order::Fence { id: BoxId::Second, mode: FenceMode::Drill };
        assert_eq!(active.order(drill), Ok(()));
        assert!(active.has_done(|it| *it == Action::Tell(Report::Shooting { drill: true })));
        active.device_is_ready();
        let powers_on = |it: &Action| matches!(it, Action::PowerOn(_));
        assert!(!active.has_done(powers_on));
        if is_seen {
            active.is_seen_off();
        } else {
            active.is_answered(Answer::FenceFailed);
        }
        assert!(active.has_done(powers_on), "{is_seen}");
    }
}

#[test]
fn a_box_that_does_not_serve_takes_over_when_it_is_to_cut_its_peer() {
    let mut standby = Scene::standby();
    standby.says(|word| word.role = Role::Active);
    assert_eq!(standby.order(FENCE), Err(Refusal::WouldTakeOver));
    let force = Order::Fence { id: BoxId::Second, mode: FenceMode::Forced };
    assert_eq!(standby.order(Order::Standby(OrderDuration::Reboot)), Ok(()));
    assert_eq!(standby.order(force), Err(Refusal::KeptFromServing));
    assert_eq!(standby.order(Order::Resume), Ok(()));
    // A device that fails leaves everything as it was.
    assert_eq!(standby.order(force), Ok(()));
    assert_eq!(standby.node.role(), Role::Fencing);
    assert!(tells(&standby.is_answered(Answer::FenceFailed), Report::NotFenced));
    assert_eq!(standby.node.role(), Role::Standby);
    standby.says(|word| word.role = Role::Active);
    assert_eq!(standby.order(force), Ok(()));
    standby.says(|word| word.role = Role::Active);
    assert_eq!(standby.node.role(), Role::Fencing, "the shot is waited for");
    standby.is_seen_off();
    assert_eq!(standby.node.role(), Role::Starting);

    assert_eq!(Scene::born(None, |_| {}).order(force), Err(Refusal::Busy));
}

#[test]
fn somebody_with_this_name_is_told_of_once_for_each_life() {
    let mut standby = Scene::standby();
    let twin = |boot: Incarnation| {
        move |word: &mut Heartbeat| (word.from, word.epoch.boot) = (BoxId::First, boot)
    };
    assert!(tells(&standby.says(twin(Incarnation(*b"one "))), Report::Impostor(LINK)));
    assert!(!tells(&standby.says(twin(Incarnation(*b"one "))), Report::Impostor(LINK)));
    assert!(tells(&standby.says(twin(Incarnation(*b"two "))), Report::Impostor(LINK)));
    assert!(!tells(&standby.says(twin(ME)), Report::Impostor(LINK)), "its own words come back");
}

#[test]
fn another_configuration_is_told_of() {
    let mut standby = Scene::standby();
    let other = |word: &mut Heartbeat| word.config = Fingerprint::of(b"another file");
    assert!(tells(&standby.says(other), Report::ConfigDiffers));
    assert!(!tells(&standby.says(other), Report::ConfigDiffers));
}

#[test]
fn what_an_answer_of_another_role_says_is_no_answer() {
    let mut active = Scene::active();
    active.says(|_| ());
    let (epoch, cause) = (active.node.epoch(), active.node.cause());
    let at = active.now;
    for answer in [Answer::Started, Answer::Stopped, Answer::PowerOff(at), Answer::Fenced(at)] {
        active.happens(Event::Answer(epoch.change - 2, answer));
    }
    assert_eq!((active.node.epoch(), active.node.cause()), (epoch, cause));
    assert!(active.node.term().0 > 0 && active.node.recovery().fit());
    assert_eq!(active.node.peer().heard_at(LINK), Some(active.heard));
    assert_eq!(active.node.peer().carries(LINK), Some(Carries::BothWays));
}

#[test]
fn every_refusal_and_every_cause_of_a_drop_has_its_own_words() {
    let refusals = [
        Refusal::Busy,
        Refusal::Leaving,
        Refusal::PeerSilent,
        Refusal::PeerDeaf,
        Refusal::PeerNotReady,
        Refusal::PeerHeard,
        Refusal::NothingToConfirm,
        Refusal::NotThePeer,
        Refusal::CutsItself,
        Refusal::NotFit,
        Refusal::NotServing,
        Refusal::IsHome,
        Refusal::GateClosed,
        Refusal::Maintenance,
        Refusal::WouldTakeOver,
        Refusal::PeerServes,
        Refusal::KeptFromServing,
    ];
    let mut lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    lines.extend(FrameError::ALL.iter().map(ToString::to_string));
    lines.extend(FrameError::ALL.iter().map(|cause| cause.label().to_owned()));
    distinct(lines);
}

#[test]
fn every_news_has_its_own_line_and_the_bad_ones_weigh_more() {
    let time = Duration::from_secs(1);
    let (errors, warnings, infos) = (
        [
            Report::FenceFailed { again: time, serves: false },
            Report::NotFenced,
            Report::NobodyServes,
            Report::Insisting(RESOURCE),
            Report::LockedOut,
            Report::Frozen(RESOURCE),
            Report::Waiting,
            Report::TooOften(RESOURCE),
            Report::StopFailed(RESOURCE),
            Report::Leftover(RESOURCE),
            Report::Impostor(LINK),
            Report::ConfigDiffers,
            Report::WaitingUnarmed(Unarmed::NotHeardBefore),
            Report::WaitingUnarmed(Unarmed::LossUnknown),
            Report::WaitingUnarmed(Unarmed::LossUnclear),
            Report::WaitingUnarmed(Unarmed::Shot),
            Report::PeerDeaf,
            Report::Startable(RESOURCE, false),
            Report::Twins(LINK),
            Report::GateKeeps,
            Report::TakenBack,
            Report::PowerOnFailed { again: time },
        ],
        [
            Report::Late(time),
            Report::Stalled(time),
            Report::Shooting { drill: false },
            Report::Fenced,
            Report::CalledOff,
            Report::PoweringOn,
            Report::Restarting(RESOURCE),
            Report::Ignored(RESOURCE),
            Report::Link(LINK, Carries::OneWay),
            Report::Link(LINK, Carries::Nothing),
        ],
        [
            Report::Link(LINK, Carries::BothWays),
            Report::HomeReady,
            Report::Startable(RESOURCE, true),
            Report::OrderEnded,
            Report::LastLife { role: Role::Active, clean: true, this_boot: false },
            Report::LastLife { role: Role::Active, clean: false, this_boot: false },
            Report::LastLife { role: Role::Active, clean: false, this_boot: true },
            Report::PeerLeaves,
        ],
    );
    let names = Names {
        me: BoxId::First,
        boxes: ["server1", "server2"],
        links: &["crossover"],
        resources: &["slapd"],
    };
    let mut lines = Vec::new();
    let all =
        [(&errors[..], Severity::Error), (&warnings, Severity::Warning), (&infos, Severity::Info)];
    for (report, weight) in all {
        for report in report {
            assert_eq!(report.weight(), weight, "{report:?}");
            lines.push(report.line(&names).to_string());
        }
    }
    let fates: Vec<_> = lines.iter().filter(|line| line.contains("slapd")).collect();
    let told = |line: &&String| line.split_whitespace().count() > 2;
    assert!(fates.len() == 9 && fates.iter().all(told), "{fates:#?}");
    distinct(lines);
}

fn tells(actions: &Actions, report: Report) -> bool {
    actions.contains(&Action::Tell(report))
}

fn distinct(mut lines: Vec<String>) {
    assert!(lines.iter().all(|line| !line.is_empty() && !line.contains('\n')));
    let count = lines.len();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), count, "two have the same words: {lines:#?}");
}

const FENCE: Order = Order::Fence { id: BoxId::Second, mode: FenceMode::Plain };
const HOME: Priority = Priority(255);
const RESOURCE: ResourceId = ResourceId::new(0).expect("there is a first resource");
