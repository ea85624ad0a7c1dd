//! The note about one service, beside the lease, by which the next life of the supervisor and the guard find its
//! processes.
//!
//! A number and a start time name a process for as long as the box is up, and only root can write the note. It
//! counts for one boot of the kernel and one PID namespace (`pid_namespaces(7)`): what it names is dead where those
//! are others. It is written before the service starts, and the service's leader adds itself before it becomes the
//! program ([`Entrance`](crate::process::child::Entrance)), so that nothing runs of which there is no note.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::disk::lease;
use crate::disk::safe_file::SafeFile;
use crate::process::cgroup::Cgroup;
use crate::process::procfs::{Id, ProcessEntry};

/// What is noted about a service that runs, or that could not be stopped.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Note {
    /// Tells one way to run it from another.
    pub(super) print: String,
    /// The pipe that it was given to write to, as the kernel calls it.
    pub(super) output: u64,
    /// The cgroup that it is in, if one could be made.
    pub(super) cgroup: Option<Cgroup>,
    /// The socket on which it says how it is, if it was given one.
    pub(super) socket: Option<String>,
    /// The supervisor that has noted it, and answers for it while it lives.
    pub(super) supervisor: Option<Id>,
    /// The process that was started.
    pub(super) leader: Option<Id>,
    /// Others that are known to descend from it.
    pub(super) known: Vec<Id>,
    /// Why it counts as not stopped although none of its processes is left.
    pub(super) failure: Option<String>,
}

impl Note {
    /// The note at `path`; none if there is none of this boot.
    ///
    /// # Errors
    ///
    /// When there is one, and what it says is not known.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let wrong = |error: io::Error| {
            let reason = format!("what runs of it is not known: {}: {error}", path.display());
            io::Error::new(error.kind(), reason)
        };
        let text = match read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(wrong)?,
        };
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        if first != numbers().map_err(wrong)? {
            return Ok(None);
        }
        Self::parse(rest).map(Some).ok_or_else(|| wrong(io::ErrorKind::InvalidData.into()))
    }

    /// Writes it to `path`.
    ///
    /// # Errors
    ///
    /// When that takes it not; what was there before stays.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            DirBuilder::new().mode(0o700).create(folder)?;
        }
        let text = format!("{}\n{}", numbers()?, self.text());
        SafeFile::own(path)?.replace(0o600, text.as_bytes())
    }

    /// What a leader adds itself to.
    ///
    /// # Errors
    ///
    /// When there is no such note.
    pub(super) fn open(path: &Path) -> io::Result<File> {
        SafeFile::own(path)?.open(OFlags::WRONLY | OFlags::APPEND)
    }

    fn text(&self) -> String {
        let id = |Id { pid, started }| format!("{pid} {started}");
        let lines = [
            Some(format!("print {}", self.print)),
            Some(format!("output {}", self.output)),
            self.cgroup.as_ref().map(|it| format!("cgroup {} {}", it.id, it.path)),
            self.socket.as_ref().map(|it| format!("socket {it}")),
            self.failure.as_ref().map(|it| format!("failure {}", it.replace('\n', " "))),
        ];
        let lines = lines.into_iter().flatten();
        let supervisor = self.supervisor.map(|it| format!("supervisor {}", id(it)));
        let leader = self.leader.map(|it| format!("leader {}", id(it)));
        let known = self.known.iter().map(|it| format!("known {}", id(*it)));
        // The leader adds itself behind the last line.
        lines.chain(known).chain(supervisor).chain(leader).map(|line| line + "\n").collect()
    }

    /// Reads what [`Note::text`] has written; it is whole when every line of it ends.
    fn parse(text: &str) -> Option<Self> {
        let mut note = Self::default();
        if !text.ends_with('\n') {
            return None;
        }
        for line in text.lines() {
            let (word, rest) = line.split_once(' ')?;
            let id = || {
                let (pid, started) = rest.split_once(' ')?;
                Some(Id { pid: pid.parse().ok()?, started: started.parse().ok()? })
            };
            match word {
                "print" => rest.clone_into(&mut note.print),
                "output" => note.output = rest.parse().ok()?,
                "cgroup" => {
                    let (number, path) = rest.split_once(' ')?;
                    note.cgroup = Some(Cgroup { path: path.to_owned(), id: number.parse().ok()? });
                }
                "socket" => note.socket = Some(rest.to_owned()),
                "failure" => note.failure = Some(rest.to_owned()),
                "known" => note.known.push(id()?),
                "supervisor" => note.supervisor = Some(id()?),
                "leader" => note.leader = Some(id()?),
                _ => note.leader = Some(ProcessEntry::parse(line)?.id()),
            }
        }
        Some(note)
    }
}

