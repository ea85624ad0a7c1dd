//! Goes to a file folder by folder, each of them opened and judged before the next name is looked up in it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::{SafeFile, Trust, refused};

/// Which links are followed, if a trusted user has made them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SymlinkPolicy {
    /// Those to folders.
    OnTheWay,
    /// And one in the place of the file.
    Everywhere,
}

/// Where `path` leads.
pub(super) fn walk(path: &Path, links: SymlinkPolicy, trust: Trust) -> io::Result<SafeFile> {
    let mut left = Vec::new();
    push(&mut left, &std::path::absolute(path)?);
    let mut at = At::root(&trust)?;
    let mut followed = 0;
    while let Some(name) = left.pop() {
        let file = left.is_empty();
        if name == PARENT {
            at.descend(&name, &trust)?;
            continue;
        }
        let there = at.look(&name)?;
        let link = there.filter(|it| FileType::from_raw_mode(it.st_mode) == FileType::Symlink);
        match link {
            // The caller who opens it refuses it.
            Some(_) if file && links == SymlinkPolicy::OnTheWay => {}
            Some(stat) => {
                followed += 1;
                if followed > LINKS_MAX {
                    return Err(refused("is a link that leads to itself".to_owned()));
                }
                trust.refuse_link(&stat, &at.path.join(&name))?;
                let target = at.target(&name)?;
                if target.is_absolute() {
                    at = At::root(&trust)?;
                }
                push(&mut left, &target);
                continue;
            }
            None => {}
        }
        if file {
            let path = at.path.join(&name);
            return Ok(SafeFile { folder: at.folder.into(), name, path, trust });
        }
        at.descend(&name, &trust)?;
    }
    Err(refused("is a folder, and no file".to_owned()))
}

/// A folder on the way.
struct At {
    folder: OwnedFd,
    path: PathBuf,
}

impl At {
    fn root(trust: &Trust) -> io::Result<Self> {
        let path = PathBuf::from("/");
        let folder = openat(CWD, &path, FOLDER, Mode::empty())?;
        trust.refuse_folder(&fstat(&folder)?, &path)?;
        Ok(Self { folder, path })
    }

    fn look(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Goes on to the folder `name`.
    fn descend(&mut self, name: &OsStr, trust: &Trust) -> io::Result<()> {
        let folder = openat(&self.folder, name, FOLDER, Mode::empty())?;
        if name == PARENT {
            self.path.pop();
        } else {
            self.path.push(name);
        }
        trust.refuse_folder(&fstat(&folder)?, &self.path)?;
        self.folder = folder;
        Ok(())
    }

    fn target(&self, name: &OsStr) -> io::Result<PathBuf> {
        let target = readlinkat(&self.folder, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }
}

/// Puts the names of `path` on the way, the first of them last.
fn push(left: &mut Vec<OsString>, path: &Path) {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(PARENT.into()),
        _ => None,
    });
    let names: Vec<_> = names.collect();
    left.extend(names.into_iter().rev());
}

/// The folder above.
const PARENT: &str = "..";

/// As many as the kernel follows (`path_resolution(7)`).
const LINKS_MAX: u32 = 40;

/// To look up names in it takes no right to read it. With `O_DIRECTORY` a folder that is mounted on demand is mounted.
const FOLDER: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
