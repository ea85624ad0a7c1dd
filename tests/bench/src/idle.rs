//! Measures what a system costs while nothing happens, from the kernel's counts of each process and thread.
//!
//! Counted is all that lives in a box besides its pid 1 and the service: helpers, guards and shells too. The time of
//! short-lived ones, such as scripts that look at the service, is in the books of who waited for them.

use std::fs;
use std::io;
use std::thread::sleep;
use std::time::Duration;

use firmware_agnostic::identity::BoxId;

use super::machine;
use super::row::Row;
use lab::name;
use lab::observers::failure::{Failure, expect};
use lab::stage::process::Process;
use lab::stage::{init, isolation};

/// What a system costs in both boxes of the lab in this world, of which home serves, measured so many times; with
/// targets, if wanted.
///
/// # Errors
///
/// When nothing runs in a box, or the kernel keeps no such books.
pub fn run(times: u32, targets: bool) -> Result<Vec<Row>, Failure> {
    let warm_up = || {
        sleep(WARM_UP);
        Ok(())
    };
    let ((), wakes) = machine::beside(warm_up)?;
    let mut books = vec![both()?];
    for _ in 0..times {
        sleep(SLICE);
        books.push(both()?);
    }
    let most = |limit: f64| targets.then_some(limit);
    let mut rows = vec![Row::new(BARE, "us", [wakes.cost])];
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
    fn add(&mut self, process: &Process) -> io::Result<()> {
        let resident = process.field("VmRSS")? as f64;
        let share = process.number("smaps_rollup", "Pss", 10)? as f64;
        // What of its children it has buried.
        let (user, system) = process.stat(16)?;
        self.time += (user + system) as f64 * TICK;
        for task in process.threads()? {
            // Finer than the resolution of `stat`.
            let schedstat = fs::read_to_string(task.folder().join("schedstat"))?;
            let time = schedstat.split(' ').next().and_then(|word| word.parse::<f64>().ok());
            self.time += time.ok_or(io::ErrorKind::InvalidData)? / 1e6;
            self.waits += task.field("voluntary_ctxt_switches")? as f64;
            self.threads += 1.0;
        }
        self.resident = self.resident.max(resident);
        self.share += share;
        self.processes += 1.0;
        Ok(())
    }
}

/// The processes in a box that are not the lab's own program.
fn inhabitants(id: BoxId) -> Result<Vec<Process>, Failure> {
    let mut all = Vec::new();
    for process in Process::all()? {
        // Some are gone by now.
        let room = fs::read_link(process.folder().join("ns/pid"));
        let (Ok(called), Ok(inside)) = (process.name(), room) else { continue };
        all.push((process, called, inside));
    }
    let words = [isolation::PROGRAM, init::CHARACTER, name(id)];
    let is_init = |process: &Process| process.words().iter().take(3).eq(words);
    let init = all.iter().find(|(process, ..)| is_init(process));
    let Some((_, own, home)) = init else { return Err(Failure(format!("{} is off", name(id)))) };
    let foreign = all.iter().filter(|(_, called, inside)| inside == home && called != own);
    Ok(foreign.map(|(process, ..)| process.clone()).collect())
}

const BARE: &str = "idle: what a wake costs that does nothing";

/// The milliseconds of a tick of `stat`: 100 of them are a second on every machine that Debian knows (`sysconf(3)`).
const TICK: f64 = 10.0;

/// What a start leaves to do is done by then.
const WARM_UP: Duration = Duration::from_secs(4);

/// In parts, so that a disturbance is seen as one.
const SLICE: Duration = Duration::from_secs(5);
