//! Fencing by a program of the fence-agents collection, of which there is one for nearly every power switch and BMC.
//!
//! What it is to do is told to it on its standard input, a line `name=value` for each word, so that no secret stands on
//! a command line (`FenceAgentAPI.md` of ClusterLabs/fence-agents). It ends with 0 when the order was carried out.
//! Asked for the `status` it ends with 0 for on and with 2 for off; and since a shell or an interpreter ends with 2 as
//! well when it cannot run it, *off* is believed only if it has said the word, as those agents do.

use std::io;
use std::path::PathBuf;

use super::{Fence, Power};
use crate::config::requirement::Requirement;
use crate::config::secret::Secret;
use crate::config::table::{Map, Table};
use crate::process::child::{ExitReason, Program};
use crate::process::privileges::Privileges;
use crate::thread::deadline::Deadline;

/// `kind = "agent"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    program: PathBuf,
    options: Vec<(String, String)>,
    password_file: Option<PathBuf>,
    privileges: Privileges,
}

impl Config {
    /// Reads the words of an agent.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let program = table.require("program");
        let Map::<String>(options) = table.get_or("options", Map::default());
        let password_file = table.take("password_file");
        for (name, value) in &options {
            if name.contains(['=', '\n']) || value.contains('\n') || name == "action" {
                table.error("options", format!("{name} cannot be said to an agent"));
            }
            if name.contains("passw") && !name.ends_with("_script") {
                table.error(
                    "options",
                    format!(
                        "{name} does not belong here: put it into a file, and say password_file"
                    ),
                );
            }
        }
        let privileges = Privileges::read(table);
        Some(Self { program: program?, options, password_file, privileges })
    }

    /// What must be there: the program, and its password.
    pub fn needs(&self) -> Vec<Requirement> {
        let secret = self.password_file.clone().map(Requirement::Secret);
        std::iter::once(Requirement::from_program(&self.program)).chain(secret).collect()
    }

    /// The device; nothing is run yet.
    pub fn open(&self) -> Agent {
        Agent(self.clone())
    }
}

/// An agent that holds the power of a box.
pub struct Agent(Config);

impl Agent {
    /// Runs the agent with `action`, and tells how it ended and what it said.
    fn run(&self, action: &str, patience: &Deadline) -> io::Result<AgentOutput> {
        let Config { program, options, password_file, privileges } = &self.0;
        let password = password_file.as_deref().map(Secret::read_line).transpose()?;
        let words = [("action", action)]
            .into_iter()
            .chain(options.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .chain(password.iter().map(|password| ("password", password.expose())));
        let input = Some(Secret::of_lines(words));
        let command = vec![program.display().to_string()];
        let finished = Program { command, input, privileges: *privileges, ..Program::default() }
            .run(patience)?;
        // What an agent repeats of its input is not ours to tell.
        let hide = |text: String| match &password {
            Some(password) if !password.expose().is_empty() => {
                text.replace(password.expose(), "(secret)")
            }
            _ => text,
        };
        let reason = hide(finished.reason());
        Ok(AgentOutput { end: finished.end, output: hide(finished.output), reason })
    }

    fn failed(&self, action: &str, said: &AgentOutput) -> io::Error {
        let program = self.0.program.display();
        io::Error::other(format!("{program} action={action} {}: {}", said.end, said.reason))
    }
}

/// What an agent has said.
struct AgentOutput {
    end: ExitReason,
    output: String,
    reason: String,
}

impl Fence for Agent {
    fn set_power(&mut self, power: Power, patience: &Deadline) -> io::Result<()> {
        let action = power.to_string();
        let said = self.run(&action, patience)?;
        if said.end.success() { Ok(()) } else { Err(self.failed(&action, &said)) }
    }

    fn power(&mut self, patience: &Deadline) -> io::Result<Power> {
        let said = self.run("status", patience)?;
        let off = said.output.split(|c: char| !c.is_alphanumeric());
        let off = off.into_iter().any(|word| word.eq_ignore_ascii_case("off"));
        match said.end {
            ExitReason::Exited(0) => Ok(Power::On),
            ExitReason::Exited(2) if off => Ok(Power::Off),
            _ => Err(self.failed("status", &said)),
        }
    }
}
