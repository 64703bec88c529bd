//! Headers built once and stamped per packet: copy the constant part, write what differs, add up
//! the checksum from sums that were prepared (RFC 1071, 2: the order of addition does not matter).

#[cfg(test)]
mod tests;
mod udp;

pub use udp::{DatagramTemplate, Flow};

use core::net::IpAddr;

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::conn::{SlotId, Space};
use crate::frame::{Frame, TxShape};
use crate::plan::{CorePlan, Role};
use crate::port::Offloads;
use crate::tcp::{Reply, WINDOW, WINDOW_SCALE};
use crate::wire::checksum::{be16, be32, finish, fold, sum};
use crate::wire::ethernet::{EthernetHeader, MacAddr, ethertype};
use crate::wire::headers::{HEADERS_BYTES, Headers};
use crate::wire::ipv4::{DONT_FRAGMENT, IPV4_BYTES, Ipv4Header, VERSION_IHL, protocol};
use crate::wire::ipv6::Ipv6Header;
use crate::wire::tcp::{TCP_BYTES, TcpFlags, TcpHeader};

/// Time to live, hop limit.
const HOPS: u8 = 64;
/// Bytes of the options in a SYN: MSS, NOP, window scale.
const SYN_OPTIONS: usize = 8;

/// The two ends of what is sent; `A` is the octets of an address.
#[derive(Clone, Copy, Debug)]
pub struct Pair<A> {
    /// Our address and port.
    pub local: (A, u16),
    /// The peer's address and port.
    pub remote: (A, u16),
}

/// The two ends of what is sent, in either family.
#[derive(Clone, Copy, Debug)]
pub enum Endpoints {
    /// IPv4.
    V4(Pair<[u8; 4]>),
    /// IPv6.
    V6(Pair<[u8; 16]>),
}

impl Pair<[u8; 4]> {
    /// The ends of an IPv4 connection.
    #[inline(always)]
    fn ipv4((space, id): (&Space<'_>, SlotId)) -> Self {
        let at = space.place(id);
        let client = (space.clients.octets_ipv4(at.client), at.client_port);
        let server = (space.servers.octets_ipv4(at.server), at.server_port);
        Pair::of(space.role, client, server)
    }
}

impl Pair<[u8; 16]> {
    /// The ends of an IPv6 connection.
    #[inline]
    fn ipv6((space, id): (&Space<'_>, SlotId)) -> Self {
        let at = space.place(id);
        let client = (space.clients.octets_ipv6(at.client), at.client_port);
        let server = (space.servers.octets_ipv6(at.server), at.server_port);
        Pair::of(space.role, client, server)
    }
}

impl Endpoints {
    /// The ends of a connection.
    pub fn of((space, id): (&Space<'_>, SlotId)) -> Endpoints {
        match space.clients.at(0) {
            IpAddr::V4(_) => Endpoints::V4(Pair::ipv4((space, id))),
            IpAddr::V6(_) => Endpoints::V6(Pair::ipv6((space, id))),
        }
    }
}

/// The octets of an address.
pub trait Octets: Copy {
    /// What they add to a checksum.
    fn sum(&self) -> u64;
}

impl Octets for [u8; 4] {
    #[inline(always)]
    fn sum(&self) -> u64 {
        u64::from(u32::from_ne_bytes(*self))
    }
}

impl Octets for [u8; 16] {
    #[inline]
    fn sum(&self) -> u64 {
        sum(self)
    }
}

impl<A: Octets> Pair<A> {
    /// The ends of a connection of ours, who are its `role`.
    #[inline(always)]
    fn of(role: Role, client: (A, u16), server: (A, u16)) -> Pair<A> {
        match role {
            Role::Client => Pair { local: client, remote: server },
            Role::Server => Pair { local: server, remote: client },
        }
    }

    /// What the addresses alone add to a checksum.
    #[inline(always)]
    fn address_sum(&self) -> u64 {
        self.local.0.sum() + self.remote.0.sum()
    }

