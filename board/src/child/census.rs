//! Which processes are on this box? One line of `/proc/PID/stat` each (`proc_pid_stat(5)`).
//!
//! Only `stat` is read for all of them: it takes no lock of the process, so that one that hangs in the kernel does not
//! hang us.

use std::fmt;
use std::fs;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal};

/// One process, as it was when it was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
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

impl Entry {
    /// The process of this number, if there is one.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&String::from_utf8_lossy(&stat))
    }

    /// Whether it can still do something.
    pub const fn alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// Signals exactly this process, and nobody who was given its number since.
    pub fn signal(&self, signal: Signal) {
        let pidfd = Pid::from_raw(self.pid)
            .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        if let Some(pidfd) = pidfd
            && Self::of(self.pid).is_some_and(|now| now.started == self.started)
        {
            // Fails only for one that is dead.
            let _ = rustix::process::pidfd_send_signal(pidfd, signal);
        }
    }

    /// Reads `PID (NAME) STATE PPID PGRP ...`; the name may hold blanks and brackets, the rest does not.
    fn parse(stat: &str) -> Option<Self> {
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

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pid, self.name)
    }
}

/// All processes that can be seen; none where `/proc` is not mounted, or shows another PID namespace
/// (`pid_namespaces(7)`), whose numbers mean nothing here.
pub fn take() -> Vec<Entry> {
    let me = std::process::id().to_string();
    if fs::read_link("/proc/self").is_ok_and(|shown| shown != Path::new(&me)) {
        return Vec::new();
    }
    let Ok(directory) = fs::read_dir("/proc") else { return Vec::new() };
    directory
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Entry::of)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        let stat = "42 (a) S (b) Z 1 41 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9999 0";
        let entry = Entry::parse(stat).unwrap();
        assert_eq!((entry.pid, entry.name.as_str()), (42, "a) S (b"));
        assert_eq!((entry.parent, entry.group, entry.session, entry.started), (1, 41, 40, 9999));
        assert!(!entry.alive());
    }

    #[test]
    fn a_process_finds_itself() {
        let me = std::process::id().cast_signed();
        assert!(take().iter().any(|entry| entry.pid == me && entry.alive()));
        assert_eq!(Entry::of(me).unwrap().pid, me);
    }
}
