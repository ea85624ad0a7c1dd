//! Takes the connections at the control socket, on a thread of its own: those who may ask nothing are told so here,
//! those who come too often wait or are told so too, and the loop gets the others.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use board::host::peer_credentials::Caller;
use board::thread::deadline::Deadline;
use board::thread::fd_reserve::Reserve;
use smol::channel::Sender;

use super::Client;
use super::access::AccessGroups;
use super::quota::{Full, Seat, Seats};
use super::socket::{OwnedSocket, SocketState};
use crate::config::ControlConfig;
use crate::control::client::{DENIED, VIEWERS};

/// What runs on the thread.
pub(super) struct Acceptor {
    place: SocketState,
    doors: AccessGroups,
    seats: Seats,
    clients: Sender<Client>,
    hurry: Sender<()>,
    /// For one who asks although no file can be opened any more.
    spare: Reserve,
}

impl Acceptor {
    /// Opens what `control` names.
    ///
    /// # Errors
    ///
    /// When another supervisor has the place, or it cannot be used.
    pub(super) fn open(
        control: &ControlConfig,
        clients: Sender<Client>,
        hurry: Sender<()>,
    ) -> io::Result<(Self, OwnedSocket)> {
        let doors = AccessGroups::open(control)?;
        let mut endings = vec![("", doors.operators())];
        // A file has one group.
        endings.extend(doors.viewers().map(|group| (VIEWERS, Some(group))));
        let (place, held) = SocketState::take(&control.socket, &endings)?;
        let spare = Reserve::new("control socket", 1)?;
        Ok((Self { place, doors, seats: Seats::default(), clients, hurry, spare }, held))
    }

    /// Takes everybody who comes, until the place is given up.
    pub(super) fn work(mut self) {
        let mut look = Deadline::new(LOOK);
        loop {
            if look.left().is_zero() {
                self.place.restore();
                look = Deadline::new(LOOK);
            }
            let listeners = self.place.listeners();
            if listeners.is_empty() {
                return;
            }
            let ready: Vec<_> = listeners.iter().map(|listener| listener.as_fd()).collect();
            // Whether somebody came or nobody did in time, all are asked.
            let _ = look.readable(&ready);
            for listener in &listeners {
                if let Err(error) = self.take_one(listener)
                    && error.kind() != io::ErrorKind::WouldBlock
                {
                    log::debug!("control socket: {error}");
                    // Spinning mends no error.
                    thread::sleep(SPIN);
                }
            }
        }
    }

    /// Takes one connection, so that nobody waits behind those who come by another socket.
    fn take_one(&mut self, listener: &Arc<UnixListener>) -> io::Result<()> {
        self.spare.spend();
        let accepted = listener.accept();
        let plenty = self.spare.restore();
        let (stream, _) = accepted?;
        // Those who have got in by the last file are served alone.
        let at_most = (!plenty).then_some(ALONE_MAX);
        self.admit(stream, at_most);
        if !plenty {
            self.seats.wait_for_all();
        }
        Ok(())
    }

    fn admit(&self, stream: UnixStream, at_most: Option<Duration>) {
        let Ok(caller) = Caller::of(&stream) else { return };
        match self.doors.may(&caller) {
            Ok(may) => match self.seat(&caller) {
                Ok(seat) => {
                    let client = Client { stream, may, at_most, _seat: seat };
                    let _ = self.clients.send_blocking(client);
                }
                Err(full) => say(stream, &format!("refused\n{full}\n")),
            },
            Err(reason) => {
                log::debug!("control socket: user {}: {reason}", caller.uid.as_raw());
                say(stream, &format!("{DENIED}{reason}\n"));
            }
        }
    }

    /// A seat for `caller`. Root waits until there is one, and the one that has said nothing for longest makes way.
    fn seat(&self, caller: &Caller) -> Result<Seat, Full> {
        let trusted = AccessGroups::trusts(caller);
        loop {
            match self.seats.take(caller.uid, trusted) {
                Err(Full::All) if trusted => {
                    let _ = self.hurry.try_send(());
                    self.seats.wait(COURTESY);
                }
                Err(Full::All) => {
                    let _ = self.hurry.try_send(());
                    self.seats.wait(COURTESY);
                    return self.seats.take(caller.uid, trusted);
                }
                taken => return taken,
            }
        }
    }
}

/// A line always finds room in a socket that is new, or the caller has hung up.
fn say(mut stream: UnixStream, text: &str) {
    let _ = stream.set_nonblocking(true).and_then(|()| stream.write_all(text.as_bytes()));
}

/// The asker says so at once; only where others wait is nobody waited for.
const COURTESY: Duration = Duration::from_millis(10);
/// Over a network a question and its answer take seconds.
const ALONE_MAX: Duration = Duration::from_secs(60);
/// So soon it is seen that somebody has removed the socket.
const LOOK: Duration = Duration::from_secs(2);
/// When something fails, it is not tried more often.
const SPIN: Duration = Duration::from_millis(100);
