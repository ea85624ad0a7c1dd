//! Works for the node with the devices that hold the peer's power, on a thread of its own.
//!
//! A shot has steps. The node orders it ([`FenceWorker::fence`]); the thread reads the power and tells
//! [`Event::Ready`]; the node says [`FenceWorker::cut`], and the order goes out; or it says
//! [`FenceWorker::call_off`], and nothing more is sent. Each question gets one answer, also when more is said
//! meanwhile.
//!
//! While nobody needs the devices they are asked for the power every now and then, so that a device that stopped
//! answering is known while both boxes are well, and not at the first failover, and so that what it has open is
//! kept open. Such a look is called off as soon as there is a real one.

use std::io;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use board::fence::{self, Config, Power, PowerSeen, Topology};
use board::thread::deadline::{CancelToken, Deadline};
use board::thread::fd_reserve::{self, Reserve};
use board::thread::spawn;
use board::time::clock::Clock;
use firmware_agnostic::heartbeat::Fingerprint;
use firmware_agnostic::node::{Answer, Event, Tag};
use firmware_agnostic::time::Instant;
use smol::channel::Sender;

use crate::input::Input;

/// The other end of the devices' thread.
pub(crate) struct FenceWorker {
    jobs: mpsc::Sender<Job>,
    shared: Arc<FenceState>,
    time: Duration,
}

/// What both ends of the thread know.
struct FenceState {
    state: Mutex<DeviceState>,
    /// Pulled when a look that nobody needs is to end.
    idle: CancelToken,
    /// Pulled when the shot under way may be fired.
    cut: CancelToken,
    /// Pulled when it is called off.
    stop: CancelToken,
}

#[derive(Default)]
struct DeviceState {
    devices: Devices,
    /// What the peer has told of the machine that it is.
    expected: Option<Fingerprint>,
    /// The last shots that the node has let happen, and has called off.
    cut: Option<Tag>,
    called_off: Option<Tag>,
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
    patience: Deadline,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Verb {
    Look,
    Fence,
    PowerOn,
}

impl FenceWorker {
    /// Starts the thread of the devices that `configs` speaks of. Nothing is asked of them yet.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub(crate) fn open(configs: &[Config], inputs: Sender<Input>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let devices = Devices { count: configs.len(), ..Devices::default() };
        let state = Mutex::new(DeviceState { devices, ..DeviceState::default() });
        let (idle, cut, stop) = (CancelToken::new()?, CancelToken::new()?, CancelToken::new()?);
        let shared = Arc::new(FenceState { state, idle, cut, stop });
        let hands = FenceThread {
            ladder: Topology::open(configs),
            shared: shared.clone(),
            inputs,
            said_off: false,
            reserve: Reserve::new("fencing", fd_reserve::START)?,
        };
        let rights = configs.iter().map(Config::rights).collect();
        spawn::spawn("fence", rights, move || hands.work(&queue))?;
        let time = configs.iter().map(|config| config.timeout).sum();
        Ok(Self { jobs, shared, time })
    }

    /// Asks for the peer's power.
    pub(crate) fn look(&self, tag: Tag) {
        self.give(Verb::Look, tag);
    }

    /// Makes ready to cut the peer's power.
    pub(crate) fn fence(&self, tag: Tag) {
        self.give(Verb::Fence, tag);
    }

    /// Orders the peer's power on.
    pub(crate) fn power_on(&self, tag: Tag) {
        self.give(Verb::PowerOn, tag);
    }

    /// Lets the shot happen that was ordered under `tag`.
    pub(crate) fn cut(&self, tag: Tag) {
        self.shared.state().cut = Some(tag);
        self.shared.cut.cancel();
    }

    /// Calls the shot off that was ordered under `tag`.
    pub(crate) fn call_off(&self, tag: Tag) {
        self.shared.state().called_off = Some(tag);
        self.shared.stop.cancel();
    }

    /// Notes what the peer has told of the machine that it is; no news if it is nothing but zeros.
    pub(crate) fn expect(&self, system: Fingerprint) {
        self.shared.state().expected = Some(system).filter(|it| *it != Fingerprint::default());
    }

