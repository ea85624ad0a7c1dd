//! Counts which mutants of the core the tests kill: `tests/mutants --help`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use std::{env, fs, thread};

use accepted::Accepted;
use catalogue::Catalogue;
use stages::{End, Only, Stage, stages};
use tree::{Built, Tree, target};

mod accepted;
mod catalogue;
mod places;
mod schemata;
mod stages;
mod tree;
mod values;

fn main() -> ExitCode {
    let wanted = match Wanted::parse(env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    match run(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tests/mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
#[derive(Default)]
struct Wanted {
    list: bool,
    only: Only,
    /// One part of so many.
    part: Option<(u32, u32)>,
    /// Only what survived the last run is run.
    again: bool,
    /// A word of the descriptions.
    word: Option<String>,
}

impl Wanted {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, &'static str> {
        let mut wanted = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => wanted.list = true,
                "--again" => wanted.again = true,
                "--only" => match arguments.next().as_deref() {
                    Some("simulation") => wanted.only = Only::Random,
                    Some("rules") => wanted.only = Only::Rules,
                    _ => return Err(USAGE),
                },
                "--part" => {
                    wanted.part = Some(arguments.next().as_deref().and_then(part).ok_or(USAGE)?)
                }
                word if !word.starts_with('-') => wanted.word = Some(word.to_owned()),
                _ => return Err(USAGE),
            }
        }
        Ok(wanted)
    }

    fn has(&self, number: u32, catalogue: &Catalogue) -> bool {
        let word = |word: &String| catalogue.get(number).description.contains(word);
        let part = |(part, of): (u32, u32)| number % of == part % of;
        self.part.is_none_or(part) && self.word.as_ref().is_none_or(word)
    }
}

fn part(text: &str) -> Option<(u32, u32)> {
    let (part, of) = text.split_once('/')?;
    let (part, of) = (part.parse().ok()?, of.parse().ok()?);
    (of > 0 && part <= of).then_some((part, of))
}

fn run(wanted: &Wanted) -> Result<(), String> {
    let root = root();
    let accepted = Accepted::read(&root.join("tests/mutants.accepted"))?;
    let catalogue = Catalogue::of(&root, &BTreeSet::new());
    let strangers = accepted.strangers(&catalogue);
    if !strangers.is_empty() {
        return Err(format!(
            "no such mutant any more, in tests/mutants.accepted\n{}",
            strangers.join("\n")
        ));
    }
    // A quick look: what is known to survive would take the longest.
    let skips = (wanted.part.is_some() || wanted.again) && wanted.only != Only::Random;
    let chosen = |number: u32| {
        wanted.has(number, &catalogue)
            && !(skips && accepted.has(&catalogue.get(number).description))
    };
    if wanted.list {
        catalogue
            .numbers()
            .filter(|it| chosen(*it))
            .for_each(|it| println!("{}", catalogue.show(it)));
        return Ok(());
    }
    let folder = target(&root).join("mutants");
    let kept = target(&root).join("mutants.survivors");
    let last = fs::read_to_string(&kept).unwrap_or_default();
    let last: BTreeSet<&str> = last.lines().collect();
    let begin = Instant::now();
    let built = Tree::new(&root, &folder).build();
    println!("{} mutants built in {:.0?}", built.viable.len(), begin.elapsed());
    let runs = |number: &u32| {
        let description = catalogue.get(*number).description.as_str();
        chosen(*number) && (!wanted.again || last.contains(description))
    };
    let ran: Vec<u32> = built.viable.iter().copied().filter(runs).collect();
    let mut alive = ran.clone();
    for stage in stages(&built, &folder, wanted.only) {
        let time = stage.time;
        let before = alive.len();
        alive = survivors(&stage, alive, &folder);
        println!("{:4} of {before:4} killed by {} ({time:.1?})", before - alive.len(), stage.name);
        let lines = alive.iter().map(|it| format!("{}\n", catalogue.get(*it).description));
        fs::write(&kept, lines.collect::<String>())
            .map_err(|error| format!("{}: {error}", kept.display()))?;
    }
    alive.iter().for_each(|it| println!("{} survives", catalogue.show(*it)));
    judge(wanted, &built, &ran, &alive, &accepted)
}

/// The mutants that pass this stage.
fn survivors(stage: &Stage, alive: Vec<u32>, folder: &Path) -> Vec<u32> {
    let (next, killed) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    let work = || {
        while let Some(mutant) = alive.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stage.reaches.contains(mutant) && stage.run(*mutant, folder) != End::Passed {
                killed.lock().expect("no worker panics").insert(*mutant);
            }
        }
    };
    thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    let killed = killed.into_inner().expect("no worker panics");
    alive.into_iter().filter(|it| !killed.contains(it)).collect()
}

fn judge(
    wanted: &Wanted,
    built: &Built,
    ran: &[u32],
    survivors: &[u32],
    accepted: &Accepted,
) -> Result<(), String> {
    let Built { catalogue, unviable, .. } = built;
    let description = |number: &u32| catalogue.get(*number).description.as_str();
    let constant =
        catalogue.numbers().filter(|it| wanted.has(*it, catalogue) && catalogue.get(*it).is_const);
    let killed = ran.len() - survivors.len();
    println!(
        "{killed} of {} mutants killed, {:.1} %; besides, {} that the compiler refuses, and {} in what it computes",
        ran.len(),
        100.0 * killed as f64 / ran.len().max(1) as f64,
        unviable.len(),
        constant.count(),
    );
    // What only a test of a rule can see is no fault of the simulation.
    if wanted.only == Only::Random {
        return Ok(());
    }
    let new: Vec<_> = survivors.iter().filter(|it| !accepted.has(description(it))).collect();
    let dead = ran.iter().filter(|it| accepted.has(description(it)) && !survivors.contains(it));
    let dead: Vec<_> = dead.map(|it| catalogue.show(*it)).collect();
    if !new.is_empty() {
        let new: Vec<_> = new.into_iter().map(description).collect();
        return Err(format!(
            "no test kills, and tests/mutants.accepted does not name\n{}",
            new.join("\n")
        ));
    }
    if !dead.is_empty() {
        return Err(format!("tests kill what tests/mutants.accepted names\n{}", dead.join("\n")));
    }
    Ok(())
}

fn root() -> PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::canonicalize(&home).unwrap_or(home)
}

const USAGE: &str = "tests/mutants [--list] [--part K/N] [--again] [--only simulation|rules] [WORD]
Mutates the core and prints what survives the tests. WORD chooses the mutants whose description has it, --again those that
survived the last run and are not accepted. --only runs the simulation and the model alone, or all but these.";
/// One for each core of a small machine.
const AT_ONCE: usize = 2;
