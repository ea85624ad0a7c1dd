//! What is said of one address on its Ethernet, and heard. What is no Ethernet has no neighbours.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use super::proxy;
use crate::net::neighbour::Neighbours;
use crate::net::netlink::{Interface, Mac, Netlink};
use crate::net::prefix::Prefix;
use crate::thread::deadline::Deadline;

/// The wire of an address.
pub(super) struct Wire {
    prefix: Prefix,
    probe: Duration,
    /// Stays open when the address leaves, for closing it takes longer than all the rest.
    neighbours: Option<Neighbours>,
}

impl Wire {
    /// The wire of `prefix`, which is asked for `probe` whether somebody has the address.
    pub(super) const fn new(prefix: Prefix, probe: Duration) -> Self {
        Self { prefix, probe, neighbours: None }
    }

    /// Opens an ear on the interface, unless there is one.
    pub(super) fn listen(&mut self, interface: &Interface) -> io::Result<()> {
        if interface.mac.is_none() {
            self.neighbours = None;
        } else if self.neighbours.as_ref().is_none_or(|ear| ear.index() != interface.index) {
            let ear = Neighbours::open(interface.index, self.prefix.address());
            let ear = ear.map_err(|error| self.failed("listen for", interface, &error))?;
            self.neighbours = Some(ear);
        }
        Ok(())
    }

    /// Whether somebody has said something of the address that was not looked at yet.
    pub(super) fn is_claimed(&self) -> bool {
        let now = Deadline::new(Duration::ZERO);
        self.neighbours.as_ref().is_some_and(|ear| now.readable(&[ear.as_fd()]).is_ok())
    }

    /// Who has claimed the address, other than this box by one of its cards.
    pub(super) fn stranger(&self, netlink: &mut Netlink) -> io::Result<Option<Mac>> {
        self.neighbours.as_ref().map_or(Ok(None), |neighbours| neighbours.stranger(netlink))
    }

    /// Asks the wire whether somebody has the address. Who has it answers every time; what is heard once was under way
    /// from the peer that has just let go of it.
    pub(super) fn ask(
        &self,
        interface: &Interface,
        netlink: &mut Netlink,
        patience: &Deadline,
    ) -> io::Result<()> {
        let (Some(neighbours), Some(mac)) = (&self.neighbours, interface.mac) else {
            return Ok(());
        };
        // What was claimed before is the past: the peer's own announcements, as a rule.
        while neighbours.claim()?.is_some() {}
        if self.probe.is_zero() {
            return Ok(());
        }
        let mut ask = || {
            neighbours
                .ask(mac, self.probe, netlink, patience)
                .map_err(|error| self.failed("ask for", interface, &error))
        };
        let mut holder = ask()?;
        for _ in 1..ROUNDS {
            let Some(_) = holder else { return Ok(()) };
            patience.sleep(self.probe)?;
            holder = ask()?;
        }
        match holder {
            None => Ok(()),
            Some(holder) => Err(self.veto(holder, interface, netlink, patience)),
        }
    }

    /// Tells the neighbours where the address is.
    pub(super) fn announce(&self, interface: &Interface) {
        if let (Some(neighbours), Some(mac)) = (&self.neighbours, interface.mac)
            && let Err(error) = neighbours.announce(mac, interface.forwards)
        {
            // Told again soon; the address itself is in its place.
            log::warn!("{}", self.failed("announce", interface, &error));
        }
    }

    /// Why the address is not taken: another machine has it, or one answers for addresses that nobody has.
    fn veto(
        &self,
        holder: Mac,
        interface: &Interface,
        netlink: &mut Netlink,
        patience: &Deadline,
    ) -> io::Error {
        let (address, name) = (self.prefix.address(), &interface.name);
        let found = proxy::find(interface, self.prefix, self.probe, netlink, patience);
        let why = match found {
            Ok(Some(proxy)) if proxy.mac == holder => proxy::remedy(&proxy),
            _ => "another machine holds it; find it and disconnect it".to_owned(),
        };
        let text = format!("{address} is answered by {holder} on {name}: {why}");
        io::Error::new(io::ErrorKind::AddrInUse, text)
    }

    /// An error that says what was tried, and keeps its kind.
    fn failed(&self, what: &str, interface: &Interface, error: &io::Error) -> io::Error {
        let (address, name) = (self.prefix.address(), &interface.name);
        io::Error::new(error.kind(), format!("cannot {what} {address} on {name}: {error}"))
    }
}

/// How often the holder of the address must have answered.
const ROUNDS: u32 = 3;
