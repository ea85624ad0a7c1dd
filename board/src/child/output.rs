//! Where does a child's output go? Line by line to the log, under the child's name.
//!
//! A thread reads it for as long as anybody can write it, so a child never waits for us; what comes faster than
//! `LINES_MAX` a second is counted instead of logged, so a flood does not drown the log.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::mem;
use std::thread;
use std::time::Duration;

use crate::patience::Patience;

/// A pipe whose other end is the log.
///
/// # Errors
///
/// When the kernel has no descriptor or thread left.
pub fn to_log(name: &str) -> io::Result<PipeWriter> {
    let (reader, writer) = io::pipe()?;
    let name = name.to_owned();
    thread::Builder::new()
        .name(format!("log {name}"))
        .stack_size(STACK)
        .spawn(move || copy(reader, &name))?;
    Ok(writer)
}

fn copy(mut reader: PipeReader, name: &str) {
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
