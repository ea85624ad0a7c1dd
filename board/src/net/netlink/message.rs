//! What a netlink message is made of: a header, a fixed body, and attributes, each with its length before it
//! (`netlink(7)`, `rtnetlink(7)`). Everything is in the byte order of this machine and begins at multiples of four.

use std::io;
use std::net::IpAddr;

use rustix::io::Errno;

use super::attribute::{aligned, attribute, nested, text, u16_at, u32_at};
use super::{Assigned, Interface, Mac, Manner};
use crate::net::prefix::Prefix;

/// What is sent to the kernel: the header without its length and number, which are not known before.
pub(super) struct KernelRequest {
    kind: u16,
    flags: u16,
    payload: Vec<u8>,
}

impl KernelRequest {
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

    /// A request about one address of the interface numbered `index`.
    pub(super) fn about(kind: u16, flags: i32, index: u32, prefix: Prefix) -> Self {
        let (family, octets) = parts(prefix.address());
        let head = [family, prefix.length(), 0, libc::RT_SCOPE_UNIVERSE];
        let body = [head, index.to_ne_bytes()].concat();
        let request = Self::new(kind, flags, &body)
            .attribute(libc::IFA_LOCAL, &octets)
            .attribute(libc::IFA_ADDRESS, &octets);
        match prefix.broadcast() {
            Some(broadcast) => request.attribute(libc::IFA_BROADCAST, &broadcast.octets()),
            None => request,
        }
    }

    /// A request to put an address on the interface numbered `index`, or to change the manner in which it is there.
    pub(super) fn put(index: u32, prefix: Prefix, manner: Manner) -> Self {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let preferred = if manner.preferred { FOREVER } else { 0 };
        let times = [preferred, FOREVER, 0, 0].map(u32::to_ne_bytes).concat();
        // The pair has asked the wire itself; a second question by the kernel would cost a second of service.
        let nodad = if prefix.address().is_ipv6() { libc::IFA_F_NODAD } else { 0 };
        let noroute = if manner.route { 0 } else { libc::IFA_F_NOPREFIXROUTE };
        Self::about(libc::RTM_NEWADDR, flags, index, prefix)
            .attribute(libc::IFA_FLAGS, &(nodad | noroute).to_ne_bytes())
            .attribute(libc::IFA_CACHEINFO, &times)
            .attribute(IFA_PROTO, &[manner.origin])
    }

    /// A request that sets one of the IPv4 settings of the interface numbered `index`, by its number in `linux/ip.h`.
    pub(super) fn setting(index: u32, setting: u16, value: u32) -> Self {
        let mut body = [0; IFINFO];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        // Each is an attribute in another: settings in a family in all families.
        let nest = |kind: u16, inner: &[u8]| {
            Self { kind: 0, flags: 0, payload: Vec::new() }.attribute(kind, inner).payload
        };
        let setting = nest(IFLA_INET_CONF, &nest(setting, &value.to_ne_bytes()));
        let family = nest(libc::AF_INET as u16, &setting);
        Self::new(libc::RTM_SETLINK, 0, &body).attribute(libc::IFLA_AF_SPEC, &family)
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
pub(super) struct NetlinkMessage {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    payload: Vec<u8>,
}

impl NetlinkMessage {
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
        let attributes = self.payload.get(IFINFO..)?;
        let mac = |mac: &[u8]| mac.try_into().ok().filter(|_| ethernet).map(Mac);
        let address = attribute(attributes, libc::IFLA_ADDRESS);
        let permanent =
            attribute(attributes, libc::IFLA_PERM_ADDRESS).or_else(|| bonded(attributes));
        Some(Interface {
            index: u32_at(&self.payload, 4)?,
            name: text(attribute(attributes, libc::IFLA_IFNAME)?),
            mac: address.and_then(mac),
            permanent: permanent.and_then(mac),
            up: flags & libc::IFF_UP != 0,
            carrier: flags & libc::IFF_LOWER_UP != 0,
            loopback: flags & libc::IFF_LOOPBACK != 0,
            forwards: forwards(attributes),
            port_of: port_of(attributes),
        })
    }

    /// The address that this tells of.
    pub(super) fn address(&self) -> Option<Assigned> {
        let attributes = self.payload.get(IFADDR..)?;
        // Where the two differ, IFA_ADDRESS is the other end of a point-to-point line.
        let octets = attribute(attributes, libc::IFA_LOCAL)
            .or_else(|| attribute(attributes, libc::IFA_ADDRESS))?;
        let address = match i32::from(*self.payload.first()?) {
            libc::AF_INET => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
            libc::AF_INET6 => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
            _ => return None,
        };
        let flags = attribute(attributes, libc::IFA_FLAGS).and_then(|flags| u32_at(flags, 0));
        let origin = attribute(attributes, IFA_PROTO).and_then(|origin| origin.first());
        Some(Assigned {
            index: u32_at(&self.payload, 4)?,
            prefix: Prefix::new(address, *self.payload.get(1)?)?,
            origin: origin.copied().unwrap_or_default(),
            route: flags.unwrap_or_default() & libc::IFA_F_NOPREFIXROUTE == 0,
        })
    }

    /// The number of the interface that a way begins with.
    pub(super) fn out(&self) -> Option<u32> {
        attribute(self.payload.get(RTMSG..)?, libc::RTA_OIF).and_then(|number| u32_at(number, 0))
    }

    /// What the kernel has decided: the number 0, or a refusal and perhaps its reason.
    pub(super) fn verdict(&self) -> Result<(), KernelRefusal> {
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
            _ => self.payload.get(start..).and_then(|rest| attribute(rest, NLMSGERR_ATTR_MSG)),
        };
        Err(KernelRefusal { errno, reason: reason.map(text) })
    }
}

