//! Does the pair keep its promises whatever happens? Random worlds, each from one seed.
//!
//! A run that fails prints its seed. `TWOBOX_SEED=n cargo test -p tests --test simulation NAME -- --nocapture` runs
//! that one of the test NAME again, with every line; `TWOBOX_SEEDS=m` runs the seeds below `m`.

use std::{env, panic};

use tests::world::checks::Broken;
use tests::world::simulation::{self, Outcome};
use tests::world::trace::Trace;

#[test]
fn the_promises_hold_in_random_worlds() {
    let sum = run_all(simulation::run, SEEDS);
    assert!(sum.takeovers > 0 && sum.shots > 0 && sum.orders > 0, "a test of nothing: {sum:?}");
}

#[test]
fn one_fault_never_costs_both_boxes() {
    let sum = run_all(simulation::one_fault, SEEDS);
    assert!(sum.shots > 0, "a test of nothing: {sum:?}");
}

fn run_all(run: fn(u64, Trace) -> Result<Outcome, Broken>, seeds: u64) -> Outcome {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse().expect(name));
    if let Some(seed) = number("TWOBOX_SEED") {
        return run(seed, Trace::Printed).unwrap_or_else(|broken| panic!("{broken}"));
    }
    let mut sum = Outcome::default();
    for seed in 0..number("TWOBOX_SEEDS").unwrap_or(seeds) {
        match panic::catch_unwind(|| run(seed, Trace::Off)) {
            Ok(Ok(outcome)) => sum += outcome,
            Ok(Err(broken)) => panic!("seed {seed}: {broken}"),
            Err(panic) => {
                println!("seed {seed}: the core panicked");
                panic::resume_unwind(panic);
            }
        }
    }
    sum
}

/// About twenty seconds of one core, unoptimized.
const SEEDS: u64 = 400;
