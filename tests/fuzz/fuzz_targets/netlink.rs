//! Is every answer of the kernel read to its end?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::netlink(bytes));
