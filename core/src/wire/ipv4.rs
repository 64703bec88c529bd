//! IPv4: a view holds a whole datagram, its payload cut to the length the header states.
//!
//! RFC 791 section 3.1. Fragments are refused: nothing here reassembles.

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Malformed, checksum};

/// Bytes of a header without options.
pub const IPV4_BYTES: usize = size_of::<Ipv4Header>();

/// The first byte of a header without options: version 4, IHL 5.
pub const VERSION_IHL: u8 = 0x45;

/// The "don't fragment" bit of [`Ipv4Header::flags_fragment`].
pub const DONT_FRAGMENT: u16 = 0x4000;

/// The bits of [`Ipv4Header::flags_fragment`] that make a datagram a fragment: MF and the offset.
pub const FRAGMENT_MASK: u16 = 0x3fff;

/// What an IP datagram carries (IANA "Assigned Internet Protocol Numbers").
pub mod protocol {
    /// Internet Control Message Protocol.
    pub const ICMP: u8 = 1;
    /// Transmission Control Protocol.
    pub const TCP: u8 = 6;
    /// User Datagram Protocol.
    pub const UDP: u8 = 17;
    /// Internet Control Message Protocol for IPv6.
    pub const ICMPV6: u8 = 58;
}

/// The fixed IPv4 header, 20 bytes.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct Ipv4Header {
    /// Version (4 bits, 4) and Internet header length (4 bits, in 32-bit words).
    pub version_ihl: u8,
    /// Type of service: DSCP (6 bits) and ECN (2 bits), RFC 2474 section 3.
    pub tos: u8,
    /// Bytes of the datagram, header and payload.
    pub total_length: U16,
    /// Identification.
    pub id: U16,
    /// Reserved (1 bit), [`DONT_FRAGMENT`], more fragments, fragment offset (13 bits, in 8 bytes).
    pub flags_fragment: U16,
    /// Time to live, hops.
    pub ttl: u8,
    /// What the payload is, one of [`protocol`].
    pub protocol: u8,
    /// Checksum of the header, options included.
    pub checksum: U16,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}

impl Ipv4Header {
    /// The datagram is a piece of a larger one (MF set, or an offset).
    #[inline]
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.flags_fragment.get() & FRAGMENT_MASK != 0
    }

    /// Bytes of the header the IHL claims, 0 to 60.
    #[inline]
    const fn claimed_bytes(&self) -> u8 {
        (self.version_ihl & 0x0f) * 4
    }
}

/// A whole, unfragmented IPv4 datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4<'a> {
    /// The fixed part of the header.
    pub header: &'a Ipv4Header,
    /// Bytes of the header with its options: 20 to 60, a multiple of 4.
    pub header_bytes: u8,
    /// The options, 0 to 40 bytes, not looked into.
    pub options: &'a [u8],
    /// What the datagram carries: total length less header, link padding cut off.
    pub payload: &'a [u8],
}

impl<'a> Ipv4<'a> {
    /// Views what follows an Ethernet header. The header checksum is not verified here: see
    /// [`Ipv4::checksum_ok`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) =
            Ipv4Header::ref_from_prefix(bytes).map_err(|_| Malformed::Truncated)?;
        if header.version_ihl >> 4 != 4 {
            return Err(Malformed::Version);
        }
        let header_bytes = header.claimed_bytes();
        let (options, rest) = usize::from(header_bytes)
            .checked_sub(IPV4_BYTES)
            .and_then(|options_bytes| rest.split_at_checked(options_bytes))
            .ok_or(Malformed::HeaderLength)?;
        let payload = usize::from(header.total_length.get())
            .checked_sub(usize::from(header_bytes))
            .and_then(|payload_bytes| rest.get(..payload_bytes))
            .ok_or(Malformed::TotalLength)?;
        if header.is_fragment() {
            return Err(Malformed::Fragment);
        }
        Ok(Self { header, header_bytes, options, payload })
    }

    /// The header checksum matches the header, options included.
    #[inline]
    #[must_use]
    pub fn checksum_ok(&self) -> bool {
        checksum::is_valid(checksum::sum(self.header.as_bytes()) + checksum::sum(self.options))
    }
}

