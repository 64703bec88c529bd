//! The data plane of dperf-shell, for any packet I/O: `no_std`, no allocation, no clock, no globals.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod frame;
pub mod plan;
pub mod port;
pub mod prefetch;
pub mod stats;
pub mod sync;
pub mod time;
pub mod wire;
