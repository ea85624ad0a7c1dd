//! Tells init how this box is doing.
//!
//! By datagrams to the socket that it names in `NOTIFY_SOCKET`, as systemd and its like take them (`sd_notify(3)`).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The socket of an init that wants to be told.
#[derive(Debug)]
pub struct InitSocket(UnixDatagram);

impl InitSocket {
    /// The socket that init has named in our environment, if it has.
    pub fn of_init() -> Option<Self> {
        let path = std::env::var_os("NOTIFY_SOCKET")?;
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        let connected = match path.as_bytes().strip_prefix(b"@") {
            Some(name) => {
                SocketAddr::from_abstract_name(name).and_then(|to| socket.connect_addr(&to))
            }
            None => socket.connect(&path),
        };
        connected.ok().map(|()| Self(socket))
    }

    /// Says `text`, without waiting. That init does not listen is its own affair.
    pub fn tell(&self, text: &str) {
        let _ = self.0.send(text.as_bytes());
    }
}
