//! Fuzzes the control socket: a line is a request, or it is refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::control(bytes));
