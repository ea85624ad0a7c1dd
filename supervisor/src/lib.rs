//! The one binary: it hears, lets the core decide, and acts.
//!
//! Read `run.rs` for the loop and `effects.rs` for what is done; the decisions are in
//! `firmware_agnostic::node`.

pub mod config;
mod control;
mod effects;
mod json;
mod labels;
mod logging;
mod ready;
mod run;
mod start;
mod status;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Does what the command line says.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let mut words: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    let config = option(&mut words, "--config").unwrap_or("/etc/twobox.toml".into());
    let socket = option(&mut words, "--socket").unwrap_or("/run/twobox.sock".into());
    let done = match words.first().map(String::as_str) {
        Some("run") => match config::Config::load(Path::new(&config), None) {
            Ok(config) => start::start(config),
            Err(error) => Err(std::io::Error::other(error.to_string())),
        },
        _ => ask(&socket, &words.join(" ").replace("--json", "json")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("twobox: {error}");
            ExitCode::FAILURE
        }
    }
}

fn option(words: &mut Vec<String>, name: &str) -> Option<PathBuf> {
    let place = words.iter().position(|word| word == name)?;
    words.remove(place);
    Some(words.remove(place).into())
}

fn ask(socket: &Path, line: &str) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    writeln!(stream, "{line}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once('\n') {
        Some(("ok", text)) => {
            print!("{text}");
            Ok(())
        }
        _ => Err(std::io::Error::other(answer)),
    }
}
