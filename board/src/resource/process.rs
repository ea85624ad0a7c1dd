//! A service of the appliance: a program in the foreground, started, watched and stopped as a direct child.
//!
//! It is ready when it says so ([`ReadySignal`]), dead in the moment it dies ([`Process::alarm`]), and gone when
//! all that it has started is gone. Whether it is started again is not decided here.
//!
//! What belongs to it is known by what a user cannot forge and the service cannot wipe (`process/members.rs`), and
//! noted beside the lease (`process/note.rs`): it lives on when the supervisor dies, and the next life watches it
//! on if it is still to be run the same way ([`Process::adopt`]). What cannot be looked into is unknown, and
//! unknown is an error, never *stopped*.
//!
//! How it ends when it is told to is its own word about its stop (`Config::answered`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Resource as Limited;
use rustix::process::{Signal, geteuid};

use super::Resource;
use crate::config::requirement::{Requirement, Right};
use crate::config::table::{Map, Never, Table};
use crate::process::account::Account;
use crate::process::child::{ExitReason, Program};
use crate::process::command_line::Own;
use crate::process::output::Output;
use crate::process::privileges::Privileges;
use crate::process::signals;
use crate::thread::deadline::{CancelToken, Deadline};

mod config;
mod members;
mod note;
mod notify;
mod ready;
mod service;
mod tag;

use config::{Amount, Mask};
use members::Owner;
pub use ready::ReadySignal;
use service::Service;
use tag::Tag;

/// `kind = "process"`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    command: Own,
    ready: ReadySignal,
    user: Option<String>,
    groups: Option<Vec<String>>,
    environment: Vec<(String, String)>,
    directory: Option<PathBuf>,
    limits: Vec<(Limited, Option<u64>)>,
    umask: Option<u32>,
    privileges: Privileges,
    stop_signal: Signal,
    /// With what else than 0 it ends when all is well.
    stop_exit: Vec<u8>,
    /// How long it may take to end by `stop_signal`; as long as the stop may take, if it is never to be killed.
    pub kill_after: Option<Duration>,
}

impl Config {
    /// Reads the words of a process.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let command: Option<Own> = table.require("command");
        let ready = table.get_or("ready", ReadySignal::Running);
        let user = table.take("user");
        let groups = table.take("groups");
        let environment = read_environment(table);
        let directory = table.take("directory");
        let limits = read_limits(table);
        let umask = table.take("umask").map(|Mask(mask)| mask);
        let privileges = Privileges::read_all(table);
        let stop_signal = table.choose("stop_signal", &signals::NAMES).unwrap_or(Signal::TERM);
        let stop_exit = table.get_or("stop_exit", Vec::new());
        let Never(kill_after) = table.get_or("kill_after", Never(Some(KILL_AFTER)));
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
            stop_exit,
            kill_after,
        })
    }

    /// The program without its path, which a process is called if it is given no name.
    pub fn program(&self) -> &str {
        let path = self.command.path();
        path.rsplit('/').next().unwrap_or(path)
    }

    /// What must be there: the programs, the account, the folder that it runs in, and the rights to make it what it is.
    pub fn needs(&self) -> Vec<Requirement> {
        let need = |program: &Own| program.needs_as(self.user.as_deref());
        let mut needs = vec![need(&self.command)];
        needs.extend(
            self.ready.command().map(|program| Requirement::Later(Box::new(need(program)))),
        );
        if self.changes_account() {
            needs.push(Requirement::Account(self.user.clone(), self.groups.clone()));
            needs.extend([Right::Users, Right::Signals].map(Requirement::Right));
        }
        if self.privileges.numbers().1.is_some() {
            needs.push(Requirement::Right(Right::Bounds));
        }
        needs.extend(self.directory.clone().map(Requirement::Folder));
        needs
    }

    /// What it can do without, and is better for.
    pub fn wishes(&self) -> Vec<Requirement> {
        let rights = [Right::Looks, Right::Outputs].into_iter().filter(|_| self.changes_account());
        rights.map(Requirement::Right).chain([Requirement::Members]).collect()
    }

    const fn changes_account(&self) -> bool {
        self.user.is_some() || self.groups.is_some()
    }

    /// The process called `name`, which is noted in the folder `notes`; nothing is started.
    pub fn open(&self, name: &str, notes: &Path) -> Process {
        Process {
            config: self.clone(),
            name: name.to_owned(),
            note: note::path(notes, name),
            service: None,
            stage: ServiceStage::Unasked,
            told: false,
            looks: 0,
        }
    }
}

