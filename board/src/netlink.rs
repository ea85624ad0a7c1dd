//! What addresses do this box's interfaces have? The kernel's answer, and its changes, by rtnetlink.
//!
//! A request is one datagram: a header, a fixed body, and attributes, each with its length before it. The
//! kernel has done what was asked when `send` returns, and the answer is there to be taken, so nothing
//! here waits. Every answer is read with checked slices: what is cut off or senseless is an error, or absent.
//!
//! ```text
//! Request::new(RTM_NEWADDR, flags, body).attribute(IFA_LOCAL, octets)   ->   kernel
//! Vec<Message>, or a Refusal: the error's number and the kernel's own words   <-
//! ```
//!
//! Only the few questions that the product and its tests ask are here (`rtnetlink(7)`, `netlink(7)`).

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{connect, recv, send, socket_with};

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
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // No protocol is protocol 0, and that is NETLINK_ROUTE.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
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
        match self.exchange(&about(libc::RTM_NEWADDR, flags, interface, prefix)) {
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
        match self.exchange(&about(libc::RTM_DELADDR, 0, interface, prefix)) {
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

/// A request about one address of an interface.
fn about(kind: u16, flags: i32, interface: &Interface, prefix: Prefix) -> Request {
    let (family, octets) = match prefix.address() {
        IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
    };
    // The pair has asked the wire itself; a second question by the kernel would cost a second of service.
    let flag = if prefix.address().is_ipv6() { libc::IFA_F_NODAD } else { 0 };
    let mut body = [
        family.cast_unsigned() as u8,
        prefix.length(),
        flag as u8,
        libc::RT_SCOPE_UNIVERSE,
        0,
        0,
        0,
        0,
    ];
    body[4..].copy_from_slice(&interface.index.to_ne_bytes());
    let request = Request::new(kind, flags, &body)
        .attribute(libc::IFA_LOCAL, &octets)
        .attribute(libc::IFA_ADDRESS, &octets);
    match prefix.broadcast() {
        Some(broadcast) => request.attribute(libc::IFA_BROADCAST, &broadcast.octets()),
        None => request,
    }
}

/// What is sent to the kernel: the header without its length and number, which are not known before.
struct Request {
    kind: u16,
    flags: u16,
    payload: Vec<u8>,
}

impl Request {
    fn new(kind: u16, flags: i32, body: &[u8]) -> Self {
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK).cast_unsigned() as u16;
        Self { kind, flags, payload: body.to_vec() }
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.payload.extend(((4 + value.len()) as u16).to_ne_bytes());
        self.payload.extend(kind.to_ne_bytes());
        self.payload.extend(value);
        self.payload.resize(aligned(self.payload.len()), 0);
        self
    }

    fn bytes(&self, sequence: u32) -> Vec<u8> {
        let mut bytes = ((HEADER + self.payload.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend(self.flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&self.payload);
        bytes
    }
}

/// What the kernel sends.
struct Message {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: Vec<u8>,
}

impl Message {
    /// The first message of `datagram`, which keeps the rest.
    fn take(datagram: &mut &[u8]) -> Option<Self> {
        let bytes = *datagram;
        let length = u32_at(bytes, 0)? as usize;
        let payload = bytes.get(HEADER..length)?.to_vec();
        *datagram = bytes.get(aligned(length)..).unwrap_or_default();
        let (kind, flags) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?);
        Some(Self { kind, flags, sequence: u32_at(bytes, 8)?, payload })
    }

    /// The interface that this tells of.
    fn interface(&self) -> Option<Interface> {
        let ethernet = u16_at(&self.payload, 2)? == libc::ARPHRD_ETHER;
        let flags = u32_at(&self.payload, 8)?.cast_signed();
        let name = self.attribute(IFINFO, libc::IFLA_IFNAME)?;
        let mac = self.attribute(IFINFO, libc::IFLA_ADDRESS).and_then(|mac| mac.try_into().ok());
        Some(Interface {
            index: u32_at(&self.payload, 4)?,
            name: String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned(),
            mac: mac.filter(|_| ethernet).map(Mac),
            up: flags & libc::IFF_UP != 0,
            carrier: flags & libc::IFF_LOWER_UP != 0,
        })
    }

    /// The address that this tells of, with the number of its interface.
    fn address(&self) -> Option<(u32, Prefix)> {
        // Where the two differ, IFA_ADDRESS is the other end of a point-to-point line.
        let octets = self
            .attribute(IFADDR, libc::IFA_LOCAL)
            .or_else(|| self.attribute(IFADDR, libc::IFA_ADDRESS))?;
        let address = match i32::from(*self.payload.first()?) {
            libc::AF_INET => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
            libc::AF_INET6 => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
            _ => return None,
        };
        Some((u32_at(&self.payload, 4)?, Prefix::new(address, *self.payload.get(1)?)?))
    }

    /// What the kernel has decided: the number 0, or a refusal and perhaps its reason.
    fn verdict(&self) -> Result<(), Refusal> {
        let errno = match u32_at(&self.payload, 0).map(u32::cast_signed) {
            Some(0) => return Ok(()),
            Some(number @ -4095..0) => Errno::from_raw_os_error(-number),
            _ => Errno::BADMSG,
        };
        // After the number comes the request, whole or only its header, and then the reason.
        let request = u32_at(&self.payload, 4).unwrap_or(0) as usize;
        let capped = i32::from(self.flags) & NLM_F_CAPPED != 0;
        let reason = match i32::from(self.flags) & NLM_F_ACK_TLVS {
            0 => None,
            _ => self
                .attribute(4 + if capped { HEADER } else { aligned(request) }, NLMSGERR_ATTR_MSG),
        };
        let reason = reason.map(|text| {
            String::from_utf8_lossy(text.strip_suffix(&[0]).unwrap_or(text)).into_owned()
        });
        Err(Refusal { errno, reason })
    }

    /// The value of the attribute `kind`, the attributes beginning at `start` of the payload.
    fn attribute(&self, start: usize, kind: u16) -> Option<&[u8]> {
        let mut rest = self.payload.get(start..)?;
        loop {
            let length = usize::from(u16_at(rest, 0)?);
            let value = rest.get(4..length)?;
            if u16_at(rest, 2)? == kind {
                return Some(value);
            }
            rest = rest.get(aligned(length)..)?;
        }
    }
}

/// Why the kernel did not do it.
#[derive(Debug)]
struct Refusal {
    errno: Errno,
    reason: Option<String>,
}

impl Refusal {
    /// The error for a person: what could not be done, why, and what to do about it.
    fn because(self, what: &str) -> io::Error {
        let error = io::Error::from(self.errno);
        let reason = match self.errno {
            Errno::PERM => "operation not permitted; twobox needs CAP_NET_ADMIN".to_owned(),
            _ => self.reason.unwrap_or_else(|| words(&error)),
        };
        io::Error::new(error.kind(), format!("{what}: {reason}"))
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno, reason: None }
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

/// The error in words, as part of a sentence: without its number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// Messages and attributes begin at multiples of four.
const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// Size of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Size of `struct ifinfomsg`.
const IFINFO: usize = 16;
/// Size of `struct ifaddrmsg`.
const IFADDR: usize = 8;
/// The kernel fills at most 32 KiB of a listing into one datagram (`af_netlink.c`, `netlink_dump`).
const DATAGRAM_MAX: usize = 32 * 1024;
/// A listing is broken by a change that falls into the microseconds it takes; three in a row are a storm.
const LISTINGS_MAX: usize = 4;
// linux/netlink.h; the libc crate lacks them.
const NLM_F_CAPPED: i32 = 0x100;
const NLM_F_ACK_TLVS: i32 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_or_senseless_is_absent() {
        let interface =
            Interface { index: 7, name: "eth0".to_owned(), mac: None, up: true, carrier: true };
        let prefix: Prefix = "203.0.113.10/24".parse().unwrap();
        let whole = about(libc::RTM_NEWADDR, 0, &interface, prefix).bytes(1);
        assert_eq!(Message::take(&mut &*whole).unwrap().address(), Some((7, prefix)));
        for cut in 0..whole.len() {
            assert!(Message::take(&mut &whole[..cut]).is_none());
            let message =
                Message { kind: 0, flags: 0x200, sequence: 0, payload: whole[..cut].to_vec() };
            let _ = (message.interface(), message.address(), message.verdict());
        }
        // Lengths that lie must neither panic nor turn in a circle.
        for place in 0..whole.len() {
            for lie in [0, 1, 3, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] = lie;
                if let Some(message) = Message::take(&mut &*bytes) {
                    let _ = (message.interface(), message.address(), message.verdict());
                }
            }
        }
    }

    #[test]
    fn a_refusal_tells_the_reason_of_the_kernel() {
        let mut payload = (-libc::EINVAL).to_ne_bytes().to_vec();
        payload.extend(Request::new(libc::RTM_NEWADDR, 0, &[]).bytes(1));
        let payload = Request { kind: 0, flags: 0, payload }
            .attribute(NLMSGERR_ATTR_MSG, b"no such thing\0")
            .payload;
        let message = Message {
            kind: 2,
            flags: (NLM_F_CAPPED | NLM_F_ACK_TLVS) as u16,
            sequence: 1,
            payload,
        };
        let error = message.verdict().unwrap_err().because("cannot do it");
        assert_eq!(error.to_string(), "cannot do it: no such thing");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn every_box_has_an_interface_that_talks_to_itself() {
        let mut netlink = Netlink::open().unwrap();
        let lo = netlink.interface("lo").unwrap().unwrap();
        assert_eq!((lo.name.as_str(), lo.mac), ("lo", None));
        assert!(netlink.interfaces().unwrap().contains(&lo));
        assert_eq!(netlink.interface("no-such-eth0").unwrap(), None);
    }
}
