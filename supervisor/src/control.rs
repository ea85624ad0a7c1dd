//! The control socket: how operators and their programs talk to the supervisor.
//!
//! A client says one line, such as `status json` or `confirm server2`, and reads until the end: `ok` or `refused`
//! on the first line, then text for people or programs. Who may talk is decided by who they were when they
//! connected ([`Caller`]): root and the operators' group may ask and order, the viewers' group may ask, and nobody
//! else may anything. What they have become since, and who has their process number now, does not matter.
//!
//! The loop has nothing to do with others: the kernel lets only root and the groups connect, a thread of its own
//! takes the connections and tells the rest what they may not (`listener`), and the loop gets those that it is to
//! answer.
//!
//! [`Caller`]: board::host::peer_credentials::Caller

use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::str;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use board::thread::capabilities::Rights;
use board::thread::spawn;
use firmware_agnostic::report::Time;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smol::channel::{Receiver, Sender, bounded};
use smol::future::or;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor, Timer};

use crate::config::ControlConfig;
use crate::control::client::DENIED;
use crate::control::request::Request;
use crate::input::Input;
use crate::observe::names::NameTable;

mod access;
pub mod client;
mod listener;
mod quota;
pub mod request;
mod socket;

use access::Permission;
use listener::Acceptor;
use quota::Seat;
pub(crate) use socket::{LOCK, OwnedSocket};

/// Those who have connected, and may ask something.
pub(crate) struct ControlSocket {
    clients: Receiver<Client>,
    hurried: Receiver<()>,
}

/// One of them.
struct Client {
    stream: UnixStream,
    may: Permission,
    /// As long as it may be served, where everybody else waits meanwhile.
    at_most: Option<Duration>,
    _seat: Seat,
}

impl ControlSocket {
    /// Opens what `control` names, and lets in who may come.
    ///
    /// # Errors
    ///
    /// When another supervisor has the place, or it cannot be used: with the remedy.
    pub(crate) fn open(control: &ControlConfig) -> io::Result<(Self, OwnedSocket)> {
        let (admit, clients) = bounded(CLIENTS_MAX);
        let (hurry, hurried) = bounded(1);
        let (tell, opened) = sync_channel(1);
        let (config, path) = (control.clone(), control.socket.clone());
        let groups = control.operators.is_some() || control.viewers.is_some();
        let rights = if groups { Rights::GROUPS } else { Rights::NONE };
        spawn::spawn("control", rights | Rights::SEARCH, move || {
            let place = match Acceptor::open(&config, admit, hurry) {
                Ok((porter, place)) => tell.send(Ok(place)).is_ok().then_some(porter),
                Err(error) => {
                    let _ = tell.send(Err(error));
                    None
                }
            };
            rights.drop_others();
            if let Some(porter) = place {
                porter.work();
            }
        })?;
        let place = opened.recv().map_err(io::Error::other).and_then(|opened| opened);
        let place = place.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot open the control socket {}: {error}", path.display()),
            )
        })?;
        Ok((Self { clients, hurried }, place))
    }

    /// Serves everybody who is let in, for ever.
    pub(crate) async fn serve(
        self,
        executor: Rc<LocalExecutor<'static>>,
        labels: Rc<NameTable>,
        inputs: Sender<Input>,
    ) {
        while let Ok(client) = self.clients.recv().await {
            let (labels, inputs) = (labels.clone(), inputs.clone());
            let hurried = self.hurried.clone();
            let client = async move {
                let Client { stream, may, at_most, _seat } = client;
                let Ok(stream) = Async::new(stream) else { return };
                if let Err(error) = serve(stream, &may, &hurried, &labels, &inputs, at_most).await {
                    log::debug!("control socket: {error}");
                }
            };
            executor.spawn(client).detach();
        }
    }
}

/// Serves one client. Who asks the other box has all the time that takes; or so much `at_most`, where everybody
/// else waits meanwhile.
async fn serve(
    mut stream: Async<UnixStream>,
    may: &Permission,
    hurried: &Receiver<()>,
    labels: &NameTable,
    inputs: &Sender<Input>,
    at_most: Option<Duration>,
) -> io::Result<()> {
    let makes_way = async {
        // Those who wait are called in the order in which they came.
        let _ = hurried.recv().await;
        Err(io::Error::new(io::ErrorKind::TimedOut, "it said nothing, and others wait"))
    };
    let line = in_time(or(line(&mut stream), makes_way)).await?;
    let request = Request::parse(&line, labels.lend().boxes);
    let answer = match (request, may) {
        (Ok(request), Permission::Ask(reason)) if request.orders() => format!("{DENIED}{reason}\n"),
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

/// Waits until the client has gone. It says nothing more after its line, and what it has closed is told as that
/// only here.
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
/// Most answers have been given by then.
const HANG_UP_LOOK: Duration = Duration::from_secs(1);
/// The longest request names a box.
const LINE_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use rustix::process::{Gid, Uid, geteuid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    use smol::future::block_on;

    use super::*;
    use crate::config::{Config, Identity};
    use crate::control::client::{Reply, ask};

    /// The credentials are those of the thread that connects.
    #[test]
    fn viewers_ask_operators_order_and_strangers_are_told_which_group_it_takes() {
        assert!(geteuid().is_root(), "this test wants root, to be somebody else");
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let path = directory.path().join("socket");
        let control = ControlConfig {
            socket: path.clone(),
            operators: Some("60001".to_owned()),
            viewers: Some("60002".to_owned()),
        };
        let (told, asked) = std::sync::mpsc::channel();
        thread::spawn(move || serve_for_ever(&control, &told));
        let _place = asked.recv().unwrap();
        let said = |group, request: &'static str| -> io::Result<Reply> {
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
                serve(stream, &Permission::Order, &hurried, &labels, &inputs, Some(time)).await
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
    fn serve_for_ever(control: &ControlConfig, told: &std::sync::mpsc::Sender<OwnedSocket>) {
        let executor = Rc::new(LocalExecutor::new());
        let (inputs, queue) = bounded(1);
        let (socket, place) = ControlSocket::open(control).unwrap();
        executor.spawn(socket.serve(executor.clone(), Rc::new(labels()), inputs)).detach();
        told.send(place).unwrap();
        block_on(executor.run(async {
            while let Ok(Input::Request(_, reply)) = queue.recv().await {
                reply.send("ok\nheard\n".to_owned()).await.unwrap();
            }
        }));
    }

    fn labels() -> NameTable {
        let identity = Identity { told: Some("server1".to_owned()), ..Identity::default() };
        let sample = include_str!("../../images/dist/twobox.toml");
        NameTable::new(&Config::read(sample, &identity).unwrap())
    }
}
