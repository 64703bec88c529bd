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
