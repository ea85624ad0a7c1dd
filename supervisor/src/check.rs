//! Tells whether the configuration is right, and what it promises: `twobox check`.
//!
//! What is wrong goes to standard error, in the form that editors jump by. What is right is worth a few lines as well:
//! the inequalities with their numbers, and how long the service can be gone.

use std::fmt::{self, Write};
use std::path::Path;
use std::time::Duration;

use board::need::Need;
use board::table::Complaint;
use board::{link, resource};
use firmware_agnostic::evidence::Require;
use firmware_agnostic::frame::LINE_MAX;
use firmware_agnostic::identity::BoxId;

use crate::config::{Config, Error, Identity};

mod bounds;

pub use bounds::{Bound, bounds};

/// What of all that the file speaks of is looked for on this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Look {
    /// The key file, and what cuts the power of the other box.
    Least,
    /// What there is no start without: the key file, programs, secrets, rights, the watchdog. One card or adapter that is
    /// late, or dead, keeps no box from its part: a link is down then, and a resource that needs it cannot be started.
    Start,
    /// The same, and what only the start itself would find: the groups of the control socket.
    DryRun,
    /// All.
    Here,
}

impl Look {
    /// Whether it is a fault that this is missing.
    const fn counts(self, need: &Need) -> bool {
        match self {
            Self::Least | Self::Here => true,
            Self::Start => !need.can_wait(),
            Self::DryRun => !need.can_wait() || matches!(need, Need::Group(_)),
        }
    }
}

/// Reads the file at `path` as [`load`] does, and tells what it promises.
///
/// # Errors
///
/// All that is wrong.
pub fn check(path: &Path, who: Option<&str>, here: bool) -> Result<String, Error> {
    let look = if here { Look::Here } else { Look::Least };
    load(path, who, look).map(|config| report(path, &config, here))
}

/// Reads the file at `path`, and looks for what it takes.
///
/// # Errors
///
/// All that is wrong.
pub fn load(path: &Path, who: Option<&str>, look: Look) -> Result<Config, Error> {
    let config = Config::load(path, who)?;
    let complaints = missing(&config, look);
    if complaints.is_empty() {
        return Ok(config);
    }
    Err(Error::Wrong { path: path.to_owned(), complaints })
}

/// Reads `text`, which is to stand in the file at `path`, for the box called `who`, and looks for all that it takes.
///
/// # Errors
///
/// All that is wrong.
pub(crate) fn read(text: &str, path: &Path, who: &str) -> Result<Config, Error> {
    let identity = Identity { told: Some(who.to_owned()), ..Identity::of_this_machine() };
    let wrong = |complaints| Error::Wrong { path: path.to_owned(), complaints };
    let config = Config::read(text, &identity).map_err(wrong)?;
    let complaints = missing(&config, Look::Here);
    if complaints.is_empty() {
        return Ok(Config { path: path.to_owned(), ..config });
    }
    Err(wrong(complaints))
}

/// What the file speaks of and this machine does not have.
pub fn missing(config: &Config, look: Look) -> Vec<Complaint> {
    let me = config.settings.me;
    let mut complaints = Vec::new();
    let mut complain = |(line, column), word: String, reason: String| {
        complaints.push(Complaint { line, column, word, reason });
    };
    let places = &config.places;
    if let Err(error) = config.keys() {
        complain(places.key_file, "pair.key_file".to_owned(), error.to_string());
    }
    let lacks = |needs: Vec<Need>| {
        let needs = needs.into_iter().filter(move |need| look.counts(need));
        needs.filter_map(|need| need.missing())
    };
    // A box is fenced by the other one.
    let peer = me.other();
    for reason in config.fence_of(peer).iter().flat_map(|it| lacks(it.needs())) {
        complain(places.fence[peer.place()], format!("box.{}.fence", config.name(peer)), reason);
    }
    if look != Look::Least {
        for reason in config.witnesses.iter().flat_map(|it| lacks(it.needs())) {
            complain(places.witnesses, "witness".to_owned(), reason);
        }
        for link in &config.links {
            for reason in lacks(link.needs(me)) {
                complain(places.links, "link".to_owned(), format!("{}: {reason}", link.name));
            }
        }
        for (resource, place) in config.resources.iter().zip(&places.resources) {
            for reason in lacks(resource.needs(me)) {
                let reason = format!("{}: {reason}", resource.name);
                complain(*place, "resource".to_owned(), reason);
            }
        }
        for reason in config.hooks.iter().flat_map(|hook| lacks(hook.command.needs())) {
            complain(places.hooks, "hook".to_owned(), reason);
        }
        // A box that is to be watched and is not may be stuck unseen.
        for reason in config.watchdog.needs().iter().filter_map(Need::missing) {
            complain(places.watchdog, "watchdog.device".to_owned(), reason);
        }
    }
    if matches!(look, Look::DryRun | Look::Here) {
        for (word, place, need) in surroundings(config) {
            for reason in lacks(vec![need]) {
                complain(place, word.to_owned(), reason);
            }
        }
    }
    complaints
}

