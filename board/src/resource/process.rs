//! A service of the appliance: a program in the foreground, started, watched and stopped as a direct child.
//!
//! It is ready when it says so ([`Ready`]), dead in the moment it dies ([`Process::alarm`]), and gone when its whole
//! process group is gone. Whether it is started again is not decided here.
//!
//! It lives on when the supervisor dies, and the next life watches it on if it is still to be run the same way
//! ([`Process::adopt`]). It is found by a mark in the environment (`process/remains.rs`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Resource as Limited;
use rustix::process::Signal;

use super::Resource;
use crate::child::account::Account;
use crate::child::output::Output;
use crate::child::own::Own;
use crate::child::privileges::Privileges;
use crate::child::{Child, Program, signals};
use crate::need::Need;
use crate::patience::Patience;
use crate::table::{Map, Table};

mod mark;
mod notify;
mod ready;
mod remains;
mod words;

use mark::Mark;
pub use ready::Ready;
use words::{Amount, Mask};

/// `kind = "process"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    command: Own,
    ready: Ready,
    user: Option<String>,
    groups: Option<Vec<String>>,
    environment: Vec<(String, String)>,
    directory: Option<PathBuf>,
    limits: Vec<(Limited, Option<u64>)>,
    umask: Option<u32>,
    privileges: Privileges,
    stop_signal: Signal,
    /// How long it may take to end by `stop_signal`.
    pub kill_after: Duration,
}

impl Config {
    /// Reads the words of a process.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let command: Option<Own> = table.need("command");
        let ready = table.or("ready", Ready::Running);
        let user = table.take("user");
        let groups = table.take("groups");
        let environment = read_environment(table);
        let directory = table.take("directory");
        let limits = read_limits(table);
        let umask = table.take("umask").map(|Mask(mask)| mask);
        let privileges = Privileges::read_all(table);
        let stop_signal = table.choose("stop_signal", &signals::NAMES).unwrap_or(Signal::TERM);
        let kill_after = table.or("kill_after", Duration::from_secs(5));
        Some(Self {
            command: command?,
            ready,
            user,
            groups,
            environment,
            directory,
            limits,
            umask,
            privileges,
            stop_signal,
            kill_after,
        })
    }

    /// The program without its path, which a process is called if it is given no name.
    pub fn program(&self) -> &str {
        let path = self.command.path();
        path.rsplit('/').next().unwrap_or(path)
    }

    /// What must be there: the program, the account, and the folder that it runs in.
    pub fn needs(&self) -> Vec<Need> {
        let mut needs = self.command.needs();
        if self.user.is_some() || self.groups.is_some() {
            needs.push(Need::Account(self.user.clone(), self.groups.clone()));
        }
        needs.extend(self.directory.clone().map(Need::Folder));
        needs
    }

    /// The process called `name`; nothing is started.
    pub fn open(&self, name: &str) -> Process {
        Process {
            config: self.clone(),
            name: name.to_owned(),
            child: None,
            swept: false,
            told: false,
        }
    }
}

fn read_environment(table: &mut Table<'_>) -> Vec<(String, String)> {
    let Map::<String>(words) = table.or("environment", Map(Vec::new()));
    for (name, value) in &words {
        // What cannot be passed on (environ(7)) would make the start fail.
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            table.complain(
                "environment",
                format!("{name:?} is no name of a variable, or its value no text"),
            );
        }
    }
    words
}

fn read_limits(table: &mut Table<'_>) -> Vec<(Limited, Option<u64>)> {
    let said: Map<Amount> = table.or("limits", Map(Vec::new()));
    let mut limits = Vec::new();
    for (name, Amount(most)) in said.0 {
        if let Some((_, limited)) = LIMITS.iter().find(|(known, _)| *known == name) {
            limits.push((*limited, most));
        } else {
            let known: Vec<_> = LIMITS.iter().map(|(known, _)| *known).collect();
            table.complain("limits", format!("{name} is none of {}", known.join(", ")));
        }
    }
    limits
}

/// A service that runs as our child. Its thread must live as long as it is to run: see [`crate::child`].
pub struct Process {
    config: Config,
    name: String,
    child: Option<Child>,
    /// Whether the remains of an earlier life of the supervisor were looked for.
    swept: bool,
    /// Whether `monitor` has told that the child is dead.
    told: bool,
}

impl Resource for Process {
    fn start(&mut self, patience: &Patience) -> io::Result<()> {
        if self.child.as_ref().is_some_and(|child| child.end().is_none()) {
            return Ok(());
        }
        self.clear()?;
        self.told = false;
        let Output { writer, inode } = Output::new(&self.name)?;
        let mut program = self.program()?;
        program.environment.extend(self.mark(inode).words());
        let witness = self.config.ready.prepare(&mut program)?;
        let child = program.spawn(Stdio::from(writer.try_clone()?), Stdio::from(writer))?;
        let ready = witness.wait(&child, &program, patience);
        self.child = Some(child);
        ready.map_err(|error| match self.clear() {
            Ok(()) => error,
            Err(left) => io::Error::new(error.kind(), format!("{error}; {left}")),
        })
    }

