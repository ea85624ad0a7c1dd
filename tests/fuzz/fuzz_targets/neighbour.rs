//! Does every frame on the wire claim an address, or not?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::neighbour(bytes));
