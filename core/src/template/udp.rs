//! The headers of datagrams. All of one core carry the same message, so nearly everything is
//! prepared, sums too: they cost a handful of additions, and nothing is left to a device.

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Endpoints, Family, Octets, Pair, ipv4, ipv6, outermost};
use crate::conn::{SlotId, Space};
use crate::frame::{Frame, TxShape};
use crate::plan::CorePlan;
use crate::wire::checksum::{be16, finish, sum};
use crate::wire::ethernet::{EthernetHeader, MacAddr};
use crate::wire::headers::DatagramHeaders;
use crate::wire::ipv4::{IPV4_BYTES, Ipv4Header, protocol};
use crate::wire::ipv6::Ipv6Header;
use crate::wire::udp::{UDP_BYTES, UdpHeader};

/// Ethernet, IPv6 and UDP header.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HeadersV6 {
    ethernet: EthernetHeader,
    ip: Ipv6Header,
    udp: UdpHeader,
}

/// The constant headers of one core's datagrams. Whatever varies is zero in them.
#[derive(Clone, Debug)]
pub struct DatagramTemplate {
    family: Family,
    ipv4: DatagramHeaders,
    /// Sum of the IPv4 header's words.
    ipv4_sum: u64,
    /// Identification of the last IPv4 datagram.
    ip_id: u16,
    ipv6: HeadersV6,
    /// Sum of the UDP header, the payload, and the pseudo-header without its addresses.
    udp_sum: u64,
    payload_bytes: usize,
}

impl DatagramTemplate {
    /// Headers for `plan`, in front of a payload that adds up to `payload_sum`.
    pub fn new(plan: &CorePlan<'_>, payload_bytes: usize, payload_sum: u64) -> DatagramTemplate {
        let (family, ethernet) = outermost(plan);
        // What does not fit these fields fits no frame either.
        let (udp_bytes, ip_bytes) =
            (UDP_BYTES + payload_bytes, IPV4_BYTES + UDP_BYTES + payload_bytes);
        let (udp_bytes, ip_bytes) = (udp_bytes as u16, ip_bytes as u16);
        let udp = UdpHeader {
            source_port: U16::ZERO,
            destination_port: U16::ZERO,
            length: udp_bytes.into(),
            checksum: U16::ZERO,
        };
        let v4 =
            Ipv4Header { protocol: protocol::UDP, total_length: ip_bytes.into(), ..ipv4(plan.tos) };
        let v6 = Ipv6Header {
            next_header: protocol::UDP,
            payload_length: udp_bytes.into(),
            ..ipv6(plan.tos)
        };
        // The length counts twice: in the header and in the pseudo-header.
        let numbers = be16(u16::from(protocol::UDP)) + 2 * be16(udp_bytes);
        DatagramTemplate {
            family,
            ipv4: DatagramHeaders { ethernet, ip: v4, udp },
            ipv4_sum: sum(v4.as_bytes()),
            ip_id: 0,
            ipv6: HeadersV6 { ethernet, ip: v6, udp },
            udp_sum: numbers + payload_sum,
            payload_bytes,
        }
    }

    /// The next hop, once it is known.
    pub fn set_gateway(&mut self, mac: MacAddr) {
        self.ipv4.ethernet.dst = mac;
        self.ipv6.ethernet.dst = mac;
    }

    /// Bytes in front of the payload.
    #[inline]
    pub fn header_bytes(&self) -> usize {
        match self.family {
            Family::V4 => size_of::<DatagramHeaders>(),
            Family::V6 => size_of::<HeadersV6>(),
        }
    }

    /// The ends of connection `of`, if they are IPv4's.
    #[inline(always)]
    pub fn ends_ipv4(&self, of: (&Space<'_>, SlotId)) -> Option<Pair<[u8; 4]>> {
        (self.family == Family::V4).then(|| Pair::ipv4(of))
    }

    /// Writes the headers of a datagram of connection `of` over the frame; the payload
    /// already lies behind them ([`DatagramTemplate::header_bytes`]). False if the frame is too
    /// small.
    #[inline(always)]
    #[must_use]
    pub fn stamp(&mut self, frame: &mut Frame, of: (&Space<'_>, SlotId)) -> bool {
        match self.family {
            Family::V4 => self.stamp_ipv4(frame, &Pair::ipv4(of)),
            Family::V6 => self.stamp_ipv6(frame, &Pair::ipv6(of)),
        }
    }

    /// As [`DatagramTemplate::stamp`], between any two ends.
    #[must_use]
    pub fn stamp_between(&mut self, ends: &Endpoints, frame: &mut Frame) -> bool {
        match ends {
            Endpoints::V4(ends) => self.stamp_ipv4(frame, ends),
            Endpoints::V6(ends) => self.stamp_ipv6(frame, ends),
        }
    }

    /// As [`DatagramTemplate::stamp`], between any two ends.
    #[inline(always)]
    #[must_use]
    pub fn stamp_ipv4(&mut self, frame: &mut Frame, ends: &Pair<[u8; 4]>) -> bool {
        let len = size_of::<DatagramHeaders>() + self.payload_bytes;
        if !frame.set_packet(len, TxShape::Complete) {
            return false;
        }
        let Ok((out, _)) = DatagramHeaders::mut_from_prefix(frame.bytes_mut()) else {
            return false;
        };
        *out = self.ipv4;
        self.ip_id = self.ip_id.wrapping_add(1);
        out.ip.id = self.ip_id.into();
        out.ip.source = ends.local.0;
        out.ip.destination = ends.remote.0;
        let varies = be16(self.ip_id) + ends.address_sum();
        out.ip.checksum = U16::from_bytes(finish(self.ipv4_sum + varies));
        patch_udp(&mut out.udp, ends, self.udp_sum);
        true
    }

    #[inline(never)]
    #[must_use]
    fn stamp_ipv6(&mut self, frame: &mut Frame, ends: &Pair<[u8; 16]>) -> bool {
        let len = size_of::<HeadersV6>() + self.payload_bytes;
        if !frame.set_packet(len, TxShape::Complete) {
            return false;
        }
        let Ok((out, _)) = HeadersV6::mut_from_prefix(frame.bytes_mut()) else { return false };
        *out = self.ipv6;
        out.ip.source = ends.local.0;
        out.ip.destination = ends.remote.0;
        patch_udp(&mut out.udp, ends, self.udp_sum);
        true
    }
}

/// Writes over the constant UDP header what varies; all that does not adds up to `udp_sum`.
#[inline(always)]
fn patch_udp<A: Octets>(out: &mut UdpHeader, ends: &Pair<A>, udp_sum: u64) {
    out.source_port = ends.local.1.into();
    out.destination_port = ends.remote.1.into();
    out.checksum = U16::from_bytes(match finish(udp_sum + ends.sum()) {
        // Zero would say that there is none (RFC 768).
        [0, 0] => [0xff, 0xff],
        checksum => checksum,
    });
}