fn read_environment(table: &mut Table<'_>) -> Vec<(String, String)> {
    let Map::<String>(words) = table.get_or("environment", Map(Vec::new()));
    for (name, value) in &words {
        // What cannot be passed on (environ(7)) would make the start fail.
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            table.error(
                "environment",
                format!("{name:?} is no name of a variable, or its value no text"),
            );
        }
    }
    words
}

fn read_limits(table: &mut Table<'_>) -> Vec<(Limited, Option<u64>)> {
    let said: Map<Amount> = table.get_or("limits", Map(Vec::new()));
    let mut limits = Vec::new();
    for (name, Amount(most)) in said.0 {
        if let Some((_, limited)) = LIMITS.iter().find(|(known, _)| *known == name) {
            limits.push((*limited, most));
        } else {
            let known: Vec<_> = LIMITS.iter().map(|(known, _)| *known).collect();
            table.error("limits", format!("{name} is none of {}", known.join(", ")));
        }
    }
    limits
}

/// A service that runs as our child. Its thread must live as long as it is to run: see [`crate::process::child`].
pub struct Process {
    config: Config,
    name: String,
    /// Where it is noted.
    note: PathBuf,
    /// What was started, in this life or an earlier one, until nothing of it is left.
    service: Option<Service>,
    stage: ServiceStage,
    /// Whether `monitor` has told that the child is dead.
    told: bool,
    /// How often it was looked at since the start.
    looks: u32,
}

/// How far this life has come with a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ServiceStage {
    /// It has not asked what an earlier life has left.
    Unasked,
    /// What runs of it, if anything, is what an earlier life has left.
    Left,
    /// It was started, and has not been ready.
    Starting,
    /// It was ready, or was adopted.
    ReadySignal,
}

impl ServiceStage {
    const fn is_watched(self) -> bool {
        matches!(self, Self::Starting | Self::ReadySignal)
    }
}

impl Resource for Process {
    fn start(&mut self, patience: &Deadline) -> io::Result<()> {
        if self.stage.is_watched() && self.service.as_ref().is_some_and(Service::lives) {
            return Ok(());
        }
        // What an earlier life has left and was not adopted, or what a dead one has.
        self.stop(patience)?;
        (self.stage, self.told, self.looks) = (ServiceStage::Starting, false, 0);
        let program = self.program()?;
        let output = Output::new(program.account.as_ref(), &self.name)?;
        let mark = self.mark(output.inode);
        let notify = if self.config.ready == ReadySignal::Notify {
            Some((notify::NotifySocket::new()?, CancelToken::new()?))
        } else {
            None
        };
        let witness = self.config.ready.prepare(notify.as_ref().map(|(_, token)| token.clone()))?;
        let mut marked = program.clone();
        marked.environment.extend(mark.words());
        let address = notify.as_ref().map(|(socket, _)| socket.address());
        marked.environment.extend(address.map(|it| ("NOTIFY_SOCKET".to_owned(), it)));
        let started = Service::start(&marked, output, &mark, notify, self.owner())?;
        let service = self.service.insert(started);
        let Some(child) = &service.child else { return Err(io::ErrorKind::NotFound.into()) };
        let waited = witness.wait(child, &program, patience);
        if waited.is_ok() {
            self.stage = ServiceStage::ReadySignal;
        }
        waited.map_err(|error| {
            let time = self.config.kill_after.unwrap_or(KILL_AFTER);
            match self.stop(&Deadline::new(time)) {
                Ok(()) => error,
                Err(left) => io::Error::new(error.kind(), format!("{error}; {left}")),
            }
        })
    }

