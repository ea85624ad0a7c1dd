//! What becomes of the configuration file when another one is on trial?
//!
//! Nothing, until that is kept: a box that dies meanwhile comes back with the one that was proven. What is tried lies
//! beside it, under its name with `.new`, so that nothing but a rename is left to do.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use board::rights::Rights;
use board::threads;

use crate::config::mark;

/// Puts `text` beside the file at `path`, with its owner and rights.
pub(crate) fn stage(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let (like, beside) = (fs::metadata(&path)?, beside(&path));
    let _ = fs::remove_file(&beside);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(beside)?;
    // What the umask would take away; and while it is ours, for it takes a right to change another's.
    file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))?;
    fchown(&file, Some(like.uid()), Some(like.gid()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Puts what lies beside the file at `path` in its place.
pub(crate) fn keep(path: &Path) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    fs::rename(beside(&path), &path)?;
    // The name is written with its directory (fsync(2)).
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// Removes what lies beside the file at `path`.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::canonicalize(path).and_then(|path| fs::remove_file(beside(&path)))
}

/// Removes what lies beside the file at `path`, soon; or, if that was `kept` already, puts `before` back in its place.
pub(crate) fn give_up(path: &Path, kept: bool, before: String) {
    let path = path.to_owned();
    let work = move || {
        let shown = path.display();
        let done =
            if kept { stage(&path, &before).and_then(|()| keep(&path)) } else { remove(&path) };
        if let Err(error) = done {
            log::error!("{shown}: the configuration before is not in it: {error}");
        } else if fs::read_to_string(&path).is_ok_and(|text| mark(&text) != mark(&before)) {
            log::error!(
                "{shown} has the configuration that was given up: this box takes it when it starts again, and the other \
                 one does not; put the one before back, or try it again"
            );
        }
    };
    if let Err(error) = threads::spawn("trial", Rights::FILES, work) {
        log::error!("the configuration before is not on the disk: {error}");
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};
    use std::thread;

    use super::*;

    #[test]
    fn what_is_kept_takes_the_place_of_the_file_and_its_rights() {
        let room = tempfile::tempdir().unwrap();
        let (real, link) = (room.path().join("real"), room.path().join("link"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o666)).unwrap();
        symlink(&real, &link).unwrap();
        stage(&link, "newer").unwrap();
        stage(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "old");
        keep(&link).unwrap();
        assert_eq!(fs::read_to_string(&link).unwrap(), "new");
        assert_eq!(
            fs::metadata(&real).unwrap().mode() & 0o7777,
            0o666,
            "as if there were no umask"
        );
        assert!(link.is_symlink() && !beside(&real).exists());
        assert!(keep(&link).is_err());
    }

    #[test]
    fn somebody_elses_file_stays_theirs() {
        assert!(rustix::process::geteuid().is_root(), "this test wants root, to give a file away");
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("file");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        chown(&file, Some(12_345), Some(23_456)).unwrap();
        let path = file.clone();
        let work = move || {
            Rights::FILES.keep_only();
            stage(&path, "new").and_then(|()| keep(&path))
        };
        thread::spawn(work).join().unwrap().unwrap();
        let is = fs::metadata(&file).unwrap();
        assert_eq!((is.uid(), is.gid(), is.mode() & 0o7777), (12_345, 23_456, 0o640));
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }
}
