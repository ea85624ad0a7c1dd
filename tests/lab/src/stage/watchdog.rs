//! Plays the watchdog of a box.
//!
//! Its init, as systemd does where a unit says `WatchdogSec=`: the program must say `WATCHDOG=1` often enough
//! (`sd_notify(3)`). One that does not takes the whole box with it here, as a watchdog of the hardware would.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::system::{RebootCommand, reboot};

/// Watches the program that init keeps running.
#[derive(Clone, Debug)]
pub(crate) struct Watchdog {
    timeout: Duration,
    /// When the program was last heard, while it runs.
    heard: Arc<Mutex<Option<Instant>>>,
}

impl Watchdog {
    /// The one that the lab has asked for in the environment of init, if it has.
    ///
    /// # Errors
    ///
    /// When it cannot listen.
    pub(crate) fn open() -> io::Result<Option<Self>> {
        let Some(timeout) = std::env::var(TIMEOUT).ok().and_then(|text| text.parse().ok()) else {
            return Ok(None);
        };
        let ears = UnixDatagram::bind(SOCKET)?;
        ears.set_read_timeout(Some(LOOK))?;
        let watchdog = Self { timeout: Duration::from_micros(timeout), heard: Arc::default() };
        let listener = watchdog.clone();
        std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || listener.run(&ears))?;
        Ok(Some(watchdog))
    }

    /// Tells a program that it is watched.
    pub(crate) fn tell(&self, program: &mut Command) {
        program.env("NOTIFY_SOCKET", SOCKET).env(TIMEOUT, self.timeout.as_micros().to_string());
    }

    /// Begins to watch a program that was just started, or ends it with the program.
    pub(crate) fn watch(&self, runs: bool) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = runs.then(Instant::now);
    }

    fn run(&self, ears: &UnixDatagram) {
        loop {
            let mut text = [0; 256];
            let length = ears.recv(&mut text).unwrap_or(0);
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(last) = heard.as_mut() else { continue };
            if text.get(..length) == Some(b"WATCHDOG=1") {
                *last = Instant::now();
            } else if last.elapsed() > self.timeout {
                println!("=== watchdog: nothing heard for {:?}: reset", last.elapsed());
                // In a pid namespace this kills init, and all the others with it.
                let _ = reboot(RebootCommand::Restart);
            }
        }
    }
}

/// Microseconds (`sd_watchdog_enabled(3)`).
pub(crate) const TIMEOUT: &str = "WATCHDOG_USEC";

const SOCKET: &str = "/run/notify.sock";

/// How often the time is looked at when nothing is said.
const LOOK: Duration = Duration::from_millis(20);
