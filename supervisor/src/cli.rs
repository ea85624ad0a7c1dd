//! Reads a command line.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use board::config::table::{duration, nearest};
use board::host::plain_text::plain_lines;
use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::config::LEVELS;

mod fence;
mod help;
mod perform;
mod prompt;

pub use help::{COMMANDS, Topic};
pub use perform::perform;

/// What is to be done, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invocation {
    /// The configuration file.
    pub config: PathBuf,
    /// The socket of the supervisor, if it is not the one of the configuration.
    pub socket: Option<PathBuf>,
    /// What is to be done.
    pub command: Command,
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Do this box's part, for ever.
    Run {
        /// The name of this box, if the machine is not to be asked.
        who: Option<String>,
    },
    /// Tell what would keep this box from its part.
    TryRun {
        /// The name of this box, if the machine is not to be asked.
        who: Option<String>,
    },
    /// Tell what is wrong with the configuration, or what it promises.
    Check {
        /// The name of this box, if the machine is not to be asked.
        who: Option<String>,
        /// Whether to look at the interfaces, devices and programs of this machine too.
        here: bool,
        /// Whether to tell what each number is made of.
        all: bool,
    },
    /// Ask the other box, by the supervisor that runs, in its words.
    AskPeer(String),
    /// Show what has happened, as both boxes have seen it.
    HistoryOfBoth {
        /// How many records at the most; as many as the screen has room for, if that is not said.
        count: Option<usize>,
        /// For a program.
        json: bool,
    },
    /// Show what has happened.
    History {
        /// The history of the other box, to be shown together with that of this one.
        with: Option<PathBuf>,
        /// How many records at the most; as many as the screen has room for, if that is not said.
        count: Option<usize>,
        /// For a program.
        json: bool,
    },
    /// Show what is known of a silent peer, and have its name typed.
    Confirm,
    /// Ask the devices that cut the peer's power whether they would.
    TryFence {
        /// The name of this box, if the machine is not to be asked.
        who: Option<String>,
    },
    /// Cut the peer's power.
    Fence {
        /// The peer's name, unless it is to be typed.
        name: Option<String>,
        /// Even if this box takes over thereby.
        yes: bool,
    },
    /// Cut the power of a peer that stands by, and put it on again.
    Drill {
        /// The peer's name, unless it is to be typed.
        name: Option<String>,
    },
    /// Show the fingerprints of the keys in a file.
    Key {
        /// The key file.
        file: PathBuf,
        /// Whether to make it first.
        new: bool,
    },
    /// Ask the supervisor that runs, in its words.
    Ask(String),
    /// Show this text.
    Show(String),
}

/// How a command ends. The numbers are promised to scripts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit {
    /// It was done.
    Done = 0,
    /// It was refused, or the configuration is wrong; the message says why.
    Refused = 1,
    /// The command line was not understood.
    Usage = 2,
    /// The supervisor cannot be reached.
    Unreachable = 3,
    /// The supervisor is there, and this person may not ask it.
    NotPermitted = 4,
    /// The other box was to be asked, and does not answer.
    Silent = 5,
    /// `status` only: the service runs, and one more failure may end it.
    Degraded = 10,
}

impl Exit {
    /// How a command ends that could not ask.
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::NotPermitted,
            _ => Self::Unreachable,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command line was not understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\ntry `twobox --help`", self.0)
    }
}

impl std::error::Error for UsageError {}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self(error.to_string())
    }
}

