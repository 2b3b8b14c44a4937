//! Hands what libFuzzer makes up to the entry `certificate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| re6st_fuzz::certificate(octets));
