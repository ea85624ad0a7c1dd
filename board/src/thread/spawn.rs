//! Starts a thread with a name that `top -H` shows, a small stack, and no more rights than it needs.
//!
//! A thread is born with the rights of the thread that starts it, and the loop has dropped nearly all of them. So
//! there is one thread that has kept them all and does nothing but start others, the nursery; each of these drops
//! what it does not need as it begins.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread::Builder;

use crate::thread::capabilities::Rights;
use crate::thread::realtime::Priority;

/// Starts a thread that does `work`, with `rights`.
///
/// # Errors
///
/// When the kernel has none left.
pub fn spawn(name: &str, rights: Rights, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let work = move || {
        rights.keep_only();
        work();
    };
    let Some(nursery) = NURSERY.get() else { return bear(name, work) };
    let (tell, born) = sync_channel(1);
    let wish = Wish { name: name.to_owned(), work: Box::new(work), tell };
    nursery.send(wish).map_err(|_| io::Error::other("the nursery of threads has ended"))?;
    born.recv().map_err(|_| io::Error::other("the nursery of threads has ended"))?
}

/// Threads have from now on what the calling thread may have now. Who waits for one does so with
/// `priority`.
///
/// # Errors
///
/// When the kernel has no thread left.
pub fn found_nursery(priority: Priority) -> io::Result<()> {
    let (nursery, wishes) = channel::<Wish>();
    bear("nursery", move || {
        Rights::REAL_TIME.narrow();
        // The loop has it, or it could not be had.
        let _ = priority.take();
        Rights::NONE.narrow();
        for Wish { name, work, tell } in wishes {
            let _ = tell.send(bear(&name, work));
        }
    })?;
    let _ = NURSERY.set(nursery);
    Ok(())
}

fn bear(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work).map(drop)
}

struct Wish {
    name: String,
    work: Box<dyn FnOnce() + Send>,
    tell: SyncSender<io::Result<()>>,
}

static NURSERY: OnceLock<Sender<Wish>> = OnceLock::new();

/// Straight-line code over small buffers; the default of 2 MiB would only be counted as ours.
const STACK: usize = 256 * 1024;
