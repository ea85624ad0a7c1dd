//! Is it our turn to touch what runs on this box?

use std::time::Duration;

use board::lease::Lease;
use board::patience::Patience;

/// The lease of this box, which is taken before anything is touched: a guard may be clearing up just now.
pub(super) struct Waiting {
    pub(super) lease: Lease,
    pub(super) patience: Duration,
    /// What the last holder may have left, if it is ours.
    pub(super) left: Option<bool>,
}

impl Waiting {
    /// Takes the lease once, and tells whether an earlier life may have left something.
    pub(super) fn take(&mut self) -> bool {
        if self.left.is_none() {
            match self.lease.take(&Patience::new(self.patience)) {
                Ok(left) => self.left = Some(left),
                Err(error) => log::error!("cannot take the lease of this box: {error}"),
            }
        }
        self.left.unwrap_or(false)
    }
}
