//! Anything that can happen to two live workers: [`dperf_fuzz::sequence`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dperf_fuzz::sequence::holds(data));
