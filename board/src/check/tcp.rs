//! Whether somebody accepts a connection. Nothing is said on it. This file is the model for a new check.

use std::io;
use std::net::{SocketAddr, TcpStream};

use super::Check;
use crate::config::table::Table;
use crate::thread::deadline::Deadline;

/// `kind = "tcp"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    to: SocketAddr,
}

impl Config {
    /// Reads the words of a connection.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let said: String = table.require("to")?;
        let to = said.parse().ok();
        if to.is_none() {
            table.error(
                "to",
                "is no address with a port, such as \"203.0.113.1:53\" or \"[2001:db8::1]:53\"",
            );
        }
        Some(Self { to: to? })
    }

    /// The check; nothing is connected yet.
    pub const fn open(&self) -> Tcp {
        Tcp { to: self.to }
    }
}

/// A connection that is made and closed.
pub struct Tcp {
    to: SocketAddr,
}

impl Check for Tcp {
    fn ask(&mut self, patience: &Deadline) -> io::Result<()> {
        let time = patience.left();
        if time.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        TcpStream::connect_timeout(&self.to, time)
            .map(drop)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.to)))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_listener_answers_until_it_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut tcp = Tcp { to: listener.local_addr().unwrap() };
        tcp.ask(&Deadline::new(Duration::from_secs(60))).unwrap();
        drop(listener);
        let error = tcp.ask(&Deadline::new(Duration::from_secs(60))).unwrap_err();
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
}