    /// Expects the machine that `other` does, whose place it takes.
    pub(crate) fn succeed(&self, other: &Self) {
        let expected = other.shared.state().expected;
        self.shared.state().expected = expected;
    }

    /// The longest time that an answer may take.
    pub(crate) const fn time(&self) -> Duration {
        self.time
    }

    /// What the devices last said.
    pub(crate) fn devices(&self) -> Devices {
        self.shared.state().devices.clone()
    }

    fn give(&self, verb: Verb, tag: Tag) {
        self.shared.idle.cancel();
        let patience = match verb {
            Verb::Look | Verb::PowerOn => Deadline::new(self.time),
            Verb::Fence => Deadline::with_cord(self.time, &self.shared.stop),
        };
        // The thread lives as long as this does.
        let _ = self.jobs.send(Job { verb, tag, patience });
    }
}

impl Drop for FenceWorker {
    fn drop(&mut self) {
        self.shared.idle.cancel();
        self.shared.stop.cancel();
    }
}

impl FenceState {
    fn state(&self) -> MutexGuard<'_, DeviceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was said of earlier shots, and tells whether the shot `tag` is wanted still.
    fn begins(&self, tag: Tag) -> bool {
        self.cut.reset();
        self.stop.reset();
        // Said before the cords were reset.
        self.state().called_off != Some(tag)
    }
}

struct FenceThread {
    ladder: Topology,
    shared: Arc<FenceState>,
    inputs: Sender<Input>,
    /// The last look that nobody had asked for has seen the power off.
    said_off: bool,
    reserve: Reserve,
}

