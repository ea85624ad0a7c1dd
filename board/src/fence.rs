//! Cutting the peer's power, and knowing that it is cut (STONITH).
//!
//! A device does two small things: set the power, and read it back. What makes a fence out of them
//! stands here, once, for every device: the peer counts as fenced only when the device itself has
//! reported [`Power::Off`], never because a command was accepted.
//!
//! To add a device: write `fence/NAME.rs` after the model of [`command`], then name it below: `mod`, its word in `KINDS`, a
//! variant of `Kind`. The compiler asks for the arms of `needs` and `open`. Whatever the device waits for, it waits for
//! through its [`Patience`] (`readable`, `sleep`), also the answer of a network: then a call that is called off ends at
//! once. `timeout` is for order and reading back together. A test goes to `board/tests/fences.rs`, its words into
//! `images/dist/twobox.toml`.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::need::Need;
use crate::patience::Patience;
use crate::table::Table;

pub mod command;
mod ladder;

pub use ladder::Ladder;

/// A device that can cut the power of one box, as the configuration file says it.
#[derive(Clone, Debug)]
pub struct Config {
    kind: Kind,
    /// What it is called in messages, its kind if it is given no name.
    pub name: String,
    /// The worst time from the order to the power being seen off.
    pub timeout: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    Command(command::Config),
}

impl Config {
    /// Reads the words of a device; those of its kind are the kind's own.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let name: Option<String> = table.take("name");
        let timeout = table.or("timeout", TIMEOUT);
        if timeout.is_zero() {
            table.complain("timeout", "is no time: the device would never be asked");
        }
        if !table.has("kind") {
            table.complain(
                "",
                format!("has no kind: say one of {}", KINDS.map(|kind| kind.0).join(", ")),
            );
            return None;
        }
        let word: &'static str = table.choose("kind", &KINDS.map(|(word, _)| (word, word)))?;
        let read = KINDS.iter().find(|kind| kind.0 == word)?.1;
        Some(Self { kind: read(table)?, name: name.unwrap_or_else(|| word.to_owned()), timeout })
    }

    /// What the box that is to cut the power must have.
    pub fn needs(&self) -> Vec<Need> {
        match &self.kind {
            Kind::Command(config) => config.needs(),
        }
    }

    /// Whether this is the very same device, outlet and all.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.kind == other.kind
    }

    /// The device behind this configuration. Nothing is asked of it yet.
    pub fn open(&self) -> Box<dyn Fence> {
        match &self.kind {
            Kind::Command(config) => Box::new(config.open()),
        }
    }
}

/// A device that holds the power of a box.
pub trait Fence: Send {
    /// Orders the power on or off. `Ok` means that the order was taken, not that it was carried out.
    ///
    /// # Errors
    ///
    /// When the device did not take the order, or not in time.
    fn set_power(&mut self, power: Power, patience: &Patience) -> io::Result<()>;

    /// The power as the device sees it now.
    ///
    /// # Errors
    ///
    /// When the device did not say, or not in time. What is unclear is an error, and never [`Power::Off`].
    fn power(&mut self, patience: &Patience) -> io::Result<Power>;
}

/// The state of a box's power.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Power {
    /// Nothing can run there.
    Off,
    /// Anything may run there.
    On,
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::On => "on",
        })
    }
}

/// Cuts the power and waits until the device reports it off. What is off already is fenced.
///
/// # Errors
///
/// When the device failed, still reports power, or the operation was called off: the box must then be taken for alive.
pub fn fence(device: &mut dyn Fence, patience: &Patience) -> io::Result<()> {
    // A state that cannot be read must not take the time that the order needs.
    match device.power(&patience.at_most(patience.left() / 4)) {
        Ok(Power::Off) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            return Err(alive(error.kind(), "called off before the order to cut the power"));
        }
        Ok(Power::On) | Err(_) => {}
    }
    patience.still_wanted().map_err(|error| {
        alive(error.kind(), "too late, or called off, before the order to cut the power")
    })?;
    match device.set_power(Power::Off, patience) {
        Ok(()) => until_off(device, patience),
        // The order may have been taken, and its answer lost.
        Err(_) if matches!(device.power(patience), Ok(Power::Off)) => Ok(()),
        Err(error) => {
            Err(alive(error.kind(), format!("the order to cut the power was not taken: {error}")))
        }
    }
}

fn until_off(device: &mut dyn Fence, patience: &Patience) -> io::Result<()> {
    let mut pause = FIRST_PAUSE;
    let mut seen = Err(io::ErrorKind::TimedOut.into());
    loop {
        match device.power(patience) {
            Ok(Power::Off) => return Ok(()),
            // A look for which there was no time left says less than the one before.
            Err(_) if patience.left().is_zero() && seen.is_ok() => {}
            look => seen = look,
        }
        if let Err(over) = patience.sleep(pause) {
            let why = match (over.kind(), seen) {
                (io::ErrorKind::Interrupted, _) => {
                    "called off before the power was seen off".to_owned()
                }
                (_, Ok(power)) => format!("the power is still reported {power}"),
                (_, Err(error)) => format!("the power cannot be read: {error}"),
            };
            return Err(alive(over.kind(), format!("the order to cut the power was taken; {why}")));
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The error of a box that is not seen off.
fn alive(kind: io::ErrorKind, why: impl fmt::Display) -> io::Error {
    io::Error::new(kind, format!("{why}; the box must be taken for alive"))
}

type Read = fn(&mut Table<'_>) -> Option<Kind>;

const KINDS: [(&str, Read); 1] =
    [("command", |table| command::Config::read(table).map(Kind::Command))];

/// A BMC takes about two seconds to cut the power, and to notice.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A relay is fast, and every millisecond is one without service; a BMC needs about a second between two questions.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);
