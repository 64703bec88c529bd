//! Any bytes as headers, read by three: [`dperf_fuzz::headers`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dperf_fuzz::headers::holds(data));