    fn adopt(&mut self) -> io::Result<bool> {
        self.recall()?;
        let print = self.mark(0).print;
        let Some(service) = self.service.as_mut().filter(|it| it.lives()) else { return Ok(false) };
        if service.note.print != print {
            let name = &self.name;
            log::info!("{name}: it was started in another way than the configuration says");
            return Ok(false);
        }
        service.hear_again();
        service.look();
        self.stage = ServiceStage::ReadySignal;
        Ok(true)
    }

    fn stop(&mut self, patience: &Deadline) -> io::Result<()> {
        self.recall()?;
        let Some(service) = &mut self.service else { return Ok(()) };
        if service.note.failure.is_some() {
            if let Some((reason, note)) = service.failure() {
                let note = note.display();
                return Err(io::Error::other(format!(
                    "{reason}; reset this box, or see that nothing of it is left here and remove {note}"
                )));
            }
            self.service = None;
            return Ok(());
        }
        let Config { stop_signal, kill_after, .. } = self.config;
        if let Some(end) = service.end(stop_signal, kill_after, patience)? {
            // Before it is ready its status is about the start that was called off: slapd says 1 then.
            let counts = self.stage != ServiceStage::Starting || kill_after.is_none();
            service.complaint = self.config.answered(end).err().filter(|_| counts);
        }
        service.kill(patience)?;
        if let Some(reason) = service.complaint.take() {
            service.fail(&reason);
            return Err(io::Error::other(reason));
        }
        service.forget();
        self.service = None;
        Ok(())
    }

    fn monitor(&mut self) -> io::Result<()> {
        let program = self.config.program();
        self.looks = self.looks.saturating_add(1);
        let child = self.service.as_ref().and_then(|it| it.child.as_ref());
        let child = child.ok_or_else(|| io::Error::other(format!("{program} does not run")))?;
        if let Some(end) = child.end() {
            self.told = true;
            return Err(io::Error::other(format!("{program} {end}")));
        }
        self.service.iter_mut().for_each(Service::look);
        Ok(())
    }

    /// Often in the beginning, where nothing but looks tells who belongs to it: daemons leave their parents when
    /// they start.
    fn rhythm(&self) -> Duration {
        if self.service.as_ref().is_some_and(Service::wants_looks) {
            let soon = FIRST_LOOK.saturating_mul(1 << self.looks.min(10));
            return soon.min(LOOK);
        }
        LOOK
    }

    /// The pidfd, until [`Process::monitor`] has told the death.
    fn alarm(&self) -> Option<BorrowedFd<'_>> {
        let child = self.service.as_ref().and_then(|it| it.child.as_ref());
        child.filter(|_| !self.told).map(AsFd::as_fd)
    }
}

impl Config {
    /// Whether a leader that ends in this way when it is told to has stopped well; else why not.
    ///
    /// Its status is its own word, and all that tells of what is not a process: a script whose `umount` has failed
    /// says 1. By a signal it says nothing. What counts then is that none of its processes is left, unless it is
    /// never to be killed: then only its word does.
    fn answered(&self, end: ExitReason) -> Result<(), String> {
        let number = self.stop_signal.as_raw();
        let well = match end {
            ExitReason::Exited(status) => {
                status == 0
                    || status == 128 + number
                    || self.stop_exit.iter().any(|it| i32::from(*it) == status)
            }
            ExitReason::Killed(signal) => signal == number || self.kill_after.is_some(),
            ExitReason::Unknown => self.kill_after.is_some(),
        };
        let told = format!(
            "{} {end} when {} told it to end",
            self.program(),
            signals::name(self.stop_signal)
        );
        match end {
            ExitReason::Killed(other) if well && other != number => log::warn!("{told}"),
            _ if well => {}
            ExitReason::Exited(status) => {
                return Err(format!(
                    "{told}: it may hold something still; if it always ends so, say stop_exit = [{status}]"
                ));
            }
            _ => return Err(format!("{told}: it may hold something still")),
        }
        Ok(())
    }
}

