//! Any bytes as messages, read by two: [`dperf_fuzz::messages`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dperf_fuzz::messages::holds(data));
