//! Changes the configuration file when a configuration on trial is kept or given up.
//!
//! It has the one that was proven until the new one is kept: a box that dies meanwhile comes back with that. What
//! is tried lies beside it, under its name with `.new`, so that nothing but a rename is left to do. What was given
//! up lies there with `.rejected`: somebody has worked on it.

use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::fchown;
use std::path::{Path, PathBuf};

use board::disk::safe_file::{NEW, SafeFile, Trust};
use board::thread::capabilities::Rights;
use board::thread::spawn;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::config::{self, mark};

/// Puts what is to be tried beside the file at `path`. Tells whether it stands there already: the file becomes what is
/// `running` then.
///
/// # Errors
///
/// When the file has neither: somebody is at work on it.
pub(crate) fn begin(path: &Path, running: &str, tried: &str) -> io::Result<bool> {
    let file = open(path)?;
    let stands = has(&file, tried)?;
    if !stands && !has(&file, running)? {
        let path = file.path().display();
        return Err(io::Error::other(format!(
            "{path} was changed, and does not run yet: reload it, or put it back"
        )));
    }
    write(&file, NEW, tried)?;
    replace(&file, tried, running).map(|()| stands)
}

/// Whether the file at `path` can be read and has exactly `text`. A mark is too short to prove that to strangers.
pub(crate) fn is_exactly(path: &Path, text: &str) -> bool {
    let stands = open(path).and_then(|file| file.read(config::SIZE_MAX));
    stands.is_ok_and(|stands| stands == text.as_bytes())
}

/// Puts what lies beside the file at `path` in its place, unless that was done before and it has what is `running`.
pub(crate) fn keep(path: &Path, running: &str) -> io::Result<()> {
    let file = open(path)?;
    match file.put(NEW) {
        Err(error) if error.kind() == ErrorKind::NotFound && has(&file, running)? => Ok(()),
        done => done,
    }
}

/// Removes what lies beside the file at `path`.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    open(path)?.beside(NEW).remove()
}

/// Tells of what lies beside the file at `path` since a supervisor ended in the middle of a trial.
pub(crate) fn tell_left(path: &Path) {
    let Ok(file) = open(path) else { return };
    let tried = file.beside(NEW);
    if tried.stat().is_ok_and(|there| there.is_some()) {
        log::warn!(
            "{0} was on trial when twobox ended, and {1} is in force: to try it again put it in the place of {1} and \
             say twobox reload --both; else remove it",
            tried.path().display(),
            file.path().display()
        );
    }
}

/// Puts aside what was `tried` with the file at `path`, soon, and what was `before` back in its place.
pub(crate) fn give_up(path: &Path, before: String, tried: String) {
    let path = path.to_owned();
    let work = move || match reject(&path, &before, &tried) {
        Ok(aside) => log::warn!("what was given up lies in {}", aside.display()),
        Err(error) => {
            log::error!("{}: what was given up is not out of the way: {error}", path.display());
        }
    };
    if let Err(error) = spawn::spawn("trial", Rights::FILES, work) {
        log::error!("the configuration before is not on the disk: {error}");
    }
}

fn reject(path: &Path, before: &str, tried: &str) -> io::Result<PathBuf> {
    let file = open(path)?;
    replace(&file, tried, before)?;
    write(&file, REJECTED, tried)?;
    file.beside(NEW).remove()?;
    Ok(file.beside(REJECTED).path().to_owned())
}

/// Makes a file that has what `from` says one that has `to`; any other is somebody's who has changed it since.
fn replace(file: &SafeFile, from: &str, to: &str) -> io::Result<()> {
    if mark(from) == mark(to) || !has(file, from)? {
        return Ok(());
    }
    write(file, NEXT, to)?;
    file.put(NEXT)
}

/// The file to which `path` leads; what lies beside it lies there too.
fn open(path: &Path) -> io::Result<SafeFile> {
    SafeFile::of(path, Trust::default())
}

fn has(file: &SafeFile, text: &str) -> io::Result<bool> {
    let bytes = file.read(config::SIZE_MAX)?;
    Ok(str::from_utf8(&bytes).is_ok_and(|it| mark(it) == mark(text)))
}

