//! Is what is left of a journal ever more than was written?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::journal(bytes));
