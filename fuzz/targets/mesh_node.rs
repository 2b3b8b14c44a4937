//! Hands what libFuzzer makes up to the entry `mesh_node`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| re6st_fuzz::mesh_node(octets));
