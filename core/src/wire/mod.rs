//! Views over the bytes of a frame: what is parsed here is exactly what the RFCs draw.
//!
//! The contract of this room:
//!
//! - It imports nothing of the rest of the crate, allocates nothing and copies no payload.
//! - It never panics, whatever the bytes are. A lie in the bytes is a [`Malformed`], never a guess.
//! - Every length is checked once, in `parse` (or `split`). A view that exists is sound: after that
//!   no accessor can fail.
//! - Multi-byte fields are big-endian by their type (`U16`, `U32`), so a header is read and written
//!   in place, without a swap that could be forgotten.
//! - A header is a plain `#[repr(C)]` struct with public fields and alignment 1: it can be laid
//!   over received bytes, or filled in and copied out with `IntoBytes::as_bytes`.
//! - Checksums are the exception to "big-endian by type": [`checksum`] keeps sums in memory order
//!   and hands out bytes to store.
//!
//! `parse` judges structure, not intent: whether an address is ours, a port open or a checksum
//! right is for the caller to ask.

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod headers;
pub mod icmp;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod tcp;
pub mod udp;
pub mod vxlan;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

/// Why bytes are not the header they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// There are fewer bytes than the header needs.
    Truncated,
    /// The IP version is not the one the ethertype promised.
    Version,
    /// The header length (IHL, data offset) is below its minimum or beyond the bytes.
    HeaderLength,
    /// A length field (total length, payload length, UDP length) is below the header's own size or
    /// beyond the bytes.
    TotalLength,
    /// An option has a length that is zero, wrong for its kind or beyond the options.
    Options,
    /// The packet is a fragment; nothing here reassembles.
    Fragment,
    /// The IPv6 extension headers are too many, truncated, misplaced or not ones we can walk.
    ExtensionChain,
    /// The checksum does not match. `parse` never says so, for it does not sum: its caller may.
    Checksum,
    /// The hop limit is not the one the protocol demands.
    HopLimit,
    /// Some other field has a value that is not allowed.
    Value,
}
