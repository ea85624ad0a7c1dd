//! Asks a person to type a name before something dangerous is done.

use std::io::{self, BufRead, Write};

use rustix::termios::isatty;

/// The name that a person types when `asked`; `None` where there is no terminal, or nothing is typed.
pub(super) fn typed(asked: &str) -> Option<String> {
    if !isatty(io::stdin()) {
        return None;
    }
    let mut terminal = io::stderr();
    let _ = write!(terminal, "{asked}: ").and_then(|()| terminal.flush());
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).ok()?;
    let name = line.trim();
    (!name.is_empty()).then(|| name.to_owned())
}
