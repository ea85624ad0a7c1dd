//! What the pair decides, and nothing else.
#![no_std]
#![forbid(unsafe_code)]

pub mod evidence;
pub mod failback;
pub mod frame;
pub mod heartbeat;
pub mod identity;
pub mod news;
pub mod node;
pub mod order;
pub mod peer;
pub mod reception;
pub mod recovery;
pub mod settings;
pub mod time;
