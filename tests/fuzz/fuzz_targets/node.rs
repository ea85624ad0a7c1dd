//! Fuzzes the machine with events in any order, and checks its promises.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::node(bytes));
