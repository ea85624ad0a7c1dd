//! Looks for what a box must have, so that a device can be used on it.
//!
//! A device says it before it is opened, so that a person learns of what is missing from `twobox check`, and not from
//! the first failover.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::config::secret::Secret;
use crate::disk::safe_file::{self, Trust};
use crate::net::netlink::Netlink;
use crate::process::account::Account;
use crate::process::cgroup::Cgroup;
use crate::process::procfs;
use rustix::thread::{CapabilitySet, capabilities};

/// Something that a device is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Requirement {
    /// A program that can be run as this user, as the supervisor if none is said, and that others cannot change.
    Program(PathBuf, Option<String>),
    /// A network interface.
    Interface(String),
    /// A device such as a tty.
    Device(PathBuf),
    /// A file with a secret, which nobody else can read.
    Secret(PathBuf),
    /// A user and groups that a program runs as, as [`Account::find`] takes them.
    Account(Option<String>, Option<Vec<String>>),
    /// A group whose members are let in.
    ResourceWorker(String),
    /// A folder that files are made in, or that a program runs in.
    Folder(PathBuf),
    /// A file that so many bytes more can be written to, and the section of the configuration that names it.
    Room(PathBuf, u64, &'static str),
    /// Something without which a supervisor starts all the same.
    Later(Box<Self>),
    /// What only root may do, or who has the capability (capabilities(7)).
    Right(Right),
    /// A way to know which processes belong to a service.
    Members,
}

/// A right that a device needs of this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Right {
    /// `CAP_NET_ADMIN`: to add and remove addresses.
    Addresses,
    /// `CAP_NET_RAW`: to ask and tell the neighbours.
    Neighbours,
    /// `CAP_SETUID` and `CAP_SETGID`: to run programs as another user.
    Users,
    /// `CAP_KILL`: to stop programs of other users.
    Signals,
    /// `CAP_SETPCAP`: to give a program fewer rights.
    Bounds,
    /// `CAP_SYS_PTRACE`: to look into programs of other users.
    Looks,
    /// `CAP_CHOWN`: to give a program of another user its output.
    Outputs,
}

impl Requirement {
    /// The folder of a file that is made when it is written.
    pub fn folder_of(file: &Path) -> Self {
        let folder = file.parent().filter(|folder| *folder != Path::new(""));
        Self::Folder(folder.unwrap_or(Path::new(".")).to_owned())
    }

    /// The program that a command begins with.
    pub fn from_program(program: impl Into<PathBuf>) -> Self {
        Self::Program(program.into(), None)
    }

    /// Whether it may still come after the start, as cards and adapters do, or a supervisor without it is better
    /// than none.
    pub const fn can_wait(&self) -> bool {
        match self {
            Self::Interface(_)
            | Self::Device(_)
            | Self::Account(..)
            | Self::ResourceWorker(_)
            | Self::Folder(_)
            | Self::Room(..)
            | Self::Later(_)
            | Self::Members => true,
            Self::Program(..) | Self::Secret(_) | Self::Right(_) => false,
        }
    }

    /// What is wrong with it on this machine, and what to do about it; `None` when it is there.
    pub fn missing(&self) -> Option<String> {
        match self {
            Self::Program(path, user) => missing_program(path, user.as_deref()),
            Self::Interface(name) => {
                missing_interface(name).unwrap_or_else(|error| Some(error.to_string()))
            }
            Self::Account(user, groups) => {
                Some(Account::find(user.as_deref(), groups.as_deref()).err()?.to_string())
            }
            Self::ResourceWorker(name) => Some(Account::group(name).err()?.to_string()),
            Self::Folder(path) => match fs::metadata(path) {
                Ok(file) if file.is_dir() => None,
                Ok(_) => Some(format!("{} is no folder", path.display())),
                Err(error) => Some(format!(
                    "the folder {} is not here: {error}; make it, or correct the path",
                    path.display()
                )),
            },
            Self::Room(path, more, section) => Self::folder_of(path)
                .missing()
                .or_else(|| safe_file::unwritable(path, *more, section)),
            Self::Later(need) => need.missing(),
            Self::Right(right) => right.missing(),
            Self::Members => members_unknown(),
            Self::Secret(path) => {
                let error = Secret::read_line(path).err()?;
                Some(format!("the secret in {}: {error}", path.display()))
            }
            Self::Device(path) => match fs::metadata(path) {
                Ok(file) if file.file_type().is_char_device() => None,
                Ok(_) => Some(format!("{} is no device", path.display())),
                Err(error) => Some(format!(
                    "the device {} is not here: {error}; look at its driver and its name",
                    path.display()
                )),
            },
        }
    }
}

