//! Feeds a watchdog, so that a stuck box is a dead box.
//!
//! A watchdog resets the box unless it is fed, and it is fed only while everybody is in time: the loop with its
//! heartbeats, and the disk. Each feeding comes right after a heartbeat was sent, so that the silence which the peer
//! counts begins no later than the time that the watchdog counts.
//!
//! ```text
//! heartbeat sent ──> is everybody in time? (Roll) ──yes──> feed
//! disk has answered ───────────┘             └──no──> ... timeout ──> reset
//! ```
//!
//! | watchdog | what it does to a box that is stuck | its time |
//! |---|---|---|
//! | [`device`], where `[watchdog]` names one | resets it | what the device says that it is |
//! | [`init`], where init asks for it (`WatchdogSec=`) | kills the supervisor, and starts it again | what init says |
//!
//! It is let go only when the supervisor leaves and everything has stopped. One that dies does not let it go.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::requirement::Requirement;
use crate::config::table::Table;

pub mod device;
pub mod init;
pub mod liveness;
pub mod probe;

pub use liveness::{Late, Liveness};

/// `[watchdog]`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The device that is to watch this box, if it has one.
    pub device: Option<device::Config>,
    /// The time from the moment in which a device is no longer patient until nothing runs on the box any more.
    pub reset: Duration,
    /// The longest time for which the disk may not answer.
    pub disk_timeout: Duration,
}

impl Config {
    /// Reads the words of `[watchdog]`, all of which may be left out.
    pub fn read(table: &mut Table<'_>) -> Self {
        let timed = table.has("timeout");
        let path: Option<PathBuf> = table.take("device");
        let timeout = table.get_or("timeout", TIMEOUT);
        if timed && path.is_none() {
            table.error_if_read("timeout", "goes with `device`, such as \"/dev/watchdog\"");
        }
        if timeout.is_zero() || timeout.subsec_nanos() != 0 {
            table.error("timeout", "is no whole number of seconds, and a device counts seconds");
        }
        let reset = table.get_or("reset", RESET);
        let disk_timeout = table.get_or("disk_timeout", DISK_TIMEOUT);
        if disk_timeout < DISK_TIMEOUT_MIN {
            table.error(
                "disk_timeout",
                format!("is too short for any disk: at least {DISK_TIMEOUT_MIN:?}"),
            );
        }
        let device = path.map(|path| device::Config { path, timeout });
        Self { device, reset, disk_timeout }
    }

    /// What the box must have for it.
    pub fn needs(&self) -> Vec<Requirement> {
        self.device.iter().map(|device| Requirement::Device(device.path.clone())).collect()
    }

    /// Opens what watches this box: the device, and init where it asks. From now on each of them wants to be fed.
    ///
    /// # Errors
    ///
    /// When the device is none, is held by somebody else, or may not be used: with the remedy.
    pub fn open(&self) -> io::Result<Vec<Box<dyn Watchdog>>> {
        let mut opened: Vec<Box<dyn Watchdog>> = Vec::new();
        if let Some(config) = &self.device {
            opened.push(Box::new(config.open()?));
        }
        if let Some(init) = init::InitWatchdog::open() {
            opened.push(Box::new(init));
        }
        Ok(opened)
    }
}

/// Something that ends this box, or has it ended, unless it is fed.
pub trait Watchdog: Send {
    /// What people know it by.
    fn name(&self) -> &str;

    /// How long it waits for the next feeding, as it says itself.
    fn timeout(&self) -> Duration;

    /// Whether it resets the whole box, rather than the supervisor.
    fn resets(&self) -> bool;

    /// Feeds it.
    ///
    /// # Errors
    ///
    /// When it did not take that.
    fn feed(&mut self) -> io::Result<()>;

    /// Shortens its patience as far as it lets itself be shortened. It is not fed any more.
    fn trip(&mut self);

    /// Ends its watch.
    ///
    /// # Errors
    ///
    /// When it will not end it: it is going to reset the box.
    fn release(self: Box<Self>) -> io::Result<()>;
}

/// Long enough for a kernel that is busy, and short enough for a box whose fence device cannot be reached.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A hardware watchdog pulls the reset line at once, a software one runs a few lines of the kernel.
const RESET: Duration = Duration::from_millis(500);

/// Cards and SSDs that tidy up have been silent for seconds; what takes longer than this does not come back.
const DISK_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer takes a few hundredths of a second.
const DISK_TIMEOUT_MIN: Duration = Duration::from_secs(1);
