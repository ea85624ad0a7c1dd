//! Fuzzes the serial deframer: a frame comes through after any noise.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::deframer(bytes));