#[cfg(test)]
mod tests {
    use smoltcp::wire::IpProtocol;

    use super::super::testing::{DATA, DESTINATION_V4, SOURCE_V4, ipv4};
    use super::*;

    #[test]
    fn accepts_the_oracles_datagram_and_cuts_padding() {
        let mut bytes = ipv4(IpProtocol::Udp, DATA);
        bytes.extend([0; 17]);
        let ip = Ipv4::parse(&bytes).unwrap();
        assert_eq!((ip.header_bytes, ip.options, ip.payload), (20, &[][..], DATA));
        assert_eq!(ip.header.source, SOURCE_V4.octets());
        assert_eq!(ip.header.destination, DESTINATION_V4.octets());
        assert_eq!((ip.header.tos, ip.header.ttl, ip.header.protocol), (0, 64, protocol::UDP));
        assert_eq!(ip.header.flags_fragment.get(), DONT_FRAGMENT);
        assert!(ip.checksum_ok());
        bytes[8] -= 1;
        assert!(!Ipv4::parse(&bytes).unwrap().checksum_ok());
    }

    #[test]
    fn every_prefix_is_refused() {
        let bytes = ipv4(IpProtocol::Udp, DATA);
        for length in 0..bytes.len() {
            let lie = if length < 20 { Malformed::Truncated } else { Malformed::TotalLength };
            assert_eq!(Ipv4::parse(&bytes[..length]), Err(lie), "{length} bytes");
        }
    }

    #[test]
    fn every_version_but_four_is_refused() {
        for version in (0..16).filter(|version| *version != 4) {
            let mut bytes = ipv4(IpProtocol::Udp, DATA);
            bytes[0] = version << 4 | 5;
            assert_eq!(Ipv4::parse(&bytes), Err(Malformed::Version));
        }
    }

    #[test]
    fn every_ihl_is_held_to_its_word() {
        for ihl in 0..16 {
            let mut bytes = ipv4(IpProtocol::Udp, &[7; 40]);
            bytes[0] = 0x40 | ihl;
            match Ipv4::parse(&bytes) {
                Ok(ip) => {
                    assert!(ihl >= 5);
                    assert_eq!(ip.header_bytes, ihl * 4);
                    assert_eq!(ip.payload.len(), 60 - usize::from(ihl) * 4);
                }
                Err(lie) => assert_eq!((lie, ihl < 5), (Malformed::HeaderLength, true)),
            }
            let cut = &bytes[..(usize::from(ihl) * 4).clamp(21, 60) - 1];
            assert!(Ipv4::parse(cut).is_err());
        }
    }

    #[test]
    fn options_are_summed_with_the_header() {
        let mut bytes = ipv4(IpProtocol::Udp, &[7; 40]);
        for ihl in 5..=15 {
            bytes[0] = 0x40 | ihl;
            bytes[10..12].fill(0);
            let stored = checksum::finish(checksum::sum(&bytes[..usize::from(ihl) * 4]));
            bytes[10..12].copy_from_slice(&stored);
            assert!(Ipv4::parse(&bytes).unwrap().checksum_ok(), "ihl {ihl}");
        }
    }

    #[test]
    fn every_total_length_is_held_to_its_word() {
        let mut bytes = ipv4(IpProtocol::Udp, &[7; 40]);
        for total_length in (0..100_u16).chain([u16::MAX]) {
            bytes[2..4].copy_from_slice(&total_length.to_be_bytes());
            let payload = Ipv4::parse(&bytes).map(|ip| ip.payload.len());
            match total_length {
                20..=60 => assert_eq!(payload, Ok(usize::from(total_length) - 20)),
                _ => assert_eq!(payload, Err(Malformed::TotalLength)),
            }
        }
    }

    #[test]
    fn fragments_are_refused() {
        let mut bytes = ipv4(IpProtocol::Udp, DATA);
        for bit in 0..16 {
            bytes[6..8].copy_from_slice(&(1_u16 << bit).to_be_bytes());
            let fragment = Ipv4::parse(&bytes) == Err(Malformed::Fragment);
            assert_eq!(fragment, bit <= 13, "bit {bit}");
        }
    }
}