impl FenceThread {
    fn work(mut self, queue: &mpsc::Receiver<Job>) {
        let mut pause = FIRST_LOOK;
        loop {
            let job = queue.recv_timeout(pause);
            self.reserve.spend();
            self.learn();
            match job {
                Ok(job) => {
                    self.shared.idle.reset();
                    self.take(&job);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.look(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            self.reserve.restore();
            pause = self.ladder.rest().min(LONGEST);
        }
    }

    /// Takes over what the peer has told of itself.
    fn learn(&mut self) {
        let expected = self.shared.state().expected;
        self.ladder.expect(expected);
    }

    /// Looks whether the devices would answer, for nobody but people.
    fn look(&mut self) {
        if self.ladder.is_empty() {
            return;
        }
        let patience = Deadline::with_cord(self.ladder.timeout(), &self.shared.idle);
        let seen = self.ladder.power(&patience);
        let known = self.shared.state().devices.failure.is_some();
        match &seen {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(error) if !known => log::error!(
                "fence: {error}; the peer could not be fenced now: look at the device and the way to it"
            ),
            Ok(_) if known => log::info!("fence: the device answers again"),
            _ => {}
        }
        let event = match &seen {
            Ok(PowerSeen::Off(at)) => Some(Event::SeenOff(*at)),
            // Once is enough: it says on nearly always.
            Ok(PowerSeen::On) if self.said_off => Some(Event::SeenOn),
            _ => None,
        };
        if let Ok(seen) = seen {
            self.said_off = seen.power() == Power::Off;
        }
        self.note(seen);
        if let Some(event) = event {
            let _ = self.inputs.send_blocking(Input::Event(event));
        }
    }

    fn note(&self, seen: io::Result<PowerSeen>) {
        let devices = &mut self.shared.state().devices;
        match seen {
            Ok(seen) => {
                devices.seen = Some((seen.power(), Clock.now()));
                (devices.failure, devices.failed_at) = (None, None);
            }
            Err(error) => {
                devices.failure = Some(error.to_string());
                devices.failed_at.get_or_insert(Clock.now());
            }
        }
    }

    fn take(&mut self, job: &Job) {
        let (seen, owes) = self.ask(job);
        let answer = match (job.verb, &seen) {
            (Verb::Look, Ok(PowerSeen::Off(at))) => Answer::PowerOff(*at),
            (Verb::Look, Ok(PowerSeen::On)) => Answer::PowerOn,
            (Verb::Look, Err(error)) if fence::is_silent(error) => Answer::PowerSilent,
            (Verb::Look, Err(_)) => Answer::PowerUnknown,
            (Verb::Fence, Ok(PowerSeen::Off(at))) => Answer::Fenced(*at),
            (Verb::Fence, _) => Answer::FenceFailed,
            (Verb::PowerOn, Ok(_)) => Answer::PoweredOn,
            (Verb::PowerOn, Err(_)) => Answer::PowerOnFailed,
        };
        if let Err(error) = &seen {
            log::error!("fence: {error}");
        }
        self.said_off |= matches!(seen, Ok(PowerSeen::Off(_)));
        self.note(seen);
        // The loop has ended only when the box leaves, and then nobody listens.
        if let Some(after) = owes {
            let _ = self.inputs.send_blocking(Input::Event(Event::OwesPower(after)));
        }
        let _ = self.inputs.send_blocking(Input::Event(Event::Answer(job.tag, answer)));
        // Nobody waits for it any more, and the next job calls it off.
        let patience = Deadline::with_cord(self.ladder.timeout(), &self.shared.idle);
        self.ladder.note_shot(&patience);
    }

    /// What the devices say, and after what time the peer is owed its power.
    fn ask(
        &mut self,
        Job { verb, tag, patience }: &Job,
    ) -> (io::Result<PowerSeen>, Option<Duration>) {
        if patience.left().is_zero() && !self.ladder.is_empty() {
            let late = io::Error::other("not asked: the question before took all the time");
            return (Err(late), None);
        }
        match verb {
            Verb::Look => (self.ladder.power(patience), None),
            Verb::PowerOn => (self.ladder.on(patience).map(|()| PowerSeen::On), None),
            Verb::Fence => {
                let fenced = self.shoot(*tag, patience);
                let after = fenced.as_ref().ok().and_then(|(_, after)| *after);
                (fenced.map(|(at, _)| PowerSeen::Off(at)), after)
            }
        }
    }

    fn shoot(&mut self, tag: Tag, patience: &Deadline) -> io::Result<(Instant, Option<Duration>)> {
        if !self.shared.begins(tag) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "called off before it began"));
        }
        let (shared, inputs) = (&self.shared, &self.inputs);
        self.ladder.fence_when_told(patience, &mut |patience| {
            let _ = inputs.send_blocking(Input::Event(Event::Ready(tag)));
            while shared.state().cut != Some(tag) {
                patience.pulled(&shared.cut)?;
                shared.cut.reset();
            }
            Ok(())
        })
    }
}

