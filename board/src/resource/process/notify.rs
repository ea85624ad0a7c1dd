//! The socket on which a service says how it is: `READY=1` (`sd_notify(3)`).
//!
//! It is in the abstract name space (`unix(7)`), so it needs no directory that a service of any user can reach; that
//! anybody can write to it is made good by the kernel's word about who did (`SCM_CREDENTIALS`).
//!
//! It is read for as long as the service lives, on the thread that reads its output: any of its processes may speak
//! at any time, and one that waits until its words were taken (`BARRIER=1`) is not kept waiting. Of all that can be
//! said only `READY=1` matters here; `STATUS=` is logged as debug, and what else comes is read and dropped.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, UCred};
use rustix::process::Uid;
use rustix::rand::GetRandomFlags;

use crate::process::cgroup::Cgroup;
use crate::process::output::{self, Hearing};
use crate::process::procfs::{Id, ProcessEntry};
use crate::thread::deadline::{CancelToken, Deadline};

/// A notify socket of one service.
#[derive(Debug)]
pub(super) struct NotifySocket {
    datagrams: UnixDatagram,
    name: String,
    closed: AtomicBool,
}

impl NotifySocket {
    /// A socket that nobody knows yet.
    ///
    /// # Errors
    ///
    /// When the kernel has no descriptor left.
    pub(super) fn new() -> io::Result<Self> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, GetRandomFlags::empty())?;
        Self::called(format!("twobox/{:016x}", u64::from_ne_bytes(random)))
    }

    /// The socket of this name, which a service knows from an earlier life of the supervisor.
    ///
    /// # Errors
    ///
    /// When somebody has it.
    pub(super) fn called(name: String) -> io::Result<Self> {
        let datagrams = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        datagrams.set_nonblocking(true)?;
        rustix::net::sockopt::set_socket_passcred(&datagrams, true)?;
        Ok(Self { datagrams, name, closed: AtomicBool::new(false) })
    }

    /// Its name in the abstract name space.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The value of `NOTIFY_SOCKET`.
    pub(super) fn address(&self) -> String {
        format!("@{}", self.name)
    }

    /// Nobody is heard on it any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        // Never fails for a socket, and wakes who waits.
        let _ = self.datagrams.shutdown(Shutdown::Both);
    }

    /// The next word, and who said it.
    fn receive<'t>(&self, text: &'t mut [u8]) -> Received<'t> {
        loop {
            if self.closed.load(Ordering::SeqCst) {
                return Received::End;
            }
            // Passed descriptors find no room here, and the kernel closes them: that is all that BARRIER=1 asks for.
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let received = rustix::net::recvmsg(
                &self.datagrams,
                &mut [IoSliceMut::new(text)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            );
            let length = match received {
                Ok(message) => message.bytes,
                Err(Errno::AGAIN) => return Received::Nothing,
                Err(Errno::INTR) => continue,
                Err(_) => return Received::End,
            };
            let sender = ancillary.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmCredentials(sender) => Some(sender),
                _ => None,
            });
            return Received::Word(sender, text.get(..length).unwrap_or_default());
        }
    }
}

enum Received<'t> {
    /// Of nobody, if it comes from outside of this PID namespace.
    Word(Option<UCred>, &'t [u8]),
    Nothing,
    End,
}

/// Whom to believe.
#[derive(Clone, Debug)]
pub(super) struct NotifyAccess {
    /// What tells its processes; nothing where `/proc` does not.
    pub(super) kin: Option<Kin>,
    /// As whom the service is started; believed of one that cannot be looked at any more.
    pub(super) user: Option<Uid>,
}

/// What tells whether a process is of the service.
#[derive(Clone, Debug)]
pub(super) enum Kin {
    /// It is in its cgroup.
    Cgroup(Cgroup),
    /// It descends from this one, or has become our child.
    Descent(Id),
}

impl NotifyAccess {
    /// Whether the service says what `sender` does. The kernel vouches for number and user; a sender that is dead
    /// by now is known by its user alone.
    fn has(&self, sender: Option<&UCred>) -> bool {
        let Some(sender) = sender else { return false };
        let pid = sender.pid.as_raw_pid();
        let known = match &self.kin {
            Some(Kin::Cgroup(cgroup)) => cgroup.has(pid),
            Some(Kin::Descent(leader)) => descends(pid, *leader),
            None => None,
        };
        known.unwrap_or_else(|| sender.uid.is_root() || Some(sender.uid) == self.user)
    }
}

/// Whether the process `pid` descends from `leader`; `None` where that cannot be told.
fn descends(pid: i32, leader: Id) -> Option<bool> {
    let me = std::process::id().cast_signed();
    let mut entry = ProcessEntry::of(pid)?;
    for _ in 0..GENERATIONS_MAX {
        if entry.id() == leader {
            return Some(true);
        }
        if entry.parent == me {
            return None;
        }
        // The orphans of a leader that an earlier life has started are init's.
        let Some(parent) = ProcessEntry::of(entry.parent) else { break };
        entry = parent;
    }
    ProcessEntry::of(leader.pid).filter(|it| it.id() == leader && it.parent == me).map(|_| false)
}

/// Hears what a service says.
pub(super) struct NotifyListener {
    pub(super) socket: Arc<NotifySocket>,
    pub(super) trust: NotifyAccess,
    /// Pulled when it is ready.
    pub(super) ready: Option<CancelToken>,
    /// What it is called in the log.
    pub(super) name: String,
    pub(super) strangers: Strangers,
}

impl AsFd for NotifyListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.datagrams.as_fd()
    }
}

