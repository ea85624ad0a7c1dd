//! What does the supervisor cost while nothing happens? The kernel's books of every thread know.
//!
//! The pair speaks every 200 ms over two Ethernet links and a serial cable of 115200 baud.

use std::fs;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use firmware_agnostic::identity::BoxId;

use crate::lab::Lab;
use crate::lab::config::Choices;
use crate::lab::expectations::whole;
use crate::lab::failure::Failure;
use crate::lab::supervisor::{Supervisor, number};

use super::product;
use super::row::{Row, Target};

/// Prints what both supervisors of a pair cost. Needs a world of its own.
///
/// # Errors
///
/// When the pair does not settle, or the kernel keeps no such books.
pub fn run() -> Result<(), Failure> {
    let lab = Lab::new(&Choices { program: Some(product()?), ..Choices::default() })?;
    whole(&lab).map_err(|failure| failure.with_logs(&lab))?;
    sleep(WARM_UP);
    for (id, what) in BoxId::BOTH.into_iter().zip(["active", "standby"]) {
        let supervisor = Supervisor::of(id)?.folder();
        let mut books = vec![Books::of(&supervisor)?];
        for _ in 0..SLICES {
            sleep(SLICE);
            books.push(Books::of(&supervisor)?);
        }
        for row in rows(what, &books) {
            row.print();
        }
        memory(what, &supervisor)?;
    }
    Ok(())
}

/// What the kernel has written down about a process so far.
struct Books {
    threads: Vec<Thread>,
}

struct Thread {
    name: String,
    /// On a processor, in nanoseconds (`schedstat`, whose resolution is finer than that of `stat`).
    time: u64,
    /// How often it waited for something, and was woken.
    waits: u64,
}

impl Books {
    fn of(process: &Path) -> io::Result<Self> {
        let mut threads = Vec::new();
        for task in fs::read_dir(process.join("task"))? {
            let task = task?.path();
            let schedstat = fs::read_to_string(task.join("schedstat"))?;
            let time = schedstat.split(' ').next().and_then(|word| word.parse().ok());
            threads.push(Thread {
                name: fs::read_to_string(task.join("comm"))?.trim().to_owned(),
                time: time.ok_or(io::ErrorKind::InvalidData)?,
                waits: status(&task, "voluntary_ctxt_switches")?,
            });
        }
        Ok(Self { threads })
    }

    fn time(&self) -> u64 {
        self.threads.iter().map(|thread| thread.time).sum()
    }
}

fn rows(what: &str, books: &[Books]) -> Vec<Row> {
    let slices = || books.iter().zip(books.iter().skip(1));
    let a_minute = |nanos: u64| nanos as f64 / 1e6 * 60.0 / SLICE.as_secs_f64();
    let time = slices().map(|(before, after)| a_minute(after.time() - before.time()));
    let most = Target::AtMost(100.0);
    let mut rows = vec![Row::new(&format!("idle, {what}: CPU a minute"), "ms", time).target(most)];
    let threads = books.first().map_or(&[][..], |books| &books.threads);
    for (place, Thread { name, .. }) in threads.iter().enumerate() {
        let of = |books: &Books, read: fn(&Thread) -> u64| books.threads.get(place).map(read);
        let differences = |read: fn(&Thread) -> u64| {
            slices().filter_map(move |(before, after)| Some(of(after, read)? - of(before, read)?))
        };
        let time = differences(|thread| thread.time).map(a_minute);
        rows.push(Row::new(&format!("  thread {name}"), "ms", time));
        let waits = differences(|thread| thread.waits);
        let waits = waits.map(|waits| waits as f64 / SLICE.as_secs_f64());
        rows.push(Row::new("    woken a second", "", waits));
    }
    rows
}

fn memory(what: &str, process: &Path) -> Result<(), Failure> {
    let kib = |value: u64| [value as f64];
    let resident = status(process, "VmRSS")?;
    let label = format!("idle, {what}: resident");
    Row::new(&label, "KiB", kib(resident)).target(Target::AtMost(4_096.0)).print();
    let share = number(&process.join("smaps_rollup"), "Pss")?;
    Row::new("  with what it shares divided (Pss)", "KiB", kib(share)).print();
    Row::new("  threads", "", kib(status(process, "Threads")?)).print();
    Ok(())
}

fn status(process: &Path, word: &str) -> io::Result<u64> {
    number(&process.join("status"), word)
}

/// What a start leaves to do is done by then.
const WARM_UP: Duration = Duration::from_secs(10);

/// A minute in six parts, so that a disturbance is seen as one.
const SLICES: usize = 6;
const SLICE: Duration = Duration::from_secs(10);