/// Soon after the start, and yet not while everything begins.
const FIRST_LOOK: Duration = Duration::from_millis(500);
/// Some clocks cannot count to the end of time.
const LONGEST: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::thread;

    use board::config::table::Source;
    use smol::channel::Receiver;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_nobody_waits_for_any_more_is_not_done() {
        // It hangs when it is asked, and counts the orders.
        let bench = Bench::new("exec sleep 60", "timeout = \"300ms\"");
        bench.fencing.look(1);
        bench.fencing.fence(2);
        assert_eq!(bench.answer(), Event::Answer(1, Answer::PowerSilent));
        assert_eq!(bench.answer(), Event::Answer(2, Answer::FenceFailed));
        assert_eq!(bench.read("orders"), "", "a shot that came too late was fired");
    }

    #[test]
    fn a_box_that_was_shot_is_owed_its_power_and_one_that_was_off_is_not() {
        let bench = Bench::new("cat power", "timeout = \"60s\"\naction = \"off-then-on\"");
        bench.fencing.fence(1);
        bench.is_ready(1);
        assert_eq!(bench.read("orders"), "", "an order went out before the node had said so");
        bench.fencing.cut(1);
        assert_eq!(bench.answer(), Event::OwesPower(Duration::from_secs(15)));
        bench.is_fenced(1);
        assert_eq!(bench.read("orders"), "off\n");
        bench.fencing.power_on(2);
        assert_eq!(bench.answer(), Event::Answer(2, Answer::PoweredOn));
        bench.write("power", "off\n");
        bench.fencing.fence(3);
        bench.is_fenced(3);
        assert_eq!(bench.read("orders"), "off\non\n", "somebody else had switched it off");
    }

    #[test]
    fn a_shot_that_is_called_off_is_not_fired_later() {
        let bench = Bench::new("cat power", "timeout = \"60s\"");
        bench.fencing.fence(1);
        bench.is_ready(1);
        bench.fencing.call_off(1);
        bench.fencing.cut(1);
        assert_eq!(bench.answer(), Event::Answer(1, Answer::FenceFailed));
        // What was said of one shot is nothing to the next.
        bench.fencing.fence(2);
        bench.is_ready(2);
        bench.fencing.cut(1);
        thread::sleep(Duration::from_millis(300));
        assert_eq!(bench.read("orders"), "");
        bench.fencing.cut(2);
        bench.is_fenced(2);
    }

    /// The thread is busy with a device that hangs.
    #[test]
    fn a_shot_that_is_called_off_before_it_begins_is_not_begun() {
        let bench = Bench::new("exec sleep 60", "timeout = \"1s\"");
        bench.fencing.look(1);
        bench.fencing.fence(2);
        bench.fencing.call_off(2);
        assert_eq!(bench.answer(), Event::Answer(1, Answer::PowerSilent));
        assert_eq!(bench.answer(), Event::Answer(2, Answer::FenceFailed));
        assert_eq!(bench.read("orders"), "");
    }

    /// It says off once, on or off.
    const SLIPS: &str = "if [ -e slipped ]; then cat power; else touch slipped; echo off; fi";

    #[test]
    fn a_slip_of_the_device_is_no_evidence() {
        let bench = Bench::new(SLIPS, "timeout = \"2s\"");
        bench.fencing.look(1);
        assert_eq!(bench.answer(), Event::Answer(1, Answer::PowerOn));
    }

    #[test]
    fn a_slip_of_the_device_is_no_shot() {
        let bench = Bench::new(SLIPS, "timeout = \"2s\"");
        bench.fencing.fence(1);
        bench.is_ready(1);
        bench.fencing.cut(1);
        bench.is_fenced(1);
        assert_eq!(bench.read("orders"), "off\n", "it counts as fenced, and nothing was ordered");
    }

    #[test]
    fn devices_that_are_replaced_fire_nothing_more() {
        let Bench { fencing, answers, room } = Bench::new("cat power", "timeout = \"60s\"");
        fencing.fence(1);
        let ready = answers.recv_blocking();
        assert!(matches!(ready, Ok(Input::Event(Event::Ready(1)))));
        drop(fencing);
        let answer = answers.recv_blocking();
        assert!(matches!(answer, Ok(Input::Event(Event::Answer(1, Answer::FenceFailed)))));
        // The thread is gone when this is.
        assert!(answers.recv_blocking().is_err());
        assert!(!room.path().join("orders").exists());
    }

    /// A fence worker, and the switch that it holds: a script that keeps the power in a file, and the orders in
    /// another.
    struct Bench {
        fencing: FenceWorker,
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
            let bench =
                Self { fencing: FenceWorker::open(&[config], inputs).unwrap(), answers, room };
            bench.write("power", "on\n");
            bench
        }

        fn answer(&self) -> Event {
            match self.answers.recv_blocking() {
                Ok(Input::Event(event)) => event,
                _ => panic!("the thread answers"),
            }
        }

        fn is_ready(&self, tag: Tag) {
            assert_eq!(self.answer(), Event::Ready(tag));
        }

        fn is_fenced(&self, tag: Tag) {
            let answer = self.answer();
            assert!(
                matches!(answer, Event::Answer(it, Answer::Fenced(_)) if it == tag),
                "{answer:?}"
            );
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.room.path().join(name), text).unwrap();
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.room.path().join(name)).unwrap_or_default()
        }
    }

    fn config(switch: &Path, words: &str) -> Config {
        let text = format!("kind = \"command\"\ncommand = [{switch:?}]\n{words}\n");
        Config::read(&mut Source::new(&text).parse()).unwrap()
    }
}
