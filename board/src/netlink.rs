//! Asks the kernel which interfaces and addresses this box has, and changes them, by rtnetlink.
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
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
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
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the kernel's")]
pub struct Interface {
    /// Its number, which a new interface of the same name does not share.
    pub index: u32,
    /// The name by which the kernel calls it now, such as `eth0`. It may change, and there may be others (`altname`).
    pub name: String,
    /// Its hardware address, if it is an Ethernet.
    pub mac: Option<Mac>,
    /// The hardware address that its card was made with, where the kernel tells it: the port of a bond or a team takes
    /// another one.
    pub permanent: Option<Mac>,
    /// Whether somebody has set it up.
    pub up: bool,
    /// Whether the cable carries a signal.
    pub carrier: bool,
    /// Whether it is the one by which the box talks to itself.
    pub loopback: bool,
    /// Whether this box forwards IPv6 that comes in by it.
    pub forwards: bool,
}

/// An address that an interface of this box has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Assigned {
    /// The number of the interface.
    pub index: u32,
    /// The address and its network.
    pub prefix: Prefix,
    /// Who has put it there, as that one has said ([`Manner::origin`]); 0 if nobody has said so.
    pub origin: u8,
    /// Whether the kernel made a route to its network with it.
    pub route: bool,
}

/// In which manner an address is put on an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Manner {
    /// Whether connections that this box opens may have it as their source although there is another (IPv6 only: RFC 6724
    /// section 5, rule 3).
    pub preferred: bool,
    /// Whether the kernel makes a route to its network with it.
    pub route: bool,
    /// A number that is kept beside the address (`IFA_PROTO`, since Linux 5.18; an older one drops it). Those below 4 are
    /// the kernel's.
    pub origin: u8,
}

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

/// All that a datagram may tell, each of its messages read in every way, whatever its bytes are.
pub fn told(mut datagram: &[u8]) -> Vec<Told> {
    let mut told = Vec::new();
    while let Some(message) = Message::take(&mut datagram) {
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

    /// The interface called `name`, by its own or by an alternative name, if there is one.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to say.
    pub fn interface(&mut self, name: &str) -> io::Result<Option<Interface>> {
        let is_long = name.len() >= libc::IFNAMSIZ;
        let kind = if is_long { libc::IFLA_ALT_IFNAME } else { libc::IFLA_IFNAME };
        let name = [name.as_bytes(), &[0]].concat();
        match self.look_up(&Request::new(libc::RTM_GETLINK, 0, &[0; IFINFO]).attribute(kind, &name))
        {
            // A kernel that knows no alternative names (before Linux 5.5).
            Err(Refusal { errno: Errno::INVAL, .. }) if is_long => Ok(None),
            found => found.map_err(|refusal| refusal.because("cannot look for the interface")),
        }
    }

    /// The interface numbered `index`, if there is one.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to say.
    pub fn interface_at(&mut self, index: u32) -> io::Result<Option<Interface>> {
        self.look_up(&Request::new(libc::RTM_GETLINK, 0, &of(index)))
            .map_err(|refusal| refusal.because("cannot look for the interface"))
    }

    fn look_up(&mut self, request: &Request) -> Result<Option<Interface>, Refusal> {
        match self.exchange(request) {
            Ok(messages) => Ok(messages.iter().find_map(Message::interface)),
            Err(Refusal { errno: Errno::NODEV, .. }) => Ok(None),
            Err(refusal) => Err(refusal),
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
        let mut body = of(interface.index);
        body[8..12].copy_from_slice(&if up { flag } else { 0 }.to_ne_bytes());
        body[12..].copy_from_slice(&flag.to_ne_bytes());
        self.exchange(&Request::new(libc::RTM_NEWLINK, 0, &body))
            .map_err(|refusal| refusal.because(&format!("cannot set {} {word}", interface.name)))
            .map(drop)
    }

    /// All addresses of this box.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to say.
    pub fn addresses(&mut self) -> io::Result<Vec<Assigned>> {
        let messages = self
            .exchange(&Request::new(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; IFADDR]))
            .map_err(|refusal| refusal.because("cannot list the addresses"))?;
        Ok(messages.iter().filter_map(Message::address).collect())
    }

    /// Gives an interface an address, at once usable. One that it has already is there in this manner from now on.
    ///
    /// # Errors
    ///
    /// When the interface is gone, or the kernel refuses.
    pub fn put_address(
        &mut self,
        interface: &Interface,
        prefix: Prefix,
        manner: Manner,
    ) -> io::Result<()> {
        self.exchange(&Request::put(interface.index, prefix, manner)).map(drop).map_err(|refusal| {
            refusal.because(&format!("cannot add {prefix} to {}", interface.name))
        })
    }

    /// Takes exactly this address from an interface; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn remove_address(&mut self, index: u32, prefix: Prefix) -> io::Result<()> {
        match self.exchange(&Request::about(libc::RTM_DELADDR, 0, index, prefix)) {
            Ok(_) | Err(Refusal { errno: Errno::ADDRNOTAVAIL | Errno::NODEV, .. }) => Ok(()),
            Err(refusal) => Err(refusal.because(&format!("cannot remove {prefix}"))),
        }
    }

    /// Has the kernel keep the other IPv4 addresses of a network when the first one of them leaves the interface
    /// (`promote_secondaries` in the kernel's ip-sysctl.rst); else they go with it.
    ///
    /// # Errors
    ///
    /// When the interface is gone, or the kernel refuses.
    pub fn promote_secondaries(&mut self, index: u32) -> io::Result<()> {
        self.exchange(&Request::setting(index, PROMOTE_SECONDARIES, 1))
            .map(drop)
            .map_err(|refusal| refusal.because("cannot set promote_secondaries"))
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

/// The body of a message about the interface numbered `index`.
fn of(index: u32) -> [u8; IFINFO] {
    let mut body = [0; IFINFO];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body
}

/// Whether an interface can have this name, as its own or as an alternative one (`dev_valid_name` of the kernel).
pub fn is_name(name: &str) -> bool {
    let letters =
        !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
    (1..NAME_MAX).contains(&name.len()) && letters && name != "." && name != ".."
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

/// `ALTIFNAMSIZ` of the kernel, with the zero at its end.
const NAME_MAX: usize = 128;
/// `IPV4_DEVCONF_PROMOTE_SECONDARIES` of linux/ip.h.
const PROMOTE_SECONDARIES: u16 = 20;
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
        assert_eq!((lo.name.as_str(), lo.mac, lo.loopback), ("lo", None, true));
        assert!(netlink.interfaces().unwrap().contains(&lo));
        assert_eq!(netlink.interface_at(lo.index).unwrap(), Some(lo));
        assert_eq!(netlink.interface("no-such-eth0").unwrap(), None);
        assert_eq!(netlink.interface(&"no-such-eth0".repeat(5)).unwrap(), None);
        assert_eq!(netlink.interface_at(0x7fff_ffff).unwrap(), None);
    }
}
