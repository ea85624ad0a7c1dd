//! Heartbeats as UDP datagrams: over one interface, and over no other.
//!
//! They go to the peer's address, to everybody on the wire, or to a group. Everybody, IPv6 groups, and the groups in
//! 224.0.0.0/24 are reached without any address, so that a pair fresh from the factory finds itself; for other groups
//! the kernel wants one as the source.
//!
//! What may happen to the network, and why the socket does not mind:
//!
//! | event | why it does not matter |
//! |---|---|
//! | routes change | the socket is tied to its interface (`SO_BINDTOIFINDEX`): two links are never one cable, and a link-local address needs no scope |
//! | the interface goes down, or is renamed | the tie is to its index, which stays; until it is up again, sending says so |
//! | this box's address goes | the socket is bound to it all the same (`IP_FREEBIND`, ip(7)); until it is back, sending says so |
//! | another address comes | bound means that datagrams are sent from the right one, which the peer insists on |
//! | the peer reboots | "port unreachable" is told to connected sockets only (udp(7)), and this is none |
//! | the interface is replaced, or another one gets its name | its index is another one: `look` notices, and the link is opened again |

use std::cell::Cell;
use std::ffi::{c_int, c_short};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd};

use firmware_agnostic::identity::BoxId;
use rustix::ioctl::{Opcode, Updater, ioctl};
use rustix::net::netdevice::{index_to_name, name_to_index};
use socket2::{Domain, InterfaceIndexOrAddress, Socket, Type};

use super::{Link, while_trying};
use crate::config::requirement::Requirement;
use crate::config::table::{PerBox, Table};
use crate::net::netlink::{Netlink, is_name};

/// `kind = "udp"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Config {
    interface: PerBox<String>,
    to: Destination,
    port: u16,
    /// The cable goes to the peer with nothing in between, so its carrier is the peer's.
    pub(super) direct: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Destination {
    /// The other box, by the addresses of both.
    Peer(PerBox<IpAddr>),
    /// Everybody on the wire.
    Everybody,
    /// Everybody who has joined the group, over at most so many routers.
    ResourceWorker(IpAddr, u8),
}

impl Config {
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let interface = table.require::<PerBox<String>>("interface");
        if let Some(names) = &interface
            && BoxId::BOTH.iter().any(|id| !is_name(names.of(*id)))
        {
            table.error("interface", "is no name of an interface, such as \"eth1\"");
        }
        let port = table.get_or("port", PORT);
        if port == 0 {
            table.error("port", format!("is not between 1 and 65535; the usual one is {PORT}"));
        }
        let direct = table.get_or("direct", false);
        let to = Destination::read(table);
        Some(Self { interface: interface?, to: to?, port, direct })
    }

    /// `eth1`, or `bond0/eth0` where the boxes differ.
    pub(super) fn name(&self) -> String {
        let [first, second] = BoxId::BOTH.map(|id| self.interface.of(id));
        if first == second { first.clone() } else { format!("{first}/{second}") }
    }

    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        match &self.to {
            Destination::Peer(addresses) => BoxId::BOTH.map(|id| *addresses.of(id)).to_vec(),
            Destination::Everybody | Destination::ResourceWorker(..) => Vec::new(),
        }
    }

    pub(super) fn needs(&self, me: BoxId) -> Vec<Requirement> {
        vec![Requirement::Interface(self.interface.of(me).clone())]
    }

    pub(super) fn open(&self, me: BoxId) -> io::Result<Udp> {
        self.bind(me, self.port)
    }

    /// From a port of its own, so that the next supervisor finds the usual one free. What comes there is not read.
    pub(super) fn open_to_speak(&self, me: BoxId) -> io::Result<Udp> {
        self.bind(me, 0)
    }

    fn bind(&self, me: BoxId, port: u16) -> io::Result<Udp> {
        let interface = self.interface.of(me);
        let (near, far) = self.to.ends(me);
        let to = SocketAddr::new(far, self.port);
        let card = Netlink::open()?.interface(interface)?.ok_or_else(|| absent(interface))?;
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, None)?;
        // By its index: the name may be one of several. On Linux this is one option for IPv4 and IPv6.
        socket.bind_device_by_index_v4(NonZero::new(card.index)).map_err(while_trying(format!(
            "cannot bind to {interface} alone, which wants root or CAP_NET_RAW"
        )))?;
        let index = card.index;
        self.to.prepare(&socket, index).map_err(while_trying(format!(
            "cannot prepare a socket for {interface}, which may lack this kind of address"
        )))?;
        hurry(&socket, near.is_ipv4())?;
        socket.set_nonblocking(true)?;
        socket
            .bind(&SocketAddr::new(near, port).into())
            .map_err(|error| self.not_bound(interface, error))?;
        let (socket, interface, direct) = (socket.into(), interface.clone(), self.direct);
        let (sender, strangers) = (Cell::default(), Cell::default());
        let renamed = Cell::default();
        Ok(Udp { socket, interface, index, renamed, near, to, direct, sender, strangers })
    }

    fn not_bound(&self, interface: &str, error: io::Error) -> io::Error {
        let port = self.port;
        while_trying(match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "UDP port {port} on {interface} is taken by another program or link: give this link another \
                 `port`, or end the program that `ss -ulpn` shows"
            ),
            io::ErrorKind::PermissionDenied => format!(
                "cannot use UDP port {port}, which wants root or CAP_NET_BIND_SERVICE; or a `port` above 1023"
            ),
            _ => format!("cannot use UDP port {port} on {interface}"),
        })(error)
    }
}

