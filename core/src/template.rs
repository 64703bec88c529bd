//! Headers built once and stamped per packet: copy the constant part, write what differs, add up
//! the checksum from sums that were prepared (RFC 1071, 2: the order of addition does not matter).

use core::net::IpAddr;

use crate::conn::Slot;
use crate::frame::{Frame, TxShape};
use crate::plan::{CorePlan, Role};
use crate::port::Offloads;
use crate::tcp::{Reply, WINDOW, WINDOW_SCALE};
use crate::wire::checksum::{be16, be32, finish, fold, sum};
use crate::wire::ethernet::{ETHERNET_BYTES, MacAddr};
use crate::wire::ipv4::IPV4_BYTES;
use crate::wire::ipv6::IPV6_BYTES;
use crate::wire::tcp::{TCP_BYTES, TcpFlags};

/// Room for the longest header, copied in whole; every frame is at least this long.
const HEADER_ROOM: usize = 96;
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
        let client = (plan.clients.at(u32::from(slot.client)), slot.client_port);
        let server = (plan.servers.at(u32::from(slot.server)), slot.server_port);
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
    /// Ethernet, IP and TCP header with everything that never changes.
    head: [u8; HEADER_ROOM],
    ipv4: bool,
    /// Sum of the constant words of the IPv4 header.
    ip_sum: u64,
    /// Options of a SYN without and with our window scale.
    syn_options: [[u8; SYN_OPTIONS]; 2],
    /// The device fills in checksums.
    offload: bool,
    ip_id: u16,
}

impl Template {
    /// Headers for `plan`, leaving through a device that can do `offloads`.
    pub fn new(plan: &CorePlan<'_>, offloads: Offloads) -> Template {
        let ipv4 = plan.host.is_ipv4();
        let mut head = [0; HEADER_ROOM];
        head[6..12].copy_from_slice(&plan.mac.0);
        let l4 = if ipv4 {
            head[12..14].copy_from_slice(&0x0800u16.to_be_bytes());
            head[14] = 0x45;
            head[15] = plan.tos;
            head[20] = 0x40; // don't fragment
            head[22] = 64;
            head[23] = 6;
            ETHERNET_BYTES + IPV4_BYTES
        } else {
            head[12..14].copy_from_slice(&0x86ddu16.to_be_bytes());
            head[14..18].copy_from_slice(&(6 << 28 | u32::from(plan.tos) << 20).to_be_bytes());
            head[20] = 6;
            head[21] = 64;
            ETHERNET_BYTES + IPV6_BYTES
        };
        head[l4 + 12] = 5 << 4;
        head[l4 + 14..l4 + 16].copy_from_slice(&WINDOW.to_be_bytes());
        let [m0, m1] = plan.mss.to_be_bytes();
        let needed = if ipv4 { Offloads::all() } else { Offloads::TX_L4_CHECKSUM };
        Template {
            head,
            ipv4,
            ip_sum: sum(&head[ETHERNET_BYTES..ETHERNET_BYTES + IPV4_BYTES]),
            syn_options: [[2, 4, m0, m1, 1, 1, 1, 1], [2, 4, m0, m1, 1, 3, 3, WINDOW_SCALE]],
            offload: (offloads | Offloads::RX_CHECKSUM).contains(needed),
            ip_id: 0,
        }
    }

    /// The next hop, once it is known.
    pub fn set_gateway(&mut self, mac: MacAddr) {
        self.head[0..6].copy_from_slice(&mac.0);
    }

    /// Bytes in front of the TCP payload of a segment without options.
    #[inline]
    pub fn header_bytes(&self) -> usize {
        let ip_bytes = if self.ipv4 { IPV4_BYTES } else { IPV6_BYTES };
        ETHERNET_BYTES + ip_bytes + TCP_BYTES
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
        let ip_bytes = if self.ipv4 { IPV4_BYTES } else { IPV6_BYTES };
        let tcp_bytes = TCP_BYTES + options + usize::from(reply.payload_bytes);
        if !frame.set_len(ETHERNET_BYTES + ip_bytes + tcp_bytes) {
            return false;
        }
        frame.set_tx_shape(self.shape());
        let buffer = frame.buffer_mut();
        if self.ipv4 {
            let Some(room) = buffer.first_chunk_mut::<{ ETHERNET_BYTES + IPV4_BYTES }>() else {
                return false;
            };
            self.stamp_ipv4(room, ends, tcp_bytes);
        } else {
            let Some(room) = buffer.first_chunk_mut::<{ ETHERNET_BYTES + IPV6_BYTES }>() else {
                return false;
            };
            self.stamp_ipv6(room, ends, tcp_bytes);
        }
        let l4 = ETHERNET_BYTES + ip_bytes;
        let Some(room) = buffer.get_mut(l4..l4 + TCP_BYTES + options) else { return false };
        self.stamp_tcp(room, ends, reply, tcp_bytes, payload_sum);
        true
    }

