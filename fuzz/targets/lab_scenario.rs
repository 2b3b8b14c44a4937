//! Hands what libFuzzer makes up to the entry `lab_scenario`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| re6st_fuzz::lab_scenario(octets));
