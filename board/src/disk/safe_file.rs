//! Opens the files that this program keeps or believes, so that no other user of the machine can lead it to another
//! file, make it wait, or write what it believes.
//!
//! Three rules, each checked on what was opened and never on a name that may lead elsewhere by then:
//!
//! | what | rule |
//! |---|---|
//! | the folders on the way | belong to a user who is trusted ([`Trust`]), and nobody else may write there; in a folder with the sticky bit, such as `/tmp`, only what is trusted itself counts |
//! | a link | is followed where a trusted user has made it; never at the end of a path that is written to |
//! | the file | is a regular file of a trusted user, which others may not write; it is opened without waiting (`O_NONBLOCK`), for a FIFO would make the caller wait for ever |
//!
//! The errors are predicates of the path: the caller says which file it is, and they say what is wrong and what to do.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, RawMode, Stat, chmodat, chownat, fstat};
use rustix::fs::{openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::Gid;

mod room;
mod trust;
mod walk;

pub use room::{no_room, remedy, unwritable};
pub use trust::Trust;
use trust::refuse_kind;
use walk::{SymlinkPolicy, walk};

/// A file, there or not, in a folder that is open: no change of names leads elsewhere any more.
#[derive(Clone, Debug)]
pub struct SafeFile {
    folder: Arc<OwnedFd>,
    name: OsString,
    /// Where it is, without a link on the way.
    path: PathBuf,
    trust: Trust,
}

impl SafeFile {
    /// The file at `path`, which this program writes. A link in its place is refused.
    ///
    /// # Errors
    ///
    /// When a folder on the way is missing, or not safe.
    pub fn own(path: &Path) -> io::Result<Self> {
        walk(path, SymlinkPolicy::OnTheWay, Trust::default())
    }

    /// The file to which `path` leads, which a user of `trust` has written, and this program believes or runs.
    ///
    /// # Errors
    ///
    /// As for [`SafeFile::own`].
    pub fn of(path: &Path, trust: Trust) -> io::Result<Self> {
        walk(path, SymlinkPolicy::Everywhere, trust)
    }

    /// The file that is called the same with an ending.
    #[must_use]
    pub fn beside(&self, ending: &str) -> Self {
        let name = beside(Path::new(&self.name), ending).into_os_string();
        Self { name, path: beside(&self.path, ending), ..self.clone() }
    }

    /// Where it is, without a link on the way.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is there, if anything is.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    pub fn stat(&self) -> io::Result<Option<Stat>> {
        match statat(&*self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether `file` is what is there.
    pub fn is(&self, file: &File) -> bool {
        let there = self.stat().ok().flatten();
        let same = |there: Stat| {
            fstat(file).is_ok_and(|it| it.st_ino == there.st_ino && it.st_dev == there.st_dev)
        };
        there.is_some_and(same)
    }

    /// Opens it.
    ///
    /// # Errors
    ///
    /// When it is not there, is no regular file, or is not safe.
    pub fn open(&self, access: OFlags) -> io::Result<File> {
        // Before it is opened: to open a device may do something to it, and of what is somebody else's the kernel
        // tells less.
        let there = self.stat()?.ok_or(Errno::NOENT)?;
        self.refuse(&there, access)?;
        let file = File::from(openat(&*self.folder, &self.name, access | SAFE, Mode::empty())?);
        // Or else it could be another one by now.
        self.refuse(&fstat(&file)?, access)?;
        Ok(file)
    }

    /// # Errors
    ///
    /// When that is nothing to be opened so.
    fn refuse(&self, stat: &Stat, access: OFlags) -> io::Result<()> {
        refuse_kind(stat)?;
        self.trust.refuse_file(stat, &self.path)?;
        if access.intersects(OFlags::WRONLY | OFlags::RDWR) && stat.st_nlink > 1 {
            return Err(refused("has another name too (a hard link): remove it".to_owned()));
        }
        Ok(())
    }

    /// Opens it, and makes it with exactly `mode`, for the umask does not count, where it is not there. Tells
    /// whether it was made.
    ///
    /// # Errors
    ///
    /// As for [`SafeFile::open`].
    pub fn open_or_make(&self, access: OFlags, mode: u32) -> io::Result<(File, bool)> {
        match self.open(access) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map(|file| (file, false)),
        }
        match self.make(access, mode) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.open(access).map(|file| (file, false))
            }
            new => new.map(|file| (file, true)),
        }
    }

    /// Makes it anew, with exactly `mode`, for the umask does not count.
    ///
    /// # Errors
    ///
    /// When something is there, or the disk does not take it.
    pub fn make(&self, access: OFlags, mode: u32) -> io::Result<File> {
        let flags = access | SAFE | OFlags::CREATE | OFlags::EXCL;
        let file = File::from(openat(&*self.folder, &self.name, flags, Mode::RUSR | Mode::WUSR)?);
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(file)
    }

    /// Reads all of it, of at most so many bytes.
    ///
    /// # Errors
    ///
    /// As for [`SafeFile::open`], and when it is longer.
    pub fn read(&self, most: u64) -> io::Result<Vec<u8>> {
        read_all(self.open(OFlags::RDONLY)?, most)
    }

    /// Writes it anew with `mode`: who reads it finds the old content or the new one, also after a power cut.
    ///
    /// # Errors
    ///
    /// When something else than a file is there, or the disk does not take it; the old content stays.
    pub fn replace(&self, mode: u32, content: &[u8]) -> io::Result<()> {
        if let Some(there) = self.stat()? {
            refuse_kind(&there)?;
        }
        let fresh = self.beside(NEW);
        fresh.remove()?;
        let written = fresh.make(OFlags::WRONLY, mode).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_data()
        });
        written.and_then(|()| self.put(NEW)).inspect_err(|_| {
            let _ = fresh.remove();
        })
    }

    /// Puts the file that is called the same with `ending` in the place of this one.
    ///
    /// # Errors
    ///
    /// When it is not there, or the disk does not take it.
    pub fn put(&self, ending: &str) -> io::Result<()> {
        let fresh = self.beside(ending);
        renameat(&*self.folder, &fresh.name, &*self.folder, &self.name)?;
        self.sync_name()
    }

    /// Removes it, if it is there.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        match unlinkat(&*self.folder, &self.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives what is there, which this process has just made, to `group`, with `mode`.
    ///
    /// # Errors
    ///
    /// When this process may not.
    pub fn give_to(&self, group: Gid, mode: RawMode) -> io::Result<()> {
        chownat(&*self.folder, &self.name, None, Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(chmodat(&*self.folder, &self.name, Mode::from_raw_mode(mode), AtFlags::empty())?)
    }

    /// Writes its name to the disk: a new name is written with its folder (`fsync(2)`).
    ///
    /// # Errors
    ///
    /// When the disk does not take it.
    pub fn sync_name(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        File::from(openat(&*self.folder, ".", flags, Mode::empty())?).sync_all()
    }
}

