//! Asks the neighbours on the wire who has an address, and tells them where it is.
//!
//! Every neighbour remembers which network card an address belongs to. Before this box takes an address it
//! asks the wire whether somebody has it (*probe*); afterwards it tells everybody that it is here now
//! (*announce*), and keeps an ear open for others who say the same (*claim*).
//!
//! | | IPv4: ARP | IPv6: neighbour discovery |
//! |---|---|---|
//! | probe | request from 0.0.0.0 (RFC 5227, 2.1.1) | solicitation from `::` (RFC 4862, 5.4.2) |
//! | announce | request and reply from it to itself (RFC 5944, 4.6) | overriding advertisement (RFC 4861, 7.2.6) |
//! | claim | any packet from the address | advertisement of the address |
//!
//! A probe by another box is no claim: two boxes that ask at the same time would both give up. Only a question waits
//! ([`Neighbours::ask`], [`proxy`]).

mod frame;
mod question;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{bind, recv, send, socket_with};
use socket2::{SockFilter, SockRef};

pub use self::frame::claim;
use self::frame::{ADVERTISED, ARP, ARP_SENDER, IPV6, NOBODY, REPLY, REQUEST};
use self::frame::{advertisement, arp, solicitation};
pub use self::question::{Proxy, proxy};
use crate::net::netlink::Mac;

/// An ear and a mouth on one Ethernet, for one address.
///
/// Closing one can take the kernel tens of milliseconds (it waits until no processor looks at it any more), so
/// keep it where time matters.
pub struct Neighbours {
    socket: OwnedFd,
    index: u32,
    address: IpAddr,
}

impl Neighbours {
    /// Listens for claims of `address` on the interface numbered `index`.
    ///
    /// # Errors
    ///
    /// When twobox lacks `CAP_NET_RAW`, or the interface is gone.
    pub fn open(index: u32, address: IpAddr) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Without a protocol it hears nothing until it is bound; by then the filter is in place.
        let socket =
            socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None).map_err(explain)?;
        SockRef::from(&socket).attach_filter(&claims_of(address))?;
        let protocol = if address.is_ipv4() { ARP } else { IPV6 };
        bind(&socket, &CardAddress::new(index, protocol))?;
        Ok(Self { socket, index, address })
    }

    /// The number of the interface that it listens on.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Asks who has the address, without telling that this box wants it.
    ///
    /// # Errors
    ///
    /// When the interface is down or gone.
    pub fn probe(&self, mac: Mac) -> io::Result<()> {
        match self.address {
            IpAddr::V4(address) => {
                self.say(&arp(REQUEST, (mac, Ipv4Addr::UNSPECIFIED), (NOBODY, address)))
            }
            IpAddr::V6(address) => self.say(&solicitation(mac, address)),
        }
    }

    /// Tells everybody that the address is at `mac` now; a box that `routes` says so.
    ///
    /// # Errors
    ///
    /// When the interface is down or gone.
    pub fn announce(&self, mac: Mac, routes: bool) -> io::Result<()> {
        match self.address {
            // Some neighbours believe only the one form, some only the other.
            IpAddr::V4(address) => {
                self.say(&arp(REQUEST, (mac, address), (NOBODY, address)))?;
                self.say(&arp(REPLY, (mac, address), (mac, address)))
            }
            IpAddr::V6(address) => self.say(&advertisement(mac, address, routes)),
        }
    }

    /// The next claim that was heard, or `None` when there is no more.
    ///
    /// # Errors
    ///
    /// When the interface is gone.
    pub fn claim(&self) -> io::Result<Option<Mac>> {
        loop {
            let mut frame = [0; FRAME_MAX];
            match recv(&self.socket, &mut frame, RecvFlags::empty()) {
                Ok((_, length)) => {
                    let claim = frame.get(..length).and_then(|frame| claim(frame, self.address));
                    if claim.is_some() {
                        return Ok(claim);
                    }
                }
                Err(Errno::AGAIN) => return Ok(None),
                // That the interface has been down in the meantime is told once.
                Err(Errno::INTR | Errno::NETDOWN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn say(&self, frame: &[u8]) -> io::Result<()> {
        send(&self.socket, frame, SendFlags::empty())?;
        Ok(())
    }
}

impl AsFd for Neighbours {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A filter that lets only frames with `address` in the place of a claim into the socket: a busy network would fill
/// it otherwise, and the one frame that matters would find no room.
fn claims_of(address: IpAddr) -> Vec<SockFilter> {
    let (place, octets) = match address {
        IpAddr::V4(address) => (ARP_SENDER, address.octets().to_vec()),
        IpAddr::V6(address) => (ADVERTISED, address.octets().to_vec()),
    };
    let (load, compare, finish) = (
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    );
    let mut filter = Vec::new();
    for (i, word) in octets.chunks_exact(4).enumerate() {
        let word = word.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        filter.push(SockFilter::new(load as u16, 0, 0, (place + 4 * i) as u32));
        // Equal: over the next instruction, which refuses.
        filter.push(SockFilter::new(compare as u16, 1, 0, word));
        filter.push(SockFilter::new(finish as u16, 0, 0, 0));
    }
    filter.push(SockFilter::new(finish as u16, 0, 0, FRAME_MAX as u32));
    filter
}

/// An interface and a protocol to listen to: `struct sockaddr_ll` (`packet(7)`).
struct CardAddress(libc::sockaddr_ll);

impl CardAddress {
    fn new(index: u32, protocol: u16) -> Self {
        Self(libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: protocol.to_be(),
            sll_ifindex: index.cast_signed(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        })
    }
}

// SAFETY: the pointer is to a whole `sockaddr_ll`, is valid for as long as `self`, and goes with its size.
#[allow(unsafe_code)]
unsafe impl SocketAddrArg for CardAddress {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        f(ptr::from_ref(&self.0).cast(), size_of_val(&self.0) as SocketAddrLen)
    }
}

fn explain(errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    match errno {
        Errno::PERM => {
            io::Error::new(error.kind(), "operation not permitted; twobox needs CAP_NET_RAW")
        }
        _ => error,
    }
}

/// An advertisement with its one option takes 86 bytes, an ARP frame 60 with padding; more than this is not looked at.
const FRAME_MAX: usize = 128;
