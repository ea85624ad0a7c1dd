//! A process that lives on when the supervisor dies for any reason: in a session of its own, no child of
//! anybody but init, deaf to every signal by which groups of processes are ended, and without our files.
//!
//! It is this very program once more, which finds in its environment what it is to be ([`is_this`]).
//!
//! It hears of our death by the end of its standard input, and we of its death by the end of the same line.

use std::env;
use std::ffi::{CStr, OsStr};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::process::hardening;
use crate::process::orphans::Starting;

pub use last_frame::LastFrame;

mod last_frame;

/// Whether this process was started as a guard.
pub fn is_this() -> bool {
    env::var_os(WORD).is_some()
}

/// Whether the process `pid` was.
pub(crate) fn is(pid: i32) -> bool {
    let words = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    words
        .split(|byte| *byte == 0)
        .any(|word| word.strip_prefix(WORD.as_bytes()).is_some_and(|it| it.starts_with(b"=")))
}

/// Starts a guard, and gives our end of its line.
///
/// # Errors
///
/// When the kernel has no process or descriptor left, or the program cannot be executed.
#[allow(unsafe_code)]
pub fn start() -> io::Result<UnixStream> {
    let (ours, its) = UnixStream::pair()?;
    // Not by its path, where another version may be by now.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(OsStr::from_bytes(NAME.to_bytes()))
        .args(env::args_os().skip(1))
        .env(WORD, "yes")
        .current_dir("/");
    command.stdin(Stdio::from(OwnedFd::from(its))).stdout(Stdio::null());
    // SAFETY: after the fork of a process with threads only async-signal-safe functions may run (signal-safety(7)).
    // These are bare system calls, `libc::signal`, which is on the list and sets no handler, and `_exit`, which is on
    // the list; `fork` is as well, as long as no handlers of pthread_atfork(3) are set, and nobody sets one here.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
                libc::signal(signal, libc::SIG_IGN);
            }
            libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            hardening::end();
            // A process that is not our child leaves us nothing to bury.
            match libc::fork() {
                0 => rustix::process::setsid().map(drop).map_err(io::Error::from),
                -1 => Err(io::Error::last_os_error()),
                _ => libc::_exit(0),
            }
        });
    }
    let _starting = Starting::begin();
    command.spawn()?.wait()?;
    Ok(ours)
}

/// Makes this process known as a guard, and asks the kernel to kill others first when memory is short
/// (`proc_pid_oom_score_adj(5)`). It may refuse.
pub fn begin() {
    let _ = rustix::thread::set_name(NAME);
    let _ = fs::write("/proc/self/oom_score_adj", "-1000");
}

/// What it is called in a list of processes.
const NAME: &CStr = c"twobox-guard";
/// In its environment.
const WORD: &str = "TWOBOX_GUARD";
