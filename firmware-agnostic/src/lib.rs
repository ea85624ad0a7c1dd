//! What the pair decides, and nothing else.
//!
//! ```text
//!   bytes ──▶ receiver ───▶ Event::Heartbeat ─┐
//!   resources, fence devices ──▶ Event::Answer ├──▶ Node::step(event, now) ──▶ Actions ──▶ the caller
//!   operator ──▶ Event::Order ────────────────┘          │
//!   a clock  ◀── next_deadline() ◀───────────────────────┘
//! ```
//!
//! No clock, no I/O, no allocator, no randomness: the product, the simulator and the model checker run this very code.
//! To read it, begin with [`heartbeat`] (what is said) and [`node`] (what is decided).
//!
//! | word | meaning |
//! |---|---|
//! | box, peer | this machine, and the other one of the pair |
//! | epoch | names one state of one boot; rises with every change of role, fitness or request |
//! | term | the number of the last takeover in the life of the pair |
//! | evidence | what proves that the peer can hold nothing |
//! | fenced | the peer's power was *seen* off |
//!
//! The promise that everything here serves is *one holder*: at most one box is ever in a role that
//! [holds resources](heartbeat::Role::holds_resources).
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod evidence;
pub mod failback;
pub mod frame;
pub mod heartbeat;
pub mod identity;
pub mod journal;
pub mod letter;
pub mod node;
pub mod order;
pub mod peer;
pub mod receiver;
pub mod recovery;
pub mod report;
pub mod settings;
pub mod time;