impl output::OutputListener for NotifyListener {
    fn hear(&mut self) -> Hearing {
        let mut text = [0; TEXT_MAX];
        for _ in 0..BURST_MAX {
            match self.socket.receive(&mut text) {
                Received::Nothing => return Hearing::More,
                Received::End => return Hearing::End,
                Received::Word(sender, text) if self.trust.has(sender.as_ref()) => {
                    if let Some(status) = says(text, b"STATUS=") {
                        let status = String::from_utf8_lossy(status).replace(char::is_control, " ");
                        log::debug!(target: &self.name, "says of itself: {status}");
                    }
                    if says(text, b"READY=") == Some(b"1")
                        && let Some(ready) = self.ready.take()
                    {
                        ready.cancel();
                    }
                }
                Received::Word(sender, _) => self.strangers.note(sender.as_ref(), &self.name),
            }
        }
        Hearing::Pause(BURST_PAUSE)
    }
}

/// Those who were not believed.
pub(super) struct Strangers {
    count: u64,
    /// Over when they may be told again.
    quiet: Deadline,
}

impl Default for Strangers {
    fn default() -> Self {
        Self { count: 0, quiet: Deadline::new(Duration::ZERO) }
    }
}

impl Strangers {
    fn note(&mut self, sender: Option<&UCred>, name: &str) {
        self.count += 1;
        if self.quiet.left().is_zero() {
            self.quiet = Deadline::new(QUIET);
            let (pid, uid) = sender.map_or((0, 0), |it| (it.pid.as_raw_pid(), it.uid.as_raw()));
            log::warn!(
                "{name}: process {pid} of user {uid} speaks on its notify socket and is not of it: not believed \
                 ({} such words so far)",
                self.count
            );
        }
    }
}

/// What a line of `text` says that begins with `word`.
fn says<'t>(text: &'t [u8], word: &[u8]) -> Option<&'t [u8]> {
    text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(word))
}

/// Services add a sentence about their state.
const TEXT_MAX: usize = 4096;

/// More than a service says at once. Who says more for longer is heard 1,600 times a second at most, which costs a
/// twentieth of a processor; the kernel keeps others waiting meanwhile.
const BURST_MAX: usize = 32;
const BURST_PAUSE: Duration = Duration::from_millis(20);

/// Between two complaints about strangers.
const QUIET: Duration = Duration::from_secs(60);

/// No tree of processes is so deep; one that changes while it is climbed may look so.
const GENERATIONS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::output::OutputListener as _;
    use super::*;

    #[test]
    fn ready_is_a_line_of_its_own() {
        assert_eq!(says(b"READY=1", b"READY="), Some(&b"1"[..]));
        assert_eq!(says(b"STATUS=up\nREADY=1\n", b"READY="), Some(&b"1"[..]));
        assert_eq!(says(b"STATUS=READY=1", b"READY="), None);
        assert_eq!(says(b"READY=10\nSTOPPING=1", b"READY="), Some(&b"10"[..]));
    }

    #[test]
    fn the_kernel_says_who_speaks_and_the_end_is_heard() {
        let me = ProcessEntry::of(std::process::id().cast_signed()).unwrap().id();
        let (mut ear, ready) = ear(me);
        let now = Deadline::new(Duration::ZERO);
        assert!(matches!(ear.hear(), Hearing::More));
        let service = UnixDatagram::unbound().unwrap();
        let address = SocketAddr::from_abstract_name(ear.socket.name()).unwrap();
        service.send_to_addr(b"STATUS=soon", &address).unwrap();
        service.send_to_addr(b"", &address).unwrap();
        assert!(matches!(ear.hear(), Hearing::More));
        assert!(now.readable(&[ready.as_fd()]).is_err());
        service.send_to_addr(b"READY=1", &address).unwrap();
        service.send_to_addr(b"READY=1", &address).unwrap();
        assert!(matches!(ear.hear(), Hearing::More));
        assert!(now.readable(&[ready.as_fd()]).is_ok());
        assert_eq!(ear.strangers.count, 0);
        ear.socket.close();
        assert!(matches!(ear.hear(), Hearing::End));
    }

    #[test]
    fn a_stranger_of_the_same_user_is_not_believed_and_a_flood_pauses() {
        let mut other = std::process::Command::new("/bin/sleep").arg("600").spawn().unwrap();
        let leader = ProcessEntry::of(other.id().cast_signed()).unwrap().id();
        let (mut ear, ready) = ear(leader);
        let stranger = UnixDatagram::unbound().unwrap();
        let address = SocketAddr::from_abstract_name(ear.socket.name()).unwrap();
        stranger.send_to_addr(b"READY=1", &address).unwrap();
        assert!(matches!(ear.hear(), Hearing::More));
        assert_eq!(ear.strangers.count, 1);
        assert!(Deadline::new(Duration::ZERO).readable(&[ready.as_fd()]).is_err());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2 * BURST_MAX {
                    stranger.send_to_addr(b"x", &address).unwrap();
                }
            });
            let patience = Deadline::new(Duration::from_secs(60));
            let mut paused = false;
            while ear.strangers.count <= 2 * BURST_MAX as u64 {
                paused |= matches!(ear.hear(), Hearing::Pause(_));
                patience.sleep(Duration::from_millis(1)).unwrap();
            }
            assert!(paused || ear.strangers.count > BURST_MAX as u64);
        });
        other.kill().unwrap();
        other.wait().unwrap();
    }

    fn ear(leader: Id) -> (NotifyListener, CancelToken) {
        let ready = CancelToken::new().unwrap();
        let trust = NotifyAccess {
            kin: Some(Kin::Descent(leader)),
            user: Some(rustix::process::geteuid()),
        };
        let ear = NotifyListener {
            socket: Arc::new(NotifySocket::new().unwrap()),
            trust,
            ready: Some(ready.clone()),
            name: "a test".to_owned(),
            strangers: Strangers::default(),
        };
        (ear, ready)
    }
}
