//! What moves between the boxes: addresses, processes.
//!
//! A resource has three verbs: start, stop, monitor; one more if it outlives the supervisor: adopt; and one if it
//! can be seen before a start that it would fail: ready. They block, each with a [`Deadline`]; the group that runs
//! them has a thread of its own.
//!
//! To add a kind: write `resource/NAME.rs` after the model of [`address`], then name it below: `mod`, its word in
//! `KINDS` and the length of that, a variant of `Kind`. The compiler asks for the arms.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use firmware_agnostic::identity::BoxId;
use firmware_agnostic::recovery::{OnFailure, Policy};

use crate::check;
use crate::config::requirement::Requirement;
use crate::config::table::{Never, Table};
use crate::host::plain_text::is_plain;
use crate::thread::capabilities::Rights;
use crate::thread::deadline::Deadline;

pub mod address;
pub mod process;

/// One resource, as the configuration file says it: a `[[resource]]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it is called in commands, messages and the log. Whether no other is called so is the caller's to see.
    pub name: String,
    /// On which of the boxes it runs.
    pub place: RunsOn,
    /// How long a start may take.
    pub start_timeout: Duration,
    /// How long a stop may take before the box must reset itself.
    pub stop_timeout: Duration,
    /// What is done when it fails.
    pub policy: Policy,
    /// What must answer before the resources go home.
    pub gate: Option<check::Config>,
    kind: Kind,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    Address(address::Config),
    Process(process::Config),
}

/// On which of the boxes a resource runs: `where`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RunsOn {
    /// On the box that is active.
    Active,
    /// On both, always.
    Both,
    /// On the box that is not active.
    Standby,
}

/// What a resource is to its box: a thread that stops, or adopts, one of two that are the same, does so to the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subject<'a> {
    /// An address on an interface.
    Address(IpAddr, &'a str),
    /// All processes of this name.
    Process(&'a str),
}

impl Config {
    /// Reads the words of a resource; those of its kind are the kind's own.
    pub fn read(table: &mut Table<'_>) -> Option<Self> {
        let name: Option<String> = table.take("name");
        let place = table.choose("where", &PLACES).unwrap_or(RunsOn::Active);
        let start_timeout = table.get_or("start_timeout", START_TIMEOUT);
        let stop_timeout = table.get_or("stop_timeout", STOP_TIMEOUT);
        let policy = read_policy(table);
        let gate = table.table("gate").and_then(|mut gate| {
            let config = check::Config::read(&mut gate);
            gate.finish();
            config
        });
        let read: Read = table.kind(&KINDS)?;
        let kind = read(table)?;
        if let Kind::Process(process) = &kind
            && process.kill_after.is_some_and(|time| time >= stop_timeout)
        {
            table.error_if_read(
                "kill_after",
                "must be shorter than stop_timeout, which includes it",
            );
        }
        let name = name.unwrap_or_else(|| kind.name());
        if name.is_empty() || !is_plain(&name) {
            table.error("name", "is empty, or cannot be shown");
            return None;
        }
        Some(Self { name, place, start_timeout, stop_timeout, policy, gate, kind })
    }

    /// Whether what runs by `other` runs just as well by this.
    pub fn runs_like(&self, other: &Self) -> bool {
        (&self.name, &self.kind) == (&other.name, &other.kind)
    }

    /// What it is on the box `me`, however it runs there.
    pub fn subject(&self, me: BoxId) -> Subject<'_> {
        match &self.kind {
            Kind::Address(config) => {
                Subject::Address(config.address().address(), config.interface(me))
            }
            Kind::Process(_) => Subject::Process(&self.name),
        }
    }

    /// Whether a start tells the neighbours that it is here.
    pub const fn announces(&self) -> bool {
        matches!(self.kind, Kind::Address(_))
    }

    /// The address that moves, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match &self.kind {
            Kind::Address(config) => Some(config.address().address()),
            Kind::Process(_) => None,
        }
    }

    /// What the box `me` must have to run it.
    pub fn needs(&self, me: BoxId) -> Vec<Requirement> {
        let mut needs = match &self.kind {
            Kind::Address(config) => config.needs(me),
            Kind::Process(config) => config.needs(),
        };
        needs.extend(self.gate.iter().flat_map(check::Config::needs));
        needs
    }

    /// Why no start on the box `me` would succeed, as far as that shows now, though all that it needs is there.
    pub fn conflict(&self, me: BoxId) -> Option<String> {
        match &self.kind {
            Kind::Address(config) => config.conflict(me),
            Kind::Process(_) => None,
        }
    }

    /// What the thread that starts and stops it must be allowed to do. Its gate is asked by another.
    pub const fn rights(&self) -> Rights {
        match &self.kind {
            Kind::Address(_) => Rights::ADDRESSES,
            Kind::Process(_) => Rights::SERVICES,
        }
    }

    /// What a box should have to run it, and can do without.
    pub fn wishes(&self) -> Vec<Requirement> {
        match &self.kind {
            Kind::Address(_) => Vec::new(),
            Kind::Process(config) => config.wishes(),
        }
    }

    /// The resource that this configuration speaks of, on the box `me`. Nothing is started. What is noted for the
    /// next life is in the folder `notes` ([`crate::disk::lease::notes`]).
    ///
    /// # Errors
    ///
    /// When this box cannot have it at all: better known when the supervisor starts than at the first takeover.
    pub fn open(&self, me: BoxId, notes: &Path) -> io::Result<Box<dyn Resource>> {
        Ok(match &self.kind {
            Kind::Address(config) => Box::new(config.open(me)),
            Kind::Process(config) => Box::new(config.open(&self.name, notes)),
        })
    }
}

