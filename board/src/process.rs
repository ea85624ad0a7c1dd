//! Runs programs so that nothing of them stays behind, and finds the processes that belong to one.

pub mod account;
pub mod cgroup;
pub mod child;
pub mod command_line;
pub mod descent;
mod entrance;
mod exit;
pub mod guard;
pub mod hardening;
pub mod holder;
pub mod orphans;
pub mod output;
pub mod privileges;
pub mod procfs;
pub mod run;
pub mod signals;
