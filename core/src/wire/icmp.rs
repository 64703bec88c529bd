//! ICMP for IPv4: echo and nothing else; a view is an echo request or an echo reply.
//!
//! RFC 792, "Echo or Echo Reply Message".

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Malformed, checksum};

/// Bytes of an echo header.
pub const ICMP_ECHO_BYTES: usize = size_of::<IcmpEcho>();

/// Type of an echo reply.
pub const ECHO_REPLY: u8 = 0;
/// Type of an echo request.
pub const ECHO_REQUEST: u8 = 8;

/// The header of an echo message, 8 bytes; the data follows.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct IcmpEcho {
    /// Type: [`ECHO_REQUEST`] or [`ECHO_REPLY`].
    pub kind: u8,
    /// Code, 0.
    pub code: u8,
    /// Checksum of header and data.
    pub checksum: U16,
    /// Identifier, which a reply repeats.
    pub ident: U16,
    /// Sequence number, which a reply repeats.
    pub seq: U16,
}

impl IcmpEcho {
    /// Views the payload of an IPv4 datagram. The checksum is not verified here: see
    /// [`checksum_ok`].
    pub fn parse(message: &[u8]) -> Result<&Self, Malformed> {
        let (echo, _data) = Self::ref_from_prefix(message).map_err(|_| Malformed::Truncated)?;
        match (echo.kind, echo.code) {
            (ECHO_REQUEST | ECHO_REPLY, 0) => Ok(echo),
            _ => Err(Malformed::Value),
        }
    }
}

/// The checksum of a whole ICMP message, header and data, matches.
#[must_use]
pub fn checksum_ok(message: &[u8]) -> bool {
    checksum::is_valid(checksum::sum(message))
}

#[cfg(test)]
mod tests {
    use super::super::testing::icmp_echo;
    use super::*;

    #[test]
    fn accepts_the_oracles_echo() {
        let mut bytes = icmp_echo();
        let echo = IcmpEcho::parse(&bytes).unwrap();
        assert_eq!((echo.kind, echo.ident.get(), echo.seq.get()), (ECHO_REQUEST, 0x1234, 7));
        assert!(checksum_ok(&bytes));
        bytes[9] ^= 1;
        assert!(!checksum_ok(&bytes));
    }

    #[test]
    fn lies_are_refused() {
        let mut bytes = icmp_echo();
        for length in 0..ICMP_ECHO_BYTES {
            assert_eq!(IcmpEcho::parse(&bytes[..length]), Err(Malformed::Truncated));
        }
        for kind in 0..=255 {
            bytes[0] = kind;
            assert_eq!(IcmpEcho::parse(&bytes).is_ok(), matches!(kind, 0 | 8), "type {kind}");
        }
        (bytes[0], bytes[1]) = (ECHO_REQUEST, 1);
        assert_eq!(IcmpEcho::parse(&bytes), Err(Malformed::Value));
    }
}
