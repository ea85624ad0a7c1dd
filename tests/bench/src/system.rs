//! What is measured: the pair, and two others that do its work, in the same boxes.
//!
//! All of them move the same address, serve with the same program, and are asked by the same client. A system says how
//! it is installed and driven; what happens to it is the business of [`gaps`](super::gaps), and the same for all.

use std::path::Path;
use std::time::Duration;

use firmware_agnostic::identity::BoxId;

use lab::Lab;
use lab::observers::failure::{Failure, expect};

mod heartbeat;
mod keepalived;
mod twobox;

/// A program that keeps the service up, with one choice of times.
#[derive(Debug)]
pub struct System {
    /// How it is asked for.
    pub name: &'static str,
    /// The head of its column.
    pub title: &'static str,
    /// The Debian package that it comes from, and a file of that; ours is built.
    pub package: Option<(&'static str, &'static str)>,
    /// What the kernel calls its processes.
    pub comm: &'static str,
    /// What it is put through.
    pub trials: &'static [Trial],
    /// By then everything has happened that will.
    pub patience: Duration,
    /// The question for its state, and the words of that.
    pub status: Option<&'static [&'static str]>,
    /// A lab in which it is installed, without power.
    pub lab: fn() -> Result<Lab, Failure>,
    /// Sends the service from home to the other box.
    pub away: fn(&Lab) -> Result<(), Failure>,
    /// Sends it home.
    pub home: fn(&Lab) -> Result<(), Failure>,
    /// Has it forget what went wrong before.
    pub forgive: fn(&Lab) -> Result<(), Failure>,
    /// What a box says of the parts of its last takeover, in milliseconds.
    pub phases: fn(&Lab, BoxId) -> Vec<(&'static str, f64)>,
    /// Whether the other box stands by, so that it could take over now.
    pub stands_by: fn(&Lab) -> bool,
}

/// Something that a system is put through.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// Its name among the happenings.
    pub happening: &'static str,
    /// How often.
    pub turns: u32,
    /// The milliseconds that it may cost in the median.
    pub most: Option<f64>,
}

const fn trial(happening: &'static str, turns: u32) -> Trial {
    Trial { happening, turns, most: None }
}

/// What the others are put through.
const PEERS: &[Trial] = &[
    trial("idle", 3),
    trial("planned", 3),
    trial("power", 3),
    trial("hang", 1),
    trial("service", 2),
    trial("crash", 1),
    trial("gone", 1),
    trial("all", 1),
    trial("cables", 1),
];

impl System {
    /// What a system is put through that is called so, if it is.
    pub fn trial(&self, happening: &str) -> Option<&'static Trial> {
        self.trials.iter().find(|it| it.happening == happening)
    }

    /// Whether the targets of the defaults are meant.
    pub fn is_ours(&self) -> bool {
        self.name == OURS.name
    }

    /// Why it cannot be measured, if so.
    pub fn missing(&self) -> Option<&'static str> {
        let (_, file) = self.package?;
        // Its users and groups are none of a namespace that an ordinary user makes.
        let root = rustix::process::geteuid().is_root();
        match (Path::new(file).exists(), root) {
            (false, _) => Some("not installed"),
            (true, false) => Some("needs root"),
            (true, true) => None,
        }
    }
}

/// The pair with its defaults.
pub static OURS: System = twobox::DEFAULTS;

/// All of them, in the order of their columns.
pub static ALL: [&System; 6] = [
    &OURS,
    &twobox::FAST,
    &heartbeat::TUNED,
    &heartbeat::DEFAULTS,
    &keepalived::TUNED,
    &keepalived::DEFAULTS,
];

/// Runs a program in a box; it must succeed.
fn done(lab: &Lab, id: BoxId, program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let output = lab.enter(id, program, arguments)?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    expect(output.status.success(), format!("{program} {}: {said}", arguments.join(" ")))
}

/// What a program says in a box; nothing while it cannot be asked.
fn said(lab: &Lab, id: BoxId, program: &str, arguments: &[&str]) -> String {
    let output = lab.enter(id, program, arguments);
    output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned()).unwrap_or_default()
}
