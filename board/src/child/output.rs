//! Where does a child's output go? Line by line to the log, under the child's name.
//!
//! A thread reads it for as long as anybody can write it, so a child never waits for us; what comes faster than
//! `LINES_MAX` a second is counted instead of logged, so a flood does not drown the log.
//!
//! When the supervisor dies, nobody reads. That must not kill the child (`SIGPIPE`), so the end that it gets can be read
//! as well (`fifo(7)`), and while it has that the pipe is not broken. Meanwhile the pipe takes what the child says; the next
//! life of the supervisor opens it again through the child ([`Output::read_on`]).

use std::fs::{self, File};
use std::io::{self, Read};
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::{NO_MORE, census};
use crate::patience::Patience;
use crate::rights::Rights;

/// A pipe whose other end is the log.
pub struct Output {
    /// What the child writes to.
    pub writer: OwnedFd,
    /// What the kernel calls the pipe.
    pub inode: u64,
}

impl Output {
    /// A new pipe to the log.
    ///
    /// # Errors
    ///
    /// When the kernel has no descriptor or thread left.
    pub fn new(name: &str) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        // Its usual size will do as well.
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, SIZE);
        let again = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let writer = match File::options().read(true).write(true).open(again) {
            Ok(both) => both.into(),
            // Without /proc nothing of an earlier life is found either.
            Err(_) => writer.into(),
        };
        let inode = rustix::fs::fstat(&writer)?.st_ino;
        spawn(OwnedFd::from(reader).into(), name)?;
        Ok(Self { writer, inode })
    }

    /// Reads on in the pipe `inode` that a process of `group` has.
    ///
    /// # Errors
    ///
    /// When none of them has it, or it cannot be opened.
    pub fn read_on(inode: u64, group: i32, name: &str) -> io::Result<()> {
        let members = census::take().into_iter().filter(|entry| entry.group == group);
        let folders = members.map(|entry| format!("/proc/{}/fd", entry.pid));
        let mut open = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        let pipe = PathBuf::from(format!("pipe:[{inode}]"));
        let there = open
            .find(|entry| fs::read_link(entry.path()).is_ok_and(|link| link == pipe))
            .ok_or(io::ErrorKind::NotFound)?;
        let reader = File::open(there.path())?;
        if rustix::fs::fstat(&reader)?.st_ino != inode {
            return Err(io::ErrorKind::NotFound.into());
        }
        spawn(reader, name)
    }
}

fn spawn(reader: File, name: &str) -> io::Result<()> {
    let name = name.to_owned();
    thread::Builder::new()
        .name(format!("log {name}"))
        .stack_size(STACK)
        .spawn(move || {
            Rights::NONE.keep_only();
            copy(reader, &name);
        })
        .map(drop)
        .map_err(|error| {
            io::Error::new(error.kind(), format!("what it says cannot be read: {error}{NO_MORE}"))
        })
}

fn copy(mut reader: File, name: &str) {
    let mut lines = Lines::default();
    let mut second = Second::new();
    let mut buffer = [0; 4096];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        lines.feed(buffer.get(..read).unwrap_or_default(), |line| {
            if second.has_room(name) {
                log::info!(target: name, "{line}");
            }
        });
    }
    lines.finish(|line| log::info!(target: name, "{line}"));
    second.tell(name);
}

/// Bytes on their way to become lines.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    cut: bool,
}

impl Lines {
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

    /// Tells the line that has begun, if one has. A child must not draw on the operator's console, so control
    /// characters become blanks.
    fn finish(&mut self, mut tell: impl FnMut(&str)) {
        let line = mem::take(&mut self.line);
        let cut = if mem::take(&mut self.cut) { " [cut]" } else { "" };
        let text = String::from_utf8_lossy(&line);
        let text = text.replace(char::is_control, " ");
        if !text.trim().is_empty() {
            tell(&format!("{}{cut}", text.trim_end()));
        }
    }
}

/// How much was logged in the second that runs, and how much was not.
struct Second {
    end: Patience,
    logged: u32,
    dropped: u64,
}

impl Second {
    fn new() -> Self {
        Self { end: Patience::new(Duration::from_secs(1)), logged: 0, dropped: 0 }
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

/// The thread has one buffer and formats one line. The supervisor locks its memory, so a stack is paid in full.
const STACK: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_were_written() {
        let mut told = Vec::new();
        let mut lines = Lines::default();
        lines.feed(b"one\ntw", |line| told.push(line.to_owned()));
        lines.feed(b"o\r\n\n\x1b[2Jthree", |line| told.push(line.to_owned()));
        lines.finish(|line| told.push(line.to_owned()));
        assert_eq!(told, ["one", "two", " [2Jthree"]);
    }

    #[test]
    fn a_long_line_is_cut() {
        let mut told = Vec::new();
        let mut lines = Lines::default();
        lines.feed(&[b'x'; 5 * LINE_MAX], |line| told.push(line.to_owned()));
        lines.feed(b"\nnext\n", |line| told.push(line.to_owned()));
        assert_eq!(told[0].len(), LINE_MAX + " [cut]".len());
        assert_eq!(told[1], "next");
    }

    #[test]
    fn a_flood_leaves_lines_out() {
        let mut second =
            Second { end: Patience::new(Duration::from_secs(600)), logged: 0, dropped: 0 };
        let logged = (0..LINES_MAX + 50).filter(|_| second.has_room("x")).count();
        assert_eq!(logged, LINES_MAX as usize);
        assert_eq!(second.dropped, 50);
    }
}
