//! What the tests share: the simulated pair.

pub mod world;
