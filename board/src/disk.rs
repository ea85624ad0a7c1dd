//! Keeps what must outlive a crash: the journal, the lease, and every file that others must not be able to change.

pub mod journal;
pub mod lease;
pub mod safe_file;
