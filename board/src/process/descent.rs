//! The processes that descend from one, where no cgroup can tell them.
//!
//! A child is known by its parent, and an orphan among our descendants by having become a child of ours
//! ([`orphans`]). What is known is kept with its start time, so that it is found again when its parent is dead, or
//! when another life of the supervisor looks for it.
//!
//! What cannot be found: a process whose parents died while no supervisor ran, or between two looks of the life
//! after it.

use std::io;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::orphans;
use crate::process::procfs::{Children, Id, ProcessEntry};
use crate::thread::deadline::Deadline;

/// All that descend from one process, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct Descent {
    /// The one that all descend from, which leads a group.
    leader: i32,
    known: Vec<Id>,
    /// Their groups; one that has made a session leads a group of the same number.
    groups: Vec<i32>,
}

/// Whether an orphan that is in no group of theirs is one of them; nothing where only that tells which is no child
/// that is just being started.
pub type Says<'a> = &'a dyn Fn(&ProcessEntry) -> Option<bool>;

impl Descent {
    /// Those that descend from the process of the number `leader`, some of which are `known` already.
    pub fn of(leader: i32, known: impl IntoIterator<Item = Id>) -> Self {
        Self { leader, known: known.into_iter().collect(), groups: vec![leader] }
    }

    /// Those that are known.
    pub fn known(&self) -> impl Iterator<Item = Id> {
        self.known.iter().copied()
    }

    /// Looks who lives of them now.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    pub fn look(&mut self, says: Says<'_>) -> io::Result<Vec<ProcessEntry>> {
        let children = Children::look()?;
        let mut next = Vec::new();
        for id in &self.known {
            next.extend(ProcessEntry::read(id.pid)?.filter(|it| it.id() == *id));
        }
        let (orphans, certain) = orphans::all(&children)?;
        next.extend(orphans.into_iter().filter(|it| {
            [it.group, it.session].iter().any(|it| self.groups.contains(it))
                || says(it).unwrap_or(certain)
        }));
        let mut found: Vec<ProcessEntry> = Vec::new();
        while let Some(entry) = next.pop() {
            if found.iter().any(|it| it.pid == entry.pid) {
                continue;
            }
            let mut its = Vec::new();
            for pid in children.of(entry.pid)? {
                its.extend(ProcessEntry::read(pid)?.filter(|it| it.parent == entry.pid));
            }
            // Looked at once more: the number may have become a stranger's before its children were asked for.
            if ProcessEntry::read(entry.pid)?.is_some_and(|now| now.id() == entry.id()) {
                next.extend(its);
                found.push(entry);
            }
        }
        found.retain(ProcessEntry::alive);
        found.sort_unstable_by_key(|it| it.pid);
        self.known = found.iter().map(ProcessEntry::id).collect();
        self.groups = found.iter().map(|it| it.group).chain([self.leader]).collect();
        Ok(found)
    }

    /// Kills all of them. They are stopped first, so that none starts another while it is looked for.
    ///
    /// # Errors
    ///
    /// When one is still there, or that cannot be told.
    pub fn kill(&mut self, says: Says<'_>, patience: &Deadline) -> io::Result<()> {
        let mut stopped: Vec<Id> = Vec::new();
        let (mut pause, mut empty) = (Duration::from_millis(1), 0);
        loop {
            let living = self.look(says)?;
            orphans::bury();
            empty = if living.is_empty() { empty + 1 } else { 0 };
            // A list of children that changes while it is read may lack one (proc_pid_task(5)).
            if empty == 2 {
                return Ok(());
            }
            let fresh = living.iter().any(|it| !stopped.contains(&it.id()));
            stopped = living.iter().map(ProcessEntry::id).collect();
            let late = patience.sleep(if fresh { Duration::ZERO } else { pause }).is_err();
            let signal = if fresh && !late { Signal::STOP } else { Signal::KILL };
            for it in &living {
                it.signal(signal);
            }
            if late && !living.is_empty() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, still_there(&living)));
            }
            if !fresh {
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// What is said of those that were killed and are there.
pub fn still_there(living: &[ProcessEntry]) -> String {
    let left: Vec<_> =
        living.iter().take(LEFT_MAX).map(|it| format!("{it}, state {}", it.state)).collect();
    format!("killed, and still there: {}: it hangs in the kernel", left.join("; "))
}

/// Between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// A line that a person reads.
const LEFT_MAX: usize = 5;
