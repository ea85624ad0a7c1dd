//! Fencing by a program of the integrator's own: `PROGRAM off`, `PROGRAM on`, `PROGRAM status`.
//!
//! The program ends with 0 when the order was taken; `status` prints `on` or `off`. It is run in a process group of
//! its own with a clean environment, and killed when its time is over. This file is also the model for a new device:
//! all that the rest of the house needs to know of one is here.

use std::io;

use super::{Fence, Power};
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

    /// The device; nothing is run yet.
    pub fn open(&self) -> CommandDevice {
        CommandDevice(self.clone())
    }
}

/// A program that holds the power of a box.
pub struct CommandDevice(Config);

impl CommandDevice {
    /// Runs the program with one more word, and returns what it printed.
    fn run(&self, word: &str, patience: &Deadline) -> io::Result<String> {
        let Config { command, privileges } = &self.0;
        Program { privileges: *privileges, ..command.program(&[word]) }.succeed(patience)
    }
}

impl Fence for CommandDevice {
    fn set_power(&mut self, power: Power, patience: &Deadline) -> io::Result<()> {
        self.run(&power.to_string(), patience).map(drop)
    }

    fn power(&mut self, patience: &Deadline) -> io::Result<Power> {
        let answer = self.run("status", patience)?;
        match answer.trim() {
            "off" => Ok(Power::Off),
            "on" => Ok(Power::On),
            other => Err(io::Error::other(format!("status printed neither on nor off: {other:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_that_is_neither_on_nor_off_is_an_error() {
        let command = Own::new(vec!["/bin/echo".to_owned()]).unwrap();
        let mut echo = Config { command, privileges: Privileges::default() }.open();
        let error = echo.power(&Deadline::new(Duration::from_secs(60))).unwrap_err();
        assert!(error.to_string().contains("\"status\""), "{error}");
    }
}
