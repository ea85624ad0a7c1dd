//! Finds the interface that an address belongs to, and all interfaces of this box that have it.

use std::io;
use std::net::IpAddr;

use crate::net::netlink::{Assigned, Interface, Netlink};
use crate::net::prefix::Prefix;

/// Where an address belongs: on the interface that the configuration calls so, and on the one that it was put on.
pub(super) struct TargetInterface {
    address: IpAddr,
    name: String,
    /// The number of the interface that it was put on.
    index: Option<u32>,
    /// The other name of that interface that was told.
    told: Option<String>,
}

impl TargetInterface {
    pub(super) fn new(address: IpAddr, name: &str) -> Self {
        Self { address, name: name.to_owned(), index: None, told: None }
    }

    /// What the configuration calls the interface.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The mark that the kernel keeps beside the address: put there for an interface that the configuration calls
    /// so. By it another life of the supervisor finds the address on an interface that has another name by now, and
    /// leaves alone what another resource has put there.
    pub(super) fn origin(&self) -> u8 {
        let sum = |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte);
        OURS | self.name.bytes().fold(0, sum)
    }

    /// The address was put on this interface.
    pub(super) fn is_on(&mut self, interface: &Interface) {
        self.index = Some(interface.index);
    }

    /// The interface that has the name, which is up; or what is wrong with it.
    pub(super) fn find(&self, netlink: &mut Netlink) -> io::Result<Interface> {
        let name = &self.name;
        if let Some(interface) = netlink.interface(name)? {
            return usable(interface, netlink);
        }
        let last = self.index.map_or(Ok(None), |index| netlink.interface_at(index))?;
        let why = match last {
            Some(last) => format!(
                "which is called {0} now: give it its old name, or write interface = \"{0}\"",
                last.name
            ),
            None => "and there is no such interface: look at its name and its driver".to_owned(),
        };
        Err(io::Error::new(io::ErrorKind::NotFound, why))
    }

    /// The interface that has `prefix` still, where it was put and where it belongs; or why it is not there.
    pub(super) fn stays(&mut self, prefix: Prefix, netlink: &mut Netlink) -> io::Result<Interface> {
        let (name, put_on) = (&self.name, self.index);
        let named = netlink.interface(name)?;
        let renamed = match (&named, put_on) {
            (None, Some(index)) => netlink.interface_at(index)?,
            _ => None,
        };
        let (is_renamed, found) = (renamed.is_some(), named.or(renamed));
        let needs = |why| io::Error::other(format!("{prefix} needs {name}, {why}"));
        let interface = match found {
            Some(interface) => usable(interface, netlink).map_err(needs)?,
            None => self.find(netlink).map_err(needs)?,
        };
        let all = netlink.addresses()?;
        let has = |index| all.iter().any(|it| (it.index, it.prefix) == (index, prefix));
        if !has(interface.index) {
            return Err(io::Error::other(match put_on {
                Some(index) if index == interface.index => format!(
                    "{prefix} is gone from {name}: something else on this box has removed it"
                ),
                Some(index) if has(index) => {
                    format!("{prefix} is not on {name}, which is the name of another interface now")
                }
                _ => format!("{prefix} is gone from {name}, which is another interface now"),
            }));
        }
        self.tell(prefix, &interface, is_renamed);
        Ok(interface)
    }

    /// Tells once that the interface has another name than the configuration.
    fn tell(&mut self, prefix: Prefix, interface: &Interface, is_renamed: bool) {
        let other = is_renamed.then(|| interface.name.clone());
        if other != self.told
            && let Some(other) = &other
        {
            log::error!(
                "{prefix} stays on {other}, which was {0}: call it {0} again, or write interface = \"{other}\", or the \
                 next start fails",
                self.name
            );
        }
        self.told = other;
    }

    /// The interface, which is up, on which an earlier life has left `prefix`.
    pub(super) fn left_on(
        &self,
        prefix: Prefix,
        netlink: &mut Netlink,
    ) -> io::Result<Option<Interface>> {
        let held = self.held(netlink)?.into_iter().find(|held| held.prefix == prefix);
        let on = held.map_or(Ok(None), |held| netlink.interface_at(held.index))?;
        Ok(on.filter(|interface| interface.up))
    }

    /// All that this box has of the address and that is the pair's, first what is on the interface that has the name.
    pub(super) fn held(&self, netlink: &mut Netlink) -> io::Result<Vec<Assigned>> {
        let named = netlink.interface(&self.name)?.map(|it| it.index);
        let all = netlink.addresses()?;
        // A kernel that keeps marks has marked addresses of its own. Where there are none, and nothing has the
        // name, there is but one explanation of the address.
        let unmarked = named.is_none() && all.iter().all(|it| it.origin == 0);
        // A service behind a load balancer has it there.
        let interfaces = if unmarked { netlink.interfaces()? } else { Vec::new() };
        let loopback = interfaces.iter().find(|it| it.loopback).map(|it| it.index);
        let ours = |it: &Assigned| {
            [named, self.index].contains(&Some(it.index))
                || it.origin == self.origin()
                || unmarked && Some(it.index) != loopback
        };
        let mut held: Vec<_> =
            all.into_iter().filter(|it| it.prefix.address() == self.address && ours(it)).collect();
        held.sort_by_key(|it| Some(it.index) != named);
        Ok(held)
    }

    /// Takes the address off an interface, and tells so where somebody else has put it there: without the pair both
    /// boxes would have it.
    pub(super) fn remove(held: &Assigned, netlink: &mut Netlink) -> io::Result<()> {
        let others = is_of_others(held, netlink);
        netlink.remove_address(held.index, held.prefix)?;
        if others {
            let on = netlink.interface_at(held.index).ok().flatten();
            let on = on.map(|it| it.name).unwrap_or_default();
            log::warn!(
                "{} was on {on}, where somebody else had put it, and is removed: it moves with the pair, so take it out \
                 of what configures the network of this box",
                held.prefix
            );
        }
        Ok(())
    }

    /// Whether the kernel is to make a route to the network of `prefix`. Where a network manager looks after the
    /// routes itself, it has told the kernel so with its own address (`IFA_F_NOPREFIXROUTE`); a second route would
    /// stay behind.
    pub(super) fn makes_route(
        &self,
        prefix: Prefix,
        interface: &Interface,
        netlink: &mut Netlink,
    ) -> io::Result<bool> {
        let others = self.others_beside(prefix, interface.index, netlink)?;
        Ok(others.iter().all(|other| other.route))
    }

    /// Sees to it that the other addresses of the network stay when this one goes. Where ours was the first on the
    /// interface, the kernel calls them its secondaries and removes them with it, unless told to promote one.
    pub(super) fn spare_the_others(
        &self,
        held: &Assigned,
        netlink: &mut Netlink,
    ) -> io::Result<()> {
        let prefix = held.prefix;
        if prefix.address().is_ipv4()
            && !self.others_beside(prefix, held.index, netlink)?.is_empty()
            && let Err(error) = netlink.promote_secondaries(held.index)
        {
            log::warn!("other addresses may go with {prefix}: {error}");
        }
        Ok(())
    }

    /// The other addresses of the network of `prefix` on the interface numbered `index`.
    fn others_beside(
        &self,
        prefix: Prefix,
        index: u32,
        netlink: &mut Netlink,
    ) -> io::Result<Vec<Assigned>> {
        let beside = |it: &Assigned| {
            let address = it.prefix.address();
            it.index == index && address != self.address && prefix.neighbours(address)
        };
        Ok(netlink.addresses()?.into_iter().filter(beside).collect())
    }
}

/// Whether somebody else has surely put it there: a kernel that keeps marks has marked addresses of its own.
fn is_of_others(held: &Assigned, netlink: &mut Netlink) -> bool {
    let keeps_marks = |all: Vec<Assigned>| all.iter().any(|it| it.origin != 0);
    held.origin & OURS == 0 && netlink.addresses().is_ok_and(keeps_marks)
}

/// `interface`, unless it is down, or the port of another one.
fn usable(interface: Interface, netlink: &mut Netlink) -> io::Result<Interface> {
    if let Some(why) = netlink.port_of(&interface)? {
        return Err(io::Error::other(format!("which is {why}")));
    }
    if interface.up {
        return Ok(interface);
    }
    let name = interface.name;
    Err(io::Error::other(format!(
        "which is down: set it up (ip link set {name} up) when the box boots"
    )))
}

/// Half of the numbers are left to others.
const OURS: u8 = 0x80;
