//! Children of this process that it has not started.
//!
//! A process whose parent dies becomes a child of the nearest ancestor that takes orphans
//! (`PR_SET_CHILD_SUBREAPER`, `prctl(2)`), or of process 1. If this process is that ancestor, only it can reap
//! them. It does not reap the children that it has started itself: their exit status belongs to the code that
//! started them.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{
    Pid, PidfdFlags, WaitId, WaitIdOptions, child_subreaper, getpid, pidfd_open,
    set_child_subreaper, waitid,
};

use crate::process::procfs::{Children, ProcessEntry};

/// Has orphans among our descendants come to us from now on.
///
/// # Errors
///
/// When the kernel refuses.
pub fn take() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Whether they come to us.
pub fn come_here() -> bool {
    getpid().is_init() || child_subreaper().is_ok_and(|pid| pid.is_some())
}

/// Those that there are, dead ones too; and whether a child that is just being started cannot be among them.
///
/// # Errors
///
/// When `/proc` cannot tell.
pub(crate) fn all(children: &Children) -> io::Result<(Vec<ProcessEntry>, bool)> {
    let mut orphans = Vec::new();
    let me = getpid().as_raw_pid();
    for pid in children.of(me)? {
        if let Some(entry) = ProcessEntry::read(pid)?.filter(|it| it.parent == me) {
            orphans.push(entry);
        }
    }
    // Asked after they were seen: what was being started then is noted by now.
    let certain = STARTING.load(Ordering::SeqCst) == 0;
    let started = started();
    orphans.retain(|entry| !started.contains(&entry.pid));
    Ok((orphans, certain))
}

/// Buries those that are dead, and tells how many.
pub fn bury() -> usize {
    let Ok((orphans, true)) = Children::look().and_then(|children| all(&children)) else {
        return 0;
    };
    orphans.iter().filter(|entry| !entry.alive() && buried(entry)).count()
}

fn buried(entry: &ProcessEntry) -> bool {
    let Some(pid) = Pid::from_raw(entry.pid) else { return false };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    // Looked at when the descriptor holds it: the number may have become that of a child of ours.
    if ProcessEntry::of(entry.pid).is_none_or(|now| now.started != entry.started) {
        return false;
    }
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    matches!(waitid(WaitId::PidFd(pidfd.as_fd()), options), Ok(Some(_)))
}

/// Held while a child is started, until it is [`noted`] or waited for.
pub(crate) struct Starting(());

impl Starting {
    pub(crate) fn begin() -> Self {
        STARTING.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        STARTING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The child `pid` is somebody's who will bury it.
pub(crate) fn note(pid: Pid) {
    started().push(pid.as_raw_pid());
}

/// It is buried.
pub(crate) fn forget(pid: Pid) {
    started().retain(|it| *it != pid.as_raw_pid());
}

fn started() -> MutexGuard<'static, Vec<i32>> {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

static STARTING: AtomicUsize = AtomicUsize::new(0);
static STARTED: Mutex<Vec<i32>> = Mutex::new(Vec::new());
