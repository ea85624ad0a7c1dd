//! Keeps the memory of this process off the disk, because there are keys and
//! passwords, is never dumped (`PR_SET_DUMPABLE`), and its files are for its own user (`umask(2)`).
//!
//! Both are of this process alone. A program that it starts is dumped as its limits say, since exec(3) makes it
//! dumpable again, and has the umask that init gave.

use std::sync::OnceLock;

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, set_dumpable_behavior, umask};

/// From now on this process leaves nothing behind that others could read.
pub fn begin() {
    // Never fails with this argument (prctl(2)).
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let before = umask(Mode::from_raw_mode(0o077));
    let _ = BEFORE.set(before);
}

/// The umask of before.
pub(crate) fn umask_before() -> Option<Mode> {
    BEFORE.get().copied()
}

/// Gives the umask of before back, to a program that takes the place of this one.
pub fn end() {
    if let Some(before) = umask_before() {
        umask(before);
    }
}

static BEFORE: OnceLock<Mode> = OnceLock::new();
