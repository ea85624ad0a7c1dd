//! Runs a program so that it ends when it is told to, and leaves nothing behind.
//!
//! A [`Child`] is a direct child in a process group of its own, watched by a pidfd (`pidfd_open(2)`) and never by
//! `SIGCHLD`. Its group is signalled as a whole. The dead leader is left a zombie until the rest of the group is gone:
//! as long as it is there, the kernel gives its number to nobody else, and a signal to the group cannot hit a stranger.
//!
//! Nothing outlives the supervisor unless it is meant to: the kernel kills a child when *the thread that spawned
//! it* ends (`PR_SET_PDEATHSIG`, `prctl(2)`), so spawn from a thread that lives as long as the child is to live. A
//! service is meant to ([`Program::outlives`]), and the next life of the supervisor watches it on
//! ([`Child::found`]).

use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions};

use crate::config::secret::Secret;
use crate::disk::safe_file::{self, Trust};
use crate::process::account::Account;
pub use crate::process::entrance::Entrance;
pub use crate::process::exit::ExitReason;
use crate::process::hardening;
use crate::process::orphans::Starting;
use crate::process::privileges::Privileges;
use crate::process::procfs::{self, Id};
use crate::process::{descent, orphans};
use crate::thread::deadline::Deadline;

/// A program, and what it finds when it starts. Its environment is what stands here and nothing else.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The program with its full path, and its arguments.
    pub command: Vec<String>,
    /// What it reads, nothing if none is said.
    pub input: Option<Secret>,
    /// Added to [`ENVIRONMENT`], of which it may replace words.
    pub environment: Vec<(String, String)>,
    /// The working directory, `/` if none is said.
    pub directory: Option<PathBuf>,
    /// As whom it runs, as the supervisor if nobody is said.
    pub account: Option<Account>,
    /// What it may use at most (`None` for no limit), where that is to differ from the supervisor.
    pub limits: Vec<(Resource, Option<u64>)>,
    /// The permissions that its files do not get, if others than init said.
    pub umask: Option<u32>,
    /// What it may do.
    pub privileges: Privileges,
    /// Whether it lives on when the supervisor dies.
    pub outlives: bool,
}

impl Program {
    /// Starts the program, its output going to `output` and its errors to `errors`.
    ///
    /// # Errors
    ///
    /// When the program cannot be executed as this account in this directory, or when others than root and that account
    /// could have changed it; nothing runs then.
    pub fn spawn(&self, output: Stdio, errors: Stdio) -> io::Result<Child> {
        self.spawn_through(Entrance::default(), output, errors)
    }

