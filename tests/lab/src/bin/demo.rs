//! The demonstration, and every character that plays in it.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use lab::observers::failure::Failure;
use lab::scenarios::{cuts, ldap, play, selftest, soak, stories, storm, tour};
use lab::stage::config::Choices;
use lab::stage::{isolation, roles};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    let inside = arguments.next_if(|word| word == isolation::INSIDE).is_some();
    // `cargo demo -- play` brings the dashes along, `cargo demo play` does not.
    let words: Vec<OsString> = arguments.skip_while(|word| word == "--").collect();
    if let Some(played) = roles::play(&words) {
        return played.unwrap_or_else(|error| {
            eprintln!("{error}");
            ExitCode::FAILURE
        });
    }
    let texts: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let done = match texts.as_slice() {
        ["--help" | "-h" | "help"] => {
            println!("{HELP}");
            Ok(())
        }
        _ if !inside => match isolation::run(words.into_iter()) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        words => play(words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What is played in the world of the lab.
fn play(words: &[&str]) -> Result<(), String> {
    if matches!(words, ["ldap", ..]) && ldap::choices().is_none() {
        eprintln!("{}", ldap::MISSING);
        std::process::exit(ldap::MISSING_CODE.into());
    }
    isolation::settle()?;
    let choices = Choices::default();
    let played = match words {
        [] => tour::run(&choices),
        ["play"] => play::run(&choices),
        ["ldap"] => tour::run(&ldap::choices().unwrap_or_default()),
        ["ldap", "play"] => play::run(&ldap::choices().unwrap_or_default()),
        ["selftest"] => selftest::run().map_err(Failure::from),
        ["story"] => {
            stories::list();
            Ok(())
        }
        ["storm", seed, seconds] => storm(seed, seconds),
        ["soak", minutes] => soak(minutes),
        ["story", name] => stories::tell(name),
        ["cuts", kind, seed, runs] => cuts(kind, seed, runs),
        _ => Err(Failure(format!("{HELP}\n\nno such play: {}", words.join(" ")))),
    };
    played.map_err(|Failure(reason)| reason)
}

fn storm(seed: &str, seconds: &str) -> Result<(), Failure> {
    storm::run(seed.parse()?, Duration::from_secs(seconds.parse()?))
}

fn cuts(kind: &str, seed: &str, runs: &str) -> Result<(), Failure> {
    cuts::run(kind, seed.parse()?, runs.parse()?)
}

fn soak(minutes: &str) -> Result<(), Failure> {
    soak::run(Duration::try_from_secs_f64(minutes.parse::<f64>()? * 60.0)?)
}

const HELP: &str = "\
Two boxes, two Ethernet links, a null modem, two power switches and a client,
all on this machine.

    cargo demo                the tour: what fails, and what a user notices
    cargo demo play           pull cables and power yourself
    cargo demo ldap           the tour with the real slapd (ldap play: the same)
    cargo demo story NAME     one promise, tried out; without NAME, their list
    cargo demo storm SEED SECONDS
                              everything at once, by chance
    cargo demo cuts KIND SEED RUNS
                              every cable is cut, again and again: at-rest,
                              moves (amid a failback or a switch), silences
                              (and all BMCs are silent for as long)
    cargo demo soak MINUTES   does a supervisor grow old? (0.5 is half a minute)
    cargo demo selftest       does the lab itself tell the truth?";
