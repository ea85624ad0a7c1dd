//! Finds the account that a program runs as. Names are looked up in `/etc/passwd` and `/etc/group` themselves
//! (`passwd(5)`, `group(5)`): a static binary has no name service, and a box that takes over must not wait for one.

use std::io;
use std::path::Path;

use rustix::process::{Gid, Uid};

use crate::disk::safe_file;

/// A user with its groups.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Account {
    /// Looks up a user and groups, each a name or a number.
    ///
    /// Without `groups` they are those that a login gives: the user's own, and all that list it. Without `user` the
    /// program stays what the supervisor is, and only its supplementary groups change.
    ///
    /// # Errors
    ///
    /// When one of them is in no file.
    pub fn find(user: Option<&str>, groups: Option<&[String]>) -> io::Result<Self> {
        let files = AccountFiles { users: read("/etc/passwd")?, groups: read("/etc/group")? };
        files.find(user, groups).map_err(|reason| io::Error::new(io::ErrorKind::NotFound, reason))
    }

    /// Looks up one group, by name or number.
    ///
    /// # Errors
    ///
    /// When it is in no file.
    pub fn group(name: &str) -> io::Result<Gid> {
        let files = AccountFiles { users: String::new(), groups: read("/etc/group")? };
        files.group(name).map_err(|reason| io::Error::new(io::ErrorKind::NotFound, reason))
    }

    /// What a group is called, its number if it has no name.
    pub fn group_name(group: Gid) -> String {
        let number = group.as_raw().to_string();
        let groups = read("/etc/group").unwrap_or_default();
        let line = lines(&groups).find(|line| line.get(2) == Some(&&*number));
        line.and_then(|line| line.first().map(|&name| name.to_owned())).unwrap_or(number)
    }

    /// The user's number.
    pub const fn uid(&self) -> Uid {
        self.uid
    }

    /// The number of the user's own group.
    pub const fn gid(&self) -> Gid {
        self.gid
    }

    /// The numbers of all its groups.
    pub fn groups(&self) -> impl Iterator<Item = Gid> {
        std::iter::once(self.gid).chain(self.groups.iter().copied())
    }

    /// Makes the calling thread this account. Allocates nothing, so that it may run between fork and exec.
    pub(crate) fn become_it(&self) -> rustix::io::Result<()> {
        rustix::thread::set_thread_groups(&self.groups)?;
        rustix::thread::set_thread_res_gid(self.gid, self.gid, self.gid)?;
        rustix::thread::set_thread_res_uid(self.uid, self.uid, self.uid)
    }
}

fn read(path: &str) -> io::Result<String> {
    match safe_file::look(Path::new(path), SIZE_MAX) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        // Numbers need no file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(io::Error::new(error.kind(), format!("{path}: {error}"))),
    }
}

/// The texts of the two files.
struct AccountFiles {
    users: String,
    groups: String,
}

impl AccountFiles {
    fn find(&self, user: Option<&str>, groups: Option<&[String]>) -> Result<Account, String> {
        let given = groups
            .map(|groups| {
                groups.iter().map(|group| self.group(group)).collect::<Result<Vec<_>, _>>()
            })
            .transpose()?;
        let Some(user) = user else {
            let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
            return Ok(Account { uid, gid, groups: given.unwrap_or_default() });
        };
        // NAME:PASSWORD:UID:GID:COMMENT:HOME:SHELL
        let line = lines(&self.users).find(|line| names(line, user));
        let uid = line.as_ref().and_then(|line| number(line.get(2)?)).or_else(|| number(user));
        let uid = uid.ok_or_else(|| {
            format!("user {user} is not in /etc/passwd: add it, or say its number")
        })?;
        let own = line.as_ref().and_then(|line| number(line.get(3)?)).map(Gid::from_raw);
        let gid = own.or_else(|| given.as_ref()?.first().copied());
        let gid =
            gid.ok_or_else(|| format!("user {user} is not in /etc/passwd: say its groups too"))?;
        let name = line.as_ref().and_then(|line| line.first().copied()).unwrap_or(user);
        let groups = given.unwrap_or_else(|| self.groups_with(name, gid));
        Ok(Account { uid: Uid::from_raw(uid), gid, groups })
    }

    fn group(&self, group: &str) -> Result<Gid, String> {
        // NAME:PASSWORD:GID:USER,USER,...
        lines(&self.groups)
            .find(|line| names(line, group))
            .and_then(|line| number(line.get(2)?))
            .or_else(|| number(group))
            .map(Gid::from_raw)
            .ok_or_else(|| format!("group {group} is not in /etc/group: add it, or say its number"))
    }

    fn groups_with(&self, user: &str, own: Gid) -> Vec<Gid> {
        let listed = lines(&self.groups)
            .filter(|line| {
                line.get(3).is_some_and(|users| users.split(',').any(|name| name == user))
            })
            .filter_map(|line| number(line.get(2)?).map(Gid::from_raw))
            .filter(|group| *group != own);
        std::iter::once(own).chain(listed).collect()
    }
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

/// Whether `line` is about the user or group `said`, a name or a number.
fn names(line: &[&str], said: &str) -> bool {
    line.first() == Some(&said) || (number(said).is_some() && line.get(2) == Some(&said))
}

/// A user or group number; the highest means "no change" to the kernel (`setresuid(2)`), and names nobody.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX)
}

/// A directory service that was written out to files has a few megabytes.
const SIZE_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_brings_the_groups_of_its_login() {
        let ldap = files().find(Some("ldap"), None).unwrap();
        assert_eq!((ldap.uid.as_raw(), ldap.gid.as_raw()), (389, 55));
        assert_eq!(ldap.groups.iter().map(|gid| gid.as_raw()).collect::<Vec<_>>(), [55, 70]);
        assert_eq!(files().find(Some("389"), None).unwrap(), ldap);
    }

    #[test]
    fn groups_that_are_said_are_the_only_ones() {
        let ldap = files().find(Some("ldap"), Some(&["tls".to_owned(), "7".to_owned()])).unwrap();
        assert_eq!(ldap.gid.as_raw(), 55);
        assert_eq!(ldap.groups.iter().map(|gid| gid.as_raw()).collect::<Vec<_>>(), [70, 7]);
    }

    #[test]
    fn nobody_becomes_root_by_mistake() {
        for (user, groups) in [("nobdy", None), ("4294967295", None), ("12345", None), ("", None)] {
            assert!(files().find(Some(user), groups).is_err(), "{user}");
        }
        assert!(files().find(Some("ldap"), Some(&["tsl".to_owned()])).is_err());
    }

    fn files() -> AccountFiles {
        AccountFiles {
            users: "root:x:0:0::/:/bin/sh\nldap:x:389:55::/:/bin/false\n".to_owned(),
            groups: "root:x:0:\nldap:x:55:ldap\ntls:x:70:dns,ldap\nlda:x:71:lda\n".to_owned(),
        }
    }
}
