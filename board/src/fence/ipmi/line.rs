//! The socket to a BMC, and the conversation over it.
//!
//! What was begun in the BMC is ended when a line is dropped. A process that ends drops nothing of what its other
//! threads hold, so that it says [`hang_up`] before: a BMC has few places, and keeps each for a minute.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::PORT;
use super::config::Config;
use super::error::Error;
use super::exchange::{Exchange, Step};
use super::message::IpmiRequest;
use super::secrets::Secrets;
use super::suite::Suite;
use crate::thread::deadline::Deadline;
use crate::time::clock::Clock;

/// What goes to the BMC, and what is said over it.
pub(super) struct BmcSocket {
    socket: UdpSocket,
    secrets: Secrets,
    exchange: Mutex<Exchange>,
}

impl BmcSocket {
    /// Nothing is said yet. `known` is the suite by which the BMC was asked before.
    pub(super) fn open(config: &Config, known: Option<Suite>) -> io::Result<Arc<Self>> {
        let to = config.reach.to;
        let near = match to {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind((near, 0))?;
        // From now on the kernel drops what comes from any other address.
        socket.connect(to).map_err(|error| unreachable(&error))?;
        socket.set_nonblocking(true)?;
        let login = config.login()?;
        let secrets = Secrets { password: login.password.clone(), key: login.key.clone() };
        let exchange = Mutex::new(Exchange::new(login, config.way, known, random));
        let line = Arc::new(Self { socket, secrets, exchange });
        let mut open = lock(&OPEN);
        open.retain(|line| line.strong_count() > 0);
        open.push(Arc::downgrade(&line));
        Ok(line)
    }

    /// Asks, and waits for the end of it. The outer error is ours or the network's, the inner one the BMC's.
    pub(super) fn ask(
        &self,
        request: IpmiRequest,
        patience: &Deadline,
    ) -> io::Result<Result<Vec<u8>, Error>> {
        let now = Clock.now();
        let mut step = self.exchange().ask(request, now, now + patience.left());
        let mut buffer = [0; DATAGRAM_MAX];
        // What the network said of a datagram, last.
        let mut trouble = None;
        loop {
            for datagram in &step.send {
                // What cannot be sent now is sent again, as what was lost.
                trouble = self.socket.send(datagram).err().or(trouble);
            }
            match (step.end, &trouble) {
                (Some(Err(Error::Silent(_))), Some(trouble)) => return Err(unreachable(trouble)),
                (Some(end), _) => return Ok(end),
                (None, _) => {}
            }
            step = self.next(&mut buffer, &mut trouble, patience)?;
        }
    }

    fn next(
        &self,
        buffer: &mut [u8],
        trouble: &mut Option<io::Error>,
        patience: &Deadline,
    ) -> io::Result<Step> {
        // Nothing is asked any more when another thread has hung up.
        let wake = self.exchange().wake().ok_or(io::ErrorKind::Interrupted)?;
        let waited = patience.at_most(wake - Clock.now()).readable(&[self.socket.as_fd()]);
        match waited {
            Ok(_) => match self.socket.recv(buffer) {
                Ok(length) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    Ok(self.exchange().heard(datagram, Clock.now()))
                }
                // Nobody listens there, yet: a BMC that starts says so too.
                Err(error) => {
                    *trouble = Some(error);
                    Ok(self.exchange().late(Clock.now()))
                }
            },
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Ok(self.exchange().late(Clock.now()))
            }
            Err(error) => {
                self.exchange().call_off();
                Err(error)
            }
        }
    }

    /// What the present login is signed with.
    pub(super) const fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The session that is open.
    pub(super) fn session(&self) -> Option<u32> {
        self.exchange().session()
    }

    /// The suite of that session.
    pub(super) fn suite(&self) -> Option<Suite> {
        self.exchange().suite()
    }

    /// Whether the next question goes on with what was begun.
    pub(super) fn is_kept(&self) -> bool {
        self.exchange().is_kept()
    }

    /// Ends what was begun, so that its places in the BMC are free. Nobody waits for an answer.
    fn close(&self) {
        for farewell in self.exchange().close() {
            let _ = self.socket.send(&farewell);
        }
    }

    fn exchange(&self) -> MutexGuard<'_, Exchange> {
        lock(&self.exchange)
    }
}

impl Drop for BmcSocket {
    fn drop(&mut self) {
        self.close();
    }
}

/// Ends all sessions with BMCs that this process has, in all its threads. A thread that asks on begins another one.
pub fn hang_up() {
    let open: Vec<_> = lock(&OPEN).iter().filter_map(Weak::upgrade).collect();
    for line in open {
        line.close();
    }
}

/// Every line of this process.
static OPEN: Mutex<Vec<Weak<BmcSocket>>> = Mutex::new(Vec::new());

/// An address as people write it: the port only where it is not the usual one.
pub(super) struct ShownAddress(pub(super) SocketAddr);

impl fmt::Display for ShownAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.port() == PORT { self.0.ip().fmt(f) } else { self.0.fmt(f) }
    }
}

fn unreachable(error: &io::Error) -> io::Error {
    let reason = if error.kind() == io::ErrorKind::ConnectionRefused {
        "nobody listens there: see whether IPMI over LAN is switched on, and at this port"
            .to_owned()
    } else {
        format!("there is no way to it: {error}; look at the network of this box")
    };
    io::Error::new(error.kind(), reason)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random(bytes: &mut [u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        // Fails only before the kernel has collected enough, and then waits.
        let filled = rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty());
        rest = rest.get_mut(filled.unwrap_or(0)..).unwrap_or_default();
    }
}

/// What is longer than any answer of IPMI is none.
const DATAGRAM_MAX: usize = 1024;
