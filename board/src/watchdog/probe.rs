//! Checks that the disk still takes a write.
//!
//! A disk that has died says so, or is silent for ever. Both matter, and only the second one makes the box stuck: a disk
//! that is full, read-only or broken is told, and resetting the box would not help it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file that is written beside the journal at `path`, so that it is the journal's disk that is asked.
pub fn beside(journal: &Path) -> PathBuf {
    let mut path = journal.as_os_str().to_owned();
    path.push(".probe");
    path.into()
}

/// Writes a few bytes to the file at `path`, and returns when the disk has them. May never return.
///
/// # Errors
///
/// What the disk says that is wrong.
pub fn write(path: &Path, number: u64) -> io::Result<()> {
    // Opened each time, because a directory that cannot be read any more counts as well.
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.write_all(&number.to_le_bytes())?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_takes_no_more_room_the_second_time() {
        let room = tempfile::tempdir().unwrap();
        let path = beside(&room.path().join("journal"));
        assert!(path.ends_with("journal.probe"));
        for number in 0..3_u64 {
            write(&path, number).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), number.to_le_bytes());
        }
    }

    #[test]
    fn a_full_disk_answers() {
        assert!(write(Path::new("/dev/full"), 1).is_err());
    }
}
