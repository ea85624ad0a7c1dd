//! Finds a router, access point or switch that answers for every address of a network.
//!
//! Where one does (proxy ARP, private VLANs; proxy neighbour discovery), the question whether somebody has the
//! address has always the answer yes, and no box would ever take it. What only answers for machines that it knows
//! is not found so.

use std::io;
use std::time::Duration;

use crate::net::neighbour::{self, Proxy};
use crate::net::netlink::{Interface, Netlink};
use crate::net::prefix::Prefix;
use crate::thread::deadline::Deadline;

/// Looks for a machine on the network of `prefix` that answers for all addresses, and waits for `time` for each answer.
pub(super) fn find(
    interface: &Interface,
    prefix: Prefix,
    time: Duration,
    netlink: &mut Netlink,
    patience: &Deadline,
) -> io::Result<Option<Proxy>> {
    let network =
        if prefix.pick(0).is_some() { Some(prefix) } else { around(interface, prefix, netlink)? };
    network
        .map_or(Ok(None), |network| neighbour::proxy(interface, network, time, netlink, patience))
}

/// The network of the interface in which `prefix` lies, where that is the address of one box alone.
fn around(
    interface: &Interface,
    prefix: Prefix,
    netlink: &mut Netlink,
) -> io::Result<Option<Prefix>> {
    let own = netlink.addresses()?.into_iter().filter(|own| own.index == interface.index);
    let mut networks = own.map(|own| own.prefix).filter(|own| own.pick(0).is_some());
    Ok(networks.find(|own| own.neighbours(prefix.address())))
}

/// What it does, and what to do about it.
pub(super) fn remedy(proxy: &Proxy) -> String {
    let kind = if proxy.answered.is_ipv4() { "proxy ARP" } else { "a neighbour proxy" };
    format!("it answers for every address, {} too ({kind}): say probe = \"0s\"", proxy.answered)
}

/// Why no start on `interface` would take `prefix`, as far as the network shows it now.
pub(super) fn complaint(interface: &str, prefix: Prefix, probe: Duration) -> Option<String> {
    // What cannot be asked (no interface, no right, no carrier) is told by others.
    let mut netlink = Netlink::open().ok()?;
    let card = netlink.interface(interface).ok()??;
    let (time, patience) = (probe.min(PROBE_MAX), Deadline::new(PROBE_MAX * 4));
    let proxy = find(&card, prefix, time, &mut netlink, &patience).ok()??;
    let (address, mac) = (prefix.address(), proxy.mac);
    Some(format!(
        "{mac} on {interface} would keep every start from taking {address}: {}",
        remedy(&proxy)
    ))
}

/// A person waits for the answer.
const PROBE_MAX: Duration = Duration::from_secs(1);
