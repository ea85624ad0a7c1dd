//! Talks to the running supervisor for the command line.
//!
//! Over a Unix socket, one question for each connection: a line of words goes in; out come one word for what became
//! of it, and then text for the person who asked.
//!
//! ```text
//! > confirm server1
//! < refused
//! < the peer is heard on a link: it is alive, and there is nothing to confirm
//! ```

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use board::disk::safe_file::beside;
use board::host::plain_text::plain_lines;
use board::process::account::Account;
use board::process::holder::{holder, lookalike};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Gid, Pid, geteuid};

use crate::control::LOCK;

/// Asks the supervisor that listens at `socket`: `status`, `status json`, `standby`, `confirm NAME`, and so on.
///
/// # Errors
///
/// `PermissionDenied` when this person may not ask; else the supervisor does not run or does not answer. The text
/// says what to do.
pub fn ask(socket: &Path, request: &str) -> io::Result<Reply> {
    ask_for(socket, request, TIMEOUT)
}

/// The same for what the other box is asked, which takes its time over a slow cable.
///
/// # Errors
///
/// As for [`ask`].
pub fn ask_peer(socket: &Path, request: &str) -> io::Result<Reply> {
    ask_for(socket, request, PEER_TIMEOUT)
}

fn ask_for(socket: &Path, request: &str, time: Duration) -> io::Result<Reply> {
    let said = match exchange(socket, request, time) {
        // Who may ask, and not order, has a socket of their own.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            exchange(&beside(socket, VIEWERS), request, time).map_err(|_| error)
        }
        said => said,
    };
    let said = said.map_err(|error| {
        let (path, remedy) = (socket.display(), remedy(socket, error.kind()));
        let reason = match error.kind() {
            io::ErrorKind::WouldBlock => format!("no answer within {} s", time.as_secs()),
            _ => error.to_string(),
        };
        let text = format!("cannot reach the supervisor at {path}: {reason}\n{remedy}");
        io::Error::new(error.kind(), text)
    })?;
    if let Some(reason) = said.strip_prefix(DENIED) {
        let reason = plain_lines(reason.trim_end());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    Reply::parse(&said).ok_or_else(|| {
        let path = socket.display();
        io::Error::other(format!("what listens at {path} does not speak like a supervisor"))
    })
}

/// What the supervisor says to that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// What became of the question.
    pub verdict: Verdict,
    /// The text to show.
    pub text: String,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// `ok`: it was done, or taken up.
    Ok,
    /// `degraded`: the status is told, and one more failure may end the service.
    Degraded,
    /// `refused`: nothing was done, the text says why.
    Refused,
    /// `silent`: the other box was asked, and does not answer.
    Silent,
}

impl Verdict {
    /// The word for it on the first line of an answer.
    pub(crate) fn label(self) -> &'static str {
        VERDICTS.iter().find(|(_, verdict)| *verdict == self).map_or("refused", |(word, _)| word)
    }
}

impl Reply {
    /// Reads all that the supervisor said; `None` when it is not the supervisor that speaks.
    pub fn parse(said: &str) -> Option<Self> {
        let (first, text) = said.split_once('\n')?;
        let (_, verdict) = VERDICTS.iter().find(|(word, _)| *word == first)?;
        // What answers may have repeated what others say.
        Some(Self { verdict: *verdict, text: plain_lines(text) })
    }
}

/// Asks again where it had to make way: the supervisor hangs up on who has said nothing yet, when others wait, and
/// what was not read was not done.
fn exchange(path: &Path, request: &str, time: Duration) -> io::Result<String> {
    let made_way = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
    };
    let asked = (0..WAYS_MADE).find_map(|_| match exchange_once(path, request, time) {
        Err(error) if made_way(&error) => {
            thread::sleep(COURTESY);
            None
        }
        said => Some(said),
    });
    asked.unwrap_or_else(|| exchange_once(path, request, time))
}

