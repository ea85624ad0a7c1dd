//! Feeds the watchdog on a thread of its own, right after each heartbeat, and only while all threads are in time.
//!
//! The loop says that it has sent, a second thread that the disk has answered; neither ever waits for the
//! watchdog, which may be slow (a BMC takes its time). Who is in time is judged by [`Liveness`].

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use board::thread::capabilities::Rights;
use board::thread::deadline::{CancelToken, Deadline};
use board::thread::realtime::RealtimePriority;
use board::thread::spawn;
use board::time::clock::Clock;
use board::watchdog::{Config, Late, Liveness, Watchdog, probe};
use firmware_agnostic::settings::Settings;
use firmware_agnostic::time::Instant;

/// The other end of the threads that feed what watches this box.
pub(crate) struct Feeder {
    dogs: Vec<Watched>,
    shared: Arc<FeedState>,
    bell: CancelToken,
    /// Between two feedings, if heartbeats come more often.
    interval: Duration,
    rung: Option<Instant>,
    orders: mpsc::Sender<FeedOrder>,
    done: mpsc::Receiver<()>,
}

/// What one that watches this box says of itself.
struct Watched {
    name: String,
    timeout: Duration,
    /// How long it takes until nothing runs here any more, if it resets the whole box.
    reset: Option<Duration>,
}

struct FeedState {
    roll: Mutex<Liveness>,
    /// Who is late, for people.
    late: Mutex<Option<Late>>,
}

enum FeedOrder {
    /// Feed without being told of heartbeats.
    Leave,
    /// Shorten the time limit of what resets this box.
    Bite,
    /// End; with `true` the watch as well.
    End(bool),
}

impl Feeder {
    /// Opens what watches this box, and begins to feed it; `None` when nothing does.
    ///
    /// # Errors
    ///
    /// When the device cannot be had, or waits longer than the times of the pair allow: with the remedy.
    pub(crate) fn open(
        config: &Config,
        settings: &Settings,
        journal: &Path,
        priority: RealtimePriority,
    ) -> io::Result<Option<Self>> {
        Self::begin(config.open()?, config, settings, journal, priority)
    }

    fn begin(
        watchdogs: Vec<Box<dyn Watchdog>>,
        config: &Config,
        settings: &Settings,
        journal: &Path,
        priority: RealtimePriority,
    ) -> io::Result<Option<Self>> {
        let Some(timeout) = watchdogs.iter().map(|watchdog| watchdog.timeout()).min() else {
            return Ok(None);
        };
        let dogs: Vec<_> = watchdogs.iter().map(|it| Watched::new(&**it, config)).collect();
        if let Err(error) = expect_times(&dogs, settings) {
            for watchdog in watchdogs {
                // It may be of the kind that nobody can stop; then this box boots, as it must.
                let _ = watchdog.release();
            }
            return Err(error);
        }
        let roll = Liveness::new(settings.timing.keepalive(), config.disk_timeout, Clock.now());
        let shared = Arc::new(FeedState { roll: Mutex::new(roll), late: Mutex::default() });
        let bell = CancelToken::new()?;
        let (orders, queue) = mpsc::channel();
        let (finished, done) = mpsc::channel();
        let interval = timeout / 4;
        let hands = FeedThread { watchdogs, shared: shared.clone(), bell: bell.clone(), interval };
        spawn::spawn("watchdog", Rights::REAL_TIME, move || {
            // What was given to the loop is given here too.
            let _ = priority.take();
            Rights::NONE.drop_others();
            hands.work(&queue, &finished);
        })?;
        let (path, every) = (probe::beside(journal), config.disk_timeout / 3);
        let prober = shared.clone();
        spawn::spawn("disk", Rights::NONE, move || prober.probe(&path, every))?;
        Ok(Some(Self { dogs, shared, bell, interval, rung: None, orders, done }))
    }

    /// Whether those that watch this box could go on with `settings`.
    ///
    /// # Errors
    ///
    /// When one of them waits longer than the times of the pair allow: with the remedy.
    pub(crate) fn expect(&self, settings: &Settings) -> io::Result<()> {
        expect_times(&self.dogs, settings)
    }

    /// Goes on with `settings`.
    pub(crate) fn reload(&self, settings: &Settings) {
        self.shared.roll().expect(settings.timing.keepalive());
    }

    /// A heartbeat has just been sent.
    pub(crate) fn sent(&mut self) {
        let now = Clock.now();
        self.shared.roll().sent(now);
        if self.rung.is_none_or(|rung| now - rung >= self.interval) {
            self.rung = Some(now);
            self.bell.cancel();
        }
    }

