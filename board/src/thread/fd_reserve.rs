//! Keeps some file descriptors in reserve for work that must not fail for the lack of one.
//!
//! A stop that cannot open what it needs ends in a reset of the box, and a service that dies while a program beside
//! it has taken the last file could not be started again. So each thread that acts holds as many files as its work
//! may need, gives them up for the time of it, and takes them back afterwards (`getrlimit(2)`, `RLIMIT_NOFILE`).

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use crate::thread::deadline::Deadline;

/// Files that are put by.
#[derive(Debug)]
pub struct Reserve {
    whose: &'static str,
    places: usize,
    /// What the others are copies of: a copy is cheap.
    first: OwnedFd,
    held: Vec<OwnedFd>,
    /// Over when it may be said again that there are no more.
    quiet: Deadline,
}

impl Reserve {
    /// Puts so many by for the one called `whose`.
    ///
    /// # Errors
    ///
    /// When there are not as many.
    pub fn new(whose: &'static str, places: usize) -> io::Result<Self> {
        let quiet = Deadline::new(Duration::ZERO);
        let first = eventfd(0, EventfdFlags::CLOEXEC)?;
        let held = Vec::with_capacity(places);
        let mut reserve = Self { whose, places, first, held, quiet };
        reserve.fill()?;
        Ok(reserve)
    }

    /// Puts so many by, the next time that they are taken back.
    pub const fn keep(&mut self, places: usize) {
        self.places = places;
    }

    /// Gives them up: the work begins.
    pub fn spend(&mut self) {
        self.held.clear();
    }

    /// Takes them back: the work is done. Says so, now and then, if they are not to be had, and tells whether they
    /// were.
    pub fn restore(&mut self) -> bool {
        let Err(error) = self.fill() else { return true };
        if self.quiet.left().is_zero() {
            self.quiet = Deadline::new(QUIET);
            let (whose, pid) = (self.whose, std::process::id());
            log::error!(
                "{whose}: {error}: only what was put by is left: raise the limit (LimitNOFILE=), or see what is open \
                 in /proc/{pid}/fd"
            );
        }
        false
    }

    fn fill(&mut self) -> io::Result<()> {
        while self.held.len() < self.places {
            self.held.push(rustix::io::fcntl_dupfd_cloexec(&self.first, 0)?);
        }
        Ok(())
    }
}

/// It may come and go.
const QUIET: Duration = Duration::from_secs(60);

/// What the start of a program takes for a moment: its input, its output twice, the pipe by which it tells that it
/// could not be executed, the socket at which it tells that it is ready, its pidfd, its note, its cgroup and the
/// root of that, two folders of `/proc`; and a few more.
pub const START: usize = 20;
