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

/// A question, and how long its answer is waited for: what is late must not be done at all. A shot that waited behind
/// a slow look would hit a peer that was heard again meanwhile.
struct Job {
    verb: Verb,
    tag: Tag,
    patience: Patience,
}

#[derive(Clone, Copy)]
enum Verb {
    Look,
    Fence,
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
        self.give(Verb::Look, tag);
    }

    /// Orders the peer's power off.
    pub(crate) fn fence(&self, tag: Tag) {
        self.give(Verb::Fence, tag);
    }

    /// The longest time that an answer may take.
    pub(crate) const fn time(&self) -> Duration {
        self.time
    }

    /// What the devices last said.
    pub(crate) fn devices(&self) -> Devices {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn give(&self, verb: Verb, tag: Tag) {
        // The thread lives as long as this does.
        let _ = self.jobs.send(Job { verb, tag, patience: Patience::new(self.time) });
    }
}

struct Hands {
    ladder: Ladder,
    devices: Arc<Mutex<Devices>>,
    inputs: Sender<Input>,
}

impl Hands {
    fn take(&mut self, job: &Job) {
        let seen = self.ask(job);
        let answer = match (job.verb, &seen) {
            (Verb::Look, Ok(Power::Off)) => Answer::PowerOff,
            (Verb::Look, _) => Answer::PowerNotOff,
            (Verb::Fence, Ok(Power::Off)) => Answer::Fenced,
            (Verb::Fence, _) => Answer::FenceFailed,
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
        let _ = self.inputs.send_blocking(Input::Event(Event::Answer(job.tag, answer)));
    }

    fn ask(&mut self, Job { verb, patience, .. }: &Job) -> io::Result<Power> {
        if patience.left().is_zero() && !self.ladder.is_empty() {
            return Err(io::Error::other("not asked: the question before took all the time"));
        }
        match verb {
            Verb::Look => self.ladder.power(patience),
            Verb::Fence => self.ladder.fence(patience).map(|()| Power::Off),
        }
    }
}

/// As for the resources' thread.
const STACK: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use board::table::Source;

    use super::*;

    #[test]
    fn what_nobody_waits_for_any_more_is_not_done() {
        let directory = tempfile::tempdir().unwrap();
        let (switch, shots) = (directory.path().join("switch"), directory.path().join("shots"));
        // It hangs when it is asked, and counts the orders.
        let script = format!(
            "#!/bin/sh\ncase $1 in status) exec sleep 60;; *) echo $1 >> {};; esac\n",
            shots.display()
        );
        fs::write(&switch, script).unwrap();
        fs::set_permissions(&switch, fs::Permissions::from_mode(0o755)).unwrap();
        let text = format!(
            "kind = \"command\"\ncommand = [\"{}\"]\ntimeout = \"300ms\"\n",
            switch.display()
        );
        let config = Config::read(&mut Source::new(&text).parse()).unwrap();
        let (inputs, answers) = smol::channel::bounded(8);
        let gun = Gun::open(&[config], inputs).unwrap();
        gun.look(1);
        gun.fence(2);
        let answer = || match answers.recv_blocking() {
            Ok(Input::Event(event)) => event,
            _ => panic!("the thread answers"),
        };
        assert_eq!(answer(), Event::Answer(1, Answer::PowerNotOff));
        assert_eq!(answer(), Event::Answer(2, Answer::FenceFailed));
        assert!(!shots.exists(), "a shot that came too late was fired");
    }
}
