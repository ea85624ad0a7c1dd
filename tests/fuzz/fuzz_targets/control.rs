//! Is every line at the control socket either a request or refused?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::control(bytes));
