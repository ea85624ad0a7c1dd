//! How did a process end? In words, for the person who reads why the other box took over.

use std::fmt;

use rustix::process::WaitIdStatus;

use super::signals;

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By the signal of this number.
    Killed(i32),
    /// It is dead, and its status is lost.
    Unknown,
}

impl End {
    /// Whether it ended by itself, with status 0.
    pub const fn success(self) -> bool {
        matches!(self, Self::Exited(0))
    }
}

impl From<&WaitIdStatus> for End {
    fn from(status: &WaitIdStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(status), _) => Self::Exited(status),
            (None, Some(number)) => Self::Killed(number),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(status) => write!(f, "ended with status {status}"),
            Self::Killed(number) => write!(f, "was killed by {}", signals::name_of(number)),
            Self::Unknown => f.write_str("ended, nobody knows how"),
        }
    }
}