    /// From now on nothing is fed; what can reset this box is to do it as soon as it can.
    pub(crate) fn trip(&self) {
        self.shared.roll().fail();
        self.give(FeedOrder::Bite);
    }

    /// The loop is about to wait for the services to stop, for `time` at the most.
    pub(crate) fn leave(&self, time: Duration) {
        self.shared.roll().leave(Clock.now() + time);
        self.give(FeedOrder::Leave);
    }

    /// Ends the feeding, and with `clean` the watch: otherwise this box is reset, as what could not be stopped must be.
    pub(crate) fn end(&self, clean: bool) {
        self.give(FeedOrder::End(clean));
        if self.done.recv_timeout(RELEASE).is_err() {
            log::error!("the watchdog could not be told that this box is well: it may reset it");
        }
    }

    /// Whether everybody is in time, in words for people.
    pub(crate) fn state(&self) -> String {
        let late = self.shared.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.map_or_else(|| "fed".to_owned(), |late| format!("not fed: {late}"))
    }

    fn give(&self, order: FeedOrder) {
        // The thread ends only when it is told to.
        let _ = self.orders.send(order);
        self.bell.cancel();
    }
}

impl Watched {
    fn new(watchdog: &dyn Watchdog, config: &Config) -> Self {
        Self {
            name: watchdog.name().to_owned(),
            timeout: watchdog.timeout(),
            reset: watchdog.resets().then_some(config.reset),
        }
    }
}

impl FeedState {
    fn roll(&self) -> MutexGuard<'_, Liveness> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes who is late, and says so when that changes.
    fn note(&self, late: Option<Late>) {
        let known = {
            let mut known = self.late.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *known, late)
        };
        match (known, late) {
            (None, Some(late)) => log::error!("watchdog: {late}: this box is not fed any more"),
            (Some(_), None) => log::warn!("watchdog: everybody is in time again: fed"),
            _ => {}
        }
    }

    /// Asks the disk, for ever.
    fn probe(&self, path: &Path, every: Duration) {
        let mut failed = false;
        loop {
            let answer = probe::ask(path);
            // A disk that says what is wrong is not stuck.
            self.roll().answered(Clock.now());
            match &answer {
                Err(error) if !failed => {
                    log::warn!("watchdog: the disk of {}: {error}", path.display());
                }
                Ok(()) if failed => {
                    log::info!("watchdog: the disk of {} is well again", path.display());
                }
                _ => {}
            }
            failed = answer.is_err();
            thread::sleep(every);
        }
    }
}

/// What runs on the thread.
struct FeedThread {
    watchdogs: Vec<Box<dyn Watchdog>>,
    shared: Arc<FeedState>,
    bell: CancelToken,
    interval: Duration,
}

impl FeedThread {
    fn work(mut self, queue: &mpsc::Receiver<FeedOrder>, finished: &mpsc::Sender<()>) {
        // The bell rings once an interval and a heartbeat, so that a thread that is not called for three is late.
        let mut wait = self.interval * 3;
        loop {
            // Whether it rang or not, somebody may be late.
            let _ = Deadline::new(wait).readable(&[self.bell.as_fd()]);
            self.bell.reset();
            loop {
                match queue.try_recv() {
                    Ok(FeedOrder::Leave) => wait = self.interval,
                    Ok(FeedOrder::Bite) => self.watchdogs.iter_mut().for_each(|it| it.trip()),
                    Ok(FeedOrder::End(clean)) => {
                        if clean {
                            self.release();
                        }
                        let _ = finished.send(());
                        return;
                    }
                    // An end without an order is no clean stop.
                    Err(mpsc::TryRecvError::Disconnected) => return,
                    Err(mpsc::TryRecvError::Empty) => break,
                }
            }
            self.feed();
        }
    }

    fn feed(&mut self) {
        let late = self.shared.roll().late(Clock.now());
        self.shared.note(late);
        if late.is_some() {
            return;
        }
        for watchdog in &mut self.watchdogs {
            if let Err(error) = watchdog.feed() {
                log::error!("watchdog {}: {error}", watchdog.name());
            }
        }
    }

    fn release(&mut self) {
        for watchdog in self.watchdogs.drain(..) {
            let name = watchdog.name().to_owned();
            if let Err(error) = watchdog.release() {
                log::error!("watchdog {name}: {error}: it is going to reset this box");
            }
        }
    }
}

/// Checks the times against what those that reset this box say of themselves.
fn expect_times(dogs: &[Watched], settings: &Settings) -> io::Result<()> {
    for Watched { name, timeout, reset } in dogs {
        let mut times = settings.timing.watchdog(*timeout, *reset, settings.require);
        if let Some(broken) = times.find(|inequality| !inequality.holds()) {
            return Err(io::Error::other(format!("watchdog {name}: {broken}")));
        }
    }
    Ok(())
}