    /// The same, through `entrance`.
    ///
    /// # Errors
    ///
    /// As for [`Program::spawn`].
    pub fn spawn_through(
        &self,
        entrance: Entrance,
        output: Stdio,
        errors: Stdio,
    ) -> io::Result<Child> {
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
        };
        safe_file::expect_safe(Path::new(program), Trust::of_program(self.account.as_ref()))
            .map_err(|error| self.not_started(&error))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(ENVIRONMENT)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(self.stdin()?)
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        self.prepare(&mut command, entrance)?;
        let _starting = Starting::begin();
        let spawned = command.spawn().map_err(|error| self.not_started(&error))?;
        // Nobody but this module waits for children, so the number is the child's, be it dead already.
        let pid = Pid::from_child(&spawned);
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Child::own(pid, pidfd)),
            Err(error) => {
                let _ = rustix::process::kill_process_group(pid, Signal::KILL);
                let _ = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
                Err(io::Error::new(
                    io::Error::from(error).kind(),
                    format!("{program} cannot be watched ({error}): pidfd_open needs Linux 5.3"),
                ))
            }
        }
    }

    /// The end of a pipe that holds the whole input already, so that nobody waits for a program that does not read it.
    fn stdin(&self) -> io::Result<Stdio> {
        let Some(input) = &self.input else { return Ok(Stdio::null()) };
        let (reader, mut writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        writer.write_all(input.expose().as_bytes()).map_err(|error| {
            io::Error::new(error.kind(), format!("its input is more than a pipe holds: {error}"))
        })?;
        Ok(reader.into())
    }

    /// Arranges what the child does between fork and exec, in the order in which the rights for it are lost.
    #[allow(unsafe_code)]
    fn prepare(&self, command: &mut Command, entrance: Entrance) -> io::Result<()> {
        let (account, limits) = (self.account.clone(), self.limits.clone());
        let (umask, privileges) = (self.umask.map(Mode::from_raw_mode), self.privileges);
        let umask = umask.or_else(hardening::umask_before);
        let directory = self.directory.as_deref().unwrap_or(Path::new("/"));
        let directory = CString::new(directory.as_os_str().as_bytes())?;
        let parent = (!self.outlives).then(rustix::process::getpid);
        let in_child = move || {
            Privileges::take_back()?;
            entrance.enter()?;
            rustix::process::chdir(&directory)?;
            for &(resource, most) in &limits {
                let limit = Rlimit { current: most, maximum: most };
                rustix::process::setrlimit(resource, limit)?;
            }
            if let Some(umask) = umask {
                rustix::process::umask(umask);
            }
            privileges.apply(account.as_ref())?;
            let Some(parent) = parent else { return Ok(()) };
            // A change of user takes the death signal back, so it comes last.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(Errno::SRCH.into());
            }
            Ok(())
        };
        // SAFETY: after the fork of a process with threads only async-signal-safe functions may run
        // (signal-safety(7)). `in_child` and what it calls make direct system calls through rustix and allocate
        // nothing, on paths of failure neither; `libc::signal` is on the list, and sets no handler; `close_range`
        // is a bare system call with numbers for arguments, and closes nothing before the exec.
        unsafe {
            command.pre_exec(move || {
                for number in 1..=SIGNAL_MAX {
                    // Fails for those that cannot be changed, which are as they should be.
                    libc::signal(number, libc::SIG_DFL);
                }
                // Ours are closed by exec anyway; this is for those that we were started with, and fails before
                // Linux 5.11, where the child gets them as we did.
                libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
                in_child()
            });
        }
        Ok(())
    }

    fn not_started(&self, error: &io::Error) -> io::Error {
        let program = self.command.first().map_or("", String::as_str);
        let hint = match error.kind() {
            // It is refused by us, and says why.
            _ if error.raw_os_error().is_none() => "",
            io::ErrorKind::NotFound => ": the program, its interpreter or the directory is missing",
            io::ErrorKind::PermissionDenied => {
                ": it must be executable, and user and limits be allowed"
            }
            io::ErrorKind::WouldBlock => NO_MORE,
            _ => "",
        };
        io::Error::new(error.kind(), format!("{program} cannot be started: {error}{hint}"))
    }
}

/// A running program, with all that it started in its group. Dropping it kills the group.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    reaped: bool,
    /// When it was started, if by an earlier life of the supervisor: somebody else buries it then.
    found: Option<u64>,
}

impl Child {
    fn own(pid: Pid, pidfd: OwnedFd) -> Self {
        orphans::note(pid);
        Self { pid, pidfd, reaped: false, found: None }
    }