impl Destination {
    fn read(table: &mut Table<'_>) -> Option<Self> {
        let said = WAYS.iter().filter(|way| table.has(way)).count();
        let addresses = table.take::<PerBox<IpAddr>>("address");
        let broadcast = table.take::<bool>("broadcast");
        let group = table.take::<IpAddr>("multicast");
        let ttl = if group.is_some() { table.get_or("ttl", TTL) } else { TTL };
        match (said, addresses, broadcast, group) {
            (1, Some(addresses), ..) => Self::peer(addresses, table),
            (1, _, Some(true), _) => Some(Self::Everybody),
            (1, _, _, Some(group)) => Self::group(group, ttl, table),
            // Its value is wrong, which has been complained about.
            (1, None, None, None) => None,
            _ => {
                let many = if said > 1 { "more than one word" } else { "no word" };
                table.error("", format!("has {many} for where to send: {ONE_OF}"));
                None
            }
        }
    }

    fn peer(addresses: PerBox<IpAddr>, table: &Table<'_>) -> Option<Self> {
        let [first, second] = BoxId::BOTH.map(|id| *addresses.of(id));
        let wrong = if first == second {
            "is the same for both boxes: write { NAME = \"192.0.2.1\", OTHER = \"192.0.2.2\" }"
        } else if first.is_ipv4() != second.is_ipv4() {
            "is IPv4 on one box and IPv6 on the other: give both the same kind"
        } else if [first, second].iter().any(|ip| ip.is_multicast() || ip.is_unspecified()) {
            "is not the address of one box"
        } else {
            return Some(Self::Peer(addresses));
        };
        table.error("address", wrong);
        None
    }

    fn group(group: IpAddr, ttl: u8, table: &Table<'_>) -> Option<Self> {
        if !group.is_multicast() {
            table.error(
                "multicast",
                format!("{group} is no group: say \"239.0.0.1\", or \"ff02::694\""),
            );
            return None;
        }
        if ttl == 0 {
            table.error("ttl", "is 0, which never leaves the box: say 1 for one wire");
        }
        Some(Self::ResourceWorker(group, ttl))
    }

    /// The addresses of this box's end and of the other end.
    fn ends(&self, me: BoxId) -> (IpAddr, IpAddr) {
        match self {
            Self::Peer(addresses) => (*addresses.of(me), *addresses.of(me.other())),
            Self::Everybody => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()),
            Self::ResourceWorker(group @ IpAddr::V4(_), _) => {
                (Ipv4Addr::UNSPECIFIED.into(), *group)
            }
            Self::ResourceWorker(group @ IpAddr::V6(_), _) => {
                (Ipv6Addr::UNSPECIFIED.into(), *group)
            }
        }
    }

    fn prepare(&self, socket: &Socket, index: u32) -> io::Result<()> {
        match self {
            Self::Peer(addresses) if addresses.of(BoxId::First).is_ipv4() => {
                socket.set_freebind_v4(true)
            }
            Self::Peer(_) => socket.set_freebind_v6(true),
            Self::Everybody => socket.set_broadcast(true),
            Self::ResourceWorker(IpAddr::V4(group), ttl) => {
                socket.set_multicast_all_v4(false)?;
                socket.set_multicast_loop_v4(false)?;
                socket.set_multicast_ttl_v4((*ttl).into())?;
                socket.join_multicast_v4_n(group, &InterfaceIndexOrAddress::Index(index))
            }
            Self::ResourceWorker(IpAddr::V6(group), ttl) => {
                socket.set_multicast_all_v6(false)?;
                socket.set_multicast_loop_v6(false)?;
                socket.set_multicast_hops_v6((*ttl).into())?;
                socket.join_multicast_v6(group, index)
            }
        }
    }
}

/// A socket that is tied to an interface.
pub(super) struct Udp {
    socket: UdpSocket,
    interface: String,
    index: u32,
    /// The interface has lost its name, which was told.
    renamed: Cell<bool>,
    /// This box's address, where the peer's is known too.
    near: IpAddr,
    to: SocketAddr,
    /// Whether the carrier tells anything of the peer.
    direct: bool,
    /// Where the last datagram came from.
    sender: Cell<Option<IpAddr>>,
    /// How many came from elsewhere than the peer, and from where the last one.
    strangers: Cell<(u64, Option<IpAddr>)>,
}

