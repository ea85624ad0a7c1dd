//! Asks the neighbours who has an address, and waits for what they say.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use super::Neighbours;
use crate::net::netlink::{Interface, Mac, Netlink};
use crate::net::prefix::Prefix;
use crate::thread::deadline::Deadline;

impl Neighbours {
    /// Asks from the card `mac` who has the address, and waits for `time` for another machine that says so.
    ///
    /// # Errors
    ///
    /// When the interface is down or gone, or the patience is over.
    pub fn ask(
        &self,
        mac: Mac,
        time: Duration,
        netlink: &mut Netlink,
        patience: &Deadline,
    ) -> io::Result<Option<Mac>> {
        for _ in 0..PROBES {
            self.probe(mac)?;
            let window = patience.at_most(time / PROBES);
            loop {
                match window.readable(&[self.as_fd()]) {
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

    /// Who has claimed the address, other than this box by one of its cards.
    ///
    /// # Errors
    ///
    /// When the interface is gone.
    pub fn stranger(&self, netlink: &mut Netlink) -> io::Result<Option<Mac>> {
        while let Some(claimant) = self.claim()? {
            let owns = |own: &Interface| [own.mac, own.permanent].contains(&Some(claimant));
            if !netlink.interfaces()?.iter().any(owns) {
                return Ok(Some(claimant));
            }
        }
        Ok(None)
    }
}

/// A machine that answers for addresses that nobody has (proxy ARP, RFC 1027; proxy neighbour discovery, RFC 4389).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proxy {
    /// The machine.
    pub mac: Mac,
    /// One of the addresses for which it has answered.
    pub answered: IpAddr,
}

/// Looks for a machine that answers for all addresses of `network`: asks for some that were drawn by lot, for
/// `time` each. One of them may be in use; that all of them are, and by one machine, is no chance.
///
/// # Errors
///
/// When the interface cannot be asked by, or the patience is over.
pub fn proxy(
    interface: &Interface,
    network: Prefix,
    time: Duration,
    netlink: &mut Netlink,
    patience: &Deadline,
) -> io::Result<Option<Proxy>> {
    let Some(mac) = interface.mac else { return Ok(None) };
    let mut found: Option<Proxy> = None;
    for _ in 0..LOTS {
        let Some(answered) = network.pick(lot()) else { return Ok(None) };
        let neighbours = Neighbours::open(interface.index, answered)?;
        let answer = neighbours.ask(mac, time, netlink, patience)?;
        match answer.filter(|mac| found.is_none_or(|found| found.mac == *mac)) {
            Some(mac) => found = Some(Proxy { mac, answered }),
            None => return Ok(None),
        }
    }
    Ok(found)
}

/// A number that nobody has chosen. It need not be secret, and never waits for the entropy of a box that has just
/// booted.
fn lot() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    half() << 64 | half()
}

/// A frame can be lost.
const PROBES: u32 = 2;
/// So many addresses are asked for.
const LOTS: u32 = 3;
