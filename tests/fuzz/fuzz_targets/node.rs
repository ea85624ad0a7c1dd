//! Does the machine keep its promises whatever happens to it?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::node(bytes));
