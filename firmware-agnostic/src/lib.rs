//! What the pair decides, and nothing else.
#![no_std]
#![forbid(unsafe_code)]

pub mod identity;