    fn shape(&self) -> TxShape {
        match (self.offload, self.ipv4) {
            (false, _) => TxShape::Complete,
            (true, true) => TxShape::Ipv4Tcp,
            (true, false) => TxShape::Ipv6Tcp,
        }
    }

    #[inline]
    fn stamp_ipv4(&mut self, out: &mut [u8; 34], ends: &Endpoints, tcp_bytes: usize) {
        let (IpAddr::V4(local), IpAddr::V4(remote)) = (ends.local, ends.remote) else { return };
        let total_bytes = (IPV4_BYTES + tcp_bytes) as u16;
        self.ip_id = self.ip_id.wrapping_add(1);
        out.copy_from_slice(&self.head[..34]);
        out[16..18].copy_from_slice(&total_bytes.to_be_bytes());
        out[18..20].copy_from_slice(&self.ip_id.to_be_bytes());
        out[26..30].copy_from_slice(&local.octets());
        out[30..34].copy_from_slice(&remote.octets());
        if !self.offload {
            let header = self.ip_sum + be16(total_bytes) + be16(self.ip_id);
            out[24..26].copy_from_slice(&finish(header + ends.address_sum()));
        }
    }

    #[inline]
    fn stamp_ipv6(&self, out: &mut [u8; 54], ends: &Endpoints, tcp_bytes: usize) {
        let (IpAddr::V6(local), IpAddr::V6(remote)) = (ends.local, ends.remote) else { return };
        out.copy_from_slice(&self.head[..54]);
        out[18..20].copy_from_slice(&(tcp_bytes as u16).to_be_bytes());
        out[22..38].copy_from_slice(&local.octets());
        out[38..54].copy_from_slice(&remote.octets());
    }

    /// The TCP header: `out` is it and its options.
    #[inline]
    fn stamp_tcp(
        &self,
        out: &mut [u8],
        ends: &Endpoints,
        reply: &Reply,
        tcp_bytes: usize,
        payload_sum: u64,
    ) {
        let header_bytes = out.len();
        let offset_flags = ((header_bytes as u16 / 4) << 12) | u16::from(reply.flags.bits());
        let options_sum = match out.split_first_chunk_mut::<TCP_BYTES>() {
            Some((header, options)) => {
                header[0..2].copy_from_slice(&ends.local_port.to_be_bytes());
                header[2..4].copy_from_slice(&ends.remote_port.to_be_bytes());
                header[4..8].copy_from_slice(&reply.seq.to_be_bytes());
                header[8..12].copy_from_slice(&reply.ack.to_be_bytes());
                header[12..14].copy_from_slice(&offset_flags.to_be_bytes());
                header[14..16].copy_from_slice(&WINDOW.to_be_bytes());
                header[18..20].copy_from_slice(&[0, 0]);
                match options.first_chunk_mut::<SYN_OPTIONS>() {
                    Some(options) => {
                        *options = self.syn_options[usize::from(reply.scaled)];
                        sum(options)
                    }
                    None => 0,
                }
            }
            None => return,
        };
        let pseudo = be16(6) + be16(tcp_bytes as u16);
        let checksum = if self.offload {
            // The device adds the rest.
            fold(pseudo + ends.address_sum()).to_ne_bytes()
        } else {
            let header = be32(reply.seq) + be32(reply.ack) + be16(offset_flags) + be16(WINDOW);
            let header = header + u64::from(ends.tuple_sum) + pseudo;
            finish(header + options_sum + payload_sum)
        };
        out[16..18].copy_from_slice(&checksum);
    }
}
