//! What moves between the boxes: addresses, processes.
//!
//! A resource has three verbs: start, stop, monitor. They block, each with a [`Patience`]; the group that runs
//! them has a thread of its own.
//!
//! To add a kind: write `resource/NAME.rs` after the model of [`address`], then name it in three places below
//! (`mod`, [`Config`] with its word, [`Config::open`]). The compiler asks for the last when the second is there.

pub mod address;

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::patience::Patience;

/// Something that runs on one of the boxes.
pub trait Resource: Send {
    /// Starts it, and returns when it serves. Starting what runs already is no error.
    ///
    /// # Errors
    ///
    /// When it does not serve, or not in time. What was begun is then taken back by `stop`.
    fn start(&mut self, patience: &Patience) -> io::Result<()>;

    /// Stops it by all means, and returns when it is gone. Stopping what does not run is no error, and neither is
    /// stopping what an earlier life of the supervisor has left behind.
    ///
    /// # Errors
    ///
    /// When it may still be there: the box is then not to be trusted with having released it.
    fn stop(&mut self, patience: &Patience) -> io::Result<()>;

    /// Looks whether it is well, and does what it needs to stay so. Does not wait.
    ///
    /// # Errors
    ///
    /// When it is not well, with the reason.
    fn monitor(&mut self) -> io::Result<()>;

    /// How long from now until `monitor` wants to be called again.
    fn rhythm(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// A descriptor that becomes readable when `monitor` should be called at once: a process that died.
    fn alarm(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
