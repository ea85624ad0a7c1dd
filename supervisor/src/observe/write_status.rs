//! Shares whether a file could be written last: the thread that writes it notes it, and others read it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What both sides know. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteStatus(Arc<Mutex<Option<String>>>);

impl WriteStatus {
    /// Notes how it went.
    pub(crate) fn note(&self, failure: Option<String>) {
        *self.noted() = failure;
    }

    /// Why it could not be written, if it could not.
    pub(crate) fn failure(&self) -> Option<String> {
        self.noted().clone()
    }

    fn noted(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
