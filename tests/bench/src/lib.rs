//! Measures how fast, how small and how frugal the pair is, beside other programs.
//!
//! | section | question |
//! |---|---|
//! | [`system`] | what is measured, and what is it driven with? |
//! | [`gaps`] | how long does a user of the service miss its answers? |
//! | [`idle`] | what does a system cost while nothing happens? |
//! | [`fence`] | how long does it take to cut the power of a box, and to see it cut? |
//! | [`pressure`] | does the supervisor keep its time when somebody shouts at it? |
//! | [`machine`] | how much of that is the machine's? |
//! | [`core`] | what does one heartbeat cost, and how fast is the simulator? |
//! | [`sizes`] | how big is what ships? |
//!
//! What needs the lab is measured in a process of its own, which makes a world of its own, and says its rows line
//! by line. The pair is measured alone; then the others at the same time as each other, whose times are so much longer
//! that they do not disturb one another.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use firmware_agnostic::identity::BoxId::First;

use gaps::HAPPENINGS;
use lab::Lab;
use lab::observers::failure::{Failure, expect};
use row::Row;
use system::System;
use table::Table;

pub mod core;
pub mod fence;
pub mod gaps;
pub mod idle;
pub mod machine;
pub mod pressure;
pub mod row;
pub mod sizes;
pub mod system;
pub mod table;

/// Measures what `wanted` names, or everything, and prints one table. Says whether all of it could be measured.
///
/// # Errors
///
/// When the product cannot be built, or there is nothing of such a name.
pub fn run(wanted: &[&str]) -> Result<bool, Failure> {
    let wanted = Wanted::read(wanted)?;
    build()?;
    println!("{}\n", machine());
    let mut measured: Vec<(&str, Measured)> = Vec::new();
    let (pair, others): (Vec<_>, Vec<_>) =
        wanted.systems().into_iter().partition(|it| it.package.is_none());
    for system in pair {
        measured.push((system.title, in_a_world(system, &wanted)));
    }
    std::thread::scope(|scope| {
        let wanted = &wanted;
        let worlds: Vec<_> = others
            .into_iter()
            .map(|it| (it.title, scope.spawn(move || in_a_world(it, wanted))))
            .collect();
        for (title, world) in worlds {
            measured.push((title, world.join().expect("nothing in it panics")));
        }
    });
    for (name, measure) in WITHOUT_A_LAB {
        if wanted.section(name) && wanted.system(system::OURS.name) {
            let mut rows = Vec::new();
            let ended = measure().map(|all| rows.extend(all));
            measured.push((system::OURS.title, (rows, ended)));
        }
    }
    let (mut table, mut complete) = (Table::default(), true);
    for (title, (rows, ended)) in measured {
        for row in rows {
            table.add(title, row);
        }
        if let Err(Failure(reason)) = ended {
            eprintln!("{title}: not measured: {reason}");
            complete = false;
        }
    }
    println!("{table}\nmachine afterwards: {}", load());
    Ok(complete)
}

/// Measures the system and the sections that `words` name in the world that this process is in, and prints the rows.
///
/// # Errors
///
/// When a system did not do what it was to be measured at.
pub fn inside(words: &[&str]) -> Result<(), Failure> {
    let wanted = Wanted::read(words)?;
    for system in wanted.systems() {
        let lab = (system.lab)()?;
        gaps::restore(system, &lab).map_err(|failure| failure.with_logs(&lab))?;
        if wanted.section(STATUS) {
            say(answers(system, &lab)?);
        }
        if let Some(trial) = system.trial(IDLE).filter(|_| wanted.section(IDLE)) {
            say(idle::run(trial.turns, system.is_ours())?);
        }
        if system.is_ours() && wanted.section(PRESSURE) {
            say(pressure::run(&lab).map_err(|failure| failure.with_logs(&lab))?);
        }
        for happening in HAPPENINGS.iter().filter(|it| wanted.section(it.name)) {
            let rows = gaps::run(system, happening, &lab);
            say(rows.map_err(|failure| failure.with_logs(&lab))?);
        }
    }
    Ok(())
}

fn say(rows: Vec<Row>) {
    for row in rows {
        println!("{}", row.to_line());
    }
}

/// Which systems and which sections; all of them where none is named.
struct Wanted(Vec<String>);

impl Wanted {
    fn read(words: &[&str]) -> Result<Self, Failure> {
        let all: Vec<&str> = systems().chain(sections()).collect();
        match words.iter().find(|word| !all.contains(word)) {
            Some(unknown) => {
                Err(Failure(format!("there is no {unknown:?}: there are {}", all.join(" "))))
            }
            None => Ok(Self(words.iter().copied().map(str::to_owned).collect())),
        }
    }

