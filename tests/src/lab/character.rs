//! Which parts does this one program play in the lab, besides its own?
//!
//! The boxes get the program that made the lab, and call it by these words: it is their pid 1, their supervisor,
//! their service, and the hand on the power switch. So a lab needs one file, and nothing that is installed.

use std::ffi::OsString;
use std::process::ExitCode;

use super::{crowd, guise, init, power_switch, selftest, service};

/// Plays the part that `words` name, if they name one.
///
/// # Errors
///
/// What went wrong in it.
pub fn play(words: &[OsString]) -> Option<Result<ExitCode, String>> {
    let texts: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    if let Some(put_on) = texts.first().and_then(|word| guise::put_on(word)) {
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
        ["held"] => init::held()
            .map(|(files, threads)| println!("{files} {threads}"))
            .map_err(|error| error.to_string()),
        ["touch", file] => std::fs::write(file, "").map_err(|error| format!("{file}: {error}")),
        ["remove", file] => std::fs::remove_file(file).map_err(|error| format!("{file}: {error}")),
        ["exists", file] => {
            std::fs::metadata(file).map(drop).map_err(|error| format!("{file}: {error}"))
        }
        ["crowd", words @ ..] => crowd::play(words),
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