/// Reads a command line, without the name of the program.
///
/// # Errors
///
/// What was not understood.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let mut said = Arguments::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('c') | Long("config") => said.config = Some(parser.value()?.into()),
            Short('s') | Long("socket") => said.socket = Some(parser.value()?.into()),
            Short('h') | Long("help") => said.help = true,
            Short('V') | Long("version") => said.words = vec!["version".to_owned()],
            Long("box") => said.who = Some(parser.value()?.string()?),
            Long("here") => said.here = true,
            Long("all") => said.all = true,
            Short('n') => said.count = Some(parser.value()?.parse()?),
            Long("with") => said.with = Some(parser.value()?.into()),
            Long("peer") => said.peer = true,
            Long("confirm") => said.confirm = true,
            Long("both") => said.both = true,
            Long("json") => said.json = true,
            Long("metrics") => said.metrics = true,
            Long("dry-run") => said.dry_run = true,
            Long("new") => said.new = true,
            Long("yes") => said.yes = true,
            Long("for") => said.time = Some(parser.value()?.string()?),
            Long("persistent") => said.persistent = true,
            Value(word) => said.words.push(word.string()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let command = said.command()?;
    Ok(Invocation { config: said.config.unwrap_or(CONFIG.into()), socket: said.socket, command })
}

/// The words and options of a command line.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option that was given or was not")]
struct Arguments {
    config: Option<PathBuf>,
    socket: Option<PathBuf>,
    who: Option<String>,
    help: bool,
    here: bool,
    all: bool,
    peer: bool,
    both: bool,
    confirm: bool,
    json: bool,
    metrics: bool,
    dry_run: bool,
    new: bool,
    yes: bool,
    count: Option<usize>,
    with: Option<PathBuf>,
    time: Option<String>,
    persistent: bool,
    words: Vec<String>,
}

