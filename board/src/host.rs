//! Speaks for this box as a whole: its reset, its init, the users who call.

pub mod init;
pub mod notify;
pub mod peer_credentials;
pub mod plain_text;
pub mod random;
pub mod reset;
