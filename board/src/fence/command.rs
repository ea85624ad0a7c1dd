//! Fencing by a program of the integrator's own: `PROGRAM off`, `PROGRAM on`, `PROGRAM status`.
//!
//! The program ends with 0 when the order was taken; `status` prints `on` or `off`. It is run in a process group of
//! its own with a clean environment, and killed when its time is over. This file is also the model for a new device:
//! all that the rest of the house needs to know of one is here.

use std::io;

use super::{Fence, Power};
use crate::child::own::Own;
use crate::need::Need;
use crate::patience::Patience;
use crate::table::Table;

/// `kind = "command"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    command: Own,
}

impl Config {
    /// Reads the words of a command.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        Some(Self { command: table.need("command")? })
    }

    /// What must be there: the program.
    pub fn needs(&self) -> Vec<Need> {
        self.command.needs()
    }

    /// The device; nothing is run yet.
    pub fn open(&self) -> Command {
        Command { command: self.command.clone() }
    }
}

/// A program that holds the power of a box.
pub struct Command {
    command: Own,
}

impl Fence for Command {
    fn set_power(&mut self, power: Power, patience: &Patience) -> io::Result<()> {
        self.command.program(&[&power.to_string()]).succeed(patience).map(drop)
    }

    fn power(&mut self, patience: &Patience) -> io::Result<Power> {
        let answer = self.command.program(&["status"]).succeed(patience)?;
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
        let mut echo = Command { command: Own::new(vec!["/bin/echo".to_owned()]).unwrap() };
        let error = echo.power(&Patience::new(Duration::from_secs(60))).unwrap_err();
        assert!(error.to_string().contains("\"status\""), "{error}");
    }
}
