//! Reads `[realtime]`, which gives the supervisor precedence over all others.

use board::config::table::Table;
use board::thread::realtime::{PRIORITY_MAX, RealtimePriority};

/// `[realtime]`: what is taken if this process may.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RealtimeConfig {
    /// The priority of the threads that a heartbeat waits for.
    pub priority: RealtimePriority,
    /// Whether its memory stays in memory.
    pub lock_memory: bool,
}

impl RealtimeConfig {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let priority =
            RealtimePriority::new(table.get_or("priority", PRIORITY)).unwrap_or_else(|| {
                table.error(
                    "priority",
                    format!(
                        "is not between 0, for none, and {PRIORITY_MAX}: 50 is the kernel's own"
                    ),
                );
                RealtimePriority::default()
            });
        let realtime = Self { priority, lock_memory: table.get_or("lock_memory", true) };
        table.finish();
        realtime
    }
}

/// Above everything else that asks for one without much thought, such as a player of sounds.
const PRIORITY: u8 = 10;
