//! The devices that hold the peer's power, on a thread of their own.
//!
//! While nobody needs them they are asked for the power every now and then, so that a device that stopped answering is
//! known while both boxes are well, and not at the first failover, and so that what it has open is kept open. Such a
//! look is called off as soon as there is a real one.

use std::io;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use board::clock::Clock;
use board::fence::{self, Config, Ladder, Power};
use board::patience::{Cord, Patience};
use board::reserve::{self, Reserve};
use board::threads;
use firmware_agnostic::heartbeat::Fingerprint;
use firmware_agnostic::node::{Answer, Event, Tag};
use firmware_agnostic::time::Instant;
use smol::channel::Sender;

use crate::run::Input;

/// The other end of the devices' thread.
pub(crate) struct Gun {
    jobs: mpsc::Sender<Job>,
    cord: Cord,
    devices: Arc<Mutex<Devices>>,
    time: Duration,
    /// What the peer has told of the machine that it is.
    expected: Arc<Mutex<Option<Fingerprint>>>,
}

/// What the devices last said, for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Devices {
    /// How many there are.
    pub(crate) count: usize,
    /// The power that was last seen, and when.
    pub(crate) seen: Option<(Power, Instant)>,
    /// Why the last question or order failed.
    pub(crate) failure: Option<String>,
    /// When the first of those failed that have done so without a success in between.
    pub(crate) failed_at: Option<Instant>,
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
    /// As `Fence`, and then the power is to come back, whether it was seen off or not.
    Drill,
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
        let cord = Cord::new()?;
        let (ladder, devices_seen) = (Ladder::open(configs), devices.clone());
        let expected = Arc::new(Mutex::new(None));
        let hands = Hands {
            ladder,
            devices: devices_seen,
            inputs,
            cord: cord.clone(),
            on: None,
            said_off: false,
            expected: expected.clone(),
            reserve: Reserve::new("fencing", reserve::START)?,
        };
        let rights = configs.iter().map(Config::rights).collect();
        threads::spawn("fence", rights, move || hands.work(&queue))?;
        let time = configs.iter().map(|config| config.timeout).sum();
        Ok(Self { jobs, cord, devices, time, expected })
    }

    /// Asks for the peer's power.
    pub(crate) fn look(&self, tag: Tag) {
        self.give(Verb::Look, tag);
    }

    /// Orders the peer's power off.
    pub(crate) fn fence(&self, tag: Tag) {
        self.give(Verb::Fence, tag);
    }

    /// Orders the peer's power off, and on again as soon as that is answered.
    pub(crate) fn drill(&self, tag: Tag) {
        self.give(Verb::Drill, tag);
    }

    /// Notes what the peer has told of the machine that it is; no news if it is nothing but zeros.
    pub(crate) fn expect(&self, system: Fingerprint) {
        let expected = Some(system).filter(|system| *system != Fingerprint::default());
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner) = expected;
    }

    /// Expects the machine that `other` does, whose place it takes.
    pub(crate) fn succeed(&self, other: &Self) {
        let expected = *other.expected.lock().unwrap_or_else(PoisonError::into_inner);
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner) = expected;
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
        self.cord.pull();
        // The thread lives as long as this does.
        let _ = self.jobs.send(Job { verb, tag, patience: Patience::new(self.time) });
    }
}

impl Drop for Gun {
    fn drop(&mut self) {
        self.cord.pull();
    }
}

struct Hands {
    ladder: Ladder,
    devices: Arc<Mutex<Devices>>,
    inputs: Sender<Input>,
    cord: Cord,
    /// Until the box that was shot is powered on again.
    on: Option<Patience>,
    /// The last look that nobody had asked for has seen the power off.
    said_off: bool,
    expected: Arc<Mutex<Option<Fingerprint>>>,
    reserve: Reserve,
}

