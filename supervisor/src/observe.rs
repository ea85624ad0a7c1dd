//! Tells people and programs what happens and how the pair is doing.

pub(crate) mod black_box;
pub(crate) mod events;
pub(crate) mod history;
pub(crate) mod hooks;
pub(crate) mod json;
pub(crate) mod latency;
pub(crate) mod logging;
pub(crate) mod names;
pub(crate) mod record;
pub(crate) mod screen;
pub(crate) mod status;
pub(crate) mod takeover_phases;
pub(crate) mod write_status;
