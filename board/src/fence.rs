//! Cutting the peer's power, and knowing that it is cut (STONITH).
//!
//! A device does two small things: set the power, and read it back. What makes a fence out of them
//! stands here, once, for every device: the peer counts as fenced only when the device itself has
//! reported [`Power::Off`], never because a command was accepted.
//!
//! To add a device: write `fence/NAME.rs` after the model of [`command`], then name it in three
//! places below (`mod`, [`Config`] with its word, [`Config::open`]). The compiler asks for the last
//! when the second is there.
