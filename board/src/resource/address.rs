//! An address that moves: the one that the clients know.
//!
//! Taking it is three steps, and the order is the safety of it: ask the wire whether somebody has it (an answer
//! is a veto: two machines with one address are worse than none), add it, tell all neighbours.
//!
//! While it is here, somebody else's claim is told as an alarm and answered by announcing again (RFC 5227,
//! 2.4): the one who is right speaks last. It is no failure, for the other box would hear the same claim.
//!
//! A name says where it is put; an interface is known by its number, which it keeps for as long as it lives:
//!
//! | the interface | the address |
//! |---|---|
//! | is renamed | stays where it is, and that is told |
//! | is renamed, and another one has the old name now | has failed, and is put on that one |
//! | is gone, down, or replaced | has failed, and is put on the new one |
//! | gets its carrier, or another hardware address | is announced again |
//!
//! The address on that interface is the pair's, also with another length of network, under another name of the
//! interface, and from an earlier life; all other addresses are left alone. A missing carrier is none of this
//! file's business.

mod announcements;
mod place;
mod proxy;
mod wire;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use firmware_agnostic::identity::BoxId;

use self::announcements::Announcements;
use self::place::TargetInterface;
use self::wire::Wire;
use super::Resource;
use crate::config::requirement::{Requirement, Right};
use crate::config::table::{PerBox, Table};
use crate::net::netlink::{Changes, Interface, Mac, Manner, Netlink, is_name};
use crate::net::prefix::Prefix;
use crate::thread::deadline::Deadline;

/// `kind = "address"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    prefix: Prefix,
    interface: PerBox<String>,
    probe: Duration,
    refresh: Duration,
    preferred: bool,
}

impl Config {
    /// Reads the words of an address.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let prefix: Option<Prefix> = table.require("address");
        let interface: Option<PerBox<String>> = table.require("interface");
        let probe = table.get_or("probe", PROBE);
        let refresh = table.get_or("refresh", REFRESH);
        if refresh < LOOK {
            table.error("refresh", "is too often for the neighbours: say at least \"1s\"");
        }
        let preferred = table.get_or("preferred", false);
        if preferred && prefix.is_some_and(|prefix| prefix.address().is_ipv4()) {
            table.error(
                "preferred",
                "is for IPv6: of IPv4 addresses the first one in its network is the source",
            );
        }
        let interface = interface?;
        for id in BoxId::BOTH {
            let name = interface.of(id);
            if !is_name(name) {
                table.error(
                    "interface",
                    format!("{name:?} is no name of an interface, such as \"eth0\""),
                );
            }
        }
        Some(Self { prefix: prefix?, interface, probe, refresh, preferred })
    }

    /// What the box `me` must have, so that the address can be there.
    pub fn needs(&self, me: BoxId) -> Vec<Requirement> {
        vec![
            Requirement::Interface(self.interface.of(me).clone()),
            Requirement::Right(Right::Addresses),
            Requirement::Right(Right::Neighbours),
        ]
    }

    /// Why no start on the box `me` would take the address, as far as the network shows it now: a router answers
    /// for all.
    pub fn conflict(&self, me: BoxId) -> Option<String> {
        let asks = !self.probe.is_zero();
        asks.then(|| proxy::complaint(self.interface.of(me), self.prefix, self.probe))?
    }

    /// The address as the box `me` holds it.
    pub fn open(&self, me: BoxId) -> Address {
        Address {
            prefix: self.prefix,
            preferred: self.preferred,
            place: TargetInterface::new(self.prefix.address(), self.interface.of(me)),
            wire: Wire::new(self.prefix, self.probe),
            announcements: Announcements::new(self.refresh),
            announced: None,
            changes: None,
            looked: Deadline::new(Duration::ZERO),
            rival: None,
            truce: Deadline::new(Duration::ZERO),
        }
    }

    /// What it is, for a person.
    pub fn describe(&self) -> String {
        format!("address {}", self.prefix)
    }

    /// The interface of the box `id` that it belongs to.
    pub fn interface(&self, id: BoxId) -> &str {
        self.interface.of(id)
    }

    /// The address and its network.
    pub const fn address(&self) -> Prefix {
        self.prefix
    }
}

