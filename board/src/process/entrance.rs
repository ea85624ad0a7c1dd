//! What a child does on its way in, between fork and exec, before it has less rights than we.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::getpid;

/// The cgroup that a child joins, and the file in which it notes itself. So there is no moment at which it runs and
/// nobody could find it.
#[derive(Debug, Default)]
pub struct Entrance {
    /// What it writes `0` to, to become a member ([`crate::process::cgroup::Folder::entrance`]).
    pub cgroup: Option<OwnedFd>,
    /// What it adds its line of `/proc/PID/stat` to.
    pub note: Option<File>,
}

impl Entrance {
    /// Goes through it. Allocates nothing.
    pub(crate) fn enter(&self) -> io::Result<()> {
        if let Some(cgroup) = &self.cgroup {
            rustix::io::write(cgroup, b"0")?;
        }
        let Some(note) = &self.note else { return Ok(()) };
        let mut stat = [0; STAT_MAX];
        // Without /proc its number is known to the life that starts it, and to no other.
        let Ok(file) = open(c"/proc/self/stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        else {
            return Ok(());
        };
        let read = rustix::io::read(&file, &mut stat)?;
        let stat = stat.get(..read).unwrap_or_default();
        if number(stat) == Some(getpid().as_raw_pid()) {
            rustix::io::write(note, stat)?;
        }
        Ok(())
    }
}

/// The number that a line of `stat` begins with; that of another PID namespace is not ours.
fn number(stat: &[u8]) -> Option<i32> {
    let mut digits = stat.iter().take_while(|byte| byte.is_ascii_digit());
    digits.try_fold(0_i32, |sum, digit| sum.checked_mul(10)?.checked_add(i32::from(digit - b'0')))
}

/// Longer than a line of 52 numbers can be.
const STAT_MAX: usize = 1200;