/// Where the note about the resource `name` lies in `folder`.
pub(super) fn path(folder: &Path, name: &str) -> PathBuf {
    let plain = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02x}"),
    };
    folder.join(name.bytes().map(plain).collect::<String>())
}

fn read(path: &Path) -> io::Result<String> {
    String::from_utf8(SafeFile::own(path)?.read(SIZE_MAX)?).map_err(io::Error::other)
}

/// What gives the numbers their meaning: the boot of the kernel, and the PID namespace.
fn numbers() -> io::Result<String> {
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    Ok(format!("{} {}", lease::boot()?.trim_end(), namespace.display()))
}

/// Enough for thousands of processes.
const SIZE_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn full() -> Note {
        Note {
            print: "ec7d4159".to_owned(),
            output: 4711,
            cgroup: Some(Cgroup { path: "/a b/twobox.x.1".to_owned(), id: 77 }),
            socket: Some("twobox/0123".to_owned()),
            supervisor: Some(Id { pid: 41, started: 9998 }),
            leader: Some(Id { pid: 42, started: 9999 }),
            known: vec![Id { pid: 43, started: 1 }, Id { pid: 44, started: 2 }],
            failure: Some("it ended with status 1".to_owned()),
        }
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_a_leader_adds_itself() {
        let room = tempfile::tempdir().unwrap();
        let path = path(&room.path().join("notes"), "203.0.113.10/24 é");
        assert!(path.ends_with("notes/203%2e0%2e113%2e10%2f24%20%c3%a9"), "{}", path.display());
        assert_eq!(Note::read(&path).unwrap(), None);
        for note in [full(), Note::default()] {
            note.write(&path).unwrap();
            assert_eq!(Note::read(&path).unwrap(), Some(note));
        }
        let stat = "7 (a) S (b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 1234 0\n";
        io::Write::write_all(&mut Note::open(&path).unwrap(), stat.as_bytes()).unwrap();
        let leader = Some(Id { pid: 7, started: 1234 });
        assert_eq!(Note::read(&path).unwrap(), Some(Note { leader, ..Note::default() }));
    }

    /// What it cannot have written is not taken for nothing; what is of another boot is.
    #[test]
    fn a_note_that_is_cut_or_no_file_is_an_error_and_one_of_another_boot_is_none() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("x");
        full().write(&path).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        let head = whole.find('\n').unwrap() + 1;
        let ends = |cut: usize| whole.get(..cut).is_some_and(|text| text.ends_with('\n'));
        for cut in 0..whole.len() {
            fs::write(&path, &whole.as_bytes()[..cut]).unwrap();
            let read = Note::read(&path);
            match cut {
                _ if cut < head - 1 => assert_eq!(read.unwrap(), None, "{cut}"),
                _ if cut > head && ends(cut) => assert!(read.unwrap().is_some(), "{cut}"),
                _ => assert!(read.is_err(), "{cut}"),
            }
        }
        fs::write(&path, whole.replacen('-', "x", 1)).unwrap();
        assert_eq!(Note::read(&path).unwrap(), None);
        fs::write(&path, &whole).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
        assert!(Note::read(&path).is_err());
        let other = room.path().join("y");
        symlink(&path, &other).unwrap();
        assert!(Note::read(&other).is_err());
        fs::remove_file(&other).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &other,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(Note::read(&other).is_err());
        assert!(Note::read(room.path()).is_err());
    }
}
