//! See `pipepost_fuzz_targets::parameters`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pipepost_fuzz_targets::parameters(data));
