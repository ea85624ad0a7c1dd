//! Shows the state of the pair: as text for a console of 80 columns, and as JSON for programs.
//!
//! Nothing is said of the peer without the age of what it rests on.

use std::cell::Ref;
use std::fmt::{self, Write as _};
use std::rc::Rc;
use std::time::Duration;

use board::link::Port;
use board::plain::Plain;
use firmware_agnostic::evidence::Require;
use firmware_agnostic::frame::FrameError;
use firmware_agnostic::heartbeat::{Asks, Role};
use firmware_agnostic::identity::{LinkId, ResourceId};
use firmware_agnostic::node::Node;
use firmware_agnostic::node::fencing::Shot;
use firmware_agnostic::peer::Carries;
use firmware_agnostic::receiver::Reception;
use firmware_agnostic::report::{Change, News, Time};
use firmware_agnostic::time::{Instant, Timer};

use crate::config::Config;
use crate::effects::{Devices, State};
use crate::json::Json;
use crate::labels::Labels;
use crate::pace::Pace;
use crate::realtime::Realtime;

mod metrics;
mod progress;

/// Everything there is to say, at one moment.
pub(crate) struct Status<'a> {
    pub(crate) node: &'a Node,
    pub(crate) now: Instant,
    pub(crate) labels: &'a Labels,
    pub(crate) config: &'a Config,
    pub(crate) ports: &'a [Rc<Port>],
    pub(crate) reception: Ref<'a, Reception>,
    pub(crate) resources: Vec<State>,
    pub(crate) files: Files,
    pub(crate) devices: Devices,
    /// Whether what watches this box is fed, where something does.
    pub(crate) watchdog: Option<String>,
    /// What is to be said of a configuration on trial, where one is.
    pub(crate) trial: Option<String>,
    pub(crate) pace: Pace,
    pub(crate) realtime: &'a Realtime,
}

/// Why what this box writes is not on the disk, if it is not.
pub(crate) struct Files {
    pub(crate) journal: Option<String>,
    pub(crate) history: Option<String>,
    pub(crate) metrics: Option<String>,
}

