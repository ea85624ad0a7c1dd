//! The one binary: it hears, lets the core decide, and acts.
//!
//! Read `run.rs` for the loop and `effects.rs` for what is done; the decisions are in
//! `firmware_agnostic::node`.

pub mod cli;
pub mod config;
pub mod control;
mod effects;
mod guard;
mod input;
mod observe;
mod peer;
mod process;
mod reload;
mod requests;
mod run;
mod start;
mod workers;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use board::host::plain_text::plain_lines;
use cli::Exit;

/// Does what the command line says.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    board::process::hardening::begin();
    board::process::signals::let_come();
    if board::process::guard::is_this() {
        let ended = guard::run();
        return ended.map_or_else(|error| failed(Exit::Refused, &error), |()| Exit::Done).into();
    }
    let arguments: Vec<_> = arguments.collect();
    let before = std::env::args_os().len().saturating_sub(arguments.len());
    let before = std::env::args_os().take(before).collect();
    let exit = match cli::parse(arguments) {
        Ok(invocation) => cli::perform(invocation, |config| run(config, before)),
        Err(error) => failed(Exit::Usage, &error),
    };
    exit.into()
}

fn run(config: config::Config, before: Vec<OsString>) -> Exit {
    match start::start(config, before) {
        Ok(()) => Exit::Done,
        Err(error) => failed(Exit::Refused, &error),
    }
}

/// Standard error may be closed, which is no reason to panic.
fn failed(exit: Exit, error: &dyn std::error::Error) -> Exit {
    let _ = writeln!(std::io::stderr(), "twobox: {}", plain_lines(&error.to_string()));
    exit
}
