//! Sets a simulated pair up, as the sample configuration would or by chance.

use std::time::Duration;

use firmware_agnostic::evidence::Require;
use firmware_agnostic::heartbeat::{Fingerprint, Priority};
use firmware_agnostic::identity::{BoxId, LinkId, ResourceId};
use firmware_agnostic::node::reload::Reloaded;
use firmware_agnostic::recovery::{OnFailure, Policy};
use firmware_agnostic::settings::AutoFailback;
use firmware_agnostic::settings::{AtBoot, Settings, Times, Timing};

use super::random::Random;

/// A pair with the default times, whose home is the first box.
pub fn pair() -> [Settings; 2] {
    let times = Times {
        keepalive: Duration::from_millis(200),
        warntime: Duration::from_millis(500),
        deadtime: Duration::from_secs(1),
        initdead: Duration::from_secs(15),
        fence_time: Duration::from_secs(5),
        baud: Some(115_200),
    };
    let policy = Policy {
        on_failure: OnFailure::Failover,
        threshold: 2,
        forget_after: Some(Duration::from_secs(90)),
    };
    let settings = |me: BoxId| Settings {
        me,
        priority: Priority(if me == BoxId::First { 100 } else { 50 }),
        auto_failback: AutoFailback::On,
        failback_hold: Duration::from_secs(30),
        require: Require::Fenced,
        dark_time: Duration::from_secs(10),
        restart_time: Duration::from_secs(7),
        at_boot: AtBoot::Wait,
        timing: Timing::new(times).expect("the default times are in order"),
        links: 3,
        resources: [policy; 2].into_iter().collect(),
        config: Fingerprint::default(),
        system: Fingerprint::default(),
    };
    BoxId::BOTH.map(settings)
}

/// A pair as some integrator might set it up.
pub fn any_pair(random: &mut Random) -> [Settings; 2] {
    let priorities = random.one_of(&[[100, 50], [50, 100], [70, 70]]);
    let differs = random.happens(250_000);
    let auto_failback = random.one_of(&[
        AutoFailback::On,
        AutoFailback::On,
        AutoFailback::Off,
        AutoFailback::Manual,
    ]);
    let hold = random.within(&(0..20));
    let links = random.within(&(1..4)) as usize;
    let policies = [0; 3].map(|_| any_policy(random));
    let require =
        random.one_of(&[Require::Fenced, Require::Fenced, Require::Silence, Require::Dark]);
    let dark_time = Duration::from_secs(random.within(&(1..20)));
    let timing = any_timing(random);
    let at_boot = random.one_of(&[AtBoot::Wait, AtBoot::Wait, AtBoot::Fence]);
    let mut pair = pair();
    for (settings, priority) in pair.iter_mut().zip(priorities) {
        settings.priority = Priority(priority);
        settings.auto_failback = auto_failback;
        settings.failback_hold = Duration::from_secs(hold);
        settings.links = links;
        (settings.require, settings.dark_time) = (require, dark_time);
        settings.at_boot = at_boot;
        settings.timing = timing;
        settings.restart_time = timing.restart_time(require, settings.dark_time);
        settings.resources = policies.into_iter().collect();
    }
    if differs {
        let [first, second] = &mut pair;
        set_up_differently(second, first, random);
    }
    pair
}

/// Somebody has changed the file, and not copied it to the `other` box.
pub fn set_up_differently(settings: &mut Settings, other: &Settings, random: &mut Random) {
    settings.config = Fingerprint([random.within(&(1..3)) as u8; 4]);
    settings.priority = Priority(random.one_of(&[100, 70, 50]));
    settings.auto_failback = random.one_of(&[AutoFailback::On, AutoFailback::Off]);
    settings.failback_hold = Duration::from_secs(random.within(&(0..20)));
    settings.resources = [0; 3].map(|_| any_policy(random)).into_iter().collect();
    let timing = any_timing(random);
    if timing.goes_with(&other.timing) {
        settings.timing = timing;
        settings.restart_time = timing.restart_time(settings.require, settings.dark_time);
    }
}

/// What a reload of this file says when every link and resource keeps its place.
pub fn in_place(settings: Settings) -> Reloaded {
    let links = (0..settings.links).map(LinkId::new).collect();
    let resources = (0..settings.resources.len()).map(ResourceId::new).collect();
    Reloaded { settings, links, resources }
}

/// Times in the right order, from a pair in a hurry to a patient one.
fn any_timing(random: &mut Random) -> Timing {
    // Round numbers, as people write them: two boxes that differ soon speak in the same rhythm again.
    let keepalive = Duration::from_millis(50) * random.within(&(1..21)) as u32;
    let mut more = |time: Duration, percent: std::ops::Range<u64>| {
        time * u32::try_from(100 + random.within(&percent)).unwrap_or(100) / 100
    };
    let warntime = more(keepalive * 2, 10..200);
    let deadtime = more(warntime + keepalive, 10..300);
    let fence_time = more(Duration::from_secs(4), 0..200);
    let initdead = more(deadtime + keepalive * 5 + fence_time * 2, 1..100);
    let times = Times { keepalive, warntime, deadtime, initdead, fence_time, baud: None };
    Timing::new(times).expect("each is longer than the one before")
}

fn any_policy(random: &mut Random) -> Policy {
    let on_failure = [
        OnFailure::Ignore,
        OnFailure::Restart,
        OnFailure::Failover,
        OnFailure::Failover,
        OnFailure::Standby,
        OnFailure::Fence,
    ];
    Policy {
        on_failure: random.one_of(&on_failure),
        threshold: random.within(&(1..4)) as u8,
        forget_after: random.one_of(&[None, Some(Duration::from_secs(30))]),
    }
}
