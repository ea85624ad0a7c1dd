//! The benchmark: what the pair costs, and how long a user waits.

use std::ffi::OsString;
use std::process::ExitCode;

use tests::allocations::Counting;
use tests::bench;
use tests::lab::failure::Failure;
use tests::lab::{character, isolation};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    // `cargo bench-pair -- idle` brings the dashes along, `cargo bench-pair idle` does not.
    match play(std::env::args_os().skip(1).skip_while(|word| word == "--").collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn play(words: Vec<OsString>) -> Result<ExitCode, String> {
    if let Some(played) = character::play(&words) {
        return played;
    }
    let texts: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let measured = match texts.as_slice() {
        ["--help" | "-h" | "help"] => {
            println!("{HELP}");
            Ok(true)
        }
        [bench::ALONE, _] => return isolation::run(words.into_iter().skip(1)),
        [isolation::INSIDE, section] => {
            isolation::settle()?;
            bench::inside(section).map(|()| true)
        }
        wanted => bench::run(wanted),
    };
    match measured {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(Failure(reason)) => Err(reason),
    }
}

const HELP: &str = "\
Measures the pair, and prints one table. A missed target is no error; something
that could not be measured is.

    cargo bench-pair          everything: some 15 minutes on an idle machine
    cargo bench-pair gaps     what a user of the service misses, in the lab:
                              planned power power-fast hang service cables crash
                              (or any of these alone)
    cargo bench-pair fence    a shot at a simulated BMC, beside fence_ipmilan
    cargo bench-pair idle     the supervisor while nothing happens
    cargo bench-pair pressure forged frames on every link, and questions
    cargo bench-pair core     one heartbeat, and the simulator
    cargo bench-pair sizes    the binary";
