//! What does the kernel say of a process in the lab? Its books (`proc(5)`) are open to the lab, whichever box it is in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use firmware_agnostic::identity::BoxId;
use rustix::thread::CapabilitySet;

use super::failure::Failure;
use super::supervisor::{Supervisor, digits, number};

/// A process, or one of its threads: a folder of `/proc`.
#[derive(Clone, Debug)]
pub(crate) struct Process(PathBuf);

impl Process {
    /// The supervisor of a box.
    pub(crate) fn supervisor(id: BoxId) -> Result<Self, Failure> {
        Ok(Self(Supervisor::of(id)?.folder()))
    }

    /// What it has started, of which the command line has this word.
    pub(crate) fn child(&self, word: &str) -> Result<Self, Failure> {
        let own = u64::from(self.number()?);
        let is_it = |process: &Self| {
            process.field("PPid").is_ok_and(|parent| parent == own)
                && process.words().iter().any(|it| it == word)
        };
        let found = Self::all()?.into_iter().find(is_it);
        found.ok_or_else(|| Failure(format!("no child of the supervisor says {word}")))
    }

    /// Its number.
    pub(crate) fn number(&self) -> io::Result<u32> {
        let name = self.0.file_name().and_then(|name| name.to_str()?.parse().ok());
        name.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// Its threads.
    pub(crate) fn threads(&self) -> io::Result<Vec<Self>> {
        fs::read_dir(self.0.join("task"))?.map(|task| Ok(Self(task?.path()))).collect()
    }

    /// What it is called.
    pub(crate) fn name(&self) -> io::Result<String> {
        Ok(fs::read_to_string(self.0.join("comm"))?.trim().to_owned())
    }

    /// The number behind `word:` in its `status`.
    pub(crate) fn field(&self, word: &str) -> io::Result<u64> {
        number(&self.0.join("status"), word)
    }

    /// The capabilities behind `word:` in its `status`.
    pub(crate) fn capabilities(&self, word: &str) -> io::Result<CapabilitySet> {
        digits(&self.0.join("status"), word, 16).map(CapabilitySet::from_bits_retain)
    }

    /// Its policy and its real-time priority (`proc_pid_stat(5)`, fields 41 and 40).
    pub(crate) fn scheduling(&self) -> io::Result<(u32, u32)> {
        let stat = fs::read_to_string(self.0.join("stat"))?;
        let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut words = behind.split_whitespace().skip(37).map(str::parse);
        match (words.next(), words.next()) {
            (Some(Ok(priority)), Some(Ok(policy))) => Ok((policy, priority)),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn all() -> io::Result<Vec<Self>> {
        Ok(fs::read_dir("/proc")?.flatten().map(|entry| Self(entry.path())).collect())
    }

    /// Its command line; that of most entries of `/proc`, which are no process, is empty.
    fn words(&self) -> Vec<String> {
        let line = fs::read(self.0.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).split('\0').map(str::to_owned).collect()
    }
}
