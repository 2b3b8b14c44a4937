//! Hands what libFuzzer makes up to the entry `babel_control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| re6st_fuzz::babel_control(octets));