    fn has(&self, mut names: impl Iterator<Item = &'static str>, name: &str) -> bool {
        let none_of_them = !names.any(|it| self.0.iter().any(|word| word == it));
        none_of_them || self.0.iter().any(|word| word == name)
    }

    fn section(&self, name: &str) -> bool {
        self.has(sections(), name)
    }

    fn system(&self, name: &str) -> bool {
        self.has(systems(), name)
    }

    /// Those that are wanted for something that needs a lab.
    fn systems(&self) -> Vec<&'static System> {
        let lab = |name: &&str| !WITHOUT_A_LAB.iter().any(|(it, _)| it == name);
        if !sections().filter(lab).any(|name| self.section(name)) {
            return Vec::new();
        }
        system::ALL.into_iter().filter(|it| self.system(it.name)).collect()
    }
}

fn systems() -> impl Iterator<Item = &'static str> {
    system::ALL.into_iter().map(|it| it.name)
}

fn sections() -> impl Iterator<Item = &'static str> {
    let gaps = HAPPENINGS.iter().map(|it| it.name);
    gaps.chain([IDLE, STATUS, PRESSURE]).chain(WITHOUT_A_LAB.iter().map(|(name, _)| *name))
}

/// The rows, and why there are no more, if so.
type Measured = (Vec<Row>, Result<(), Failure>);

/// Measures a system in a world of its own.
fn in_a_world(system: &'static System, wanted: &Wanted) -> Measured {
    let mut rows = Vec::new();
    let ended = match system.missing() {
        Some(why) => {
            rows.extend(HAPPENINGS.iter().map(|it| Row::said(it.what, why)));
            Ok(())
        }
        None => watch_a_world(system, wanted, &mut rows),
    };
    (rows, ended)
}

fn watch_a_world(system: &System, wanted: &Wanted, rows: &mut Vec<Row>) -> Result<(), Failure> {
    let mut world = Command::new(env::current_exe()?)
        .args([ALONE, system.name])
        .args(sections().filter(|name| wanted.section(name)))
        // Inside, this program is a copy without neighbours.
        .env(PRODUCT, product()?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let said = world.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    for line in BufReader::new(said).lines().map_while(Result::ok) {
        let row = Row::from_line(&line).ok_or_else(|| Failure(line.clone()))?;
        eprintln!("{}: {}: {row}", system.title, row.label());
        rows.push(row);
    }
    expect(world.wait()?.success(), "see above")?;
    if let Some((package, program)) = system.package.filter(|_| wanted.section(SIZES)) {
        rows.extend(sizes::theirs(package, program)?);
    }
    Ok(())
}

/// How long it takes to ask a system for its state, from the start of the command to its end.
fn answers(system: &System, lab: &Lab) -> Result<Vec<Row>, Failure> {
    let Some(status) = system.status else { return Ok(Vec::new()) };
    let words = [&["timed", "50"], status].concat();
    let output = lab.enter(First, lab::stage::init::PROGRAM, &words)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    expect(output.status.success(), String::from_utf8_lossy(&output.stderr))?;
    let times = said.lines().filter_map(|line| Some(line.parse::<f64>().ok()? / 1e3));
    let most = system.is_ours().then_some(5.0);
    Ok(vec![Row::new("status asked for and answered", "ms", times).at_most(most)])
}

/// The program that ships, beside this one.
///
/// # Errors
///
/// When this process does not know where it is.
fn product() -> io::Result<PathBuf> {
    Ok(match env::var_os(PRODUCT) {
        Some(path) => path.into(),
        None => env::current_exe()?.with_file_name("twobox"),
    })
}

/// What is measured must be what ships, as it is now.
fn build() -> Result<(), Failure> {
    if env::var_os(PRODUCT).is_some() {
        return Ok(());
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "supervisor"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if status.success() { Ok(()) } else { Err(Failure("the product cannot be built".to_owned())) }
}

/// On what all this was measured.
fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    format!("{cpus} x {model}, Linux {kernel}, {}", load())
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("load {}", load.split(' ').next().unwrap_or("unknown"))
}

/// Measures a thing, and says what came of it.
type Section = (&'static str, fn() -> Result<Vec<Row>, Failure>);

/// What needs no lab.
const WITHOUT_A_LAB: [Section; 3] =
    [("fence", fence::run), ("core", core::run), (SIZES, sizes::ours)];

/// The first argument of the process that measures in a world of its own.
pub const ALONE: &str = "alone";

const IDLE: &str = "idle";
const STATUS: &str = "status";
const PRESSURE: &str = "pressure";
const SIZES: &str = "sizes";

/// Names the product to measure, in place of the one built beside this program.
const PRODUCT: &str = "TWOBOX";
