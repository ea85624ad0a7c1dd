//! The socket on which a service says that it serves: `READY=1` (`sd_notify(3)`).
//!
//! It is in the abstract name space (`unix(7)`), so it needs no directory that a service of any user can reach; that
//! anybody can write to it is made good by the kernel's word about who did (`SCM_CREDENTIALS`).

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::Uid;
use rustix::rand::GetRandomFlags;

/// A notify socket for one start.
pub(super) struct Socket {
    socket: UnixDatagram,
    name: String,
}

impl Socket {
    /// A socket that nobody knows yet.
    pub(super) fn new() -> io::Result<Self> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, GetRandomFlags::empty())?;
        let name = format!("twobox/{:016x}", u64::from_ne_bytes(random));
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        socket.set_nonblocking(true)?;
        rustix::net::sockopt::set_socket_passcred(&socket, true)?;
        Ok(Self { socket, name: format!("@{name}") })
    }

    /// The value of `NOTIFY_SOCKET`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Reads what was said, and tells whether it is that the service serves. Only `user`, root and the supervisor's
    /// own user are believed.
    pub(super) fn ready(&self, user: Option<Uid>) -> io::Result<bool> {
        let mut text = [0; TEXT_MAX];
        loop {
            // Passed descriptors find no room here, and the kernel closes them.
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let received = rustix::net::recvmsg(
                &self.socket,
                &mut [IoSliceMut::new(&mut text)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            );
            let length = match received {
                Ok(message) => message.bytes,
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let believed = ancillary.drain().any(|message| match message {
                RecvAncillaryMessage::ScmCredentials(sender) => {
                    sender.uid == Uid::ROOT
                        || sender.uid == rustix::process::geteuid()
                        || Some(sender.uid) == user
                }
                _ => false,
            });
            if believed && says_ready(text.get(..length).unwrap_or_default()) {
                return Ok(true);
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn says_ready(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

/// Services add a sentence about their state.
const TEXT_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_a_line_of_its_own() {
        assert!(says_ready(b"READY=1"));
        assert!(says_ready(b"STATUS=up\nREADY=1\n"));
        assert!(!says_ready(b"STATUS=READY=1"));
        assert!(!says_ready(b"READY=10\nSTOPPING=1"));
    }

    #[test]
    fn the_kernel_says_who_speaks() {
        let socket = Socket::new().unwrap();
        assert!(!socket.ready(None).unwrap());
        let address = SocketAddr::from_abstract_name(&socket.name()[1..]).unwrap();
        let service = UnixDatagram::unbound().unwrap();
        service.send_to_addr(b"STATUS=soon", &address).unwrap();
        service.send_to_addr(b"READY=1", &address).unwrap();
        assert!(socket.ready(None).unwrap());
    }
}