fn read_policy(table: &mut Table<'_>) -> Policy {
    let on_failure = table.choose("on_failure", &FAILURES).unwrap_or(OnFailure::Failover);
    let threshold = table.get_or("threshold", THRESHOLD);
    if threshold == 0 {
        table.error("threshold", "is 0: say how many failures are too many, 1 for the first");
    }
    let Never(forget_after) = table.get_or("forget_after", Never(Some(FORGET_AFTER)));
    Policy { on_failure, threshold, forget_after }
}

impl Kind {
    /// What a resource is called that was given no name.
    fn name(&self) -> String {
        match self {
            Self::Address(config) => config.address().to_string(),
            Self::Process(config) => config.program().to_owned(),
        }
    }
}

/// Something that runs on one of the boxes.
pub trait Resource: Send {
    /// Starts it, and returns when it serves. Starting what runs already is no error.
    ///
    /// # Errors
    ///
    /// When it does not serve, or not in time. What was begun is then taken back by `stop`.
    fn start(&mut self, patience: &Deadline) -> io::Result<()>;

    /// Stops it by all means, and returns when it is gone. Stopping what does not run is no error, and neither is
    /// stopping what an earlier life of the supervisor has left behind.
    ///
    /// # Errors
    ///
    /// When it may still be there: the box is then not to be trusted with having released it.
    fn stop(&mut self, patience: &Deadline) -> io::Result<()>;

