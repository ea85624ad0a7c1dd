//! Lists the parts that this one program plays in the lab, besides its own.
//!
//! The boxes get the program that made the lab, and call it by these words: it is their pid 1, their supervisor,
//! their service, and the hand on the power switch. So a lab needs one file, and nothing that is installed.

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::faults::{many_clients, stuck_disk};
use crate::scenarios::selftest;
use crate::stage::{handicaps, init, power_switch, service};

/// Plays the part that `words` name, if they name one.
///
/// # Errors
///
/// What went wrong in it.
pub fn play(words: &[OsString]) -> Option<Result<ExitCode, String>> {
    let texts: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    if let Some(put_on) = texts.first().and_then(|word| handicaps::put_on(word)) {
        return match put_on {
            Ok(()) => play(words.get(1..).unwrap_or_default()),
            Err(error) => Some(Err(error.to_string())),
        };
    }
    let done = match texts.as_slice() {
        ["twobox", ..] => return Some(Ok(supervisor::main(words.iter().skip(1).cloned()))),
        [init::CHARACTER, own, room, program @ ..] => {
            let program: Vec<String> = program.iter().copied().map(str::to_owned).collect();
            init::run(own, room.as_ref(), &program).map_err(|error| format!("{own}: {error}"))
        }
        ["serve", address] => serve(address),
        ["hold"] => selftest::hold().map_err(|error| error.to_string()),
        ["kill", word] => init::kill(word).map_err(|error| error.to_string()),
        ["find", word] => {
            init::find(word).map(|pids| println!("{pids}")).map_err(|error| error.to_string())
        }
        ["touch", file] => std::fs::write(file, "").map_err(|error| format!("{file}: {error}")),
        ["remove", file] => std::fs::remove_file(file).map_err(|error| format!("{file}: {error}")),
        ["fill"] => handicaps::fill().map_err(|error| error.to_string()),
        ["protect"] => handicaps::protect(true).map_err(|error| error.to_string()),
        ["unprotect"] => handicaps::protect(false).map_err(|error| error.to_string()),
        ["exists", file] => {
            std::fs::metadata(file).map(drop).map_err(|error| format!("{file}: {error}"))
        }
        ["crowd", words @ ..] => many_clients::play(words),
        ["stick", file] => stuck_disk::hold_up(file).map_err(|error| format!("{file}: {error}")),
        ["timed", times, program, arguments @ ..] => timed(times, program, arguments),
        ["freeze"] => init::freeze().map_err(|error| error.to_string()),
        ["reset"] => selftest::reset().map_err(|error| error.to_string()),
        ["switch", target, verb] => power_switch::ask(target, verb)
            .map(|power| println!("{power}"))
            .map_err(|error| format!("switch of {target}: {error}")),
        _ => return None,
    };
    Some(done.map(|()| ExitCode::SUCCESS))
}

fn serve(address: &str) -> Result<(), String> {
    let address = address.parse().map_err(|_| format!("{address:?} is no address"))?;
    service::serve(address).map_err(|error| format!("cannot serve {address}: {error}"))
}

/// Prints the microseconds that a program takes, from its start to its end, as often as told.
fn timed(times: &str, program: &str, arguments: &[&str]) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{program}: {error}");
    for _ in 0..times.parse().map_err(|error| failed(&error))? {
        let start = Instant::now();
        let output =
            Command::new(program).args(arguments).output().map_err(|error| failed(&error))?;
        println!("{}", start.elapsed().as_micros());
        if !output.status.success() {
            return Err(failed(&String::from_utf8_lossy(&output.stderr)));
        }
    }
    Ok(())
}
