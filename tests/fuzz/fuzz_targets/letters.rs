//! Fuzzes the reader of letters: no piece breaks it, or makes a letter longer than it may be.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::letters(bytes));