/// What the supervisor itself is used by and writes to, with the word and the place of each.
fn surroundings(config: &Config) -> Vec<(&'static str, (usize, usize), Need)> {
    let (places, control) = (&config.places, &config.control);
    let metrics = config.metrics.as_ref().map(|metrics| &metrics.file);
    let groups = [
        ("control.operators", places.control, &control.operators),
        ("control.viewers", places.control, &control.viewers),
    ];
    let files = [
        ("journal.file", places.journal, Some(&config.journal)),
        ("history.file", places.history, Some(&config.history.file)),
        ("metrics.file", places.metrics, metrics),
        ("ready.file", places.ready, config.ready_file.as_ref()),
    ];
    let groups = groups
        .into_iter()
        .filter_map(|(word, place, group)| Some((word, place, Need::Group(group.clone()?))));
    let files = files
        .into_iter()
        .filter_map(|(word, place, file)| Some((word, place, Need::folder_of(file?))));
    groups.chain(files).collect()
}

fn report(path: &Path, config: &Config, here: bool) -> String {
    let mut text = String::new();
    write_report(&mut text, path, config, here).expect("a String takes whatever is written");
    text
}

fn write_report(text: &mut String, path: &Path, config: &Config, here: bool) -> fmt::Result {
    let me = config.settings.me;
    let (own, peer) = (config.name(me), config.name(me.other()));
    writeln!(text, "{}: good. This box is {own}, its peer {peer}.", path.display())?;
    writeln!(text, "\nTimes")?;
    for inequality in config.settings.timing.inequalities() {
        writeln!(text, "  {inequality}")?;
    }
    if let Some(baud) = config.links.iter().filter_map(link::Config::baud).min() {
        let keepalive = config.settings.timing.keepalive().as_secs_f64();
        let share = (LINE_MAX * 10) as f64 / f64::from(baud) / keepalive * 100.0;
        writeln!(text, "  heartbeats fill {share:.1} % of the serial line at {baud} baud")?;
    }
    write_watchdog(text, config)?;
    write_restart(text, config)?;
    writeln!(text, "\nLongest time without service, if every timeout is used to its end")?;
    for Bound { what, worst, sum } in bounds(config) {
        let worst = match worst {
            None => "no bound".to_owned(),
            Some(Duration::ZERO) => "none".to_owned(),
            Some(worst) => format!("{worst:?}"),
        };
        writeln!(text, "  {what}: {worst}\n    = {sum}")?;
    }
    let of_this_box = config.watchdog.device.as_ref().filter(|_| here);
    let risk = of_this_box.and_then(board::watchdog::device::Config::risk);
    let wishes = if here { wishes(config) } else { Vec::new() };
    for warning in warnings(config).into_iter().chain(risk).chain(wishes) {
        writeln!(text, "warning: {warning}")?;
    }
    Ok(())
}

fn write_watchdog(text: &mut String, config: &Config) -> fmt::Result {
    let Some(device) = &config.watchdog.device else { return Ok(()) };
    let (timing, reset) = (&config.settings.timing, config.watchdog.reset);
    for inequality in timing.watchdog(device.timeout, Some(reset), config.settings.require) {
        writeln!(text, "  {inequality}")?;
    }
    let dead = timing.stall(device.timeout, reset);
    writeln!(text, "  a box that is stuck is dead {dead:?} after it was last heard, whoever shoots")
}

fn write_restart(text: &mut String, config: &Config) -> fmt::Result {
    let (time, settings) = (config.restart_time, &config.settings);
    let restart = settings.timing.restart(time, settings.require, settings.dark_time);
    if let Some(inequality) = restart {
        writeln!(text, "  {inequality}")?;
    }
    writeln!(
        text,
        "  services of a supervisor that died run on for {time:?}, and are stopped then unless another came"
    )
}

/// What this machine does not have and the resources can do without, but are the better for.
pub fn wishes(config: &Config) -> Vec<String> {
    let missing = |it: &resource::Config| {
        let reasons = it.wishes().into_iter().filter_map(|need| need.missing());
        reasons.map(|reason| format!("{}: {reason}", it.name)).collect::<Vec<_>>()
    };
    config.resources.iter().flat_map(missing).collect()
}

/// What is right, and yet a risk that the integrator should have weighed.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.settings.require == Require::Silence {
        let text =
            "takeover.require = \"silence\": when all links are cut both boxes serve at once";
        warnings.push(text.to_owned());
        if config.watchdog.device.is_none() {
            let text = "no [watchdog] device: a box that is stuck may go on when its peer serves";
            warnings.push(text.to_owned());
        }
    } else {
        for id in BoxId::BOTH.into_iter().filter(|id| config.fence_of(*id).is_empty()) {
            warnings.push(format!(
                "box.{0}.fence = []: when {0} is silent nobody serves until an operator confirms",
                config.name(id)
            ));
        }
    }
    if config.settings.require == Require::Dark {
        let shows = config.links.iter().any(link::Config::shows_power);
        warnings.push(if shows {
            "takeover.require = \"dark\": lay the way to the other box's BMC so that no fault cuts it with all links"
                .to_owned()
        } else {
            "takeover.require = \"dark\": no link shows darkness; say direct = true, or add a serial cable".to_owned()
        });
    }
    let serial = config.links.iter().filter(|link| link.baud().is_some()).count();
    if let [link] = config.links.as_slice() {
        let name = &link.name;
        warnings.push(format!("{name} is the only link: one pulled cable makes each box silent"));
    } else if serial == 0 {
        let text =
            "every link is a network: one mistake in it can cut them all; add a serial cable";
        warnings.push(text.to_owned());
    } else if serial == config.links.len() {
        let text = "every link is a serial cable: add one over the network";
        warnings.push(text.to_owned());
    }
    warnings
}
