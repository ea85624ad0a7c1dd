//! Speaks with the kernel and with the neighbours about interfaces and addresses.

pub(crate) mod checksum;
pub mod neighbour;
pub mod netlink;
pub mod prefix;
