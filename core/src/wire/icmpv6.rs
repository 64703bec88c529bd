//! ICMPv6: echo (RFC 4443) and neighbor discovery (RFC 4861), each validated as its RFC demands.
//!
//! The walk over neighbor discovery options is bounded by the message: an option of length zero,
//! which would loop, is an error.

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::ethernet::MacAddr;
use super::ipv4::protocol;
use super::{Malformed, checksum};

/// Bytes of a neighbor solicitation or advertisement without options.
pub const NEIGHBOR_BYTES: usize = size_of::<NeighborSolicitation>();

/// Bytes of a link-layer address option for Ethernet.
pub const LINK_LAYER_OPTION_BYTES: usize = size_of::<LinkLayerOption>();

/// Type of an echo request, RFC 4443 section 4.1.
pub const ECHO_REQUEST: u8 = 128;
/// Type of an echo reply, RFC 4443 section 4.2.
pub const ECHO_REPLY: u8 = 129;
/// Type of a router solicitation, RFC 4861 section 4.1.
pub const ROUTER_SOLICITATION: u8 = 133;
/// Type of a router advertisement, RFC 4861 section 4.2.
pub const ROUTER_ADVERTISEMENT: u8 = 134;
/// Type of a neighbor solicitation, RFC 4861 section 4.3.
pub const NEIGHBOR_SOLICITATION: u8 = 135;
/// Type of a neighbor advertisement, RFC 4861 section 4.4.
pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;

/// Option: the sender's link-layer address, RFC 4861 section 4.6.1.
pub const SOURCE_LINK_LAYER: u8 = 1;
/// Option: the target's link-layer address, RFC 4861 section 4.6.1.
pub const TARGET_LINK_LAYER: u8 = 2;

/// Neighbor discovery is valid only from the link itself: no router has forwarded it.
pub const NEIGHBOR_HOP_LIMIT: u8 = 255;

/// Advertisement flag R: the sender is a router.
pub const FLAG_ROUTER: u32 = 0x8000_0000;
/// Advertisement flag S: it answers a solicitation.
pub const FLAG_SOLICITED: u32 = 0x4000_0000;
/// Advertisement flag O: it replaces what a cache holds.
pub const FLAG_OVERRIDE: u32 = 0x2000_0000;

/// The header of an echo message, 8 bytes; the data follows. RFC 4443 section 4.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct Icmpv6Echo {
    /// Type: [`ECHO_REQUEST`] or [`ECHO_REPLY`].
    pub kind: u8,
    /// Code, 0.
    pub code: u8,
    /// Checksum of pseudo-header, header and data.
    pub checksum: U16,
    /// Identifier, which a reply repeats.
    pub ident: U16,
    /// Sequence number, which a reply repeats.
    pub seq: U16,
}

impl Icmpv6Echo {
    /// Views the upper layer of an IPv6 packet. The checksum is not verified here: see
    /// [`checksum_ok`].
    pub fn parse(message: &[u8]) -> Result<&Self, Malformed> {
        let (echo, _data) = Self::ref_from_prefix(message).map_err(|_| Malformed::Truncated)?;
        match (echo.kind, echo.code) {
            (ECHO_REQUEST | ECHO_REPLY, 0) => Ok(echo),
            _ => Err(Malformed::Value),
        }
    }
}

/// A neighbor solicitation without its options, 24 bytes. RFC 4861 section 4.3.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct NeighborSolicitation {
    /// Type, [`NEIGHBOR_SOLICITATION`].
    pub kind: u8,
    /// Code, 0.
    pub code: u8,
    /// Checksum of pseudo-header, message and options.
    pub checksum: U16,
    /// Sent as zero, ignored when received.
    pub reserved: U32,
    /// The address asked about, never multicast.
    pub target: [u8; 16],
}

impl NeighborSolicitation {
    /// Views the upper layer of an IPv6 packet that came with `hop_limit`, and finds the source
    /// link-layer address option. RFC 4861 section 7.1.1; the checksum is not verified here: see
    /// [`checksum_ok`].
    pub fn parse(message: &[u8], hop_limit: u8) -> Result<(&Self, Option<MacAddr>), Malformed> {
        let (solicitation, options) =
            Self::ref_from_prefix(message).map_err(|_| Malformed::Truncated)?;
        let Self { kind, code, target, .. } = solicitation;
        validate(*kind == NEIGHBOR_SOLICITATION, *code, hop_limit, target)?;
        Ok((solicitation, link_layer_address(options, SOURCE_LINK_LAYER)?))
    }

    /// The question "who has `target`?", its checksum left zero.
    #[must_use]
    pub fn new(target: [u8; 16]) -> Self {
        Self {
            kind: NEIGHBOR_SOLICITATION,
            code: 0,
            checksum: U16::ZERO,
            reserved: U32::ZERO,
            target,
        }
    }
}

