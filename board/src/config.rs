//! Reads the words of a configuration file: its tables, what a device needs of this box, and its secrets.

pub mod requirement;
pub mod secret;
pub mod table;
