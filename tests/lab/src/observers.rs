//! Watches the pair from outside, and states what is expected of it.

pub mod client;
pub mod expectations;
pub mod failure;
pub mod figures;
pub(crate) mod steady_state;
pub mod watch;