/// A neighbor advertisement without its options, 24 bytes. RFC 4861 section 4.4.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct NeighborAdvertisement {
    /// Type, [`NEIGHBOR_ADVERTISEMENT`].
    pub kind: u8,
    /// Code, 0.
    pub code: u8,
    /// Checksum of pseudo-header, message and options.
    pub checksum: U16,
    /// [`FLAG_ROUTER`], [`FLAG_SOLICITED`], [`FLAG_OVERRIDE`] and 29 reserved bits.
    pub flags: U32,
    /// The address that is advertised, never multicast.
    pub target: [u8; 16],
}

impl NeighborAdvertisement {
    /// Views the upper layer of an IPv6 packet that came with `hop_limit`, and finds the target
    /// link-layer address option. RFC 4861 section 7.1.2; the checksum is not verified here: see
    /// [`checksum_ok`].
    pub fn parse(message: &[u8], hop_limit: u8) -> Result<(&Self, Option<MacAddr>), Malformed> {
        let (advertisement, options) =
            Self::ref_from_prefix(message).map_err(|_| Malformed::Truncated)?;
        let Self { kind, code, target, .. } = advertisement;
        validate(*kind == NEIGHBOR_ADVERTISEMENT, *code, hop_limit, target)?;
        Ok((advertisement, link_layer_address(options, TARGET_LINK_LAYER)?))
    }

    /// The statement "I have `target`" with some of the `FLAG_` bits, its checksum left zero.
    #[must_use]
    pub fn new(target: [u8; 16], flags: u32) -> Self {
        Self {
            kind: NEIGHBOR_ADVERTISEMENT,
            code: 0,
            checksum: U16::ZERO,
            flags: flags.into(),
            target,
        }
    }
}

/// A link-layer address option for Ethernet, 8 bytes. RFC 4861 section 4.6.1, RFC 2464 section 6.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct LinkLayerOption {
    /// Type: [`SOURCE_LINK_LAYER`] or [`TARGET_LINK_LAYER`].
    pub kind: u8,
    /// Length in units of 8 bytes, 1.
    pub length: u8,
    /// The address.
    pub address: MacAddr,
}

impl LinkLayerOption {
    /// The option that states the sender's address.
    #[must_use]
    pub const fn source(address: MacAddr) -> Self {
        Self { kind: SOURCE_LINK_LAYER, length: 1, address }
    }

    /// The option that states the target's address.
    #[must_use]
    pub const fn target(address: MacAddr) -> Self {
        Self { kind: TARGET_LINK_LAYER, length: 1, address }
    }
}

/// The checksum of a message whose own checksum field is zero. RFC 4443 section 2.3.
#[must_use]
pub fn checksum_of(source: &[u8; 16], destination: &[u8; 16], message: &[u8]) -> [u8; 2] {
    let pseudo = checksum::pseudo_ipv6(source, destination, protocol::ICMPV6, message.len() as u32);
    checksum::finish(pseudo + checksum::sum(message))
}

/// The checksum of a whole ICMPv6 message matches. RFC 4443 section 2.3.
#[must_use]
pub fn checksum_ok(source: &[u8; 16], destination: &[u8; 16], message: &[u8]) -> bool {
    u32::try_from(message.len()).is_ok_and(|length| {
        let pseudo = checksum::pseudo_ipv6(source, destination, protocol::ICMPV6, length);
        checksum::is_valid(pseudo + checksum::sum(message))
    })
}

/// What RFC 4861 section 7.1 demands of both messages, the checksum aside.
fn validate(kind: bool, code: u8, hop_limit: u8, target: &[u8; 16]) -> Result<(), Malformed> {
    if hop_limit != NEIGHBOR_HOP_LIMIT {
        return Err(Malformed::HopLimit);
    }
    let target_is_multicast = target[0] == 0xff;
    if !kind || code != 0 || target_is_multicast {
        return Err(Malformed::Value);
    }
    Ok(())
}

