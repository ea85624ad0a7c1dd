//! Checks what a box does when its configuration changes while it goes on.

use std::time::Duration;

use firmware_agnostic::frame::{self, Key, Keys, Message, PairId, Version};
use firmware_agnostic::heartbeat::{Fingerprint, Priority, Role};
use firmware_agnostic::identity::{LinkId, ResourceId};
use firmware_agnostic::node::reload::Reloaded;
use firmware_agnostic::node::{Action, Actions, Event};
use firmware_agnostic::order::{Order, OrderDuration, Refusal};
use firmware_agnostic::peer::{Carries, Health};
use firmware_agnostic::receiver::Reception;
use firmware_agnostic::recovery::{OnFailure, Policy};
use firmware_agnostic::report::Report;
use firmware_agnostic::settings::{Settings, Times, Timing};
use simulation::fixtures;
use simulation::single_node::{LINK, Scene};

#[test]
fn what_was_said_to_the_old_rank_starts_nobody() {
    let mut standby = Scene::standby_with(|settings| settings.priority = Priority(1));
    standby.says(|word| word.priority = Priority(50));
    assert_eq!(standby.node.role(), Role::Standby, "the peer ranks higher");
    let said = standby.reload(|settings| settings.priority = Priority(100));
    assert_eq!(standby.node.role(), Role::Standby, "the peer may start on the old word");
    assert!(said.iter().any(|action| matches!(action, Action::Send(_))), "the peer hears of it");
    standby.says(|word| word.priority = Priority(50));
    assert_eq!(standby.node.role(), Role::Starting, "the peer knows, and stands by");
}

#[test]
fn a_box_stays_what_it_is() {
    let mut active = Scene::serving_with(|_| ());
    let before = (active.node.role(), active.node.term(), active.node.epoch().boot);
    let [_, other] = fixtures::pair();
    active.reload(|settings| settings.me = other.me);
    assert_eq!((active.node.role(), active.node.term(), active.node.epoch().boot), before);
    assert_eq!(active.node.heartbeat(active.now).from, fixtures::pair()[0].me);
    assert!(!active.has_done(|action| matches!(action, Action::Stop(_) | Action::Record(_))));
}

#[test]
fn new_times_hold_from_now_on() {
    let mut standby = Scene::standby();
    standby.reload(|settings| settings.timing = three_times(settings.timing));
    standby.says(|word| word.role = Role::Active);
    standby.silence(Duration::from_millis(2_900));
    assert_eq!(standby.node.role(), Role::Standby);
    standby.silence(Duration::from_millis(200));
    assert_eq!(standby.node.role(), Role::Fencing);
}

#[test]
fn links_keep_what_they_have_heard_and_new_ones_have_their_time() {
    let mut standby = Scene::standby();
    standby.talks(2 * SECOND, |word| word.role = Role::Active);
    let told = |scene: &mut Scene, link, carries| {
        scene.has_done(|action| *action == Action::Tell(Report::Link(link, carries)))
    };
    assert!(told(&mut standby, OTHER, Carries::Nothing));
    standby.reload_with(&[Some(OTHER), Some(LINK), None]);
    assert_eq!(standby.node.peer().heard_at(OTHER), Some(standby.heard));
    assert_eq!(standby.node.peer().carries(LINK), Some(Carries::Nothing));
    assert!(!standby.has_done(|action| matches!(action, Action::Tell(_))), "nothing has changed");
    standby.silence(Duration::from_millis(900));
    assert!(!told(&mut standby, THIRD, Carries::Nothing), "it has its time");
    standby.silence(Duration::from_millis(200));
    assert!(told(&mut standby, THIRD, Carries::Nothing));
}

#[test]
fn a_peer_that_is_silent_does_not_come_back_to_life() {
    let mut standby = Scene::standby();
    standby.silence(2 * SECOND);
    standby.reload_with(&[None, None, None]);
    assert_eq!(standby.node.peer().health(standby.now), Health::Dead);
    assert_eq!(standby.node.role(), Role::Fencing);
}

