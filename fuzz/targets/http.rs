//! Any bytes as a stream: [`dperf_fuzz::http`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dperf_fuzz::http::holds(data));
