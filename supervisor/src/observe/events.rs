//! What has just happened, told to everybody who wants to know: the log, the history, the hooks, the black box.
//!
//! The loop is never held up by any of them: each has a bounded queue and a thread of its own.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use firmware_agnostic::evidence::Evidence;
use firmware_agnostic::heartbeat::{Epoch, Incarnation, Term};
use firmware_agnostic::node::{Action, Event, Node};
use firmware_agnostic::report::{Cause, Report, Severity, Time};
use firmware_agnostic::time::Instant;

use board::time::clock::{Clock, boot_id};

use crate::observe::black_box::BlackBox;
use crate::observe::history::History;
use crate::observe::hooks::Hooks;
use crate::observe::names::NameTable;
use crate::observe::record::Record;
use crate::observe::takeover_phases::{Phases, millis};
use crate::reload::outcome::ConfigOutcome;

/// Everybody who wants to know.
pub(crate) struct EventSink {
    names: Rc<NameTable>,
    history: History,
    hooks: Hooks,
    black_box: BlackBox,
    phases: Phases,
    /// The shot that is under way is a drill.
    drill: bool,
    /// Whether the last shot was seen to have cut the power.
    shot: Option<bool>,
    /// Since when the boxes are configured differently, until that is told as an error.
    differs: Option<Instant>,
    now: Instant,
    epoch: Epoch,
    /// The newest state of the other box that was heard.
    heard: Option<Epoch>,
    term: Term,
}

impl EventSink {
    /// Tells each of those that are named here.
    pub(crate) fn new(
        names: Rc<NameTable>,
        history: History,
        hooks: Hooks,
        black_box: BlackBox,
        boot: Incarnation,
    ) -> Self {
        let (phases, epoch) = (Phases::default(), Epoch { boot, change: 0 });
        let (drill, now, term, heard) = (false, Clock.now(), Term(0), None);
        // Read once, before the loop begins.
        let _ = boot_id();
        let (shot, differs) = (None, None);
        Self {
            names,
            history,
            hooks,
            black_box,
            phases,
            drill,
            shot,
            differs,
            now,
            epoch,
            heard,
            term,
        }
    }

    /// Tells others from now on, by other names; where the history is another one, what was kept so far stays where
    /// it is.
    pub(crate) fn reload(&mut self, names: Rc<NameTable>, history: Option<(History, &Path)>) {
        self.names = names;
        if let Some((history, place)) = history {
            self.history = history;
            self.black_box.lie_beside(place);
        }
    }

    /// Notes where things stand, before anything is done about it, and what has happened, if that was an event.
    pub(crate) fn note(&mut self, node: &Node, event: Option<&Event>, now: Instant) {
        (self.now, self.epoch, self.term) = (now, node.epoch(), node.term());
        self.heard = node.peer().last_heartbeat().map(|heartbeat| heartbeat.epoch);
        self.note_difference(node);
        if let Some(event) = event {
            self.black_box.takes(event, now);
        }
    }

    /// Tells of a difference that lasts: a person who reloads one box after the other makes one that does not.
    fn note_difference(&mut self, node: &Node) {
        let Some(since) = self.differs else { return };
        let Some(heartbeat) = node.peer().heartbeat(self.now) else { return };
        let differs = heartbeat.config != node.settings().config;
        if differs && self.now - since < DIFFER_MAX {
            return;
        }
        self.differs = None;
        if differs {
            let line = Report::ConfigDiffers.line(&self.names.lend()).to_string();
            log::error!("{line}: it has been so for {}", Time(self.now - since));
        }
    }

    /// Whether the last shot of this box was seen to have cut the power, once it has ended.
    pub(crate) const fn shot(&self) -> Option<bool> {
        self.shot
    }

    /// Who is told by programs.
    pub(crate) const fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Notes what is done about it, and leaves the black box behind where that is the last thing that can be done.
    pub(crate) fn acts(&mut self, action: &Action) {
        self.black_box.orders(action, self.now);
        let why = match action {
            Action::Fence(_) => "the other box is shot",
            Action::Reset => "this box resets itself",
            _ => return,
        };
        let (path, text) = self.black_box.dump(why);
        self.history.dump(&path, text);
    }

    /// Tells `report`. The neighbours were last told of the addresses at `announced`.
    pub(crate) fn tell(&mut self, report: &Report, announced: Option<Instant>) {
        let mut line = report.line(&self.names.lend()).to_string();
        let drill = self.is_drill(report);
        if drill {
            line.insert_str(0, "drill: ");
        }
        let level = match report.weight() {
            // For now: see `note_difference`.
            Severity::Error if *report == Report::ConfigDiffers => {
                self.differs.get_or_insert(self.now);
                log::Level::Warn
            }
            Severity::Error => log::Level::Error,
            Severity::Warning => log::Level::Warn,
            Severity::Info => log::Level::Info,
        };
        log::log!(level, "{line}");
        let what = if drill { "drill" } else { "fence" };
        if let Some(record) = self.record(report, what, &line, announced) {
            self.keep(record);
        }
    }

