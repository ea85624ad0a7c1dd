//! Answers the other box.
//!
//! | question | answer |
//! |---|---|
//! | `check`, and a configuration on the lines below | what runs here, with what, and what it says about that configuration |
//! | `try SECONDS`, and a configuration on the lines below | whether it runs with that now, on trial; refused unless the file of this box lets the other one |
//! | `confirm MARK` | whether it keeps the one that is on trial |
//! | `history COUNT BYTES` | the clocks of this box, and the last records of its history, so many at the most |
//!
//! The first line of an answer is `ok` or `refused`, as at the control socket. All of this takes its time, and is
//! done on a thread of its own.

use std::fmt::Write as _;
use std::time::Duration;

use board::config::requirement::Requirement;
use smol::channel::Sender;

use super::trial;
use crate::config::validation;
use crate::config::{self, Config, Difference};
use crate::control::request::TRIAL_MAX;
use crate::input::Input;
use crate::observe::history;
use crate::process::upgrade::OwnProgram;

/// What a thread needs to know for an answer.
pub(crate) struct Answers {
    pub(super) program: OwnProgram,
    pub(super) inputs: Sender<Input>,
    /// What runs here.
    config: Option<Config>,
}

impl Answers {
    /// The answers of this supervisor, which runs with nothing yet.
    pub(super) const fn new(program: OwnProgram, inputs: Sender<Input>) -> Self {
        Self { program, inputs, config: None }
    }

    /// The answers of the same supervisor, which runs with `config`.
    pub(super) fn with(&self, config: &Config) -> Self {
        let (program, inputs) = (self.program.clone(), self.inputs.clone());
        Self { program, inputs, config: Some(config.clone()) }
    }

    /// Answers `question`.
    pub(super) fn answer(&self, question: &str) -> String {
        let (line, body) = question.split_once('\n').unwrap_or((question, ""));
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["check"] => self.check(body),
            ["history", count, bytes] => match (count.parse(), bytes.parse()) {
                (Ok(count), Ok(bytes)) => self.history(count, bytes),
                _ => Err("history wants two numbers".to_owned()),
            },
            ["try", seconds] => match seconds.parse() {
                Ok(seconds) => self.try_for_peer(Duration::from_secs(seconds).min(TRIAL_MAX), body),
                Err(_) => Err("try wants a number of seconds".to_owned()),
            },
            ["confirm", mark] => trial::keep(&self.program, self.running(), &self.inputs, mark),
            _ => Err(format!("twobox {} knows no answer to {line:?}", env!("CARGO_PKG_VERSION"))),
        }
        .map_or_else(|why| format!("refused\n{}\n", why.trim_end()), |text| format!("ok\n{text}"))
    }

    /// How this box is called and what runs there, in one line.
    pub(super) fn program(&self) -> String {
        let (name, mark) = (&self.program.name, config::mark(self.running()));
        format!("{name} runs twobox {} with configuration {mark}\n", env!("CARGO_PKG_VERSION"))
    }

    /// The configuration that runs here.
    pub(super) const fn own(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// The text of the configuration that runs here.
    pub(super) fn running(&self) -> &str {
        self.config.as_ref().map_or("", |config| &config.text)
    }

    /// What that takes.
    pub(super) fn needs(&self) -> Vec<Requirement> {
        self.config.as_ref().map(validation::needs).unwrap_or_default()
    }

    /// What runs here.
    pub(super) const fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// This supervisor.
    pub(super) const fn supervisor(&self) -> &OwnProgram {
        &self.program
    }

    fn check(&self, text: &str) -> Result<String, String> {
        let Some(own) = self.own() else { return Err("it does not run yet".to_owned()) };
        let (mut said, name) = (self.program(), &self.program.name);
        let wrong = |wrong| format!("{name} cannot run with the file of the other box:\n{wrong}");
        let config = validation::read_of_peer(text, own, name, &self.needs())
            .map_err(|error| said.clone() + &wrong(error.to_string()))?;
        let difference = Difference::between(own, &config);
        let other = if difference.is_empty() {
            "runs with the same configuration\n"
        } else {
            "can run with the file of the other box, in which it would find changed:\n"
        };
        let _ = write!(said, "{name} {other}");
        for line in difference.to_string().lines() {
            let _ = writeln!(said, "  {line}");
        }
        Ok(said)
    }

    fn history(&self, count: usize, bytes: usize) -> Result<String, String> {
        let own = self.config.as_ref().ok_or("there is no history yet")?;
        let now = history::Anchor::now();
        let lines =
            history::last(&own.history.file, count, bytes).map_err(|error| error.to_string())?;
        Ok(format!("{now}{lines}"))
    }
}
