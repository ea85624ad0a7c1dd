//! A cgroup for the processes of one service (`cgroups(7)`, version 2).
//!
//! The kernel keeps the list. A process that a member starts is a member, even if it changes its environment, its
//! group or its parents. Only root puts a process into it or takes one out. So nothing has to be searched, and no
//! stranger is in it.
//!
//! It is made below the cgroup that the supervisor itself is in, where that is allowed: to root, or where init has
//! delegated it (`Delegate=` of systemd).

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsmount, fsopen,
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::process::procfs;
use crate::thread::capabilities::Rights;

/// A cgroup: its path below the root of the hierarchy, and the number that no other has in this boot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cgroup {
    /// As `/proc/PID/cgroup` has it.
    pub path: String,
    /// The number of its folder.
    pub id: u64,
}

impl Cgroup {
    /// Makes an empty one, called after `name`.
    ///
    /// # Errors
    ///
    /// When this process may make none here, or the kernel has none.
    pub fn make(name: &str) -> io::Result<Self> {
        let own = own_path()?;
        let root = Root::open()?;
        let name: String = name.chars().map(plain).take(NAME_MAX).collect();
        for number in 1..=NUMBER_MAX {
            let path = format!("{}/twobox.{name}.{number}", own.trim_end_matches('/'));
            match Rights::CGROUPS
                .lend(|| mkdirat(&root.0, below(&path), Mode::from_raw_mode(0o755)))
            {
                Ok(()) => {
                    let id = rustix::fs::fstat(root.folder(&path)?)?.st_ino;
                    return Ok(Self { path, id });
                }
                // Where there are so many, boxes that died on this kernel have left them: an empty one may go.
                Err(Errno::EXIST) if number > CROWD => Self::remove_empty(&root, &path),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other(format!("there are {NUMBER_MAX} cgroups of {name} already")))
    }

    /// Fails where it has members, or others below it.
    fn remove_empty(root: &Root, path: &str) {
        let _ = Rights::CGROUPS.lend(|| unlinkat(&root.0, below(path), AtFlags::REMOVEDIR));
    }

    /// Its folder; none if it is not there any more.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    pub fn open(&self) -> io::Result<Option<Folder>> {
        let folder = match Root::open()?.folder(&self.path) {
            Err(Errno::NOENT) => return Ok(None),
            folder => folder?,
        };
        let same = rustix::fs::fstat(&folder)?.st_ino == self.id;
        Ok(same.then_some(Folder(folder)))
    }

