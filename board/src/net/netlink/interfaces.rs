//! The interfaces of this box.

use std::fmt;
use std::io;
use std::net::IpAddr;

use rustix::io::Errno;

use super::Netlink;
use super::message::{IFINFO, KernelRefusal, KernelRequest, NetlinkMessage};

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
    /// The number of the bridge, bond or team that takes all that comes in by it, so that nothing reaches an address on
    /// it. A VRF leaves addresses where they are.
    pub port_of: Option<u32>,
}

impl Netlink {
    /// The interface called `name`, by its own or by an alternative name, if there is one.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to say.
    pub fn interface(&mut self, name: &str) -> io::Result<Option<Interface>> {
        let is_long = name.len() >= libc::IFNAMSIZ;
        let kind = if is_long { libc::IFLA_ALT_IFNAME } else { libc::IFLA_IFNAME };
        let name = [name.as_bytes(), &[0]].concat();
        match self
            .look_up(&KernelRequest::new(libc::RTM_GETLINK, 0, &[0; IFINFO]).attribute(kind, &name))
        {
            // A kernel that knows no alternative names (before Linux 5.5).
            Err(KernelRefusal { errno: Errno::INVAL, .. }) if is_long => Ok(None),
            found => found.map_err(|refusal| refusal.because("cannot look for the interface")),
        }
    }

    /// The interface numbered `index`, if there is one.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to say.
    pub fn interface_at(&mut self, index: u32) -> io::Result<Option<Interface>> {
        self.look_up(&KernelRequest::new(libc::RTM_GETLINK, 0, &of(index)))
            .map_err(|refusal| refusal.because("cannot look for the interface"))
    }

    fn look_up(&mut self, request: &KernelRequest) -> Result<Option<Interface>, KernelRefusal> {
        match self.exchange(request) {
            Ok(messages) => Ok(messages.iter().find_map(NetlinkMessage::interface)),
            Err(KernelRefusal { errno: Errno::NODEV, .. }) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// What the interface is a port of, and what to do about it, if it is one: nothing reaches it then.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to say.
    pub fn port_of(&mut self, interface: &Interface) -> io::Result<Option<String>> {
        let taker = interface.port_of.map_or(Ok(None), |index| self.interface_at(index))?;
        Ok(taker.map(|taker| {
            format!(
                "a port of {0}, which takes what comes in by it: write interface = \"{0}\"",
                taker.name
            )
        }))
    }

    /// All interfaces of this box.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to say.
    pub fn interfaces(&mut self) -> io::Result<Vec<Interface>> {
        let messages = self
            .exchange(&KernelRequest::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, &[0; IFINFO]))
            .map_err(|refusal| refusal.because("cannot list the interfaces"))?;
        Ok(messages.iter().filter_map(NetlinkMessage::interface).collect())
    }

    /// The interface by which this box reaches `to`, if there is a way at all.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to say.
    pub fn way_to(&mut self, to: IpAddr) -> io::Result<Option<Interface>> {
        match self.exchange(&KernelRequest::way_to(to)) {
            Ok(messages) => {
                let out = messages.iter().find_map(NetlinkMessage::out);
                Ok(self.interfaces()?.into_iter().find(|it| Some(it.index) == out))
            }
            Err(KernelRefusal { errno: Errno::NETUNREACH | Errno::HOSTUNREACH, .. }) => Ok(None),
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
        self.exchange(&KernelRequest::new(libc::RTM_NEWLINK, 0, &body))
            .map_err(|refusal| refusal.because(&format!("cannot set {} {word}", interface.name)))
            .map(drop)
    }

    /// Has the kernel keep the other IPv4 addresses of a network when the first one of them leaves the interface
    /// (`promote_secondaries` in the kernel's ip-sysctl.rst); else they go with it.
    ///
    /// # Errors
    ///
    /// When the interface is gone, or the kernel refuses.
    pub fn promote_secondaries(&mut self, index: u32) -> io::Result<()> {
        self.exchange(&KernelRequest::setting(index, PROMOTE_SECONDARIES, 1))
            .map(drop)
            .map_err(|refusal| refusal.because("cannot set promote_secondaries"))
    }
}

/// Whether an interface can have this name, as its own or as an alternative one (`dev_valid_name` of the kernel).
pub fn is_name(name: &str) -> bool {
    let letters =
        !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
    (1..NAME_MAX).contains(&name.len()) && letters && name != "." && name != ".."
}

/// The body of a message about the interface numbered `index`.
fn of(index: u32) -> [u8; IFINFO] {
    let mut body = [0; IFINFO];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body
}

/// `ALTIFNAMSIZ` of the kernel, with the zero at its end.
const NAME_MAX: usize = 128;
/// `IPV4_DEVCONF_PROMOTE_SECONDARIES` of linux/ip.h.
const PROMOTE_SECONDARIES: u16 = 20;

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
