//! Does any frame bring down the one who reads it?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::frame_decode(bytes));
