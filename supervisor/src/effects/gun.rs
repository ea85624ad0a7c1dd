//! The devices that hold the peer's power, on a thread of their own.

use std::io;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use board::fence::{Config, Ladder, Power};
use board::patience::Patience;
use firmware_agnostic::node::{Answer, Event, Tag};
use smol::channel::Sender;

use crate::run::Input;

/// The other end of the devices' thread.
pub(crate) struct Gun {
    jobs: mpsc::Sender<Job>,
    devices: Arc<Mutex<Devices>>,
    time: Duration,
}

/// What the devices last said, for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Devices {
    /// How many there are.
    pub(crate) count: usize,
    /// The power that was last seen.
    pub(crate) seen: Option<Power>,
    /// Why the last question or order failed.
    pub(crate) failure: Option<String>,
}

enum Job {
    Look(Tag),
    Fence(Tag),
}

impl Gun {
    /// Starts the thread of the devices that `configs` speaks of. Nothing is asked of them yet.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub(crate) fn open(configs: &[Config], inputs: Sender<Input>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let devices = Devices { count: configs.len(), ..Devices::default() };
        let devices = Arc::new(Mutex::new(devices));
        let mut hands = Hands { ladder: Ladder::open(configs), devices: devices.clone(), inputs };
        thread::Builder::new().name("fence".to_owned()).stack_size(STACK).spawn(move || {
            while let Ok(job) = queue.recv() {
                hands.take(&job);
            }
        })?;
        let time = configs.iter().map(|config| config.timeout).sum();
        Ok(Self { jobs, devices, time })
    }

    /// Asks for the peer's power.
    pub(crate) fn look(&self, tag: Tag) {
        let _ = self.jobs.send(Job::Look(tag));
    }

    /// Orders the peer's power off.
    pub(crate) fn fence(&self, tag: Tag) {
        let _ = self.jobs.send(Job::Fence(tag));
    }

    /// The longest time that an answer may take.
    pub(crate) const fn time(&self) -> Duration {
        self.time
    }

    /// What the devices last said.
    pub(crate) fn devices(&self) -> Devices {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Hands {
    ladder: Ladder,
    devices: Arc<Mutex<Devices>>,
    inputs: Sender<Input>,
}

impl Hands {
    fn take(&mut self, job: &Job) {
        let patience = Patience::new(self.ladder.timeout());
        let (tag, answer, seen) = match job {
            Job::Look(tag) => match self.ladder.power(&patience) {
                Ok(Power::Off) => (tag, Answer::PowerOff, Ok(Power::Off)),
                seen => (tag, Answer::PowerNotOff, seen),
            },
            Job::Fence(tag) => match self.ladder.fence(&patience) {
                Ok(()) => (tag, Answer::Fenced, Ok(Power::Off)),
                Err(error) => (tag, Answer::FenceFailed, Err(error)),
            },
        };
        if let Err(error) = &seen {
            log::error!("fence: {error}");
        }
        {
            let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
            match seen {
                Ok(power) => (devices.seen, devices.failure) = (Some(power), None),
                Err(error) => devices.failure = Some(error.to_string()),
            }
        }
        // The loop has ended only when the box leaves, and then nobody listens.
        let _ = self.inputs.send_blocking(Input::Event(Event::Answer(*tag, answer)));
    }
}

/// As for the resources' thread.
const STACK: usize = 256 * 1024;