    fn adopt(&mut self) -> io::Result<bool> {
        let Some((entry, mark)) = remains::leader(&self.name) else { return Ok(false) };
        if mark != self.mark(mark.output) {
            let name = &self.name;
            log::info!("{name}: {entry} was started in another way than the configuration says");
            return Ok(false);
        }
        self.child = Some(Child::found(&entry)?);
        if let Err(error) = Output::read_on(mark.output, entry.group, &self.name) {
            log::warn!("{}: what {entry} says is not logged: {error}", self.name);
        }
        Ok(true)
    }

    fn stop(&mut self, patience: &Patience) -> io::Result<()> {
        if self.child.is_none() && !self.swept {
            // One that an earlier life has started may end in order too.
            self.child = remains::leader(&self.name).and_then(|(it, _)| Child::found(&it).ok());
        }
        if let Some(child) = &mut self.child {
            child.stop(self.config.stop_signal, self.config.kill_after, patience)?;
        }
        self.clear()
    }

    fn monitor(&mut self) -> io::Result<()> {
        let program = self.config.program();
        let child = self
            .child
            .as_ref()
            .ok_or_else(|| io::Error::other(format!("{program} does not run")))?;
        let Some(end) = child.end() else { return Ok(()) };
        self.told = true;
        Err(io::Error::other(format!("{program} {end}")))
    }

    /// The pidfd, until [`Process::monitor`] has told the death.
    fn alarm(&self) -> Option<BorrowedFd<'_>> {
        self.child.as_ref().filter(|_| !self.told).map(AsFd::as_fd)
    }
}

impl Process {
    /// Kills what is there of this life and of earlier ones.
    fn clear(&mut self) -> io::Result<()> {
        let had_child = self.child.is_some();
        if let Some(child) = &mut self.child {
            child.kill()?;
        }
        self.child = None;
        if had_child || !self.swept {
            remains::clear(&self.name)?;
            self.swept = true;
        }
        Ok(())
    }

    fn program(&self) -> io::Result<Program> {
        let Config { user, groups, .. } = &self.config;
        let account = if user.is_some() || groups.is_some() {
            Some(Account::find(user.as_deref(), groups.as_deref())?)
        } else {
            None
        };
        Ok(Program {
            command: self.config.command.words().to_vec(),
            environment: self.config.environment.clone(),
            directory: self.config.directory.clone(),
            account,
            limits: self.config.limits.clone(),
            umask: self.config.umask,
            privileges: self.config.privileges,
            input: None,
            outlives: true,
        })
    }

    /// What its child carries that writes to the pipe `output`.
    fn mark(&self, output: u64) -> Mark {
        let Config { command, environment, directory, .. } = &self.config;
        let Config { user, groups, limits, umask, privileges, .. } = &self.config;
        let word = |limited| LIMITS.iter().find(|(_, it)| *it == limited).map(|(word, _)| *word);
        let limits: Vec<_> = limits.iter().map(|(it, most)| (word(*it), most)).collect();
        let rights = privileges.numbers();
        let way = (command.words(), environment, directory, user, groups, limits, umask, rights);
        // Texts and numbers alone, so that the same stands in it after an upgrade.
        Mark::new(&self.name, &format!("{way:?}"), output)
    }
}

/// What can be limited, in the words of a person who has not read `setrlimit(2)`.
const LIMITS: [(&str, Limited); 8] = [
    ("open_files", Limited::Nofile),
    ("processes", Limited::Nproc),
    ("memory", Limited::As),
    ("locked_memory", Limited::Memlock),
    ("stack", Limited::Stack),
    ("core", Limited::Core),
    ("file_size", Limited::Fsize),
    ("realtime_priority", Limited::Rtprio),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Source;

    /// Or else a next version would take what this one has started for something else, and start it again.
    #[test]
    fn the_mark_of_one_configuration_is_always_the_same() {
        let print = |words: &str| {
            let text = format!("command = [\"/x\", \"-y\"]\n{words}");
            let source = Source::new(&text);
            let config = Config::read(&mut source.parse()).unwrap();
            config.open("x").mark(1).print
        };
        let all = "user = \"7\"\ngroups = [\"8\"]\ndirectory = \"/tmp\"\numask = \"027\"\n\
                   environment = { A = \"b\" }\nlimits = { open_files = 9, core = \"unlimited\" }\n\
                   capabilities = [\"net_bind_service\"]\nnew_privileges = true\n";
        assert_eq!([print(""), print(all)], ["ec7d4159", "32492882"]);
        for line in all.lines() {
            assert_ne!(print(line), print(""), "{line}");
        }
    }
}
