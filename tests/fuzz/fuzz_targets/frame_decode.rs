//! Fuzzes the frame decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::frame_decode(bytes));
