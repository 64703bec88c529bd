//! ARP for IPv4 over Ethernet: a packet that is anything else is refused whole.
//!
//! RFC 826; the fields keep the names of its "Packet format" with the usual abbreviations.

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Malformed;
use super::ethernet::{MacAddr, ethertype};

/// Bytes of an Ethernet/IPv4 ARP packet.
pub const ARP_BYTES: usize = size_of::<ArpPacket>();

/// Hardware type of Ethernet.
pub const HTYPE_ETHERNET: u16 = 1;
/// Operation: who has `tpa`?
pub const OP_REQUEST: u16 = 1;
/// Operation: `spa` is at `sha`.
pub const OP_REPLY: u16 = 2;

const HLEN_ETHERNET: u8 = 6;
const PLEN_IPV4: u8 = 4;

/// An ARP packet that maps IPv4 to Ethernet addresses, 28 bytes.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct ArpPacket {
    /// Hardware address space, [`HTYPE_ETHERNET`].
    pub htype: U16,
    /// Protocol address space, [`ethertype::IPV4`].
    pub ptype: U16,
    /// Bytes of a hardware address, 6.
    pub hlen: u8,
    /// Bytes of a protocol address, 4.
    pub plen: u8,
    /// [`OP_REQUEST`] or [`OP_REPLY`].
    pub op: U16,
    /// Hardware address of the sender.
    pub sha: MacAddr,
    /// IPv4 address of the sender.
    pub spa: [u8; 4],
    /// Hardware address of the target; zero in a request.
    pub tha: MacAddr,
    /// IPv4 address of the target.
    pub tpa: [u8; 4],
}

impl ArpPacket {
    /// Views the packet that follows an Ethernet header; padding after it is ignored.
    pub fn parse(bytes: &[u8]) -> Result<&Self, Malformed> {
        let (packet, _padding) = Self::ref_from_prefix(bytes).map_err(|_| Malformed::Truncated)?;
        let is_ethernet = packet.htype.get() == HTYPE_ETHERNET && packet.hlen == HLEN_ETHERNET;
        let is_ipv4 = packet.ptype.get() == ethertype::IPV4 && packet.plen == PLEN_IPV4;
        if !is_ethernet || !is_ipv4 || !matches!(packet.op.get(), OP_REQUEST | OP_REPLY) {
            return Err(Malformed::Value);
        }
        Ok(packet)
    }

    /// The question "who has `tpa`?" asked by `sha`, `spa`. With `spa == tpa` it announces
    /// (RFC 5227 section 2.3).
    #[must_use]
    pub fn request(sha: MacAddr, spa: [u8; 4], tpa: [u8; 4]) -> Self {
        Self::new(OP_REQUEST, (sha, spa), (MacAddr::ZERO, tpa))
    }

    /// The answer "the address you asked for is at `mac`".
    #[must_use]
    pub fn reply_to(&self, mac: MacAddr) -> Self {
        Self::new(OP_REPLY, (mac, self.tpa), (self.sha, self.spa))
    }

    /// The packet asks, so it may deserve a reply.
    #[inline]
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.op.get() == OP_REQUEST
    }

    fn new(op: u16, (sha, spa): (MacAddr, [u8; 4]), (tha, tpa): (MacAddr, [u8; 4])) -> Self {
        Self {
            htype: HTYPE_ETHERNET.into(),
            ptype: ethertype::IPV4.into(),
            hlen: HLEN_ETHERNET,
            plen: PLEN_IPV4,
            op: op.into(),
            sha,
            spa,
            tha,
            tpa,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DESTINATION_V4, MAC, SOURCE_V4, arp_request};
    use super::*;

    #[test]
    fn request_is_the_oracles() {
        let ours = ArpPacket::request(MAC, SOURCE_V4.octets(), DESTINATION_V4.octets());
        let theirs = arp_request();
        assert_eq!(ours.as_bytes(), theirs);
        let parsed = ArpPacket::parse(&theirs).unwrap();
        assert!(parsed == &ours && parsed.is_request());
    }

    #[test]
    fn reply_turns_the_request_around() {
        let request = ArpPacket::request(MAC, [10, 0, 0, 1], [10, 0, 0, 2]);
        let mac = MacAddr([2, 0, 0, 0, 0, 9]);
        let reply = request.reply_to(mac);
        assert_eq!((reply.sha, reply.spa), (mac, [10, 0, 0, 2]));
        assert_eq!((reply.tha, reply.tpa), (MAC, [10, 0, 0, 1]));
        assert!(!reply.is_request());
        assert_eq!(ArpPacket::parse(reply.as_bytes()), Ok(&reply));
    }

    #[test]
    fn lies_are_refused() {
        let good = arp_request();
        for length in 0..ARP_BYTES {
            assert_eq!(ArpPacket::parse(&good[..length]), Err(Malformed::Truncated));
        }
        for at in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 0x40;
            assert_eq!(ArpPacket::parse(&bytes), Err(Malformed::Value), "byte {at}");
        }
        for op in [0, 3, 0xff] {
            let mut bytes = good.clone();
            bytes[7] = op;
            assert_eq!(ArpPacket::parse(&bytes), Err(Malformed::Value), "op {op}");
        }
    }
}
