//! The one binary: what it reads, what it runs, what it says.

pub mod config;
