//! Does every table of a configuration read as something?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::table(bytes));
