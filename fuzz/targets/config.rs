//! Any bytes as a configuration: [`dperf_fuzz::config`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dperf_fuzz::config::holds(data));
