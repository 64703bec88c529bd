//! The way to the kernel: what goes there and what does not, real interfaces, real services.
//!
//! What needs root, DPDK or a program that is lacking is skipped by name, or fails with CI=true.

mod decisions;
mod pair;
mod services;
mod tap;

use dperf_tests::namespace::skip;
use dperf_tests::program;

/// True if the program can do DPDK; else `test` is skipped by name.
fn needs_dpdk(test: &str) -> bool {
    let has = program::has_dpdk();
    if !has {
        skip(test, "a dperf-shell built with DPDK (cargo build --features dpdk)");
    }
    has
}
