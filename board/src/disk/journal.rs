//! Keeps the journal in one small file on a partition that can be written.
//!
//! What it says, and how a torn write is survived, stands in `firmware_agnostic::journal`. Here it is read once and
//! written place by place, each write forced to the disk before it counts. A file that is absent, torn, corrupt, or
//! on a disk that is full or read-only takes nothing away but the memory of the last life, and is said.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use firmware_agnostic::heartbeat::Fingerprint;
use firmware_agnostic::journal::{FILE_LEN, Journal};
use rustix::fs::{OFlags, StatVfsMountFlags, fstatvfs};

use crate::disk::lease;
use crate::disk::safe_file::{SafeFile, remedy};

/// The file of the journal.
pub struct Store {
    path: PathBuf,
    /// Under which it is read and written.
    kernel: Fingerprint,
    /// The number of the newest entry.
    number: u32,
    file: Option<File>,
    /// What is on the disk, if this life has written it.
    written: Option<Journal>,
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
        let path = path.to_owned();
        let store = Self { path, kernel, number, file: None, written: None, owed: None };
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
                    let remedy = remedy(&error, "journal");
                    log::error!(
                        "journal {path}: {error}: after a power cut this box will not know what it was{remedy}"
                    );
                }
                self.file = None;
                self.owed = Some((*journal, error.to_string()));
            }
        }
    }

    /// Tries once more to write what could not be written, and writes anew what somebody has removed.
    pub fn try_again(&mut self) {
        if let Some((journal, _)) = self.owed.clone() {
            self.write(&journal);
        } else if self.file.as_ref().is_some_and(|file| !self.is_there(file))
            && let Some(journal) = self.written
        {
            log::warn!("journal {}: somebody has removed it: written anew", self.path.display());
            self.write(&journal);
        }
    }

    /// Why the newest entry is not on the disk, if it is not.
    pub fn failure(&self) -> Option<&str> {
        self.owed.as_ref().map(|(_, reason)| reason.as_str())
    }

    fn try_write(&mut self, journal: &Journal) -> io::Result<()> {
        let file = match self.file.take().filter(|file| self.is_there(file)) {
            Some(file) => file,
            None => open(&self.path)?,
        };
        let number = self.number.wrapping_add(1);
        let (at, bytes) = journal.encode(number, self.kernel);
        file.write_all_at(&bytes, at as u64)?;
        sync(&file)?;
        self.number = number;
        (self.file, self.written) = (Some(file), Some(*journal));
        Ok(())
    }

    /// Whether `file` is what its path leads to: one that was removed takes writes as well, and loses them.
    fn is_there(&self, file: &File) -> bool {
        SafeFile::own(&self.path).is_ok_and(|there| there.is(file))
    }
}

/// Forces what was written to the disk. A file system that the kernel has made read-only after an error says that
/// it has done so, and has not (`errors=remount-ro` of `ext4(5)`).
fn sync(file: &File) -> io::Result<()> {
    file.sync_data()?;
    if fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(io::ErrorKind::ReadOnlyFilesystem.into());
    }
    Ok(())
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
    let file = SafeFile::own(path)?.open(OFlags::RDONLY)?;
    file.take(FILE_LEN as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens the file, and makes it as long as it will ever be: a disk that fills up later takes nothing away.
fn open(path: &Path) -> io::Result<File> {
    let journal = SafeFile::own(path)?;
    let (file, _) = journal.open_or_make(OFlags::WRONLY, 0o600)?;
    let length = file.metadata()?.len();
    if length < FILE_LEN as u64 {
        file.write_all_at(&[0; FILE_LEN][..FILE_LEN - length as usize], length)?;
        file.sync_all()?;
        journal.sync_name()?;
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
            assert_eq!(fs::metadata(&path).unwrap().len(), FILE_LEN as u64);
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
    fn what_somebody_has_removed_is_written_anew() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("state").join("journal");
        let folder = path.parent().unwrap();
        fs::create_dir(folder).unwrap();
        let (mut store, _) = Store::open(&path);
        store.write(&journal(1));
        for term in 1..3 {
            fs::remove_dir_all(folder).unwrap();
            store.try_again();
            assert!(store.failure().is_some(), "its folder is gone");
            fs::create_dir(folder).unwrap();
            store.try_again();
            assert_eq!(Store::open(&path).1, Some(journal(term)));
            fs::remove_file(&path).unwrap();
            store.write(&journal(term + 1));
            assert_eq!(Store::open(&path).1, Some(journal(term + 1)));
        }
    }

    #[test]
    fn what_is_no_file_is_survived() {
        let (mut store, _) = Store::open(Path::new("/dev/full"));
        store.write(&journal(1));
        assert_eq!(store.failure(), Some("is a device, and no file"));
    }

    fn journal(term: u32) -> Journal {
        // The kernel runs on while it is tested.
        Journal { term: Term(term), role: Role::Active, this_boot: true, ..Journal::default() }
    }
}