/// An address of this box, or to be one.
pub struct Address {
    prefix: Prefix,
    preferred: bool,
    place: TargetInterface,
    wire: Wire,
    announcements: Announcements,
    /// The hardware address that the neighbours were told, if the interface had its carrier.
    announced: Option<Mac>,
    /// Tells when there is a reason to look whether the address is here.
    changes: Option<Changes>,
    /// Over when it is looked at without one.
    looked: Deadline,
    /// Who else has claimed it, since we last answered.
    rival: Option<Mac>,
    /// Over when a claim may be answered again.
    truce: Deadline,
}

impl Resource for Address {
    fn start(&mut self, patience: &Deadline) -> io::Result<()> {
        let mut netlink = Netlink::open()?;
        let interface = self.wait_for_interface(&mut netlink, patience)?;
        self.wire.listen(&interface)?;
        self.wire.ask(&interface, &mut netlink, patience)?;
        for held in self.place.held(&mut netlink)? {
            if (held.index, held.prefix) != (interface.index, self.prefix) {
                TargetInterface::remove(&held, &mut netlink)?;
            }
        }
        self.put(&interface, &mut netlink)?;
        self.rival = None;
        self.announcements.begin();
        self.announce_on(&interface);
        Ok(())
    }

    fn ready(&mut self) -> io::Result<Option<Duration>> {
        self.find(&mut Netlink::open()?).map(|_| Some(LOOK_ANYWAY))
    }

    fn adopt(&mut self) -> io::Result<bool> {
        let mut netlink = Netlink::open()?;
        let Some(interface) = self.place.left_on(self.prefix, &mut netlink)? else {
            return Ok(false);
        };
        self.wire.listen(&interface)?;
        // What it is to this configuration, which may be another one.
        self.put(&interface, &mut netlink)?;
        self.rival = None;
        // Nobody has to learn anything new.
        self.announcements.begin_later();
        Ok(true)
    }

    fn stop(&mut self, _: &Deadline) -> io::Result<()> {
        let mut netlink = Netlink::open()?;
        for held in self.place.held(&mut netlink)? {
            self.place.spare_the_others(&held, &mut netlink)?;
            TargetInterface::remove(&held, &mut netlink)?;
        }
        match self.place.held(&mut netlink)?.first() {
            None => Ok(()),
            Some(held) => {
                let on = netlink.interface_at(held.index)?.map(|it| it.name).unwrap_or_default();
                Err(io::Error::other(format!(
                    "{} is on {on} again: something else on this box adds it; find it and stop it",
                    held.prefix
                )))
            }
        }
    }

    fn monitor(&mut self) -> io::Result<()> {
        if self.is_quiet() {
            return Ok(());
        }
        let mut netlink = Netlink::open()?;
        let interface = self.place.stays(self.prefix, &mut netlink)?;
        self.wire.listen(&interface)?;
        if interface.carrier && self.announced != interface.mac {
            // The first announcement was lost without a carrier, or is no longer true.
            self.announcements.begin();
        }
        self.rival = self.wire.stranger(&mut netlink)?.or(self.rival);
        if let Some(rival) = self.rival.filter(|_| self.truce.left().is_zero()) {
            let address = self.prefix.address();
            log::error!(
                "{address} is claimed by {rival} too: find that machine and take it off the network"
            );
            self.rival = None;
            self.truce = Deadline::new(TRUCE);
            self.announce_on(&interface);
        } else if self.announcements.left().is_zero() {
            self.announce_on(&interface);
        }
        // One that comes back without its carrier is told again when that comes.
        self.announced = interface.mac.filter(|_| interface.carrier);
        Ok(())
    }

    fn announce(&mut self) {
        // The whole burst, beginning with the next look, which is now.
        self.announcements.begin();
    }

    fn rhythm(&self) -> Duration {
        self.announcements.left().min(LOOK)
    }

    fn alarm(&self) -> Option<BorrowedFd<'_>> {
        self.changes.as_ref().map(AsFd::as_fd)
    }
}

