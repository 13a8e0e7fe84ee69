//! See `pipepost_fuzz_targets::client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pipepost_fuzz_targets::client(data));
