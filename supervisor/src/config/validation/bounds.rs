//! Computes how long the service can be unavailable.
//!
//! For every kind of failure the worst case is a sum of times that stand in the configuration, if the box that takes
//! over can do so at all: resources take their whole timeout, and every device does what it is told at the first
//! attempt. What waits for a person has no bound.

use std::time::Duration;

use board::check;
use board::resource::{self, RunsOn};
use firmware_agnostic::evidence::Require;
use firmware_agnostic::identity::{BoxId, ResourceId};
use firmware_agnostic::recovery::{OnFailure, Policy, Recovery};
use firmware_agnostic::settings::AtBoot;
use firmware_agnostic::time::Instant;

use crate::config::Config;

/// The worst case of one kind of failure.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bound {
    /// What has happened.
    pub what: &'static str,
    /// The longest time without service; `None` where it lasts until an operator acts.
    pub worst: Option<Duration>,
    /// What that time is made of.
    pub sum: String,
}

/// The worst case of every kind of failure, if the box that fails is the one that can be fenced least well.
///
/// | kind | the core's way | its time |
/// |---|---|---|
/// | planned switch | the order or the claim is heard, stop, the word is heard, start | 2 keepalive + stop + start |
/// | power gone | silence, the power is read as off, start | deadtime + fence time + start |
/// | power of box and BMC gone | silence, a look, `dark_time`, a shot that goes on, a look, start | deadtime + 3 fence times + dark_time + start |
/// | hung | silence, the other's slot passes, fence, start | deadtime + fence delay + fence time + start |
/// | supervisor dead for good | its guard stops everything and says so, start | restart_time + keepalive + stop + start |
/// | cables cut | silence, the active box shoots and serves on | none |
/// | service fails | restarts up to the threshold, stop, the word is heard, start | see [`Policy`] |
/// | boot alone | leftovers stopped, silence, the power is read as off, start | stop + deadtime + fence time + start |
/// | the same, `at_boot = "fence"` | initdead, the power is on, a slot of this box, fence | and initdead + 3 fence delays |
/// | network lost | no witness answers, the service moves | witness + 2 keepalive + stop + start |
/// | boot together | leftovers stopped, both heard and echoed, start | stop + 3 keepalive + start |
pub fn bounds(config: &Config) -> impl Iterator<Item = Bound> {
    let timing = config.settings.timing;
    let [keepalive, deadtime] = [timing.keepalive(), timing.deadtime()];
    let [initdead, delay] = [timing.initdead(), timing.fence_delay()];
    let silence = config.settings.require == Require::Silence;
    let blind = !silence && BoxId::BOTH.iter().any(|id| config.fence_of(*id).is_empty());
    let (stop, start) = (("stop", stop(config)), ("start", start(config)));
    let fence = ("fence time", timing.fence_time());

    let lost = |what, seen: &[Part]| {
        let parts = if silence { &[("deadtime", deadtime)] } else { seen };
        if blind { operator(what) } else { sum(what, parts, &[start]) }
    };
    let alone = [stop, ("initdead", initdead)];
    [
        sum("planned switch or failback", &[("2 * keepalive", keepalive * 2), stop], &[start]),
        lost("active box loses its power", &[("deadtime", deadtime), fence]),
        lost(
            "active box hangs with its power on",
            &[("deadtime", deadtime), ("fence delay", delay), fence],
        ),
        sum(
            "supervisor of the active box dies for good",
            &[("restart_time", config.settings.restart_time), ("keepalive", keepalive), stop],
            &[start],
        ),
        Bound {
            what: "all links cut, both boxes alive",
            worst: Some(Duration::ZERO),
            sum: if silence { BOTH_SERVE } else { SERVES_ON }.to_owned(),
        },
        if blind {
            operator("boot alone, other box off")
        } else {
            sum("boot alone, other box off", &[stop, ("deadtime", deadtime), fence], &[start])
        },
        if silence {
            sum("boot alone, other box silent", &alone, &[start])
        } else if config.settings.at_boot == AtBoot::Fence && !blind {
            let shot =
                [&alone[..], &[("3 * fence delay", delay.saturating_mul(3)), fence]].concat();
            sum("boot alone, other box on and silent, this one not shot", &shot, &[start])
        } else {
            operator("boot alone, other box on and silent")
        },
        sum("both boxes boot", &[stop, ("3 * keepalive", keepalive * 3)], &[start]),
    ]
    .into_iter()
    .chain(lost_with_bmc(config, start))
    .chain(lost_network(config, &[("2 * keepalive", keepalive * 2), stop], start))
    .chain(worst_service(config, &[stop, ("keepalive", keepalive)], start))
}

