//! The processes of this box, as `/proc` shows them: one line of `/proc/PID/stat` each (`proc_pid_stat(5)`).
//!
//! Only `stat` is read for all of them: it takes no lock of the process, so that one that hangs in the kernel does not
//! hang us. A process that is hidden from us (`hidepid` of `proc(5)`) is an error, and never one that is not there.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

/// One process, as it was when it was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProcessEntry {
    /// Its number.
    pub pid: i32,
    /// The name of its program, at most 15 characters.
    pub name: String,
    /// `R` runs, `S` sleeps, `D` waits for hardware, `Z` is dead, and so on.
    pub state: char,
    /// The process that started it, or took it over.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// When it was started, in ticks since boot: with the number it names one process for ever.
    pub started: u64,
}

impl ProcessEntry {
    /// The process of this number, if there is one.
    ///
    /// # Errors
    ///
    /// When there is one, and it cannot be looked into, or `/proc` cannot tell ([`usable`]).
    pub fn read(pid: i32) -> io::Result<Option<Self>> {
        usable()?;
        let hidden = match fs::read(format!("/proc/{pid}/stat")) {
            Ok(stat) => {
                let entry = Self::parse(&String::from_utf8_lossy(&stat));
                return entry.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
            // It has died meanwhile.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {
                return Ok(None);
            }
            Err(error) => error,
        };
        // Whether the number is in use can be told however /proc is mounted.
        let pidfd = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        match pidfd {
            None | Some(Err(Errno::SRCH)) => Ok(None),
            Some(_) => Err(io::Error::new(
                hidden.kind(),
                format!(
                    "process {pid} cannot be looked into ({hidden}): give CAP_SYS_PTRACE, or mount /proc without hidepid"
                ),
            )),
        }
    }

    /// The process of this number, if there is one that can be looked into.
    pub fn of(pid: i32) -> Option<Self> {
        Self::read(pid).ok().flatten()
    }

    /// What tells it from every other.
    pub const fn id(&self) -> Id {
        Id { pid: self.pid, started: self.started }
    }

    /// Whether it can still do something.
    pub const fn alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// Signals exactly this process, and nobody who was given its number since.
    pub fn signal(&self, signal: Signal) {
        let pidfd =
            Pid::from_raw(self.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        if let Some(pidfd) = pidfd
            && Self::of(self.pid).is_some_and(|now| now.started == self.started)
        {
            // Fails only for one that is dead.
            let _ = rustix::process::pidfd_send_signal(pidfd, signal);
        }
    }

    /// Reads `PID (NAME) STATE PPID PGRP ...`; the name may hold blanks and brackets, the rest does not.
    pub(crate) fn parse(stat: &str) -> Option<Self> {
        let (pid, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let mut words = rest.split_ascii_whitespace();
        Some(Self {
            pid: pid.parse().ok()?,
            name: name.to_owned(),
            state: words.next()?.chars().next()?,
            parent: words.next()?.parse().ok()?,
            group: words.next()?.parse().ok()?,
            session: words.next()?.parse().ok()?,
            // The 22nd of the line.
            started: words.nth(15)?.parse().ok()?,
        })
    }
}

impl fmt::Display for ProcessEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pid, self.name)
    }
}

/// What names one process for as long as the box is up: a number is given again, but not with the same start.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Id {
    /// Its number.
    pub pid: i32,
    /// When it was started, in ticks since boot.
    pub started: u64,
}

/// All processes that can be seen.
///
/// # Errors
///
/// When `/proc` cannot tell: see [`usable`].
pub fn take() -> io::Result<Vec<ProcessEntry>> {
    usable()?;
    let numbers = fs::read_dir("/proc")?.flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(numbers.filter_map(ProcessEntry::of).collect())
}

/// Whether `/proc` tells of the processes that this one can see.
///
/// # Errors
///
/// When it is not mounted, or shows another PID namespace (`pid_namespaces(7)`), whose numbers mean nothing here.
pub fn usable() -> io::Result<()> {
    let shown = fs::read_link("/proc/self").ok();
    if shown.is_some_and(|shown| shown == Path::new(&std::process::id().to_string())) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "/proc is not mounted, or is that of another PID namespace: mount it",
    ))
}

