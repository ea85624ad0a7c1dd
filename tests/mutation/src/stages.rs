//! Runs one stage of the tests on one mutant, and measures all stages without a mutant first.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::tree::Built;

/// Some tests of one binary, which run together.
pub struct Stage {
    pub name: String,
    binary: PathBuf,
    arguments: Vec<String>,
    /// How long it takes without a mutant.
    pub time: Duration,
    /// It prints no panic without a mutant, so the first one that it prints is the end.
    calm: bool,
    /// The mutants that it reaches.
    pub reaches: BTreeSet<u32>,
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    Passed,
    Failed,
    TimedOut,
}

/// Which stages are run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Only {
    #[default]
    All,
    /// The simulation and the model.
    Random,
    /// All but these.
    Rules,
}

/// The stages of a run, in their order. Each is measured when its turn comes.
pub fn stages(built: &Built, folder: &Path, only: Only) -> impl Iterator<Item = Stage> {
    let rows = ROWS.iter().filter(move |(binary, _)| match only {
        Only::All => true,
        Only::Random => RANDOM.contains(binary),
        Only::Rules => !RANDOM.contains(binary),
    });
    rows.map(|(binary, arguments)| {
        let path = built.binaries.get(*binary).unwrap_or_else(|| panic!("{binary} was not built"));
        let mut stage = Stage {
            name: [&[*binary], *arguments].concat().join(" "),
            binary: path.clone(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            time: PATIENCE,
            calm: false,
            reaches: BTreeSet::new(),
        };
        stage.measure(folder);
        stage
    })
}

impl Stage {
    /// Runs it without a mutant, and notes the mutants that it reaches.
    fn measure(&mut self, folder: &Path) {
        let notes = folder.join("seen");
        let _ = fs::remove_file(&notes);
        let mut command = self.command(folder);
        command.env("TWOBOX_MUTANTS_SEEN", &notes);
        let begin = Instant::now();
        let mut lines = Vec::new();
        let end = self.watch(&mut command, &mut |line| lines.push(line.to_owned()));
        assert!(end == End::Passed, "{} fails without a mutant:\n{}", self.name, lines.concat());
        self.time = begin.elapsed();
        self.calm = !lines.iter().any(|line| line.contains(PANIC));
        let notes = fs::read_to_string(&notes).unwrap_or_default();
        self.reaches = notes.lines().filter_map(|line| line.parse().ok()).collect();
    }

    /// Runs it on a mutant.
    pub fn run(&self, mutant: u32, folder: &Path) -> End {
        let mut command = self.command(folder);
        command.env("TWOBOX_MUTANT", mutant.to_string());
        self.watch(&mut command, &mut |_| ())
    }

    /// The command, with bounds for the time on the processor, which other people's work does not change, and for
    /// memory.
    fn command(&self, folder: &Path) -> Command {
        let seconds = (self.time * TIMES * THREADS + EXTRA).as_secs();
        let script = "ulimit -t \"$1\"; ulimit -v \"$2\"; shift 2; exec \"$@\" 2>&1";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", &seconds.to_string(), MEMORY]).arg(&self.binary);
        command.args(&self.arguments).args(["--nocapture", "--test-threads=2"]);
        command.envs(BOUNDS.iter().copied()).current_dir(folder.join("tests"));
        command
    }

    fn watch(&self, command: &mut Command, hear: &mut dyn FnMut(&str)) -> End {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("sh runs");
        let lines = lines(&mut child);
        let deadline = Instant::now() + self.time * TIMES * THREADS * THREADS + EXTRA * 10;
        let end = loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if self.calm && line.contains(PANIC) => break Some(End::Failed),
                Ok(line) => hear(&line),
                Err(RecvTimeoutError::Timeout) => break Some(End::TimedOut),
                Err(RecvTimeoutError::Disconnected) => break None,
            }
        };
        if end.is_some() {
            child.kill().expect("it was not waited for");
        }
        let status = child.wait().expect("it was not waited for");
        end.unwrap_or(match (status.success(), status.code()) {
            (true, _) => End::Passed,
            (false, Some(_)) => End::Failed,
            // A signal: its time on the processor is over, or it overran its stack.
            (false, None) => End::TimedOut,
        })
    }
}

/// What the child says, line by line.
fn lines(child: &mut Child) -> Receiver<String> {
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    receiver
}

/// Binaries with their arguments, the fast ones first.
const ROWS: &[(&str, &[&str])] = &[
    ("firmware_agnostic", &[]),
    ("orders", &[]),
    ("reloads", &[]),
    ("letters", &[]),
    ("failures", &[]),
    ("node_rules", &[]),
    ("shots", &[]),
    ("time_shift", &[]),
    ("recordings", &[]),
    ("wire", &[]),
    ("troubles", &[]),
    ("stories", &[]),
    ("simulation", &["one_fault_never_costs_both_boxes"]),
    ("cut_moves", &[]),
    ("hostile", &[]),
    ("simulation", &["the_promises_hold_in_random_worlds"]),
    ("boot", &[]),
    ("simulation", &["what_is_left_out_would_have_told_nothing"]),
    // The other sets find nothing to try within so few changes.
    ("model", &["crashes", "stalls", "every_instant_of_a_box_moves"]),
];
/// What is not written by hand for one rule.
const RANDOM: &[&str] = &["simulation", "model"];
/// The worlds and the changes of stance that are tried. In fewer worlds not everything happens that the simulation
/// wants.
const BOUNDS: &[(&str, &str)] = &[("TWOBOX_SEEDS", "100"), ("TWOBOX_CHANGES", "3")];
const PANIC: &str = "panicked at";
/// A mutant may take so many times as long, and a little more.
const TIMES: u32 = 5;
const EXTRA: Duration = Duration::from_secs(5);
/// So many threads may work at once, so the time on the processor is longer than that on the wall.
const THREADS: u32 = 2;
/// No stage takes longer without a mutant.
const PATIENCE: Duration = Duration::from_secs(120);
/// KiB of address space.
const MEMORY: &str = "6000000";
