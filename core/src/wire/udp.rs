//! UDP: a view holds a whole datagram, its payload cut to the length the header states.
//!
//! RFC 768, "Format".

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Malformed;

/// Bytes of the header.
pub const UDP_BYTES: usize = size_of::<UdpHeader>();

/// The UDP header, 8 bytes.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct UdpHeader {
    /// Source port.
    pub source_port: U16,
    /// Destination port.
    pub destination_port: U16,
    /// Bytes of the datagram, header and payload.
    pub length: U16,
    /// Checksum of pseudo-header, header and payload; over IPv4 zero means none was made.
    pub checksum: U16,
}

/// A whole UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp<'a> {
    /// The header.
    pub header: &'a UdpHeader,
    /// The data: length less header.
    pub payload: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Views the payload of an IP packet. The checksum is not verified here.
    #[inline]
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) =
            UdpHeader::ref_from_prefix(datagram).map_err(|_| Malformed::Truncated)?;
        let payload = usize::from(header.length.get())
            .checked_sub(UDP_BYTES)
            .and_then(|payload_bytes| rest.get(..payload_bytes))
            .ok_or(Malformed::TotalLength)?;
        Ok(Self { header, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DATA, udp};
    use super::*;

    #[test]
    fn accepts_the_oracles_datagram_and_cuts_padding() {
        let mut bytes = udp();
        bytes.push(0);
        let datagram = Udp::parse(&bytes).unwrap();
        assert_eq!(datagram.header.source_port.get(), 40000);
        assert_eq!(datagram.header.destination_port.get(), 53);
        assert_eq!(datagram.payload, DATA);
    }

    #[test]
    fn lies_are_refused() {
        let mut bytes = udp();
        for length in 0..bytes.len() {
            let lie = if length < 8 { Malformed::Truncated } else { Malformed::TotalLength };
            assert_eq!(Udp::parse(&bytes[..length]), Err(lie), "{length} bytes");
        }
        for length in (0..40_u16).chain([u16::MAX]) {
            bytes[4..6].copy_from_slice(&length.to_be_bytes());
            let payload = Udp::parse(&bytes).map(|datagram| datagram.payload.len());
            match length {
                8..=17 => assert_eq!(payload, Ok(usize::from(length) - 8)),
                _ => assert_eq!(payload, Err(Malformed::TotalLength)),
            }
        }
    }
}
