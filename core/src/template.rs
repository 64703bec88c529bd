//! Headers built once and stamped per packet: copy the constant part, write what differs, add up
//! the checksum from sums that were prepared (RFC 1071, 2: the order of addition does not matter).

use core::net::IpAddr;

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{Immutable, IntoBytes};

use crate::conn::Slot;
use crate::frame::{Frame, TxShape};
use crate::plan::{AddressList, CorePlan, Role};
use crate::port::Offloads;
use crate::tcp::{Reply, WINDOW, WINDOW_SCALE};
use crate::wire::checksum::{self, be16, be32, finish, fold, sum};
use crate::wire::ethernet::{ETHERNET_BYTES, EthernetHeader, MacAddr, ethertype};
use crate::wire::headers::{HEADERS_BYTES, Headers};
use crate::wire::ipv4::{DONT_FRAGMENT, IPV4_BYTES, Ipv4Header, protocol};
use crate::wire::ipv6::{IPV6_BYTES, Ipv6Header};
use crate::wire::tcp::{TCP_BYTES, TcpFlags, TcpHeader};

/// Time to live, hop limit.
const HOPS: u8 = 64;
/// Bytes of the options in a SYN: MSS, NOP, window scale.
const SYN_OPTIONS: usize = 8;

/// The two ends of what is sent.
#[derive(Clone, Copy, Debug)]
pub struct Endpoints {
    /// Our address.
    pub local: IpAddr,
    /// The peer's address.
    pub remote: IpAddr,
    /// Our port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
    /// [`tuple_sum`] of the four.
    pub tuple_sum: u16,
}

impl Endpoints {
    /// The ends of the connection in `slot`.
    #[inline]
    pub fn of(plan: &CorePlan<'_>, slot: &Slot) -> Endpoints {
        let at = |list: &AddressList<'_>, index: u16| match plan.host {
            IpAddr::V4(_) => IpAddr::from(list.octets_ipv4(u32::from(index))),
            IpAddr::V6(_) => list.at(u32::from(index)),
        };
        let client = (at(&plan.clients, slot.client), slot.client_port);
        let server = (at(&plan.servers, slot.server), slot.server_port);
        let (local, remote) = match plan.role {
            Role::Client => (client, server),
            Role::Server => (server, client),
        };
        Endpoints {
            local: local.0,
            remote: remote.0,
            local_port: local.1,
            remote_port: remote.1,
            tuple_sum: slot.tuple_sum,
        }
    }

    /// Any two ends.
    pub fn new(local: (IpAddr, u16), remote: (IpAddr, u16)) -> Endpoints {
        Endpoints {
            local: local.0,
            remote: remote.0,
            local_port: local.1,
            remote_port: remote.1,
            tuple_sum: tuple_sum(local, remote),
        }
    }
}

impl Endpoints {
    /// What the addresses alone add to a checksum: the tuple's sum less its ports.
    #[inline]
    fn address_sum(&self) -> u64 {
        let without = |port: u16| u64::from(!port.to_be());
        u64::from(self.tuple_sum) + without(self.local_port) + without(self.remote_port)
    }
}

/// What addresses and ports add to a TCP checksum, folded, in memory order; the same for both
/// directions.
#[inline]
pub fn tuple_sum(one: (IpAddr, u16), other: (IpAddr, u16)) -> u16 {
    let address = |address: IpAddr| match address {
        IpAddr::V4(v4) => sum(&v4.octets()),
        IpAddr::V6(v6) => sum(&v6.octets()),
    };
    fold(address(one.0) + address(other.0) + be16(one.1) + be16(other.1))
}

/// The constant headers of one core.
#[derive(Clone, Debug)]
pub struct Template {
    ethernet: EthernetHeader,
    ip: Ip,
    /// Options of a SYN without and with our window scale.
    syn_options: [[u8; SYN_OPTIONS]; 2],
    /// The device fills in checksums.
    offload: bool,
}

/// The constant part of the IP header.
#[derive(Clone, Debug)]
enum Ip {
    V4 {
        header: Ipv4Header,
        /// Sum of its words; what varies is zero in it.
        sum: u64,
        /// Identification of the last datagram.
        id: u16,
    },
    V6(Ipv6Header),
}

impl Template {
    /// Headers for `plan`, leaving through a device that can do `offloads`.
    pub fn new(plan: &CorePlan<'_>, offloads: Offloads) -> Template {
        let (ip, ethertype, needed) = match plan.host {
            IpAddr::V4(_) => (ipv4(plan.tos), ethertype::IPV4, Offloads::all()),
            IpAddr::V6(_) => (ipv6(plan.tos), ethertype::IPV6, Offloads::TX_L4_CHECKSUM),
        };
        let [m0, m1] = plan.mss.to_be_bytes();
        Template {
            ethernet: EthernetHeader {
                dst: MacAddr::ZERO,
                src: plan.mac,
                ethertype: ethertype.into(),
            },
            ip,
            syn_options: [[2, 4, m0, m1, 1, 1, 1, 1], [2, 4, m0, m1, 1, 3, 3, WINDOW_SCALE]],
            offload: (offloads | Offloads::RX_CHECKSUM).contains(needed),
        }
    }

    /// The next hop, once it is known.
    pub fn set_gateway(&mut self, mac: MacAddr) {
        self.ethernet.dst = mac;
    }