impl Arguments {
    fn command(&mut self) -> Result<Command, UsageError> {
        let words = self.words.clone();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["version"] => Ok(Command::Show(help::version())),
            ["help"] => Ok(Command::Show(help::overview())),
            ["help", word] => Ok(Command::Show(topic(word)?.to_string())),
            [] if self.help => Ok(Command::Show(help::overview())),
            [word, ..] if self.help => Ok(Command::Show(topic(word)?.to_string())),
            [] => Err(UsageError("no command".to_owned())),
            [word, rest @ ..] => self.known(topic(word)?, rest),
        }
    }

    fn known(&mut self, topic: &Topic, operands: &[&str]) -> Result<Command, UsageError> {
        let (who, here, all, json) = (self.who.take(), self.here, self.all, self.json);
        let misplaced = [
            ("--box", who.is_some() && !["run", "check", "fence"].contains(&topic.word)),
            ("--metrics", self.metrics && topic.word != "status"),
            ("--dry-run", self.dry_run && !["run", "fence", "reload"].contains(&topic.word)),
            ("--new", self.new && topic.word != "key"),
            ("--yes", self.yes && topic.word != "fence"),
            ("--here", here && topic.word != "check"),
            ("--all", all && !["check", "status", "history"].contains(&topic.word)),
            ("--peer", self.peer && topic.word != "check"),
            ("--both", self.both && !["history", "reload"].contains(&topic.word)),
            ("--confirm", self.confirm && topic.word != "reload"),
            ("--json", json && !["status", "history"].contains(&topic.word)),
            ("-n", self.count.is_some() && topic.word != "history"),
            ("--with", self.with.is_some() && topic.word != "history"),
            (
                "--for",
                self.time.is_some()
                    && !ORDERS.contains(&topic.word)
                    && !(topic.word == "reload" && self.both),
            ),
            ("--persistent", self.persistent && !["standby", "maintenance"].contains(&topic.word)),
        ];
        if let Some((option, _)) = misplaced.iter().find(|(_, misplaced)| *misplaced) {
            return Err(UsageError(format!("{option} is no option of {}", topic.word)));
        }
        match (topic.word, operands) {
            ("run", []) if self.dry_run => Ok(Command::TryRun { who }),
            ("run", []) => Ok(Command::Run { who }),
            ("check", []) if self.peer && !here && !all && who.is_none() => {
                Ok(Command::AskPeer("peer check".to_owned()))
            }
            ("check", _) if self.peer => Err(UsageError(
                "--peer goes with nothing else: \
                it is about the file that the supervisor here runs with"
                    .to_owned(),
            )),
            ("check", []) => Ok(Command::Check { who, here, all }),
            ("check", [file]) => {
                self.config = Some(file.into());
                Ok(Command::Check { who, here, all })
            }
            ("history", []) if self.both && self.with.is_some() => {
                Err(UsageError("--both and --with exclude each other".to_owned()))
            }
            ("history", []) if all && self.count.is_some() => {
                Err(UsageError("--all and -n exclude each other".to_owned()))
            }
            ("history", []) => {
                let count = self.count.or(all.then_some(usize::MAX));
                Ok(match self.with.take() {
                    _ if self.both => Command::HistoryOfBoth { count, json },
                    with => Command::History { with, count, json },
                })
            }
            ("status", []) if all && (json || self.metrics) => Err(UsageError(
                "--all goes with neither --json nor --metrics, which tell all".to_owned(),
            )),
            ("status", []) if all => Ok(Command::Ask("status all".to_owned())),
            ("status", []) if json => Ok(Command::Ask("status json".to_owned())),
            ("status", []) if self.metrics => Ok(Command::Ask("status metrics".to_owned())),
            ("confirm", []) => Ok(Command::Confirm),
            ("fence", []) if self.dry_run => Ok(Command::TryFence { who }),
            ("fence", [] | [_]) if !self.dry_run && who.is_none() => Ok(Command::Fence {
                name: operands.first().map(|&name| name.to_owned()),
                yes: self.yes,
            }),
            ("drill", ["fence", name @ ..]) if name.len() < 2 => {
                Ok(Command::Drill { name: name.first().map(|&name| name.to_owned()) })
            }
            ("key", [file]) => Ok(Command::Key { file: file.into(), new: self.new }),
            ("log", [level]) if !LEVELS.iter().any(|(word, _)| word == level) => {
                let levels = LEVELS.map(|(word, _)| word).join(", ");
                Err(UsageError(format!("{level:?} is no level: they are {levels}")))
            }
            (word, []) if ORDERS.contains(&word) => Ok(Command::Ask(match self.until()? {
                until if until.is_empty() => word.to_owned(),
                until => format!("{word} {until}"),
            })),
            ("reload", _)
                if usize::from(self.dry_run)
                    + usize::from(self.both)
                    + usize::from(self.confirm)
                    > 1 =>
            {
                Err(UsageError("--dry-run, --both and --confirm exclude each other".to_owned()))
            }
            ("reload", []) if self.both => match self.until()? {
                time if time.is_empty() => Ok(Command::AskPeer(format!("reload both {TRIAL}"))),
                time => Ok(Command::AskPeer(time.replace("for", "reload both"))),
            },
            ("reload", []) if self.confirm => Ok(Command::AskPeer("reload confirm".to_owned())),
            ("reload", []) if self.dry_run => Ok(Command::Ask("reload show".to_owned())),
            ("failback" | "resume" | "clear" | "status" | "reload" | "upgrade", [])
            | ("confirm" | "log", [_]) => {
                let words: Vec<_> = [topic.word].iter().chain(operands).copied().collect();
                Ok(Command::Ask(words.join(" ")))
            }
            _ => Err(UsageError(format!("say `{}`", topic.usage()))),
        }
    }
}

impl Arguments {
    /// How long an order is to stand, in the words of the control socket.
    fn until(&self) -> Result<String, UsageError> {
        match (&self.time, self.persistent) {
            (Some(_), true) => Err(UsageError("--for and --persistent exclude each other".into())),
            (Some(time), false) => match duration(time) {
                Ok(_) => Ok(format!("for {time}")),
                Err(reason) => Err(UsageError(format!("--for: {reason}"))),
            },
            (None, true) => Ok("persistent".to_owned()),
            (None, false) => Ok(String::new()),
        }
    }
}

fn topic(word: &str) -> Result<&'static Topic, UsageError> {
    COMMANDS.iter().find(|topic| topic.word == word).ok_or_else(|| {
        let hint = nearest(word, COMMANDS.iter().map(|topic| topic.word));
        UsageError(format!("{word:?} is no command{hint}"))
    })
}

/// The orders that stand for a while.
const ORDERS: [&str; 3] = ["standby", "takeover", "maintenance"];

