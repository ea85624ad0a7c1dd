//! Runs work that may take its time on a thread of its own; the loop takes the result in later.

use std::io;

use smol::channel::bounded;

use crate::thread::capabilities::Rights;
use crate::thread::spawn;

/// What `work` comes to, done with `rights`.
///
/// # Errors
///
/// When there can be no thread.
pub async fn aside<T: Send + 'static>(
    name: &str,
    rights: Rights,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (done, result) = bounded(1);
    spawn::spawn(name, rights, move || drop(done.try_send(work())))?;
    result.recv().await.map_err(io::Error::other)
}