impl Files {
    fn each(&self) -> [(&'static str, Option<&str>); 3] {
        let Self { journal, history, metrics } = self;
        [("journal", journal), ("history", history), ("metrics", metrics)]
            .map(|(name, failure)| (name, failure.as_deref()))
    }
}

impl Status<'_> {
    /// The text for a person.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a text cannot fail.
        let _ = self.write(&mut out);
        out
    }

    /// Whether either box could fail now, and the other one would serve.
    pub(crate) fn redundant(&self) -> bool {
        self.summary() == REDUNDANT
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let names = self.labels.names();
        let node = self.node;
        let (_, since) = node.cause();
        let me = names.boxes[names.me.place()];
        writeln!(out, "pair {}: {}", self.config.pair, self.summary())?;
        write!(out, "  {me:<12} {:<9} for {}", node.role(), Time(self.now - since))?;
        writeln!(out, ", term {}{}", node.term().0, asks(node.asks()))?;
        writeln!(out, "  {:<12} because {}", "", self.why())?;
        self.write_peer(out)?;
        if let Some(next) = self.next() {
            writeln!(out, "  next         {next}")?;
        }
        if let Some(evidence) = self.evidence() {
            writeln!(out, "  evidence     {evidence}")?;
        }
        if !self.config.witnesses.is_empty() {
            let answers = if self.node.witness() { "answers" } else { "does not answer" };
            writeln!(out, "  witness      {answers}")?;
        }
        writeln!(out, "links")?;
        for (port, link) in self.ports.iter().zip((0..).filter_map(LinkId::new)) {
            self.write_link(out, port, link)?;
        }
        writeln!(out, "resources")?;
        for (config, state) in self.config.resources.iter().zip(&self.resources) {
            let runs = if state.runs { "runs" } else { "stopped" };
            write!(out, "  {:<20} {runs}", config.name)?;
            match &state.failure {
                Some(failure) => writeln!(out, ", last failed: {}", Plain(failure))?,
                None => writeln!(out)?,
            }
        }
        writeln!(out, "power of {}: {}", names.peer(), self.power())?;
        for (name, failure) in self.files.each() {
            if let Some(failure) = failure {
                writeln!(out, "{name}: not written: {}", Plain(failure))?;
            }
        }
        if let Some(watchdog) = &self.watchdog {
            writeln!(out, "watchdog: {watchdog}")?;
        }
        if let Some(trial) = &self.trial {
            writeln!(out, "configuration: {trial}")?;
        }
        let Pace { late, step, silence } = self.pace;
        write!(out, "loop: at the worst {} late, {} in one step; ", Time(late), Time(step))?;
        writeln!(out, "longest silence {}", Time(silence))?;
        writeln!(out, "real time: {}", self.realtime)?;
        for missing in &self.realtime.missing {
            writeln!(out, "  {missing}")?;
        }
        let deadtime = self.config.settings.timing.deadtime();
        let (needed, has) = (self.pace.needs(), Time(deadtime));
        if needed > deadtime {
            let needed = needed.as_millis();
            writeln!(out, "warning: deadtime {has} was nearly over: make it \"{needed}ms\"")?;
        } else {
            let needed = Time(needed);
            writeln!(out, "deadtime {has}: by what was seen so far it takes {needed} at least")?;
        }
        if self.config.settings.require == Require::Silence {
            writeln!(out, "warning: takeover.require is silence: both boxes can serve at once")?;
        }
        Ok(())
    }

    fn write_peer(&self, out: &mut String) -> fmt::Result {
        let name = self.labels.names().peer();
        match self.node.peer().last_word() {
            None => writeln!(out, "  {name:<12} not heard since this box booted"),
            Some(word) => {
                let age = Time(self.node.peer().silence(self.now));
                let fit = if word.fit { "" } else { ", not fit" };
                let fenced = if self.node.peer().fenced() { "; known to be off since" } else { "" };
                writeln!(
                    out,
                    "  {name:<12} {:<9} {age} ago{fit}{}{fenced}",
                    word.role,
                    asks(word.asks)
                )
            }
        }
    }

    fn write_link(&self, out: &mut String, port: &Port, link: LinkId) -> fmt::Result {
        let statistics = self.reception.statistics(link);
        let counts = statistics.dropped.iter().chain(&statistics.pieces_dropped);
        let dropped = counts.fold(port.strangers(), |sum, count| sum + u64::from(*count));
        write!(out, "  {:<12} {:<9}", port.name(), carries(self.node.peer().carries(link)))?;
        match statistics.heard_at {
            Some(at) => write!(out, " heard {} ago", Time(self.now - at))?,
            None => write!(out, " never heard")?,
        }
        write!(out, ", lost {} of {}", statistics.lost, statistics.received + statistics.lost)?;
        write!(out, ", longest gap {}", Time(statistics.largest_gap))?;
        if dropped > 0 {
            write!(out, ", refused {dropped}")?;
        }
        match port.failure() {
            Some(failure) => writeln!(out, "\n  {:<12} {}", "", Plain(&failure)),
            None => writeln!(out),
        }
    }

    /// The object for a program.
    pub(crate) fn json(&self) -> String {
        let names = self.labels.names();
        let node = self.node;
        let epoch = node.epoch();
        let mut json = Json::new();
        json.text("pair", &self.config.pair);
        json.text("summary", self.summary());
        json.object("box", |json| {
            json.text("name", names.boxes[names.me.place()]);
            json.text("role", &node.role().to_string());
            json.text("cause", &self.why());
            json.number("since_ms", millis(self.now - node.cause().1));
            json.number("term", node.term().0);
            json.text("boot", &hex(&epoch.boot.0));
            json.number("change", epoch.change);
            json.flag("fit", node.fit());
            json.text("asks", word(node.asks()));
            json.flag("witness", node.witness());
            json.optional_text("next", self.next().as_deref());
            json.optional_text("evidence", self.evidence().as_deref());
        });
        json.object("peer", |json| {
            json.text("name", names.peer());
            json.flag("heard", node.peer().word(self.now).is_some());
            json.flag("fenced", node.peer().fenced());
            if let Some(said) = node.peer().last_word() {
                json.number("age_ms", millis(node.peer().silence(self.now)));
                json.text("role", &said.role.to_string());
                json.number("term", said.term.0);
                json.flag("fit", said.fit);
                json.text("asks", word(said.asks));
                json.flag("same_config", said.config == self.config.settings.config);
            }
        });
        json.list("links", self.ports.iter().zip((0..).filter_map(LinkId::new)), |json, item| {
            self.link_json(json, item.0, item.1);
        });
        let resources = self.config.resources.iter().zip(&self.resources);
        json.list("resources", resources.zip((0..).filter_map(ResourceId::new)), |json, item| {
            let ((config, state), id) = item;
            json.text("name", &config.name);
            json.flag("runs", state.runs);
            json.number("failures", node.recovery().count(id));
            json.optional_text("failure", state.failure.as_deref());
        });
        json.object("fence", |json| {
            json.number("devices", self.devices.count as u64);
            if let Some((power, at)) = self.devices.seen {
                json.text("seen", &power.to_string());
                json.number("age_ms", millis(self.now - at));
            }
            json.optional_text("failure", self.devices.failure.as_deref());
            if let Some(at) = self.devices.failed_at {
                json.number("not_ready_ms", millis(self.now - at));
            }
        });
        for (name, failure) in self.files.each() {
            json.optional_text(name, failure);
        }
        json.optional_text("watchdog", self.watchdog.as_deref());
        json.optional_text("trial", self.trial.as_deref());
        json.object("realtime", |json| {
            json.number("priority", self.realtime.priority.number());
            json.flag("memory_locked", self.realtime.locked);
        });
        json.object("loop", |json| {
            let deadtime = self.config.settings.timing.deadtime();
            json.number("late_max_us", micros(self.pace.late));
            json.number("step_max_us", micros(self.pace.step));
            json.number("silence_max_ms", millis(self.pace.silence));
            json.number("deadtime_ms", millis(deadtime));
            json.number("deadtime_needed_ms", millis(self.pace.needs()));
            json.number("deadtime_advised_ms", millis(self.pace.needs().max(deadtime)));
        });
        json.end()
    }

    fn link_json(&self, json: &mut Json, port: &Port, link: LinkId) {
        let statistics = self.reception.statistics(link);
        json.text("name", port.name());
        json.text("carries", carries(self.node.peer().carries(link)));
        json.number("received", statistics.received);
        json.number("lost", statistics.lost);
        json.number("largest_gap_ms", millis(statistics.largest_gap));
        if let Some(at) = statistics.heard_at {
            json.number("age_ms", millis(self.now - at));
        }
        let (frames, pieces) = (statistics.dropped, statistics.pieces_dropped);
        for (name, counts) in [("refused", frames), ("refused_letters", pieces)] {
            json.object(name, |json| {
                for (cause, count) in FrameError::ALL.iter().zip(counts) {
                    json.number(cause.word(), count);
                }
            });
        }
        json.number("strangers", port.strangers());
        if let Some(lines) = port.lines() {
            json.object("lines", |json| {
                json.flag("dsr", lines.dsr);
                json.flag("carrier", lines.carrier);
                json.flag("cts", lines.cts);
            });
        }
        json.optional_text("failure", port.failure().as_deref());
    }

    /// The pair in one phrase.
    fn summary(&self) -> &'static str {
        let node = self.node;
        let word = node.peer().word(self.now);
        let cables = (0..self.ports.len())
            .filter_map(LinkId::new)
            .all(|link| node.peer().carries(link) == Some(Carries::BothWays));
        let serves = node.role() == Role::Active;
        match word {
            None if serves => "serving alone: the peer is not heard",
            None => "isolated: the peer is not heard, and nothing is served here",
            Some(word) if !serves && word.role != Role::Active => "nobody serves",
            Some(word) if !node.fit() || !word.fit => "serving, but one box is not fit",
            Some(word) if !node.witness() || !word.witness => {
                "serving, but one box has lost its network: no witness answers"
            }
            Some(word) if [node.asks(), word.asks].contains(&Asks::Maintenance) => {
                "in maintenance: nothing happens by itself"
            }
            Some(word) if node.asks().yields() || word.asks.yields() => {
                "serving, but one box is kept from taking over"
            }
            Some(_) if !cables => "serving, but a link does not carry",
            Some(word) if word.config != self.config.settings.config => {
                "serving, but the boxes are configured differently"
            }
            Some(_)
                if self.config.settings.require != Require::Silence && self.devices.count == 0 =>
            {
                "serving, but no device can fence the peer"
            }
            Some(_) if self.devices.failure.is_some() => {
                "serving, but the peer could not be fenced"
            }
            Some(_) if self.files.journal.is_some() => {
                "serving, but this box cannot write its journal"
            }
            Some(_) => REDUNDANT,
        }
    }

    fn why(&self) -> String {
        let node = self.node;
        let (cause, _) = node.cause();
        let change = Change {
            from: node.role(),
            to: node.role(),
            cause,
            epoch: node.epoch(),
            term: node.term(),
        };
        let line = News::Changed(change).line(&self.labels.names()).to_string();
        line.split_once(": ").map_or(line.clone(), |(_, why)| why.to_owned())
    }

    /// What this box waits for.
    fn next(&self) -> Option<String> {
        let left = |timer| self.node.timer(timer).map(|at| Time(at - self.now));
        let peer = self.labels.names().peer();
        match (self.node.role(), self.node.shot()) {
            (Role::Init, _) => match left(Timer::Initdead) {
                Some(left) => Some(format!("listens for {peer} for {left} more")),
                None => Some("removes what an earlier life may have left".to_owned()),
            },
            (_, Shot::Looking(_)) => Some(format!("reads the power of {peer}")),
            (_, Shot::Ordered(..) | Shot::Ready(..)) => {
                Some(format!("is about to cut the power of {peer}"))
            }
            (_, Shot::Cut(_)) => {
                Some(format!("has ordered the power of {peer} off, and waits to see it off"))
            }
            (_, Shot::CalledOff(_)) => {
                Some(format!("has called the shot at {peer} off, and waits for its device"))
            }
            (_, Shot::Waiting | Shot::Aimed) => {
                let left = left(Timer::Shot)?;
                Some(format!("looks at the power of {peer} again, or cuts it, in {left}"))
            }
            (Role::Active, _) => {
                let left = left(Timer::Failback)?;
                Some(format!("gives the resources back to {peer} in {left}"))
            }
            _ if !self.node.fit() => {
                Some("serves once what has failed is mended, and twobox clear is said".to_owned())
            }
            _ => None,
        }
    }

    fn power(&self) -> String {
        let Devices { count, seen, failure, failed_at } = &self.devices;
        let seen = match seen {
            _ if *count == 0 => "no fence device: only an operator's word counts".to_owned(),
            Some((power, at)) => format!("seen {power} {} ago", Time(self.now - *at)),
            None => "not seen yet".to_owned(),
        };
        match failure {
            Some(failure) => {
                let since = Time(self.now - failed_at.unwrap_or(self.now));
                format!("{seen}; not ready for {since}:\n  {}", Plain(failure))
            }
            None => seen,
        }
    }
}

fn asks(asks: Asks) -> &'static str {
    match asks {
        Asks::Nothing => "",
        Asks::HandOver => ", hands over",
        Asks::Standby => ", kept from serving by an operator",
        Asks::Claim => ", kept serving by an operator",
        Asks::Leave => ", leaves",
        Asks::Fence => ", asks to be fenced",
        Asks::Maintenance => ", in maintenance",
    }
}

const fn word(asks: Asks) -> &'static str {
    match asks {
        Asks::Nothing => "nothing",
        Asks::HandOver => "hand_over",
        Asks::Standby => "standby",
        Asks::Claim => "claim",
        Asks::Leave => "leave",
        Asks::Fence => "fence",
        Asks::Maintenance => "maintenance",
    }
}

const fn carries(carries: Option<Carries>) -> &'static str {
    match carries {
        Some(Carries::BothWays) => "both ways",
        Some(Carries::OneWay) => "one way",
        Some(Carries::Nothing) | None => "silent",
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The one summary that needs nobody's attention.
const REDUNDANT: &str = "serving, and redundant";
