//! Finds the process that has a file open, also where somebody has removed the file meanwhile.
//!
//! A lock that its holder keeps on a removed file keeps nobody else away, who makes a new file and locks that. But
//! the links in `/proc/PID/fd` still tell the path, with ` (deleted)` behind it (`proc_pid_fd(5)`).

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, getpid};

/// A process of root's, or of the user of this one, other than this one, that has the file open which is or was at
/// `path`. To look into those of others takes a right: what cannot be seen is not found.
pub fn holder(path: &Path) -> Option<Pid> {
    let path = real(path);
    let own = mount_namespace("self");
    others().find(|pid| {
        // The same path elsewhere is another file.
        is_trusted(*pid) && mount_namespace(&pid.to_string()) == own && has_open(*pid, &path)
    })
}

/// A process that was started by the name and with the word, which everybody may see, and which proves nothing.
pub fn lookalike(name: &str, word: &str) -> Option<Pid> {
    others().find(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        let program = words.next().map(|program| Path::new(OsStr::from_bytes(program)));
        program.and_then(Path::file_name) == Some(OsStr::new(name))
            && words.any(|it| it == word.as_bytes())
    })
}

fn others() -> impl Iterator<Item = Pid> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| *pid != getpid())
}

/// The links have no links in them; the folder may be gone as well.
fn real(path: &Path) -> PathBuf {
    let folder = path.parent().and_then(|folder| fs::canonicalize(folder).ok());
    let name = path.file_name().unwrap_or_default();
    folder.map_or_else(|| path.to_owned(), |folder| folder.join(name))
}

fn is_trusted(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    // Of the four the second counts when it opens something.
    let user = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u32>().ok());
    user.is_some_and(|user| user == 0 || user == rustix::process::geteuid().as_raw())
}

fn mount_namespace(process: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/mnt")).ok()
}

fn has_open(pid: Pid, path: &Path) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|link| {
        let link = link.as_os_str().as_bytes();
        let link = link.strip_suffix(b" (deleted)").unwrap_or(link);
        let name = path.file_name().unwrap_or_default().as_bytes();
        // What was on a disk that is mounted no more has no folder to be named.
        link == path.as_os_str().as_bytes() || link.strip_prefix(b"/") == Some(name)
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_file_has_its_holder_until_that_is_gone() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("lock");
        let file = File::create(&path).unwrap();
        assert_eq!(holder(&path), None, "this process is no other");
        let mut other =
            Command::new("/bin/sleep").arg("600").stdin(Stdio::from(file)).spawn().unwrap();
        let pid = Some(Pid::from_child(&other));
        assert_eq!(holder(&path), pid);
        fs::remove_file(&path).unwrap();
        assert_eq!(holder(&path), pid);
        assert_eq!(holder(&room.path().join("other")), None);
        fs::remove_dir(room.path()).unwrap();
        assert_eq!(holder(&path), pid);
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(holder(&path), None);
    }

    #[test]
    fn a_lookalike_has_the_name_and_the_word() {
        let mut other = Command::new("/bin/sleep").arg("600.25").spawn().unwrap();
        let pid = Some(Pid::from_child(&other));
        while lookalike("sleep", "600.25") != pid {
            std::thread::yield_now();
        }
        assert_eq!(lookalike("sleeper", "600.25"), None);
        assert_eq!(lookalike("sleep", "600.2"), None);
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
