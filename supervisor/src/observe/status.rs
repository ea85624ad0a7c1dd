//! Tells how the pair is doing: in text for a console ([`text`]), in JSON for programs, in figures ([`metrics`]).
//!
//! Nothing is said of the peer without the age of what it rests on.

use std::borrow::Cow;
use std::cell::Ref;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use board::fence::Power;
use board::host::plain_text::Plain;
use board::link::Port;
use firmware_agnostic::evidence::Require;
use firmware_agnostic::frame::FrameError;
use firmware_agnostic::heartbeat::{Heartbeat, PeerRequest, Role};
use firmware_agnostic::identity::{LinkId, ResourceId};
use firmware_agnostic::node::Node;
use firmware_agnostic::node::fencing::Fencing;
use firmware_agnostic::peer::Carries;
use firmware_agnostic::receiver::Reception;
use firmware_agnostic::recovery::Policy;
use firmware_agnostic::report::{Change, Report, Time};
use firmware_agnostic::time::{Instant, Timer};

use crate::config::Config;
use crate::observe::json::Json;
use crate::observe::latency::Latency;
use crate::observe::names::NameTable;
use crate::process::realtime::Realtime;
use crate::workers::fencing::Devices;
use crate::workers::resources::ResourceState;

mod metrics;
mod progress;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use text::ROWS;

/// Everything there is to say, at one moment.
pub(crate) struct Status<'a> {
    pub(crate) node: &'a Node,
    pub(crate) now: Instant,
    pub(crate) names: &'a NameTable,
    pub(crate) config: &'a Config,
    pub(crate) ports: &'a [Rc<Port>],
    pub(crate) reception: Ref<'a, Reception>,
    pub(crate) resources: Vec<ResourceState>,
    pub(crate) files: FileFailures,
    pub(crate) devices: Devices,
    /// Whether the last shot of this box was seen to have cut the power.
    pub(crate) shot: Option<bool>,
    /// Whether what watches this box is fed, where something does.
    pub(crate) watchdog: Option<String>,
    /// What is to be said of a configuration on trial, where one is.
    pub(crate) trial: Option<String>,
    pub(crate) latency: Latency,
    pub(crate) realtime: &'a Realtime,
}

/// Why what this box writes is not on the disk, if it is not.
pub(crate) struct FileFailures {
    pub(crate) journal: Option<String>,
    pub(crate) history: Option<String>,
    pub(crate) metrics: Option<String>,
}

impl FileFailures {
    fn each(&self) -> [(&'static str, Option<&str>); 3] {
        let Self { journal, history, metrics } = self;
        [("journal", journal), ("history", history), ("metrics", metrics)]
            .map(|(name, failure)| (name, failure.as_deref()))
    }
}

/// What an operator should know beside what an order has done.
pub(crate) struct Surroundings {
    /// The names of this box and of its peer.
    pub(crate) names: [String; 2],
    /// What this box waits for.
    pub(crate) next: Option<String>,
    /// What a person can say to end that.
    pub(crate) way_out: Option<String>,
    /// What the peer says, if it is heard.
    pub(crate) peer: Option<Heartbeat>,
    /// The peer is heard, and configured differently.
    pub(crate) differs: bool,
}

impl Status<'_> {
    /// Whether either box could fail now, and the other one would serve.
    pub(crate) fn redundant(&self) -> bool {
        self.summary() == REDUNDANT
    }