    /// What addresses and ports add to a checksum.
    #[inline(always)]
    fn sum(&self) -> u64 {
        self.address_sum() + be16(self.local.1) + be16(self.remote.1)
    }
}

/// The constant headers of one core: those of a segment without options and payload. Whatever
/// varies is zero in them.
#[derive(Clone, Debug)]
pub struct Template {
    family: Family,
    ipv4: Headers,
    /// Sum of the IPv4 header's words.
    ipv4_sum: u64,
    /// Identification of the last IPv4 datagram.
    ip_id: u16,
    ipv6: HeadersV6,
    /// Sum of the TCP header's words and the protocol number of the pseudo-header.
    tcp_sum: u64,
    /// Options of a SYN without and with our window scale.
    syn_options: [[u8; SYN_OPTIONS]; 2],
    /// The device fills in checksums.
    offload: bool,
    /// What the device is told of every segment.
    shape: TxShape,
}

/// The address family of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    V4,
    V6,
}

impl Template {
    /// Headers for `plan`, leaving through a device that can do `offloads`.
    pub fn new(plan: &CorePlan<'_>, offloads: Offloads) -> Template {
        let (family, ethernet) = outermost(plan);
        let (needed, shape) = match family {
            Family::V4 => (Offloads::all(), TxShape::Ipv4Tcp),
            Family::V6 => (Offloads::TX_L4_CHECKSUM, TxShape::Ipv6Tcp),
        };
        let offload = (offloads | Offloads::RX_CHECKSUM).contains(needed);
        let ipv4 = Headers { ethernet, ip: ipv4(plan.tos), tcp: TCP };
        let [m0, m1] = plan.mss.to_be_bytes();
        Template {
            family,
            ipv4,
            ipv4_sum: sum(ipv4.ip.as_bytes()),
            ip_id: 0,
            ipv6: HeadersV6 { ethernet, ip: ipv6(plan.tos), tcp: TCP },
            tcp_sum: sum(TCP.as_bytes()) + be16(u16::from(protocol::TCP)),
            syn_options: [[2, 4, m0, m1, 1, 1, 1, 1], [2, 4, m0, m1, 1, 3, 3, WINDOW_SCALE]],
            offload,
            shape: if offload { shape } else { TxShape::Complete },
        }
    }

    /// The next hop, once it is known.
    pub fn set_gateway(&mut self, mac: MacAddr) {
        self.ipv4.ethernet.dst = mac;
        self.ipv6.ethernet.dst = mac;
    }

    /// Bytes in front of the TCP payload of a segment without options.
    #[inline]
    pub fn header_bytes(&self) -> usize {
        match self.family {
            Family::V4 => HEADERS_BYTES,
            Family::V6 => size_of::<HeadersV6>(),
        }
    }

    /// Writes the headers of a segment of connection `of` over the frame; the payload, if any,
    /// already lies behind them ([`Template::header_bytes`]) and adds up to `payload_sum`.
    /// False if the frame is too small.
    #[inline(always)]
    #[must_use]
    pub fn stamp(
        &mut self,
        frame: &mut Frame,
        of: (&Space<'_>, SlotId),
        reply: &Reply,
        payload_sum: u64,
    ) -> bool {
        match self.family {
            Family::V4 => self.stamp_ipv4(frame, &Pair::ipv4(of), reply, payload_sum),
            Family::V6 => self.stamp_ipv6(frame, &Pair::ipv6(of), reply, payload_sum),
        }
    }

    /// As [`Template::stamp`], for a segment without payload between any two ends.
    #[must_use]
    pub fn stamp_between(&mut self, ends: &Endpoints, frame: &mut Frame, reply: &Reply) -> bool {
        match ends {
            Endpoints::V4(ends) => self.stamp_ipv4(frame, ends, reply, 0),
            Endpoints::V6(ends) => self.stamp_ipv6(frame, ends, reply, 0),
        }
    }

    /// As [`Template::stamp`], between any two ends.
    #[inline(always)]
    #[must_use]
    pub fn stamp_ipv4(
        &mut self,
        frame: &mut Frame,
        ends: &Pair<[u8; 4]>,
        reply: &Reply,
        payload_sum: u64,
    ) -> bool {
        let Some((room, tcp_bytes, behind_sum)) =
            self.fit::<HEADERS_BYTES>(frame, reply, payload_sum)
        else {
            return false;
        };
        let Ok(out) = Headers::mut_from_bytes(room) else { return false };
        *out = self.ipv4;
        let total_bytes = IPV4_BYTES as u16 + tcp_bytes;
        self.ip_id = self.ip_id.wrapping_add(1);
        out.ip.total_length = total_bytes.into();
        out.ip.id = self.ip_id.into();
        out.ip.source = ends.local.0;
        out.ip.destination = ends.remote.0;
        if !self.offload {
            let varies = be16(total_bytes) + be16(self.ip_id) + ends.address_sum();
            out.ip.checksum = U16::from_bytes(finish(self.ipv4_sum + varies));
        }
        self.patch_tcp(&mut out.tcp, ends, reply, (tcp_bytes, behind_sum));
        true
    }

    #[inline(never)]
    fn stamp_ipv6(
        &mut self,
        frame: &mut Frame,
        ends: &Pair<[u8; 16]>,
        reply: &Reply,
        payload_sum: u64,
    ) -> bool {
        let Some((room, tcp_bytes, behind_sum)) =
            self.fit::<{ size_of::<HeadersV6>() }>(frame, reply, payload_sum)
        else {
            return false;
        };
        let Ok(out) = HeadersV6::mut_from_bytes(room) else { return false };
        *out = self.ipv6;
        out.ip.payload_length = tcp_bytes.into();
        out.ip.source = ends.local.0;
        out.ip.destination = ends.remote.0;
        self.patch_tcp(&mut out.tcp, ends, reply, (tcp_bytes, behind_sum));
        true
    }

    /// Gives the frame the segment's length, and a SYN its options. Returns the room of the
    /// headers, the bytes of TCP header and payload, and what lies behind the header adds up to.
    #[inline]
    fn fit<'f, const HEADERS: usize>(
        &self,
        frame: &'f mut Frame,
        reply: &Reply,
        payload_sum: u64,
    ) -> Option<(&'f mut [u8; HEADERS], u16, u64)> {
        let syn = reply.flags.contains(TcpFlags::SYN);
        let behind_bytes = usize::from(reply.payload_bytes) + if syn { SYN_OPTIONS } else { 0 };
        if !frame.set_packet(HEADERS + behind_bytes, self.shape) {
            return None;
        }
        let (room, behind) = frame.bytes_mut().split_first_chunk_mut::<HEADERS>()?;
        let mut behind_sum = payload_sum;
        if syn {
            let options = behind.first_chunk_mut::<SYN_OPTIONS>()?;
            *options = self.syn_options[usize::from(reply.scaled)];
            behind_sum += sum(options);
        }
        Some((room, (TCP_BYTES + behind_bytes) as u16, behind_sum))
    }

