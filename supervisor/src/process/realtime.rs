//! Gives the supervisor precedence over all others, or says what is missing for it.
//!
//! Three threads have the priority: the loop, which sends; the reactor, which wakes it for all but heartbeats; and
//! the one that feeds the watchdog. Those that wait for disks, devices and programs have none, and neither has
//! anything that they start.

use std::fmt;
use std::io;
use std::thread;
use std::time::Duration;

use board::thread::capabilities::Rights;
use board::thread::realtime::{RealtimePriority, Refused, lock_memory};
use board::thread::spawn;
use smol::Timer;
use smol::future::block_on;

use crate::config;

/// What was asked for, and what became of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Realtime {
    wanted: RealtimePriority,
    /// What the threads have.
    pub(crate) priority: RealtimePriority,
    /// Whether the memory is locked.
    pub(crate) locked: bool,
    /// What is missing, and what to do about it.
    pub(crate) missing: Vec<String>,
}

impl Realtime {
    /// Takes what `config` asks for, for the calling thread, which is to run the loop, and for the reactor.
    ///
    /// # Errors
    ///
    /// When the reactor has no thread.
    pub(crate) fn begin(config: config::RealtimeConfig) -> io::Result<Self> {
        let mut realtime = Self { wanted: config.priority, ..Self::default() };
        if config.lock_memory {
            match lock_memory() {
                Ok(()) => realtime.locked = true,
                Err(error) => realtime.missing.push(format!(
                    "memory is not locked ({error}): give CAP_IPC_LOCK, or ulimit -l unlimited (LimitMEMLOCK=infinity)"
                )),
            }
        }
        match config.priority.take() {
            Ok(()) => realtime.priority = config.priority,
            Err(refused) => realtime.missing.push(realtime.remedy(&refused)),
        }
        realtime.start_reactor()?;
        Ok(realtime)
    }

    /// The reactor's own thread begins with the first timer, and has the rights and the priority of the thread that
    /// sets it.
    fn start_reactor(&self) -> io::Result<()> {
        let priority = self.priority;
        let first = thread::Builder::new().name("reactor".to_owned()).spawn(move || {
            // It was given to the loop already.
            let _ = priority.take_and_pass_on();
            Rights::NONE.drop_others();
            // One that is over already would start nothing.
            block_on(Timer::after(Duration::from_millis(1)));
        });
        let first = first.map_err(|error| spawn::unborn(&error))?;
        first.join().map(drop).map_err(|_| io::Error::other("the reactor cannot start"))
    }

    fn remedy(&self, refused: &Refused) -> String {
        match refused {
            Refused::Kernel(error) => format!(
                "no real-time priority ({error}): give CAP_SYS_NICE, or ulimit -r {0} (LimitRTPRIO={0})",
                self.wanted.number()
            ),
            Refused::Unbounded => "no real-time priority: it would be without bound here; \
                 sysctl kernel.sched_rt_runtime_us=950000"
                .to_owned(),
        }
    }
}

impl fmt::Display for Realtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.priority.number() {
            0 => f.write_str("no priority")?,
            number => write!(f, "priority {number}")?,
        }
        f.write_str(if self.locked { ", memory locked" } else { ", memory not locked" })
    }
}
