//! Reads the clock, and waits: for an instant, for a link.

pub mod alarm;
pub mod clock;
pub mod reactor;
