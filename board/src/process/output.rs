//! What a child writes, line by line to the log, under the child's name.
//!
//! A thread reads it for as long as anybody can write it, so a child never waits for us; what comes faster than
//! `LINES_MAX` a second is counted instead of logged, so a flood does not drown the log.
//!
//! When the supervisor dies, nobody reads. That must not kill the child (`SIGPIPE`), so the end that it gets can be
//! read as well (`fifo(7)`), and while it has that the pipe is not broken. Meanwhile the pipe takes what the child
//! says; the next life of the supervisor opens it again through the child ([`reopen`]).

use std::fs::{self, File};
use std::io::{self, Read};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::host::plain_text::plain_bytes;
use crate::process::account::Account;
use crate::process::child::NO_MORE;
use crate::thread::capabilities::Rights;
use crate::thread::deadline::Deadline;

/// A pipe whose other end is to be read.
pub struct Output {
    /// What the child writes to.
    pub writer: OwnedFd,
    /// What the kernel calls the pipe.
    pub inode: u64,
    /// What is to be [`read`].
    pub reader: File,
}

impl Output {
    /// A new pipe for a child that runs as `account`, so that it may open `/dev/stdout` (`proc_pid_fd(5)`: that
    /// opens the pipe once more, and asks who owns it).
    ///
    /// # Errors
    ///
    /// When the kernel has no descriptor left.
    pub fn new(account: Option<&Account>, name: &str) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        // Its usual size will do as well.
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, SIZE);
        let again = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let writer = match File::options().read(true).write(true).open(again) {
            Ok(both) => both.into(),
            // Without /proc the next life cannot open it again either.
            Err(_) => writer.into(),
        };
        if let Some(account) = account
            && let Err(error) =
                rustix::fs::fchown(&writer, Some(account.uid()), Some(account.gid()))
        {
            log::warn!("{name} cannot open /dev/stdout and /dev/stderr ({error}): give CAP_CHOWN");
        }
        let inode = rustix::fs::fstat(&writer)?.st_ino;
        Ok(Self { writer, inode, reader: OwnedFd::from(reader).into() })
    }
}

/// The reading end of the pipe `inode`, by way of one of `processes`, which has it open.
///
/// # Errors
///
/// When none of them has it, or it cannot be opened.
pub fn reopen(inode: u64, processes: &[i32]) -> io::Result<File> {
    let folders = processes.iter().map(|pid| format!("/proc/{pid}/fd"));
    let mut open = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let pipe = PathBuf::from(format!("pipe:[{inode}]"));
    let there = open
        .find(|entry| fs::read_link(entry.path()).is_ok_and(|link| link == pipe))
        .ok_or(io::ErrorKind::NotFound)?;
    let reader = File::open(there.path())?;
    if rustix::fs::fstat(&reader)?.st_ino != inode {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(reader)
}

/// Something else that is heard on the thread of an output.
pub trait OutputListener: AsFd + Send {
    /// Takes in what is there.
    fn hear(&mut self) -> Hearing;
}

/// How an [`OutputListener`] goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hearing {
    /// It waits for more.
    More,
    /// It wants rest for a while.
    Pause(Duration),
    /// There is nothing to be heard any more.
    End,
}

/// Reads `output` to the log of `name`, and has `ear` hear, on a thread of their own, until both have come to their
/// end.
///
/// # Errors
///
/// When the kernel has no thread left.
pub fn read(
    output: Option<File>,
    ear: Option<Box<dyn OutputListener>>,
    name: &str,
) -> io::Result<()> {
    let name = name.to_owned();
    thread::Builder::new()
        .name(format!("log {name}"))
        .stack_size(STACK)
        .spawn(move || {
            Rights::NONE.drop_others();
            attend(output, ear, &name);
        })
        .map(drop)
        .map_err(|error| {
            io::Error::new(error.kind(), format!("what it says cannot be read: {error}{NO_MORE}"))
        })
}

fn attend(mut output: Option<File>, mut ear: Option<Box<dyn OutputListener>>, name: &str) {
    let mut copy = Copy::new();
    let mut rest = Deadline::new(Duration::ZERO);
    while output.is_some() || ear.is_some() {
        let rests = !rest.left().is_zero();
        // The ear first: it takes its rest by itself, and an output may come without end.
        let listens = ear.as_deref().filter(|_| !rests);
        let heard = listens.is_some();
        let open: Vec<_> =
            listens.map(AsFd::as_fd).into_iter().chain(output.iter().map(AsFd::as_fd)).collect();
        let ready = Deadline::new(if rests { rest.left() } else { LONG }).readable(&open);
        // Or else its rest is over.
        let Ok(place) = ready else { continue };
        if heard && place == 0 {
            match ear.as_deref_mut().map(OutputListener::hear) {
                Some(Hearing::Pause(time)) => rest = Deadline::new(time),
                Some(Hearing::End) => ear = None,
                Some(Hearing::More) | None => {}
            }
        } else if output.as_mut().is_some_and(|pipe| copy.read(pipe, name)) {
            copy.end(name);
            output = None;
        }
    }
}

