//! Asks whether the disk still answers, without writing to it.
//!
//! A disk that has died says so, or is silent for ever. Both matter, and only the second one makes the box stuck: a
//! disk that is full, read-only or broken is told, and resetting the box would not help it.
//!
//! The probe reads one block of a file of its own, past the kernel's cache (`O_DIRECT`, `open(2)`), and then has
//! the disk flush what it has taken (`fdatasync(2)`), which is nothing. Both go to the device and back. It writes
//! that block once, when the file is not there yet, and never again:
//!
//! - a write every few seconds for ever wears out a small flash within a year;
//! - a hung controller, cable or driver, a bus that is being reset, and a card in its own garbage collection hold
//!   up these two as they hold up a write: the queue of commands is the same;
//! - what they do not show is a disk that reads and flushes, and takes no write any more. The kernel makes an error
//!   of most of that, and remounts the disk read-only; the rest shows itself at the next write that has a reason,
//!   which is told.
//!
//! The time of the last access is not written either (`O_NOATIME`). The block is longer than what a file system may
//! keep beside the name of a file (2 KiB in btrfs), which would be read once and for all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, OFlags, fadvise};
use rustix::io::Errno;

use crate::disk::safe_file::{self, SafeFile};

/// The file that is read, beside the journal at `path`, so that it is the journal's disk that is asked.
pub fn beside(journal: &Path) -> PathBuf {
    safe_file::beside(journal, ".probe")
}

/// Reads the block of the file at `path` from the disk. May never return.
///
/// # Errors
///
/// What the disk says that is wrong.
pub fn ask(path: &Path) -> io::Result<()> {
    // Opened each time, because a folder that cannot be read any more counts as well.
    let probe = SafeFile::own(path)?;
    match probe.open(OFlags::RDONLY | OFlags::NOATIME | OFlags::DIRECT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&probe),
        // A file system without direct access.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            read_buffered(&probe)
        }
        opened => read_direct(opened?, &probe),
    }
}

fn make(probe: &SafeFile) -> io::Result<()> {
    let (mut file, _) = probe.open_or_make(OFlags::WRONLY | OFlags::TRUNC, 0o600)?;
    let made = file.write_all(&Block::default().0).and_then(|()| file.sync_all());
    // Half of it would be made again and again.
    made.and_then(|()| probe.sync_name()).inspect_err(|_| drop(probe.remove()))
}

fn read_direct(mut file: File, probe: &SafeFile) -> io::Result<()> {
    match file.read(&mut Block::default().0) {
        Ok(BLOCK) => file.sync_data(),
        Ok(_) => make(probe),
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            read_buffered(probe)
        }
        Err(error) => Err(error),
    }
}

/// Reads it after what the kernel keeps of it was given up. A disk in memory keeps it, and has nobody to ask.
fn read_buffered(probe: &SafeFile) -> io::Result<()> {
    let mut file = probe.open(OFlags::RDONLY | OFlags::NOATIME)?;
    fadvise(&file, 0, None, Advice::DontNeed)?;
    match file.read(&mut Block::default().0)? {
        BLOCK => file.sync_data(),
        _ => make(probe),
    }
}

/// As direct access wants it aligned, on every device (`open(2)`).
#[repr(align(4096))]
struct Block([u8; BLOCK]);

impl Default for Block {
    fn default() -> Self {
        Self([0; BLOCK])
    }
}

/// The block of most disks, and a multiple of the others'.
const BLOCK: usize = 4096;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_probe_is_written_once_and_then_read() {
        let room = tempfile::tempdir().unwrap();
        let path = beside(&room.path().join("journal"));
        assert!(path.ends_with("journal.probe"));
        // What an earlier version has left there is made longer.
        fs::write(&path, [0; 8]).unwrap();
        ask(&path).unwrap();
        let stamps = |path: &Path| {
            let it = fs::metadata(path).unwrap();
            let [access, change] = [(it.atime(), it.atime_nsec()), (it.ctime(), it.ctime_nsec())];
            (it.size(), it.ino(), access, it.mtime_nsec(), change)
        };
        let made = stamps(&path);
        assert_eq!(made.0, BLOCK as u64);
        for _ in 0..3 {
            ask(&path).unwrap();
            read_buffered(&SafeFile::own(&path).unwrap()).unwrap();
        }
        assert_eq!(stamps(&path), made, "something was written");
        fs::remove_file(&path).unwrap();
        ask(&path).unwrap();
        assert_eq!(stamps(&path).0, BLOCK as u64);
    }

    #[test]
    fn a_disk_that_is_gone_answers() {
        assert!(ask(Path::new("/nowhere/journal.probe")).is_err());
        assert!(ask(Path::new("/proc/version.probe")).is_err());
    }
}
