//! Hands what libFuzzer makes up to the entry `registry_request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| re6st_fuzz::registry_request(octets));