impl Hands {
    fn work(mut self, queue: &mpsc::Receiver<Job>) {
        let mut pause = FIRST_LOOK;
        loop {
            let job = queue.recv_timeout(pause);
            self.reserve.spend();
            match job {
                Ok(job) => {
                    self.cord.reset();
                    self.learn();
                    self.take(&job);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.learn();
                    self.idle();
                }
                // Others took their place. What was promised is kept all the same.
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    if let Some(on) = self.on.take() {
                        self.cord.reset();
                        // Until its time is over.
                        let _ = on.readable(&[]);
                        self.power_on();
                    }
                    return;
                }
            }
            self.reserve.restore();
            let until_on = self.on.as_ref().map_or(Duration::MAX, Patience::left);
            pause = self.ladder.rest().min(until_on).min(LONGEST);
        }
    }

    /// Takes over what the peer has told of itself.
    fn learn(&mut self) {
        let told = *self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        self.ladder.expect(told);
    }

    fn idle(&mut self) {
        if self.on.take_if(|on| on.left().is_zero()).is_some() {
            self.power_on();
        }
        self.look();
    }

    /// Gives the box that was shot its power back.
    fn power_on(&mut self) {
        match self.ladder.on(&Patience::with_cord(self.ladder.timeout(), &self.cord)) {
            Ok(()) => log::info!("fence: the other box is powered on again"),
            // By a job that comes first.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.on = Some(Patience::new(Duration::ZERO));
            }
            Err(error) => {
                log::error!("fence: the other box is not powered on again: {error}; do it by hand");
            }
        }
    }

    /// Looks whether the devices would answer, for nobody but people.
    fn look(&mut self) {
        if self.ladder.is_empty() {
            return;
        }
        let seen = self.ladder.power(&Patience::with_cord(self.ladder.timeout(), &self.cord));
        let known = self.devices.lock().unwrap_or_else(PoisonError::into_inner).failure.is_some();
        match &seen {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(error) if !known => log::error!(
                "fence: {error}; the peer could not be fenced now: look at the device and the way to it"
            ),
            Ok(_) if known => log::info!("fence: the device answers again"),
            _ => {}
        }
        let off = matches!(seen, Ok(Power::Off));
        self.note(seen);
        // Once may be a slip of the device.
        let again = Patience::with_cord(self.ladder.timeout(), &self.cord);
        let twice = off
            && again.sleep(BETWEEN_LOOKS).is_ok()
            && matches!(self.ladder.power(&again), Ok(Power::Off));
        let event = match (twice, std::mem::replace(&mut self.said_off, twice)) {
            (true, _) => Event::SeenOff,
            (false, true) if !off => Event::SeenOn,
            _ => return,
        };
        let _ = self.inputs.send_blocking(Input::Event(event));
    }

    fn note(&self, seen: io::Result<Power>) {
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        match seen {
            Ok(power) => {
                devices.seen = Some((power, Clock.now()));
                (devices.failure, devices.failed_at) = (None, None);
            }
            Err(error) => {
                devices.failure = Some(error.to_string());
                devices.failed_at.get_or_insert(Clock.now());
            }
        }
    }

    fn take(&mut self, job: &Job) {
        let seen = self.ask(job);
        let answer = match (job.verb, &seen) {
            (Verb::Look, Ok(Power::Off)) => Answer::PowerOff,
            (Verb::Look, Ok(Power::On)) => Answer::PowerOn,
            (Verb::Look, Err(error)) if fence::is_silent(error) => Answer::PowerSilent,
            (Verb::Look, Err(_)) => Answer::PowerUnknown,
            (Verb::Fence | Verb::Drill, Ok(Power::Off)) => Answer::Fenced,
            (Verb::Fence | Verb::Drill, _) => Answer::FenceFailed,
        };
        if let Err(error) = &seen {
            log::error!("fence: {error}");
        }
        self.note(seen);
        // The loop has ended only when the box leaves, and then nobody listens.
        let _ = self.inputs.send_blocking(Input::Event(Event::Answer(job.tag, answer)));
        // Nobody waits for it any more, and whoever comes next calls it off.
        self.ladder.note_shot(&Patience::with_cord(self.ladder.timeout(), &self.cord));
    }

    fn ask(&mut self, Job { verb, patience, .. }: &Job) -> io::Result<Power> {
        if patience.left().is_zero() && !self.ladder.is_empty() {
            return Err(io::Error::other("not asked: the question before took all the time"));
        }
        match verb {
            Verb::Look => self.ladder.power(patience),
            Verb::Fence | Verb::Drill => {
                let fenced = self.ladder.fence(patience);
                let after = fenced.as_ref().ok().copied().flatten();
                let after = after.or(matches!(verb, Verb::Drill).then_some(Duration::ZERO));
                self.on = after.map(Patience::new).or(self.on.take());
                fenced.map(|_| Power::Off)
            }
        }
    }
}

