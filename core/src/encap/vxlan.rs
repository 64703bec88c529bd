//! A VXLAN tunnel over IPv4 (RFC 7348): what is ours is told from the rest of the network it runs
//! over, and every length and checksum of the outer headers holds, both ways.

use core::net::IpAddr;
use core::ops::Range;

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Stripped;
use crate::frame::{Frame, RxChecksum, TxShape};
use crate::parse::reason;
use crate::plan::{AddressList, Vxlan, number};
use crate::stats::Count;
use crate::wire::checksum::{be16, finish, fold, is_valid, pseudo_ipv4, sum};
use crate::wire::ethernet::{ETHERNET_BYTES, EthernetHeader, MacAddr, ethertype};
use crate::wire::ipv4::{DONT_FRAGMENT, IPV4_BYTES, Ipv4, Ipv4Header, VERSION_IHL, protocol};
use crate::wire::udp::{UDP_BYTES, Udp, UdpHeader};
use crate::wire::vxlan::{VXLAN_BYTES, VXLAN_PORT, VxlanHeader};

/// Bytes of the headers around a frame.
pub(super) const OUTER_BYTES: usize = size_of::<OuterHeaders>();
const _: () = assert!(OUTER_BYTES == 50);

/// Time to live of what carries the frames.
const HOPS: u8 = 64;
/// Where the source ports of tunnels lie: RFC 7348 section 5 recommends the dynamic range.
const SOURCE_PORTS: u16 = 0xc000;

/// The headers around a frame.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
struct OuterHeaders {
    ethernet: EthernetHeader,
    ip: Ipv4Header,
    udp: UdpHeader,
    vxlan: VxlanHeader,
}

/// One end of a tunnel.
#[derive(Clone, Debug)]
pub(super) struct Tunnel<'m> {
    vni: u32,
    mac: MacAddr,
    /// Our end, in network order.
    local: [u8; 4],
    /// All our ends on the port: who hears a frame need not have the end that it was sent to.
    ends: AddressList<'m>,
    gateway_known: bool,
    /// What goes around every frame; lengths, checksum and source port are zero in it.
    outer: OuterHeaders,
    /// What the IP header adds up to.
    ip_sum: u64,
}

