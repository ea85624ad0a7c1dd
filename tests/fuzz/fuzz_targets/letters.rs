//! Does any piece of a letter bring down the one who reads it, or make a letter longer than it may be?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::letters(bytes));
