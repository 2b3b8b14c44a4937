//! Hands what libFuzzer makes up to the entry `tunnel_profile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| re6st_fuzz::tunnel_profile(octets));
