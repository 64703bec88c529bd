//! IPv6: a view holds a whole packet and names the upper layer behind its extension headers.
//!
//! RFC 8200 sections 3 and 4. The walk over extension headers is bounded in steps and in bytes;
//! fragments are refused, but for atomic ones (RFC 6946), which are whole packets.

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Malformed;

/// Bytes of the fixed header.
pub const IPV6_BYTES: usize = size_of::<Ipv6Header>();

/// All nodes of the link, RFC 4291 section 2.7.1.
pub const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// The group in which whoever has `address` is asked for it, RFC 4291 section 2.7.1.
#[must_use]
pub fn solicited_node(address: &[u8; 16]) -> [u8; 16] {
    let [.., a, b, c] = *address;
    [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]
}

/// The most extension headers a packet may carry.
pub const MAX_EXTENSIONS: usize = 8;

/// Next-header values of the extension headers that are walked (RFC 8200 section 4). What is
/// encrypted, authenticated or mobile is a protocol like any other that nobody here speaks.
mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const DESTINATION_OPTIONS: u8 = 60;
}

/// The fixed IPv6 header, 40 bytes.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct Ipv6Header {
    /// Version (4 bits, 6), traffic class (8 bits) and flow label (20 bits).
    pub version_class_flow: U32,
    /// Bytes after this header, extension headers included.
    pub payload_length: U16,
    /// What follows this header: an extension header or the upper layer.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}

impl Ipv6Header {
    /// Traffic class: DSCP (6 bits) and ECN (2 bits), RFC 8200 section 7.
    #[inline]
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        let [high, low, ..] = self.version_class_flow.to_bytes();
        (high << 4) | (low >> 4)
    }

    /// A packet without extension headers, traffic class and flow label.
    #[must_use]
    pub fn new(next_header: u8, hop_limit: u8, source: [u8; 16], destination: [u8; 16]) -> Self {
        Self {
            version_class_flow: (6 << 28).into(),
            payload_length: U16::ZERO,
            next_header,
            hop_limit,
            source,
            destination,
        }
    }

    /// Flow label, 20 bits, RFC 6437.
    #[inline]
    #[must_use]
    pub fn flow_label(&self) -> u32 {
        self.version_class_flow.get() & 0x000f_ffff
    }
}

/// What the walked extension headers have in common: hop-by-hop and destination options, routing.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ExtensionHeader {
    next_header: u8,
    /// Units of 8 bytes, not counting the first 8.
    length: u8,
    data: [u8; 6],
}

impl ExtensionHeader {
    /// Bytes of the whole extension header, 8 to 2048.
    fn bytes(&self) -> u16 {
        (u16::from(self.length) + 1) * 8
    }

    /// Read as a routing header: nodes still to be visited.
    fn segments_left(&self) -> u8 {
        self.data[1]
    }

    /// Read as a fragment header, it is the only fragment: offset 0 and M clear (RFC 6946).
    fn is_atomic_fragment(&self) -> bool {
        let [offset_high, offset_low_flags, ..] = self.data;
        offset_high == 0 && offset_low_flags & 0xf9 == 0
    }
}

/// A whole IPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6<'a> {
    /// The fixed header.
    pub header: &'a Ipv6Header,
    /// The upper layer behind the extension headers, one of [`super::ipv4::protocol`].
    pub protocol: u8,
    /// Bytes from the start of the IPv6 header to the upper layer: 40 without extensions.
    pub l4_offset: u16,
    /// The upper layer, link padding cut off.
    pub payload: &'a [u8],
    /// There is a Fragment header: it is the only fragment (RFC 6946).
    pub is_atomic_fragment: bool,
}

