//! Keeps the journal in one small file on a partition that can be written.
//!
//! What it says, and how a torn write is survived, stands in `firmware_agnostic::journal`. Here it is read once and
//! written place by place, each write forced to the disk before it counts. A file that is absent, torn, corrupt, or on a
//! disk that is full or read-only takes nothing away but the memory of the last life, and is said.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use firmware_agnostic::heartbeat::Fingerprint;
use firmware_agnostic::journal::{FILE, Journal};

use crate::lease;

/// The file of the journal.
pub struct Store {
    path: PathBuf,
    /// Under which it is read and written.
    kernel: Fingerprint,
    /// The number of the newest entry.
    number: u32,
    file: Option<File>,
    /// What is to be on the disk and is not, and why.
    owed: Option<(Journal, String)>,
}

impl Store {
    /// Reads the journal at `path`: the newest entry, if there is one that can be read.
    pub fn open(path: &Path) -> (Self, Option<Journal>) {
        let kernel = kernel();
        let entry = match read(path) {
            Ok(bytes) => {
                let entry = Journal::decode(&bytes, kernel);
                if entry.is_none() && bytes.iter().any(|byte| *byte != 0) {
                    log::warn!(
                        "journal {}: no entry in it is whole: the last life of this box is not known",
                        path.display()
                    );
                }
                entry
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                log::warn!(
                    "journal {}: {error}: the last life of this box is not known",
                    path.display()
                );
                None
            }
        };
        let number = entry.map_or(0, |(number, _)| number);
        let store = Self { path: path.to_owned(), kernel, number, file: None, owed: None };
        (store, entry.map(|(_, journal)| journal))
    }

    /// Writes `journal` down, and returns when it would survive a power cut; or says, once, why it would not.
    pub fn write(&mut self, journal: &Journal) {
        let written = self.try_write(journal);
        let path = self.path.display();
        match written {
            Ok(()) => {
                if self.owed.take().is_some() {
                    log::info!("journal {path}: written again");
                }
            }
            Err(error) => {
                if self.owed.is_none() {
                    log::error!(
                        "journal {path}: {error}: after a power cut this box will not know what it was; name a file that \
                         can be written in [journal]"
                    );
                }
                self.file = None;
                self.owed = Some((*journal, error.to_string()));
            }
        }
    }

    /// Tries once more to write what could not be written.
    pub fn try_again(&mut self) {
        if let Some((journal, _)) = self.owed.clone() {
            self.write(&journal);
        }
    }

    /// Why the newest entry is not on the disk, if it is not.
    pub fn failure(&self) -> Option<&str> {
        self.owed.as_ref().map(|(_, reason)| reason.as_str())
    }

    fn try_write(&mut self, journal: &Journal) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => open(&self.path)?,
        };
        let number = self.number.wrapping_add(1);
        let (at, bytes) = journal.encode(number, self.kernel);
        file.write_all_at(&bytes, at as u64)?;
        file.sync_data()?;
        self.number = number;
        self.file = Some(file);
        Ok(())
    }
}

/// Names the boot of the kernel that runs.
fn kernel() -> Fingerprint {
    let known = lease::boot().inspect_err(|error| {
        log::warn!("the boot of this box has no name ({error}): an order that is not persistent is forgotten with the supervisor");
    });
    known.map(|name| Fingerprint::of(name.as_bytes())).unwrap_or_default()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens the file, and makes it as long as it will ever be: a disk that fills up later takes nothing away.
fn open(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let length = file.metadata()?.len();
    if length < FILE as u64 {
        file.write_all_at(&[0; FILE][..FILE - length as usize], length)?;
        file.sync_all()?;
        // The name of a new file is written with its directory (fsync(2)).
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use firmware_agnostic::heartbeat::{Role, Term};

    use super::*;

    #[test]
    fn what_was_written_is_read_in_the_next_life() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("journal");
        for term in 0..5_u32 {
            let (mut store, last) = Store::open(&path);
            assert_eq!(last, term.checked_sub(1).map(journal));
            store.write(&journal(term));
            assert_eq!(fs::metadata(&path).unwrap().len(), FILE as u64);
        }
    }

    #[test]
    fn a_torn_or_corrupt_file_is_survived() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("journal");
        for junk in [&b""[..], b"x", &[0xff; 64], &[0; 7], &[7; 4096]] {
            fs::write(&path, junk).unwrap();
            let (mut store, last) = Store::open(&path);
            assert_eq!(last, None);
            store.write(&journal(9));
            assert_eq!(Store::open(&path).1, Some(journal(9)));
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_survived_and_tried_again() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("state").join("journal");
        let (mut store, last) = Store::open(&path);
        assert_eq!(last, None);
        store.write(&journal(1));
        assert_eq!(Store::open(&path).1, None);
        fs::create_dir(path.parent().unwrap()).unwrap();
        store.try_again();
        assert_eq!(store.failure(), None);
        assert_eq!(Store::open(&path).1, Some(journal(1)));
    }

    #[test]
    fn a_full_disk_is_survived() {
        let (mut store, _) = Store::open(Path::new("/dev/full"));
        store.write(&journal(1));
        assert!(store.failure().is_some());
    }

    fn journal(term: u32) -> Journal {
        // The kernel runs on while it is tested.
        Journal { term: Term(term), role: Role::Active, this_boot: true, ..Journal::default() }
    }
}
