//! Reads how the integrator names a program: its full path and its arguments, `command = ["/usr/sbin/x", "-y"]`.

use toml::de::DeValue;

use crate::config::requirement::Requirement;
use crate::config::table::{Source, Value};
use crate::process::child::Program;

/// A program of the integrator's own: its full path, and its arguments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Own(Vec<String>);

impl Own {
    /// The program and its arguments.
    ///
    /// # Errors
    ///
    /// When they do not begin with a full path: nobody knows what `PATH` would lead to after a boot.
    pub fn new(words: Vec<String>) -> Result<Self, String> {
        match words.first() {
            Some(program) if program.starts_with('/') => Ok(Self(words)),
            Some(program) => Err(format!("{program:?} is not a full path")),
            None => {
                Err("is empty: say the program with its full path, and its arguments".to_owned())
            }
        }
    }

    /// The full path of the program.
    pub fn path(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The program and its arguments.
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// What must be there: the program.
    pub fn needs(&self) -> Vec<Requirement> {
        vec![self.needs_as(None)]
    }

    /// The same, where it runs as `user`.
    pub fn needs_as(&self, user: Option<&str>) -> Requirement {
        Requirement::Program(self.path().into(), user.map(str::to_owned))
    }

    /// What is run, with `more` words at the end.
    pub fn program(&self, more: &[&str]) -> Program {
        let more = more.iter().map(|&word| word.to_owned());
        let command = self.0.iter().cloned().chain(more).collect();
        Program { command, ..Program::default() }
    }
}

impl Value for Own {
    const EXAMPLE: &'static str = <Vec<String> as Value>::EXAMPLE;

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        Self::new(Vec::read(value, source)?)
    }
}
