//! Asks the kernel which interfaces and addresses this box has, and changes them, by rtnetlink.
//!
//! A request is one datagram. The kernel has done what was asked when `send` returns, and the answer is there to
//! be taken, so nothing here waits. Every answer is read with checked slices: what is cut off or senseless is an
//! error, or absent.
//!
//! ```text
//! KernelRequest::new(RTM_NEWADDR, flags, body).attribute(IFA_LOCAL, octets)              -> kernel
//! messages, or a Refusal: the number of the error, and the kernel's own words     <- kernel
//! ```
//!
//! Only the few questions that the product and its tests ask are here (`rtnetlink(7)`, `netlink(7)`).

mod addresses;
mod attribute;
mod interfaces;
mod message;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{bind, connect, recv, send, socket_with};

pub use self::addresses::{Assigned, Manner};
pub use self::interfaces::{Interface, Mac, is_name};
use self::message::{KernelRefusal, KernelRequest, NetlinkMessage};

/// What one message of the kernel tells.
#[derive(Debug)]
pub enum Told {
    /// There is this interface.
    Interface(Interface),
    /// There is this address.
    Address(Assigned),
    /// The way begins with the interface with this number.
    Way(u32),
    /// It was not done.
    Refused(io::Error),
}

/// All that a datagram may tell, each of its messages read in every way, for any bytes.
pub fn told(mut datagram: &[u8]) -> Vec<Told> {
    let mut told = Vec::new();
    while let Some(message) = NetlinkMessage::take(&mut datagram) {
        told.extend(message.interface().map(Told::Interface));
        told.extend(message.address().map(Told::Address));
        told.extend(message.out().map(Told::Way));
        let refused = message.verdict().map_err(|refusal| refusal.because("it was refused"));
        told.extend(refused.err().map(Told::Refused));
    }
    told
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // No protocol is protocol 0, and that is NETLINK_ROUTE.
    Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?)
}

/// What the kernel tells unasked, about the namespace of the thread that opened it.
pub struct Changes(OwnedFd);

impl Changes {
    /// Listens for changes of interfaces and addresses (`rtnetlink(7)`); everybody may.
    ///
    /// # Errors
    ///
    /// When the kernel has no descriptor left.
    pub fn open() -> io::Result<Self> {
        let socket = socket()?;
        let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        bind(&socket, &SocketAddrNetlink::new(0, groups.cast_unsigned()))?;
        Ok(Self(socket))
    }

    /// Whether there were any since it was asked last. What could not be kept for lack of room counts as one.
    pub fn were(&self) -> bool {
        let mut any = false;
        loop {
            match recv(&self.0, &mut [0], RecvFlags::empty()) {
                Ok(_) => any = true,
                Err(Errno::AGAIN) => return any,
                Err(Errno::INTR) => {}
                // The rest is taken the next time.
                Err(_) => return true,
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An open conversation with the kernel, about the namespace of the thread that opened it.
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// Opens a conversation; everybody may ask, changes need `CAP_NET_ADMIN`.
    ///
    /// # Errors
    ///
    /// When the kernel has no descriptor left.
    pub fn open() -> io::Result<Self> {
        let socket = socket()?;
        // From now on only the kernel (port 0) can put a message into the socket.
        connect(&socket, &SocketAddrNetlink::new(0, 0))?;
        ask_for_reasons(&socket);
        Ok(Self { socket, sequence: 0 })
    }

    /// Asks, and asks again where the list has changed while it was told.
    fn exchange(&mut self, request: &KernelRequest) -> Result<Vec<NetlinkMessage>, KernelRefusal> {
        for _ in 0..LISTINGS_MAX {
            self.sequence = self.sequence.wrapping_add(1);
            send(&self.socket, &request.bytes(self.sequence), SendFlags::empty())?;
            if let Some(messages) = self.answer()? {
                return Ok(messages);
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// The whole answer to the latest request, or `None` where it contradicts itself.
    fn answer(&self) -> Result<Option<Vec<NetlinkMessage>>, KernelRefusal> {
        let mut messages = Vec::new();
        let mut consistent = true;
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            let (_, length) = recv(&self.socket, buffer.as_mut_slice(), RecvFlags::TRUNC)?;
            let mut datagram = buffer.get(..length).ok_or(Errno::MSGSIZE)?;
            while let Some(message) = NetlinkMessage::take(&mut datagram) {
                if message.sequence != self.sequence {
                    continue;
                }
                consistent &= i32::from(message.flags) & libc::NLM_F_DUMP_INTR == 0;
                match i32::from(message.kind) {
                    libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                        message.verdict()?;
                        return Ok(consistent.then_some(messages));
                    }
                    _ => messages.push(message),
                }
            }
        }
    }
}

/// Asks the kernel for its reasons in words; an old one that cannot gives the number alone.
#[allow(unsafe_code)]
fn ask_for_reasons(socket: &OwnedFd) {
    let on: libc::c_int = 1;
    let size = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the option is one int, which outlives the call and whose size is told; rustix does not know it.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_EXT_ACK,
            ptr::from_ref(&on).cast(),
            size,
        );
    }
}

/// The kernel fills at most 32 KiB of a listing into one datagram (`af_netlink.c`, `netlink_dump`).
const DATAGRAM_MAX: usize = 32 * 1024;
/// A listing is broken by a change that falls into the microseconds it takes; three in a row are a storm.
const LISTINGS_MAX: usize = 4;
