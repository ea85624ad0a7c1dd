//! Keeps the control socket, and the lock beside it, where they belong.
//!
//! The lock decides which supervisor has the place: the kernel takes it back when its holder dies (`flock(2)`).
//! Whether somebody answers at the socket says less: two that start at once would both find the old one silent, and
//! one of them remove the other's.
//!
//! Somebody may remove either while the supervisor runs, or the whole of `/run`. Then it is made anew; and a
//! supervisor that starts meanwhile, and finds no lock, still finds the process that has the old one open.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use board::disk::safe_file::{SafeFile, beside};
use board::process::holder::holder;
use board::thread::deadline::Deadline;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, fchmod, flock};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use rustix::process::Gid;

/// The place of the socket, which is nobody else's until this is dropped, and is cleared then.
pub(crate) struct OwnedSocket(SocketState);

/// What the thread has of it.
#[derive(Clone)]
pub(super) struct SocketState(Arc<Mutex<Option<SocketFiles>>>);

struct SocketFiles {
    path: PathBuf,
    lock: File,
    doors: Vec<Endpoint>,
    /// It could not be made anew, which was said.
    failed: bool,
}

/// A socket, and who may connect besides root and the user of this process.
struct Endpoint {
    path: PathBuf,
    group: Option<Gid>,
    listener: Arc<UnixListener>,
    /// What lies at the path while it is ours: device and inode.
    id: (u64, u64),
}

impl SocketState {
    /// Takes the place at `path`, removes what a supervisor has left there that is dead, and opens a socket there
    /// for this group, and one beside it for each of the other endings.
    ///
    /// # Errors
    ///
    /// When another supervisor has it, or something else is there.
    pub(super) fn take(
        path: &Path,
        doors: &[(&str, Option<Gid>)],
    ) -> io::Result<(Self, OwnedSocket)> {
        // One that was killed just now has it until the kernel has cleared it away.
        let lock = lock(path, DYING)?;
        if let Some(other) = holder(&beside(path, LOCK)) {
            return Err(io::Error::other(format!(
                "another supervisor has it, process {other}, whose files somebody has removed: it makes them anew within \
                 seconds, then see twobox status"
            )));
        }
        let open =
            |(ending, group): &(&str, Option<Gid>)| Endpoint::open(beside(path, ending), *group);
        let doors = doors.iter().map(open).collect::<io::Result<_>>()?;
        let files = SocketFiles { path: path.to_owned(), lock, doors, failed: false };
        let shared = Self(Arc::new(Mutex::new(Some(files))));
        Ok((shared.clone(), OwnedSocket(shared)))
    }

    /// Where clients come in now; nowhere any more when the supervisor ends.
    pub(super) fn listeners(&self) -> Vec<Arc<UnixListener>> {
        let files = self.files();
        files.iter().flat_map(|it| &it.doors).map(|door| door.listener.clone()).collect()
    }

    /// Makes anew what somebody has removed. To be called again and again.
    pub(super) fn restore(&self) {
        let mut files = self.files();
        let Some(files) = &mut *files else { return };
        match files.restore() {
            Ok(()) => files.failed = false,
            Err(error) if !files.failed => {
                files.failed = true;
                log::error!(
                    "somebody has removed the control socket {}, and it cannot be made anew: {error}; trying again",
                    files.path.display()
                );
            }
            Err(_) => {}
        }
    }

    fn files(&self) -> MutexGuard<'_, Option<SocketFiles>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketFiles {
    fn restore(&mut self) -> io::Result<()> {
        if !SafeFile::own(&beside(&self.path, LOCK))?.is(&self.lock) {
            self.lock = lock(&self.path, Duration::ZERO)?;
        }
        for door in &mut self.doors {
            if !door.is_there()? {
                *door = Endpoint::open(door.path.clone(), door.group)?;
                let path = door.path.display();
                log::warn!("somebody has removed the control socket {path}: made anew");
            }
        }
        Ok(())
    }
}

impl Endpoint {
    fn open(path: PathBuf, group: Option<Gid>) -> io::Result<Self> {
        let place = SafeFile::own(&path)?;
        match place.stat()?.map(|it| FileType::from_raw_mode(it.st_mode)) {
            None => {}
            Some(FileType::Socket) => place.remove()?,
            Some(_) => {
                return Err(io::Error::other(
                    "something else is there: remove it, or name another socket",
                ));
            }
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // Its file gets this mode, less the umask: nobody else connects before the group has it.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        bind(&socket, &SocketAddrUnix::new(&path)?)?;
        if let Some(group) = group {
            place.give_to(group, 0o660)?;
        }
        listen(&socket, BACKLOG)?;
        let stat = place.stat()?.ok_or(Errno::NOENT)?;
        let id = (stat.st_dev, stat.st_ino);
        Ok(Self { path, group, listener: Arc::new(UnixListener::from(socket)), id })
    }

    fn is_there(&self) -> io::Result<bool> {
        let there = SafeFile::own(&self.path)?.stat()?;
        Ok(there.is_some_and(|it| (it.st_dev, it.st_ino) == self.id))
    }
}

/// The lock of the place at `path`, if nobody has it for longer than `time`.
fn lock(path: &Path, time: Duration) -> io::Result<File> {
    let file = SafeFile::own(&beside(path, LOCK))?;
    let (lock, _) = file.open_or_make(OFlags::WRONLY, 0o600)?;
    let patience = Deadline::new(time);
    while let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        if error != Errno::WOULDBLOCK {
            return Err(error.into());
        }
        patience.sleep(PAUSE).map_err(|_| {
            io::Error::other("another supervisor has it: this box runs already, see twobox status")
        })?;
    }
    Ok(lock)
}

