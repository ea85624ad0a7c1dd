//! The worlds in which the pair is tried out.

pub mod lab;
pub mod world;
