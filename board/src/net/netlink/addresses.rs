//! The addresses of this box.

use std::io;

use rustix::io::Errno;

use super::message::{IFADDR, KernelRefusal, KernelRequest, NetlinkMessage};
use super::{Interface, Netlink};
use crate::net::prefix::Prefix;

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
    /// Whether connections that this box opens may have it as their source although there is another (IPv6 only:
    /// RFC 6724 section 5, rule 3).
    pub preferred: bool,
    /// Whether the kernel makes a route to its network with it.
    pub route: bool,
    /// A number that is kept beside the address (`IFA_PROTO`, since Linux 5.18; an older one drops it). Those below
    /// 4 are the kernel's.
    pub origin: u8,
}

impl Netlink {
    /// All addresses of this box.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to say.
    pub fn addresses(&mut self) -> io::Result<Vec<Assigned>> {
        let messages = self
            .exchange(&KernelRequest::new(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; IFADDR]))
            .map_err(|refusal| refusal.because("cannot list the addresses"))?;
        Ok(messages.iter().filter_map(NetlinkMessage::address).collect())
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
        self.exchange(&KernelRequest::put(interface.index, prefix, manner)).map(drop).map_err(
            |refusal| refusal.because(&format!("cannot add {prefix} to {}", interface.name)),
        )
    }

    /// Takes exactly this address from an interface; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn remove_address(&mut self, index: u32, prefix: Prefix) -> io::Result<()> {
        match self.exchange(&KernelRequest::about(libc::RTM_DELADDR, 0, index, prefix)) {
            Ok(_) | Err(KernelRefusal { errno: Errno::ADDRNOTAVAIL | Errno::NODEV, .. }) => Ok(()),
            Err(refusal) => Err(refusal.because(&format!("cannot remove {prefix}"))),
        }
    }
}
