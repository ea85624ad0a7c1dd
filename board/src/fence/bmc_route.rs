//! Finds the route to a BMC, and tells a silent BMC from a broken route.
//!
//! A BMC that is silent is a sign that its box has lost its power (`takeover.require = "dark"`), and one that this box
//! has no way to is none: it counts as unknown. The kernel knows of the first piece of the way, its own interface; of a
//! switch behind it nobody tells.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::is_silent;
use crate::config::table::Table;
use crate::net::netlink::Netlink;

/// How a BMC is reached.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    /// Its address and port.
    pub(super) to: SocketAddr,
    /// The cable to it has nothing in between, so that without power it takes the carrier with it.
    direct: bool,
}

impl Reach {
    /// Reads where the BMC is.
    pub(super) fn read(table: &mut Table<'_>, port: u16) -> Option<Self> {
        let host: Option<IpAddr> = table.require("host");
        let port = table.get_or("port", port);
        let direct = table.get_or("direct", false);
        Some(Self { to: SocketAddr::new(host?, port), direct })
    }

    /// The error of a question that failed: where the way is down, that is why, and not a silence of the BMC.
    pub(super) fn blame(&self, error: io::Error) -> io::Error {
        if self.direct || !is_silent(&error) {
            return error;
        }
        let reason = match Netlink::open().and_then(|mut netlink| netlink.way_to(self.to.ip())) {
            Ok(Some(way)) if !way.up => format!("{}, which leads to it, is down", way.name),
            Ok(Some(way)) if !way.carrier => {
                format!("{}, which leads to it, has no carrier: look at its cable", way.name)
            }
            Ok(None) => "this box has no route to it".to_owned(),
            // As far as is known the way is whole.
            Ok(Some(_)) | Err(_) => return error,
        };
        io::Error::new(io::ErrorKind::NetworkDown, reason)
    }
}
