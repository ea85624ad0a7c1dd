//! The one binary: what it reads, what it runs, what it says.

pub mod check;
pub mod cli;
pub mod client;
pub mod config;
pub mod request;
