//! Fuzzes the filter of texts from outside: each comes out fit to be shown.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::text(bytes));
