//! How a device spreads packets over its queues by a hash, told completely, so that the plan can
//! reckon with it.

use dperf_core::steer::{Hash, Rss};

/// The key that Microsoft published with numbers to check the hash by, and more bytes for devices
/// that take more.
pub const KEY: [u8; 52] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa, 0x9e, 0x37, 0x79, 0xb9, 0x7f, 0x4a, 0x7c, 0x15,
    0xf3, 0x9c, 0xc0, 0x60,
];

/// Entries of a table of our own.
const ENTRIES: usize = 128;

/// A device's choice, for as long as the process lives.
pub fn lend(hash: Hash, table: Vec<u16>) -> Rss<'static> {
    Rss::new(Box::leak(Box::new(hash)), Vec::leak(table))
}

/// Toeplitz's hash of addresses and ports under [`KEY`], over `queues` queues evenly.
pub fn even(ipv6: bool, queues: u16) -> Rss<'static> {
    let table = (0..queues.max(1)).cycle().take(ENTRIES).collect();
    lend(Hash::toeplitz(&KEY, ipv6, true), table)
}

/// How many queues `rss` knows.
pub fn queues(rss: &Rss<'_>) -> u16 {
    rss.table().iter().max().map_or(0, |highest| highest + 1)
}
