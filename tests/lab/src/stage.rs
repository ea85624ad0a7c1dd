//! Builds what the stories play on: boxes, cables, switches, BMCs, and the parts that a process plays.

pub mod bmc;
pub mod config;
pub(crate) mod ethernet;
pub(crate) mod handicaps;
pub mod init;
pub mod isolation;
pub(crate) mod kernel;
pub(crate) mod machine;
pub(crate) mod management;
pub mod null_modem;
pub mod power_switch;
pub mod process;
pub mod roles;
pub mod service;
pub(crate) mod watchdog;