/// Writes `text` beside `file`, with its owner and rights.
fn write(file: &SafeFile, ending: &str, text: &str) -> io::Result<()> {
    let (like, beside) = (file.stat()?.ok_or(Errno::NOENT)?, file.beside(ending));
    beside.remove()?;
    // The mode first, while it is ours, for it takes a right to change another's.
    let mut beside = beside.make(OFlags::WRONLY, like.st_mode & 0o7777)?;
    fchown(&beside, Some(like.st_uid), Some(like.st_gid))?;
    beside.write_all(text.as_bytes())?;
    beside.sync_all()
}

/// What nobody has confirmed.
const REJECTED: &str = ".rejected";
/// What is about to take the place of the file.
const NEXT: &str = ".next";

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
    use std::thread;

    use board::disk::safe_file::beside;

    use super::*;

    #[test]
    fn what_is_kept_takes_the_place_of_the_file_and_its_rights() {
        let room = tempfile::tempdir().unwrap();
        let (real, link) = (room.path().join("real"), room.path().join("link"));
        fs::write(&real, OLD).unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o644)).unwrap();
        symlink(&real, &link).unwrap();
        begin(&link, OLD, "a = 3").unwrap();
        begin(&link, OLD, TRIED).unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), OLD);
        keep(&link, TRIED).unwrap();
        assert_eq!(fs::read_to_string(&link).unwrap(), TRIED);
        assert_eq!(
            fs::metadata(&real).unwrap().mode() & 0o7777,
            0o644,
            "as if there were no umask"
        );
        assert!(link.is_symlink() && !beside(&real, NEW).exists());
        keep(&link, TRIED).expect("it was kept already");
        assert!(keep(&link, OLD).is_err(), "what runs is not in the file");
    }

    #[test]
    fn the_file_has_what_was_proven_until_the_new_one_is_kept() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("file");
        let [new, rejected] = [NEW, REJECTED].map(|ending| beside(&file, ending));
        let says = |path| fs::read_to_string(path).unwrap();
        // On one box somebody has written it, and the other one has only heard of it.
        for mine in [TRIED, OLD] {
            fs::write(&file, mine).unwrap();
            assert_eq!(begin(&file, OLD, TRIED).unwrap(), mine == TRIED);
            assert_eq!((says(&file), says(&new)), (OLD.to_owned(), TRIED.to_owned()));
            reject(&file, OLD, TRIED).unwrap();
            assert_eq!((says(&file), says(&rejected)), (OLD.to_owned(), TRIED.to_owned()));
            assert!(!new.exists());
            begin(&file, OLD, TRIED).unwrap();
            keep(&file, TRIED).unwrap();
            reject(&file, OLD, TRIED).unwrap();
            assert_eq!((says(&file), says(&rejected)), (OLD.to_owned(), TRIED.to_owned()));
        }
        fs::write(&file, "a = 3").unwrap();
        assert!(begin(&file, OLD, TRIED).is_err(), "somebody is at work on it");
        reject(&file, OLD, TRIED).unwrap();
        assert_eq!(says(&file), "a = 3", "what somebody has written since stays");
    }

    #[test]
    fn the_group_of_the_file_stays_its_group() {
        assert!(rustix::process::geteuid().is_root(), "this test wants root, to give a file away");
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("file");
        fs::write(&file, OLD).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        chown(&file, None, Some(23_456)).unwrap();
        let path = file.clone();
        let work = move || {
            Rights::FILES.drop_others();
            begin(&path, OLD, TRIED).and_then(|_| keep(&path, TRIED))
        };
        thread::spawn(work).join().unwrap().unwrap();
        let is = fs::metadata(&file).unwrap();
        assert_eq!((is.uid(), is.gid(), is.mode() & 0o7777), (0, 23_456, 0o640));
        assert_eq!(fs::read_to_string(&file).unwrap(), TRIED);
        // One that others could have written is none to go on with.
        chown(&file, Some(12_345), None).unwrap();
        let error = begin(&file, TRIED, OLD).unwrap_err().to_string();
        assert!(error.contains("belongs to user 12345"), "{error}");
    }

    const OLD: &str = "a = 1";
    const TRIED: &str = "a = 2";
}