fn exchange_once(path: &Path, request: &str, time: Duration) -> io::Result<String> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Before the connection is made: connecting waits too, when many others do.
    set_socket_timeout(&socket, Timeout::Send, Some(TIMEOUT))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(time))?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    let mut stream = UnixStream::from(socket);
    // A caller who may not ask is told so and hung up on, maybe before all is said.
    let line = format!("{request}\n");
    let asked = stream.write_all(line.as_bytes()).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut said = Vec::new();
    let heard = stream.take(ANSWER_MAX).read_to_end(&mut said);
    if said.is_empty() {
        asked?;
    }
    // One that is turned away is told why, and its line is not read.
    if ![DENIED, "refused\n"].iter().any(|word| said.starts_with(word.as_bytes())) {
        heard?;
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn remedy(socket: &Path, kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::PermissionDenied => ways_in(socket),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => match running(socket) {
            Some(pid) => format!(
                "it runs, as process {pid}, but its socket is gone: it makes another within seconds: ask again then; if \
                 there is none, see its log"
            ),
            None => "it does not run here: start it with `systemctl start twobox`, \
                     `/etc/init.d/S90twobox start` or `twobox run`"
                .to_owned(),
        },
        _ => "look what it does in the log; restart it if it is stuck".to_owned(),
    }
}

/// The supervisor of this socket, or what looks like one to somebody who may not look into others' processes.
fn running(socket: &Path) -> Option<Pid> {
    let own = std::env::current_exe().ok();
    let name = own.as_deref().and_then(Path::file_name).and_then(OsStr::to_str);
    holder(&beside(socket, LOCK)).or_else(|| {
        if geteuid().is_root() { None } else { lookalike(name.unwrap_or("twobox"), "run") }
    })
}

/// How somebody may ask who may not: the sockets say for which groups they are.
fn ways_in(socket: &Path) -> String {
    let doors = [("", "operators"), (VIEWERS, "viewers")];
    let ways = doors.iter().filter_map(|(ending, word)| {
        let there = fs::metadata(beside(socket, ending)).ok()?;
        let group = Account::group_name(Gid::from_raw(there.gid()));
        (there.mode() & 0o060 == 0o060).then(|| way_in(&group, word))
    });
    let ways: String = ways.collect();
    if ways.is_empty() {
        return "ask as root, or as a member of a group in [control] of the configuration"
            .to_owned();
    }
    format!("you may not ask the supervisor of this box: ask as root{ways}")
}

/// A way in by a group that `word` of `[control]` names.
pub(crate) fn way_in(group: &str, word: &str) -> String {
    format!(", or as a member of the group {group} (control.{word})")
}

const VERDICTS: [(&str, Verdict); 4] = [
    ("ok", Verdict::Ok),
    ("degraded", Verdict::Degraded),
    ("refused", Verdict::Refused),
    ("silent", Verdict::Silent),
];

/// What the socket for those who may ask, and not order, is called, after the other one.
pub(crate) const VIEWERS: &str = ".viewers";

/// What a person is told who may not ask or order, before the reason.
pub(crate) const DENIED: &str = "denied\n";

/// The supervisor answers within a turn of its loop, however busy the box.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Often enough beside any crowd, and soon over where something else is wrong.
const WAYS_MADE: u32 = 20;
/// The others need it to say what they want.
const COURTESY: Duration = Duration::from_millis(20);

/// Longer than any letter may take.
const PEER_TIMEOUT: Duration = Duration::from_secs(310);

/// A status of 24 resources is a few kilobytes.
const ANSWER_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_question_is_a_line_and_the_answer_all_that_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            stream.write_all(b"refused\nthe peer is heard\n").unwrap();
            line
        });
        let answer = ask(&path, "confirm server1").unwrap();
        assert_eq!(server.join().unwrap(), "confirm server1\n");
        assert_eq!(answer.verdict, Verdict::Refused);
        assert_eq!(answer.text, "the peer is heard\n");
        assert_eq!(Reply::parse("okay\n"), None);
        // Nobody accepts any more.
        let error = ask(&path, "status").unwrap_err();
        assert!(error.to_string().contains("it does not run here: start it"), "{error}");
    }

    /// As a supervisor does with one that has not said anything yet.
    #[test]
    fn who_had_to_make_way_asks_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            // It is hung up on before or after it has spoken, and is not read.
            for _ in 0..3 {
                drop(listener.accept().unwrap());
            }
            let (mut stream, _) = listener.accept().unwrap();
            BufReader::new(&stream).read_line(&mut String::new()).unwrap();
            stream.write_all(b"ok\ndone\n").unwrap();
        });
        assert_eq!(ask(&path, "standby").unwrap().verdict, Verdict::Ok);
        server.join().unwrap();
    }

    #[test]
    fn where_nothing_is_the_person_is_told_how_to_start_it() {
        let error = ask(Path::new("/nowhere/twobox.sock"), "status").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("`twobox run`"), "{error}");
    }
}
