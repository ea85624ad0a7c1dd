//! Cutting the peer's power, and knowing that it is cut (STONITH).
//!
//! A device does two small things: set the power, and read it back. What makes a fence out of them
//! stands here, once, for every device: the peer counts as fenced only when the device itself has
//! reported [`Power::Off`], never because a command was accepted.
//!
//! To add a device: write `fence/NAME.rs` after the model of [`command`], then name it below: `mod`, its word in
//! `KINDS` and the length of that, a variant of `Kind`. The compiler asks for the arms. All that the device waits
//! for, it waits for through its [`Deadline`] (`readable`, `sleep`), also the answer of a network: then a call that
//! is called off ends at once. `timeout` is for order and reading back together. What is more than two verbs has a
//! default, and needs no word. A test goes to `board/tests/fences.rs`, its words into `images/dist/twobox.toml`.

use std::fmt;
use std::io;
use std::time::Duration;

use firmware_agnostic::node::fencing::LastLoss;
use firmware_agnostic::time::Instant;

use crate::config::requirement::Requirement;
use crate::config::table::{Name, Table};
use crate::thread::capabilities::Rights;
use crate::thread::deadline::Deadline;
use crate::time::clock::Clock;

pub mod agent;
mod bmc_route;
pub mod command;
mod dry_run;
mod guid;
pub mod ipmi;
#[cfg(feature = "redfish")]
pub mod redfish;
pub mod serial_reset;
pub mod together;
mod topology;

pub use dry_run::{DryRunStep, dry_run};
pub use guid::{Expected, Guid, Whose};
pub use ipmi::hang_up;
pub use topology::Topology;

/// A device that can cut the power of one box, as the configuration file says it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    kind: Kind,
    /// What it is called in messages, its kind if it is given no name.
    pub name: String,
    /// The worst time from the order to the power being seen off.
    pub timeout: Duration,
    /// After what time a box that was shot is powered on again, if at all.
    pub on_after: Option<Duration>,
    /// The box that the device must say it holds; unless it is said, the one that the box itself tells of.
    pub guid: Option<Expected>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    Agent(agent::Config),
    Command(command::Config),
    Ipmi(ipmi::Config),
    #[cfg(feature = "redfish")]
    Redfish(redfish::Config),
    SerialReset(serial_reset::Config),
    Together(together::Config),
}

