//! What did an earlier life of the supervisor leave behind? Processes that carry its mark, and that nobody watches.
//!
//! The kernel kills a child together with its supervisor, but not what the child has started: workers that still hold
//! the port. So each child carries in its environment which resource it is of, and of which supervisor; the mark is
//! inherited. A marked process is a remain when its supervisor is dead, or when it has left the group that we killed.
//! One whose supervisor lives is never touched: it is that supervisor's.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};

use crate::child::census::{self, Entry};
use crate::patience::Patience;

/// The words of the mark.
const RESOURCE: &str = "TWOBOX_RESOURCE";
const SUPERVISOR: &str = "TWOBOX_SUPERVISOR";

/// The mark of a child of the resource called `name`.
pub(super) fn mark(name: &str) -> [(String, String); 2] {
    let me = Entry::of(std::process::id().cast_signed()).map_or_else(String::new, |me| life(&me));
    [(RESOURCE.to_owned(), name.to_owned()), (SUPERVISOR.to_owned(), me)]
}

/// Kills all remains of the resource called `name`; its child must not run.
///
/// # Errors
///
/// When one of them stays: it hangs in the kernel.
pub(super) fn clear(name: &str) -> io::Result<()> {
    let patience = Patience::new(KILL_TIME);
    let mut pause = Duration::from_millis(1);
    loop {
        let found = find(name);
        if found.is_empty() {
            return Ok(());
        }
        for remain in &found {
            log::warn!("{name}: {remain} is left of an earlier life: killed");
            kill(remain);
        }
        if patience.sleep(pause).is_err() {
            let left: Vec<_> = found.iter().map(ToString::to_string).collect();
            let reason =
                format!("killed, and still there: {}: it hangs in the kernel", left.join("; "));
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        }
        pause *= 2;
    }
}

fn find(name: &str) -> Vec<Entry> {
    let me = Entry::of(std::process::id().cast_signed()).map(|me| life(&me));
    let census = census::take();
    let alive: HashSet<i32> =
        census.iter().filter(|entry| entry.alive()).map(|entry| entry.pid).collect();
    let lives: HashSet<String> = census.iter().filter(|entry| entry.alive()).map(life).collect();
    let namespace = namespace("self");
    census
        .into_iter()
        .filter(Entry::alive)
        // Only orphans are asked for their environment: it is behind a lock, that a sick process may hold. The
        // kernel's own threads are in group 0.
        .filter(|entry| entry.group != 0 && (entry.parent == INIT || !alive.contains(&entry.group)))
        .filter(|entry| {
            let words = fs::read(format!("/proc/{}/environ", entry.pid)).unwrap_or_default();
            value(&words, RESOURCE) == Some(name.as_bytes())
                && value(&words, SUPERVISOR).is_some_and(|supervisor| {
                    let supervisor = String::from_utf8_lossy(supervisor);
                    me.as_deref() == Some(&*supervisor) || !lives.contains(&*supervisor)
                })
                // The numbers in a mark mean something only in the PID namespace where it was made.
                && self::namespace(&entry.pid.to_string()) == namespace
        })
        .collect()
}

/// Kills exactly this process, and nobody who was given its number since.
fn kill(remain: &Entry) {
    let pidfd = Pid::from_raw(remain.pid)
        .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
    if let Some(pidfd) = pidfd
        && Entry::of(remain.pid).is_some_and(|now| now.started == remain.started)
    {
        let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
    }
}

/// Names one life of one process, for as long as the box is up.
fn life(entry: &Entry) -> String {
    format!("{}.{}", entry.pid, entry.started)
}

fn namespace(pid: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// The value of a word of an environment, as `/proc/PID/environ` has it.
fn value<'e>(environment: &'e [u8], word: &str) -> Option<&'e [u8]> {
    environment
        .split(|byte| *byte == 0)
        .find_map(|line| line.strip_prefix(word.as_bytes())?.strip_prefix(b"="))
}

/// Who takes orphans, unless a subreaper does.
const INIT: i32 = 1;

/// As for a child: what is there after two seconds waits for hardware.
const KILL_TIME: Duration = Duration::from_secs(2);