fn missing_interface(name: &str) -> io::Result<Option<String>> {
    let mut netlink = Netlink::open()?;
    let Some(interface) = netlink.interface(name)? else {
        return Ok(Some(format!("there is no interface {name} here; `ip link` lists them")));
    };
    Ok(netlink.port_of(&interface)?.map(|why| format!("{name} is {why}")))
}

fn missing_program(path: &Path, user: Option<&str>) -> Option<String> {
    let account = user.and_then(|user| Account::find(Some(user), None).ok());
    let safe = safe_file::expect_safe(path, Trust::of_program(account.as_ref()));
    let (file, path) = (path, path.display());
    match safe.and_then(|()| fs::metadata(file)) {
        Ok(file) if file.permissions().mode() & 0o111 != 0 => None,
        Ok(_) => Some(format!("{path} cannot be run: chmod +x {path}, or name another")),
        Err(error) if error.raw_os_error().is_none() => Some(format!("the program {path} {error}")),
        Err(error) => Some(format!(
            "the program {path} is not here: {error}; install it, or correct the path"
        )),
    }
}

/// Why nobody can tell which processes belong to a service, if that is so.
fn members_unknown() -> Option<String> {
    let cgroup = Cgroup::make("check").map(|cgroup| cgroup.remove()).err()?;
    let hidden = match procfs::usable() {
        Err(error) => error.to_string(),
        Ok(()) if procfs::hides() && Right::Looks.missing().is_some() => {
            "/proc hides processes of other users: give CAP_SYS_PTRACE".to_owned()
        }
        Ok(()) => return None,
    };
    Some(format!(
        "nobody knows what belongs to it, and its stop fails: no cgroup can be made ({cgroup}), and {hidden}"
    ))
}

impl Right {
    fn missing(self) -> Option<String> {
        let (all, purpose) = match self {
            Self::Addresses => (CapabilitySet::NET_ADMIN, "add and remove addresses"),
            Self::Neighbours => (CapabilitySet::NET_RAW, "ask and tell the neighbours"),
            Self::Users => {
                (CapabilitySet::SETUID | CapabilitySet::SETGID, "run programs as another user")
            }
            Self::Signals => (CapabilitySet::KILL, "stop programs of other users"),
            Self::Bounds => (CapabilitySet::SETPCAP, "take rights from a program"),
            Self::Looks => (
                CapabilitySet::SYS_PTRACE,
                "look into programs of other users, to log them after a restart",
            ),
            Self::Outputs => (
                CapabilitySet::CHOWN,
                "let programs of other users open /dev/stdout and /dev/stderr",
            ),
        };
        // What this thread has dropped others may have still.
        let has = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
        let missing = all.difference(has);
        let names: Vec<_> = missing.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
        (!names.is_empty()).then(|| {
            format!(
                "this process may not {purpose}: start it as root or with {}",
                names.join(" and ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_missing() {
        for need in [
            Requirement::from_program("/bin/sh"),
            Requirement::Interface("lo".to_owned()),
            Requirement::Device("/dev/null".into()),
            Requirement::Account(Some("root".to_owned()), None),
            Requirement::Account(None, Some(vec!["0".to_owned()])),
            Requirement::ResourceWorker("root".to_owned()),
            Requirement::folder_of("/etc/x".as_ref()),
            Requirement::Room("/etc/x".into(), 1, "x"),
        ] {
            assert_eq!(need.missing(), None);
        }
    }

    #[test]
    fn what_is_missing_is_told_by_its_name() {
        for (need, name) in [
            (Requirement::from_program("/nowhere/cut"), "/nowhere/cut"),
            (Requirement::from_program("/etc/passwd"), "chmod +x /etc/passwd"),
            (Requirement::from_program("/etc"), "/etc"),
            (Requirement::Interface("eth77".to_owned()), "eth77"),
            (Requirement::Device("/dev/ttyS77".into()), "/dev/ttyS77"),
            (Requirement::Device("/etc/passwd".into()), "/etc/passwd"),
            (Requirement::Account(Some("nobody-here".to_owned()), None), "user nobody-here"),
            (Requirement::Account(None, Some(vec!["none-here".to_owned()])), "group none-here"),
            (Requirement::ResourceWorker("none-here".to_owned()), "group none-here"),
            (Requirement::folder_of("/nowhere/x".as_ref()), "the folder /nowhere is not here"),
            (Requirement::Room("/nowhere/x".into(), 1, "x"), "the folder /nowhere is not here"),
            (Requirement::Room("/etc".into(), 1, "x"), "is a folder"),
            (Requirement::Folder("/etc/passwd".into()), "/etc/passwd is no folder"),
        ] {
            let reason = need.missing().unwrap();
            assert!(reason.contains(name), "{reason}");
        }
    }
}
