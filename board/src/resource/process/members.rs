//! All processes that belong to a service: by its cgroup where one can be made, else by descent.
//!
//! What a process says of itself, in its environment, never makes it one: anybody can write that. It only tells one
//! service of ours from another where an orphan has become our child.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, Uid, getpgid, getpid};

use super::note::Note;
use super::tag::Tag;
use crate::process::cgroup::{Cgroup, Folder};
use crate::process::child::Child;
use crate::process::descent::{self, Descent};
use crate::process::guard;
use crate::process::orphans;
use crate::process::procfs::{Id, ProcessEntry};
use crate::thread::deadline::Deadline;

/// How the processes of a service are known.
#[derive(Clone, Debug)]
pub(super) enum Members {
    /// The kernel keeps the list.
    Cgroup(Cgroup),
    /// By their parents.
    Descent(Descent),
}

/// Whose they are.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    /// The name of the resource.
    pub(super) name: String,
    /// As whom it is started, if that is known.
    pub(super) user: Option<Uid>,
    /// Where it is noted, beside the others.
    pub(super) note: PathBuf,
}

impl Members {
    /// A place for the processes of a service that is to be started. Where there can be no cgroup, orphans are to
    /// come to us.
    pub(super) fn make(name: &str) -> Self {
        match Cgroup::make(name) {
            Ok(cgroup) => Self::Cgroup(cgroup),
            Err(error) => {
                log::info!("{name}: no cgroup ({error}): its processes are known by their descent");
                Self::descent()
            }
        }
    }

    /// The same, without a cgroup.
    pub(super) fn descent() -> Self {
        if let Err(error) = orphans::take() {
            log::warn!("orphans do not come to this process: {error}");
        }
        Self::Descent(Descent::default())
    }

    /// Those that descend from `leader`, some of which are `known`.
    pub(super) fn of(leader: Id, known: &[Id]) -> Self {
        // For those that lose their parents from now on.
        let _ = orphans::take();
        Self::Descent(Descent::of(leader.pid, known.iter().copied().chain([leader])))
    }

    /// Its processes are those that descend from `leader`, or are in the cgroup.
    pub(super) fn follow(&mut self, leader: Id) {
        if let Self::Descent(descent) = self {
            *descent = Descent::of(leader.pid, [leader]);
        }
    }

    /// The cgroup, if there is one.
    pub(super) const fn cgroup(&self) -> Option<&Cgroup> {
        match self {
            Self::Cgroup(cgroup) => Some(cgroup),
            Self::Descent(_) => None,
        }
    }

    /// Those that descend from the leader, where there is no cgroup.
    pub(super) fn known(&self) -> Vec<Id> {
        match self {
            Self::Cgroup(_) => Vec::new(),
            Self::Descent(descent) => descent.known().collect(),
        }
    }

    /// The numbers of those that are known to live, as far as that can be told.
    pub(super) fn pids(&self) -> Vec<i32> {
        match self {
            Self::Cgroup(cgroup) => {
                let folder = cgroup.open().ok().flatten();
                let processes = folder.and_then(|it| it.processes().ok()).unwrap_or_default();
                processes.into_iter().map(Pid::as_raw_pid).collect()
            }
            Self::Descent(descent) => descent.known().map(|it| it.pid).collect(),
        }
    }

    /// Looks for those that have come, where there is no cgroup, and tells whether any has come or gone.
    pub(super) fn look(&mut self, owner: &Owner) -> io::Result<bool> {
        let Self::Descent(descent) = self else { return Ok(false) };
        let before: Vec<_> = descent.known().collect();
        descent.look(&|orphan| owner.says(orphan))?;
        Ok(!before.into_iter().eq(descent.known()))
    }

    /// Signals those that are in the group of `leader`, which is one that an earlier life has started.
    pub(super) fn signal_group(
        &mut self,
        leader: Pid,
        signal: Signal,
        owner: &Owner,
    ) -> io::Result<()> {
        match self {
            Self::Cgroup(cgroup) => cgroup
                .open()?
                .map_or(Ok(()), |folder| folder.signal(signal, |pid| in_group(pid, leader))),
            Self::Descent(descent) => {
                let living = descent.look(&|orphan| owner.says(orphan))?;
                living
                    .iter()
                    .filter(|it| it.group == leader.as_raw_pid())
                    .for_each(|it| it.signal(signal));
                Ok(())
            }
        }
    }

