//! What does the kernel know of the supervisor of a box, and how much may it have?

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use firmware_agnostic::identity::BoxId;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::name;

/// The supervisor that runs on a box now.
#[derive(Clone, Debug)]
pub struct Supervisor {
    pid: Pid,
}

impl Supervisor {
    /// Finds it: the child of the box's pid 1 that runs the product, and is not its guard.
    ///
    /// # Errors
    ///
    /// When the box has none.
    pub fn of(id: BoxId) -> io::Result<Self> {
        for entry in fs::read_dir("/proc")?.flatten() {
            let process = entry.path();
            let pid = entry.file_name().to_str().and_then(|name| Pid::from_raw(name.parse().ok()?));
            // Most entries are no process, and some are gone by now.
            let Some(pid) = pid else { continue };
            let Ok(parent) = number(&process.join("status"), "PPid") else { continue };
            let init = words(&PathBuf::from(format!("/proc/{parent}")));
            let own = words(&process);
            let is_it = own.iter().any(|word| word == "--config")
                && own.first().is_some_and(|word| !word.contains("guard"))
                && init.iter().any(|word| word == name(id));
            if is_it {
                return Ok(Self { pid });
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, format!("{} has no supervisor", name(id))))
    }

    /// Its folder in `/proc`.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.pid))
    }

    /// Its number, in the lab.
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it runs.
    pub fn lives(&self) -> bool {
        self.folder().exists()
    }

    /// The numbers of its open files.
    ///
    /// # Errors
    ///
    /// When it has just died.
    pub fn files(&self) -> io::Result<Vec<u64>> {
        let folder = fs::read_dir(self.folder().join("fd"))?;
        Ok(folder.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok()).collect())
    }

    /// The number behind `word:` in its `status` (`proc_pid_status(5)`).
    ///
    /// # Errors
    ///
    /// When it has just died, or there is no such word.
    pub fn status(&self, word: &str) -> io::Result<u64> {
        number(&self.folder().join("status"), word)
    }

    /// Lets it have at most so much from now on.
    ///
    /// # Errors
    ///
    /// When it has just died, or this process may not.
    pub fn limit(&self, resource: Resource, current: Option<u64>) -> io::Result<()> {
        // Its own is ours: it was handed down.
        let maximum = getrlimit(resource).maximum;
        prlimit(Some(self.pid), resource, Rlimit { current, maximum })?;
        Ok(())
    }
}

/// The number behind `word:` in a file of `proc(5)`.
pub(crate) fn number(path: &Path, word: &str) -> io::Result<u64> {
    digits(path, word, 10)
}

/// The same, where it is written to another base.
pub(crate) fn digits(path: &Path, word: &str, radix: u32) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.and_then(|number| u64::from_str_radix(number, radix).ok());
    number.ok_or_else(|| io::Error::other(format!("{}: no number {word}", path.display())))
}

/// The words of its command line.
fn words(process: &Path) -> Vec<String> {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}
