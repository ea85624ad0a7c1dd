//! What is done with bytes from strangers, one function for each target.
//!
//! A target panics where a promise is broken; the fuzzer looks for the bytes that bring it there.

mod bytes;
mod ipmi;
mod letters;
mod node;
mod text;
mod words;

pub use bytes::{deframer, frame_decode, journal, neighbour, netlink};
pub use ipmi::ipmi;
pub use letters::letters;
pub use node::node;
pub use text::text;
pub use words::{config, control, table};
