//! Writes down the lines that the supervisor would log, and the faults in between.

use std::fmt;

use firmware_agnostic::identity::BoxId;
use firmware_agnostic::report::{Names, Report};

use super::World;

/// Where the lines go.
#[derive(Debug, Default)]
pub enum Trace {
    /// Nowhere.
    #[default]
    Off,
    /// To be read when all is over.
    Kept(Vec<String>),
    /// To the screen, at once: also before a panic.
    Printed,
}

impl Trace {
    pub(super) fn lines(&self) -> &[String] {
        if let Self::Kept(lines) = self { lines } else { &[] }
    }

    pub(super) fn report(&mut self, now: u64, me: BoxId, report: &Report) {
        if !matches!(self, Self::Off) {
            let names = Names { me, boxes: BOXES, links: &LINKS, resources: &RESOURCES };
            self.line(now, name(me), format_args!("{}", report.line(&names)));
        }
    }

    fn line(&mut self, now: u64, who: &str, what: fmt::Arguments<'_>) {
        let line = |()| format!("{:>9.3} {who} {what}", now as f64 / 1e6);
        match self {
            Self::Off => {}
            Self::Kept(lines) => lines.push(line(())),
            Self::Printed => println!("{}", line(())),
        }
    }
}

/// The name of a box.
pub(super) const fn name(id: BoxId) -> &'static str {
    BOXES[id.index()]
}

/// The name of a cable.
pub(super) fn link(place: usize) -> &'static str {
    LINKS.get(place).copied().unwrap_or("unknown")
}

impl World {
    pub(super) fn note(&mut self, id: BoxId, what: fmt::Arguments<'_>) {
        let who = name(id);
        self.trace.line(self.now, who, what);
    }

    pub(super) fn note_world(&mut self, what: fmt::Arguments<'_>) {
        self.trace.line(self.now, "*", what);
    }
}

const BOXES: [&str; 2] = ["server1", "server2"];
const LINKS: [&str; 3] = ["eth0", "eth1", "ttyS1"];
const RESOURCES: [&str; 3] = ["address", "slapd", "exporter"];
