//! What does the pair do when…? One story each, told in the lines that people would read.
//!
//! The expected trace of a story is the file `stories/NAME.trace` of this crate: the seconds, the box, and
//! the line of its log; a line with a star is what happened to it. `TWOBOX_WRITE=1 cargo test -p tests --test
//! stories` writes the traces anew: read every difference as a user would before it is committed.

use std::path::Path;
use std::{env, fs};

use firmware_agnostic::evidence::Require;
use firmware_agnostic::failback::AutoFailback;
use firmware_agnostic::heartbeat::Role;
use firmware_agnostic::identity::{BoxId, ResourceId};
use firmware_agnostic::order::{Order, Refusal, Until};
use firmware_agnostic::settings::Settings;

use tests::world::appliance::Verb;
use tests::world::device::Device;
use tests::world::misery::{MILLI, Misery, SECOND};
use tests::world::trace::Trace;
use tests::world::{World, sample};

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
    assert_eq!(story.order(HOME, Order::Takeover(Until::Reboot)), Some(Ok(())));
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
    assert_eq!(story.order(HOME, Order::Standby(Until::Reboot)), Some(Ok(())));
    story.run(20 * SECOND);
    assert_eq!(story.serving(), Some(AWAY));
    assert_eq!(story.order(HOME, Order::Resume), Some(Ok(())));
    story.run(60 * SECOND);
    story.end("planned_switch", Some(HOME));
}

#[test]
fn takeover() {
    let mut story = Story::serving();
    assert_eq!(story.order(AWAY, Order::Takeover(Until::Reboot)), Some(Ok(())));
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
fn supervisor_killed_on_the_active() {
    let mut story = Story::serving();
    story.kill(HOME);
    story.run(60 * SECOND);
    story.end("supervisor_killed_on_the_active", Some(HOME));
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
    story.misery.cut = 3 * SECOND..3 * SECOND;
    story.stall(HOME, 7 * SECOND);
    story.run(30 * SECOND);
    story.end("active_heard_again_after_the_shot", Some(AWAY));
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
    assert_eq!(story.order(HOME, Order::Standby(Until::Reboot)), Some(Ok(())));
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

/// A story that is being told.
struct Story(World);

impl Story {
    fn begin() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl Fn(&mut Settings)) -> Self {
        let mut pair = sample::pair();
        pair.iter_mut().for_each(change);
        Self(World::new(pair, Misery::none(), 1, Trace::Kept(Vec::new())))
    }

    fn serving() -> Self {
        Self::serving_with(|_| {})
    }

    fn serving_with(change: impl Fn(&mut Settings)) -> Self {
        let mut story = Self::with(change);
        story.power_on(HOME);
        story.power_on(AWAY);
        story.run(20 * SECOND);
        assert_eq!(story.0.serving(), Some(HOME));
        story.0.forget_lines();
        story
    }

    fn run(&mut self, micros: u64) {
        self.0
            .run(micros)
            .unwrap_or_else(|broken| panic!("{broken}\n{}", self.0.lines().join("\n")));
    }

    fn cables(&mut self, work: bool) {
        (0..3).for_each(|link| self.plug(link, work));
    }

    fn end(self, name: &str, serving: Option<BoxId>) {
        let told = self.0.lines().join("\n") + "\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("stories/{name}.trace"));
        if env::var_os("TWOBOX_WRITE").is_some() {
            fs::write(&path, &told).expect("the folder of the stories can be written");
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let difference =
            told.lines().zip(expected.lines()).find(|(told, expected)| told != expected);
        assert!(told == expected, "{name}: the first difference is {difference:?} in\n{told}");
        if serving.is_some() {
            assert_eq!(self.0.serving(), serving, "\n{told}");
        }
    }
}

impl std::ops::Deref for Story {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl std::ops::DerefMut for Story {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.0
    }
}

const HOME: BoxId = BoxId::First;
const AWAY: BoxId = BoxId::Second;
const SLAPD: ResourceId = ResourceId::new(1).expect("two is fewer than RESOURCES_MAX");
