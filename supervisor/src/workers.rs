//! Runs each slow thing on a thread of its own, whose answers come to the loop as an [`Input`](crate::input::Input).

pub(crate) mod checks;
pub(crate) mod fencing;
pub(crate) mod journal;
pub(crate) mod metrics_file;
pub(crate) mod resources;
pub(crate) mod watchdog;
