//! Starts a thread with a name that `top -H` shows, a small stack, and no more rights than it needs.
//!
//! A thread is born with the rights of the thread that starts it, and the loop has dropped nearly all of them. So
//! there is one thread that has kept them all and does nothing but start others, the spawner; each of these drops
//! what it does not need as it begins.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread::Builder;

use crate::thread::capabilities::Rights;
use crate::thread::realtime::RealtimePriority;

/// Starts a thread that does `work`, with `rights`.
///
/// # Errors
///
/// When the kernel has none left.
pub fn spawn(name: &str, rights: Rights, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let work = move || {
        rights.drop_others();
        work();
    };
    let Some(spawner) = NURSERY.get() else { return spawn_raw(name, work) };
    let (tell, born) = sync_channel(1);
    let wish = SpawnRequest { name: name.to_owned(), work: Box::new(work), tell };
    spawner.send(wish).map_err(|_| io::Error::other("the nursery of threads has ended"))?;
    born.recv().map_err(|_| io::Error::other("the nursery of threads has ended"))?
}

/// Threads have from now on what the calling thread may have now. Who waits for one does so with
/// `priority`.
///
/// # Errors
///
/// When the kernel has no thread left.
pub fn found_nursery(priority: RealtimePriority) -> io::Result<()> {
    let (spawner, wishes) = channel::<SpawnRequest>();
    spawn_raw("nursery", move || {
        Rights::REAL_TIME.set_effective();
        // The loop has it, or it could not be had.
        let _ = priority.take();
        Rights::NONE.set_effective();
        for SpawnRequest { name, work, tell } in wishes {
            let _ = tell.send(spawn_raw(&name, work));
        }
    })?;
    let _ = NURSERY.set(spawner);
    Ok(())
}

fn spawn_raw(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let born = Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work);
    born.map(drop).map_err(|error| unborn(&error))
}

/// Says that a thread could not be started, and what to do.
pub fn unborn(error: &io::Error) -> io::Error {
    let remedy = match error.kind() {
        // The C library takes only ENOSYS for a call that is not there; a kernel has no reason to say this.
        io::ErrorKind::PermissionDenied => {
            ": the container forbids clone3(2): take a newer container runtime, or another seccomp profile"
        }
        io::ErrorKind::WouldBlock => ": raise TasksMax=, pids.max or ulimit -u",
        _ => "",
    };
    io::Error::new(error.kind(), format!("a thread cannot be started: {error}{remedy}"))
}

struct SpawnRequest {
    name: String,
    work: Box<dyn FnOnce() + Send>,
    tell: SyncSender<io::Result<()>>,
}

static NURSERY: OnceLock<Sender<SpawnRequest>> = OnceLock::new();

/// Straight-line code over small buffers; the default of 2 MiB would only be counted as ours.
const STACK: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// github.com/moby/moby/issues/42680
    #[test]
    fn who_forbids_threads_is_named() {
        for (errno, remedy) in
            [(libc::EPERM, "another seccomp profile"), (libc::EAGAIN, "raise TasksMax=")]
        {
            let told = unborn(&io::Error::from_raw_os_error(errno)).to_string();
            assert!(told.starts_with("a thread cannot be started: "), "{told}");
            assert!(told.contains(remedy), "{told}");
        }
    }
}
