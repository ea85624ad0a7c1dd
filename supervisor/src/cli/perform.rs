//! Carries a command out, and tells how it ended.

use std::io::{self, Write};
use std::path::Path;

use board::host::plain_text::plain_lines;
use rustix::termios::isatty;

use super::prompt::typed;
use super::{Command, Exit, Invocation, fail, fence};
use crate::config::validation::{Look, check, check_in_short, load};
use crate::config::{self, Config, keys, socket};
use crate::control::client::{Reply, Verdict, ask, ask_peer};
use crate::observe::history::{self, View};
use crate::observe::screen;

/// Does what a person has said, `run` by the function of this name, and tells how it ended.
pub fn perform(invocation: Invocation, run: impl FnOnce(Config) -> Exit) -> Exit {
    let Invocation { config: path, socket: told, command } = invocation;
    match command {
        Command::Show(text) => show(&text),
        Command::Check { who, here, all } => {
            let check = if all { check } else { check_in_short };
            match check(&path, who.as_deref(), here) {
                Ok(report) => show(&report),
                Err(error) => fail(Exit::Refused, &error.to_string()),
            }
        }
        Command::Run { who } => match load(&path, who.as_deref(), Look::Start) {
            Ok(config) => run(match told {
                Some(socket) => config.with_socket(socket),
                None => config,
            }),
            Err(error) => fail(Exit::Refused, &error.to_string()),
        },
        Command::TryRun { who } => match load(&path, who.as_deref(), Look::DryRun) {
            Ok(config) => show(&format!("it would start as {}\n", config.name(config.settings.me))),
            Err(error) => fail(Exit::Refused, &error.to_string()),
        },
        Command::History { with, count, json } => {
            match history::show(&config::history(&path), with.as_deref(), view(count), json) {
                Ok(text) => show(&text),
                Err(error) => fail(Exit::Refused, &error.to_string()),
            }
        }
        Command::AskPeer(request) => {
            answered(ask_peer(&told.unwrap_or_else(|| socket(&path)), &request), show)
        }
        Command::HistoryOfBoth { count, json } => {
            let request = format!("peer history {}", count.unwrap_or(usize::MAX));
            let told = ask_peer(&told.unwrap_or_else(|| socket(&path)), &request);
            answered(told, |said| {
                match history::both(&config::history(&path), said, view(count), json) {
                    Ok(text) => show(&text),
                    Err(error) => fail(Exit::Refused, &error.to_string()),
                }
            })
        }
        Command::Key { file, new } => {
            let made = if new { keys::make(&file) } else { Ok(()) };
            match made.and_then(|()| keys::show(&file)) {
                Ok(text) => show(&text),
                Err(error) => fail(Exit::Refused, &error.to_string()),
            }
        }
        Command::Ask(request) => put(&told.unwrap_or_else(|| socket(&path)), &request),
        Command::Confirm => confirm(&told.unwrap_or_else(|| socket(&path))),
        Command::TryFence { who } => match load(&path, who.as_deref(), Look::Least) {
            Ok(config) => fence::dry_run(&config),
            Err(error) => fail(Exit::Refused, &error.to_string()),
        },
        Command::Fence { name, yes } => named("fence", name, |name| {
            fence::fence(&told.unwrap_or_else(|| socket(&path)), name, yes)
        }),
        Command::Drill { name } => named("drill fence", name, |name| {
            fence::drill(&told.unwrap_or_else(|| socket(&path)), name)
        }),
    }
}

/// Shows what is known of a silent peer, and takes a person's word that it is off.
fn confirm(socket: &Path) -> Exit {
    if !isatty(io::stdin()) {
        return nameless("confirm");
    }
    let shown = put(socket, "evidence");
    if shown != Exit::Done {
        return shown;
    }
    match typed("If you have seen that box off, type its name") {
        Some(name) => put(socket, &format!("confirm {name}")),
        None => fail(Exit::Refused, "nothing is confirmed"),
    }
}

/// Does what is to be done to the box that was named, on the command line or by hand.
fn named(command: &str, name: Option<String>, act: impl FnOnce(&str) -> Exit) -> Exit {
    match name.or_else(|| typed("Type the name of the box whose power is to be cut")) {
        Some(name) => act(&name),
        None => nameless(command),
    }
}

/// As much of the history as the screen has room for, unless a person has said how much.
fn view(count: Option<usize>) -> View {
    View { count: count.unwrap_or(usize::MAX), rows: screen::rows(), scrolls: count.is_some() }
}

fn nameless(command: &str) -> Exit {
    fail(
        Exit::Usage,
        &format!("twobox: without a name nothing is done: say `twobox {command} PEER`"),
    )
}

fn put(socket: &Path, request: &str) -> Exit {
    answered(ask(socket, request), show)
}

/// How a command ends that was answered so, if `good` is what becomes of a good answer.
fn answered(answer: io::Result<Reply>, good: impl FnOnce(&str) -> Exit) -> Exit {
    match answer {
        Ok(Reply { verdict, text }) => match verdict {
            Verdict::Ok => good(&text),
            Verdict::Degraded => {
                good(&text);
                Exit::Degraded
            }
            Verdict::Refused => fail(Exit::Refused, text.trim_end()),
            Verdict::Silent => fail(Exit::Silent, text.trim_end()),
        },
        Err(error) => fail(Exit::of(&error), &error.to_string()),
    }
}

/// A reader that has seen enough, such as `head`, is no failure of the command.
fn show(text: &str) -> Exit {
    let _ = io::stdout().write_all(plain_lines(text).as_bytes());
    Exit::Done
}
