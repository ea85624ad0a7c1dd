//! Init as the watchdog of the supervisor: `WATCHDOG=1`, as often as `WATCHDOG_USEC` wants it
//! (`sd_watchdog_enabled(3)`).
//!
//! What init does to a supervisor that is stuck is to kill it, with all that it runs, and to start it again. That one
//! takes away what is left before it does anything else.

use std::env;
use std::io;
use std::process;
use std::time::Duration;

use super::Watchdog;
use crate::host::notify::InitSocket;

/// An init that wants to hear of us.
#[derive(Debug)]
pub struct InitWatchdog {
    socket: InitSocket,
    timeout: Duration,
}

impl InitWatchdog {
    /// The init that asked for it in our environment, if it did.
    pub fn open() -> Option<Self> {
        let word = |name: &str| env::var(name).ok();
        let timeout = asked(
            word("WATCHDOG_USEC").as_deref(),
            word("WATCHDOG_PID").as_deref(),
            process::id(),
        )?;
        let socket = InitSocket::of_init()?;
        log::info!("watchdog: init waits {timeout:?} for each sign of life");
        Some(Self { socket, timeout })
    }
}

/// How long init waits, if it waits for the process `own`.
fn asked(timeout: Option<&str>, whom: Option<&str>, own: u32) -> Option<Duration> {
    let timeout = Duration::from_micros(timeout?.parse().ok()?);
    let meant = whom.is_none_or(|whom| whom.parse() == Ok(own));
    (meant && !timeout.is_zero()).then_some(timeout)
}

impl Watchdog for InitWatchdog {
    fn name(&self) -> &'static str {
        "init"
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn resets(&self) -> bool {
        false
    }

    fn feed(&mut self) -> io::Result<()> {
        self.socket.tell("WATCHDOG=1");
        Ok(())
    }

    /// Does nothing: a supervisor that cannot reset its box is of use as long as it asks to be fenced.
    fn trip(&mut self) {}

    fn release(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_is_told_if_it_means_us() {
        let ten = Some(Duration::from_secs(10));
        assert_eq!(asked(Some("10000000"), None, 7), ten);
        assert_eq!(asked(Some("10000000"), Some("7"), 7), ten);
        for (timeout, whom) in
            [(None, None), (Some("0"), None), (Some("soon"), None), (Some("10000000"), Some("8"))]
        {
            assert_eq!(asked(timeout, whom, 7), None);
        }
    }
}
