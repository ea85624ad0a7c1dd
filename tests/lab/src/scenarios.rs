//! Tells the stories of the lab: what is done to a pair, and what must come of it.

pub(crate) mod artifacts;
pub(crate) mod bmc_sessions;
pub mod cuts;
pub(crate) mod descent;
pub(crate) mod hung_thread;
pub(crate) mod interfaces;
pub mod ldap;
pub(crate) mod letters;
pub(crate) mod limits;
pub(crate) mod loop_calls;
pub(crate) mod manual_fencing;
pub(crate) mod orphans;
pub mod play;
pub(crate) mod races;
pub(crate) mod reloads;
pub(crate) mod rights;
pub mod selftest;
pub mod soak;
pub mod stories;
pub mod storm;
pub(crate) mod strangers;
pub(crate) mod told_plainly;
pub mod tour;
pub(crate) mod trials;
pub(crate) mod vanished;
