//! The benchmark: what the pair costs, and how long a user waits.

use std::ffi::OsString;
use std::process::ExitCode;

use lab::observers::failure::Failure;
use lab::stage::{isolation, roles};
use simulation::allocations::Counting;

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
    if let Some(played) = roles::play(&words) {
        return played;
    }
    let texts: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let measured = match texts.as_slice() {
        ["--help" | "-h" | "help"] => {
            println!("{HELP}");
            Ok(true)
        }
        [bench::ALONE, ..] => return isolation::run(words.into_iter().skip(1)),
        [isolation::INSIDE, wanted @ ..] => {
            isolation::settle()?;
            bench::inside(wanted).map(|()| true)
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
Measures the pair, and heartbeat 3 and keepalived beside it where they are
installed, in the same boxes and with the same client; prints one table. A
missed target is no error; something that could not be measured is.

    cargo bench-pair            everything: some 6 minutes on an idle machine
    cargo bench-pair WORD...    only these systems and sections

systems: pair pair-fast heartbeat heartbeat-defaults
         keepalived keepalived-defaults
what a user of the service misses, in the lab:
         planned power hang service crash gone cables
others:  idle    what runs while nothing happens
         status  how long the state takes to be told
         pressure  forged frames, ten thousand a second on every link
         fence   a shot at a simulated BMC, beside fence_ipmilan
         core    one heartbeat, and the simulator
         sizes   what must be installed";