impl Link for Udp {
    fn send(&self, frame: &[u8]) -> io::Result<()> {
        match self.socket.send_to(frame, self.to) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.not_sent(error)),
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        for _ in 0..STRANGERS_MAX {
            match self.socket.recv_from(buffer) {
                Ok((length, from)) if self.near.is_unspecified() || from.ip() == self.to.ip() => {
                    self.sender.set(Some(from.ip()));
                    return Ok(length);
                }
                Ok((_, from)) => {
                    let (count, _) = self.strangers.get();
                    self.strangers.set((count.saturating_add(1), Some(from.ip())));
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn sender(&self) -> Option<IpAddr> {
        self.sender.get()
    }

    fn strangers(&self) -> (u64, Option<IpAddr>) {
        self.strangers.take()
    }

    /// Looks whether the interface that the socket is tied to is still there, and no other one has its name.
    fn look(&self) -> io::Result<()> {
        let interface = &self.interface;
        match name_to_index(&self.socket, interface) {
            Ok(index) if index == self.index => self.renamed.set(false),
            Ok(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::NotConnected,
                    format!("{interface} was made anew: opening it again"),
                ));
            }
            // Nothing has the name. One longer than `IFNAMSIZ` is never found so.
            Err(_) => {
                let name =
                    index_to_name(&self.socket, self.index).map_err(|_| absent(interface))?;
                if interface.len() < libc::IFNAMSIZ && !self.renamed.replace(true) {
                    log::warn!(
                        "link {interface}: it is called {name} now, and works: call it {interface} again, or write \
                         interface = \"{name}\", or it is missing after the next start"
                    );
                }
            }
        }
        Ok(())
    }

    fn line(&self) -> Option<bool> {
        let flags = if self.direct { self.flags().ok()? } else { return None };
        // An interface that somebody has set down has no carrier, and tells nothing of the peer.
        (flags & libc::IFF_UP != 0).then_some(flags & libc::IFF_RUNNING != 0)
    }
}

impl Udp {
    /// How the interface is (`netdevice(7)`). Rtnetlink knows it more exactly and sooner, but its questions wait for
    /// a program that is setting up any interface of the box, and the loop waits for nobody.
    #[allow(unsafe_code)]
    fn flags(&self) -> io::Result<c_int> {
        let mut request = InterfaceRequest { name: [0; libc::IFNAMSIZ], flags: 0, rest: [0; 22] };
        let name = index_to_name(&self.socket, self.index)?;
        request.name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        // SAFETY: SIOCGIFFLAGS reads the name and writes the flags of a `struct ifreq`, and `InterfaceRequest` is
        // as large.
        unsafe { ioctl(&self.socket, Updater::<GIFFLAGS, InterfaceRequest>::new(&mut request))? };
        Ok(request.flags.into())
    }

    fn not_sent(&self, error: io::Error) -> io::Error {
        let (interface, to) = (&self.interface, self.to.ip());
        let what = match error.kind() {
            io::ErrorKind::WouldBlock => return error,
            io::ErrorKind::PermissionDenied => {
                format!("cannot send to {to} over {interface}: see whether a firewall forbids it")
            }
            _ if self.near.is_unspecified() => {
                format!("cannot send to {to}: see whether {interface} is up and has an address")
            }
            _ => {
                let near = self.near;
                format!("cannot send to {to}: see whether {interface} is up and has {near}")
            }
        };
        while_trying(what)(error)
    }
}

/// A `struct ifreq`, whose union has 24 bytes at most.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: c_short,
    rest: [u8; 22],
}

const GIFFLAGS: Opcode = libc::SIOCGIFFLAGS as Opcode;

impl AsFd for Udp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Lets heartbeats pass what waits in the queues of this box and of the switches (RFC 4594 section 3.2).
fn hurry(socket: &Socket, is_ipv4: bool) -> io::Result<()> {
    if is_ipv4 {
        socket.set_tos_v4(NETWORK_CONTROL)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_tclass_v6(NETWORK_CONTROL)?;
    }
    socket.set_priority(PRIORITY)
}

fn absent(interface: &str) -> io::Error {
    let text = format!("there is no interface {interface}: plug it in, or load its driver");
    io::Error::new(io::ErrorKind::NotFound, text)
}

/// The words that say where to send.
const WAYS: [&str; 3] = ["address", "broadcast", "multicast"];

const ONE_OF: &str = "say one of `address`, `broadcast = true`, `multicast`";

/// `ha-cluster` in the list of IANA, and the default of `udpport` in `ha.cf`.
const PORT: u16 = 694;

/// A heartbeat link is one wire.
const TTL: u8 = 1;

/// Class selector 6 in the upper six bits.
const NETWORK_CONTROL: u32 = 0xc0;

/// The highest that needs no privilege (socket(7), `SO_PRIORITY`).
const PRIORITY: u32 = 6;

/// After so many datagrams from strangers others get their turn.
const STRANGERS_MAX: usize = 64;
