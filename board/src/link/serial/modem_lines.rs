//! Reads the modem lines of a serial cable once a second, beside the loop.
//!
//! A UART answers from a register. A USB adapter is asked over its bus, and one that hangs lets the asker wait for
//! seconds (`USB_CTRL_GET_TIMEOUT` in the kernel is five), in which the loop would send no heartbeat over any link.

use std::ffi::c_int;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use firmware_agnostic::time::Instant;
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, ioctl};

use crate::link::ModemLines;
use crate::thread::capabilities::Rights;
use crate::thread::spawn;
use crate::time::clock::Clock;

/// The lines of one tty, as they were last seen.
pub(super) struct LinePoller(Seen);

type Looked = Result<ModemLines, Errno>;
type Seen = Arc<Mutex<Option<(ModemLines, Instant)>>>;

impl LinePoller {
    /// Looks at the lines of `tty` for as long as somebody else has it open.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub(super) fn of(tty: &Arc<OwnedFd>) -> io::Result<Self> {
        let tty = Arc::downgrade(tty);
        Self::by(move || tty.upgrade().map(|tty| read(&tty)))
    }

    fn by(look: impl FnMut() -> Option<Looked> + Send + 'static) -> io::Result<Self> {
        let seen = Seen::default();
        let wanted = Arc::downgrade(&seen);
        spawn::spawn("lines", Rights::NONE, move || look_on(look, &wanted))?;
        Ok(Self(seen))
    }

    /// The lines, unless the last look at them is old.
    pub(super) fn lines(&self) -> Option<ModemLines> {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.filter(|(_, at)| Clock.now() - *at < OLD).map(|(lines, _)| lines)
    }
}

/// Looks until nobody wants to know, or there is nothing to see: a pty has no lines.
fn look_on(
    mut look: impl FnMut() -> Option<Looked>,
    seen: &Weak<Mutex<Option<(ModemLines, Instant)>>>,
) {
    while let Some(looked) = look()
        && let Some(seen) = seen.upgrade()
    {
        match looked {
            Ok(lines) => {
                let now = Some((lines, Clock.now()));
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
            }
            Err(Errno::NOTTY | Errno::INVAL) => return,
            // It may answer the next time.
            Err(_) => {}
        }
        drop(seen);
        thread::sleep(PAUSE);
    }
}

#[allow(unsafe_code)]
fn read(tty: &OwnedFd) -> Looked {
    // SAFETY: TIOCMGET writes an int (`ioctl_tty(2)`).
    let lines = unsafe { ioctl(tty, Getter::<MGET, c_int>::new()) }?;
    let high = |line| lines & line != 0;
    Ok(ModemLines {
        carrier: high(libc::TIOCM_CAR),
        dsr: high(libc::TIOCM_DSR),
        cts: high(libc::TIOCM_CTS),
    })
}

const MGET: Opcode = libc::TIOCMGET as Opcode;

/// About as often as a link looks after itself.
const PAUSE: Duration = Duration::from_secs(1);

/// A look that takes longer than this will not come.
const OLD: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn an_adapter_that_hangs_holds_up_nobody_and_tells_nothing() {
        let (hangs, wait) = channel::<()>();
        let mut looks = 0;
        let watch = LinePoller::by(move || {
            looks += 1;
            if looks > 1 {
                let _ = wait.recv();
            }
            Some(Ok(UP))
        })
        .unwrap();
        let start = Clock.now();
        while watch.lines() != Some(UP) {
            thread::sleep(Duration::from_millis(5));
        }
        while watch.lines().is_some() {
            assert!(Clock.now() - start < Duration::from_secs(60), "an old look is believed");
            thread::sleep(Duration::from_millis(50));
        }
        assert!(Clock.now() - start >= OLD);
        drop(hangs);
        while watch.lines().is_none() {
            assert!(Clock.now() - start < Duration::from_secs(60), "it has looked again");
            thread::sleep(Duration::from_millis(50));
        }
    }

    const UP: ModemLines = ModemLines { carrier: true, dsr: true, cts: false };
}
