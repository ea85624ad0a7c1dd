//! Fuzzes the journal reader: it finds what was written, or nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::journal(bytes));
