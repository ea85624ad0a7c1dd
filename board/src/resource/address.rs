//! An address that moves: the one that the clients know.
//!
//! Taking it is three steps, and the order is the safety of it: ask the wire whether somebody has it (an answer
//! is a veto: two machines with one address are worse than none), add it, tell all neighbours. Telling once is
//! not enough, since frames get lost and some switches learn only what they hear after a pause:
//!
//! ```text
//! start          5 s                    refresh       refresh
//! |||||           |||||                    |             |
//! ```
//!
//! While it is here, somebody else's claim is told as an alarm and answered by announcing again (RFC 5227,
//! 2.4): the one who is right speaks last. It is no failure, for the other box would hear the same claim.
//!
//! Whatever has the address on the interface is the pair's, also with another length of network and from an
//! earlier life; all other addresses are left alone. A missing carrier is none of this file's business.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use firmware_agnostic::identity::BoxId;

use super::Resource;
use crate::need::{Need, Right};
use crate::neighbour::Neighbours;
use crate::netlink::{Changes, Interface, Mac, Netlink};
use crate::patience::Patience;
use crate::prefix::Prefix;
use crate::table::{PerBox, Table};

/// `kind = "address"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    prefix: Prefix,
    interface: PerBox<String>,
    probe: Duration,
    refresh: Duration,
}

