//! What a netlink message is made of: a header, a fixed body, and attributes, each with its length before it
//! (`netlink(7)`, `rtnetlink(7)`). Everything is in the byte order of this machine and begins at multiples of four.

use std::io;
use std::net::IpAddr;

use rustix::io::Errno;

use super::{Interface, Mac};
use crate::prefix::Prefix;

/// What is sent to the kernel: the header without its length and number, which are not known before.
pub(super) struct Request {
    kind: u16,
    flags: u16,
    payload: Vec<u8>,
}

impl Request {
    pub(super) fn new(kind: u16, flags: i32, body: &[u8]) -> Self {
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK).cast_unsigned() as u16;
        Self { kind, flags, payload: body.to_vec() }
    }

    /// A request for the way that a datagram to this address takes.
    pub(super) fn way_to(to: IpAddr) -> Self {
        let (family, octets) = parts(to);
        let mut body = [0; RTMSG];
        body[..2].copy_from_slice(&[family, (octets.len() * 8) as u8]);
        Self::new(libc::RTM_GETROUTE, 0, &body).attribute(libc::RTA_DST, &octets)
    }

    /// A request about one address of an interface.
    pub(super) fn about(kind: u16, flags: i32, interface: &Interface, prefix: Prefix) -> Self {
        let (family, octets) = parts(prefix.address());
        // The pair has asked the wire itself; a second question by the kernel would cost a second of service.
        let flag = if prefix.address().is_ipv6() { libc::IFA_F_NODAD } else { 0 };
        let head = [family, prefix.length(), flag as u8, libc::RT_SCOPE_UNIVERSE];
        let body = [head, interface.index.to_ne_bytes()].concat();
        let request = Self::new(kind, flags, &body)
            .attribute(libc::IFA_LOCAL, &octets)
            .attribute(libc::IFA_ADDRESS, &octets);
        match prefix.broadcast() {
            Some(broadcast) => request.attribute(libc::IFA_BROADCAST, &broadcast.octets()),
            None => request,
        }
    }

    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.payload.extend(((4 + value.len()) as u16).to_ne_bytes());
        self.payload.extend(kind.to_ne_bytes());
        self.payload.extend(value);
        self.payload.resize(aligned(self.payload.len()), 0);
        self
    }

    pub(super) fn bytes(&self, sequence: u32) -> Vec<u8> {
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
pub(super) struct Message {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    payload: Vec<u8>,
}

impl Message {
    /// The first message of `datagram`, which keeps the rest.
    pub(super) fn take(datagram: &mut &[u8]) -> Option<Self> {
        let bytes = *datagram;
        let length = u32_at(bytes, 0)? as usize;
        let payload = bytes.get(HEADER..length)?.to_vec();
        *datagram = bytes.get(aligned(length)..).unwrap_or_default();
        let (kind, flags) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?);
        Some(Self { kind, flags, sequence: u32_at(bytes, 8)?, payload })
    }

    /// The interface that this tells of.
    pub(super) fn interface(&self) -> Option<Interface> {
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
    pub(super) fn address(&self) -> Option<(u32, Prefix)> {
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

    /// The number of the interface that a way begins with.
    pub(super) fn out(&self) -> Option<u32> {
        self.attribute(RTMSG, libc::RTA_OIF).and_then(|number| u32_at(number, 0))
    }

    /// What the kernel has decided: the number 0, or a refusal and perhaps its reason.
    pub(super) fn verdict(&self) -> Result<(), Refusal> {
        let errno = match u32_at(&self.payload, 0).map(u32::cast_signed) {
            Some(0) => return Ok(()),
            Some(number @ -4095..0) => Errno::from_raw_os_error(-number),
            _ => Errno::BADMSG,
        };
        // After the number comes the request, whole or only its header, and then the reason.
        let whole = i32::from(self.flags) & NLM_F_CAPPED == 0;
        let length =
            u32_at(&self.payload, 4).filter(|_| whole).map_or(HEADER, |length| length as usize);
        let start = 4 + aligned(length.min(self.payload.len()));
        let reason = match i32::from(self.flags) & NLM_F_ACK_TLVS {
            0 => None,
            _ => self.attribute(start, NLMSGERR_ATTR_MSG),
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
pub(super) struct Refusal {
    pub(super) errno: Errno,
    reason: Option<String>,
}

impl Refusal {
    /// The error for a person: what could not be done, why, and what to do about it.
    pub(super) fn because(self, what: &str) -> io::Error {
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

/// The family of an address, and its bytes.
fn parts(address: IpAddr) -> (u8, Vec<u8>) {
    let (family, octets) = match address {
        IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
    };
    (family.cast_unsigned() as u8, octets)
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
pub(super) const IFINFO: usize = 16;
/// Size of `struct rtmsg`.
const RTMSG: usize = 12;
/// Size of `struct ifaddrmsg`.
pub(super) const IFADDR: usize = 8;
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
        let whole = Request::about(libc::RTM_NEWADDR, 0, &interface, prefix).bytes(1);
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
}