    /// Tells what has become of a configuration: `what` says more, in lines.
    pub(crate) fn configured(&mut self, fate: ConfigOutcome, what: &str, now: Instant) {
        self.now = now;
        let record = self.begin("reload", fate.weight());
        self.keep(record.with("outcome", fate.label()).with("why", fate.line(what)));
    }

    fn keep(&mut self, record: Record) {
        self.history.add(&record);
        self.hooks.tell(record);
    }

    /// Whether `report` is of a drill.
    fn is_drill(&mut self, report: &Report) -> bool {
        match report {
            Report::Shooting { drill } => {
                self.drill = *drill;
                *drill
            }
            Report::Fenced | Report::FenceFailed { .. } | Report::NotFenced => {
                std::mem::take(&mut self.drill)
            }
            _ => false,
        }
    }

    /// Why what was told is not in the history, if it is not.
    pub(crate) fn failure(&self) -> Option<String> {
        self.history.failure()
    }

    /// Waits, for a moment at most, until what was told is written.
    pub(crate) fn flush(&mut self) {
        self.history.flush();
    }

    /// The same, and that everybody has been told, before this box leaves.
    pub(crate) fn end(&mut self) {
        self.flush();
        self.hooks.flush(LEAVE_MAX);
    }

    /// What is worth being kept of `report`, which is called `what` if it is of a shot.
    fn record(
        &mut self,
        report: &Report,
        what: &str,
        line: &str,
        announced: Option<Instant>,
    ) -> Option<Record> {
        let now = self.now;
        let record = match report {
            Report::Changed(change) => {
                (self.epoch, self.term) = (change.epoch, change.term);
                let evidence = match change.cause {
                    Cause::Evidence(evidence) => Some(label(evidence)),
                    _ => None,
                };
                if change.cause == Cause::Evidence(Evidence::Fenced) && self.phases.is_shooting() {
                    self.shot = Some(true);
                }
                let record = self
                    .begin("role", report.weight())
                    .with("from", change.from)
                    .with("to", change.to)
                    .with_some("evidence", evidence)
                    .with("why", line);
                self.phases.changed(change, announced, now, record)
            }
            Report::Shooting { .. } => {
                self.shot = None;
                self.phases.shoots(now);
                self.fence(what, "ordered", report, line)
            }
            Report::Fenced | Report::FenceFailed { .. } | Report::NotFenced => {
                let outcome = if *report == Report::Fenced { "seen_off" } else { "failed" };
                let took = self.phases.shot(now);
                self.shot = took.map(|_| *report == Report::Fenced).or(self.shot);
                self.fence(what, outcome, report, line).with_some("fence_ms", took.map(millis))
            }
            Report::ShotAt => self.fence(what, "shot_at", report, line),
            _ => return None,
        };
        Some(record)
    }

    fn fence(&self, what: &str, outcome: &str, report: &Report, line: &str) -> Record {
        self.begin(what, report.weight()).with("outcome", outcome).with("why", line)
    }

    /// Who speaks, and when.
    fn begin(&self, what: &str, weight: Severity) -> Record {
        let names = self.names.lend();
        let level = match weight {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        Record::default()
            .with("time", Clock.wall())
            .with("up", format!("{:.3}", self.now.as_micros() as f64 / 1e6))
            .with("box", names.boxes[names.me.index()])
            .with_some("kernel_boot", boot_id())
            .with("boot", life(self.epoch))
            .with("change", self.epoch.change)
            .with_some("peer_boot", self.heard.map(life))
            .with_some("peer_change", self.heard.map(|heard| heard.change))
            .with("term", self.term.0)
            .with("what", what)
            .with("level", level)
    }
}

/// The life of a supervisor, as it is written.
fn life(Epoch { boot: Incarnation([a, b, c, d]), .. }: Epoch) -> String {
    format!("{a:02x}{b:02x}{c:02x}{d:02x}")
}

const fn label(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Released => "released",
        Evidence::Fenced => "fenced",
        Evidence::Dark => "dark",
        Evidence::Silence => "silence",
        Evidence::Operator => "operator",
    }
}

/// Longer than it takes to reload the other box as well, and than a trial goes on after its end on one of them.
const DIFFER_MAX: Duration = Duration::from_secs(5 * 60);

/// What init should not have to wait for, and a message may take.
const LEAVE_MAX: Duration = Duration::from_secs(2);
