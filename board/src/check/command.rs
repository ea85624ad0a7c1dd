//! Whether a program of the integrator's own ends with status 0: for all that no other check knows.

use std::io;
use std::path::Path;

use super::Check;
use crate::child::Program;
use crate::child::privileges::Privileges;
use crate::need::Need;
use crate::patience::Patience;
use crate::table::Table;

/// `kind = "command"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    command: Vec<String>,
    privileges: Privileges,
}

impl Config {
    /// Reads the words of a command.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let command: Vec<String> = table.need("command")?;
        if command.first().is_some_and(|program| Path::new(program).is_absolute()) {
            return Some(Self { command, privileges: Privileges::read(table) });
        }
        table.complain("command", "does not begin with the full path of a program");
        None
    }

    /// What must be there: the program.
    pub fn needs(&self) -> Vec<Need> {
        self.command.first().map(Need::from_program).into_iter().collect()
    }

    /// The check; nothing is run yet.
    pub fn open(&self) -> Command {
        Command(self.clone())
    }
}

/// A program that is run for its status.
pub struct Command(Config);

impl Check for Command {
    fn ask(&mut self, patience: &Patience) -> io::Result<()> {
        let Config { command, privileges } = self.0.clone();
        let program = Program { command, privileges, ..Program::default() };
        let finished = program.run(patience)?;
        if finished.end.success() {
            return Ok(());
        }
        let said = finished.errors.lines().next_back().unwrap_or("it said no reason");
        Err(io::Error::other(format!("{} {}: {said}", program.command.join(" "), finished.end)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_status_is_the_answer() {
        let ask = |word: &str| {
            let command = ["/bin/sh", "-c", word].map(str::to_owned).to_vec();
            let config = Config { command, privileges: Privileges::default() };
            config.open().ask(&Patience::new(Duration::from_secs(60)))
        };
        ask("exit 0").unwrap();
        let error = ask("echo behind by 7 >&2; exit 1").unwrap_err();
        assert!(error.to_string().contains("behind by 7"), "{error}");
    }
}