/// A BMC takes a few tenths of a second.
const RELEASE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use board::config::table::Source;
    use tempfile::TempDir;

    use super::*;
    use crate::config::{self, Identity};

    #[test]
    fn each_feeding_follows_a_heartbeat_and_a_stuck_loop_gets_none() {
        let mut bench = Bench::new("").unwrap();
        thread::sleep(TIMEOUT / 2);
        assert_eq!(bench.events(), [""; 0], "fed before the first heartbeat");
        bench.feeder.sent();
        bench.until(|events| events == ["feed"]);
        assert_eq!(bench.feeder.state(), "fed");
        bench.until(|_| bench.feeder.state().contains("the loop"));
        assert_eq!(bench.events(), ["feed"], "fed without a heartbeat");
        bench.feeder.sent();
        bench.until(|events| events == ["feed", "feed"]);
    }

    #[test]
    fn the_watch_ends_only_when_all_has_stopped() {
        for (clean, last) in [(true, "release"), (false, "dropped")] {
            let mut bench = Bench::new("").unwrap();
            bench.feeder.sent();
            bench.feeder.leave(Duration::from_secs(60));
            // The loop is silent while it waits for the services.
            bench.until(|events| events.len() > 3 && events.iter().all(|it| *it == "feed"));
            bench.feeder.end(clean);
            bench.until(|events| events.last() == Some(&last));
        }
    }

    #[test]
    fn the_condemned_are_bitten() {
        let mut bench = Bench::new("").unwrap();
        bench.feeder.trip();
        bench.until(|events| events == ["bite"]);
        bench.feeder.sent();
        thread::sleep(TIMEOUT / 2);
        assert_eq!(bench.events(), ["bite"]);
    }

    #[test]
    fn one_that_waits_too_long_is_refused_and_let_go() {
        let sample = "[takeover]\nrequire = \"silence\"";
        let (error, events) = Bench::new(sample).err().unwrap();
        let told = error.to_string();
        assert!(
            told.starts_with("watchdog dog: watchdog timeout + reset")
                && told.contains("1.7s < 1s"),
            "{told}"
        );
        assert_eq!(*events.lock().unwrap(), ["release"]);
    }

    /// A feeder, its one watchdog, and what that was told.
    struct Bench {
        feeder: Feeder,
        events: Events,
        _room: TempDir,
    }

    type Events = Arc<Mutex<Vec<&'static str>>>;

    impl Bench {
        fn new(takeover: &str) -> Result<Self, (io::Error, Events)> {
            let text = include_str!("../../../images/dist/twobox.toml").replacen(
                "[takeover]",
                takeover,
                usize::from(!takeover.is_empty()),
            );
            let identity = Identity { told: Some("server1".to_owned()), ..Identity::default() };
            let settings = config::Config::read(&text, &identity).unwrap().settings;
            let config = Config::read(&mut Source::new("").parse());
            let (events, room) = (Events::default(), TempDir::new().unwrap());
            let dog: Box<dyn Watchdog> = Box::new(Watched { events: events.clone() });
            let journal = room.path().join("journal");
            match Feeder::begin(
                vec![dog],
                &config,
                &settings,
                &journal,
                RealtimePriority::default(),
            ) {
                Ok(feeder) => Ok(Self { feeder: feeder.unwrap(), events, _room: room }),
                Err(error) => Err((error, events)),
            }
        }

        fn events(&self) -> Vec<&'static str> {
            self.events.lock().unwrap().clone()
        }

        fn until(&self, so: impl Fn(&[&str]) -> bool) {
            let start = Instant::now();
            while !so(&self.events()) {
                assert!(start.elapsed() < Duration::from_secs(60), "{:?}", self.events());
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    struct Watched {
        events: Events,
    }

    impl Watched {
        fn note(&self, event: &'static str) {
            self.events.lock().unwrap().push(event);
        }
    }

    impl Watchdog for Watched {
        fn name(&self) -> &'static str {
            "dog"
        }

        fn timeout(&self) -> Duration {
            TIMEOUT
        }

        fn resets(&self) -> bool {
            true
        }

        fn feed(&mut self) -> io::Result<()> {
            self.note("feed");
            Ok(())
        }

        fn trip(&mut self) {
            self.note("bite");
        }

        fn release(self: Box<Self>) -> io::Result<()> {
            self.note("release");
            std::mem::forget(self);
            Ok(())
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            self.note("dropped");
        }
    }

    const TIMEOUT: Duration = Duration::from_millis(800);
}