impl<'m> Tunnel<'m> {
    /// The end `plan` on a port with address `mac`.
    pub(super) fn new(plan: &Vxlan<'m>, mac: MacAddr) -> Tunnel<'m> {
        let local = plan.local.octets();
        let ip = Ipv4Header {
            version_ihl: VERSION_IHL,
            tos: 0,
            total_length: 0.into(),
            id: 0.into(),
            flags_fragment: DONT_FRAGMENT.into(),
            ttl: HOPS,
            protocol: protocol::UDP,
            checksum: 0.into(),
            source: local,
            destination: plan.remote.octets(),
        };
        let udp = UdpHeader {
            source_port: 0.into(),
            destination_port: VXLAN_PORT.into(),
            length: 0.into(),
            // None is made: RFC 7348 section 5 asks for zero.
            checksum: 0.into(),
        };
        let ethernet =
            EthernetHeader { dst: MacAddr::ZERO, src: mac, ethertype: ethertype::IPV4.into() };
        Tunnel {
            vni: plan.vni,
            mac,
            local,
            ends: plan.ends,
            gateway_known: false,
            outer: OuterHeaders { ethernet, ip, udp, vxlan: VxlanHeader::new(plan.vni) },
            ip_sum: sum(ip.as_bytes()),
        }
    }

    pub(super) fn set_gateway(&mut self, mac: MacAddr) {
        self.outer.ethernet.dst = mac;
        self.gateway_known = true;
    }

    /// Takes the outer headers off, if they are those of our tunnel. What a device says of the
    /// checksums is of these headers, so it is forgotten with them; what was on no wire is not.
    #[inline]
    pub(super) fn strip(&self, frame: &mut Frame) -> Stripped {
        let left = frame.rx_checksum() == RxChecksum::Left;
        let carried = match self.carried(frame.bytes(), left) {
            Ok(Some(carried)) => carried,
            Ok(None) => return Stripped::Outside,
            Err(why) => return Stripped::Drop(why),
        };
        let len = carried.len();
        if carried.start > OUTER_BYTES {
            // There are IP options: a frame is found again by how far its start was moved.
            frame.bytes_mut().copy_within(carried, OUTER_BYTES);
        }
        if !frame.advance(OUTER_BYTES as u16) || !frame.set_len(len) {
            return Stripped::Drop(Count::DropTruncated);
        }
        if !left {
            frame.set_rx_checksum(RxChecksum::Unknown);
        }
        Stripped::Inside
    }

    /// Where the frame lies that came through our tunnel; `None` if `bytes` are something else,
    /// and why it is dropped if they are a VXLAN packet for us that is not right. Sums that were
    /// `left` out are not verified.
    #[inline]
    fn carried(&self, bytes: &[u8], left: bool) -> Result<Option<Range<usize>>, Count> {
        let Ok((ethernet, rest)) = EthernetHeader::split(bytes) else { return Ok(None) };
        if ethernet.dst != self.mac || ethernet.ethertype.get() != ethertype::IPV4 {
            return Ok(None);
        }
        let Ok(ip) = Ipv4::parse(rest) else { return Ok(None) };
        if ip.header.protocol != protocol::UDP
            || !self.is_end(ip.header.destination)
            || !ip.checksum_ok()
        {
            return Ok(None);
        }
        let udp = Udp::parse(ip.payload).map_err(reason)?;
        if udp.header.destination_port.get() != VXLAN_PORT {
            return Ok(None);
        }
        let datagram = &ip.payload[..UDP_BYTES + udp.payload.len()];
        let Ipv4Header { source, destination, .. } = *ip.header;
        let pseudo = pseudo_ipv4(source, destination, protocol::UDP, datagram.len() as u16);
        let unsummed = left || udp.header.checksum.get() == 0;
        if !unsummed && !is_valid(pseudo + sum(datagram)) {
            return Err(Count::DropChecksum);
        }
        let (vxlan, frame) = VxlanHeader::split(udp.payload).map_err(reason)?;
        if vxlan.vni() != Some(self.vni) || !self.gateway_known {
            return Err(Count::DropVxlan);
        }
        if frame.len() < ETHERNET_BYTES {
            return Err(Count::DropTruncated);
        }
        let at = ETHERNET_BYTES + usize::from(ip.header_bytes) + UDP_BYTES + VXLAN_BYTES;
        Ok(Some(at..at + frame.len()))
    }

    #[inline]
    fn is_end(&self, address: [u8; 4]) -> bool {
        address == self.local || self.ends.find(number(IpAddr::V4(address.into()))).is_some()
    }

    /// Puts the outer headers before the frame.
    #[inline]
    pub(super) fn wrap(&self, frame: &mut Frame) {
        let source_port = source_port(frame.bytes());
        frame.retreat();
        frame.set_tx_shape(TxShape::Complete);
        let bytes = frame.bytes_mut();
        let total_bytes = (bytes.len() - ETHERNET_BYTES) as u16;
        let Ok((headers, _)) = OuterHeaders::mut_from_prefix(bytes) else { return };
        *headers = self.outer;
        headers.ip.total_length = total_bytes.into();
        headers.ip.checksum = U16::from_bytes(finish(self.ip_sum + be16(total_bytes)));
        headers.udp.source_port = source_port.into();
        headers.udp.length = (total_bytes - IPV4_BYTES as u16).into();
    }
}

/// The source port tells flows apart for whoever spreads them on the way: it is one for all frames
/// of a flow, in either direction.
#[inline]
fn source_port(frame: &[u8]) -> u16 {
    let ports = |protocol: Option<&u8>| match protocol {
        Some(&(protocol::TCP | protocol::UDP)) => 4,
        _ => 0,
    };
    let flow = match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(26..34 + ports(frame.get(23))),
        Some([0x86, 0xdd]) => frame.get(22..54 + ports(frame.get(20))),
        _ => frame.get(..12),
    };
    SOURCE_PORTS | fold(sum(flow.unwrap_or_default()))
}