impl Config {
    /// Reads the words of a device; those of its kind are the kind's own.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let name = table.take("name").map(|Name(name)| name);
        let timeout = table.get_or("timeout", TIMEOUT);
        if timeout.is_zero() {
            table.error("timeout", "is no time: the device would never be asked");
        }
        let on_after = read_action(table);
        let guid = table.take("guid");
        let (word, read) = table.kind(&KINDS.map(|(word, read)| (word, (word, read))))?;
        let name = name.unwrap_or_else(|| word.to_owned());
        Some(Self { kind: read(table)?, name, timeout, on_after, guid })
    }

    /// What the box that is to cut the power must have.
    pub fn needs(&self) -> Vec<Requirement> {
        match &self.kind {
            Kind::Agent(config) => config.needs(),
            Kind::Command(config) => config.needs(),
            Kind::Ipmi(config) => config.needs(),
            #[cfg(feature = "redfish")]
            Kind::Redfish(config) => config.needs(),
            Kind::SerialReset(config) => config.needs(),
            Kind::Together(config) => config.needs(),
        }
    }

    /// What the thread that uses it must be allowed to do.
    pub fn rights(&self) -> Rights {
        match &self.kind {
            Kind::Agent(_) => Rights::PROGRAMS | Rights::SECRETS,
            Kind::Command(_) => Rights::PROGRAMS,
            Kind::Ipmi(_) => Rights::SECRETS,
            #[cfg(feature = "redfish")]
            Kind::Redfish(_) => Rights::SECRETS,
            Kind::SerialReset(_) => Rights::NONE,
            Kind::Together(config) => config.parts().iter().map(Self::rights).collect(),
        }
    }

    /// Whether this is the very same device, outlet and all, or has a part that is.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Together(together), _) => {
                together.parts().iter().any(|part| part.is_same_as(other))
            }
            (_, Kind::Together(_)) => other.is_same_as(self),
            (kind, other) => kind == other,
        }
    }

    /// Whether to open it is to do something to the box.
    pub fn moves_when_opened(&self) -> bool {
        match &self.kind {
            Kind::SerialReset(_) => true,
            Kind::Together(together) => together.parts().iter().any(Self::moves_when_opened),
            _ => false,
        }
    }

    /// The device behind this configuration. Nothing is asked of it yet.
    pub fn open(&self) -> Box<dyn Fence> {
        match &self.kind {
            Kind::Agent(config) => Box::new(config.open()),
            Kind::Command(config) => Box::new(config.open()),
            Kind::Ipmi(config) => Box::new(config.open()),
            #[cfg(feature = "redfish")]
            Kind::Redfish(config) => Box::new(config.open()),
            Kind::SerialReset(config) => Box::new(config.open()),
            Kind::Together(config) => Box::new(config.open()),
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
    fn set_power(&mut self, power: Power, patience: &Deadline) -> io::Result<()>;

    /// The power as the device sees it now.
    ///
    /// # Errors
    ///
    /// When the device did not say, or not in time. What is unclear is an error, and never [`Power::Off`].
    fn power(&mut self, patience: &Deadline) -> io::Result<Power>;

    /// The box whose power it is, where the device can tell. Is asked before every use of a device that must be the
    /// right one, so that an answer which cannot have changed should be kept.
    ///
    /// # Errors
    ///
    /// When the device could tell, and did not.
    fn guid(&mut self, _patience: &Deadline) -> io::Result<Option<Guid>> {
        Ok(None)
    }

    /// How the power of the box was last lost, where the device knows. It is asked of the device of one's own box,
    /// after boot.
    ///
    /// # Errors
    ///
    /// When the device could tell, and did not.
    fn last_loss(&mut self, _patience: &Deadline) -> io::Result<Option<LastLoss>> {
        Ok(None)
    }

    /// Writes down, where people look who find the box off, that it was shot; where the device has such a place.
    ///
    /// # Errors
    ///
    /// When it could, and did not.
    fn note_shot(&mut self, _patience: &Deadline) -> io::Result<()> {
        Ok(())
    }

    /// Shows a person for a quarter of a minute which box it is, and tells whether it can do that.
    ///
    /// # Errors
    ///
    /// When it could, and did not.
    fn blink(&mut self, _patience: &Deadline) -> io::Result<bool> {
        Ok(false)
    }

    /// What a person should know of how the device is asked, though it does as it is told.
    fn caution(&self) -> Option<String> {
        None
    }

    /// How long it may be left alone until it is asked for the power again, to see that it still answers, and to keep
    /// open what it has open.
    fn rest(&self) -> Duration {
        REST
    }
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

/// How a box came to be seen off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fenced {
    /// It was off before anything was ordered: the person who did that may have a reason, and it is left so.
    Already,
    /// By our order.
    Shot,
}

/// What a device has shown when it was read as often as it takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PowerSeen {
    /// It has power.
    On,
    /// It has none, in two readings that followed each other; the first was answered at this time.
    Off(Instant),
}

impl PowerSeen {
    /// The same, without the time.
    pub const fn power(self) -> Power {
        match self {
            Self::On => Power::On,
            Self::Off(_) => Power::Off,
        }
    }
}

/// Reads the power, and reads it a second time if it is off: one reading is never evidence.
///
/// # Errors
///
/// When the device did not say, or not in time.
pub fn look(device: &mut dyn Fence, patience: &Deadline) -> io::Result<PowerSeen> {
    if device.power(patience)? == Power::On {
        return Ok(PowerSeen::On);
    }
    let at = Clock.now();
    patience.sleep(SECOND_LOOK)?;
    Ok(match device.power(patience)? {
        Power::On => PowerSeen::On,
        Power::Off => PowerSeen::Off(at),
    })
}

/// Cuts the power and waits until the device reports it off, twice. What is off already is fenced.
///
/// # Errors
///
/// When the device failed, still reports power, or the operation was called off: the box must then be taken for alive.
pub fn fence(device: &mut dyn Fence, patience: &Deadline) -> io::Result<Fenced> {
    fence_when_told(device, patience, &mut |_| Ok(())).map(|(fenced, _)| fenced)
}