    /// Whether the process `pid` is in it, or below; `None` where that cannot be told.
    pub fn has(&self, pid: i32) -> Option<bool> {
        procfs::usable().ok()?;
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let path = unified(&text)?;
        let rest = path.strip_prefix(self.path.as_str());
        Some(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// Removes it; it must be empty. What cannot be removed costs a few bytes until the next boot.
    pub fn remove(&self) {
        let removed = || -> io::Result<()> {
            if let Some(folder) = self.open()? {
                folder.remove_below()?;
                let root = Root::open()?;
                Rights::CGROUPS
                    .lend(|| unlinkat(&root.0, below(&self.path), AtFlags::REMOVEDIR))?;
            }
            Ok(())
        };
        if let Err(error) = removed() {
            log::debug!("the cgroup {} cannot be removed: {error}", self.path);
        }
    }
}

/// The open folder of a cgroup.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// What a process writes `0` to, to become a member.
    ///
    /// # Errors
    ///
    /// When this process may not add any.
    pub fn entrance(&self) -> io::Result<OwnedFd> {
        Ok(openat(&self.0, PROCESSES, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Whether a member lives, in it or below.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    pub fn populated(&self) -> io::Result<bool> {
        let text = read(&self.0, "cgroup.events")?;
        let populated = text.lines().find_map(|line| line.strip_prefix("populated "));
        populated.map(|word| word != "0").ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// All that live, in it and below. One of another PID namespace has no number here, and is left out.
    ///
    /// # Errors
    ///
    /// When they cannot be told.
    pub fn processes(&self) -> io::Result<Vec<Pid>> {
        let mut processes: Vec<_> = read(&self.0, PROCESSES)?
            .lines()
            .filter_map(|line| Pid::from_raw(line.parse().ok()?))
            .collect();
        for folder in self.below()? {
            processes.extend(folder.1.processes()?);
        }
        Ok(processes)
    }

    /// Sends `signal` to each member that `wanted` names.
    ///
    /// # Errors
    ///
    /// When the members cannot be told.
    pub fn signal(&self, signal: Signal, wanted: impl Fn(Pid) -> bool) -> io::Result<()> {
        let held: Vec<_> = self
            .processes()?
            .into_iter()
            .filter(|pid| wanted(*pid))
            .filter_map(|pid| Some((pid, pidfd_open(pid, PidfdFlags::empty()).ok()?)))
            .collect();
        // Looked at once more when the descriptors hold them: a number may have become a stranger's before.
        let still = self.processes()?;
        for (pid, pidfd) in held {
            if still.contains(&pid) {
                // Fails only for one that is dead.
                let _ = pidfd_send_signal(pidfd, signal);
            }
        }
        Ok(())
    }

    /// Kills all of them. They are gone when it is not populated any more.
    ///
    /// # Errors
    ///
    /// When that is not to be done.
    pub fn kill(&self) -> io::Result<()> {
        match write(&self.0, "cgroup.kill", "1") {
            // Before Linux 5.14.
            Err(Errno::NOENT) => self.kill_each(),
            killed => Ok(killed?),
        }
    }

    /// Kills them one by one, frozen, so that none starts another meanwhile.
    fn kill_each(&self) -> io::Result<()> {
        // Without it a process that was started meanwhile is killed at the next look.
        let _ = write(&self.0, "cgroup.freeze", "1");
        let killed = self.signal(Signal::KILL, |_| true);
        let _ = write(&self.0, "cgroup.freeze", "0");
        killed
    }

    fn remove_below(&self) -> io::Result<()> {
        for (name, folder) in self.below()? {
            folder.remove_below()?;
            unlinkat(&self.0, &*name, AtFlags::REMOVEDIR)?;
        }
        Ok(())
    }

    /// The cgroups that its members have made in it.
    fn below(&self) -> io::Result<Vec<(String, Self)>> {
        let mut folders = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type() != FileType::Directory || name.starts_with('.') {
                continue;
            }
            match openat(&self.0, &*name, FOLDER, Mode::empty()) {
                Ok(folder) => folders.push((name, Self(folder))),
                // It has just been removed.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(folders)
    }
}

/// The root of the hierarchy.
struct Root(OwnedFd);

impl Root {
    /// As it is mounted; or, where no mount can be reached, by one that only this descriptor sees.
    fn open() -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounted: Vec<_> = mounts.lines().filter_map(mounted).collect();
        if let Some(root) = mounted.iter().find_map(|(place, _)| there(place)) {
            return Ok(Self(root));
        }
        // All mounts have the options of the last one, so it is given those of the others.
        let options = mounted.first().map_or("", |(_, options)| options);
        Ok(Self(Rights::CGROUPS.lend(|| mount(options))?))
    }

    fn folder(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        openat(&self.0, below(path), FOLDER, Mode::empty())
    }
}

/// Where a line of `mountinfo` (`proc_pid_mountinfo(5)`) says that the whole hierarchy is mounted, and with which
/// options.
fn mounted(line: &str) -> Option<(&str, &str)> {
    let (mount, kind) = line.split_once(" - ")?;
    let mut words = mount.split(' ').skip(3);
    let (root, place) = (words.next()?, words.next()?);
    let mut kind = kind.split(' ');
    (kind.next() == Some("cgroup2") && root == "/").then_some((place, kind.nth(1).unwrap_or("")))
}

/// The hierarchy at `place`, unless something else was mounted over it.
fn there(place: &str) -> Option<OwnedFd> {
    let root = openat(CWD, place, FOLDER, Mode::empty()).ok()?;
    let kind = rustix::fs::fstatfs(&root).ok()?.f_type;
    (u64::try_from(kind) == Ok(CGROUP2_SUPER_MAGIC)).then_some(root)
}

fn mount(options: &str) -> rustix::io::Result<OwnedFd> {
    let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for option in options.split(',').filter(|it| !["", "rw", "ro"].contains(it)) {
        fsconfig_set_flag(context.as_fd(), option)?;
    }
    fsconfig_create(context.as_fd())?;
    let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, quiet)
}

/// The cgroup that this process is in.
fn own_path() -> io::Result<String> {
    let text = fs::read_to_string("/proc/self/cgroup")?;
    let path = unified(&text).ok_or(io::ErrorKind::Unsupported)?;
    // One outside of this cgroup namespace (cgroup_namespaces(7)) cannot be reached.
    if path.split('/').any(|part| part == "..") {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(path.to_owned())
}

/// The path in the version 2 hierarchy, of the lines of `/proc/PID/cgroup`.
fn unified(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// A path as one goes there from the root.
fn below(path: &str) -> &str {
    match path.trim_start_matches('/') {
        "" => ".",
        path => path,
    }
}

fn plain(letter: char) -> char {
    if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' }
}

fn read(folder: &OwnedFd, file: &str) -> io::Result<String> {
    let file = openat(folder, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    io::read_to_string(fs::File::from(file))
}

fn write(folder: &OwnedFd, file: &str, word: &str) -> rustix::io::Result<()> {
    let file = openat(folder, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, word.as_bytes()).map(drop)
}

const PROCESSES: &str = "cgroup.procs";

/// Of `linux/magic.h`.
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A name that a person recognises in a list; the kernel takes 255.
const NAME_MAX: usize = 40;

/// Each box has one for each of its services; only laboratories have several boxes on one kernel.
const NUMBER_MAX: u32 = 1000;
const CROWD: u32 = 100;

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::process::{Child, Command};
    use std::time::Duration;

    use super::*;
    use crate::thread::deadline::Deadline;

    /// What starts others in groups and sessions of their own is killed as a whole, in each of the two ways.
    #[test]
    fn all_that_a_member_starts_is_a_member_and_is_killed() {
        for kill in [Folder::kill, Folder::kill_each] {
            let cgroup =
                Cgroup::make("a test/of it").expect("this test wants root, to make a cgroup");
            assert!(cgroup.path.contains("/twobox.a_test_of_it."), "{}", cgroup.path);
            let folder = cgroup.open().unwrap().unwrap();
            assert!(!folder.populated().unwrap());
            let script =
                "echo 0 >&9; (setsid sh -c 'sleep 631 & setsid sleep 632 &' &); exec sleep 633";
            let mut child = start(&folder, script);
            until(|| folder.processes().unwrap().len() == 3);
            let pid = child.id().cast_signed();
            assert_eq!(cgroup.has(pid), Some(true));
            assert_eq!(cgroup.has(std::process::id().cast_signed()), Some(false));
            kill(&folder).unwrap();
            until(|| !folder.populated().unwrap());
            child.wait().unwrap();
            assert_eq!(cgroup.has(pid), None);
            cgroup.remove();
            assert!(cgroup.open().unwrap().is_none());
        }
    }

    /// A laboratory whose boxes lose their power leaves one for each service that ran.
    #[test]
    fn those_that_the_dead_have_left_are_taken_away() {
        let name = format!("left {}", std::process::id());
        let make = || Cgroup::make(&name).expect("this test wants root, to make a cgroup");
        let all: Vec<_> = (0..=CROWD).map(|_| make()).collect();
        // One more takes the place of the last that is empty, and is made at the next number all the same.
        let more = make();
        assert!(all.last().unwrap().open().unwrap().is_none());
        more.remove();
        all.iter().for_each(Cgroup::remove);
    }

    #[test]
    fn what_members_have_made_below_is_known_and_removed() {
        let cgroup = Cgroup::make("deep").expect("this test wants root, to make a cgroup");
        let folder = cgroup.open().unwrap().unwrap();
        mkdirat(&folder.0, "one", Mode::from_raw_mode(0o755)).unwrap();
        mkdirat(&folder.0, "one/two", Mode::from_raw_mode(0o755)).unwrap();
        let (_, one) = folder.below().unwrap().remove(0);
        let (_, two) = one.below().unwrap().remove(0);
        let mut child = start(&two, "echo 0 >&9; exec sleep 634");
        until(|| folder.processes().unwrap().len() == 1);
        folder.kill().unwrap();
        until(|| !folder.populated().unwrap());
        child.wait().unwrap();
        cgroup.remove();
        assert!(cgroup.open().unwrap().is_none());
    }

    #[test]
    fn the_root_is_found_where_the_whole_of_it_is_mounted() {
        let line = "35 24 0:29 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(mounted(line), Some(("/sys/fs/cgroup", "rw,nsdelegate")));
        assert_eq!(mounted(&line.replace(" / ", " /part ")), None);
        assert_eq!(mounted(&line.replace("cgroup2 cgroup2", "cgroup cgroup")), None);
        assert_eq!(mounted("35 24"), None);
        assert_eq!(unified("9:pids:/x\n0::/a/b\n"), Some("/a/b"));
        assert_eq!(unified("9:pids:/x\n"), None);
    }

    /// A shell whose descriptor 9 is the entrance.
    fn start(folder: &Folder, script: &str) -> Child {
        let entrance = folder.entrance().unwrap();
        rustix::io::fcntl_setfd(&entrance, rustix::io::FdFlags::empty()).unwrap();
        let script = script.replace(">&9", &format!(">&{}", entrance.as_raw_fd()));
        Command::new("/bin/bash").args(["-c", &script]).spawn().unwrap()
    }

    fn until(done: impl Fn() -> bool) {
        let patience = Deadline::new(Duration::from_secs(60));
        while !done() {
            patience.sleep(Duration::from_millis(2)).expect("it does not come");
        }
    }
}
