//! The integrator's own programs, told of what happens.
//!
//! One after the other, in the order in which things happened, on a thread of their own: the loop only puts a record
//! into a queue. A program finds the record in its environment, and is killed when its time is over. What finds no room
//! in the queue is lost, and the next program is told how much that was.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use board::process::child::Program;
use board::thread::capabilities::Rights;
use board::thread::deadline::Deadline;
use board::thread::spawn;
use board::time::clock::Clock;

use crate::config::Hook;
use crate::observe::record::Record;

/// The other end of the thread that runs the programs. There is none where there are no programs. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Hooks(Arc<Mutex<Option<HookQueue>>>);

#[derive(Clone)]
struct HookQueue {
    jobs: SyncSender<Job>,
    lost: Arc<AtomicUsize>,
    own: String,
}

enum Job {
    Tell(Record),
    Flush(SyncSender<()>),
}

impl Hooks {
    /// Starts the thread that runs `configs` on the box called `own`.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub(crate) fn open(configs: &[Hook], own: &str) -> io::Result<Self> {
        if configs.is_empty() {
            return Ok(Self::default());
        }
        let (jobs, queue) = sync_channel(JOBS_MAX);
        let lost = Arc::new(AtomicUsize::new(0));
        let (configs, count) = (configs.to_vec(), lost.clone());
        spawn::spawn("hooks", Rights::PROGRAMS, move || work(&configs, &queue, &count))?;
        let queue = HookQueue { jobs, lost, own: own.to_owned() };
        Ok(Self(Arc::new(Mutex::new(Some(queue)))))
    }

    /// Tells those of `other` from now on. What the present ones were told of they do to its end.
    pub(crate) fn become_like(&self, other: &Self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = other.queue();
    }

    fn queue(&self) -> Option<HookQueue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the programs of `record`, soon.
    pub(crate) fn tell(&self, record: Record) {
        if let Some(HookQueue { jobs, lost, .. }) = self.queue()
            && jobs.try_send(Job::Tell(record)).is_err()
        {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells the programs of what was logged as an error.
    pub(crate) fn alarm(&self, line: &str) {
        if let Some(HookQueue { own, .. }) = self.queue() {
            let record = Record::default()
                .with("time", Clock.wall())
                .with("up", format!("{:.3}", Clock.now().as_micros() as f64 / 1e6))
                .with("box", own)
                .with("what", "alarm")
                .with("level", "error")
                .with("why", line);
            self.tell(record);
        }
    }

    /// Waits, for a while at most, until the programs know everything.
    pub(crate) fn flush(&self, patience: Duration) {
        let (done, wait) = sync_channel(1);
        if let Some(HookQueue { jobs, .. }) = self.queue()
            && jobs.try_send(Job::Flush(done)).is_ok()
        {
            let _ = wait.recv_timeout(patience);
        }
    }
}

fn work(configs: &[Hook], jobs: &Receiver<Job>, lost: &AtomicUsize) {
    while let Ok(job) = jobs.recv() {
        let record = match job {
            Job::Tell(record) => record,
            Job::Flush(done) => {
                let _ = done.try_send(());
                continue;
            }
        };
        let what = record.get("what").unwrap_or_default();
        let mut environment = record.environment();
        let lost = lost.swap(0, Ordering::Relaxed);
        environment.push(("TWOBOX_LOST".to_owned(), lost.to_string()));
        if lost > 0 {
            log::warn!("hook: {lost} happenings were not told: the programs take too long");
        }
        for hook in configs.iter().filter(|hook| hook.on.iter().any(|word| word == what)) {
            run(hook, environment.clone());
        }
    }
}

/// Runs one program to its end. What goes wrong is a warning: an error would be told to the programs again.
fn run(hook: &Hook, environment: Vec<(String, String)>) {
    let program = hook.command.program(&[]);
    let program = Program { environment, privileges: hook.privileges, ..program };
    if let Err(error) = program.succeed(&Deadline::new(hook.timeout)) {
        log::warn!("hook: {error}");
    }
}

/// More than the worst minute has.
const JOBS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use board::process::command_line::Own;

    use board::process::privileges::Privileges;

    use super::*;

    #[test]
    fn programs_run_in_order_and_one_that_hangs_is_killed() {
        let room = tempfile::tempdir().unwrap();
        let told = room.path().join("told");
        let hook = |on: &str, script: &str| Hook {
            command: Own::new(["/bin/sh", "-c", script].map(str::to_owned).to_vec()).unwrap(),
            on: vec![on.to_owned()],
            timeout: Duration::from_millis(500),
            privileges: Privileges::default(),
        };
        let note = format!("echo $TWOBOX_WHAT $TWOBOX_WHY >> {}", told.display());
        let configs = [hook("role", "sleep 60"), hook("role", &note), hook("alarm", &note)];
        let hooks = Hooks::open(&configs, "server1").unwrap();
        let role = |why| Record::default().with("what", "role").with("why", why);
        hooks.tell(role("one"));
        hooks.tell(Record::default().with("what", "fence").with("why", "nobody asks"));
        hooks.alarm("two");
        hooks.tell(role("three"));
        hooks.flush(Duration::from_secs(60));
        assert_eq!(fs::read_to_string(told).unwrap(), "role one\nalarm two\nrole three\n");
    }

    #[test]
    fn what_finds_no_room_is_counted_and_delays_nobody() {
        let room = tempfile::tempdir().unwrap();
        let (told, go) = (room.path().join("told"), room.path().join("go"));
        let script = format!(
            "while ! [ -e {} ]; do sleep 0.01; done; echo $TWOBOX_LOST >> {}",
            go.display(),
            told.display()
        );
        let hook = Hook {
            command: Own::new(["/bin/sh", "-c", &script].map(str::to_owned).to_vec()).unwrap(),
            on: vec!["role".to_owned()],
            timeout: TIMEOUT,
            privileges: Privileges::default(),
        };
        let hooks = Hooks::open(&[hook], "server1").unwrap();
        let begun = std::time::Instant::now();
        for _ in 0..JOBS_MAX + 10 {
            hooks.tell(Record::default().with("what", "role"));
        }
        assert!(begun.elapsed() < TIMEOUT, "it waited for a program that waits for this");
        fs::write(go, "").unwrap();
        // The queue must have room for this.
        while fs::read_to_string(&told).unwrap_or_default().lines().count() < 3 {
            thread::sleep(Duration::from_millis(5));
        }
        hooks.flush(Duration::from_secs(60));
        let told = fs::read_to_string(told).unwrap();
        let lost: usize = told.lines().map(|line| line.parse::<usize>().unwrap()).sum();
        assert_eq!(lost + told.lines().count(), JOBS_MAX + 10, "{told}");
        assert!(lost >= 8);
    }

    const TIMEOUT: Duration = Duration::from_secs(60);
}