impl Config {
    /// Reads the words of an address.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let prefix = table.need("address");
        let interface: Option<PerBox<String>> = table.need("interface");
        let probe = table.or("probe", PROBE);
        let refresh = table.or("refresh", REFRESH);
        if refresh < LOOK {
            table.complain("refresh", "is too often for the neighbours: say at least \"1s\"");
        }
        let interface = interface?;
        for id in BoxId::BOTH {
            let name = interface.of(id);
            if !is_name(name) {
                table.complain(
                    "interface",
                    format!("{name:?} is no name of an interface, such as \"eth0\""),
                );
            }
        }
        Some(Self { prefix: prefix?, interface, probe, refresh })
    }

    /// What the box `me` must have, so that the address can be there.
    pub fn needs(&self, me: BoxId) -> Vec<Need> {
        vec![
            Need::Interface(self.interface.of(me).clone()),
            Need::Right(Right::Addresses),
            Need::Right(Right::Neighbours),
        ]
    }

    /// The address as the box `me` holds it.
    pub fn open(&self, me: BoxId) -> Address {
        Address {
            prefix: self.prefix,
            interface: self.interface.of(me).clone(),
            probe: self.probe,
            refresh: self.refresh,
            neighbours: None,
            changes: None,
            looked: Patience::new(Duration::ZERO),
            announced: 0,
            next: Patience::new(Duration::ZERO),
            rival: None,
            truce: Patience::new(Duration::ZERO),
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
    interface: String,
    probe: Duration,
    refresh: Duration,
    /// Stays open when the address leaves, for closing it takes longer than all the rest.
    neighbours: Option<Neighbours>,
    /// Tells when there is a reason to look whether the address is here.
    changes: Option<Changes>,
    /// Over when it is looked at without one.
    looked: Patience,
    /// How often it was announced since it came.
    announced: usize,
    /// Over when the next announcement is due.
    next: Patience,
    /// Who else has claimed it, since we last answered.
    rival: Option<Mac>,
    /// Over when a claim may be answered again.
    truce: Patience,
}

impl Resource for Address {
    fn start(&mut self, patience: &Patience) -> io::Result<()> {
        let mut netlink = Netlink::open()?;
        self.changes = None;
        let interface = self.find(&mut netlink)?;
        self.listen(&interface)?;
        self.ask(&interface, &mut netlink, patience)?;
        for stray in self.held(&interface, &mut netlink)? {
            if stray != self.prefix {
                netlink.remove_address(&interface, stray)?;
            }
        }
        netlink.add_address(&interface, self.prefix)?;
        self.announced = 0;
        self.rival = None;
        self.announce_on(&interface);
        Ok(())
    }

    fn adopt(&mut self) -> io::Result<bool> {
        let mut netlink = Netlink::open()?;
        let Some(interface) = netlink.interface(&self.interface)? else { return Ok(false) };
        if !interface.up || !netlink.addresses(&interface)?.contains(&self.prefix) {
            return Ok(false);
        }
        self.listen(&interface)?;
        self.rival = None;
        // Nobody has to learn anything new. The second burst comes as after a start: later than the word of a peer that
        // has taken over meanwhile, and whose neighbours are not to be told otherwise.
        self.announced = LATER;
        self.next = Patience::new(Duration::from_millis(PAUSES[LATER - 1]));
        Ok(true)
    }

    fn stop(&mut self, _: &Patience) -> io::Result<()> {
        let mut netlink = Netlink::open()?;
        let Some(interface) = netlink.interface(&self.interface)? else { return Ok(()) };
        for prefix in self.held(&interface, &mut netlink)? {
            self.spare_the_others(prefix, &netlink.addresses(&interface)?);
            netlink.remove_address(&interface, prefix)?;
        }
        match self.held(&interface, &mut netlink)?.first() {
            None => Ok(()),
            Some(prefix) => Err(io::Error::other(format!(
                "{prefix} is on {} again: something else on this box adds it; find it and stop it",
                self.interface
            ))),
        }
    }

    fn monitor(&mut self) -> io::Result<()> {
        if self.is_quiet() {
            return Ok(());
        }
        let mut netlink = Netlink::open()?;
        let interface = self.find(&mut netlink)?;
        if !netlink.addresses(&interface)?.contains(&self.prefix) {
            let (prefix, interface) = (self.prefix, &self.interface);
            return Err(io::Error::other(format!(
                "{prefix} is gone from {interface}: something else on this box has removed it"
            )));
        }
        self.listen(&interface)?;
        self.rival = self.stranger(&mut netlink)?.or(self.rival);
        if let Some(rival) = self.rival.filter(|_| self.truce.left().is_zero()) {
            let address = self.prefix.address();
            log::error!(
                "{address} is claimed by {rival} too: find that machine and take it off the network"
            );
            self.rival = None;
            self.truce = Patience::new(TRUCE);
            self.announce_on(&interface);
        } else if self.next.left().is_zero() {
            self.announce_on(&interface);
        }
        Ok(())
    }

    fn announce(&mut self) {
        // The whole burst, beginning with the next look, which is now.
        self.announced = 0;
        self.next = Patience::new(Duration::ZERO);
    }

    fn rhythm(&self) -> Duration {
        self.next.left().min(LOOK)
    }
}

impl Address {
    /// Nothing has changed since the last look, nobody claims the address, and nothing is due: to look costs a box that
    /// has nothing to do more than its heartbeats on a link.
    fn is_quiet(&mut self) -> bool {
        let told = self.changes.as_ref().is_some_and(|changes| !changes.were());
        if !told || self.looked.left().is_zero() {
            // Before the look: what changes from now on is told.
            if self.changes.is_none() {
                self.changes = Changes::open().ok();
            }
            self.looked = Patience::new(LOOK_ANYWAY);
            return false;
        }
        let now = Patience::new(Duration::ZERO);
        let claimed =
            self.neighbours.as_ref().is_some_and(|ear| now.readable(&[ear.as_fd()]).is_ok());
        !claimed && self.rival.is_none() && !self.next.left().is_zero()
    }

    /// The interface, which is there and up.
    fn find(&self, netlink: &mut Netlink) -> io::Result<Interface> {
        let (prefix, name) = (self.prefix, &self.interface);
        match netlink.interface(name)? {
            Some(interface) if interface.up => Ok(interface),
            Some(_) => Err(io::Error::other(format!(
                "{prefix} needs {name}, which is down: set it up (ip link set {name} up) when the box boots"
            ))),
            None => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "{prefix} needs {name}, and there is no such interface: look at its name and its driver"
                ),
            )),
        }
    }

    /// Opens an ear on the interface, unless there is one. What is no Ethernet has no neighbours.
    fn listen(&mut self, interface: &Interface) -> io::Result<()> {
        if interface.mac.is_none() {
            self.neighbours = None;
        } else if self.neighbours.as_ref().is_none_or(|ear| ear.index() != interface.index) {
            let ear = Neighbours::open(interface.index, self.prefix.address());
            self.neighbours = Some(ear.map_err(|error| self.on_the_wire("listen for", &error))?);
        }
        Ok(())
    }

    /// Asks the wire whether somebody has the address. Who has it answers every time; what is heard once was under way
    /// from the peer that has just let go of it.
    fn ask(
        &self,
        interface: &Interface,
        netlink: &mut Netlink,
        patience: &Patience,
    ) -> io::Result<()> {
        let mut holder = self.claimant(interface, netlink, patience)?;
        for _ in 1..ROUNDS {
            let Some(_) = holder else { return Ok(()) };
            patience.sleep(self.probe)?;
            holder = self.claimant(interface, netlink, patience)?;
        }
        holder.map_or(Ok(()), |holder| Err(self.veto(holder)))
    }

    /// Who says that the address is there, when asked.
    fn claimant(
        &self,
        interface: &Interface,
        netlink: &mut Netlink,
        patience: &Patience,
    ) -> io::Result<Option<Mac>> {
        let (Some(neighbours), Some(mac)) = (&self.neighbours, interface.mac) else {
            return Ok(None);
        };
        // What was claimed before is the past: the peer's own announcements, as a rule.
        while neighbours.claim()?.is_some() {}
        if self.probe.is_zero() {
            return Ok(None);
        }
        for _ in 0..PROBES {
            neighbours.probe(mac).map_err(|error| self.on_the_wire("ask for", &error))?;
            let window = patience.at_most(self.probe / PROBES);
            loop {
                match window.readable(&[neighbours.as_fd()]) {
                    Ok(_) => {
                        if let Some(holder) = self.stranger(netlink)? {
                            return Ok(Some(holder));
                        }
                    }
                    Err(error)
                        if error.kind() == io::ErrorKind::TimedOut
                            && !patience.left().is_zero() =>
                    {
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(None)
    }

    /// Who has claimed the address, other than this box by whichever of its cards.
    fn stranger(&self, netlink: &mut Netlink) -> io::Result<Option<Mac>> {
        let Some(neighbours) = &self.neighbours else { return Ok(None) };
        while let Some(mac) = neighbours.claim()? {
            if !netlink.interfaces()?.iter().any(|own| own.mac == Some(mac)) {
                return Ok(Some(mac));
            }
        }
        Ok(None)
    }

    /// Tells the neighbours, and when to tell them again.
    fn announce_on(&mut self, interface: &Interface) {
        let gap = PAUSES.get(self.announced).copied().map_or(self.refresh, Duration::from_millis);
        self.announced += 1;
        self.next = Patience::new(gap);
        if let (Some(neighbours), Some(mac)) = (&self.neighbours, interface.mac)
            && let Err(error) = neighbours.announce(mac, routes(&self.interface))
        {
            // Told again soon; the address itself is in its place.
            log::warn!("{}", self.on_the_wire("announce", &error));
        }
    }

    /// What has our address on the interface, with whichever length of network.
    fn held(&self, interface: &Interface, netlink: &mut Netlink) -> io::Result<Vec<Prefix>> {
        let mut prefixes = netlink.addresses(interface)?;
        prefixes.retain(|prefix| prefix.address() == self.prefix.address());
        Ok(prefixes)
    }

    /// Sees to it that the other addresses of the network stay when this one goes. Where ours was the first on the
    /// interface, the kernel calls them its secondaries and removes them with it, unless told to promote one.
    fn spare_the_others(&self, prefix: Prefix, all: &[Prefix]) {
        let others = all.iter().any(|other| *other != prefix && prefix.neighbours(other.address()));
        if prefix.address().is_ipv4() && others {
            let setting = format!("/proc/sys/net/ipv4/conf/{}/promote_secondaries", self.interface);
            if let Err(error) = fs::write(&setting, "1") {
                log::warn!("cannot set {setting}, other addresses may go with {prefix}: {error}");
            }
        }
    }

    fn veto(&self, holder: Mac) -> io::Error {
        let (address, name) = (self.prefix.address(), &self.interface);
        io::Error::new(
            io::ErrorKind::AddrInUse,
            format!(
                "{address} is answered by {holder} on {name}: another machine holds it; find it and disconnect it"
            ),
        )
    }

    fn on_the_wire(&self, what: &str, error: &io::Error) -> io::Error {
        let (address, name) = (self.prefix.address(), &self.interface);
        io::Error::new(error.kind(), format!("cannot {what} {address} on {name}: {error}"))
    }
}

/// Whether this box forwards IPv6 from the interface: neighbours that were told otherwise would no longer use it as
/// their router (RFC 4861, 7.2.5).
fn routes(interface: &str) -> bool {
    let setting = fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{interface}/forwarding"));
    setting.is_ok_and(|text| text.trim() != "0")
}

/// Whether the kernel would give an interface this name (`dev_valid_name` of the kernel).
fn is_name(name: &str) -> bool {
    let letters =
        !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
    (1..libc::IFNAMSIZ).contains(&name.len()) && letters && name != "." && name != ".."
}

/// A neighbour on the same switch answers within a millisecond; a slow one that is off guard may take a few.
const PROBE: Duration = Duration::from_millis(10);
/// A frame can be lost.
const PROBES: u32 = 2;
/// How often whoever has the address must have said so.
const ROUNDS: u32 = 3;
/// Short of the minutes for which neighbours and switches remember.
const REFRESH: Duration = Duration::from_secs(60);
/// Milliseconds to the next announcement: a burst of five, and another after 5 s for switches that were still busy
/// with the change when they heard the first.
const PAUSES: [u64; 9] = [50, 100, 150, 200, 4_500, 50, 100, 150, 200];
/// The first announcement of the second burst.
const LATER: usize = 5;
/// How long an address that somebody has removed can be missing before we know.
const LOOK: Duration = Duration::from_secs(1);
/// Should the kernel have forgotten to tell.
const LOOK_ANYWAY: Duration = Duration::from_secs(10);
/// `DEFEND_INTERVAL` of RFC 5227: two machines that both answer each claim at once would never stop.
const TRUCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Source;

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
        assert_eq!(
            complaints("address = \"2001:db8::10/64\"\ninterface = \"../eth0\"\n"),
            ["interface"]
        );
        assert_eq!(
            complaints("address = \"2001:db8::10/64\"\ninterface = \"e\"\nrefresh = \"0s\"\n"),
            ["refresh"]
        );
    }

    #[test]
    fn two_bursts_and_then_the_slow_refresh() {
        let config = Config {
            prefix: "203.0.113.10/24".parse().unwrap(),
            interface: PerBox::both("lo".to_owned()),
            probe: PROBE,
            refresh: REFRESH,
        };
        let mut address = config.open(BoxId::First);
        // The loopback interface is no Ethernet, and nothing is sent.
        let lo = Netlink::open().unwrap().interface("lo").unwrap().unwrap();
        let pauses: Vec<_> = (0..11)
            .map(|_| {
                address.announce_on(&lo);
                // To the next 10 ms, for time passes.
                address.next.left().as_millis().div_ceil(10) * 10
            })
            .collect();
        assert_eq!(pauses, [50, 100, 150, 200, 4_500, 50, 100, 150, 200, 60_000, 60_000]);
        assert_eq!(address.rhythm(), LOOK);
    }
}
