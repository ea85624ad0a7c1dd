//! Reads back the configurations noted beside the lease: everything that may still be running here.

use std::io;
use std::path::PathBuf;

use board::disk::lease::{self, Lease};
use board::disk::safe_file::beside;

use crate::config::{Config, Identity};

/// Where the lease of this box is.
pub(crate) fn lease(config: &Config) -> PathBuf {
    beside(&config.control.socket, ".lease")
}

/// The folder in which each service that runs is noted.
pub(crate) fn notes(config: &Config) -> PathBuf {
    lease::notes(&lease(config))
}

/// The configurations of the box called `name` by which something may run here; the newest is the last.
///
/// # Errors
///
/// When they are not known.
pub(crate) fn configs(lease: &Lease, name: &str) -> io::Result<Vec<Config>> {
    let identity = Identity { told: Some(name.to_owned()), ..Identity::default() };
    let read = |text: &String| {
        Config::read(text, &identity).map_err(|_| {
            io::Error::other("a supervisor ran with a configuration that is wrong by now")
        })
    };
    lease.noted()?.iter().map(read).collect()
}
