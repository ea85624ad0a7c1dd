//! Checks the promises in random worlds, each from one seed.
//!
//! A run that fails prints its seed, and the shortest run that fails alike. `TWOBOX_SEED=n cargo test -p simulation
//! --test simulation NAME -- --nocapture` runs that one of the test NAME again, with every line; `TWOBOX_SEEDS=m`
//! runs the seeds below `m`.

use std::{env, panic};

use simulation::checks::Broken;
use simulation::fault_model::Mishap;
use simulation::life::{self, Outcome};
use simulation::plan::{Plan, Turn};
use simulation::shrink::{explain, shrink};
use simulation::trace::Trace;

#[test]
fn the_promises_hold_in_random_worlds() {
    let sum = run_all(life::run, shortest, SEEDS);
    println!("{sum:#?}");
    let seen = |what: &str| sum.seen.contains_key(what);
    let missing = Mishap::ALL.map(Mishap::label).into_iter().chain(SEEN).find(|what| !seen(what));
    assert_eq!(missing, None, "a test of nothing: {sum:#?}");
    assert!(sum.takeovers > 0 && sum.shots > 0 && sum.orders > 0, "a test of nothing: {sum:#?}");
}

/// A promise that nobody made: what breaks it is found, and nothing but that is left.
#[test]
fn a_run_that_goes_wrong_is_reduced_to_what_was_needed() {
    let breaks = |plan: &Plan| {
        let (lines, _) = life::tell(plan, false);
        let first = lines.iter().position(|line| line.contains("does not run for"));
        let then = lines.iter().rposition(|line| line.contains("a resource dies"));
        first.zip(then).is_some_and(|(first, then)| first < then)
    };
    let plan = (0..SEEDS).map(Plan::random).find(breaks).expect("boxes stall and resources die");
    let shortest = shrink(&plan, breaks);
    println!("{} faults were {}:\n{shortest}", shortest.faults(), plan.faults());
    assert!(breaks(&shortest));
    assert!(plan.faults() > shortest.faults(), "{shortest}");
    for (turn, fault) in (0..shortest.turns.len())
        .flat_map(|turn| (0..shortest.turns[turn].faults.len()).map(move |fault| (turn, fault)))
    {
        let mut shorter = shortest.clone();
        shorter.turns[turn].faults.remove(fault);
        assert!(!breaks(&shorter), "{fault} of {turn} was not needed:\n{shortest}");
    }
}

/// A day of a life, with every line, and once more without the rounds in which nothing happens.
#[test]
fn what_is_left_out_would_have_told_nothing() {
    let mut sum = Outcome::default();
    for seed in 0..LEAPING_SEEDS {
        let plan = Plan::long_life(seed, 1_000);
        let plan = Plan { turns: plan.turns.into_iter().map(hurried).collect(), ..plan };
        let (lived, one) = life::tell(&plan, false);
        let (leapt, other) = life::tell(&plan, true);
        let difference = lived.iter().zip(&leapt).find(|(lived, leapt)| lived != leapt);
        assert_eq!(difference, None, "seed {seed}");
        assert_eq!(lived.len(), leapt.len(), "seed {seed}");
        let (Ok(one), Ok(other)) = (one, other) else { panic!("seed {seed} breaks a promise") };
        assert_eq!((one.time, one.shots), (other.time, other.shots));
        assert_eq!(one.left_out, 0);
        sum += other;
    }
    assert!(sum.left_out > sum.time / 2 && sum.takeovers > LEAPING_SEEDS, "{sum:?}");
}

/// As many faults, a thousand times as close together.
fn hurried(turn: Turn) -> Turn {
    let faults = turn.faults.into_iter().take(60).map(|(at, fault)| (at / 1_000, fault)).collect();
    Turn { faults, length: turn.length / 1_000, ..turn }
}

#[test]
fn one_fault_never_costs_both_boxes() {
    let sum = run_all(life::one_fault, |_, _| String::new(), 4 * SEEDS);
    assert!(sum.shots > 0, "a test of nothing: {sum:?}");
}

fn shortest(seed: u64, broken: &Broken) -> String {
    explain(&Plan::random(seed), broken.promise, false)
}

fn run_all(
    run: fn(u64, Trace) -> Result<Outcome, Broken>,
    explain: fn(u64, &Broken) -> String,
    seeds: u64,
) -> Outcome {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse().expect(name));
    if let Some(seed) = number("TWOBOX_SEED") {
        return run(seed, Trace::Printed).unwrap_or_else(|broken| panic!("{broken}"));
    }
    life::sum(number("TWOBOX_SEEDS").unwrap_or(seeds), |seed| {
        match panic::catch_unwind(|| run(seed, Trace::Off)) {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(broken)) => panic!("seed {seed}: {broken}\n{}", explain(seed, &broken)),
            Err(panic) => {
                println!("seed {seed}: the core panicked");
                panic::resume_unwind(panic);
            }
        }
    })
}

/// What people and fate bring about, and what must come of it sooner or later.
const SEEN: [&str; 33] = [
    "a box is reloaded",
    "a box is shot because an operator wants it",
    "cables are cut",
    "cables are mended",
    "a cable is noisy",
    "a box loses its power",
    "a box hangs",
    "a supervisor is killed",
    "a box resets",
    "a box does not run",
    "a resource dies",
    "a gate moves",
    "a witness comes or goes",
    "a journal is lost",
    "a journal rots",
    "a journal is locked",
    "a journal is not written",
    "a box gets another release",
    "a fence device changes",
    "a fence device cuts the wrong box",
    "an operator orders",
    "an operator lies in wait",
    "an order comes at a change of role",
    "an operator confirms",
    "the configurations differ",
    "version",
    "wrong_key",
    "replayed",
    "a box yields to the other one that serves",
    "addresses are announced again",
    "services are adopted",
    "a supervisor is upgraded",
    "the resources go home after a failed stay",
];
/// Lives that are lived twice.
const LEAPING_SEEDS: u64 = 20;
/// About twenty seconds of one core, unoptimized.
const SEEDS: u64 = 400;
