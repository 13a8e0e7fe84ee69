//! See `pipepost_fuzz_targets::dialogue`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pipepost_fuzz_targets::dialogue(data));
