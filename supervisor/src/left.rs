//! What may run on this box? What the configurations say that whoever answers for it has noted.

use std::io;

use board::lease::Lease;

use crate::config::{Config, Identity};

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
