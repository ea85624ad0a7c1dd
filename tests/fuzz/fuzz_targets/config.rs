//! Is every configuration either right or complained about?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::config(bytes));