/// How long both boxes try a configuration, unless told otherwise.
const TRIAL: &str = "2min";

/// Where the configuration is unless told otherwise.
pub const CONFIG: &str = "/etc/twobox.toml";

/// Tells on standard error why a command ends in this way.
fn fail(exit: Exit, text: &str) -> Exit {
    let _ = writeln!(io::stderr(), "{}", plain_lines(text));
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_may_stand_anywhere() {
        for line in ["-c /x check --box a", "check /x --box=a", "check --box a --config /x"] {
            let invocation = say(line).unwrap();
            assert_eq!(invocation.config, PathBuf::from("/x"), "{line}");
            let check = Command::Check { who: Some("a".to_owned()), here: false, all: false };
            assert_eq!(invocation.command, check);
        }
        let run = say("run --dry-run --box a").unwrap().command;
        assert_eq!(run, Command::TryRun { who: Some("a".to_owned()) });
        for (line, asked) in [
            ("status --json", "status json"),
            ("status --all", "status all"),
            ("status --metrics", "status metrics"),
            ("standby --for 2h", "standby for 2h"),
            ("reload", "reload"),
            ("reload --dry-run", "reload show"),
            ("--persistent maintenance", "maintenance persistent"),
        ] {
            assert_eq!(say(line).unwrap().command, Command::Ask(asked.to_owned()));
        }
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let wrong = [
            ("", "no command"),
            ("statsu", "did you mean status?"),
            ("confirm a b", "say `twobox confirm PEER`"),
            ("drill", "say `twobox drill fence PEER`"),
            ("fence --dry-run server1", "say `twobox fence PEER"),
            ("reload --both --confirm", "exclude each other"),
            ("reload --for 5s", "--for is no option of reload"),
            ("status --confirm", "--confirm is no option of status"),
            ("upgrade --dry-run", "--dry-run is no option of upgrade"),
            ("key", "say `twobox key FILE [--new]`"),
            ("check --new", "--new is no option of check"),
            ("status --yes", "--yes is no option of status"),
            ("standby now", "say `twobox standby [--for"),
            ("standby --for long", "is no time"),
            ("standby --for 2h --persistent", "exclude each other"),
            ("check --peer --here", "--peer goes with nothing else"),
            ("check --peer /x", "--peer goes with nothing else"),
            ("history --both --with /x", "exclude each other"),
            ("history --all -n 3", "exclude each other"),
            ("status --all --json", "--all goes with neither"),
            ("reload --all", "--all is no option of reload"),
            ("status --peer", "--peer is no option of status"),
            ("takeover --persistent", "--persistent is no option of takeover"),
            ("log loud", "is no level"),
            ("standby --json", "--json is no option of standby"),
            ("status --box a", "--box is no option of status"),
            ("status -n 3", "-n is no option of status"),
            ("history -n all", "all"),
            ("history server1", "say `twobox history [--json]"),
            ("run fast", "say `twobox run"),
            ("--colour", "--colour"),
            ("--config", "missing argument"),
        ];
        for (line, reason) in wrong {
            let error = say(line).unwrap_err().to_string();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn every_command_is_explained_and_understood() {
        for topic in COMMANDS {
            let operands = topic
                .operands
                .replace("PEER", "server1")
                .replace("LEVEL", "debug")
                .replace("FILE", "k");
            assert!(say(&format!("{} {operands}", topic.word)).is_ok(), "{}", topic.word);
            if topic.word == "help" {
                continue;
            }
            let help = say(&format!("help {}", topic.word)).unwrap().command;
            assert_eq!(say(&format!("{} --help", topic.word)).unwrap().command, help);
            let Command::Show(text) = help else { panic!("{help:?}") };
            assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
        }
        let Command::Show(text) = say("--help").unwrap().command else { panic!() };
        assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
        assert!(COMMANDS.iter().all(|topic| text.contains(topic.line)));
    }

    fn say(line: &str) -> Result<Invocation, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }
}
