//! Reads what the kernel says of a process in the lab, and limits what it may have. Its books (`proc(5)`) are open
//! to the lab, in any box.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use firmware_agnostic::identity::BoxId;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use rustix::thread::CapabilitySet;

use crate::name;
use crate::observers::failure::Failure;

/// A process, or one of its threads: a folder of `/proc`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Process(PathBuf);

impl Process {
    /// The supervisor of a box: the child of its pid 1 that runs the product, and is not its guard.
    pub fn supervisor(id: BoxId) -> io::Result<Self> {
        let is_it = |process: &Self| {
            let Ok(parent) = process.field("PPid") else { return false };
            let (own, init) = (process.words(), Self(format!("/proc/{parent}").into()).words());
            own.iter().any(|word| word == "--config")
                && own.first().is_some_and(|word| !word.contains("guard"))
                && init.iter().any(|word| word == name(id))
        };
        Self::all()?.into_iter().find(is_it).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("{} has no supervisor", name(id)))
        })
    }

    /// What it has started, of which the command line has this word.
    pub fn child(&self, word: &str) -> Result<Self, Failure> {
        let own = self.pid()?.as_raw_nonzero().get();
        let is_it = |process: &Self| {
            process.field("PPid").is_ok_and(|parent| i32::try_from(parent) == Ok(own))
                && process.words().iter().any(|it| it == word)
        };
        let found = Self::all()?.into_iter().find(is_it);
        found.ok_or_else(|| Failure(format!("no child of the supervisor says {word}")))
    }

    /// Every process that runs now.
    pub fn all() -> io::Result<Vec<Self>> {
        let all = fs::read_dir("/proc")?.flatten().map(|entry| Self(entry.path()));
        Ok(all.filter(|process| process.pid().is_ok()).collect())
    }

    /// Its number, in the lab.
    pub fn pid(&self) -> io::Result<Pid> {
        let number = self.0.file_name().and_then(|name| name.to_str()?.parse().ok());
        number.and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Its threads.
    pub fn threads(&self) -> io::Result<Vec<Self>> {
        fs::read_dir(self.0.join("task"))?.map(|task| Ok(Self(task?.path()))).collect()
    }

    /// The numbers of its open files.
    pub fn files(&self) -> io::Result<Vec<u64>> {
        let folder = fs::read_dir(self.0.join("fd"))?;
        Ok(folder.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok()).collect())
    }

    /// What it is called.
    pub fn name(&self) -> io::Result<String> {
        Ok(fs::read_to_string(self.0.join("comm"))?.trim().to_owned())
    }

    /// Its command line.
    pub fn words(&self) -> Vec<String> {
        let line = fs::read(self.0.join("cmdline")).unwrap_or_default();
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    /// The number behind `word:` in its `status`.
    pub fn field(&self, word: &str) -> io::Result<u64> {
        self.number("status", word, 10)
    }

    /// The capabilities behind `word:` in its `status`.
    pub fn capabilities(&self, word: &str) -> io::Result<CapabilitySet> {
        self.number("status", word, 16).map(CapabilitySet::from_bits_retain)
    }

    /// The number behind `word:` in one of its files, written to the base of `radix`.
    pub fn number(&self, file: &str, word: &str, radix: u32) -> io::Result<u64> {
        let path = self.0.join(file);
        let text = fs::read_to_string(&path)?;
        let line = text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_whitespace().next());
        let number = number.and_then(|number| u64::from_str_radix(number, radix).ok());
        number.ok_or_else(|| io::Error::other(format!("{}: no number {word}", path.display())))
    }

    /// Its policy and its real-time priority.
    pub fn scheduling(&self) -> io::Result<(u64, u64)> {
        self.stat(40).map(|(priority, policy)| (policy, priority))
    }

    /// The field of this number of its `stat`, and the one behind it (`proc_pid_stat(5)`).
    pub fn stat(&self, field: usize) -> io::Result<(u64, u64)> {
        let stat = fs::read_to_string(self.0.join("stat"))?;
        // The second, its name, may have anything in it, such as spaces.
        let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut words = behind.split_whitespace().skip(field - 3).map(str::parse);
        match (words.next(), words.next()) {
            (Some(Ok(one)), Some(Ok(next))) => Ok((one, next)),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Lets it have at most so much from now on.
    pub fn limit(&self, resource: Resource, current: Option<u64>) -> io::Result<()> {
        // Its own is ours: it was handed down.
        let maximum = getrlimit(resource).maximum;
        prlimit(Some(self.pid()?), resource, Rlimit { current, maximum })?;
        Ok(())
    }
}