/// Whether `/proc` hides processes of other users from this one, if it may not look into them (`hidepid` of `proc(5)`).
pub(crate) fn hides() -> bool {
    let group = rustix::process::getegid().as_raw();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().any(|line| hides_from(line, group))
}

fn hides_from(line: &str, group: u32) -> bool {
    let Some((mount, kind)) = line.split_once(" - ") else { return false };
    let options = kind.rsplit(' ').next().unwrap_or_default();
    let option =
        |name: &str| options.split(',').find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
    let sees = option("gid").and_then(|it| it.parse().ok()).unwrap_or(0) == group;
    mount.split(' ').nth(4) == Some("/proc")
        && match option("hidepid") {
            None | Some("0" | "off") => false,
            // Only these are for the members of a group to see.
            Some("1" | "2" | "noaccess" | "invisible") => !sees,
            Some(_) => true,
        }
}

/// The children of each process.
pub(crate) struct Children {
    /// All processes, where the kernel keeps no lists of children (`CONFIG_PROC_CHILDREN`).
    listed: Option<Vec<ProcessEntry>>,
}

impl Children {
    /// What is known of them now.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot tell.
    pub(crate) fn look() -> io::Result<Self> {
        usable()?;
        let lists = Path::new("/proc/thread-self/children").exists();
        Ok(Self { listed: if lists { None } else { Some(take()?) } })
    }

    /// The numbers of the children of `pid`, dead ones too; none if it is not there.
    ///
    /// # Errors
    ///
    /// When it is there, and its list cannot be read.
    pub(crate) fn of(&self, pid: i32) -> io::Result<Vec<i32>> {
        if let Some(listed) = &self.listed {
            return Ok(listed.iter().filter(|it| it.parent == pid).map(|it| it.pid).collect());
        }
        let threads = match fs::read_dir(format!("/proc/{pid}/task")) {
            Ok(threads) => threads,
            // It is dead, or hidden.
            Err(error) => {
                return ProcessEntry::read(pid)?.map_or(Ok(Vec::new()), |_| Err(error));
            }
        };
        // A thread that has ended meanwhile has left its children to another.
        let lists = threads
            .flatten()
            .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        Ok(lists
            .flat_map(|list| {
                list.split_whitespace().filter_map(|it| it.parse().ok()).collect::<Vec<_>>()
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        let stat = "42 (a) S (b) Z 1 41 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9999 0";
        let entry = ProcessEntry::parse(stat).unwrap();
        assert_eq!((entry.pid, entry.name.as_str()), (42, "a) S (b"));
        assert_eq!((entry.parent, entry.group, entry.session, entry.started), (1, 41, 40, 9999));
        assert!(!entry.alive());
    }

    #[test]
    fn what_hides_processes_is_known() {
        let line =
            "22 27 0:21 / /proc rw,relatime shared:13 - proc proc rw,gid=7,hidepid=invisible";
        assert!(hides_from(line, 0) && !hides_from(line, 7));
        let line = &line.replace("gid=7,", "");
        assert!(hides_from(line, 7) && !hides_from(line, 0));
        assert!(hides_from(&line.replace("invisible", "ptraceable"), 0));
        assert!(!hides_from(&line.replace("invisible", "off"), 7));
        assert!(!hides_from(&line.replace(",hidepid=invisible", ""), 7));
        assert!(!hides_from(&line.replace("/proc", "/mnt/proc"), 7));
    }

    #[test]
    fn a_process_finds_itself() {
        let me = std::process::id().cast_signed();
        assert!(take().unwrap().iter().any(|entry| entry.pid == me && entry.alive()));
        assert_eq!(ProcessEntry::of(me).unwrap().pid, me);
    }

    #[test]
    fn children_are_found_by_their_lists_and_without_them() {
        let mut child = std::process::Command::new("/bin/sleep").arg("600").spawn().unwrap();
        let (me, its) = (std::process::id().cast_signed(), child.id().cast_signed());
        for listed in [None, Some(take().unwrap())] {
            let children = Children { listed };
            assert!(children.of(me).unwrap().contains(&its));
            assert_eq!(children.of(its).unwrap(), [0; 0]);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(ProcessEntry::read(its).unwrap(), None);
        assert_eq!(Children::look().unwrap().of(its).unwrap(), [0; 0]);
    }
}
