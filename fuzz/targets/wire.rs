//! Any bytes as a frame: [`dperf_fuzz::wire`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dperf_fuzz::wire::holds(data));