/// Reads the file to which `path` leads, no matter who has written it, of at most so many bytes: for what is only
/// shown, or looked at before it is believed. Never waits.
///
/// # Errors
///
/// When it is no regular file, cannot be read, or is longer.
pub fn look(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Not even opened: to open a device may do something to it.
    refuse_kind(&rustix::fs::stat(path)?)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    refuse_kind(&fstat(&file)?)?;
    read_all(file, most)
}

/// Looks whether only users of `trust` can change the file that is found at `path`: a program that is about to run.
///
/// # Errors
///
/// When others can, with what to do; or when it is not there.
pub fn expect_safe(path: &Path, trust: Trust) -> io::Result<()> {
    let file = SafeFile::of(path, trust)?;
    let stat = file.stat()?.ok_or(Errno::NOENT)?;
    file.refuse(&stat, OFlags::RDONLY)
}

/// The path of what lies beside the file at `path`, under its name with an ending.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn read_all(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(file.metadata()?.size().min(most) as usize);
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let reason = format!("is longer than the {most} bytes that it may have");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}

/// An error that says itself what to do.
fn refused(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

/// What is to take the place of a file.
pub const NEW: &str = ".new";

/// Follows no link, waits for nothing, gets no terminal, and is not inherited.
const SAFE: OFlags =
    OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests;