    /// Writes over the constant TCP header what varies: TCP header and all behind it have
    /// `tcp_bytes`, what lies behind it adds up to `behind_sum`.
    #[inline(always)]
    fn patch_tcp<A: Octets>(
        &self,
        out: &mut TcpHeader,
        ends: &Pair<A>,
        reply: &Reply,
        (tcp_bytes, behind_sum): (u16, u64),
    ) {
        out.source_port = ends.local.1.into();
        out.destination_port = ends.remote.1.into();
        out.sequence = reply.seq.into();
        out.acknowledgment = reply.ack.into();
        out.flags = reply.flags.bits();
        let mut control = be16(u16::from(reply.flags.bits()));
        if reply.flags.contains(TcpFlags::SYN) {
            const MORE: u8 = (SYN_OPTIONS as u8 / 4) << 4;
            out.offset_reserved += MORE;
            control += be16(u16::from_be_bytes([MORE, 0]));
        }
        out.checksum = U16::from_bytes(if self.offload {
            // The device adds the rest.
            let pseudo = be16(u16::from(protocol::TCP)) + be16(tcp_bytes);
            fold(pseudo + ends.address_sum()).to_ne_bytes()
        } else {
            let varies = be16(tcp_bytes) + be32(reply.seq) + be32(reply.ack) + control;
            finish(self.tcp_sum + varies + ends.sum() + behind_sum)
        });
    }
}

/// What does not vary of a TCP header without options.
const TCP: TcpHeader = TcpHeader {
    source_port: U16::ZERO,
    destination_port: U16::ZERO,
    sequence: U32::ZERO,
    acknowledgment: U32::ZERO,
    offset_reserved: (TCP_BYTES as u8 / 4) << 4,
    flags: 0,
    window: U16::from_bytes(WINDOW.to_be_bytes()),
    checksum: U16::ZERO,
    urgent: U16::ZERO,
};

/// Ethernet, IPv6 and TCP header, none with extensions or options.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HeadersV6 {
    ethernet: EthernetHeader,
    ip: Ipv6Header,
    tcp: TcpHeader,
}

/// The address family of a plan's packets, and their Ethernet header before the next hop is known.
fn outermost(plan: &CorePlan<'_>) -> (Family, EthernetHeader) {
    let (family, ethertype) = match plan.host {
        IpAddr::V4(_) => (Family::V4, ethertype::IPV4),
        IpAddr::V6(_) => (Family::V6, ethertype::IPV6),
    };
    (family, EthernetHeader { dst: MacAddr::ZERO, src: plan.mac, ethertype: ethertype.into() })
}

fn ipv4(tos: u8) -> Ipv4Header {
    Ipv4Header {
        version_ihl: VERSION_IHL,
        tos,
        total_length: 0.into(),
        id: 0.into(),
        flags_fragment: DONT_FRAGMENT.into(),
        ttl: HOPS,
        protocol: protocol::TCP,
        checksum: 0.into(),
        source: [0; 4],
        destination: [0; 4],
    }
}

fn ipv6(tos: u8) -> Ipv6Header {
    Ipv6Header {
        version_class_flow: (6 << 28 | u32::from(tos) << 20).into(),
        payload_length: 0.into(),
        next_header: protocol::TCP,
        hop_limit: HOPS,
        source: [0; 16],
        destination: [0; 16],
    }
}
