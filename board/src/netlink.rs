//! What addresses do this box's interfaces have? The kernel's answer, and its changes, by rtnetlink.
//!
//! A request is one datagram. The kernel has done what was asked when `send` returns, and the answer is there to
//! be taken, so nothing here waits. Every answer is read with checked slices: what is cut off or senseless is an
//! error, or absent.
//!
//! ```text
//! Request::new(RTM_NEWADDR, flags, body).attribute(IFA_LOCAL, octets)              -> kernel
//! messages, or a Refusal: the number of the error, and the kernel's own words     <- kernel
//! ```
//!
//! Only the few questions that the product and its tests ask are here (`rtnetlink(7)`, `netlink(7)`).

mod message;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{bind, connect, recv, send, socket_with};

use self::message::{IFADDR, IFINFO, Message, Refusal, Request};
use crate::prefix::Prefix;

/// The hardware address of a network card.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|byte| format!("{byte:02x}")).join(":"))
    }
}

/// An interface of this box.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Its number, which a new interface of the same name does not share.
    pub index: u32,
    /// Its name, such as `eth0`.
    pub name: String,
    /// Its hardware address, if it is an Ethernet.
    pub mac: Option<Mac>,
    /// Whether somebody has set it up.
    pub up: bool,
    /// Whether the cable carries a signal.
    pub carrier: bool,
}

/// What one message of the kernel tells.
#[derive(Debug)]
pub enum Told {
    /// There is this interface.
    Interface(Interface),
    /// The interface with this number has this address.
    Address(u32, Prefix),
    /// The way begins with the interface with this number.
    Way(u32),
    /// It was not done.
    Refused(io::Error),
}

/// All that a datagram may tell, each of its messages read in every way, whatever its bytes are.
pub fn told(mut datagram: &[u8]) -> Vec<Told> {
    let mut told = Vec::new();
    while let Some(message) = Message::take(&mut datagram) {
        told.extend(message.interface().map(Told::Interface));
        told.extend(message.address().map(|(index, prefix)| Told::Address(index, prefix)));
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

    /// The interface called `name`, if there is one.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to say.
    pub fn interface(&mut self, name: &str) -> io::Result<Option<Interface>> {
        let name = [name.as_bytes(), &[0]].concat();
        let request =
            Request::new(libc::RTM_GETLINK, 0, &[0; IFINFO]).attribute(libc::IFLA_IFNAME, &name);
        match self.exchange(&request) {
            Ok(messages) => Ok(messages.iter().find_map(Message::interface)),
            Err(Refusal { errno: Errno::NODEV, .. }) => Ok(None),
            Err(refusal) => Err(refusal.because("cannot look for the interface")),
        }
    }

    /// All interfaces of this box.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to say.
    pub fn interfaces(&mut self) -> io::Result<Vec<Interface>> {
        let messages = self
            .exchange(&Request::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, &[0; IFINFO]))
            .map_err(|refusal| refusal.because("cannot list the interfaces"))?;
        Ok(messages.iter().filter_map(Message::interface).collect())
    }

    /// The interface by which this box reaches `to`, if there is a way at all.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to say.
    pub fn way_to(&mut self, to: IpAddr) -> io::Result<Option<Interface>> {
        match self.exchange(&Request::way_to(to)) {
            Ok(messages) => {
                let out = messages.iter().find_map(Message::out);
                Ok(self.interfaces()?.into_iter().find(|it| Some(it.index) == out))
            }
            Err(Refusal { errno: Errno::NETUNREACH | Errno::HOSTUNREACH, .. }) => Ok(None),
            Err(refusal) => Err(refusal.because("cannot look for the way")),
        }
    }

    /// Sets an interface up, or down.
    ///
    /// # Errors
    ///
    /// When it is gone, or the kernel refuses.
    pub fn set_up(&mut self, interface: &Interface, up: bool) -> io::Result<()> {
        let (flag, word) = (libc::IFF_UP.cast_unsigned(), if up { "up" } else { "down" });
        let mut body = [0; IFINFO];
        body[4..8].copy_from_slice(&interface.index.to_ne_bytes());
        body[8..12].copy_from_slice(&if up { flag } else { 0 }.to_ne_bytes());
        body[12..].copy_from_slice(&flag.to_ne_bytes());
        self.exchange(&Request::new(libc::RTM_NEWLINK, 0, &body))
            .map_err(|refusal| refusal.because(&format!("cannot set {} {word}", interface.name)))
            .map(drop)
    }

    /// The addresses of an interface.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to say.
    pub fn addresses(&mut self, interface: &Interface) -> io::Result<Vec<Prefix>> {
        let messages = self
            .exchange(&Request::new(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; IFADDR]))
            .map_err(|refusal| refusal.because("cannot list the addresses"))?;
        let all = messages.iter().filter_map(Message::address);
        Ok(all.filter(|(index, _)| *index == interface.index).map(|(_, prefix)| prefix).collect())
    }

    /// Gives an interface an address, at once usable; one that it has already is no error.
    ///
    /// # Errors
    ///
    /// When the interface is gone, or the kernel refuses.
    pub fn add_address(&mut self, interface: &Interface, prefix: Prefix) -> io::Result<()> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        match self.exchange(&Request::about(libc::RTM_NEWADDR, flags, interface, prefix)) {
            Ok(_) | Err(Refusal { errno: Errno::EXIST, .. }) => Ok(()),
            Err(refusal) => {
                Err(refusal.because(&format!("cannot add {prefix} to {}", interface.name)))
            }
        }
    }

    /// Takes exactly this address from an interface; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn remove_address(&mut self, interface: &Interface, prefix: Prefix) -> io::Result<()> {
        match self.exchange(&Request::about(libc::RTM_DELADDR, 0, interface, prefix)) {
            Ok(_) | Err(Refusal { errno: Errno::ADDRNOTAVAIL | Errno::NODEV, .. }) => Ok(()),
            Err(refusal) => {
                Err(refusal.because(&format!("cannot remove {prefix} from {}", interface.name)))
            }
        }
    }

    /// Asks, and asks again where the list has changed while it was told.
    fn exchange(&mut self, request: &Request) -> Result<Vec<Message>, Refusal> {
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
    fn answer(&self) -> Result<Option<Vec<Message>>, Refusal> {
        let mut messages = Vec::new();
        let mut consistent = true;
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            let (_, length) = recv(&self.socket, buffer.as_mut_slice(), RecvFlags::TRUNC)?;
            let mut datagram = buffer.get(..length).ok_or(Errno::MSGSIZE)?;
            while let Some(message) = Message::take(&mut datagram) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_box_has_an_interface_that_talks_to_itself() {
        let mut netlink = Netlink::open().unwrap();
        let lo = netlink.interface("lo").unwrap().unwrap();
        assert_eq!((lo.name.as_str(), lo.mac), ("lo", None));
        assert!(netlink.interfaces().unwrap().contains(&lo));
        assert_eq!(netlink.interface("no-such-eth0").unwrap(), None);
    }
}
