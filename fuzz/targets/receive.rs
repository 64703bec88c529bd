//! Any frames to a live worker: [`dperf_fuzz::receive`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dperf_fuzz::receive::holds(data));