    /// The leader of a group that an earlier life of the supervisor has started; none if it is dead.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    pub fn found(id: Id) -> io::Result<Option<Self>> {
        let Some(pid) = Pid::from_raw(id.pid) else { return Ok(None) };
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Ok(None),
            pidfd => pidfd?,
        };
        // Looked at when the descriptor holds it: the number may have been another's before.
        let now = procfs::ProcessEntry::read(id.pid)?.filter(|now| now.id() == id && now.alive());
        let Some(now) = now else { return Ok(None) };
        // One life of the supervisor that becomes another by exec(3) has the same children.
        if now.parent == rustix::process::getpid().as_raw_pid() {
            return Ok(Some(Self::own(pid, pidfd)));
        }
        Ok(Some(Self { pid, pidfd, reaped: false, found: Some(now.started) }))
    }

    /// The same, where nothing can be seen of it but that its number is in use, and something else tells that it is it.
    ///
    /// # Errors
    ///
    /// When it cannot be watched.
    pub fn hidden(id: Id) -> io::Result<Option<Self>> {
        let Some(pid) = Pid::from_raw(id.pid) else { return Ok(None) };
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => Ok(None),
            pidfd => Ok(Some(Self { pid, pidfd: pidfd?, reaped: false, found: Some(id.started) })),
        }
    }

    /// The number of the process, and of its group.
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended, or `None` while it runs.
    pub fn end(&self) -> Option<ExitReason> {
        if self.found.is_some() {
            let dead = Deadline::new(Duration::ZERO).readable(&[self.as_fd()]).is_ok();
            return dead.then(|| ExitReason::of(self.as_fd()));
        }
        self.wait(WaitIdOptions::NOWAIT)
    }

    /// Whether it was started by an earlier life of the supervisor, so that somebody else buries it.
    pub const fn is_found(&self) -> bool {
        self.found.is_some()
    }

    /// Sends `signal` to the process itself.
    pub fn signal_leader(&self, signal: Signal) {
        if !self.reaped {
            // Fails only for one that is dead.
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
        }
    }

    /// Sends `signal` to the whole group. The number of the group cannot be a stranger's while its leader is ours
    /// to bury; of one that was found each member is signalled for itself.
    pub fn signal(&self, signal: Signal) {
        if self.reaped {
            return;
        }
        if self.is_found() {
            self.signal_leader(signal);
            self.members()
                .iter()
                .filter(|it| it.pid != self.pid.as_raw_pid())
                .for_each(|it| it.signal(signal));
            return;
        }
        // Fails only when the group has no member that could take it.
        let _ = rustix::process::kill_process_group(self.pid, signal);
    }

    /// Kills the whole group, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When a member of the group is still there: it hangs in the kernel.
    pub fn kill(&mut self) -> io::Result<()> {
        self.signal(Signal::KILL);
        self.gone(&Deadline::new(KILL_TIME)).map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, descent::still_there(&self.members()))
        })?;
        self.bury();
        Ok(())
    }

    /// Waits until no member of the group is left alive.
    fn gone(&self, patience: &Deadline) -> io::Result<()> {
        if self.reaped {
            return Ok(());
        }
        patience.readable(&[self.as_fd()])?;
        let mut pause = Duration::from_millis(1);
        while !self.members().is_empty() {
            patience.sleep(pause)?;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Ok(())
    }

    /// The members of the group that are alive: a zombie holds nothing, and is its parent's to take. None where `/proc`
    /// cannot tell.
    fn members(&self) -> Vec<procfs::ProcessEntry> {
        let group = self.pid.as_raw_pid();
        let mut members = procfs::take().unwrap_or_default();
        // A number is nobody's pid while it names a group, so a new leader leads another group.
        let gone = |found| members.iter().any(|it| it.pid == group && it.started != found);
        if self.found.is_some_and(gone) {
            return Vec::new();
        }
        members.retain(|entry| entry.group == group && entry.alive());
        members
    }

    /// Buries the leader: nothing of it is left.
    pub fn bury(&mut self) {
        if self.reaped || self.is_found() {
            self.reaped = true;
            return;
        }
        // The last moment at which the number is ours, for members that a missing /proc has not shown.
        self.signal(Signal::KILL);
        self.wait(WaitIdOptions::empty());
        orphans::forget(self.pid);
        self.reaped = true;
    }

    fn wait(&self, options: WaitIdOptions) -> Option<ExitReason> {
        let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        match rustix::process::waitid(WaitId::PidFd(self.as_fd()), options) {
            Ok(status) => status.map(|status| ExitReason::from(&status)),
            // Taken by somebody else: the supervisor was started with SIGCHLD ignored.
            Err(_) => Some(ExitReason::Unknown),
        }
    }
}

impl AsFd for Child {
    /// The pidfd: readable as soon as the process is dead.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped
            && let Err(error) = self.kill()
        {
            log::error!("process group {}: {error}", self.pid);
        }
    }
}

/// What `EAGAIN` means where a process or a thread is wanted (`fork(2)`, `pthread_create(3)`).
pub(crate) const NO_MORE: &str =
    ": there are no more processes: raise TasksMax=, pids.max or ulimit -u";

/// What every child finds in its environment: the place of the tools, and a language that is the same on both boxes.
pub const ENVIRONMENT: [(&str, &str); 2] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("LANG", "C.UTF-8")];

/// A killed process is gone within milliseconds, and a large one within its time to free memory. What is there after
/// two seconds waits for hardware.
const KILL_TIME: Duration = Duration::from_secs(2);

/// Between two looks at a group whose leader is dead: seldom enough to cost nothing.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// The highest signal of Linux on all its architectures but MIPS, which has 128 and uses no more.
const SIGNAL_MAX: i32 = 64;