/// Soon after the start, and yet not while everything begins.
const FIRST_LOOK: Duration = Duration::from_millis(500);
/// A power that is seen off twice, so long apart, was not off for a moment only.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// Some clocks cannot count to the end of time.
const LONGEST: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::thread;

    use board::table::Source;
    use smol::channel::Receiver;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_nobody_waits_for_any_more_is_not_done() {
        // It hangs when it is asked, and counts the orders.
        let bench = Bench::new("exec sleep 60", "timeout = \"300ms\"");
        bench.gun.look(1);
        bench.gun.fence(2);
        assert_eq!(bench.answer(), Event::Answer(1, Answer::PowerSilent));
        assert_eq!(bench.answer(), Event::Answer(2, Answer::FenceFailed));
        assert_eq!(bench.read("orders"), "", "a shot that came too late was fired");
    }

    #[test]
    fn a_box_that_was_shot_is_powered_on_again_and_one_that_was_off_is_not() {
        let bench = Bench::new("cat power", "timeout = \"60s\"\naction = \"cycle\"");
        bench.gun.fence(1);
        assert_eq!(bench.answer(), Event::Answer(1, Answer::Fenced));
        bench.until("orders", "off\non\n");
        bench.write("power", "off\n");
        bench.gun.fence(2);
        assert_eq!(bench.answer(), Event::Answer(2, Answer::Fenced));
        thread::sleep(Duration::from_millis(300));
        assert_eq!(bench.read("power"), "off\n", "somebody else had switched it off");
    }

    /// Nobody has to ask for it, and it need not have been seen off.
    #[test]
    fn a_box_of_a_drill_gets_its_power_back() {
        for (status, ends) in [("cat power", Answer::Fenced), ("exit 1", Answer::FenceFailed)] {
            let bench = Bench::new(status, "timeout = \"2s\"");
            bench.gun.drill(7);
            assert_eq!(bench.answer(), Event::Answer(7, ends));
            bench.until("orders", "off\non\n");
        }
    }

    /// A gun, and the switch that it holds: a script that keeps the power in a file, and the orders in another.
    struct Bench {
        gun: Gun,
        answers: Receiver<Input>,
        room: TempDir,
    }

    impl Bench {
        /// A box that has power. Asked for it, the switch does `status`.
        fn new(status: &str, words: &str) -> Self {
            let room = TempDir::new().unwrap();
            let switch = room.path().join("switch");
            let script = format!(
                "#!/bin/sh\ncd {}\ncase $1 in status) {status};; *) echo $1 > power; echo $1 >> orders;; esac\n",
                room.path().display()
            );
            fs::write(&switch, script).unwrap();
            fs::set_permissions(&switch, fs::Permissions::from_mode(0o755)).unwrap();
            let config = config(&switch, words);
            let (inputs, answers) = smol::channel::bounded(8);
            let bench = Self { gun: Gun::open(&[config], inputs).unwrap(), answers, room };
            bench.write("power", "on\n");
            bench
        }

        fn answer(&self) -> Event {
            match self.answers.recv_blocking() {
                Ok(Input::Event(event)) => event,
                _ => panic!("the thread answers"),
            }
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.room.path().join(name), text).unwrap();
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.room.path().join(name)).unwrap_or_default()
        }

        fn until(&self, name: &str, text: &str) {
            let begun = std::time::Instant::now();
            while self.read(name) != text {
                assert!(begun.elapsed() < Duration::from_secs(60), "{name}: {}", self.read(name));
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn config(switch: &Path, words: &str) -> Config {
        let text = format!("kind = \"command\"\ncommand = [{switch:?}]\n{words}\n");
        Config::read(&mut Source::new(&text).parse()).unwrap()
    }

    #[test]
    fn devices_that_are_replaced_keep_what_they_have_promised_and_answer() {
        let directory = tempfile::tempdir().unwrap();
        let (switch, power) = (directory.path().join("switch"), directory.path().join("power"));
        let script = format!(
            "#!/bin/sh\ncase $1 in status) cat {0};; *) echo $1 > {0};; esac\n",
            power.display()
        );
        fs::write(&switch, script).unwrap();
        fs::write(&power, "on\n").unwrap();
        fs::set_permissions(&switch, fs::Permissions::from_mode(0o755)).unwrap();
        let text = format!(
            "kind = \"command\"\ncommand = [\"{}\"]\ntimeout = \"60s\"\n\
             action = \"off-then-on\"\non_after = \"1s\"\n",
            switch.display()
        );
        let config = Config::read(&mut Source::new(&text).parse()).unwrap();
        let (inputs, answers) = smol::channel::bounded(8);
        let gun = Gun::open(&[config], inputs).unwrap();
        gun.fence(1);
        drop(gun);
        let answer = answers.recv_blocking();
        assert!(matches!(answer, Ok(Input::Event(Event::Answer(1, Answer::Fenced)))));
        assert_eq!(fs::read_to_string(&power).unwrap(), "off\n");
        // The thread is gone when this is, and the power is back by then.
        assert!(answers.recv_blocking().is_err());
        assert_eq!(fs::read_to_string(&power).unwrap(), "on\n");
    }
}
