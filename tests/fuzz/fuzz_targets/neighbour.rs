//! Fuzzes the reader of ARP and neighbour discovery frames.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::neighbour(bytes));
