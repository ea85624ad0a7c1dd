//! Wakes somebody at an instant of the one clock.
//!
//! A `timerfd_create(2)` of `CLOCK_BOOTTIME`, which counts suspended time as [`Clock`] does.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use firmware_agnostic::time::Instant;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use smol::future::yield_now;

use crate::time::clock::Clock;
use crate::time::reactor::{EventSource, Reactor};

/// Rings at one instant at a time.
pub struct Alarm {
    timer: EventSource<OwnedFd>,
    /// For when it is set, if it has not rung since.
    at: Option<Instant>,
}

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    ///
    /// When there are no files left.
    pub fn new(lookout: &Rc<Reactor>) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
        Ok(Self { timer: EventSource::new(lookout, timer)?, at: None })
    }

    /// Waits until `at`.
    ///
    /// # Errors
    ///
    /// When the kernel does not do what it always does.
    pub async fn rings(&mut self, at: Instant) -> io::Result<()> {
        if Clock.now() >= at {
            // Who is always late lets the others have their turn all the same.
            yield_now().await;
        }
        // More than once, for it may have rung for what it was set to before.
        while Clock.now() < at {
            // Most that asks anew asks for the same.
            if self.at != Some(at) {
                timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &once(at))?;
                self.at = Some(at);
            }
            self.timer.readable().await?;
        }
        self.at = None;
        Ok(())
    }
}

fn once(at: Instant) -> Itimerspec {
    // Nothing but zeros would be no time at all.
    let micros = at.as_micros().max(1);
    let it_value = Timespec {
        tv_sec: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(micros % 1_000_000 * 1_000).unwrap_or(0),
    };
    Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use smol::future::{or, ready};

    use super::*;

    #[test]
    fn it_rings_when_it_is_time() {
        let lookout = Reactor::new().unwrap();
        let mut alarm = Alarm::new(&lookout).unwrap();
        let mut rings = |at: Instant| lookout.block_on(alarm.rings(at)).unwrap();
        let at = Clock.now() + Duration::from_millis(30);
        rings(at);
        assert!(Clock.now() >= at, "it is too early");
        // What is over rings at once.
        rings(at);
        rings(Instant::from_micros(0));
    }

    #[test]
    fn a_task_that_is_always_late_lets_others_have_their_turn() {
        let lookout = Reactor::new().unwrap();
        let mut alarm = Alarm::new(&lookout).unwrap();
        let late = async {
            loop {
                alarm.rings(Instant::from_micros(0)).await.unwrap();
            }
        };
        lookout.block_on(or(late, ready(())));
    }

    #[test]
    fn what_it_is_set_to_last_counts() {
        let lookout = Reactor::new().unwrap();
        let mut alarm = Alarm::new(&lookout).unwrap();
        for _ in 0..2 {
            let (never, later) =
                (Instant::from_micros(u64::MAX), Clock.now() + Duration::from_millis(30));
            for at in [never, Clock.now(), later] {
                let waits = async { alarm.rings(at).await.is_ok() };
                lookout.block_on(or(waits, ready(false)));
                // It has rung, for what nobody wants to know any more.
                sleep(Duration::from_millis(5));
            }
            lookout.block_on(alarm.rings(later)).unwrap();
            assert!(Clock.now() >= later, "it is too early");
        }
    }
}
