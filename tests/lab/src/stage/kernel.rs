//! Asks the kernel for namespaces.
//!
//! Namespaces, Ethernet ports whose cable is held by the lab (TAP), and interface addresses, by the few calls that
//! have no safe form elsewhere. The addresses go through the old `ioctl` of `netdevice(7)` on purpose: the product
//! sets them by netlink, and a judge should not look through the eyes of the judged.

use std::ffi::c_int;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::thread::UnshareFlags;

/// Moves the calling thread into new namespaces (`unshare(2)`); with `NEWPID`, its next child is pid 1 of one.
///
/// # Errors
///
/// When the kernel does not allow it.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: descriptors stay shared, which is all that is asked for.
    #[allow(unsafe_code)]
    let done = unsafe { rustix::thread::unshare_unsafe(flags) };
    Ok(done?)
}

/// The far end of the Ethernet port of a box: what the box sends is read here, what is written here it receives.
#[derive(Debug)]
pub(crate) struct Tap(OwnedFd);

impl Tap {
    /// Puts a port called `name` into the network namespace of the calling thread (`tun(4)`).
    ///
    /// # Errors
    ///
    /// When there is no `/dev/net/tun`, or it is not ours to open.
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        let tap = rustix::fs::open(
            TUN,
            OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mut request = Request::new(name);
        request.put(&((libc::IFF_TAP | libc::IFF_NO_PI) as i16).to_ne_bytes());
        request.ask(&tap, libc::TUNSETIFF)?;
        Ok(Self(tap))
    }

    /// Says to the box whether the plug is in.
    ///
    /// # Errors
    ///
    /// When the box is gone.
    pub(crate) fn set_carrier(&self, on: bool) -> io::Result<()> {
        let mut carrier = c_int::from(on);
        // SAFETY: this request reads one int.
        #[allow(unsafe_code)]
        let answer =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TUNSETCARRIER, &raw mut carrier) };
        told(answer)
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The interfaces of one network namespace: the one that the making thread was in, for ever.
#[derive(Debug)]
pub(crate) struct Interfaces(UdpSocket);

impl Interfaces {
    /// Looks into the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// When the kernel has no descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        // Not bound to anything yet: a handle, which works without any interface being up.
        let handle = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::DGRAM,
            None,
        )?;
        Ok(Self(handle.into()))
    }

    /// Switches an interface on.
    ///
    /// # Errors
    ///
    /// When there is none of that name.
    pub(crate) fn up(&self, name: &str) -> io::Result<()> {
        let mut request = Request::new(name);
        request.put(&((libc::IFF_UP | libc::IFF_RUNNING) as i16).to_ne_bytes());
        request.ask(&self.0, libc::SIOCSIFFLAGS)
    }

    /// Gives an interface its hardware address, so that a box keeps it from boot to boot as a real one does.
    ///
    /// # Errors
    ///
    /// When there is none of that name.
    pub(crate) fn set_hardware(&self, name: &str, address: [u8; 6]) -> io::Result<()> {
        let mut request = Request::new(name);
        let [low, high] = libc::ARPHRD_ETHER.to_ne_bytes();
        let mut value = vec![low, high];
        value.extend(address);
        request.put(&value);
        request.ask(&self.0, libc::SIOCSIFHWADDR)
    }

    /// Gives an interface its address; a further one under a label, such as `eth0:1`.
    ///
    /// # Errors
    ///
    /// When there is none of that name.
    pub(crate) fn set_address(&self, name: &str, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut request = Request::new(name);
        request.put(&socket_address(address));
        request.ask(&self.0, libc::SIOCSIFADDR)?;
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        request.put(&socket_address(mask.into()));
        request.ask(&self.0, libc::SIOCSIFNETMASK)
    }

    /// Whether an interface is on and its plug is in.
    ///
    /// # Errors
    ///
    /// When there is none of that name.
    pub(crate) fn carrier(&self, name: &str) -> io::Result<bool> {
        let mut request = Request::new(name);
        request.ask(&self.0, libc::SIOCGIFFLAGS)?;
        let [low, high, ..] = request.value;
        Ok(c_int::from(i16::from_ne_bytes([low, high])) & libc::IFF_RUNNING != 0)
    }

    /// Every IPv4 address of the namespace.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub(crate) fn addresses(&self) -> io::Result<Vec<Ipv4Addr>> {
        const STRIDE: usize = size_of::<libc::ifreq>();
        const ENTRIES: usize = 32;
        let mut table = [0u8; ENTRIES * STRIDE];
        let mut request = libc::ifconf {
            ifc_len: c_int::try_from(table.len()).map_err(io::Error::other)?,
            ifc_ifcu: libc::__c_anonymous_ifc_ifcu { ifcu_buf: table.as_mut_ptr().cast() },
        };
        // SAFETY: this request fills the buffer of the told length, and says how much of it.
        #[allow(unsafe_code)]
        let answer =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SIOCGIFCONF, &raw mut request) };
        told(answer)?;
        let filled = usize::try_from(request.ifc_len).unwrap_or(0);
        Ok(table.chunks_exact(STRIDE).take(filled / STRIDE).filter_map(address_in).collect())
    }
}

/// `struct ifreq` (`netdevice(7)`): the name of an interface, and what is asked or told about it.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    value: [u8; 24],
}

impl Request {
    fn new(name: &str) -> Self {
        let mut request = Self { name: [0; _], value: [0; _] };
        // The last byte stays 0, as the kernel wants it.
        for (place, byte) in request.name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
            *place = byte;
        }
        request
    }

    fn put(&mut self, value: &[u8]) {
        for (place, byte) in self.value.iter_mut().zip(value) {
            *place = *byte;
        }
    }

    /// Only for the requests that this file makes: each of them takes a `struct ifreq`.
    fn ask(&mut self, descriptor: impl AsFd, request: libc::Ioctl) -> io::Result<()> {
        let descriptor = descriptor.as_fd().as_raw_fd();
        // SAFETY: `self` is laid out as, and at least as long as, the `struct ifreq` that these requests take.
        #[allow(unsafe_code)]
        let answer = unsafe { libc::ioctl(descriptor, request, std::ptr::from_mut(self)) };
        told(answer)
    }
}

/// `struct sockaddr_in` with port 0 (`ip(7)`).
fn socket_address(address: Ipv4Addr) -> [u8; 8] {
    let [low, high] = (libc::AF_INET as u16).to_ne_bytes();
    let [a, b, c, d] = address.octets();
    [low, high, 0, 0, a, b, c, d]
}

/// The address in one `struct ifreq` that the kernel filled in.
fn address_in(entry: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = entry.get(libc::IFNAMSIZ + 4..libc::IFNAMSIZ + 8)?.try_into().ok()?;
    Some(octets.into())
}

fn told(answer: c_int) -> io::Result<()> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The door to TAP devices.
pub(crate) const TUN: &str = "/dev/net/tun";
