//! The file of the history: lines that only ever come at its end, and a bound.
//!
//! When the file is full, the newer half of it is written anew and put in its place, so that a power cut at any moment
//! leaves the one or the other. What a cut has torn off is closed with a line end before the next line. What cannot be
//! written is kept, within a bound, and written when there is room again.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use board::disk::safe_file::{SafeFile, look, remedy};
use rustix::fs::OFlags;

use crate::observe::record::Record;

/// A file of lines that does not grow beyond its bound.
pub(super) struct Ring {
    path: PathBuf,
    size: u64,
    /// Not written yet.
    waiting: VecDeque<String>,
    lost: usize,
    failed: bool,
    /// Something was written to it, so that it should be there.
    begun: bool,
}

impl Ring {
    /// The file at `path`, of `size` bytes at the most. Nothing is opened yet.
    pub(super) fn new(path: &Path, size: u64) -> Self {
        let (path, waiting) = (path.to_owned(), VecDeque::new());
        Self { path, size, waiting, lost: 0, failed: false, begun: false }
    }

    /// Writes `line` so that it survives a power cut; or says, once, why it does not.
    ///
    /// # Errors
    ///
    /// When it is not written yet.
    pub(super) fn add(&mut self, line: String) -> io::Result<()> {
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(line);
        let written = self.write();
        let path = self.path.display();
        match &written {
            Ok(()) if self.failed => {
                log::info!("history {path}: written again, {} records were lost", self.lost);
                (self.failed, self.lost) = (false, 0);
            }
            Err(error) if !self.failed => {
                self.failed = true;
                let remedy = remedy(error, "history");
                log::error!("history {path}: {error}: what happens is not kept{remedy}");
            }
            Ok(()) | Err(_) => {}
        }
        written
    }

    fn write(&mut self) -> io::Result<()> {
        let text: String = self.waiting.iter().map(String::as_str).collect();
        let place = SafeFile::own(&self.path)?;
        let (mut file, made) = open(&place)?;
        if made && self.begun {
            let path = self.path.display();
            log::warn!("history {path}: somebody has removed it: what happened before is lost");
        }
        let mut length = file.metadata()?.len();
        let mut last = [0];
        let torn =
            length > 0 && file.read_exact_at(&mut last, length - 1).is_ok() && last != *b"\n";
        if torn {
            file.write_all(b"\n")?;
            length += 1;
        }
        if length + text.len() as u64 > self.size {
            file = self.shorten(&place, &file)?.0;
            length = file.metadata()?.len();
        }
        if let Err(error) = file.write_all(text.as_bytes()) {
            // Half a line would only be one more that is not whole.
            let _ = file.set_len(length);
            return Err(error);
        }
        file.sync_data()?;
        self.waiting.clear();
        self.begun = true;
        Ok(())
    }

    /// Puts a file with the newer half of the lines in the place of `full`.
    fn shorten(&self, place: &SafeFile, full: &File) -> io::Result<(File, bool)> {
        let mut bytes = vec![0; usize::try_from(self.size / 2).unwrap_or(0)];
        let begin = full.metadata()?.len().saturating_sub(self.size / 2);
        let read = full.read_at(&mut bytes, begin)?;
        bytes.truncate(read);
        let whole = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        let mode = full.metadata()?.mode();
        place.replace(mode, bytes.get(whole..).unwrap_or_default())?;
        open(place)
    }
}

/// What there is in the file at `path`, and how many of its lines are not whole.
///
/// # Errors
///
/// When it cannot be read.
pub(super) fn read(path: &Path) -> io::Result<(Vec<Record>, usize)> {
    let bytes = look(path, READ_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    let (mut records, mut damaged) = (Vec::new(), 0);
    for line in text.lines().filter(|line| !line.is_empty()) {
        match Record::read(line) {
            Some(record) => records.push(record),
            None => damaged += 1,
        }
    }
    Ok((records, damaged))
}

/// The file, and whether it was made just now.
fn open(place: &SafeFile) -> io::Result<(File, bool)> {
    place.open_or_make(OFlags::RDWR | OFlags::APPEND, FOR_ALL)
}

/// The mode of what everybody may read: there is no secret in it.
pub(crate) const FOR_ALL: u32 = 0o644;

/// A disk that is full for a while: longer than most failovers are.
const WAITING_MAX: usize = 24;

/// Larger than a history can be made.
const READ_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_newest_are_kept_within_the_bound() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("history");
        let mut ring = Ring::new(&path, 4_096);
        for term in 0..1_000 {
            ring.add(line(term)).unwrap();
            assert!(fs::metadata(&path).unwrap().len() <= 4_096);
            let (records, damaged) = read(&path).unwrap();
            assert_eq!(damaged, 0);
            let terms: Vec<_> = records.iter().map(|it| it.number("term").unwrap()).collect();
            let first = terms[0];
            assert_eq!(terms, (first..=term).collect::<Vec<_>>());
            assert!(term < 60 || terms.len() >= 30, "{term}: {}", terms.len());
        }
        // A bound that was made smaller holds from the next record on.
        Ring::new(&path, 1_024).add(line(1_000)).unwrap();
        assert!(fs::metadata(&path).unwrap().len() <= 1_024);
    }

    #[test]
    fn torn_and_spoiled_lines_are_left_out_and_counted() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("history");
        for junk in [&b"what=role ter"[..], b"\xff\xfe\x00", b"\n\n", &[0; 3_000], b"a\nb\n"] {
            fs::write(&path, junk).unwrap();
            Ring::new(&path, 4_096).add(line(9)).unwrap();
            let (records, damaged) = read(&path).unwrap();
            assert_eq!(records, [Record::read(line(9).trim_end()).unwrap()], "{junk:?}");
            assert_eq!(damaged > 0, junk != b"\n\n", "{junk:?}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_written_later() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("state").join("history");
        let mut ring = Ring::new(&path, 65_536);
        for term in 0..70 {
            ring.add(line(term)).unwrap_err();
        }
        assert!(ring.failed && ring.lost == 70 - WAITING_MAX);
        fs::create_dir(path.parent().unwrap()).unwrap();
        ring.add(line(70)).unwrap();
        let (records, _) = read(&path).unwrap();
        assert_eq!((records.len(), records[0].number("term")), (WAITING_MAX, Some(47)));
        assert!(!ring.failed);
    }

    #[test]
    fn a_device_and_a_folder_are_survived() {
        let room = tempfile::tempdir().unwrap();
        for path in [Path::new("/dev/full"), room.path()] {
            let mut ring = Ring::new(path, 4_096);
            ring.add(line(1)).unwrap_err();
            assert!(ring.failed && ring.waiting.len() == 1, "{}", path.display());
        }
    }

    fn line(term: u64) -> String {
        Record::default().with("what", "role").with("why", "a reason").with("term", term).line()
    }
}
