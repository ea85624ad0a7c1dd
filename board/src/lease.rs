//! Holds the lease: one process at a time is responsible for what runs on this box, the supervisor or the guard that clears up after it.
//!
//! A lock that the kernel takes back when its holder dies (`flock(2)`). So two never do it at once. Beside it lies a note
//! that each holder leaves for the next: all that may run here, in the words by which it runs. It counts until the next
//! boot of the kernel: what is found after a reboot is nobody's.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::beside::{beside, replace};
use crate::patience::Patience;

/// A lease, held or not. It is given back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    lock: File,
    note: PathBuf,
}

impl Lease {
    /// The lease at `path`, not held yet.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot open {}: {error}", path.display()))
        })?;
        Ok(Self { lock, note: beside(path, NOTE) })
    }

    /// Takes it if nobody has it, and tells whether it did.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    pub fn try_take(&self) -> io::Result<bool> {
        match flock(&self.lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until nobody else has it, and takes it.
    ///
    /// # Errors
    ///
    /// When somebody has it for longer than `patience`.
    pub fn take(&self, patience: &Patience) -> io::Result<()> {
        while !self.try_take()? {
            patience.sleep(PAUSE)?;
        }
        Ok(())
    }

    /// The words by which something may run on this box, as the last holder has noted them; none if nothing may.
    ///
    /// # Errors
    ///
    /// When the note cannot be read.
    pub fn noted(&self) -> io::Result<Vec<String>> {
        let text = match fs::read_to_string(&self.note) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read?,
        };
        let (boot, mut words) = (boot()?, text.split(BETWEEN));
        let counts = words.next() == Some(&*boot);
        Ok(words.filter(|_| counts).map(str::to_owned).collect())
    }

    /// Notes the words by which something may run on this box from now on; for the next holder of the lease.
    ///
    /// # Errors
    ///
    /// When the note cannot be written; the old one stays.
    pub fn note<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
        let mut text = boot()?;
        words.into_iter().for_each(|word| text.extend([BETWEEN, word]));
        replace(&self.note, 0o600, text.as_bytes()).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write {}: {error}", self.note.display()))
        })
    }
}

/// The folder beside the lease at `path` in which each service is noted that runs: its processes, for the next holder.
pub fn notes(path: &Path) -> PathBuf {
    beside(path, NOTES)
}

/// Names the boot of the kernel (`random(4)`).
pub(crate) fn boot() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
}

/// Somebody else has it while he stops services, which takes longer.
const PAUSE: Duration = Duration::from_millis(10);
/// What the note is called, after the lease.
const NOTE: &str = ".note";
/// What the folder of notes is called, after the lease.
const NOTES: &str = ".services";
/// In no file that is read as a configuration.
const BETWEEN: &str = "\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_what_is_left_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lease");
        let now = Patience::new(Duration::ZERO);
        let first = Lease::open(&path).unwrap();
        first.take(&now).unwrap();
        assert_eq!(first.noted().unwrap(), [""; 0], "nobody was here before");
        first.note(["one", "two\n"]).unwrap();
        let second = Lease::open(&path).unwrap();
        assert!(!second.try_take().unwrap());
        assert_eq!(second.take(&now).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(second.noted().unwrap(), ["one", "two\n"]);
        drop(first);
        second.take(&now).unwrap();
        second.note([]).unwrap();
        assert_eq!(second.noted().unwrap(), [""; 0]);
        fs::write(&second.note, "another boot\0one").unwrap();
        assert_eq!(second.noted().unwrap(), [""; 0]);
    }
}
