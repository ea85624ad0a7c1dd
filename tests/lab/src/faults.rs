//! Brings faults about.

pub(crate) mod cables;
pub(crate) mod flood;
pub mod many_clients;
pub(crate) mod stuck_disk;
