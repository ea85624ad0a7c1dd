//! Holds the lease: one process at a time is responsible for what runs on this box, the supervisor or the guard
//! that clears up after it.
//!
//! A lock that the kernel takes back when its holder dies (`flock(2)`). So two never do it at once. Beside it lies
//! a note that each holder leaves for the next: all that may run here, in the words by which it runs. It counts
//! until the next boot of the kernel: what is found after a reboot is nobody's.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::disk::safe_file::{SafeFile, beside};
use crate::thread::deadline::Deadline;

/// A lease, held or not. It is given back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
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
        Ok(Self { path: path.to_owned(), lock: open(path)?, note: beside(path, NOTE) })
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

    /// Whether somebody has it now.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    pub fn is_taken(&self) -> io::Result<bool> {
        // A process that asks for it in this moment asks again in the next.
        match flock(&self.lock, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(flock(&self.lock, FlockOperation::Unlock).map(|()| false)?),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until nobody else has it, and takes it.
    ///
    /// # Errors
    ///
    /// When somebody has it for longer than `patience`.
    pub fn take(&self, patience: &Deadline) -> io::Result<()> {
        while !self.try_take()? {
            patience.sleep(PAUSE)?;
        }
        Ok(())
    }

    /// Looks whether the files are there, for its holder, and makes the one that is locked anew if somebody has removed
    /// it. Tells whether the note is missing.
    ///
    /// # Errors
    ///
    /// When it cannot be made anew, or another process was faster.
    pub fn restore(&mut self) -> io::Result<bool> {
        if !SafeFile::own(&self.path).is_ok_and(|there| there.is(&self.lock)) {
            let held = std::mem::replace(&mut self.lock, open(&self.path)?);
            if !self.try_take()? {
                self.lock = held;
                let path = self.path.display();
                return Err(io::Error::other(format!("another process has taken {path}")));
            }
        }
        Ok(SafeFile::own(&self.note)?.stat()?.is_none())
    }

    /// The words by which something may run on this box, as the last holder has noted them; none if nothing may.
    ///
    /// # Errors
    ///
    /// When the note cannot be read.
    pub fn noted(&self) -> io::Result<Vec<String>> {
        let read = SafeFile::own(&self.note).and_then(|note| note.read(NOTE_MAX));
        let text = match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => String::from_utf8(read?).map_err(io::Error::other)?,
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
        let noted = SafeFile::own(&self.note).and_then(|it| it.replace(0o600, text.as_bytes()));
        noted.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write {}: {error}", self.note.display()))
        })
    }
}

/// The folder beside the lease at `path` in which each service is noted that runs: its processes, for the next holder.
pub fn notes(path: &Path) -> PathBuf {
    beside(path, NOTES)
}

fn open(path: &Path) -> io::Result<File> {
    let opened = SafeFile::own(path).and_then(|file| file.open_or_make(OFlags::RDWR, 0o600));
    opened.map(|(file, _)| file).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot open {}: {error}", path.display()))
    })
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
/// A few configurations, each of a few hundred lines.
const NOTE_MAX: u64 = 16 << 20;
/// In no file that is read as a configuration.
const BETWEEN: &str = "\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_what_is_left_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lease");
        let now = Deadline::new(Duration::ZERO);
        let first = Lease::open(&path).unwrap();
        first.take(&now).unwrap();
        assert_eq!(first.noted().unwrap(), [""; 0], "nobody was here before");
        first.note(["one", "two\n"]).unwrap();
        let second = Lease::open(&path).unwrap();
        assert!(!second.try_take().unwrap() && second.is_taken().unwrap());
        assert_eq!(second.take(&now).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(second.noted().unwrap(), ["one", "two\n"]);
        drop(first);
        assert!(!second.is_taken().unwrap());
        second.take(&now).unwrap();
        second.note([]).unwrap();
        assert_eq!(second.noted().unwrap(), [""; 0]);
        fs::write(&second.note, "another boot\0one").unwrap();
        assert_eq!(second.noted().unwrap(), [""; 0]);
    }

    #[test]
    fn what_somebody_has_removed_is_held_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lease");
        let mut first = Lease::open(&path).unwrap();
        assert!(first.try_take().unwrap());
        assert!(first.restore().unwrap(), "nothing was noted yet");
        first.note(["one"]).unwrap();
        assert!(!first.restore().unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!first.restore().unwrap());
        assert!(!Lease::open(&path).unwrap().try_take().unwrap(), "nobody holds the new file");
        fs::remove_file(&first.note).unwrap();
        assert!(first.restore().unwrap());
        // Somebody else was faster.
        fs::remove_file(&path).unwrap();
        let second = Lease::open(&path).unwrap();
        assert!(second.try_take().unwrap());
        first.restore().unwrap_err();
        drop(second);
        first.restore().unwrap();
    }
}
