//! Who answers for what runs on this box? Whoever holds the lease: the supervisor, or the guard that clears up after it.
//!
//! A lock that the kernel takes back when its holder dies (`flock(2)`), on a file that says since which boot of the kernel
//! something may have been left. So two never do it at once, and what is found after a reboot is nobody's.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::patience::Patience;

/// A lease, held or not. It is given back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    file: File,
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
        let file = options.open(path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot open {}: {error}", path.display()))
        })?;
        Ok(Self { file })
    }

    /// Takes it if nobody has it, and tells whether it did.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    pub fn try_take(&self) -> io::Result<bool> {
        match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until nobody else has it, takes it, and tells whether its last holder may have left something on this box.
    ///
    /// # Errors
    ///
    /// When somebody has it for longer than `patience`, or the file cannot be read or written.
    pub fn take(&mut self, patience: &Patience) -> io::Result<bool> {
        while !self.try_take()? {
            patience.sleep(PAUSE)?;
        }
        let (mut written, boot) = (String::new(), boot()?);
        self.file.rewind()?;
        (&self.file).take(BOOT_MAX).read_to_string(&mut written)?;
        let left = written == boot;
        if !left {
            self.note_cleared()?;
            self.file.write_all(boot.as_bytes())?;
        }
        Ok(left)
    }

    /// Notes that nothing is left on this box.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn note_cleared(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()
    }
}

/// Names the boot of the kernel (`random(4)`).
fn boot() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
}

/// Somebody else has it while he stops services, which takes longer.
const PAUSE: Duration = Duration::from_millis(10);
/// A UUID and the end of its line.
const BOOT_MAX: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_what_is_left_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lease");
        let now = Patience::new(Duration::ZERO);
        let mut first = Lease::open(&path).unwrap();
        assert!(!first.take(&now).unwrap(), "nobody was here before");
        let mut second = Lease::open(&path).unwrap();
        assert!(!second.try_take().unwrap());
        assert_eq!(second.take(&now).unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(first);
        assert!(second.take(&now).unwrap());
        second.note_cleared().unwrap();
        drop(second);
        assert!(!Lease::open(&path).unwrap().take(&now).unwrap());
        fs::write(&path, "another boot").unwrap();
        assert!(!Lease::open(&path).unwrap().take(&now).unwrap());
        assert!(Lease::open(&path).unwrap().take(&now).unwrap());
    }
}
