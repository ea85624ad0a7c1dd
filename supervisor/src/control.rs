//! The control socket: how operators and their programs talk to the supervisor.
//!
//! A client says one line, such as `status json` or `confirm server2`, and reads until the end: `ok` or `refused` on
//! the first line, then text for people or programs. Who may talk is decided by who they were when they connected
//! ([`Caller`]): root and the operators' group may ask and order, the viewers' group may ask, and nobody else may anything.
//! What they have become since, and who has their process number now, does not matter.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use std::{fs, str};

use board::caller::Caller;
use board::patience::Patience;
use board::reserve::Reserve;
use firmware_agnostic::report::Time;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::or;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor, Timer};

use crate::client::DENIED;
use crate::config::Control;
use crate::labels::Labels;
use crate::request::Request;
use crate::run::Input;

mod doors;

use doors::{Doors, May};

/// The socket, as long as it is open.
pub(crate) struct Socket {
    listener: Async<UnixListener>,
    doors: Doors,
    /// For one who asks although no file can be opened any more.
    spare: Reserve,
}

/// The place of the socket, which is nobody else's until this is dropped, and is cleared then.
pub(crate) struct Place {
    path: PathBuf,
    lock: File,
}

impl Socket {
    /// Opens the socket that `control` names.
    ///
    /// # Errors
    ///
    /// When another supervisor has the place, or it cannot be used: with the remedy.
    pub(crate) fn open(control: &Control) -> io::Result<(Self, Place)> {
        let path = control.socket.clone();
        let said = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("cannot open the control socket {}: {error}", path.display()),
            )
        };
        let place = Place::take(&path).map_err(said)?;
        // Nobody may connect before the mode is set.
        let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(&path);
        rustix::process::umask(mask);
        let listener = listener.map_err(said)?;
        let doors = Doors::open(control).map_err(said)?;
        if doors.open_to_groups() {
            // A file has one group, and here there may be two: the caller is looked at instead.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).map_err(said)?;
        }
        let spare = Reserve::new("control socket", 1)?;
        Ok((Self { listener: Async::new(listener)?, doors, spare }, place))
    }

    /// Serves everybody who comes, for ever.
    pub(crate) async fn serve(
        mut self,
        executor: Rc<LocalExecutor<'static>>,
        labels: Rc<Labels>,
        inputs: Sender<Input>,
    ) {
        let (places, place) = bounded(CLIENTS_MAX);
        let (hurry, hurried) = bounded(1);
        loop {
            // A client too many waits until another one is done, and the one that has said nothing for longest makes way.
            let urge = async {
                loop {
                    Timer::after(COURTESY).await;
                    let _ = hurry.try_send(());
                }
            };
            let _ = or(places.send(()), urge).await;
            let _ = hurried.try_recv();
            let ready = self.listener.readable().await;
            self.spare.spend();
            let accepted = ready.and_then(|()| self.listener.get_ref().accept());
            let plenty = self.spare.restore();
            let (place, hurried) = (place.clone(), hurried.clone());
            let (labels, inputs) = (labels.clone(), inputs.clone());
            match accepted.and_then(|(stream, _)| self.admit(stream)) {
                Ok(None) => drop(place.recv().await),
                Ok(Some((stream, may))) => {
                    let most = (!plenty).then_some(ALONE_MAX);
                    let client = async move {
                        let served = serve(stream, &may, &hurried, &labels, &inputs, most).await;
                        if let Err(error) = served {
                            log::debug!("control socket: {error}");
                        }
                        let _ = place.recv().await;
                    };
                    let client = executor.spawn(client);
                    // With no more files to open, one after the other.
                    if plenty { client.detach() } else { client.await }
                }
                Err(error) => {
                    log::debug!("control socket: {error}");
                    let _ = place.recv().await;
                    // Spinning mends no error.
                    Timer::after(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Lets in who may ask something; others are told so, and nothing of what they say is read.
    fn admit(&self, mut stream: UnixStream) -> io::Result<Option<(Async<UnixStream>, May)>> {
        let caller = Caller::of(&stream)?;
        match self.doors.may(&caller) {
            Ok(may) => Ok(Some((Async::new(stream)?, may))),
            Err(reason) => {
                stream.set_nonblocking(true)?;
                // A line always finds room in a socket that is new, or the caller has hung up.
                let _ = stream.write_all(format!("{DENIED}{reason}\n").as_bytes());
                log::debug!("control socket: user {}: {reason}", caller.uid.as_raw());
                Ok(None)
            }
        }
    }
}

impl Place {
    /// Takes the place, and removes the socket of a supervisor that is dead.
    ///
    /// A lock decides, which the kernel takes back when its holder dies (`flock(2)`). Whether somebody answers at the
    /// socket says less: two that start at once would both find the old one silent, and one of them remove the other's.
    fn take(path: &Path) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock =
            File::options().write(true).create(true).truncate(false).mode(0o600).open(name)?;
        // One that was killed just now has it until the kernel has cleared it away.
        let patience = Patience::new(DYING);
        while let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if error != Errno::WOULDBLOCK {
                return Err(error.into());
            }
            patience.sleep(PAUSE).map_err(|_| {
                io::Error::other(
                    "another supervisor has it: this box runs already, see twobox status",
                )
            })?;
        }
        match fs::symlink_metadata(path) {
            Err(_) => {}
            Ok(there) if there.file_type().is_socket() => fs::remove_file(path)?,
            Ok(_) => {
                return Err(io::Error::other(
                    "something else is there: remove it, or name another socket",
                ));
            }
        }
        Ok(Self { path: path.to_owned(), lock })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The next supervisor makes way for itself if this fails.
        let _ = fs::remove_file(&self.path);
        // A child between fork and exec has the lock too, and would keep it for a moment.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// Serves one client. Who asks the other box has all the time that takes; or so much `at_most`, where everybody else waits
/// meanwhile.
async fn serve(
    mut stream: Async<UnixStream>,
    may: &May,
    hurried: &Receiver<()>,
    labels: &Labels,
    inputs: &Sender<Input>,
    at_most: Option<Duration>,
) -> io::Result<()> {
    let makes_way = async {
        // Those who wait are called in the order in which they came.
        let _ = hurried.recv().await;
        Err(io::Error::new(io::ErrorKind::TimedOut, "it said nothing, and others wait"))
    };
    let line = in_time(or(line(&mut stream), makes_way)).await?;
    let request = Request::parse(&line, labels.names().boxes);
    let answer = match (request, may) {
        (Ok(request), May::Ask(reason)) if request.orders() => format!("{DENIED}{reason}\n"),
        (Ok(request), _) => {
            let (reply, answer) = bounded(1);
            let at_most = at_most.filter(|_| matches!(request, Request::Peer(_)));
            inputs.send(Input::Request(request, reply)).await.map_err(io::Error::other)?;
            let answer = async { answer.recv().await.map_err(io::Error::other) };
            let answer = or(answer, hangs_up(&stream));
            match at_most {
                Some(time) => or(answer, gives_up(time)).await?,
                None => answer.await?,
            }
        }
        (Err(reason), _) => format!("refused\n{reason}\n"),
    };
    in_time(stream.write_all(answer.as_bytes())).await
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let patience = async {
        Timer::after(CLIENT_TIME).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    or(work, patience).await
}

/// What is said after `time` to one who asks the other box, and for whom everybody else has waited.
async fn gives_up(time: Duration) -> io::Result<String> {
    Timer::after(time).await;
    let (time, pid) = (Time(time), std::process::id());
    Ok(format!(
        "silent\nno answer of the other box within {time}, and others wait: no file can be opened any more, so that one \
         after the other is served: raise the limit (LimitNOFILE=), or see what is open in /proc/{pid}/fd, and ask again; \
         an order may have been obeyed all the same, see twobox status\n"
    ))
}

/// Waits until the client has gone. It says nothing more after its line, and what it has closed is told as that only here.
async fn hangs_up<T>(stream: &Async<UnixStream>) -> io::Result<T> {
    loop {
        Timer::after(HANG_UP_LOOK).await;
        let mut look = [PollFd::new(stream, PollFlags::empty())];
        poll(&mut look, Some(&Timespec::default()))?;
        if look.iter().any(|seen| seen.revents().contains(PollFlags::HUP)) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
    }
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
/// The asker says so at once; only where others wait is nobody waited for.
const COURTESY: Duration = Duration::from_millis(10);
/// Over a network a question and its answer take seconds.
const ALONE_MAX: Duration = Duration::from_secs(60);
/// Most answers have been given by then.
const HANG_UP_LOOK: Duration = Duration::from_secs(1);
/// The longest request names a box.
const LINE_MAX: usize = 256;
/// A process that was killed is gone within that, also on a busy machine.
const DYING: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use rustix::process::{Gid, Uid, geteuid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    use smol::future::block_on;

    use super::*;
    use crate::client::{Answer, ask};
    use crate::config::{Config, Identity};

    /// The credentials are those of the thread that connects.
    #[test]
    fn viewers_ask_operators_order_and_strangers_are_told_which_group_it_takes() {
        assert!(geteuid().is_root(), "this test wants root, to be somebody else");
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let path = directory.path().join("socket");
        let control = Control {
            socket: path.clone(),
            operators: Some("60001".to_owned()),
            viewers: Some("60002".to_owned()),
        };
        let (told, asked) = std::sync::mpsc::channel();
        thread::spawn(move || serve_for_ever(&control, &told));
        let _place = asked.recv().unwrap();
        let said = |group, request: &'static str| -> io::Result<Answer> {
            let path = path.clone();
            let somebody = move || {
                // With the group that counts among the others, or as the only one.
                let (own, others) = if group == 0 { (60_000, 60_003) } else { (60_000, group) };
                set_thread_groups(&[Gid::from_raw(60_009), Gid::from_raw(others)])?;
                let (gid, uid) = (Gid::from_raw(own), Uid::from_raw(12_345));
                set_thread_res_gid(gid, gid, gid)?;
                set_thread_res_uid(uid, uid, uid)?;
                ask(&path, request)
            };
            thread::spawn(somebody).join().unwrap()
        };
        for (group, request) in [
            (60_001, "status"),
            (60_001, "standby"),
            (60_002, "status json"),
            (60_002, "peer check"),
        ] {
            assert_eq!(said(group, request).unwrap().text, "heard\n", "{group} {request}");
        }
        for request in
            ["standby", "log debug", "upgrade", "drill server2", "reload", "reload confirm"]
        {
            let error = said(60_002, request).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{request}: {error}");
            assert_eq!(
                error.to_string(),
                "you may ask, and not order: order as root, or as a member of the group 60001 (control.operators)"
            );
        }
        for request in ["status", "standby"] {
            let error = said(0, request).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{request}: {error}");
            assert!(error.to_string().contains("the group 60002 (control.viewers)"), "{error}");
        }
        assert_eq!(ask(&path, "standby").unwrap().text, "heard\n");
    }

    /// As with no files left.
    #[test]
    fn who_asks_the_other_box_while_all_wait_gets_an_answer_in_time() {
        let labels = labels();
        let (inputs, queue) = bounded(8);
        let (_hurry, hurried) = bounded(1);
        let said = |request: &str, time| {
            let (mut client, stream) = UnixStream::pair().unwrap();
            writeln!(client, "{request}").unwrap();
            let serve = async {
                let stream = Async::new(stream)?;
                serve(stream, &May::Order, &hurried, &labels, &inputs, Some(time)).await
            };
            let late = async {
                Timer::after(time * 5).await;
                Err(io::Error::other("there was no answer in time"))
            };
            block_on(or(serve, late)).map(|()| io::read_to_string(client).unwrap())
        };
        let answer = said("peer history 9", Duration::from_millis(200)).unwrap();
        assert!(answer.starts_with("silent\nno answer of the other box within 200 ms"), "{answer}");
        assert!(answer.contains("raise the limit"), "{answer}");
        // Others wait for the loop alone, which answers.
        said("status", Duration::from_millis(200)).unwrap_err();
        assert_eq!(queue.len(), 2, "both were asked");
    }

    /// Answers everything that comes through.
    fn serve_for_ever(control: &Control, told: &std::sync::mpsc::Sender<Place>) {
        let executor = Rc::new(LocalExecutor::new());
        let (inputs, queue) = bounded(1);
        let (socket, place) = Socket::open(control).unwrap();
        executor.spawn(socket.serve(executor.clone(), Rc::new(labels()), inputs)).detach();
        told.send(place).unwrap();
        block_on(executor.run(async {
            while let Ok(Input::Request(_, reply)) = queue.recv().await {
                reply.send("ok\nheard\n".to_owned()).await.unwrap();
            }
        }));
    }

    fn labels() -> Labels {
        let identity = Identity { told: Some("server1".to_owned()), ..Identity::default() };
        let sample = include_str!("../../images/dist/twobox.toml");
        Labels::new(&Config::read(sample, &identity).unwrap())
    }

    #[test]
    fn of_supervisors_that_start_at_once_one_gets_the_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        for _ in 0..20 {
            // What a supervisor leaves behind that was killed.
            drop(UnixListener::bind(&path).unwrap());
            let (start, end) = (Barrier::new(4), Barrier::new(4));
            let supervisor = || {
                start.wait();
                let place =
                    Place::take(&path).and_then(|place| Ok((UnixListener::bind(&path)?, place)));
                end.wait();
                place.is_ok()
            };
            let places = thread::scope(|scope| {
                let all = [(); 4].map(|()| scope.spawn(supervisor));
                all.map(|one| one.join().unwrap()).iter().filter(|got| **got).count()
            });
            assert_eq!(places, 1);
            assert!(!path.exists());
        }
    }
}
