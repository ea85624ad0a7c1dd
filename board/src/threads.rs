//! How is a thread started? With a name that `top -H` shows, and a stack as small as it needs.

use std::io;
use std::thread::Builder;

/// Starts a thread that does `work`.
///
/// # Errors
///
/// When the kernel has none left.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work).map(drop)
}

/// Straight-line code over small buffers; the default of 2 MiB would only be counted as ours.
const STACK: usize = 256 * 1024;
