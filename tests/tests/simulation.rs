//! Does the pair keep its promises whatever happens? Random worlds, each from one seed.
//!
//! A run that fails prints its seed. `TWOBOX_SEED=n cargo test -p tests --test simulation -- --nocapture` runs that
//! one again, with every line; `TWOBOX_SEEDS=m` runs the seeds below `m`.

use std::panic;

use tests::world::simulation::{self, Outcome};
use tests::world::trace::Trace;

#[test]
fn the_promises_hold_in_random_worlds() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect(name));
    if let Some(seed) = number("TWOBOX_SEED") {
        simulation::run(seed, Trace::Printed).unwrap_or_else(|broken| panic!("{broken}"));
        return;
    }
    let mut sum = Outcome::default();
    for seed in 0..number("TWOBOX_SEEDS").unwrap_or(SEEDS) {
        let run = panic::catch_unwind(|| simulation::run(seed, Trace::Off));
        match run {
            Ok(Ok(outcome)) => sum += outcome,
            Ok(Err(broken)) => panic!("seed {seed}: {broken}"),
            Err(_) => panic!("seed {seed}: the core panicked"),
        }
    }
    println!("{sum:?}");
    assert!(sum.takeovers > 0 && sum.shots > 0 && sum.orders > 0, "a test of nothing: {sum:?}");
}

/// About twenty seconds of one core, unoptimized.
const SEEDS: u64 = 200;