impl Process {
    /// Finds out what an earlier life has left, once.
    fn recall(&mut self) -> io::Result<()> {
        if self.stage == ServiceStage::Unasked {
            self.service = Service::recall(self.owner())?;
            self.stage = ServiceStage::Left;
        }
        Ok(())
    }

    /// Whose processes it knows. A user who is not known any more owns none: the others are stopped all the same.
    fn owner(&self) -> Owner {
        let account = self.account().ok();
        let user = account.map(|account| account.map_or_else(geteuid, |it| it.uid()));
        Owner { name: self.name.clone(), user, note: self.note.clone() }
    }

    fn account(&self) -> io::Result<Option<Account>> {
        let Config { user, groups, .. } = &self.config;
        if !self.config.changes_account() {
            return Ok(None);
        }
        Account::find(user.as_deref(), groups.as_deref()).map(Some)
    }

    fn program(&self) -> io::Result<Program> {
        Ok(Program {
            command: self.config.command.words().to_vec(),
            environment: self.config.environment.clone(),
            directory: self.config.directory.clone(),
            account: self.account()?,
            limits: self.config.limits.clone(),
            umask: self.config.umask,
            privileges: self.config.privileges,
            input: None,
            outlives: true,
        })
    }

    /// What its child carries that writes to the pipe `output`.
    fn mark(&self, output: u64) -> Tag {
        let Config { command, environment, directory, .. } = &self.config;
        let Config { user, groups, limits, umask, privileges, .. } = &self.config;
        let word = |limited| LIMITS.iter().find(|(_, it)| *it == limited).map(|(word, _)| *word);
        let limits: Vec<_> = limits.iter().map(|(it, most)| (word(*it), most)).collect();
        let rights = privileges.numbers();
        let way = (command.words(), environment, directory, user, groups, limits, umask, rights);
        // Texts and numbers alone, so that the same stands in it after an upgrade.
        Tag::new(&self.name, &format!("{way:?}"), output)
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

/// How long a service may take to end.
const KILL_AFTER: Duration = Duration::from_secs(5);

/// Between two looks at one that runs.
const LOOK: Duration = Duration::from_secs(10);
const FIRST_LOOK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::Source;

    /// Of nginx, slapd, redis, `PostgreSQL`, dhcpd, named, dnsmasq and apache2 each answers with 0, the signal or
    /// 128 + 15.
    #[test]
    fn a_status_is_the_word_of_the_service_about_its_stop() {
        let config = |words: &str| {
            let text = format!("command = [\"/x\"]\n{words}");
            Config::read(&mut Source::new(&text).parse()).unwrap()
        };
        let (usual, strict) = (config("stop_exit = [1]"), config("kill_after = \"never\""));
        let both = [ExitReason::Exited(0), ExitReason::Exited(143), ExitReason::Killed(15)];
        assert!(
            both.iter().all(|end| usual.answered(*end).is_ok() && strict.answered(*end).is_ok())
        );
        for end in [
            ExitReason::Exited(1),
            ExitReason::Killed(9),
            ExitReason::Killed(11),
            ExitReason::Unknown,
        ] {
            assert!(usual.answered(end).is_ok(), "{end}");
            assert!(strict.answered(end).is_err(), "{end}");
        }
        for status in [2, 32, 130, 255] {
            let error = usual.answered(ExitReason::Exited(status)).unwrap_err();
            assert!(error.contains(&format!("say stop_exit = [{status}]")), "{error}");
        }
        let quits = config("stop_signal = \"QUIT\"");
        assert!(
            quits.answered(ExitReason::Exited(131)).is_ok()
                && quits.answered(ExitReason::Exited(143)).is_err()
        );
    }

    /// Or else a next version would take what this one has started for something else, and start it again.
    #[test]
    fn the_mark_of_one_configuration_is_always_the_same() {
        let print = |words: &str| {
            let text = format!("command = [\"/x\", \"-y\"]\n{words}");
            let source = Source::new(&text);
            let config = Config::read(&mut source.parse()).unwrap();
            config.open("x", "/nowhere".as_ref()).mark(1).print
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
