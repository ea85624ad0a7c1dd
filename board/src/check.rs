//! Checks that something outside of the program really answers: a witness outside the pair, a gate of the data.
//!
//! A check asks one question and knows one answer: yes, or an error with the reason. How often it is asked, and how
//! many silences in a row are a no, stands in its configuration; what follows from the answer is not decided here.
//!
//! To add a check: write `check/NAME.rs` after the model of [`tcp`], then name it below: `mod`, its word in `KINDS` and
//! the length of that, a variant of `Kind`. The compiler asks for the arms.

use std::io;
use std::time::Duration;

use crate::config::requirement::Requirement;
use crate::config::table::Table;
use crate::thread::capabilities::Rights;
use crate::thread::deadline::Deadline;

pub mod command;
pub mod ping;
pub mod tcp;

/// A check, as the configuration file says it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    kind: Kind,
    /// How long to wait between two questions.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// So many questions in a row without an answer are a no.
    pub threshold: u8,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    Ping(ping::Config),
    Tcp(tcp::Config),
    Command(command::Config),
}

impl Config {
    /// Reads the words of a check; those of its kind are the kind's own.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let every = table.get_or("every", EVERY);
        let timeout = table.get_or("timeout", TIMEOUT);
        let threshold = table.get_or("threshold", THRESHOLD);
        for (word, wrong) in [
            ("every", every.is_zero()),
            ("timeout", timeout.is_zero()),
            ("threshold", threshold == 0),
        ] {
            if wrong {
                table.error(word, "is 0: nothing could be asked, or everything would fail");
            }
        }
        let read: Read = table.kind(&KINDS)?;
        Some(Self { kind: read(table)?, every, timeout, threshold })
    }

    /// What the box that asks must have.
    pub fn needs(&self) -> Vec<Requirement> {
        match &self.kind {
            Kind::Ping(config) => config.needs(),
            Kind::Tcp(_) => Vec::new(),
            Kind::Command(config) => config.needs(),
        }
    }

    /// What the thread that asks must be allowed to do.
    pub const fn rights(&self) -> Rights {
        match &self.kind {
            Kind::Ping(_) => Rights::PING,
            Kind::Tcp(_) => Rights::NONE,
            Kind::Command(_) => Rights::PROGRAMS,
        }
    }

    /// The check behind this configuration. Nothing is asked yet.
    pub fn open(&self) -> Box<dyn Check> {
        match &self.kind {
            Kind::Ping(config) => Box::new(config.open()),
            Kind::Tcp(config) => Box::new(config.open()),
            Kind::Command(config) => Box::new(config.open()),
        }
    }

    /// The longest time from the first silence to the no.
    pub fn time(&self) -> Duration {
        (self.every + self.timeout).saturating_mul(self.threshold.into())
    }
}

/// Something that can be asked.
pub trait Check: Send {
    /// Asks once.
    ///
    /// # Errors
    ///
    /// The answer was no, or none came in time: with the reason.
    fn ask(&mut self, patience: &Deadline) -> io::Result<()>;
}

/// Counts the silences of one check.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    threshold: u8,
    silences: u8,
}

impl Tally {
    /// No silence yet, of a check that may be silent less than `threshold` times in a row.
    pub const fn new(threshold: u8) -> Self {
        Self { threshold, silences: 0 }
    }

    /// Counts one answer, and tells whether all in all it is a yes.
    pub const fn count(&mut self, answered: bool) -> bool {
        self.silences = if answered { 0 } else { self.silences.saturating_add(1) };
        self.silences < self.threshold
    }
}

type Read = fn(&mut Table<'_>) -> Option<Kind>;

const KINDS: [(&str, Read); 3] = [
    ("ping", |table| ping::Config::read(table).map(Kind::Ping)),
    ("tcp", |table| tcp::Config::read(table).map(Kind::Tcp)),
    ("command", |table| command::Config::read(table).map(Kind::Command)),
];

/// A router is not bothered by it.
const EVERY: Duration = Duration::from_secs(1);
/// Longer than a local network takes.
const TIMEOUT: Duration = Duration::from_millis(500);
/// One lost datagram is none.
const THRESHOLD: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_silence_is_none_and_one_answer_is_enough() {
        let mut tally = Tally::new(2);
        let answers = [true, false, true, false, false, false, true].map(|it| tally.count(it));
        assert_eq!(answers, [true, true, true, true, false, false, true]);
    }
}
