//! Ethernet II framing: a header is split off a frame only when all its 14 bytes are there.
//!
//! IEEE 802.3 clause 3 (frame), IEEE 802.1Q clause 9 (VLAN tag), RFC 894 and RFC 2464 (IP over it).

use core::fmt;

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Malformed;

/// Bytes of an untagged Ethernet header.
pub const ETHERNET_BYTES: usize = size_of::<EthernetHeader>();

/// Bytes a VLAN tag adds after the source address.
pub const VLAN_BYTES: usize = size_of::<VlanTag>();

/// What follows the Ethernet header (IANA "IEEE 802 Numbers").
pub mod ethertype {
    /// Internet Protocol version 4.
    pub const IPV4: u16 = 0x0800;
    /// Address Resolution Protocol.
    pub const ARP: u16 = 0x0806;
    /// An IEEE 802.1Q customer VLAN tag.
    pub const VLAN: u16 = 0x8100;
    /// An IEEE 802.1ad service VLAN tag.
    pub const QINQ: u16 = 0x88a8;
    /// Internet Protocol version 6.
    pub const IPV6: u16 = 0x86dd;
}

/// An IEEE 802 48-bit MAC address, in transmission order.
#[derive(
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
)]
#[repr(transparent)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Every station: ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// No station: 00:00:00:00:00:00.
    pub const ZERO: Self = Self([0; 6]);

    /// Reads the one form we write: six pairs of hexadecimal digits joined by colons, 17
    /// characters in all. Either case is accepted, nothing else is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text: &[u8; 17] = text.as_bytes().try_into().ok()?;
        let mut octets = [0; 6];
        for (octet, group) in octets.iter_mut().zip(text.chunks(3)) {
            let (&[high, low], separator) = group.split_first_chunk()?;
            if !matches!(separator, [] | [b':']) {
                return None;
            }
            *octet = (hex_digit(high)? << 4) | hex_digit(low)?;
        }
        Some(Self(octets))
    }

    /// The address of an IPv6 multicast group, RFC 2464 section 7.
    #[must_use]
    pub const fn of_ipv6_group(group: &[u8; 16]) -> Self {
        Self([0x33, 0x33, group[12], group[13], group[14], group[15]])
    }

    /// The group bit is set: multicast, and broadcast with it.
    #[inline]
    #[must_use]
    pub const fn is_multicast(&self) -> bool {
        self.0[0] & 0x01 != 0
    }

    /// The address is [`MacAddr::BROADCAST`].
    #[inline]
    #[must_use]
    pub fn is_broadcast(&self) -> bool {
        *self == Self::BROADCAST
    }
}

/// The value of one hexadecimal digit, 0 to 15.
const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The Ethernet II header, 14 bytes.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct EthernetHeader {
    /// Destination address.
    pub dst: MacAddr,
    /// Source address.
    pub src: MacAddr,
    /// What follows, one of [`ethertype`].
    pub ethertype: U16,
}

impl EthernetHeader {
    /// Splits a frame (without its FCS) into header and the rest, padding included.
    #[inline]
    pub fn split(frame: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        Self::ref_from_prefix(frame).map_err(|_| Malformed::Truncated)
    }
}

/// The 4 bytes that follow an ethertype of [`ethertype::VLAN`] or [`ethertype::QINQ`].
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct VlanTag {
    /// Tag control information: priority (3 bits), drop eligible (1 bit), VLAN identifier (12).
    pub tci: U16,
    /// What follows the tag, one of [`ethertype`].
    pub ethertype: U16,
}

impl VlanTag {
    /// Splits what follows the tagging ethertype into tag and the rest.
    #[inline]
    pub fn split(bytes: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        Self::ref_from_prefix(bytes).map_err(|_| Malformed::Truncated)
    }

    /// The VLAN identifier, 0 to 4095.
    #[inline]
    #[must_use]
    pub fn id(&self) -> u16 {
        self.tci.get() & 0x0fff
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn mac_is_written_and_read_in_one_form() {
        let mac = MacAddr([0x02, 0xab, 0xcd, 0, 0x7f, 0xff]);
        assert_eq!(mac.to_string(), "02:ab:cd:00:7f:ff");
        assert_eq!(MacAddr::parse("02:ab:cd:00:7f:ff"), Some(mac));
        assert_eq!(MacAddr::parse("02:AB:CD:00:7F:FF"), Some(mac));
        assert!(MacAddr::BROADCAST.is_broadcast() && MacAddr::BROADCAST.is_multicast());
        assert!(!mac.is_multicast() && !MacAddr::ZERO.is_broadcast());
    }

    #[test]
    fn groups_have_addresses() {
        let target = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 0xaa, 0xbb, 0xcc];
        let group = crate::wire::ipv6::solicited_node(&target);
        let drawn: core::net::Ipv6Addr = "ff02::1:ffaa:bbcc".parse().unwrap();
        assert_eq!(group, drawn.octets());
        assert_eq!(MacAddr::of_ipv6_group(&group).to_string(), "33:33:ff:aa:bb:cc");
    }

    #[test]
    fn mac_in_any_other_form_is_refused() {
        for text in [
            "",
            "02:ab:cd:00:7f:f",
            "02:ab:cd:00:7f:fff",
            "02:ab:cd:00:7f:fg",
            "02-ab-cd-00-7f-ff",
            "+2:ab:cd:00:7f:ff",
            " 2:ab:cd:00:7f:ff",
            "02:ab:cd:00:7f:\u{e9}",
            "02ab:cd::00:7f:ff",
        ] {
            assert_eq!(MacAddr::parse(text), None, "{text}");
        }
    }

    #[test]
    fn split_needs_the_whole_header() {
        let frame: [u8; 20] = core::array::from_fn(|at| at as u8);
        for length in 0..ETHERNET_BYTES {
            assert_eq!(EthernetHeader::split(&frame[..length]), Err(Malformed::Truncated));
        }
        let (header, rest) = EthernetHeader::split(&frame).unwrap();
        assert_eq!(header.dst, MacAddr([0, 1, 2, 3, 4, 5]));
        assert_eq!(header.src, MacAddr([6, 7, 8, 9, 10, 11]));
        assert_eq!(header.ethertype.get(), 0x0c0d);
        assert_eq!(rest, [14, 15, 16, 17, 18, 19]);
    }

    #[test]
    fn tag_knows_its_vlan() {
        assert_eq!(VlanTag::split(&[0; 3]), Err(Malformed::Truncated));
        let (tag, rest) = VlanTag::split(&[0xf1, 0x23, 0x08, 0x00, 9]).unwrap();
        assert_eq!((tag.id(), tag.ethertype.get(), rest), (0x123, ethertype::IPV4, &[9][..]));
    }
}
