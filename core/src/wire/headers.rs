//! The headers of the usual segment and the usual datagram in one view each: Ethernet, IPv4 without
//! options, TCP without options or UDP.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::{be16, is_valid, sum, total, words};
use super::ethernet::EthernetHeader;
use super::ipv4::{Ipv4Header, protocol};
use super::tcp::TcpHeader;
use super::udp::{UDP_BYTES, UdpHeader};

/// Ethernet, IPv4 without options, TCP without options: 54 bytes.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct Headers {
    /// Ethernet.
    pub ethernet: EthernetHeader,
    /// IPv4, IHL 5.
    pub ip: Ipv4Header,
    /// TCP, data offset 5.
    pub tcp: TcpHeader,
}

impl Headers {
    /// Both checksums are right; what follows, TCP's options and payload, has so many bytes and
    /// adds up to `behind_sum`.
    #[inline]
    #[must_use]
    pub fn are_undamaged(&self, behind_bytes: usize, behind_sum: u64) -> bool {
        // Addresses and TCP header, which TCP's checksum covers, lie in a row.
        let (_, covered) = self.as_bytes().split_at(COVERED_AT);
        let tcp_bytes = (size_of::<TcpHeader>() + behind_bytes) as u16;
        let pseudo = be16(u16::from(protocol::TCP)) + be16(tcp_bytes);
        let [a, b, c, d] = words(covered);
        is_valid(total(words::<3>(self.ip.as_bytes())))
            & is_valid(total([a, b, c, d, pseudo, behind_sum]))
    }
}

/// Ethernet, IPv4 without options, UDP: 42 bytes.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct DatagramHeaders {
    /// Ethernet.
    pub ethernet: EthernetHeader,
    /// IPv4, IHL 5.
    pub ip: Ipv4Header,
    /// UDP.
    pub udp: UdpHeader,
}

impl DatagramHeaders {
    /// Both checksums are there and right; `payload` is all that follows.
    #[inline]
    #[must_use]
    pub fn are_undamaged(&self, payload: &[u8]) -> bool {
        // Addresses and UDP header, which UDP's checksum covers, lie in a row.
        let (_, covered) = self.as_bytes().split_at(COVERED_AT);
        let udp_bytes = (UDP_BYTES + payload.len()) as u16;
        let pseudo = be16(u16::from(protocol::UDP)) + be16(udp_bytes);
        let [a, b] = words(covered);
        is_valid(total(words::<3>(self.ip.as_bytes())))
            & is_valid(total([a, b, pseudo, sum(payload)]))
            & (self.udp.checksum.get() != 0)
    }
}

/// Where the addresses begin.
const COVERED_AT: usize = size_of::<EthernetHeader>() + core::mem::offset_of!(Ipv4Header, source);

/// Bytes of [`Headers`].
pub const HEADERS_BYTES: usize = size_of::<Headers>();

const _: () = assert!(HEADERS_BYTES == 54);
