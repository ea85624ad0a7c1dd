//! Runs a program to its end, within a time limit, and keeps what it writes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::host::plain_text::{plain, plain_lines};
use crate::process::child::{Child, ExitReason, Program};
use crate::thread::deadline::Deadline;

/// What is known of a program that has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finished {
    /// How it ended.
    pub end: ExitReason,
    /// What it wrote to its output, in plain lines.
    pub output: String,
    /// What it wrote to its errors, in plain lines.
    pub errors: String,
}

impl Finished {
    /// Why it failed, in its own words: the last that it wrote to its errors.
    pub fn reason(&self) -> String {
        let last = self.errors.lines().rfind(|line| !line.trim().is_empty());
        last.map_or_else(|| "it said no reason".to_owned(), plain)
    }
}

impl Program {
    /// Runs the program to its end, and returns what it printed.
    ///
    /// # Errors
    ///
    /// When it did not end with status 0, with its reason; and as [`Program::run`].
    pub fn succeed(&self, patience: &Deadline) -> io::Result<String> {
        let finished = self.run(patience)?;
        if finished.end.success() {
            return Ok(finished.output);
        }
        let (end, reason) = (finished.end, finished.reason());
        Err(io::Error::other(format!("{} {end}: {reason}", self.command.join(" "))))
    }

    /// Runs the program to its end. All that it has started is gone when this returns.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or did not end within `patience`: it was killed then.
    pub fn run(&self, patience: &Deadline) -> io::Result<Finished> {
        let (mut output, writer) = Words::new()?;
        let (mut errors, error_writer) = Words::new()?;
        let mut child = self.spawn(writer.into(), error_writer.into())?;
        match wait(&child, &mut output, &mut errors, patience) {
            Ok(end) => {
                child.kill()?;
                Ok(Finished { end, output: output.text(), errors: errors.text() })
            }
            Err(error) => {
                let reason = match error.kind() {
                    io::ErrorKind::TimedOut => "did not end in time".to_owned(),
                    io::ErrorKind::Interrupted => "was called off".to_owned(),
                    _ => error.to_string(),
                };
                let killed =
                    child.kill().map_or_else(|error| error.to_string(), |()| "killed".to_owned());
                let command = self.command.join(" ");
                Err(io::Error::new(error.kind(), format!("{command} {reason}: {killed}")))
            }
        }
    }
}

fn wait(
    child: &Child,
    output: &mut Words,
    errors: &mut Words,
    patience: &Deadline,
) -> io::Result<ExitReason> {
    loop {
        // The child first: what it wrote before it ended is read afterwards, and others may hold the pipes for ever.
        let open: Vec<_> =
            std::iter::once(child.as_fd()).chain(output.open()).chain(errors.open()).collect();
        patience.readable(&open)?;
        drop(open);
        let end = child.end();
        output.read();
        errors.read();
        if let Some(end) = end {
            return Ok(end);
        }
    }
}

/// One stream of a program, kept up to [`TEXT_MAX`] and read to its end.
struct Words {
    reader: Option<OwnedFd>,
    text: Vec<u8>,
}

impl Words {
    fn new() -> io::Result<(Self, OwnedFd)> {
        let (reader, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        Ok((Self { reader: Some(reader.into()), text: Vec::new() }, writer.into()))
    }

    fn open(&self) -> Option<BorrowedFd<'_>> {
        self.reader.as_ref().map(AsFd::as_fd)
    }

    /// Reads what is there, but not for ever from a child that writes for ever.
    fn read(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..READS_MAX {
            let Some(reader) = &self.reader else { return };
            match rustix::io::read(reader, &mut buffer) {
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => self.reader = None,
                Ok(read) => {
                    let room = TEXT_MAX.saturating_sub(self.text.len());
                    self.text.extend_from_slice(buffer.get(..read.min(room)).unwrap_or_default());
                }
            }
        }
    }

    fn text(self) -> String {
        plain_lines(&String::from_utf8_lossy(&self.text))
    }
}

/// An answer is a word, and a complaint a few lines.
const TEXT_MAX: usize = 4096;

/// A pipe holds 64 KiB.
const READS_MAX: usize = 16;
