//! Checks the promises for a lifetime: a hundred thousand days of pairs in which something goes wrong now and then.
//!
//! `TWOBOX_DAYS=n` simulates n days instead.

use std::env;
use std::time::Instant;

use simulation::life::{self, Outcome};
use simulation::plan::{DAY, Plan};
use simulation::shrink::explain;
use simulation::trace::Trace;

#[test]
fn the_promises_hold_for_a_lifetime() {
    let days = env::var("TWOBOX_DAYS").ok().map(|days| days.parse().expect("TWOBOX_DAYS"));
    let lives = days.unwrap_or(DAYS).div_ceil(LIFE);
    let begin = Instant::now();
    let sum = life::sum(lives, life);
    println!(
        "{} pair-days ({:.1} of them step by step) in {:.0} s: {sum:?}",
        sum.time / DAY,
        (sum.time - sum.left_out) as f64 / DAY as f64,
        begin.elapsed().as_secs_f64(),
    );
    assert!(sum.time >= lives * LIFE * DAY);
    assert!(sum.takeovers > lives && sum.shots > lives && sum.orders > lives, "{sum:?}");
}

fn life(seed: u64) -> Outcome {
    let plan = Plan::long_life(seed, LIFE);
    life::live(&plan, Trace::Off, true).unwrap_or_else(|broken| {
        panic!("life {seed}: {broken}\n{}", explain(&plan, broken.promise, true))
    })
}

/// What is lived in all.
const DAYS: u64 = 100_000;
/// The days of one life.
const LIFE: u64 = 500;
