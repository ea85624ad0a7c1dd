//! Fuzzes the reader of a BMC's answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::ipmi(bytes));
