//! What the pair decides, and nothing else.
#![no_std]
#![forbid(unsafe_code)]

pub mod frame;
pub mod heartbeat;
pub mod identity;
pub mod recovery;
pub mod time;