    /// Waits until `leader` is dead, and nobody lives in its group.
    pub(super) fn group_gone(
        &mut self,
        leader: &Child,
        owner: &Owner,
        patience: &Deadline,
    ) -> io::Result<()> {
        patience.readable(&[rustix::fd::AsFd::as_fd(leader)])?;
        let mut pause = Duration::from_millis(1);
        while self.group_lives(leader.pid(), owner)? {
            patience.sleep(pause)?;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Ok(())
    }

    fn group_lives(&mut self, leader: Pid, owner: &Owner) -> io::Result<bool> {
        match self {
            Self::Cgroup(cgroup) => {
                let Some(folder) = cgroup.open()? else { return Ok(false) };
                Ok(folder.processes()?.into_iter().any(|pid| in_group(pid, leader)))
            }
            Self::Descent(descent) => {
                let living = descent.look(&|orphan| owner.says(orphan))?;
                Ok(living.iter().any(|it| it.group == leader.as_raw_pid()))
            }
        }
    }

    /// Kills all of them, and waits until they are gone.
    ///
    /// # Errors
    ///
    /// When one is still there, or that cannot be told.
    pub(super) fn kill(&mut self, owner: &Owner, patience: &Deadline) -> io::Result<()> {
        match self {
            Self::Cgroup(cgroup) => cgroup.open()?.map_or(Ok(()), |folder| kill(&folder, patience)),
            Self::Descent(descent) => descent.kill(&|orphan| owner.says(orphan), patience),
        }
    }

    /// They are gone, and the place is not needed any more.
    pub(super) fn remove(&self) {
        if let Self::Cgroup(cgroup) = self {
            cgroup.remove();
        }
    }
}

fn kill(folder: &Folder, patience: &Deadline) -> io::Result<()> {
    let mut pause = Duration::from_millis(1);
    while folder.populated()? {
        folder.kill()?;
        if patience.sleep(pause).is_err() && folder.populated()? {
            let living: Vec<_> = folder
                .processes()?
                .into_iter()
                .filter_map(|pid| ProcessEntry::of(pid.as_raw_pid()))
                .collect();
            return Err(io::Error::new(io::ErrorKind::TimedOut, descent::still_there(&living)));
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
    Ok(())
}

fn in_group(pid: Pid, leader: Pid) -> bool {
    getpgid(Some(pid)) == Ok(leader)
}

impl Owner {
    /// Whether an orphan that has become our child is of this service. One that says nothing is, where there is no
    /// other service that it could be of. To process 1 come the orphans of others as well: there it must say so,
    /// and be of the same user.
    fn says(&self, orphan: &ProcessEntry) -> Option<bool> {
        let first = getpid().is_init();
        match Tag::of(orphan.pid) {
            Some(mark) => {
                let ours = mark.resource == self.name;
                Some(ours && (!first || self.owns(orphan.pid)))
            }
            None if first || guard::is(orphan.pid) || !self.is_alone() => Some(false),
            None => None,
        }
    }

    /// Whether the process `pid` runs as whom it is started.
    pub(super) fn owns(&self, pid: i32) -> bool {
        self.user.is_some() && user(pid) == self.user
    }

    /// Whether every other service that is noted is in a cgroup.
    fn is_alone(&self) -> bool {
        let Some(Ok(notes)) = self.note.parent().map(fs::read_dir) else { return true };
        let others = notes.flatten().map(|it| it.path()).filter(|path| *path != self.note);
        others
            .map(|path| Note::read(&path))
            .all(|it| matches!(it, Ok(None | Some(Note { cgroup: Some(_), .. }))))
    }
}

/// As whom the process `pid` runs.
fn user(pid: i32) -> Option<Uid> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok().map(Uid::from_raw)
}

/// Between two looks: seldom enough to cost nothing.
const PAUSE_MAX: Duration = Duration::from_millis(50);
