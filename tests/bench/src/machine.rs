//! Measures what the machine itself takes, with a thread that only wakes up: what it costs and how late it is, the
//! machine is to blame for, and no system that is measured beside it can do better.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use board::thread::realtime::RealtimePriority;
use rustix::time::{ClockId, clock_gettime};

use lab::observers::failure::{Failure, expect};

/// What the wakes were like of a thread with the product's own priority.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wakes {
    /// How long each was on a processor, on average, in microseconds.
    pub cost: f64,
    /// How late the latest was, in milliseconds.
    pub late: f64,
}

/// Does `act`, and measures the wakes of a thread beside it.
///
/// # Errors
///
/// When the thread may not have its priority, or did not wake; or those of `act`.
pub fn beside<T>(act: impl FnOnce() -> Result<T, Failure>) -> Result<(T, Wakes), Failure> {
    let over = AtomicBool::new(false);
    let (done, wakes) = thread::scope(|scope| {
        let sleeper = scope.spawn(|| sleep_and_wake(&over));
        let done = act();
        over.store(true, Ordering::Relaxed);
        (done, sleeper.join().expect("nothing in it panics"))
    });
    Ok((done?, wakes?))
}

fn sleep_and_wake(over: &AtomicBool) -> Result<Wakes, Failure> {
    let priority = RealtimePriority::new(PRIORITY).unwrap_or_default();
    priority.take().map_err(|error| Failure(format!("no real-time priority: {error:?}")))?;
    let (mut due, mut late, mut count) = (Instant::now(), Duration::ZERO, 0);
    let before = time();
    while !over.load(Ordering::Relaxed) {
        due += PERIOD;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        late = late.max(Instant::now().saturating_duration_since(due));
        count += 1;
    }
    expect(count > 0, "it never woke")?;
    let cost = time().saturating_sub(before).as_secs_f64() * 1e6 / f64::from(count);
    Ok(Wakes { cost, late: late.as_secs_f64() * 1e3 })
}

/// For how long this thread was on a processor.
fn time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .expect("no thread has run for less than no time")
}

/// About as often as a pair wakes, both boxes together.
const PERIOD: Duration = Duration::from_millis(25);

/// The product's own, if nothing else is said.
const PRIORITY: u8 = 10;
