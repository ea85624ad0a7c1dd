//! Fuzzes the reader of the kernel's netlink answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::netlink(bytes));