/// The hardware address that a port of a bond had before it took that of the bond.
fn bonded(attributes: &[u8]) -> Option<&[u8]> {
    let kind = nested(attributes, &[libc::IFLA_LINKINFO, IFLA_INFO_SLAVE_KIND])?;
    let way = [libc::IFLA_LINKINFO, IFLA_INFO_SLAVE_DATA, IFLA_BOND_SLAVE_PERM_HWADDR];
    nested(attributes, &way).filter(|_| text(kind) == "bond")
}

/// The number of the interface that this one is a port of, unless that is a VRF.
fn port_of(attributes: &[u8]) -> Option<u32> {
    let kind = nested(attributes, &[libc::IFLA_LINKINFO, IFLA_INFO_SLAVE_KIND]);
    let master = attribute(attributes, libc::IFLA_MASTER).and_then(|number| u32_at(number, 0));
    master.filter(|_| kind.is_none_or(|kind| text(kind) != "vrf"))
}

/// Whether IPv6 is forwarded that comes in by this interface.
fn forwards(attributes: &[u8]) -> bool {
    let way = [libc::IFLA_AF_SPEC, libc::AF_INET6 as u16, IFLA_INET6_CONF];
    let settings = nested(attributes, &way);
    settings.and_then(|all| u32_at(all, DEVCONF_FORWARDING)).is_some_and(|value| value != 0)
}

/// Why the kernel did not do it.
#[derive(Debug)]
pub(super) struct KernelRefusal {
    pub(super) errno: Errno,
    reason: Option<String>,
}

impl KernelRefusal {
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

impl From<Errno> for KernelRefusal {
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

/// Size of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Size of `struct ifinfomsg`.
pub(super) const IFINFO: usize = 16;
/// Size of `struct rtmsg`.
const RTMSG: usize = 12;
/// Size of `struct ifaddrmsg`.
pub(super) const IFADDR: usize = 8;
/// `INFINITY_LIFE_TIME` of the kernel.
const FOREVER: u32 = u32::MAX;
// linux/netlink.h, if_addr.h, if_link.h, ipv6.h; the libc crate lacks them.
const NLM_F_CAPPED: i32 = 0x100;
const NLM_F_ACK_TLVS: i32 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
const IFA_PROTO: u16 = 11;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_CONF: u16 = 2;
const DEVCONF_FORWARDING: usize = 0;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BOND_SLAVE_PERM_HWADDR: u16 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_or_senseless_is_absent() {
        let prefix: Prefix = "203.0.113.10/24".parse().unwrap();
        let manner = Manner { preferred: false, route: false, origin: 0x81 };
        let whole = KernelRequest::put(7, prefix, manner).bytes(1);
        let told = NetlinkMessage::take(&mut &*whole).unwrap().address();
        assert_eq!(told, Some(Assigned { index: 7, prefix, origin: 0x81, route: false }));
        for cut in 0..whole.len() {
            assert!(NetlinkMessage::take(&mut &whole[..cut]).is_none());
            let message = NetlinkMessage {
                kind: 0,
                flags: 0x200,
                sequence: 0,
                payload: whole[..cut].to_vec(),
            };
            let _ = (message.interface(), message.address(), message.verdict());
        }
        // Lengths that lie must neither panic nor turn in a circle.
        for place in 0..whole.len() {
            for lie in [0, 1, 3, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] = lie;
                if let Some(message) = NetlinkMessage::take(&mut &*bytes) {
                    let _ = (message.interface(), message.address(), message.verdict());
                }
            }
        }
    }

    #[test]
    fn a_port_tells_whose_it_is_and_of_a_bond_the_address_that_it_was_made_with() {
        let nest = |kind: u16, inner: &[u8]| {
            KernelRequest { kind: 0, flags: 0, payload: Vec::new() }.attribute(kind, inner).payload
        };
        for (kind, permanent) in
            [(&b"bond\0"[..], Some(Mac([2; 6]))), (b"team\0", None), (b"vrf\0", None)]
        {
            let info = [
                nest(IFLA_INFO_SLAVE_KIND, kind),
                nest(IFLA_INFO_SLAVE_DATA, &nest(IFLA_BOND_SLAVE_PERM_HWADDR, &[2; 6])),
            ];
            let mut body = [0; IFINFO];
            body[2..4].copy_from_slice(&libc::ARPHRD_ETHER.to_ne_bytes());
            let request = KernelRequest::new(libc::RTM_NEWLINK, 0, &body)
                .attribute(libc::IFLA_IFNAME, b"eth0\0")
                .attribute(libc::IFLA_ADDRESS, &[1; 6])
                .attribute(libc::IFLA_MASTER, &7_u32.to_ne_bytes())
                .attribute(libc::IFLA_LINKINFO, &info.concat());
            let told = |request: KernelRequest| {
                let interface = NetlinkMessage::take(&mut &*request.bytes(1)).unwrap().interface();
                interface.map(|it| (it.mac, it.permanent, it.port_of)).unwrap()
            };
            let port_of = Some(7).filter(|_| kind != b"vrf\0");
            assert_eq!(told(request), (Some(Mac([1; 6])), permanent, port_of));
        }
    }

    #[test]
    fn a_refusal_tells_the_reason_of_the_kernel() {
        let mut payload = (-libc::EINVAL).to_ne_bytes().to_vec();
        payload.extend(KernelRequest::new(libc::RTM_NEWADDR, 0, &[]).bytes(1));
        let payload = KernelRequest { kind: 0, flags: 0, payload }
            .attribute(NLMSGERR_ATTR_MSG, b"no such thing\0")
            .payload;
        let message = NetlinkMessage {
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
