//! Does a frame come through after any noise?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::deframer(bytes));
