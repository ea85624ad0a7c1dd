//! Is every answer of a BMC, or of somebody in its place, read to its end?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::ipmi(bytes));