    /// Bytes in front of the TCP payload of a segment without options.
    #[inline]
    pub fn header_bytes(&self) -> usize {
        match self.ip {
            Ip::V4 { .. } => HEADERS_BYTES,
            Ip::V6(_) => ETHERNET_BYTES + IPV6_BYTES + TCP_BYTES,
        }
    }

    /// Writes the segment's headers over the frame; the payload, if any, already lies behind them
    /// ([`Template::header_bytes`]) and adds up to `payload_sum`. False if the frame is too small.
    #[inline]
    #[must_use]
    pub fn stamp(
        &mut self,
        frame: &mut Frame,
        ends: &Endpoints,
        reply: &Reply,
        payload_sum: u64,
    ) -> bool {
        let syn = reply.flags.contains(TcpFlags::SYN);
        let options = if syn { SYN_OPTIONS } else { 0 };
        let tcp_bytes = TCP_BYTES + options + usize::from(reply.payload_bytes);
        let header_bytes = self.header_bytes();
        if !frame.set_len(header_bytes - TCP_BYTES + tcp_bytes) {
            return false;
        }
        frame.set_tx_shape(self.shape());
        let Some((headers, behind)) = frame.buffer_mut().split_at_mut_checked(header_bytes) else {
            return false;
        };
        let mut sum = payload_sum;
        if let Some(room) = behind.first_chunk_mut::<SYN_OPTIONS>()
            && syn
        {
            *room = self.syn_options[usize::from(reply.scaled)];
            sum += checksum::sum(room);
        }
        let tcp = self.tcp(ends, reply, tcp_bytes as u16, sum);
        let offload = self.offload;
        match (&mut self.ip, ends.local, ends.remote) {
            (Ip::V4 { header, sum, id }, IpAddr::V4(source), IpAddr::V4(destination)) => {
                *id = id.wrapping_add(1);
                let total_bytes = (IPV4_BYTES + tcp_bytes) as u16;
                let whole = *sum + be16(total_bytes) + be16(*id) + ends.address_sum();
                let checksum = if offload { [0; 2] } else { finish(whole) };
                let ip = Ipv4Header {
                    total_length: total_bytes.into(),
                    id: (*id).into(),
                    checksum: U16::from_bytes(checksum),
                    source: source.octets(),
                    destination: destination.octets(),
                    ..*header
                };
                put(headers, &Headers { ethernet: self.ethernet, ip, tcp })
            }
            (Ip::V6(header), IpAddr::V6(source), IpAddr::V6(destination)) => {
                let ip = Ipv6Header {
                    payload_length: (tcp_bytes as u16).into(),
                    source: source.octets(),
                    destination: destination.octets(),
                    ..*header
                };
                let Some((front, back)) = headers.split_at_mut_checked(ETHERNET_BYTES) else {
                    return false;
                };
                let Some((middle, back)) = back.split_at_mut_checked(IPV6_BYTES) else {
                    return false;
                };
                put(front, &self.ethernet) && put(middle, &ip) && put(back, &tcp)
            }
            _ => false,
        }
    }

    fn shape(&self) -> TxShape {
        match (self.offload, &self.ip) {
            (false, _) => TxShape::Complete,
            (true, Ip::V4 { .. }) => TxShape::Ipv4Tcp,
            (true, Ip::V6(_)) => TxShape::Ipv6Tcp,
        }
    }

    /// The TCP header; options and payload add up to `behind_sum`.
    #[inline]
    fn tcp(&self, ends: &Endpoints, reply: &Reply, tcp_bytes: u16, behind_sum: u64) -> TcpHeader {
        let words = if reply.flags.contains(TcpFlags::SYN) { 7 } else { 5 };
        let flags = reply.flags.bits();
        let pseudo = be16(u16::from(protocol::TCP)) + be16(tcp_bytes);
        let checksum = if self.offload {
            // The device adds the rest.
            fold(pseudo + ends.address_sum()).to_ne_bytes()
        } else {
            let numbers = be32(reply.seq) + be32(reply.ack);
            let rest = be16(u16::from_be_bytes([words << 4, flags])) + be16(WINDOW);
            finish(pseudo + u64::from(ends.tuple_sum) + numbers + rest + behind_sum)
        };
        TcpHeader {
            source_port: ends.local_port.into(),
            destination_port: ends.remote_port.into(),
            sequence: reply.seq.into(),
            acknowledgment: reply.ack.into(),
            offset_reserved: words << 4,
            flags,
            window: WINDOW.into(),
            checksum: U16::from_bytes(checksum),
            urgent: 0.into(),
        }
    }
}

/// Writes a header; false if there is no room for it.
#[inline]
fn put<H: IntoBytes + Immutable>(room: &mut [u8], header: &H) -> bool {
    header.write_to_prefix(room).is_ok()
}

fn ipv4(tos: u8) -> Ip {
    let header = Ipv4Header {
        version_ihl: 0x45,
        tos,
        total_length: 0.into(),
        id: 0.into(),
        flags_fragment: DONT_FRAGMENT.into(),
        ttl: HOPS,
        protocol: protocol::TCP,
        checksum: 0.into(),
        source: [0; 4],
        destination: [0; 4],
    };
    Ip::V4 { header, sum: checksum::sum(header.as_bytes()), id: 0 }
}

fn ipv6(tos: u8) -> Ip {
    Ip::V6(Ipv6Header {
        version_class_flow: (6 << 28 | u32::from(tos) << 20).into(),
        payload_length: 0.into(),
        next_header: protocol::TCP,
        hop_limit: HOPS,
        source: [0; 16],
        destination: [0; 16],
    })
}
