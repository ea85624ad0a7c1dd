//! Writes the status for a person: 80 columns, and no more lines than the screen of a serial console has.
//!
//! What does not fit is left out, what matters least first: the figures, then what is as it should be, then what is
//! not. The first lines, which tell how the pair is and what to do about it, always stay.

use std::fmt::Write as _;

use board::host::plain_text::Plain;
use board::link::Port;
use board::resource::{Config, RunsOn};
use firmware_agnostic::evidence::Require;
use firmware_agnostic::heartbeat::{PeerRequest, Role};
use firmware_agnostic::identity::{LinkId, ResourceId};
use firmware_agnostic::peer::Carries;
use firmware_agnostic::report::Time;
use firmware_agnostic::time::Timer;

use super::{Status, carries};
use crate::observe::latency::Latency;
use crate::observe::screen::wrap;
use crate::workers::resources::ResourceState;

/// The most lines of a status: a screen has 24, and wants one for the next command.
pub(crate) const ROWS: usize = 22;

/// A line, with its indent where it is broken, and how much it matters.
struct TextLine(LineRank, usize, String);

/// How much a line matters, from the least on.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum LineRank {
    Figure,
    Normal,
    Fault,
    Head,
}

impl Status<'_> {
    /// The text for a person, on so many lines at most.
    pub(crate) fn text(&self, rows: Option<usize>) -> String {
        let lines = self.lines().into_iter();
        let mut lines: Vec<_> =
            lines.map(|TextLine(rank, indent, text)| (rank, wrap(&text, indent))).collect();
        let length =
            |lines: &[(LineRank, String)]| lines.iter().map(|(_, it)| it.lines().count()).sum();
        let (all, mut left): (usize, usize) = (length(&lines), length(&lines));
        let rows = rows.filter(|rows| all > *rows).map(|rows| rows.saturating_sub(1));
        while rows.is_some_and(|rows| left > rows) {
            let least = lines.iter().enumerate().rev().min_by_key(|(_, (rank, _))| *rank);
            let Some((place, _)) = least.filter(|(_, (rank, _))| *rank != LineRank::Head) else {
                break;
            };
            lines.remove(place);
            left = length(&lines);
        }
        let mut text: String = lines.into_iter().map(|(_, line)| line + "\n").collect();
        if left < all {
            let _ = writeln!(text, "{} more lines: twobox status --all", all - left);
        }
        text
    }

    fn lines(&self) -> Vec<TextLine> {
        let names = self.names.lend();
        let (node, me) = (self.node, names.boxes[names.me.index()]);
        let (_, since) = node.cause();
        let head = |indent, text| TextLine(LineRank::Head, indent, text);
        let summary = format!("pair {}: {}", self.config.pair, self.summary());
        let role = format!("{me:<12} {:<9} for {}", node.role(), Time(self.now - since));
        let order = self.order();
        let mut lines = vec![
            head(2, summary),
            head(INDENT, format!("  {role}, term {}{order}", node.term().0)),
            head(INDENT, format!("{:INDENT$}because {}", "", self.why())),
            head(INDENT, self.peer()),
        ];
        let told = [("next", self.next()), ("or", self.way_out()), ("evidence", self.evidence())];
        for (word, text) in told {
            lines.extend(text.map(|text| head(INDENT, format!("  {word:<12} {text}"))));
        }
        if !self.config.witnesses.is_empty() {
            let rank = if node.witness() { LineRank::Normal } else { LineRank::Fault };
            let answers = if node.witness() { "answers" } else { "does not answer" };
            lines.push(TextLine(rank, INDENT, format!("  witness      {answers}")));
        }
        lines.extend(section("links", self.links()));
        lines.extend(section("resources", self.resources()));
        let rank = if self.devices.failure.is_some() { LineRank::Fault } else { LineRank::Normal };
        lines.push(TextLine(rank, 2, format!("power of {}: {}", names.peer(), self.power())));
        for (name, failure) in self.files.each() {
            let told = failure.map(|failure| format!("{name}: not written: {}", Plain(failure)));
            lines.extend(told.map(|told| TextLine(LineRank::Fault, 2, told)));
        }
        lines.extend(self.own());
        lines
    }

    fn links(&self) -> Vec<TextLine> {
        let links = self.ports.iter().zip((0..).filter_map(LinkId::new));
        links.map(|(port, link)| self.link(port, link)).collect()
    }

    fn link(&self, port: &Port, link: LinkId) -> TextLine {
        let (statistics, carried) =
            (self.reception.statistics(link), self.node.peer().carries(link));
        let mut text = format!("  {:<12} {:<9}", port.name(), carries(carried));
        // Writing to a text cannot fail.
        let _ = match statistics.heard_at {
            Some(at) => write!(text, " heard {} ago", Time(self.now - at)),
            None => write!(text, " never heard"),
        };
        let all = statistics.received + statistics.lost;
        let gap = Time(statistics.largest_gap);
        let _ = write!(text, ", lost {} of {all}, longest gap {gap}", statistics.lost);
        let counts = statistics.dropped.iter().chain(&statistics.pieces_dropped);
        let dropped = counts.fold(port.strangers(), |sum, count| sum + u64::from(*count));
        if dropped > 0 {
            let _ = write!(text, ", refused {dropped}");
        }
        let failure = port.failure();
        let well = carried == Some(Carries::BothWays) && failure.is_none();
        if let Some(failure) = failure {
            let _ = write!(text, ": {}", Plain(&failure));
        }
        TextLine(if well { LineRank::Normal } else { LineRank::Fault }, INDENT, text)
    }

    fn resources(&self) -> Vec<TextLine> {
        let serves = matches!(self.node.role(), Role::Active | Role::Starting);
        let line = |((config, state), id): ((&Config, &ResourceState), ResourceId)| {
            let place = config.place;
            let belongs = place == RunsOn::Both || serves == (place == RunsOn::Active);
            let mut text = format!("  {:<20} ", config.name);
            text.push_str(match (state.runs, belongs || state.failure.is_some()) {
                (true, _) => "runs",
                (false, true) => "stopped",
                (false, false) => "stopped, as it should be here",
            });
            // Writing to a text cannot fail.
            let _ = match (&state.failure, self.node.recovery().count(id)) {
                (Some(failure), _) => write!(text, ", last failed: {}", Plain(failure)),
                (None, 0) => Ok(()),
                (None, count) => {
                    write!(text, ", has failed {count} of {} times", config.policy.threshold)
                }
            };
            let well = state.failure.is_none() && state.runs == belongs;
            TextLine(if well { LineRank::Normal } else { LineRank::Fault }, INDENT, text)
        };
        let resources = self.config.resources.iter().zip(&self.resources);
        resources.zip((0..).filter_map(ResourceId::new)).map(line).collect()
    }

    /// What this box is to itself.
    fn own(&self) -> Vec<TextLine> {
        let mut lines = Vec::new();
        let mut tell = |rank, text| lines.push(TextLine(rank, 2, text));
        if let Some(watchdog) = &self.watchdog {
            tell(LineRank::Normal, format!("watchdog: {watchdog}"));
        }
        if let Some(trial) = &self.trial {
            tell(LineRank::Fault, format!("configuration: {trial}"));
        }
        let Latency { late, step, silence, .. } = self.latency;
        let worst = format!("at the worst {} late, {} in one step", Time(late), Time(step));
        tell(LineRank::Figure, format!("loop: {worst}; longest silence {}", Time(silence)));
        let realtime = format!("real time: {}", self.realtime);
        let missing = &self.realtime.missing;
        tell(if missing.is_empty() { LineRank::Figure } else { LineRank::Normal }, realtime);
        for missing in missing {
            tell(LineRank::Normal, format!("  {missing}"));
        }
        let deadtime = self.config.settings.timing.deadtime();
        let (needed, has) = (self.latency.needs(), Time(deadtime));
        if needed > deadtime {
            let needed = needed.as_millis();
            let text = format!("warning: deadtime {has} was nearly over: make it \"{needed}ms\"");
            tell(LineRank::Fault, text);
        } else {
            let needed = Time(needed);
            tell(
                LineRank::Figure,
                format!("deadtime {has}: {needed} would have been enough so far"),
            );
        }
        if self.config.settings.require == Require::Silence {
            let text = "warning: takeover.require is silence: both boxes can serve at once";
            tell(LineRank::Normal, text.to_owned());
        }
        lines
    }

    /// What the peer was last heard to be, and how long ago that was.
    pub(super) fn peer(&self) -> String {
        let (peer, name) = (self.node.peer(), self.names.lend().peer());
        let Some(heartbeat) = peer.last_heartbeat() else {
            return format!("  {name:<12} not heard since twobox was started here");
        };
        let age = Time(peer.silence(self.now));
        if peer.fenced() {
            return format!("  {name:<12} known to be off; was {} until {age} ago", heartbeat.role);
        }
        let fit = if heartbeat.fit { "" } else { ", not fit" };
        format!("  {name:<12} {:<9} {age} ago{fit}{}", heartbeat.role, request(heartbeat.request))
    }

    /// The order that stands here, and for how long.
    fn order(&self) -> String {
        let order = request(self.node.request());
        match self.node.timer(Timer::Order) {
            Some(end) if !order.is_empty() => format!("{order}, for {} more", Time(end - self.now)),
            _ => order.to_owned(),
        }
    }
}

fn section(name: &str, lines: Vec<TextLine>) -> impl Iterator<Item = TextLine> {
    let most = lines.iter().map(|TextLine(rank, ..)| *rank).max();
    most.map(|rank| TextLine(rank, 0, name.to_owned())).into_iter().chain(lines)
}

fn request(request: PeerRequest) -> &'static str {
    match request {
        PeerRequest::Nothing => "",
        PeerRequest::HandOver => ", hands over",
        PeerRequest::Standby => ", kept from serving by an operator",
        PeerRequest::Claim => ", kept serving by an operator",
        PeerRequest::Leave => ", leaves",
        PeerRequest::Fence => ", asks to be fenced",
        PeerRequest::Maintenance => ", in maintenance",
    }
}

/// The column in which it is told what something is.
const INDENT: usize = 15;
