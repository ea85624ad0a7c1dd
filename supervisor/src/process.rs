//! Looks after this process: its precedence, its word to init, and its replacement by another program.

pub(crate) mod readiness;
pub(crate) mod realtime;
pub(crate) mod upgrade;