    /// Looks, while it does not run, whether it could be started here, and tells how long from now until that may
    /// be looked at again, if that is ever seen before a start. Does not wait.
    ///
    /// # Errors
    ///
    /// When a start would fail, with the reason.
    fn ready(&mut self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    /// Takes over what an earlier life of the supervisor has started and this configuration still means: from now on it
    /// is watched as if it had been started here. Tells whether it is there and well. Nothing is started or stopped, so
    /// that the service goes on. Does not wait.
    ///
    /// What cannot be adopted is stopped and started again, together with all that moves with it.
    ///
    /// # Errors
    ///
    /// When that cannot be told, with the reason.
    fn adopt(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// Looks whether it is well, and does what it needs to stay so. Does not wait.
    ///
    /// # Errors
    ///
    /// When it is not well, with the reason.
    fn monitor(&mut self) -> io::Result<()>;

    /// Tells the world outside again where it is, because somebody else may have said otherwise. Does not wait.
    fn announce(&mut self) {}

    /// How long from now until `monitor` wants to be called again.
    fn rhythm(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// A descriptor that becomes readable when `monitor` should be called at once: a process that died.
    fn alarm(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

type Read = fn(&mut Table<'_>) -> Option<Kind>;

const KINDS: [(&str, Read); 2] = [
    ("address", |table| address::Config::read(table).map(Kind::Address)),
    ("process", |table| process::Config::read(table).map(Kind::Process)),
];

const PLACES: [(&str, RunsOn); 3] =
    [("active", RunsOn::Active), ("both", RunsOn::Both), ("standby", RunsOn::Standby)];

const FAILURES: [(&str, OnFailure); 5] = [
    ("ignore", OnFailure::Ignore),
    ("restart", OnFailure::Restart),
    ("failover", OnFailure::Failover),
    ("standby", OnFailure::Standby),
    ("fence", OnFailure::Fence),
];

/// A directory server that checks its database after a power cut.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than it takes to kill what does not end by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// The first failure may be chance, and is answered by a start on the spot.
const THRESHOLD: u8 = 2;

/// Two failures within it are one story.
const FORGET_AFTER: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::Source;

    #[test]
    fn a_resource_is_called_after_what_it_is() {
        let (process, complaints) =
            read("kind = \"process\"\ncommand = [\"/usr/sbin/slapd\", \"-d\", \"0\"]");
        assert_eq!(complaints, [] as [String; 0]);
        let process = process.unwrap();
        assert_eq!((process.name.as_str(), process.place), ("slapd", RunsOn::Active));
        assert_eq!(process.policy.forget_after, Some(FORGET_AFTER));
        let (address, complaints) =
            read("kind = \"address\"\naddress = \"203.0.113.10/24\"\ninterface = \"eth0\"");
        assert_eq!(complaints, [] as [String; 0]);
        assert_eq!(address.unwrap().name, "203.0.113.10/24");
    }

    #[test]
    fn mistakes_are_told_with_their_remedy() {
        for (words, told) in [
            ("", "address, process"),
            ("kind = \"proces\"", "did you mean process?"),
            ("kind = \"process\"", "is missing"),
            ("kind = \"process\"\ncommand = []", "say the program"),
            ("kind = \"process\"\ncommand = [\"slapd\"]", "full path"),
            (&process("ready = \"notfy\""), "say \"notify\""),
            (&process("ready = { file = \"x\" }"), "full path"),
            (&process("ready = { command = [\"x\"] }"), "full path"),
            (&process("ready = { file = \"/x\", evry = \"1s\" }"), "say \"notify\""),
            (&process("limits = { open_file = 1 }"), "open_files"),
            (&process("limits = { core = \"much\" }"), "unlimited"),
            (&process("umask = \"089\""), "octal"),
            (&process("capabilities = [\"net_raww\"]"), "did you mean net_raw?"),
            (&process("capabilities = [\"\"]"), "none of capabilities(7)"),
            (&process("stop_signal = \"TREM\""), "TERM"),
            (&process("kill_after = \"15s\""), "shorter than stop_timeout"),
            (&process("environment = { \"A=B\" = \"c\" }"), "no name"),
            (&process("where = \"here\""), "active, both, standby"),
            (&process("kill_after = \"nevr\""), "never"),
            (&process("stop_exit = [256]"), "between 0 and 255"),
            (&process("threshold = 0"), "1 for the first"),
            (&process("forget_after = \"always\""), "never"),
            (&process("comand = 1"), "did you mean command?"),
        ] {
            let (_, complaints) = read(words);
            assert!(
                complaints.iter().any(|reason| reason.contains(told)),
                "{words}: {complaints:?}"
            );
        }
    }

    fn process(words: &str) -> String {
        format!("kind = \"process\"\ncommand = [\"/usr/sbin/slapd\"]\n{words}")
    }

    fn read(text: &str) -> (Option<Config>, Vec<String>) {
        let source = Source::new(text);
        let config = {
            let mut table = source.parse();
            let config = Config::read(&mut table);
            table.finish();
            config
        };
        let complaints = source.into_complaints().into_iter().map(|complaint| complaint.reason);
        (config, complaints.collect())
    }
}
