//! Judges whether others than those who are trusted could change a file or a folder.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{FileType, RawMode, Stat};
use rustix::process::{Gid, Uid, geteuid};

use super::refused;
use crate::process::account::Account;

/// The users who may change a file: root, the user of this process, and one more where a program runs as that user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trust {
    users: Vec<Uid>,
    /// Whose members may write, too: those of that user.
    groups: Vec<Gid>,
}

impl Default for Trust {
    fn default() -> Self {
        let users = [Uid::ROOT, geteuid()].into_iter().chain(outsider()).collect();
        Self { users, groups: Vec::new() }
    }
}

impl Trust {
    /// Those who may change a program that runs as `account`, or as this process does.
    pub fn of_program(account: Option<&Account>) -> Self {
        let mut trust = Self::default();
        if let Some(account) = account.filter(|account| !account.uid().is_root()) {
            trust.users.push(account.uid());
            trust.groups.extend(account.groups());
        }
        trust
    }

    /// # Errors
    ///
    /// When others can change the file at `path`.
    pub(super) fn refuse_file(&self, stat: &Stat, path: &Path) -> io::Result<()> {
        let path = path.display();
        if let Some(user) = self.stranger(stat) {
            return Err(refused(format!("belongs to user {user}: run chown root {path}")));
        }
        match self.open_to_others(stat) {
            Some(mode) => Err(refused(format!(
                "can be changed by others (mode {mode:04o}): run chmod go-w {path}"
            ))),
            None => Ok(()),
        }
    }

    /// # Errors
    ///
    /// When others can put something else in the place of what the folder at `path` leads to.
    pub(super) fn refuse_folder(&self, stat: &Stat, path: &Path) -> io::Result<()> {
        let path = path.display();
        if let Some(user) = self.stranger(stat) {
            return Err(refused(format!(
                "is reached through {path}, which belongs to user {user}: run chown root {path}, or name another place"
            )));
        }
        // Where only the owner of a name may remove it, each name is judged by itself.
        let sticky = stat.st_mode as RawMode & STICKY != 0;
        match self.open_to_others(stat).filter(|_| !sticky) {
            Some(mode) => Err(refused(format!(
                "is reached through {path}, which can be changed by others (mode {mode:04o}): run chmod go-w {path}"
            ))),
            None => Ok(()),
        }
    }

    /// # Errors
    ///
    /// When somebody else has made the link at `path`.
    pub(super) fn refuse_link(&self, stat: &Stat, path: &Path) -> io::Result<()> {
        match self.stranger(stat) {
            Some(user) => Err(refused(format!(
                "is reached through the link {}, which belongs to user {user}: name the file that is meant",
                path.display()
            ))),
            None => Ok(()),
        }
    }

    /// The owner, if it is not trusted.
    fn stranger(&self, stat: &Stat) -> Option<u32> {
        (!self.users.contains(&Uid::from_raw(stat.st_uid))).then_some(stat.st_uid)
    }

    /// The mode, if others may write. An access list shows itself in the bits of the group (`acl(5)`).
    fn open_to_others(&self, stat: &Stat) -> Option<RawMode> {
        let mode = stat.st_mode as RawMode & 0o7777;
        let group = mode & 0o020 != 0 && !self.groups.contains(&Gid::from_raw(stat.st_gid));
        (group || mode & 0o002 != 0).then_some(mode)
    }
}

/// # Errors
///
/// When that is no regular file: what else it is.
pub(super) fn refuse_kind(stat: &Stat) -> io::Result<()> {
    let is = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "is a folder, and no file",
        FileType::Fifo => "is a FIFO, and no file",
        FileType::Socket => "is a socket, and no file",
        FileType::Symlink => "is a link: name the file that it leads to",
        _ => "is a device, and no file",
    };
    Err(refused(is.to_owned()))
}

/// The user whom files seem to belong to whose owner is outside of this user namespace (`user_namespaces(7)`): it
/// is for the maker of the namespace to see what they are. Where that number is a user's of the namespace itself,
/// or there is none, nobody is excused.
fn outsider() -> Option<Uid> {
    static OUTSIDER: OnceLock<Option<Uid>> = OnceLock::new();
    *OUTSIDER.get_or_init(|| {
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let outsider = number(&fs::read_to_string("/proc/sys/kernel/overflowuid").ok()?)?;
        let map = fs::read_to_string("/proc/self/uid_map").ok()?;
        (!maps(&map, outsider)).then(|| Uid::from_raw(outsider))
    })
}

/// Whether `map`, lines of `FIRST OUTSIDE COUNT`, has the user `uid`.
fn maps(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            // What cannot be read excuses nobody.
            return true;
        };
        uid.checked_sub(first).is_some_and(|place| place < count)
    })
}

/// `S_ISVTX` of `inode(7)`.
const STICKY: RawMode = 0o1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_outside_of_the_namespace_are_known_by_the_map() {
        let all = "         0          0 4294967295\n";
        let container = "0 100000 65536\n";
        let lonely = "0 1000 1\n";
        assert!(maps(all, 65_534) && maps(container, 65_534) && maps("nonsense", 65_534));
        assert!(!maps(lonely, 65_534) && !maps("0 0 1\n7 7 9\n", 65_534) && !maps("", 65_534));
    }
}
