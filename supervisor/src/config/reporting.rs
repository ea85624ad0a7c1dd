//! Reads `[history]`, `[metrics]` and `[[hook]]`.

use std::path::PathBuf;
use std::time::Duration;

use board::config::table::Table;
use board::process::command_line::Own;
use board::process::privileges::Privileges;

/// `[history]`: where what happens is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HistoryConfig {
    /// The file. The black box lies beside it.
    pub file: PathBuf,
    /// As many bytes as it may have.
    pub size: u32,
}

impl HistoryConfig {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let history = Self {
            file: table.get_or("file", HISTORY.into()),
            size: table.get_or("size", HISTORY_SIZE),
        };
        if !HISTORY_SIZES.contains(&history.size) {
            table.error("size", "is not between 16384 and 16777216 bytes");
        }
        table.finish();
        history
    }
}

/// `[metrics]`: a file with figures.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Metrics {
    /// The file.
    pub file: PathBuf,
    /// How often it is written.
    pub every: Duration,
}

impl Metrics {
    pub(super) fn read(mut table: Table<'_>) -> Option<Self> {
        let said = table.has("file");
        let file = table.take("file");
        let every: Option<Duration> = table.take("every");
        if every.is_some_and(|every| every < METRICS_MIN) {
            table.error("every", "is shorter than a second");
        }
        if every.is_some() && !said {
            table.error("every", "goes with `file`, where the figures are written");
        }
        table.finish();
        Some(Self { file: file?, every: every.unwrap_or(METRICS_EVERY) })
    }
}

/// A `[[hook]]`: a program that is run when something happens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hook {
    /// What is run.
    pub command: Own,
    /// What it wants to be told of: some of [`HAPPENINGS`].
    pub on: Vec<String>,
    /// When it is killed.
    pub timeout: Duration,
    /// What it may do.
    pub privileges: Privileges,
}

impl Hook {
    fn read(mut table: Table<'_>) -> Option<Self> {
        let command = table.require("command");
        let on = table.get_or("on", HAPPENINGS.map(str::to_owned).to_vec());
        for word in on.iter().filter(|word| !HAPPENINGS.contains(&word.as_str())) {
            table.error("on", format!("{word:?} is none of {}", HAPPENINGS.join(", ")));
        }
        let timeout = table.get_or("timeout", HOOK_TIMEOUT);
        let privileges = Privileges::read(&mut table);
        table.finish();
        Some(Self { command: command?, on, timeout, privileges })
    }
}

/// Every `[[hook]]`, and where the first stands.
pub(super) fn read_hooks(root: &mut Table<'_>) -> (Vec<Hook>, (usize, usize)) {
    let hooks = root.tables("hook").into_iter().filter_map(Hook::read).collect();
    (hooks, root.place("hook"))
}

/// What a hook can be told of: a change of role, a shot, a drill, another configuration, and all that is logged as
/// an error.
pub const HAPPENINGS: [&str; 5] = ["role", "fence", "drill", "reload", "alarm"];

/// Where the history is unless the file says otherwise.
pub(super) const HISTORY: &str = "/var/lib/twobox.history";

/// Some 250 records: years of a pair that is well.
const HISTORY_SIZE: u32 = 64 * 1024;
/// From what a busy day has to what a small disk bears.
const HISTORY_SIZES: std::ops::RangeInclusive<u32> = 16 * 1024..=16 * 1024 * 1024;

/// As often as collectors look.
const METRICS_EVERY: Duration = Duration::from_secs(15);
/// A file is no stream.
const METRICS_MIN: Duration = Duration::from_secs(1);

/// Enough to send a message; the one after it waits meanwhile.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);
