//! Speaks with the kernel and with the neighbours about interfaces and addresses.

pub mod neighbour;
pub mod netlink;
pub mod prefix;
