//! Gives a thread precedence over all others, and keeps its memory in memory.
//!
//! By the scheduling policy `SCHED_RR` at a low priority (`sched(7)`), and by `mlockall(2)`. Either may be refused, and
//! then everything works as before, only later on a box that is busy.
//!
//! What spins at such a priority would keep everything else from a box with one processor. It does not: the kernel
//! keeps a twentieth of each second for the others (`sched_rt_runtime_us`), and where it was told not to, the priority
//! is not taken ([`Refused::Unbounded`]). `RLIMIT_RTTIME` is not used: it kills a process that is busy for long, so
//! that somebody who floods a link could kill it.

use std::fs;
use std::hint::black_box;
use std::io;

use rustix::mm::{MlockAllFlags, mlockall, munlockall};
use rustix::process::{Resource, getrlimit};

/// A priority among the real-time ones; 0 for none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RealtimePriority(u8);

/// Why there is no priority.
#[derive(Debug)]
pub enum Refused {
    /// The kernel says so: the process may not.
    Kernel(io::Error),
    /// Nothing would be left for the others.
    Unbounded,
}

impl RealtimePriority {
    /// The priority `number`, if it is below those that the kernel uses itself.
    pub const fn new(number: u8) -> Option<Self> {
        if number <= PRIORITY_MAX { Some(Self(number)) } else { None }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Gives it to the calling thread, and to nothing that this starts (`SCHED_RESET_ON_FORK`).
    ///
    /// # Errors
    ///
    /// When it was refused; the thread is as before.
    pub fn take(self) -> Result<(), Refused> {
        self.set(libc::SCHED_RR | libc::SCHED_RESET_ON_FORK)
    }

    /// The same, and to the threads that this starts.
    ///
    /// # Errors
    ///
    /// As [`RealtimePriority::take`].
    pub fn take_and_pass_on(self) -> Result<(), Refused> {
        self.set(libc::SCHED_RR)
    }

    fn set(self, policy: libc::c_int) -> Result<(), Refused> {
        if self.0 == 0 {
            return give_back().map_err(Refused::Kernel);
        }
        // A kernel without the file has no such bound to lift.
        if fs::read_to_string(BOUND).is_ok_and(|bound| bound.trim() == "-1") {
            return Err(Refused::Unbounded);
        }
        schedule(policy, self.0.into()).map_err(Refused::Kernel)
    }
}

/// Gives up what an earlier life of this process took, before it executed another program.
#[allow(unsafe_code)]
fn give_back() -> io::Result<()> {
    // SAFETY: a bare system call with a number for an argument.
    let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) };
    let taken = libc::c_long::from(libc::SCHED_RR | libc::SCHED_RESET_ON_FORK);
    if policy == taken { schedule(libc::SCHED_OTHER, 0) } else { Ok(()) }
}

/// By the system call: the function of this name fails always in some C libraries (musl).
#[allow(unsafe_code)]
fn schedule(policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    // SAFETY: the call reads one `struct sched_param`, which to the kernel is one int, and keeps no pointer.
    let done =
        unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const priority) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps in memory all of this process has been in use once, until it ends or executes another program; children
/// do not inherit it. Nothing is brought in that nobody has used, so the process grows by nothing.
///
/// # Errors
///
/// When the process may not, or not enough.
pub fn lock_memory() -> io::Result<()> {
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?;
    let Some(bound) = getrlimit(Resource::Memlock).current else { return Ok(()) };
    // A process with a limit would find a later request for memory refused, so one that is too large is tried now.
    let more = usize::try_from(bound).unwrap_or(usize::MAX).saturating_add(1);
    let mut probe: Vec<u8> = Vec::new();
    if black_box(&mut probe).try_reserve_exact(more).is_ok() {
        return Ok(());
    }
    munlockall()?;
    Err(io::Error::other(format!("no more than {} KiB may be", bound / 1024)))
}

/// The kernel's own threads for interrupts have 50.
pub const PRIORITY_MAX: u8 = 49;

/// How much of each second is for real-time threads, in microseconds; -1 for all of it (`sched(7)`).
const BOUND: &str = "/proc/sys/kernel/sched_rt_runtime_us";
