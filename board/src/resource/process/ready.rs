//! Waits until a service serves; a service says so in one of four ways.
//!
//! | `ready =` | it serves when |
//! |---|---|
//! | absent | it runs |
//! | `"notify"` | it says `READY=1` on `NOTIFY_SOCKET` (`sd_notify(3)`) |
//! | `{ file = "/run/x.pid" }` | the file is there, and is not the one of before the start |
//! | `{ command = ["/bin/x"], every = "50ms" }` | the command ends with status 0 |
//!
//! Its death is seen at once, in each of the ways.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::table::{Source, Value};
use crate::process::child::{Child, ExitReason, Program};
use crate::process::command_line::Own;
use crate::thread::deadline::{CancelToken, Deadline};

/// How a process says that it serves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReadySignal {
    /// By running.
    Running,
    /// By `READY=1` on its notify socket.
    Notify,
    /// By a file that it writes.
    File(PathBuf),
    /// By letting a command succeed.
    Command {
        /// What is asked.
        command: Own,
        /// How long to wait before it is tried again.
        every: Duration,
    },
}

impl ReadySignal {
    /// The program that is asked, if one is.
    pub(super) const fn command(&self) -> Option<&Own> {
        match self {
            Self::Command { command, .. } => Some(command),
            Self::Running | Self::Notify | Self::File(_) => None,
        }
    }

    /// Gets ready to see it: called before the start, so that nothing is missed. `said` is pulled when it says so.
    pub(super) fn prepare(&self, said: Option<CancelToken>) -> io::Result<ReadySign<'_>> {
        Ok(match self {
            Self::Running => ReadySign::Running,
            Self::Notify => ReadySign::Notify(said.ok_or(io::ErrorKind::NotConnected)?),
            Self::File(path) => ReadySign::File { path, before: Stamp::of(path) },
            Self::Command { command, every } => {
                ReadySign::Command { command: command.words(), every: *every }
            }
        })
    }
}

/// What is looked at until the service serves.
pub(super) enum ReadySign<'a> {
    Running,
    Notify(CancelToken),
    File { path: &'a Path, before: Option<Stamp> },
    Command { command: &'a [String], every: Duration },
}

impl ReadySign<'_> {
    /// Waits until `child` serves.
    ///
    /// # Errors
    ///
    /// When it died, or did not become ready within `patience`.
    pub(super) fn wait(
        &self,
        child: &Child,
        program: &Program,
        patience: &Deadline,
    ) -> io::Result<()> {
        let served = match self {
            Self::Running => Ok(true),
            Self::Notify(said) => notified(said, child, patience),
            Self::File { path, before } => appeared(path, before.as_ref(), child, patience),
            Self::Command { command, every } => {
                succeeded(command, *every, child, program, patience)
            }
        };
        let name = program.command.first().map_or("", String::as_str);
        let reason = match served {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(io::Error::other(died(name, child))),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                format!("{name} runs, but {self} in time: look at its log, or raise start_timeout")
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                return Err(io::Error::new(
                    error.kind(),
                    format!("the start of {name} was called off"),
                ));
            }
            Err(error) => return Err(error),
        };
        Err(io::Error::new(io::ErrorKind::TimedOut, reason))
    }
}

impl fmt::Display for ReadySign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("does not serve"),
            Self::Notify(_) => f.write_str("did not say READY=1"),
            Self::File { path, .. } => write!(f, "did not write {}", path.display()),
            Self::Command { command, .. } => write!(f, "{} did not succeed", command.join(" ")),
        }
    }
}

fn died(name: &str, child: &Child) -> String {
    match child.end() {
        Some(end) if end.success() => {
            format!(
                "{name} {end} before it was ready: it must stay in the foreground, see its manual for how"
            )
        }
        Some(end) => format!("{name} {end} before it was ready"),
        None => format!("{name} cannot be watched"),
    }
}

// These return false when the child is dead.

fn notified(said: &CancelToken, child: &Child, patience: &Deadline) -> io::Result<bool> {
    // Its word counts although it is dead by now.
    Ok(patience.readable(&[said.as_fd(), child.as_fd()])? == 0)
}

fn appeared(
    path: &Path,
    before: Option<&Stamp>,
    child: &Child,
    patience: &Deadline,
) -> io::Result<bool> {
    let mut pause = FIRST_PAUSE;
    loop {
        let now = Stamp::of(path);
        if now.is_some() && now.as_ref() != before {
            return Ok(true);
        }
        if dead_after(pause, child, patience)? {
            return Ok(false);
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn succeeded(
    command: &[String],
    every: Duration,
    child: &Child,
    program: &Program,
    patience: &Deadline,
) -> io::Result<bool> {
    let question = Program { command: command.to_owned(), outlives: false, ..program.clone() };
    loop {
        let mut asked = question.spawn(Stdio::null(), Stdio::null())?;
        match patience.at_most(QUESTION_TIME).readable(&[child.as_fd(), asked.as_fd()]) {
            Ok(0) => return Ok(false),
            Ok(_) if asked.end().is_some_and(ExitReason::success) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            // It failed, or hangs: it is killed, and asked again.
            Ok(_) | Err(_) => asked.kill()?,
        }
        if dead_after(every, child, patience)? {
            return Ok(false);
        }
    }
}

/// Waits for `pause`, or until the child is dead.
fn dead_after(pause: Duration, child: &Child, patience: &Deadline) -> io::Result<bool> {
    match patience.at_most(pause).readable(&[child.as_fd()]) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::TimedOut && !patience.left().is_zero() => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// What tells a file from one that was there before, or was not written since. No clock is asked: the times of files
/// are coarse, and may be set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Stamp {
    file: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

impl Value for ReadySignal {
    const EXAMPLE: &'static str =
        "\"notify\", { file = \"/run/x.pid\" } or { command = [\"/bin/x\"], every = \"50ms\" }";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        let wrong = || format!("say {}", Self::EXAMPLE);
        if value.as_str() == Some("notify") {
            return Ok(Self::Notify);
        }
        let words = value.as_table().ok_or_else(wrong)?;
        let of = |word| words.get(word).map(toml::Spanned::get_ref);
        match (of("file"), of("command"), of("every"), words.len()) {
            (Some(file), None, None, 1) => PathBuf::read(file, source).map(Self::File),
            (None, Some(command), every, 1 | 2) if every.is_some() == (words.len() == 2) => {
                let command = Own::read(command, source).map_err(|it| format!("command {it}"))?;
                let every = every.map_or(Ok(EVERY), |every| Duration::read(every, source))?;
                Ok(Self::Command { command, every })
            }
            _ => Err(wrong()),
        }
    }
}

/// Between two looks at a file: a look costs microseconds, and a start should not wait for it.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Between two runs of the command that asks: a process each time.
const EVERY: Duration = Duration::from_millis(50);

/// A question that takes longer will not be answered.
const QUESTION_TIME: Duration = Duration::from_secs(5);