/// Does the same, but asks `told` before it sends the order: the device has answered by then. Tells as well when
/// the power was first read as off.
///
/// A device that gives no answer is sent no order, because such an order could be carried out long after it was wanted.
/// What is called off is not sent; what was sent by then is watched until the time is over.
///
/// # Errors
///
/// As for [`fence`], and what `told` fails with.
pub fn fence_when_told(
    device: &mut dyn Fence,
    patience: &Deadline,
    told: &mut dyn FnMut(&Deadline) -> io::Result<()>,
) -> io::Result<(Fenced, Instant)> {
    // A state that cannot be read must not take the time that the order needs.
    match look(device, &patience.at_most(patience.left() / 2)) {
        Ok(PowerSeen::Off(at)) => return Ok((Fenced::Already, at)),
        Err(error) if is_called_off(&error) => {
            return Err(alive(error.kind(), "called off before the order to cut the power"));
        }
        Err(error) if is_silent(&error) => {
            return Err(alive(error.kind(), format!("no order was sent: {error}")));
        }
        Ok(PowerSeen::On) | Err(_) => {}
    }
    told(patience).and_then(|()| patience.still_wanted()).map_err(|error| {
        alive(error.kind(), "too late, or called off, before the order to cut the power")
    })?;
    let seen_off = match device.set_power(Power::Off, patience) {
        Err(error) if !is_called_off(&error) => {
            // The order may have been taken, and its answer lost.
            return match look(device, patience) {
                Ok(PowerSeen::Off(at)) => Ok((Fenced::Shot, at)),
                _ => Err(alive(
                    error.kind(),
                    format!("the order to cut the power was not taken: {error}"),
                )),
            };
        }
        // What was called off may have been sent.
        Ok(()) | Err(_) => until_off(device, patience),
    };
    let seen_off = match seen_off {
        Err(error) if is_called_off(&error) => until_off(device, &patience.to_its_end()),
        seen_off => seen_off,
    };
    seen_off.map(|at| (Fenced::Shot, at))
}

/// Whether an operation ended because nobody wants it any more.
fn is_called_off(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

/// Whether an error says that the device gave no sign of life. One that refuses, answers nonsense, or could not be
/// asked at all may have power, and so may its box.
pub fn is_silent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable)
}

/// Reads the power until it is off two times running: a single *off* may be what the order has put down there, while
/// the box runs on.
fn until_off(device: &mut dyn Fence, patience: &Deadline) -> io::Result<Instant> {
    let mut pause = FIRST_PAUSE;
    let mut seen = Err(io::ErrorKind::TimedOut.into());
    loop {
        match (device.power(patience), &seen) {
            (Ok(Power::Off), Ok(PowerSeen::Off(at))) => return Ok(*at),
            (Ok(Power::Off), _) => (seen, pause) = (Ok(PowerSeen::Off(Clock.now())), SECOND_LOOK),
            (Ok(Power::On), _) => seen = Ok(PowerSeen::On),
            // A look for which there was no time left says less than the one before.
            (Err(_), Ok(_)) if patience.left().is_zero() => {}
            (Err(error), _) => seen = Err(error),
        }
        if let Err(over) = patience.sleep(pause) {
            let why = match (over.kind(), seen) {
                (io::ErrorKind::Interrupted, _) => {
                    "called off before the power was seen off".to_owned()
                }
                (_, Ok(PowerSeen::Off(_))) => {
                    "the power was seen off once, and not again".to_owned()
                }
                (_, Ok(PowerSeen::On)) => "the power is still reported on".to_owned(),
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

/// Reads what becomes of a box that was shot: after what time it is powered on again, if at all.
fn read_action(table: &mut Table<'_>) -> Option<Duration> {
    let said: Option<Duration> = table.take("on_after");
    let after = said.unwrap_or(ON_AFTER);
    let actions = [("off", None), ("cycle", Some(Duration::ZERO)), ("off-then-on", Some(after))];
    let on_after = table.choose("action", &actions).flatten();
    if said.is_some() && on_after != said {
        table.error("on_after", "is heeded only with action = \"off-then-on\"");
    }
    on_after
}

type Read = fn(&mut Table<'_>) -> Option<Kind>;

const KINDS: [(&str, Read); 6] = [
    ("agent", |table| agent::Config::read(table).map(Kind::Agent)),
    ("command", |table| command::Config::read(table).map(Kind::Command)),
    ("ipmi", |table| ipmi::Config::read(table).map(Kind::Ipmi)),
    ("redfish", read_redfish),
    ("serial-reset", |table| serial_reset::Config::read(table).map(Kind::SerialReset)),
    ("together", |table| together::Config::read(table).map(Kind::Together)),
];

#[cfg(feature = "redfish")]
fn read_redfish(table: &mut Table<'_>) -> Option<Kind> {
    redfish::Config::read(table).map(Kind::Redfish)
}

#[cfg(not(feature = "redfish"))]
fn read_redfish(table: &mut Table<'_>) -> Option<Kind> {
    table.error("kind", MISSING);
    table.forgive();
    None
}

/// What is said of a device that was left out when the program was built.
pub const MISSING: &str = "is not in this twobox: build it with --features redfish";

/// A BMC takes about two seconds to cut the power, and to notice.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A relay is fast, and every millisecond is one without service; a BMC needs about a second between two questions.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Between the two looks that must agree on off.
const SECOND_LOOK: Duration = Duration::from_millis(25);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A device is not bothered by a question a minute.
const REST: Duration = Duration::from_secs(60);

/// Longer than it takes to begin to serve: the box that comes up then finds one that serves.
const ON_AFTER: Duration = Duration::from_secs(15);
