//! The control socket: how operators and their programs talk to the supervisor.
//!
//! A client says one line, such as `status json` or `confirm server2`, and reads until the end: `ok` or `refused` on
//! the first line, then text for people or programs. Who may talk is decided by the socket's mode and group, and once more by
//! the credentials of the peer (`SO_PEERCRED`, unix(7)).

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use std::{fs, str};

use board::child::account::Account;
use firmware_agnostic::order::Order;
use log::LevelFilter;
use rustix::process::Gid;
use smol::channel::Sender;
use smol::future::or;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor, Timer};

use crate::config::Control;
use crate::labels::Labels;
use crate::run::Input;

/// What somebody asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Request {
    /// How is the pair doing?
    Status {
        /// For a program.
        json: bool,
    },
    /// An operator's word to the node.
    Order(Order),
    /// Log more, or less.
    Log(LevelFilter),
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the person who made it.
    fn parse(line: &str, labels: &Labels) -> Result<Self, String> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        Ok(match *words.as_slice() {
            ["status"] => Self::Status { json: false },
            ["status", "json"] => Self::Status { json: true },
            ["standby"] => Self::Order(Order::Standby),
            ["takeover"] => Self::Order(Order::Takeover),
            ["resume"] => Self::Order(Order::Resume),
            ["clear"] => Self::Order(Order::Clear),
            ["confirm", name] => {
                Self::Order(Order::Confirm(labels.find(name).ok_or_else(|| {
                    let [first, second] = labels.names().boxes;
                    format!("{name} is no box of this pair: they are {first} and {second}")
                })?))
            }
            ["log", level] => Self::Log(level.parse().map_err(|_| {
                format!("{level} is no log level: say error, warn, info, debug or trace")
            })?),
            _ => return Err(format!("{line:?} is no request that this version knows")),
        })
    }
}

/// The socket, as long as it is open.
pub(crate) struct Socket {
    listener: Async<UnixListener>,
    group: Option<Gid>,
}

/// The place of the socket, which is cleared when this is dropped.
pub(crate) struct Place(PathBuf);

impl Socket {
    /// Opens the socket that `control` names.
    ///
    /// # Errors
    ///
    /// When another supervisor answers there, or the place cannot be used: with the remedy.
    pub(crate) fn open(control: &Control) -> io::Result<(Self, Place)> {
        let path = control.socket.clone();
        let said = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("cannot open the control socket {}: {error}", path.display()),
            )
        };
        make_way(&path).map_err(said)?;
        // Nobody may connect before the mode is set.
        let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(&path);
        rustix::process::umask(mask);
        let listener = listener.map_err(said)?;
        let place = Place(path.clone());
        let group = match &control.group {
            None => None,
            Some(name) => {
                let id = Account::group(name).map_err(said)?;
                std::os::unix::fs::chown(&path, None, Some(id.as_raw())).map_err(said)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).map_err(said)?;
                Some(id)
            }
        };
        Ok((Self { listener: Async::new(listener)?, group }, place))
    }

    /// Serves everybody who comes, for ever.
    pub(crate) async fn serve(
        self,
        executor: Rc<LocalExecutor<'static>>,
        labels: Rc<Labels>,
        inputs: Sender<Input>,
    ) {
        let (places, place) = smol::channel::bounded(CLIENTS_MAX);
        loop {
            // A client too many waits until another one is done.
            let _ = places.send(()).await;
            let accepted = self.listener.read_with(UnixListener::accept).await;
            let (place, labels, inputs) = (place.clone(), labels.clone(), inputs.clone());
            match accepted.and_then(|(stream, _)| self.admit(stream)) {
                Ok(stream) => {
                    let patience = async {
                        Timer::after(CLIENT_TIME).await;
                        Err(io::ErrorKind::TimedOut.into())
                    };
                    let client = async move {
                        let served = or(serve(stream, &labels, &inputs), patience).await;
                        if let Err(error) = served {
                            log::debug!("control socket: {error}");
                        }
                        let _ = place.recv().await;
                    };
                    executor.spawn(client).detach();
                }
                Err(error) => {
                    log::warn!("control socket: {error}");
                    let _ = place.recv().await;
                    // Out of descriptors: they come back, and spinning brings none.
                    Timer::after(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn admit(&self, stream: UnixStream) -> io::Result<Async<UnixStream>> {
        let peer = rustix::net::sockopt::socket_peercred(&stream)?;
        let me = rustix::process::geteuid();
        let known = peer.uid.is_root()
            || peer.uid == me
            // The kernel has checked the group by the socket's mode; this is about sockets that were made for nobody.
            || self.group.is_some();
        if known {
            Async::new(stream)
        } else {
            let reason = format!("user {} may not use it", peer.uid.as_raw());
            Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The next supervisor makes way for itself if this fails.
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes a socket that nobody listens to any more.
fn make_way(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::other("something else is there: remove it, or name another socket"));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::other("another supervisor answers there: this box runs already")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

async fn serve(
    mut stream: Async<UnixStream>,
    labels: &Labels,
    inputs: &Sender<Input>,
) -> io::Result<()> {
    let answer = match Request::parse(&line(&mut stream).await?, labels) {
        Ok(request) => {
            let (reply, answer) = smol::channel::bounded(1);
            inputs.send(Input::Request(request, reply)).await.map_err(io::Error::other)?;
            answer.recv().await.map_err(io::Error::other)?
        }
        Err(reason) => format!("refused\n{reason}\n"),
    };
    stream.write_all(answer.as_bytes()).await
}

/// The first line that the client says, without its end.
async fn line(stream: &mut Async<UnixStream>) -> io::Result<String> {
    let mut bytes = [0; LINE_MAX];
    let mut length = 0;
    loop {
        let free = bytes.get_mut(length..).filter(|free| !free.is_empty());
        let free = free.ok_or_else(|| io::Error::other("a request is one short line"))?;
        let count = stream.read(free).await?;
        length += count;
        let said = bytes.get(..length).unwrap_or_default();
        if count == 0 || said.contains(&b'\n') {
            let line = said.split(|byte| *byte == b'\n').next().unwrap_or_default();
            return str::from_utf8(line).map(str::to_owned).map_err(io::Error::other);
        }
    }
}

/// Enough for a few people and the site's monitoring.
const CLIENTS_MAX: usize = 16;
/// A client that neither asks nor reads is hung up on.
const CLIENT_TIME: Duration = Duration::from_secs(5);
/// The longest request names a box.
const LINE_MAX: usize = 256;