/// The address in the first option of type `kind`. Every option is walked, whether it is asked for
/// or not: all must have a length greater than zero (RFC 4861 section 7.1).
fn link_layer_address(mut options: &[u8], kind: u8) -> Result<Option<MacAddr>, Malformed> {
    let mut found = None;
    while !options.is_empty() {
        let (option, _) =
            LinkLayerOption::ref_from_prefix(options).map_err(|_| Malformed::Options)?;
        if option.length == 0 {
            return Err(Malformed::Options);
        }
        if option.kind == kind && found.is_none() {
            // An Ethernet address fills exactly one unit.
            if option.length != 1 {
                return Err(Malformed::Options);
            }
            found = Some(option.address);
        }
        options = options.get(usize::from(option.length) * 8..).ok_or(Malformed::Options)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use smoltcp::wire::{EthernetAddress, Icmpv6Repr, NdiscNeighborFlags, NdiscRepr};

    use super::super::testing::{
        DATA, DESTINATION_V6, MAC, SOURCE_V6, icmpv6, neighbor_solicitation,
    };
    use super::*;

    fn right(message: &[u8]) -> bool {
        checksum_ok(&SOURCE_V6.octets(), &DESTINATION_V6.octets(), message)
    }

    #[test]
    fn the_checksum_is_the_oracles() {
        let mut bytes = icmpv6(&Icmpv6Repr::EchoReply { ident: 5, seq_no: 6, data: DATA });
        let theirs = [bytes[2], bytes[3]];
        bytes[2..4].fill(0);
        assert_eq!(checksum_of(&SOURCE_V6.octets(), &DESTINATION_V6.octets(), &bytes), theirs);
    }

    #[test]
    fn accepts_the_oracles_echo() {
        let mut bytes = icmpv6(&Icmpv6Repr::EchoReply { ident: 5, seq_no: 6, data: DATA });
        let echo = Icmpv6Echo::parse(&bytes).unwrap();
        assert_eq!((echo.kind, echo.ident.get(), echo.seq.get()), (ECHO_REPLY, 5, 6));
        assert!(right(&bytes));
        bytes[1] = 1;
        assert!(!right(&bytes));
        assert_eq!(Icmpv6Echo::parse(&bytes), Err(Malformed::Value));
        assert_eq!(Icmpv6Echo::parse(&bytes[..7]), Err(Malformed::Truncated));
    }

    #[test]
    fn solicitation_is_the_oracles() {
        let theirs = neighbor_solicitation();
        assert!(right(&theirs));
        let (parsed, source) = NeighborSolicitation::parse(&theirs, 255).unwrap();
        assert_eq!(source, Some(MAC));
        let mut ours = NeighborSolicitation::new(DESTINATION_V6.octets());
        ours.checksum = parsed.checksum;
        assert_eq!(ours.as_bytes(), &theirs[..NEIGHBOR_BYTES]);
        assert_eq!(LinkLayerOption::source(MAC).as_bytes(), &theirs[NEIGHBOR_BYTES..]);
        assert_eq!(NeighborAdvertisement::parse(&theirs, 255), Err(Malformed::Value));
    }

    #[test]
    fn advertisement_is_the_oracles() {
        let theirs = icmpv6(&Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
            flags: NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
            target_addr: SOURCE_V6,
            lladdr: Some(EthernetAddress(MAC.0).into()),
        }));
        let (parsed, target) = NeighborAdvertisement::parse(&theirs, 255).unwrap();
        assert_eq!(target, Some(MAC));
        let flags = FLAG_SOLICITED | FLAG_OVERRIDE;
        let mut ours = NeighborAdvertisement::new(SOURCE_V6.octets(), flags);
        ours.checksum = parsed.checksum;
        assert_eq!(ours.as_bytes(), &theirs[..NEIGHBOR_BYTES]);
        assert_eq!(LinkLayerOption::target(MAC).as_bytes(), &theirs[NEIGHBOR_BYTES..]);
    }

    #[test]
    fn every_prefix_is_refused() {
        let good = neighbor_solicitation();
        for length in 0..good.len() {
            let parsed = NeighborSolicitation::parse(&good[..length], 255);
            match length {
                0..NEIGHBOR_BYTES => assert_eq!(parsed, Err(Malformed::Truncated)),
                NEIGHBOR_BYTES => assert!(matches!(parsed, Ok((_, None)))),
                _ => assert_eq!(parsed, Err(Malformed::Options)),
            }
        }
    }

    #[test]
    fn lies_are_refused() {
        let good = neighbor_solicitation();
        for hop_limit in 0..255 {
            let parsed = NeighborSolicitation::parse(&good, hop_limit);
            assert_eq!(parsed, Err(Malformed::HopLimit));
        }
        // Type, code and a multicast target.
        for (at, lie) in [(0, 136), (1, 1), (8, 0xff)] {
            let mut bytes = good.clone();
            bytes[at] = lie;
            assert_eq!(NeighborSolicitation::parse(&bytes, 255), Err(Malformed::Value), "{at}");
        }
        // Option lengths: 0 would loop, 1 is right, more is beyond the message.
        for length in 0..=255 {
            let mut bytes = good.clone();
            bytes[25] = length;
            let parsed = NeighborSolicitation::parse(&bytes, 255);
            assert_eq!(parsed.is_ok(), length == 1, "length {length}");
        }
    }

    #[test]
    fn other_options_are_skipped_and_the_first_address_counts() {
        let mut bytes = neighbor_solicitation();
        let options = bytes.split_off(NEIGHBOR_BYTES);
        bytes.extend([14, 2, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]);
        bytes.extend(&options);
        bytes.extend(LinkLayerOption::source(MacAddr::ZERO).as_bytes());
        let (_, source) = NeighborSolicitation::parse(&bytes, 255).unwrap();
        assert_eq!(source, Some(MAC));
        bytes.extend([200, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(NeighborSolicitation::parse(&bytes, 255), Err(Malformed::Options));
    }
}
