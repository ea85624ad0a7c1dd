//! Plays the service of the pair in the lab.
//!
//! The smallest service whose failover can be measured: every question (a UDP datagram) is answered from the address
//! that it was sent to, with itself and the name of the box behind it.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

/// Answers at `address` until the process is killed.
///
/// # Errors
///
/// When the port is taken, or the process that wants to know that the service is ready cannot be told.
pub fn serve(address: Ipv4Addr) -> io::Result<()> {
    let service = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // The service may be there before its address is.
    sockopt::set_ip_freebind(&service, true)?;
    bind(&service, &SocketAddrV4::new(address, PORT))?;
    let service = UdpSocket::from(service);
    let name = rustix::system::uname().nodename().to_bytes().to_vec();
    say_ready()?;
    let mut packet = [0u8; 512];
    loop {
        let (length, client) = match service.recv_from(&mut packet) {
            Ok(question) => question,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut answer: Vec<u8> = packet.into_iter().take(length).collect();
        answer.extend_from_slice(&name);
        // A client that cannot be reached asks again.
        let _ = service.send_to(&answer, client);
    }
}

/// Tells the supervisor that questions will be answered from now on (`sd_notify(3)`).
fn say_ready() -> io::Result<()> {
    let Some(whom) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = notify_address(&whom)?;
    UnixDatagram::unbound()?.send_to_addr(b"READY=1\n", &address)?;
    Ok(())
}

fn notify_address(whom: &OsString) -> io::Result<SocketAddr> {
    match whom.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(whom),
    }
}

/// The port of the echo protocol (RFC 862), whose answers ours begin with.
pub(crate) const PORT: u16 = 7;