impl<'a> Ipv6<'a> {
    /// Views what follows an Ethernet header.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) =
            Ipv6Header::ref_from_prefix(bytes).map_err(|_| Malformed::Truncated)?;
        if header.version_class_flow.get() >> 28 != 6 {
            return Err(Malformed::Version);
        }
        let payload =
            rest.get(..usize::from(header.payload_length.get())).ok_or(Malformed::TotalLength)?;
        let first = UpperLayer {
            protocol: header.next_header,
            extension_bytes: 0,
            payload,
            is_atomic_fragment: false,
        };
        let UpperLayer { protocol, extension_bytes, payload, is_atomic_fragment } = first.walk()?;
        let l4_offset = 40 + extension_bytes;
        Ok(Self { header, protocol, l4_offset, payload, is_atomic_fragment })
    }
}

/// How far the walk over the extension headers has come.
#[derive(Clone, Copy)]
struct UpperLayer<'a> {
    /// What `payload` starts with.
    protocol: u8,
    /// Bytes walked: at most 8 headers of 2048 bytes, so far from overflow.
    extension_bytes: u16,
    /// The bytes not yet walked.
    payload: &'a [u8],
    /// A Fragment header was walked over.
    is_atomic_fragment: bool,
}

impl UpperLayer<'_> {
    /// Steps until what comes next is an upper layer.
    #[inline]
    fn walk(mut self) -> Result<Self, Malformed> {
        for step in 0..=MAX_EXTENSIONS {
            let bytes = match self.protocol {
                // Only right after the fixed header, RFC 8200 section 4.1.
                extension::HOP_BY_HOP if step != 0 => return Err(Malformed::ExtensionChain),
                // It goes on to somebody else, RFC 8200 section 4.4.
                extension::ROUTING if self.peek()?.segments_left() > 0 => {
                    return Err(Malformed::ExtensionChain);
                }
                extension::HOP_BY_HOP | extension::ROUTING | extension::DESTINATION_OPTIONS => {
                    self.peek()?.bytes()
                }
                extension::FRAGMENT if self.peek()?.is_atomic_fragment() => {
                    self.is_atomic_fragment = true;
                    8
                }
                extension::FRAGMENT => return Err(Malformed::Fragment),
                _ => return Ok(self),
            };
            self = self.skip(bytes)?;
        }
        Err(Malformed::ExtensionChain)
    }

    /// The extension header that comes next.
    fn peek(&self) -> Result<&ExtensionHeader, Malformed> {
        let next = ExtensionHeader::ref_from_prefix(self.payload);
        next.map(|(header, _)| header).map_err(|_| Malformed::ExtensionChain)
    }

    /// The walk one extension header of `bytes` bytes further.
    fn skip(self, bytes: u16) -> Result<Self, Malformed> {
        Ok(Self {
            protocol: self.peek()?.next_header,
            extension_bytes: self.extension_bytes + bytes,
            payload: self.payload.get(usize::from(bytes)..).ok_or(Malformed::ExtensionChain)?,
            is_atomic_fragment: self.is_atomic_fragment,
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use smoltcp::wire::IpProtocol;

    use super::super::testing::{DATA, DESTINATION_V6, SOURCE_V6, ipv6};
    use super::*;

    /// A packet whose extension headers are `kinds`, each of 8 bytes and zero but for the chain.
    fn chain(kinds: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        for next in kinds.iter().skip(1).chain([&17]) {
            payload.extend([*next, 0, 0, 0, 0, 0, 0, 0]);
        }
        payload.truncate(kinds.len() * 8);
        payload.extend(DATA);
        ipv6(IpProtocol::from(*kinds.first().unwrap_or(&17)), &payload)
    }

    #[test]
    fn accepts_the_oracles_packet_and_cuts_padding() {
        let mut bytes = ipv6(IpProtocol::Tcp, DATA);
        bytes.extend([0; 9]);
        (bytes[0], bytes[1], bytes[3]) = (0x6a, 0xb5, 0x77);
        let ip = Ipv6::parse(&bytes).unwrap();
        assert_eq!((ip.protocol, ip.l4_offset, ip.payload), (6, 40, DATA));
        assert_eq!(ip.header.source, SOURCE_V6.octets());
        assert_eq!(ip.header.destination, DESTINATION_V6.octets());
        assert_eq!(ip.header.hop_limit, 64);
        assert_eq!((ip.header.traffic_class(), ip.header.flow_label()), (0xab, 0x5_0077));
    }

    #[test]
    fn every_prefix_is_refused() {
        let bytes = chain(&[0, 60]);
        for length in 0..bytes.len() {
            let lie = if length < 40 { Malformed::Truncated } else { Malformed::TotalLength };
            assert_eq!(Ipv6::parse(&bytes[..length]), Err(lie), "{length} bytes");
        }
    }

    #[test]
    fn every_version_but_six_is_refused() {
        for version in (0..16).filter(|version| *version != 6) {
            let mut bytes = chain(&[]);
            bytes[0] = version << 4;
            assert_eq!(Ipv6::parse(&bytes), Err(Malformed::Version));
        }
    }

    #[test]
    fn extension_headers_are_walked() {
        let eight = [0, 60, 43, 44, 60, 60, 60, 60];
        for walked in 0..=8 {
            let bytes = chain(&eight[..walked]);
            let ip = Ipv6::parse(&bytes).unwrap();
            assert_eq!((ip.protocol, ip.payload), (17, DATA));
            assert_eq!(usize::from(ip.l4_offset), 40 + 8 * walked);
            assert_eq!(ip.is_atomic_fragment, walked >= 4);
        }
    }

    #[test]
    fn chains_that_cannot_be_walked_are_refused() {
        let nine = [0, 60, 43, 60, 60, 60, 60, 60, 60];
        for kinds in [&nine[..], &[60, 0], &[0, 0]] {
            assert_eq!(Ipv6::parse(&chain(kinds)), Err(Malformed::ExtensionChain), "{kinds:?}");
        }
    }

    #[test]
    fn what_is_encrypted_or_mobile_is_a_protocol_of_its_own() {
        for kind in [50, 51, 135, 139, 140] {
            let bytes = chain(&[60, kind]);
            let ip = Ipv6::parse(&bytes).unwrap();
            assert_eq!((ip.protocol, ip.l4_offset, ip.payload.len()), (kind, 48, 8 + DATA.len()));
        }
    }

    #[test]
    fn a_packet_that_goes_on_to_somebody_else_is_not_ours() {
        let mut bytes = chain(&[43]);
        assert!(Ipv6::parse(&bytes).is_ok());
        bytes[43] = 1;
        assert_eq!(Ipv6::parse(&bytes), Err(Malformed::ExtensionChain));
    }

    #[test]
    fn every_extension_length_is_held_to_its_word() {
        let mut bytes = ipv6(IpProtocol::from(60), &[0; 48]);
        bytes[40] = 17;
        for units in 0..=255 {
            bytes[41] = units;
            match Ipv6::parse(&bytes) {
                Ok(ip) => assert_eq!(ip.payload.len(), 40 - 8 * usize::from(units)),
                Err(lie) => assert_eq!((lie, units > 5), (Malformed::ExtensionChain, true)),
            }
        }
        // The payload ends inside the extension header.
        for payload_length in 0..8 {
            bytes[5] = payload_length;
            bytes[41] = 0;
            assert_eq!(Ipv6::parse(&bytes), Err(Malformed::ExtensionChain));
        }
    }

    #[test]
    fn only_atomic_fragments_are_packets() {
        for bit in 0..16 {
            let mut bytes = chain(&[44]);
            bytes[42..44].copy_from_slice(&(1_u16 << bit).to_be_bytes());
            let reserved = matches!(bit, 1 | 2);
            assert_eq!(Ipv6::parse(&bytes).is_ok(), reserved, "bit {bit}");
        }
        let mut bytes = chain(&[44]);
        bytes[43] = 1;
        assert_eq!(Ipv6::parse(&bytes), Err(Malformed::Fragment));
    }
}
