//! Describes how a process ended, for the person who reads why the other box took over.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use rustix::process::WaitIdStatus;

use crate::process::signals;
use crate::thread::deadline::Deadline;

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExitReason {
    /// By itself, with this status.
    Exited(i32),
    /// By the signal of this number.
    Killed(i32),
    /// It is dead, and its status is lost.
    Unknown,
}

impl ExitReason {
    /// How the dead process of `pidfd` ended, which is another's child. The kernel tells it when the parent has
    /// reaped it (`PIDFD_GET_INFO` of `ioctl_pidfd(2)`, since Linux 6.15).
    pub(crate) fn of(pidfd: BorrowedFd<'_>) -> Self {
        // Its parent takes it as soon as it runs.
        let patience = Deadline::new(TAKEN);
        loop {
            match info(pidfd) {
                Ok(info) if info.mask & PIDFD_INFO_EXIT != 0 => {
                    return Self::from_wait(info.exit_code);
                }
                Ok(_) if patience.sleep(PAUSE).is_ok() => {}
                Ok(_) | Err(_) => return Self::Unknown,
            }
        }
    }

    /// Reads a status as `wait(2)` gives it.
    const fn from_wait(status: i32) -> Self {
        match status & 0x7f {
            0 => Self::Exited(status >> 8 & 0xff),
            signal => Self::Killed(signal),
        }
    }

    /// Whether it ended by itself, with status 0.
    pub const fn success(self) -> bool {
        matches!(self, Self::Exited(0))
    }
}

impl From<&WaitIdStatus> for ExitReason {
    fn from(status: &WaitIdStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(status), _) => Self::Exited(status),
            (None, Some(number)) => Self::Killed(number),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(status) => write!(f, "ended with status {status}"),
            Self::Killed(number) => write!(f, "was killed by {}", signals::name_of(number)),
            Self::Unknown => f.write_str("ended, nobody knows how"),
        }
    }
}

#[allow(unsafe_code)]
fn info(pidfd: BorrowedFd<'_>) -> rustix::io::Result<Info> {
    let mut info = Info { mask: PIDFD_INFO_EXIT, ..Info::default() };
    // SAFETY: the kernel reads and writes as many bytes as the number of the call says, which are those of `Info`
    // (`struct pidfd_info` of linux/pidfd.h, in its first version); any bytes are good for all of its fields.
    unsafe { ioctl(pidfd, Updater::<PIDFD_GET_INFO, Info>::new(&mut info)) }?;
    Ok(info)
}

#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_GET_INFO: Opcode = opcode::read_write::<Info>(0xff, 11);
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// Init is quick.
const TAKEN: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_the_kernel_writes_it() {
        assert_eq!(ExitReason::from_wait(0), ExitReason::Exited(0));
        assert_eq!(ExitReason::from_wait(7 << 8), ExitReason::Exited(7));
        assert_eq!(ExitReason::from_wait(15), ExitReason::Killed(15));
        assert_eq!(ExitReason::from_wait(0x8b), ExitReason::Killed(11));
    }
}
