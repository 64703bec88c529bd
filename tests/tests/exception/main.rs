//! The way to the kernel: what goes there and what does not, real interfaces, real services.
//!
//! What needs root, DPDK or a program that is lacking is skipped by name, or fails with CI=true.

mod decisions;
mod decisions_ipv6;
mod encapsulated;
mod pair;
mod services;
mod tap;
