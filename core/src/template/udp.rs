//! The headers of datagrams. All of one core carry the same message, so nearly everything is
//! prepared, sums too: they cost a handful of additions, and nothing is left to a device.

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Endpoints, Family, Pair, ipv4, ipv6, outermost};
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

    /// What the ends of connection `of` come to, if they are IPv4's.
    #[inline(always)]
    pub fn flow_ipv4(&self, of: (&Space<'_>, SlotId)) -> Option<Flow> {
        (self.family == Family::V4).then(|| self.flow_between(Pair::ipv4(of)))
    }

    /// What two ends come to.
    #[inline(always)]
    pub fn flow_between(&self, ends: Pair<[u8; 4]>) -> Flow {
        Flow {
            ends,
            ip_sum: self.ipv4_sum + ends.address_sum(),
            udp_checksum: udp_checksum(self.udp_sum + ends.sum()),
        }
    }

    /// Writes a datagram of connection `of` over the frame: `write` is given the room of the
    /// payload. False if the frame is too small.
    #[inline(always)]
    #[must_use]
    pub fn stamp(
        &mut self,
        frame: &mut Frame,
        of: (&Space<'_>, SlotId),
        write: impl FnOnce(&mut [u8]),
    ) -> bool {
        match self.family {
            Family::V4 => self.stamp_ipv4(frame, &self.flow_between(Pair::ipv4(of)), write),
            Family::V6 => self.stamp_ipv6(frame, &Pair::ipv6(of), write),
        }
    }

    /// As [`DatagramTemplate::stamp`], between any two ends.
    #[must_use]
    pub fn stamp_between(
        &mut self,
        frame: &mut Frame,
        ends: &Endpoints,
        write: impl FnOnce(&mut [u8]),
    ) -> bool {
        match ends {
            Endpoints::V4(ends) => self.stamp_ipv4(frame, &self.flow_between(*ends), write),
            Endpoints::V6(ends) => self.stamp_ipv6(frame, ends, write),
        }
    }

    /// As [`DatagramTemplate::stamp`], for one of a flow.
    #[inline(always)]
    #[must_use]
    pub fn stamp_ipv4(
        &mut self,
        frame: &mut Frame,
        flow: &Flow,
        write: impl FnOnce(&mut [u8]),
    ) -> bool {
        let Some(room) = self.fit::<{ size_of::<DatagramHeaders>() }>(frame, write) else {
            return false;
        };
        let Ok(out) = DatagramHeaders::mut_from_bytes(room) else { return false };
        *out = self.ipv4;
        self.ip_id = self.ip_id.wrapping_add(1);
        out.ip.id = self.ip_id.into();
        out.ip.checksum = U16::from_bytes(finish(flow.ip_sum + be16(self.ip_id)));
        (out.ip.source, out.ip.destination) = (flow.ends.local.0, flow.ends.remote.0);
        address(&mut out.udp, &flow.ends, flow.udp_checksum);
        true
    }

    #[inline(never)]
    #[must_use]
    fn stamp_ipv6(
        &mut self,
        frame: &mut Frame,
        ends: &Pair<[u8; 16]>,
        write: impl FnOnce(&mut [u8]),
    ) -> bool {
        let Some(room) = self.fit::<{ size_of::<HeadersV6>() }>(frame, write) else { return false };
        let Ok(out) = HeadersV6::mut_from_bytes(room) else { return false };
        *out = self.ipv6;
        (out.ip.source, out.ip.destination) = (ends.local.0, ends.remote.0);
        address(&mut out.udp, ends, udp_checksum(self.udp_sum + ends.sum()));
        true
    }

    /// Gives the frame the datagram's length and lets `write` lay the payload. Returns the room of
    /// the headers.
    #[inline(always)]
    fn fit<'f, const HEADERS: usize>(
        &self,
        frame: &'f mut Frame,
        write: impl FnOnce(&mut [u8]),
    ) -> Option<&'f mut [u8; HEADERS]> {
        if !frame.set_packet(HEADERS + self.payload_bytes, TxShape::Complete) {
            return None;
        }
        let (headers, payload) = frame.bytes_mut().split_first_chunk_mut()?;
        write(payload);
        Some(headers)
    }
}

/// What is the same in every datagram between two ends of IPv4.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    ends: Pair<[u8; 4]>,
    /// Sum of the IPv4 header's words but its identification.
    ip_sum: u64,
    udp_checksum: U16,
}

/// Writes over the constant UDP header what varies.
#[inline(always)]
fn address<A>(out: &mut UdpHeader, ends: &Pair<A>, checksum: U16) {
    out.source_port = ends.local.1.into();
    out.destination_port = ends.remote.1.into();
    out.checksum = checksum;
}

/// The checksum of a datagram that adds up to `sum`.
#[inline(always)]
fn udp_checksum(sum: u64) -> U16 {
    U16::from_bytes(match finish(sum) {
        // Zero would say that there is none (RFC 768).
        [0, 0] => [0xff, 0xff],
        checksum => checksum,
    })
}
