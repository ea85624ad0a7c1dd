//! A connection that is encrypted, and waits through a [`Deadline`] for everything.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::http::{self, HttpResponse};
use crate::thread::deadline::Deadline;

/// An open connection.
pub(super) struct Stream {
    tcp: TcpStream,
    tls: ClientConnection,
}

impl Stream {
    /// Connects to `to`, which must be `name`. What it says of itself is looked at with the first question.
    ///
    /// # Errors
    ///
    /// When it cannot be reached, or not in time.
    pub(super) fn open(
        to: SocketAddr,
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
        patience: &Deadline,
    ) -> io::Result<Self> {
        let tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        let reached = match rustix::net::connect(&socket, &to) {
            Err(Errno::INPROGRESS) => {
                patience.writable(socket.as_fd())?;
                rustix::net::sockopt::socket_error(&socket)?
            }
            other => other,
        };
        reached.map_err(|error| {
            io::Error::new(
                io::Error::from(error).kind(),
                format!("{to} cannot be reached: {error}"),
            )
        })?;
        let tcp = TcpStream::from(socket);
        tcp.set_nodelay(true)?;
        Ok(Self { tcp, tls })
    }

    /// Sends a request, and waits for the whole answer.
    ///
    /// # Errors
    ///
    /// When there is none, or not in time; the connection is of no use any more.
    pub(super) fn ask(&mut self, request: &[u8], patience: &Deadline) -> io::Result<HttpResponse> {
        self.tls.writer().write_all(request)?;
        let mut answer = Vec::new();
        loop {
            while self.tls.wants_write() {
                match self.tls.write_tls(&mut self.tcp) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        patience.writable(self.tcp.as_fd())?;
                    }
                    other => drop(other?),
                }
            }
            patience.readable(&[self.tcp.as_fd()])?;
            let ended = match self.tls.read_tls(&mut self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                other => other? == 0,
            };
            let told = self.tls.process_new_packets().map_err(io::Error::other);
            if told.is_err() {
                // The other end is told why; that it is told matters less than the reason.
                let _ = self.tls.write_tls(&mut self.tcp);
            }
            let ended = ended || told?.peer_has_closed();
            self.take(&mut answer)?;
            if let Some(response) = http::parse(&answer, ended)? {
                return Ok(response);
            }
            if ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Takes what has been decrypted.
    fn take(&mut self, answer: &mut Vec<u8>) -> io::Result<()> {
        let mut chunk = [0; 4096];
        loop {
            match self.tls.reader().read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(length) => answer.extend_from_slice(chunk.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Closed without a word: the answer itself says whether it is whole.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
            if answer.len() > ANSWER_MAX {
                return Err(io::Error::other("the BMC's answer does not end"));
            }
        }
    }
}

/// A system with all that is said of it is a few kilobytes.
const ANSWER_MAX: usize = 256 * 1024;
