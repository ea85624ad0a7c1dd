//! What does a system cost while nothing happens? The kernel's books of every process and thread know.
//!
//! Counted is whatever lives in a box besides its pid 1 and the service: helpers, guards and shells too. The time of
//! short-lived ones, such as scripts that look at the service, is in the books of who waited for them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use firmware_agnostic::identity::BoxId;

use crate::lab::failure::{Failure, expect};
use crate::lab::supervisor::number;
use crate::lab::{init, isolation, name};

use super::row::Row;

/// What a system costs in both boxes of the lab in this world, of which home serves, measured so many times; with
/// targets, if wanted.
///
/// # Errors
///
/// When nothing runs in a box, or the kernel keeps no such books.
pub fn run(times: u32, targets: bool) -> Result<Vec<Row>, Failure> {
    sleep(WARM_UP);
    let mut books = vec![both()?];
    for _ in 0..times {
        sleep(SLICE);
        books.push(both()?);
    }
    let most = |limit: f64| targets.then_some(limit);
    let mut rows = Vec::new();
    for (place, what) in ["active", "standby"].into_iter().enumerate() {
        let of = |both: &[Books; 2], read: fn(&Books) -> f64| both.get(place).map_or(0.0, read);
        let spent = |read| {
            let pairs = books.iter().zip(books.iter().skip(1));
            pairs.map(move |(before, after)| of(after, read) - of(before, read))
        };
        let a_minute = 60.0 / SLICE.as_secs_f64();
        let time = spent(|it| it.time).map(|time| time * a_minute);
        rows.push(
            Row::new(&format!("idle, {what}: CPU a minute"), "ms", time).at_most(most(100.0)),
        );
        let waits = spent(|it| it.waits).map(|waits| waits / SLICE.as_secs_f64());
        rows.push(Row::new(&format!("idle, {what}: woken a second"), "", waits));
        let now = |read| books.last().map(|both| of(both, read));
        let memory = Row::new(
            &format!("idle, {what}: resident, its biggest process"),
            "KiB",
            now(|it| it.resident),
        );
        rows.push(memory.at_most(most(4_096.0)));
        rows.push(Row::new(&format!("idle, {what}: all of it, PSS"), "KiB", now(|it| it.share)));
        rows.push(Row::new(&format!("idle, {what}: processes"), "", now(|it| it.processes)));
        rows.push(Row::new(&format!("idle, {what}: threads"), "", now(|it| it.threads)));
    }
    Ok(rows)
}

/// What the kernel has written down so far about the processes of a box.
#[derive(Default)]
struct Books {
    processes: f64,
    threads: f64,
    /// On a processor, in milliseconds.
    time: f64,
    /// How often a thread waited for something, and was woken.
    waits: f64,
    /// Of the biggest process, in KiB: what they share would be counted more than once.
    resident: f64,
    /// Of all of them, in KiB, what they share divided among those who share it.
    share: f64,
}

fn both() -> Result<[Books; 2], Failure> {
    let [first, second] = BoxId::BOTH.map(books);
    Ok([first?, second?])
}

fn books(id: BoxId) -> Result<Books, Failure> {
    let mut books = Books::default();
    for process in inhabitants(id)? {
        // One that has ended meanwhile is in the books of its parent.
        let _ = books.add(&process);
    }
    expect(books.processes > 0.0, format!("nothing runs in {}", name(id)))?;
    Ok(books)
}

impl Books {
    fn add(&mut self, process: &Path) -> io::Result<()> {
        let resident = status(process, "VmRSS")?;
        let share = number(&process.join("smaps_rollup"), "Pss")? as f64;
        self.time += children(process)?;
        for task in fs::read_dir(process.join("task"))? {
            let task = task?.path();
            // Finer than the resolution of `stat`.
            let schedstat = fs::read_to_string(task.join("schedstat"))?;
            let time = schedstat.split(' ').next().and_then(|word| word.parse::<f64>().ok());
            self.time += time.ok_or(io::ErrorKind::InvalidData)? / 1e6;
            self.waits += status(&task, "voluntary_ctxt_switches")?;
            self.threads += 1.0;
        }
        self.resident = self.resident.max(resident);
        self.share += share;
        self.processes += 1.0;
        Ok(())
    }
}

/// The milliseconds of the children of a process that it has buried (`cutime` and `cstime` of `proc(5)`).
fn children(process: &Path) -> io::Result<f64> {
    let stat = fs::read_to_string(process.join("stat"))?;
    // The name before it may have anything in it, such as spaces.
    let (_, rest) = stat.rsplit_once(") ").ok_or(io::ErrorKind::InvalidData)?;
    let ticks = rest.split(' ').skip(13).take(2).filter_map(|word| word.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() * TICK)
}

/// The processes in a box that are not the lab's own program.
fn inhabitants(id: BoxId) -> Result<Vec<PathBuf>, Failure> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        // Most entries are no process, and some are gone by now.
        let process = entry.path();
        let (Ok(comm), Ok(inside)) =
            (fs::read_to_string(process.join("comm")), fs::read_link(process.join("ns/pid")))
        else {
            continue;
        };
        all.push((process, comm, inside));
    }
    let is_init = |process: &Path| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        words.starts_with(&[isolation::PROGRAM, init::CHARACTER, name(id)].map(str::as_bytes))
    };
    let init = all.iter().find(|(process, ..)| is_init(process));
    let Some((_, own, home)) = init else { return Err(Failure(format!("{} is off", name(id)))) };
    let foreign = all.iter().filter(|(_, comm, inside)| inside == home && comm != own);
    Ok(foreign.map(|(process, ..)| process.clone()).collect())
}

fn status(process: &Path, word: &str) -> io::Result<f64> {
    number(&process.join("status"), word).map(|number| number as f64)
}

/// The milliseconds of a tick of `stat`: 100 of them are a second on every machine that Debian knows (`sysconf(3)`).
const TICK: f64 = 10.0;

/// What a start leaves to do is done by then.
const WARM_UP: Duration = Duration::from_secs(4);

/// In parts, so that a disturbance is seen as one.
const SLICE: Duration = Duration::from_secs(5);