#[test]
fn a_box_does_not_make_itself_deaf() {
    let mut standby = Scene::standby();
    let may = |scene: &Scene, links: &[Option<LinkId>]| {
        scene.may(|it| {
            it.links = links.iter().copied().collect();
        })
    };
    assert_eq!(may(&standby, &[None, Some(OTHER)]), Err(Refusal::NoLinkStays));
    assert_eq!(may(&standby, &[None, Some(LINK)]), Ok(()));
    assert_eq!(standby.order(Order::Maintenance(OrderDuration::Reboot)), Ok(()));
    assert_eq!(may(&standby, &[None]), Ok(()), "nobody acts on what it does not hear");
    let mut alone = Scene::standby();
    alone.silence(2 * SECOND);
    assert_eq!(may(&alone, &[None]), Ok(()), "there is nothing to lose");
}

#[test]
fn the_boxes_do_not_miss_each_other_in_between() {
    let standby = Scene::standby();
    let timing = standby.node.settings().timing;
    let may = |timing| standby.may(|it| it.settings.timing = timing);
    assert_eq!(may(three_times(timing)), Err(Refusal::TimesApart), "as seldom as the peer bears");
    let at_the_bound = with(timing, |it| {
        (it.keepalive, it.warntime) = (timing.warntime() / 2, timing.warntime() * 7 / 5);
    });
    assert_eq!(may(at_the_bound), Err(Refusal::TimesApart), "one lost heartbeat makes it late");
    let keepalive = timing.keepalive() / 2;
    assert_eq!(may(with(timing, |it| it.keepalive = keepalive)), Ok(()));
    assert_eq!(may(with(timing, |it| it.initdead *= 2)), Ok(()));
    let mut alone = Scene::standby();
    alone.silence(2 * SECOND);
    assert_eq!(alone.may(|it| it.settings.timing = three_times(timing)), Ok(()));
}

#[test]
fn a_heartbeat_takes_a_third_of_the_serial_line_at_most() {
    let timing = Scene::standby().node.settings().timing;
    let fits = |keepalive| {
        let times = Times {
            keepalive: Duration::from_millis(keepalive),
            warntime: timing.warntime() * 2,
            deadtime: timing.deadtime() * 2,
            initdead: timing.initdead() * 2,
            fence_time: timing.fence_time(),
            baud: Some(9_600),
        };
        Timing::new(times).is_ok()
    };
    assert!(fits(250) && !fits(200));
}

#[test]
fn both_boxes_know_the_keys_of_each_other() {
    let ring = |keys: &[(u8, &[u8])]| {
        Keys::new(keys.iter().map(|(id, secret)| Key::new(*id, secret))).unwrap()
    };
    let (old, new) = (ring(&[(1, b"old")]), ring(&[(2, b"new")]));
    let both = [ring(&[(1, b"old"), (2, b"new")]), ring(&[(2, b"new"), (1, b"old")])];
    let mut standby = Scene::standby();
    let may = |scene: &Scene, from: &Keys, to: &Keys| {
        scene.node.may_change_keys(from, to, None, scene.now)
    };
    for (from, to) in [(&old, &both[0]), (&both[0], &both[1]), (&both[1], &new)] {
        assert_eq!(may(&standby, from, to), Ok(()));
    }
    for to in [&new, &both[1], &ring(&[(1, b"new")])] {
        assert_eq!(may(&standby, &old, to), Err(Refusal::KeyUnknown));
    }
    let pair = PairId::of("pair");
    let mut reception = Reception::new(both[0].clone(), pair);
    let heartbeat = standby.node.heartbeat(standby.now);
    let word = Message { version: Version::NEWEST, number: 1, heartbeat, echo: None };
    reception.receive(LINK, &frame::encode(&word, &both[1], pair), standby.now).unwrap();
    assert_eq!(reception.signed_with(), Some(2));
    let drops = |theirs| standby.node.may_change_keys(&both[1], &new, Some(theirs), standby.now);
    assert_eq!([drops(1), drops(2)], [Err(Refusal::KeyInUse), Ok(())]);
    assert_eq!(standby.order(Order::Maintenance(OrderDuration::Reboot)), Ok(()));
    assert_eq!(may(&standby, &old, &new), Ok(()), "nobody acts on what it does not hear");
}