impl Address {
    /// Nothing has changed since the last look, nobody claims the address, and nothing is due: to look costs a box that
    /// has nothing to do more than its heartbeats on a link.
    fn is_quiet(&mut self) -> bool {
        let told = self.changes.as_ref().is_some_and(|changes| !changes.were());
        if !told || self.looked.left().is_zero() {
            self.listen_for_changes();
            self.looked = Deadline::new(LOOK_ANYWAY);
            return false;
        }
        !self.wire.is_claimed() && self.rival.is_none() && !self.announcements.left().is_zero()
    }

    /// Before a look: what changes from now on is told.
    fn listen_for_changes(&mut self) {
        if self.changes.is_none() {
            self.changes = Changes::open().ok();
        }
    }

    /// The interface, which is there and up.
    fn find(&self, netlink: &mut Netlink) -> io::Result<Interface> {
        let (prefix, place) = (self.prefix, &self.place);
        place.find(netlink).map_err(|error| {
            io::Error::new(error.kind(), format!("{prefix} needs {}, {error}", place.name()))
        })
    }

    /// The same, but waits a moment: a network manager may be replacing it, or a driver resetting it.
    fn wait_for_interface(
        &mut self,
        netlink: &mut Netlink,
        patience: &Deadline,
    ) -> io::Result<Interface> {
        self.listen_for_changes();
        let moment = patience.at_most(LOOK);
        loop {
            let found = self.find(netlink);
            let Some(changes) = self.changes.as_ref().filter(|_| found.is_err()) else {
                return found;
            };
            match moment.readable(&[changes.as_fd()]) {
                Ok(_) => drop(changes.were()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(_) => return found,
            }
        }
    }

    /// Puts the address on the interface, or makes it there what this configuration says.
    fn put(&mut self, interface: &Interface, netlink: &mut Netlink) -> io::Result<()> {
        let preferred = self.preferred || self.prefix.address().is_ipv4();
        let (route, origin) =
            (self.place.makes_route(self.prefix, interface, netlink)?, self.place.origin());
        netlink.put_address(interface, self.prefix, Manner { preferred, route, origin })?;
        self.place.is_on(interface);
        self.announced = interface.mac.filter(|_| interface.carrier);
        Ok(())
    }

    fn announce_on(&mut self, interface: &Interface) {
        self.announcements.told();
        self.wire.announce(interface);
    }
}

/// A neighbour on the same switch answers within a millisecond; a slow one that is off guard may take a few.
const PROBE: Duration = Duration::from_millis(10);
/// Short of the minutes for which neighbours and switches remember.
const REFRESH: Duration = Duration::from_secs(60);
/// How long an address that somebody has removed can be missing before we know.
const LOOK: Duration = Duration::from_secs(1);
/// Should the kernel have forgotten to tell; and how long an interface that is not needed now can be missing before
/// we know.
const LOOK_ANYWAY: Duration = Duration::from_secs(10);
/// `DEFEND_INTERVAL` of RFC 5227: two machines that both answer each claim at once would never stop.
const TRUCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::Source;

    #[test]
    fn an_address_needs_a_network_and_an_interface() {
        let complaints = |text: &str| {
            let source = Source::new(text);
            let mut table = source.parse();
            Config::read(&mut table);
            table.finish();
            source.into_complaints().into_iter().map(|complaint| complaint.word).collect::<Vec<_>>()
        };
        assert!(complaints("address = \"203.0.113.10/24\"\ninterface = \"eth0.100\"\n").is_empty());
        assert_eq!(complaints("address = \"203.0.113.10\"\n"), ["interface", "address"]);
        let v6 = |words: &str| complaints(&format!("address = \"2001:db8::10/64\"\n{words}\n"));
        assert_eq!(v6("interface = \"../eth0\""), ["interface"]);
        assert_eq!(v6("interface = \"e\"\nrefresh = \"0s\""), ["refresh"]);
        assert!(v6("interface = \"enp0s20f0u1u4u3i2\"\npreferred = true").is_empty());
        assert_eq!(
            complaints("address = \"203.0.113.10/24\"\ninterface = \"e\"\npreferred = true\n"),
            ["preferred"]
        );
    }
}