/// What has come of an output so far.
struct Copy {
    lines: LineBuffer,
    second: LogBudget,
}

impl Copy {
    fn new() -> Self {
        Self { lines: LineBuffer::default(), second: LogBudget::new() }
    }

    /// Reads on, and tells whether it has come to its end.
    fn read(&mut self, pipe: &mut File, name: &str) -> bool {
        let mut buffer = [0; 4096];
        let read = match pipe.read(&mut buffer) {
            Ok(0) => return true,
            Ok(read) => read,
            Err(error) => return error.kind() != io::ErrorKind::Interrupted,
        };
        let (lines, second) = (&mut self.lines, &mut self.second);
        lines.feed(buffer.get(..read).unwrap_or_default(), |line| {
            if second.has_room(name) {
                log::info!(target: name, "{line}");
            }
        });
        false
    }

    fn end(&mut self, name: &str) {
        self.lines.finish(|line| log::info!(target: name, "{line}"));
        self.second.tell(name);
    }
}

/// Bytes on their way to become lines.
#[derive(Default)]
struct LineBuffer {
    line: Vec<u8>,
    cut: bool,
}

impl LineBuffer {
    fn feed(&mut self, bytes: &[u8], mut tell: impl FnMut(&str)) {
        for &byte in bytes {
            if byte == b'\n' {
                self.finish(&mut tell);
            } else if self.line.len() < LINE_MAX {
                self.line.push(byte);
            } else {
                self.cut = true;
            }
        }
    }

    /// Tells the line that has begun, if one has.
    fn finish(&mut self, mut tell: impl FnMut(&str)) {
        let line = mem::take(&mut self.line);
        let cut = if mem::take(&mut self.cut) { " [cut]" } else { "" };
        let text = plain_bytes(&line);
        if !text.trim().is_empty() {
            tell(&format!("{}{cut}", text.trim_end()));
        }
    }
}

/// How much was logged in the second that runs, and how much was not.
struct LogBudget {
    end: Deadline,
    logged: u32,
    dropped: u64,
}

impl LogBudget {
    fn new() -> Self {
        Self { end: Deadline::new(Duration::from_secs(1)), logged: 0, dropped: 0 }
    }

    fn has_room(&mut self, name: &str) -> bool {
        if self.end.left().is_zero() {
            self.tell(name);
            *self = Self::new();
        }
        if self.logged < LINES_MAX {
            self.logged += 1;
            return true;
        }
        self.dropped += 1;
        false
    }

    fn tell(&self, name: &str) {
        if self.dropped > 0 {
            log::warn!(target: name, "{} lines of output left out: they came too fast", self.dropped);
        }
    }
}

/// A log line that a person reads.
const LINE_MAX: usize = 1000;

/// More than a service says when it starts; less than what fills a log partition in a night.
const LINES_MAX: u32 = 200;

/// What a talkative service says while the supervisor is away: four times what a pipe holds anyway.
const SIZE: usize = 256 * 1024;

/// Nothing is due by itself.
const LONG: Duration = Duration::from_secs(3600);

/// The thread has a few buffers and formats one line. The supervisor locks its memory, so a stack is paid in full.
const STACK: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_were_written() {
        let mut told = Vec::new();
        let mut lines = LineBuffer::default();
        lines.feed(b"one\ntw", |line| told.push(line.to_owned()));
        lines.feed(b"o\r\n\n\x1b[2Jthree", |line| told.push(line.to_owned()));
        lines.finish(|line| told.push(line.to_owned()));
        assert_eq!(told, ["one", "two", " [2Jthree"]);
    }

    #[test]
    fn a_long_line_is_cut() {
        let mut told = Vec::new();
        let mut lines = LineBuffer::default();
        lines.feed(&[b'x'; 5 * LINE_MAX], |line| told.push(line.to_owned()));
        lines.feed(b"\nnext\n", |line| told.push(line.to_owned()));
        assert_eq!(told[0].len(), LINE_MAX + " [cut]".len());
        assert_eq!(told[1], "next");
    }

    #[test]
    fn a_flood_leaves_lines_out() {
        let mut second =
            LogBudget { end: Deadline::new(Duration::from_secs(600)), logged: 0, dropped: 0 };
        let logged = (0..LINES_MAX + 50).filter(|_| second.has_room("x")).count();
        assert_eq!(logged, LINES_MAX as usize);
        assert_eq!(second.dropped, 50);
    }
}
