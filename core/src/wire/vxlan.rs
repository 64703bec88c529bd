//! VXLAN: the header between a UDP datagram and the Ethernet frame that it carries.
//!
//! RFC 7348 section 5.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Malformed;

/// Bytes of the header.
pub const VXLAN_BYTES: usize = size_of::<VxlanHeader>();

/// The UDP port it is sent to.
pub const VXLAN_PORT: u16 = 4789;

/// The flag that says that there is a network identifier; all others are reserved.
const FLAG_VNI: u8 = 0x08;

/// The VXLAN header, 8 bytes.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct VxlanHeader {
    flags: u8,
    reserved: [u8; 3],
    vni: [u8; 3],
    reserved_too: u8,
}

impl VxlanHeader {
    /// The header of network `vni`, of which 24 bits count.
    #[must_use]
    pub fn new(vni: u32) -> VxlanHeader {
        let [_, vni @ ..] = vni.to_be_bytes();
        VxlanHeader { flags: FLAG_VNI, reserved: [0; 3], vni, reserved_too: 0 }
    }

    /// Splits the payload of a UDP datagram into header and the frame it carries.
    #[inline]
    pub fn split(bytes: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        Self::ref_from_prefix(bytes).map_err(|_| Malformed::Truncated)
    }

    /// The network identifier, if there is one. Reserved bits are not looked at.
    #[inline]
    #[must_use]
    pub fn vni(&self) -> Option<u32> {
        let [a, b, c] = self.vni;
        (self.flags & FLAG_VNI != 0).then_some(u32::from_be_bytes([0, a, b, c]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_the_one_the_rfc_draws() {
        let header = VxlanHeader::new(0x0012_3456);
        assert_eq!(header.as_bytes(), [8, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
        assert_eq!(header.vni(), Some(0x0012_3456));
        assert_eq!(VxlanHeader::new(0xff12_3456), header);
    }

    #[test]
    fn only_the_flag_makes_an_identifier() {
        for flags in 0..=255 {
            let bytes = [flags, 1, 2, 3, 0, 0, 42, 4, 9];
            let (header, rest) = VxlanHeader::split(&bytes).unwrap();
            assert_eq!(header.vni(), (flags & 8 != 0).then_some(42));
            assert_eq!(rest, [9]);
        }
        for length in 0..VXLAN_BYTES {
            assert_eq!(VxlanHeader::split(&[8; 8][..length]), Err(Malformed::Truncated));
        }
    }
}
