//! `simulate FIRST END`: runs the seeds from FIRST to before END, and tells which promises break;
//! `simulate SEED` runs one and prints every line, `simulate SEED 0` reduces it to what breaks the same promise.

use std::collections::BTreeMap;
use std::env;
use std::panic;

use simulation::life::{self, Outcome};
use simulation::plan::Plan;
use simulation::shrink::explain;
use simulation::trace::Trace;

fn main() {
    let numbers: Vec<u64> = env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [seed] => print_one(seed),
        [seed, 0] => print_shortest(seed),
        [first, end] => sweep(first, end),
        _ => eprintln!("simulate: FIRST END, or SEED"),
    }
}

fn print_one(seed: u64) {
    match life::run(seed, Trace::Printed) {
        Ok(outcome) => println!("{outcome:?}"),
        Err(broken) => println!("{broken}"),
    }
}

fn print_shortest(seed: u64) {
    let plan = Plan::random(seed);
    let Err(broken) = life::live(&plan, Trace::Off, false) else {
        return println!("seed {seed} breaks nothing");
    };
    println!("{}", explain(&plan, broken.promise, false));
}

fn sweep(first: u64, end: u64) {
    panic::set_hook(Box::new(|_| {}));
    let (mut sum, mut broken) = (Outcome::default(), BTreeMap::<String, Vec<u64>>::new());
    for seed in first..end {
        match panic::catch_unwind(|| life::run(seed, Trace::Off)) {
            Ok(Ok(outcome)) => sum += outcome,
            Ok(Err(it)) => broken.entry(it.promise.to_owned()).or_default().push(seed),
            Err(panic) => {
                let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                broken.entry(message).or_default().push(seed);
            }
        }
    }
    println!("{sum:?}");
    for (promise, seeds) in &broken {
        println!(
            "{promise}: {} of {}: {:?}",
            seeds.len(),
            end - first,
            seeds.get(..12).unwrap_or(seeds)
        );
    }
}
