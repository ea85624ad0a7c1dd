//! Whether a program of the integrator's own ends with status 0: for all that no other check knows.

use std::io;

use super::Check;
use crate::config::requirement::Requirement;
use crate::config::table::Table;
use crate::process::child::Program;
use crate::process::command_line::Own;
use crate::process::privileges::Privileges;
use crate::thread::deadline::Deadline;

/// `kind = "command"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    command: Own,
    privileges: Privileges,
}

impl Config {
    /// Reads the words of a command.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let (command, privileges) = (table.require("command"), Privileges::read(table));
        Some(Self { command: command?, privileges })
    }

    /// What must be there: the program.
    pub fn needs(&self) -> Vec<Requirement> {
        self.command.needs()
    }

    /// The check; nothing is run yet.
    pub fn open(&self) -> CommandCheck {
        CommandCheck(self.clone())
    }
}

/// A program that is run for its status.
pub struct CommandCheck(Config);

impl Check for CommandCheck {
    fn ask(&mut self, patience: &Deadline) -> io::Result<()> {
        let Config { command, privileges } = &self.0;
        let program = Program { privileges: *privileges, ..command.program(&[]) };
        program.succeed(patience).map(drop)
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
            let command = Own::new(command).unwrap();
            let config = Config { command, privileges: Privileges::default() };
            config.open().ask(&Deadline::new(Duration::from_secs(60)))
        };
        ask("exit 0").unwrap();
        let error = ask("echo behind by 7 >&2; exit 1").unwrap_err();
        assert!(error.to_string().contains("behind by 7"), "{error}");
    }
}
