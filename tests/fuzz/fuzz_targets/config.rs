//! Fuzzes the configuration reader: a file is right, or there is a complaint.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::config(bytes));