type Part = (&'static str, Duration);

fn sum(what: &'static str, parts: &[Part], more: &[Part]) -> Bound {
    let parts = [parts, more].concat();
    let worst = parts.iter().fold(Duration::ZERO, |sum, (_, time)| sum.saturating_add(*time));
    let parts: Vec<_> = parts.iter().map(|(word, time)| format!("{word} {time:?}")).collect();
    Bound { what, worst: Some(worst), sum: parts.join(" + ") }
}

fn operator(what: &'static str) -> Bound {
    Bound { what, worst: None, sum: "until an operator says `twobox confirm`".to_owned() }
}

/// The peer is dark: its BMC is asked before and after `dark_time`, and may be told to cut the power when that is over.
fn lost_with_bmc(config: &Config, start: Part) -> Option<Bound> {
    let settings = &config.settings;
    let asked = ("3 * fence time", settings.timing.fence_time().saturating_mul(3));
    let parts =
        [("deadtime", settings.timing.deadtime()), asked, ("dark_time", settings.dark_time)];
    let dark = settings.require == Require::Dark;
    dark.then(|| sum("active box and its BMC lose their power", &parts, &[start]))
}

/// A box has lost its network when the last of its witnesses is silent.
fn lost_network(config: &Config, switch: &[Part], start: Part) -> Option<Bound> {
    let witness = config.witnesses.iter().map(check::Config::time).max()?;
    let parts = [&[("witness", witness)], switch].concat();
    Some(sum("active box loses its witness", &parts, &[start]))
}

/// The longest that any one resource's failures can last before another box serves.
fn worst_service(config: &Config, switch: &[Part], start: Part) -> Option<Bound> {
    let moves = |resource: &&resource::Config| {
        matches!(resource.policy.on_failure, OnFailure::Failover | OnFailure::Standby)
    };
    let restarts = |resource: &resource::Config| {
        let times = u32::from(resource.policy.threshold.saturating_sub(1));
        resource.start_timeout.saturating_mul(times).saturating_add(pauses(resource.policy))
    };
    let worst = config.resources.iter().filter(moves).map(restarts).max()?;
    let parts = [&[("restarts up to the threshold", worst)], switch].concat();
    Some(sum("resource fails too often", &parts, &[start]))
}

/// The pauses before the restarts of a resource that fails at once each time, as the core makes them.
fn pauses(policy: Policy) -> Duration {
    let mut recovery = Recovery::new(&[Policy { forget_after: None, ..policy }]);
    let (Some(resource), start) = (ResourceId::new(0), Instant::default()) else {
        return Duration::ZERO;
    };
    let mut now = start;
    for _ in 1..policy.threshold {
        recovery.failed(resource, now);
        now = recovery.deadline().map_or(now, |due| due.max(now));
        recovery.due(now);
    }
    now - start
}

fn stop(config: &Config) -> Duration {
    total(config, RunsOn::Active, |resource| resource.stop_timeout)
}

/// What runs on the standby box only is stopped there before the others start.
fn start(config: &Config) -> Duration {
    total(config, RunsOn::Standby, |resource| resource.stop_timeout).saturating_add(total(
        config,
        RunsOn::Active,
        |resource| resource.start_timeout,
    ))
}

fn total(config: &Config, place: RunsOn, time: fn(&resource::Config) -> Duration) -> Duration {
    let there = config.resources.iter().filter(|resource| resource.place == place);
    there.map(time).fold(Duration::ZERO, Duration::saturating_add)
}

const SERVES_ON: &str = "the active box serves on, and shoots first";
const BOTH_SERVE: &str = "both boxes serve until they hear each other: require = \"silence\"";
