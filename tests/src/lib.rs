//! The worlds in which the pair is tried out, and measured.

pub mod allocations;
pub mod bench;
pub mod conversation;
pub mod lab;
pub mod world;