#[test]
fn what_is_asked_is_answered_before() {
    let mut starting = Scene::standby();
    starting.says(|word| word.priority = Priority(1));
    assert_eq!(starting.node.role(), Role::Starting);
    assert_eq!(starting.may(|_| ()), Err(Refusal::Busy));
}

#[test]
fn failures_go_with_their_resource() {
    let (never, once) = (ResourceId::new(0).unwrap(), ResourceId::new(1).unwrap());
    let mut active = Scene::serving_with(bears(2));
    active.happens(Event::ResourceFailed(once));
    active.reload(bears(0));
    assert_eq!(active.node.recovery().count(once), 1);
    assert!(!active.node.fit(), "one is too many now");
    active.reload_resources(&[Some(once), None]);
    assert_eq!([never, once].map(|id| active.node.recovery().count(id)), [1, 0]);
}

#[test]
fn that_the_boxes_differ_is_told_once() {
    let mut standby = Scene::standby();
    let differs = Action::Tell(Report::ConfigDiffers);
    let another = |fingerprint| move |it: &mut Settings| it.config = Fingerprint([fingerprint; 4]);
    assert!(standby.reload(another(1)).contains(&differs));
    assert!(!standby.reload(another(2)).contains(&differs));
}

trait Reload {
    fn may(&self, but: impl FnOnce(&mut Reloaded)) -> Result<(), Refusal>;
    fn reload(&mut self, but: impl FnOnce(&mut Settings)) -> Actions;
    fn reload_with(&mut self, links: &[Option<LinkId>]) -> Actions;
    fn reload_resources(&mut self, resources: &[Option<ResourceId>]) -> Actions;
    fn reloads(&mut self, reloaded: Reloaded) -> Actions;
}

impl Reload for Scene {
    fn may(&self, but: impl FnOnce(&mut Reloaded)) -> Result<(), Refusal> {
        let mut reloaded = fixtures::in_place(self.node.settings().clone());
        but(&mut reloaded);
        self.node.may_reload(&reloaded, self.now)
    }

    fn reload(&mut self, but: impl FnOnce(&mut Settings)) -> Actions {
        let mut reloaded = fixtures::in_place(self.node.settings().clone());
        but(&mut reloaded.settings);
        self.reloads(reloaded)
    }

    fn reload_with(&mut self, links: &[Option<LinkId>]) -> Actions {
        let same = fixtures::in_place(self.node.settings().clone());
        self.reloads(Reloaded { links: links.iter().copied().collect(), ..same })
    }

    fn reload_resources(&mut self, resources: &[Option<ResourceId>]) -> Actions {
        let same = fixtures::in_place(self.node.settings().clone());
        self.reloads(Reloaded { resources: resources.iter().copied().collect(), ..same })
    }

    fn reloads(&mut self, reloaded: Reloaded) -> Actions {
        self.done.clear();
        let actions = self.node.reload(reloaded, self.now);
        self.done.extend(actions.iter().copied());
        actions
    }
}

fn three_times(timing: Timing) -> Timing {
    with(timing, |times| {
        let all =
            [&mut times.keepalive, &mut times.warntime, &mut times.deadtime, &mut times.initdead];
        for time in all {
            *time *= 3;
        }
    })
}

fn with(timing: Timing, but: impl FnOnce(&mut Times)) -> Timing {
    let mut times = Times {
        keepalive: timing.keepalive(),
        warntime: timing.warntime(),
        deadtime: timing.deadtime(),
        initdead: timing.initdead(),
        fence_time: timing.fence_time(),
        baud: None,
    };
    but(&mut times);
    Timing::new(times).unwrap()
}

fn bears(failures: u8) -> impl FnOnce(&mut Settings) {
    let policy =
        Policy { on_failure: OnFailure::Failover, threshold: failures + 1, forget_after: None };
    move |settings| settings.resources = [policy; 2].into_iter().collect()
}

const OTHER: LinkId = LinkId::new(1).unwrap();
const THIRD: LinkId = LinkId::new(2).unwrap();
const SECOND: Duration = Duration::from_secs(1);
