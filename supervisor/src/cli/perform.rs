//! How does a command do its work, and how does it end?

use std::io::{self, Write};
use std::path::Path;

use super::{Command, Exit, Invocation};
use crate::check::{check, load};
use crate::client::{Verdict, ask};
use crate::config::{self, Config, socket};
use crate::history;

/// Does what a person has said, `run` by the function of this name, and tells how it ended.
pub fn perform(invocation: Invocation, run: impl FnOnce(Config) -> Exit) -> Exit {
    let Invocation { config: path, socket: told, command } = invocation;
    match command {
        Command::Show(text) => show(&text),
        Command::Check { who, here } => match check(&path, who.as_deref(), here) {
            Ok(report) => show(&report),
            Err(error) => complain(Exit::Refused, &error.to_string()),
        },
        Command::Run { who } => match load(&path, who.as_deref(), true) {
            Ok(config) => run(match told {
                Some(socket) => config.with_socket(socket),
                None => config,
            }),
            Err(error) => complain(Exit::Refused, &error.to_string()),
        },
        Command::History { with, count, json } => {
            match history::show(&config::history(&path), with.as_deref(), count, json) {
                Ok(text) => show(&text),
                Err(error) => complain(Exit::Refused, &error.to_string()),
            }
        }
        Command::Ask(request) => put(&told.unwrap_or_else(|| socket(&path)), &request),
    }
}

fn put(socket: &Path, request: &str) -> Exit {
    match ask(socket, request) {
        Ok(answer) => match answer.verdict {
            Verdict::Ok => show(&answer.text),
            Verdict::Degraded => {
                show(&answer.text);
                Exit::Degraded
            }
            Verdict::Refused => complain(Exit::Refused, answer.text.trim_end()),
        },
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            complain(Exit::NotPermitted, &error.to_string())
        }
        Err(error) => complain(Exit::Unreachable, &error.to_string()),
    }
}

/// A reader that has seen enough, such as `head`, is no failure of the command.
fn show(text: &str) -> Exit {
    let _ = io::stdout().write_all(text.as_bytes());
    Exit::Done
}

fn complain(exit: Exit, text: &str) -> Exit {
    let _ = writeln!(io::stderr(), "{text}");
    exit
}