impl Drop for OwnedSocket {
    fn drop(&mut self) {
        let Some(files) = self.0.files().take() else { return };
        for door in files.doors {
            // The next supervisor makes way for itself if this fails.
            let _ = SafeFile::own(&door.path).and_then(|file| file.remove());
        }
        // A child between fork and exec has the lock too, and would keep it for a moment.
        let _ = flock(&files.lock, FlockOperation::Unlock);
    }
}

/// Beside the socket.
pub(crate) const LOCK: &str = ".lock";

/// A process that was killed is gone within that, also on a busy machine.
const DYING: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// More than can come until the thread has its turn on a busy box.
const BACKLOG: i32 = 128;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    use std::process::{Command, Stdio};
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn of_supervisors_that_start_at_once_one_gets_the_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        for _ in 0..20 {
            // What a supervisor leaves behind that was killed.
            drop(UnixListener::bind(&path).unwrap());
            let (start, end) = (Barrier::new(4), Barrier::new(4));
            let supervisor = || {
                start.wait();
                let place = take(&path);
                end.wait();
                place.is_ok()
            };
            let places = thread::scope(|scope| {
                let all = [(); 4].map(|()| scope.spawn(supervisor));
                all.map(|one| one.join().unwrap()).iter().filter(|got| **got).count()
            });
            assert_eq!(places, 1);
            assert!(!path.exists());
        }
    }

    #[test]
    fn what_somebody_has_removed_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("run");
        let (path, lock) = (folder.join("socket"), folder.join("socket.lock"));
        fs::create_dir(&folder).unwrap();
        let (shared, place) = take(&path).unwrap();
        let first = shared.listeners();
        shared.restore();
        assert!(Arc::ptr_eq(&first[0], &shared.listeners()[0]), "it was there");
        for removed in [vec![&path], vec![&lock], vec![&path, &lock]] {
            for path in removed {
                fs::remove_file(path).unwrap();
            }
            shared.restore();
            assert!(fs::metadata(&path).unwrap().file_type().is_socket());
            assert!(take(&path).is_err(), "another one got the place");
        }
        fs::remove_dir_all(&folder).unwrap();
        shared.restore();
        assert!(!path.exists());
        fs::create_dir(&folder).unwrap();
        // Somebody else's is nobody's.
        drop(UnixListener::bind(&path).unwrap());
        shared.restore();
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert!(!Arc::ptr_eq(&first[0], &shared.listeners()[0]));
        drop(place);
        assert!(!path.exists() && shared.listeners().is_empty());
        shared.restore();
        assert!(!path.exists(), "it ends");
    }

    #[test]
    fn who_finds_no_lock_looks_for_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let removed = directory.path().join("socket.lock");
        let held = File::create(&removed).unwrap();
        fs::remove_file(&removed).unwrap();
        // As a supervisor that has not noticed it yet.
        let mut other =
            Command::new("/bin/sleep").arg("600").stdin(Stdio::from(held)).spawn().unwrap();
        let refused = take(&path).err().unwrap().to_string();
        let told = format!("another supervisor has it, process {}", other.id());
        assert!(refused.starts_with(&told), "{refused}");
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(take(&path).is_ok());
    }

    #[test]
    fn the_kernel_lets_in_whom_the_mode_says() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let groups = [("", None), (".a", Some(Gid::from_raw(60_001)))];
        let _place = SocketState::take(&path, &groups).unwrap();
        let modes = ["", ".a"].map(|ending| {
            let socket = fs::metadata(beside(&path, ending)).unwrap();
            (socket.permissions().mode() & 0o7777, socket.gid())
        });
        assert_eq!(modes, [(0o600, 0), (0o660, 60_001)]);
    }

    #[test]
    fn what_is_no_socket_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        fs::write(&path, "mine").unwrap();
        assert!(take(&path).err().unwrap().to_string().contains("something else is there"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    fn take(path: &Path) -> io::Result<(SocketState, OwnedSocket)> {
        SocketState::take(path, &[("", None)])
    }
}
