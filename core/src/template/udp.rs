//! The headers of a datagram. Their sums are prepared, so they cost a handful of additions: nothing
//! is left to a device.

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Family, Pair, Template};
use crate::conn::Slot;
use crate::frame::{Frame, TxShape};
use crate::plan::CorePlan;
use crate::wire::checksum::{be16, finish};
use crate::wire::ethernet::EthernetHeader;
use crate::wire::headers::DatagramHeaders;
use crate::wire::ipv4::{IPV4_BYTES, Ipv4Header, protocol};
use crate::wire::ipv6::Ipv6Header;
use crate::wire::udp::{UDP_BYTES, UdpHeader};

/// Ethernet, IPv6 and UDP header.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HeadersV6 {
    ethernet: EthernetHeader,
    ip: Ipv6Header,
    udp: UdpHeader,
}

impl Template {
    /// Bytes in front of the payload of a datagram.
    #[inline]
    pub fn udp_header_bytes(&self) -> usize {
        match self.family {
            Family::V4 => size_of::<DatagramHeaders>(),
            Family::V6 => size_of::<HeadersV6>(),
        }
    }

    /// Writes the headers of a datagram of the connection in `slot` over the frame; the payload
    /// already lies behind them ([`Template::udp_header_bytes`]) and adds up to `payload_sum`.
    /// False if the frame is too small.
    #[inline(always)]
    #[must_use]
    pub fn stamp_udp(
        &mut self,
        frame: &mut Frame,
        plan: &CorePlan<'_>,
        slot: &Slot,
        payload_bytes: u16,
        payload_sum: u64,
    ) -> bool {
        match self.family {
            Family::V4 => {
                self.stamp_udp_ipv4(frame, &Pair::ipv4(plan, slot), payload_bytes, payload_sum)
            }
            Family::V6 => {
                self.stamp_udp_ipv6(frame, &Pair::ipv6(plan, slot), payload_bytes, payload_sum)
            }
        }
    }

    /// As [`Template::stamp_udp`], between any two ends.
    #[inline(always)]
    #[must_use]
    pub fn stamp_udp_ipv4(
        &mut self,
        frame: &mut Frame,
        ends: &Pair<[u8; 4]>,
        payload_bytes: u16,
        payload_sum: u64,
    ) -> bool {
        let udp_bytes = UDP_BYTES as u16 + payload_bytes;
        let len = size_of::<DatagramHeaders>() + usize::from(payload_bytes);
        if !frame.set_packet(len, TxShape::Complete) {
            return false;
        }
        let Ok((out, _)) = DatagramHeaders::mut_from_prefix(frame.bytes_mut()) else {
            return false;
        };
        let total_bytes = IPV4_BYTES as u16 + udp_bytes;
        self.ip_id = self.ip_id.wrapping_add(1);
        let varies = be16(total_bytes) + be16(self.ip_id) + ends.address_sum();
        // The prepared sum is that of a header that says TCP.
        let says_udp = be16(u16::from(protocol::UDP - protocol::TCP));
        out.ethernet = self.ipv4.ethernet;
        out.ip = Ipv4Header {
            protocol: protocol::UDP,
            total_length: total_bytes.into(),
            id: self.ip_id.into(),
            checksum: U16::from_bytes(finish(self.ipv4_sum + says_udp + varies)),
            source: ends.local.0,
            destination: ends.remote.0,
            ..self.ipv4.ip
        };
        out.udp = udp(ends, udp_bytes, payload_sum);
        true
    }

    /// As [`Template::stamp_udp`], between any two ends.
    #[inline(never)]
    #[must_use]
    pub fn stamp_udp_ipv6(
        &mut self,
        frame: &mut Frame,
        ends: &Pair<[u8; 16]>,
        payload_bytes: u16,
        payload_sum: u64,
    ) -> bool {
        let udp_bytes = UDP_BYTES as u16 + payload_bytes;
        let len = size_of::<HeadersV6>() + usize::from(payload_bytes);
        if !frame.set_packet(len, TxShape::Complete) {
            return false;
        }
        let Ok((out, _)) = HeadersV6::mut_from_prefix(frame.bytes_mut()) else { return false };
        out.ethernet = self.ipv6.ethernet;
        out.ip = Ipv6Header {
            next_header: protocol::UDP,
            payload_length: udp_bytes.into(),
            source: ends.local.0,
            destination: ends.remote.0,
            ..self.ipv6.ip
        };
        out.udp = udp(ends, udp_bytes, payload_sum);
        true
    }
}

/// The UDP header of a datagram of `udp_bytes` whose payload adds up to `payload_sum`. The length
/// counts twice: in the header and in the pseudo-header.
#[inline]
fn udp<A>(ends: &Pair<A>, udp_bytes: u16, payload_sum: u64) -> UdpHeader {
    let numbers = be16(u16::from(protocol::UDP)) + 2 * be16(udp_bytes);
    let checksum = match finish(numbers + u64::from(ends.sum) + payload_sum) {
        // Zero would say that there is none (RFC 768).
        [0, 0] => [0xff, 0xff],
        checksum => checksum,
    };
    UdpHeader {
        source_port: ends.local.1.into(),
        destination_port: ends.remote.1.into(),
        length: udp_bytes.into(),
        checksum: U16::from_bytes(checksum),
    }
}