    /// The object for a program.
    pub(crate) fn json(&self) -> String {
        let names = self.names.lend();
        let node = self.node;
        let epoch = node.epoch();
        let mut json = Json::new();
        json.text("pair", &self.config.pair);
        json.text("summary", &self.summary());
        json.object("box", |json| {
            json.text("name", names.boxes[names.me.index()]);
            json.text("role", &node.role().to_string());
            json.text("cause", &self.why());
            json.number("since_ms", millis(self.now - node.cause().1));
            json.number("term", node.term().0);
            json.text("boot", &hex(&epoch.boot.0));
            json.number("change", epoch.change);
            json.flag("fit", node.fit());
            json.text("asks", label(node.request()));
            json.flag("witness", node.witness());
            json.optional_text("next", self.next().as_deref());
            json.optional_text("evidence", self.evidence().as_deref());
        });
        json.object("peer", |json| {
            json.text("name", names.peer());
            json.flag("heard", node.peer().heartbeat(self.now).is_some());
            json.flag("fenced", node.peer().fenced());
            if let Some(said) = node.peer().last_heartbeat() {
                json.number("age_ms", millis(node.peer().silence(self.now)));
                json.text("role", &said.role.to_string());
                json.number("term", said.term.0);
                json.flag("fit", said.fit);
                json.text("asks", label(said.request));
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
            json.number("late_max_us", micros(self.latency.late));
            json.number("step_max_us", micros(self.latency.step));
            json.number("silence_max_ms", millis(self.latency.silence));
            json.number("deadtime_ms", millis(deadtime));
            json.number("deadtime_needed_ms", millis(self.latency.needs()));
            json.number("deadtime_advised_ms", millis(self.latency.needs().max(deadtime)));
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
                    json.number(cause.label(), count);
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

    /// The pair in one phrase, with what to say where an order keeps a box from its part.
    fn summary(&self) -> Cow<'static, str> {
        let node = self.node;
        let Some(heartbeat) = node.peer().heartbeat(self.now) else {
            return if node.role() == Role::Active && !node.fit() {
                "serving alone, but not fit: the peer is not heard".into()
            } else if node.role() == Role::Active {
                "serving alone: the peer is not heard".into()
            } else {
                let isolated = "isolated: the peer is not heard, and nothing is served here";
                self.with_order(isolated, node.request(), None)
            };
        };
        let cables = (0..self.ports.len())
            .filter_map(LinkId::new)
            .all(|link| node.peer().carries(link) == Some(Carries::BothWays));
        let which = |mine: bool, theirs: bool| match (mine, theirs) {
            (true, true) => "both boxes",
            (mine, _) => self.name(mine),
        };
        match node.role() {
            role if role != Role::Active && heartbeat.role != Role::Active => {
                self.with_order("nobody serves", node.request(), Some(heartbeat.request))
            }
            _ if !node.fit() || !heartbeat.fit => {
                format!("serving, but not fit: {}", which(!node.fit(), !heartbeat.fit)).into()
            }
            _ if !node.witness() || !heartbeat.witness => {
                let lost = which(!node.witness(), !heartbeat.witness);
                format!("serving, but {lost}: no network, no witness answers").into()
            }
            _ if [node.request(), heartbeat.request].contains(&PeerRequest::Maintenance) => self
                .with_order(
                    "in maintenance: nothing happens by itself",
                    node.request(),
                    Some(heartbeat.request),
                ),
            _ if node.request().yields() || heartbeat.request.yields() => {
                self.with_order("serving", node.request(), Some(heartbeat.request))
            }
            _ if !cables => "serving, but a link does not carry".into(),
            _ if heartbeat.config != self.config.settings.config => {
                "serving, but the boxes are configured differently".into()
            }
            _ if self.config.settings.require != Require::Silence && self.devices.count == 0 => {
                "serving, but no device can fence the peer".into()
            }
            _ if self.devices.failure.is_some() => {
                "serving, but the peer could not be fenced".into()
            }
            _ if self.files.journal.is_some() => {
                "serving, but this box cannot write its journal".into()
            }
            _ => REDUNDANT.into(),
        }
    }

    /// Names with `phrase` each box that an order keeps from its part, and how the order is ended.
    fn with_order(
        &self,
        phrase: &'static str,
        mine: PeerRequest,
        theirs: Option<PeerRequest>,
    ) -> Cow<'static, str> {
        let mut text = Cow::Borrowed(phrase);
        for (request, own) in [(Some(mine), true), (theirs, false)] {
            let name = self.name(own);
            let what = match request {
                Some(PeerRequest::Standby) => {
                    format!("; {name} is held back: twobox resume on {name}")
                }
                Some(PeerRequest::Maintenance) => format!("; to end it: twobox resume on {name}"),
                Some(PeerRequest::HandOver) => format!("; {name} hands over"),
                Some(PeerRequest::Leave) => format!("; {name} leaves"),
                _ => continue,
            };
            text.to_mut().push_str(&what);
        }
        text
    }

    /// The name of this box, or of its peer.
    fn name(&self, own: bool) -> &str {
        let names = self.names.lend();
        if own { names.boxes[names.me.index()] } else { names.peer() }
    }

    /// What an operator should know who has given an order.
    pub(crate) fn surroundings(&self) -> Surroundings {
        let heartbeat = self.node.peer().heartbeat(self.now);
        Surroundings {
            names: [true, false].map(|own| self.name(own).to_owned()),
            next: self.next(),
            way_out: self.way_out(),
            peer: heartbeat.copied(),
            differs: heartbeat
                .is_some_and(|heartbeat| heartbeat.config != self.config.settings.config),
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
        let line = Report::Changed(change).line(&self.names.lend()).to_string();
        line.split_once(": ").map_or(line.clone(), |(_, why)| why.to_owned())
    }

    /// What this box waits for, or a person is to do.
    fn next(&self) -> Option<String> {
        let left = |timer| self.node.timer(timer).map(|at| Time(at - self.now));
        let peer = self.names.lend().peer();
        match (self.node.role(), self.node.fencing()) {
            (Role::Init, _) => match left(Timer::Initdead) {
                Some(left) => Some(format!("listens for {peer} for {left} more")),
                None => Some("removes what an earlier life may have left".to_owned()),
            },
            (_, Fencing::Querying(_)) => Some(format!("reads the power of {peer}")),
            (_, Fencing::Ordered(..) | Fencing::Ready(..)) => {
                Some(format!("is about to cut the power of {peer}"))
            }
            (_, Fencing::Cut(_)) => {
                Some(format!("has ordered the power of {peer} off, and waits to see it off"))
            }
            (_, Fencing::CalledOff(_)) => {
                Some(format!("has called the shot at {peer} off, and waits for its device"))
            }
            (_, Fencing::Backoff) => {
                Some(format!("tries the power of {peer} again in {}", left(Timer::Fencing)?))
            }
            (_, Fencing::Armed) => Some(format!(
                "cuts the power of {peer} in {}, unless it is heard",
                left(Timer::Fencing)?
            )),
            (Role::Active, _) if self.node.peer().fenced() => Some(self.after_the_shot()),
            (Role::Active, _) => {
                let left = left(Timer::Failback)?;
                Some(format!("gives the resources back to {peer} in {left}"))
            }
            _ if !self.node.fit() => Some(self.recovers()),
            _ => None,
        }
    }

    /// What a person does whose box has lost its peer.
    fn after_the_shot(&self) -> String {
        let peer = self.names.lend().peer();
        let devices = self.config.fence_of(self.config.settings.me.other());
        match self.shot {
            Some(true) if devices.iter().any(|device| device.on_after.is_some()) => format!(
                "{peer} was cut off and is powered on again by its fence device; see why it was silent"
            ),
            Some(true) => format!(
                "{peer} was cut off from here: mend what made it silent (its cables, the box itself), then power it on"
            ),
            _ => format!("{peer} is off: see why, and power it on"),
        }
    }

    /// How a box that is not fit comes to serve again.
    fn recovers(&self) -> String {
        let policies = self.config.settings.resources.iter().zip((0..).filter_map(ResourceId::new));
        let failed: Vec<&Policy> = policies
            .filter(|(_, id)| self.node.recovery().count(*id) > 0)
            .map(|(policy, _)| policy)
            .collect();
        if failed.is_empty() {
            return "may serve again once what its resources need is there".to_owned();
        }
        let by_itself = failed.iter().all(|policy| policy.forget_after.is_some());
        match self.node.recovery().deadline().filter(|_| by_itself) {
            Some(at) => {
                let left = Time(at - self.now);
                format!("may serve again in {left}, or once it is mended: twobox clear")
            }
            None => "serves once what has failed is mended, and twobox clear is said".to_owned(),
        }
    }

    /// What a person can say where this box waits for proof that the peer is off.
    fn way_out(&self) -> Option<String> {
        let waits =
            self.node.role() == Role::Fencing && self.node.peer().heartbeat(self.now).is_none();
        let peer = self.names.lend().peer();
        waits.then(|| format!("twobox confirm {peer}, if you have seen that it is off"))
    }

    fn power(&self) -> String {
        let Devices { count, seen, failure, failed_at } = &self.devices;
        let heard = self.node.peer().heartbeat(self.now).is_some();
        let seen = match seen {
            _ if *count == 0 => "no fence device: only an operator's word counts".to_owned(),
            Some((Power::Off, at)) if heard => format!(
                "not read since {} is heard again; seen off {} ago",
                self.names.lend().peer(),
                Time(self.now - *at)
            ),
            Some((power, at)) => format!("seen {power} {} ago", Time(self.now - *at)),
            None => "not seen yet".to_owned(),
        };
        match failure {
            Some(failure) => {
                let since = Time(self.now - failed_at.unwrap_or(self.now));
                format!(
                    "{seen}; not ready for {since}, and tried again within a minute: {}",
                    Plain(failure)
                )
            }
            None => seen,
        }
    }
}

const fn label(request: PeerRequest) -> &'static str {
    match request {
        PeerRequest::Nothing => "nothing",
        PeerRequest::HandOver => "hand_over",
        PeerRequest::Standby => "standby",
        PeerRequest::Claim => "claim",
        PeerRequest::Leave => "leave",
        PeerRequest::Fence => "fence",
        PeerRequest::Maintenance => "maintenance",
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
