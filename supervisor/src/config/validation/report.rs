//! Writes what a configuration that is right promises: in short for a screen of 24 lines, or with all that it
//! follows from.

use std::fmt::{self, Write};
use std::path::Path;
use std::time::Duration;

use board::host::init::Init;
use board::link;
use firmware_agnostic::frame::LINE_MAX;

use super::{Bound, bounds, warnings, wishes};
use crate::config::Config;
use crate::observe::screen::wrap;
use crate::process::upgrade;

/// The head, the warnings, and one line for each kind of failure, on at most [`ROWS`] lines.
pub(super) fn short(path: &Path, config: &Config, here: bool) -> String {
    let mut lines = vec![wrap(&head(path, config), 2)];
    lines.extend(all_warnings(config, here).map(|warning| wrap(&format!("warning: {warning}"), 2)));
    lines.push("Longest time without service, if every timeout is used to its end".to_owned());
    let bound = |Bound { what, worst, .. }| {
        let worst = worst.map_or_else(|| "until twobox confirm".to_owned(), |it| told(Some(it)));
        wrap(&format!("  {what:<56} {worst}"), 4)
    };
    lines.extend(bounds(config).map(bound));
    lines.push(
        "What these are made of, and the times they follow from: twobox check --all".to_owned(),
    );
    let text: Vec<_> = lines.iter().flat_map(|line| line.lines()).collect();
    if text.len() <= ROWS {
        return text.join("\n") + "\n";
    }
    let kept = text.iter().take(ROWS - 1).copied().collect::<Vec<_>>().join("\n");
    format!("{kept}\n{} more lines: twobox check --all\n", text.len() - (ROWS - 1))
}

/// All of it.
pub(super) fn whole(path: &Path, config: &Config, here: bool) -> String {
    let mut text = String::new();
    write_report(&mut text, path, config, here).expect("a String takes all that is written");
    text
}

fn head(path: &Path, config: &Config) -> String {
    let me = config.settings.me;
    let (own, peer) = (config.name(me), config.name(me.other()));
    format!("{}: good. This box is {own}, its peer {peer}.", path.display())
}

fn told(worst: Option<Duration>) -> String {
    match worst {
        None => "no bound".to_owned(),
        Some(Duration::ZERO) => "none".to_owned(),
        Some(worst) => format!("{worst:?}"),
    }
}

fn all_warnings(config: &Config, here: bool) -> impl Iterator<Item = String> {
    let of_this_box = config.watchdog.device.as_ref().filter(|_| here);
    let risk = of_this_box.and_then(board::watchdog::device::Config::risk);
    let own = if here { upgrade::risk() } else { None };
    let wishes = if here { wishes(config) } else { Vec::new() };
    warnings(config).into_iter().chain(risk).chain(own).chain(wishes)
}

fn write_report(text: &mut String, path: &Path, config: &Config, here: bool) -> fmt::Result {
    writeln!(text, "{}", head(path, config))?;
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
    write_restart(text, config, Init::of_this_box().filter(|_| here))?;
    writeln!(text, "\nLongest time without service, if every timeout is used to its end")?;
    for Bound { what, worst, sum } in bounds(config) {
        writeln!(text, "  {what}: {}\n    = {sum}", told(worst))?;
    }
    for warning in all_warnings(config, here) {
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
    writeln!(
        text,
        "  a box that is stuck is dead {dead:?} after it was last heard, no matter which box shoots"
    )
}

fn write_restart(text: &mut String, config: &Config, init: Option<Init>) -> fmt::Result {
    let (time, settings) = (config.settings.restart_time, &config.settings);
    let restart = settings.timing.restart(time, settings.require, settings.dark_time);
    if let Some(inequality) = restart {
        writeln!(text, "  {inequality}")?;
    }
    writeln!(
        text,
        "  services of a supervisor that died run on for {time:?}, and are stopped then unless another came"
    )?;
    init.map_or(Ok(()), |init| writeln!(text, "  {}", restarts(init, config)))
}

/// Whether `init` is back before the guard gives up, and before the peer would take a box without a guard for dead.
fn restarts(Init { name, pause }: Init, config: &Config) -> String {
    let (restart_time, deadtime) =
        (config.settings.restart_time, config.settings.timing.deadtime());
    let starts = format!("{name} starts a supervisor that died again after {pause:?}");
    if pause >= restart_time {
        format!("{starts}, not within restart_time ({restart_time:?}): raise restart_time")
    } else if pause >= deadtime {
        format!("{starts}, not within deadtime ({deadtime:?}): its guard tells the peer meanwhile")
    } else {
        format!("{starts}, within deadtime ({deadtime:?})")
    }
}

/// The most lines of the short form.
const ROWS: usize = 20;
