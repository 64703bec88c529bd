//! The XDP program: what is test traffic goes to the socket of the receive queue, everything else
//! to the kernel as if we were not there.
//!
//! ```text
//! ARP: target address                        IPv4 ICMP: destination
//! IPv4 TCP, UDP: destination and ports       the same for IPv6; neighbour solicitations: target
//! ```
//! Addresses of the load that the kernel has itself stay the kernel's for ARP, ping and neighbour
//! discovery. Fragments, IPv4 options and IPv6 extension headers are the kernel's, and so is what
//! has other VLAN tags than the load. Of a load in a tunnel, what is sent to its ends here in its
//! network is ours, whatever lies inside.

use dperf_core::plan::{PortRange, Role, Vlan};
use dperf_core::wire::ethernet::{ETHERNET_BYTES, VLAN_BYTES, ethertype};
use dperf_core::wire::icmpv6::NEIGHBOR_SOLICITATION;
use dperf_core::wire::ipv4::{IPV4_BYTES, protocol};
use dperf_core::wire::udp::UDP_BYTES;
use dperf_core::wire::vxlan::VXLAN_PORT;

use crate::port::bpf::{
    Code, EXIT, IF_AT_MOST_32, IF_GREATER, IF_LESS_32, IF_NOT_EQUAL_32, Instruction, IpRange,
    LOAD_VALUE, MOVE, MOVE_VALUE,
};

/// What the load is, as far as a packet shows it.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Which side we play.
    pub role: Role,
    /// The tags of its frames.
    pub vlan: Option<Vlan>,
    /// The number of the VXLAN network that it is inside of.
    pub vni: Option<u32>,
    /// Our addresses of the load, or our ends of its tunnel.
    pub own: Vec<IpRange>,
    /// Those of them that the kernel does not have.
    pub ours_alone: Vec<IpRange>,
    /// Server ports.
    pub listen: PortRange,
    /// Client ports.
    pub client_ports: PortRange,
    /// It is UDP.
    pub udp: bool,
}

// Loads of a packet's bytes into r0, from where r6 points to, as the processor reads them.
const LOAD_BYTE: u8 = 0x71;
const LOAD_HALF: u8 = 0x69;
const LOAD_WORD: u8 = 0x61;
const LOAD_DOUBLE: u8 = 0x79;
/// To network byte order.
const SWAP: u8 = 0xdc;
const ADD_VALUE: u8 = 0x07;
const AND_VALUE: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const CALL: u8 = 0x85;
const JUMP: u8 = 0x05;

// linux/bpf.h: what the program returns, a helper, and where a packet's description has what.
const PASS: i32 = 2;
const REDIRECT_MAP: i32 = 51;
const MAP_BY_DESCRIPTOR: u8 = 1;
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const RX_QUEUE: i16 = 16;

/// The identifier in a tag's control information.
const TAG_ID: i32 = 0x0fff;

/// The program for `traffic`, with the sockets in the map of descriptor `map`.
pub(super) fn assemble(traffic: &Traffic, map: i32) -> Vec<Instruction> {
    let mut code = Code::default();
    // r6, r7 = the packet and its end; r9 = its queue.
    code.push(LOAD_WORD, 6, 1, DATA, 0);
    code.push(LOAD_WORD, 7, 1, DATA_END, 0);
    code.push(LOAD_WORD, 9, 1, RX_QUEUE, 0);
    let tags = tags(traffic.vlan);
    let l3 = (ETHERNET_BYTES + VLAN_BYTES * tags.len()) as i16;
    let kind = l3 - 2;
    // Up to the ports of IPv4, and to the end of ARP.
    let mut others = vec![code.if_shorter(l3 + 28)];
    for (at, (kind, id)) in (12..).step_by(VLAN_BYTES).zip(tags) {
        others.push(code.if_other(at, i32::from(u16::MAX), kind));
        others.push(code.if_other(at + 2, TAG_ID, id));
    }
    code.if_equal(LOAD_HALF, kind, i32::from(ethertype::ARP), |code| {
        code.load_at(LOAD_WORD, l3 + 24);
        code.hit_within_v4(&traffic.ours_alone);
        code.finish(PASS);
    });
    code.if_equal(LOAD_HALF, kind, i32::from(ethertype::IPV4), |code| ipv4(code, l3, traffic));
    code.if_equal(LOAD_HALF, kind, i32::from(ethertype::IPV6), |code| ipv6(code, l3, traffic));
    others.into_iter().for_each(|jump| code.land(jump));
    code.finish(PASS);
    code.land_hits();
    // Passed on all the same where the queue has no socket.
    code.push(LOAD_VALUE, 1, MAP_BY_DESCRIPTOR, 0, map);
    code.push(0, 0, 0, 0, 0);
    code.push(MOVE, 2, 9, 0, 0);
    code.push(MOVE_VALUE, 3, 0, 0, PASS);
    code.push(CALL, 0, 0, 0, REDIRECT_MAP);
    code.push(EXIT, 0, 0, 0, 0);
    code.instructions()
}

/// The ethertype and the identifier of each tag, the outer first.
fn tags(vlan: Option<Vlan>) -> Vec<(i32, i32)> {
    let tag = |kind: u16, id: u16| (i32::from(kind), i32::from(id));
    let of = |vlan: Vlan| {
        let service = vlan.service.map(|id| tag(ethertype::QINQ, id));
        service.into_iter().chain([tag(ethertype::VLAN, vlan.customer)])
    };
    vlan.into_iter().flat_map(of).collect()
}

fn ipv4(code: &mut Code, l3: i16, traffic: &Traffic) {
    code.if_equal(LOAD_BYTE, l3, 0x45, |code| {
        let fragment = code.if_any(l3 + 6, 0x3fff);
        match traffic.vni {
            Some(vni) => code.if_equal(LOAD_BYTE, l3 + 9, i32::from(protocol::UDP), |code| {
                tunnel(code, l3, vni, &traffic.own);
            }),
            None => [protocol::TCP, protocol::UDP].into_iter().for_each(|transport| {
                code.if_equal(LOAD_BYTE, l3 + 9, i32::from(transport), |code| {
                    code.if_ports(l3 + 20, traffic, |code| {
                        code.load_at(LOAD_WORD, l3 + 16);
                        code.hit_within_v4(&traffic.own);
                    });
                });
            }),
        }
        code.if_equal(LOAD_BYTE, l3 + 9, i32::from(protocol::ICMP), |code| {
            code.load_at(LOAD_WORD, l3 + 16);
            code.hit_within_v4(&traffic.ours_alone);
        });
        code.land(fragment);
    });
    code.finish(PASS);
}

/// A datagram for one of the `ends` of the tunnel, in its network.
fn tunnel(code: &mut Code, l3: i16, vni: u32, ends: &[IpRange]) {
    let udp = l3 + IPV4_BYTES as i16;
    let vxlan = udp + UDP_BYTES as i16;
    let short = code.if_shorter(vxlan + 8);
    code.if_equal(LOAD_HALF, udp + 2, i32::from(VXLAN_PORT), |code| {
        // Its lowest byte is reserved.
        code.load_at(LOAD_WORD, vxlan + 4);
        code.push(SHIFT_RIGHT, 0, 0, 0, 8);
        let other = code.push(IF_NOT_EQUAL_32, 0, 0, 0, vni as i32);
        code.load_at(LOAD_WORD, l3 + 16);
        code.hit_within_v4(ends);
        code.land(other);
    });
    code.land(short);
}

fn ipv6(code: &mut Code, l3: i16, traffic: &Traffic) {
    let short = code.if_shorter(l3 + 48);
    for transport in [protocol::TCP, protocol::UDP] {
        code.if_equal(LOAD_BYTE, l3 + 6, i32::from(transport), |code| {
            code.if_ports(l3 + 40, traffic, |code| {
                code.with_v6(l3 + 24, |code| code.hit_within_v6(&traffic.own));
            });
        });
    }
    code.if_equal(LOAD_BYTE, l3 + 6, i32::from(protocol::ICMPV6), |code| {
        code.with_v6(l3 + 24, |code| code.hit_within_v6(&traffic.ours_alone));
        code.if_equal(LOAD_BYTE, l3 + 40, i32::from(NEIGHBOR_SOLICITATION), |code| {
            let short = code.if_shorter(l3 + 64);
            code.with_v6(l3 + 48, |code| code.hit_within_v6(&traffic.ours_alone));
            code.land(short);
        });
    });
    code.land(short);
    code.finish(PASS);
}

impl Code {
    /// A jump to be landed that is taken if the packet is shorter than `bytes`.
    fn if_shorter(&mut self, bytes: i16) -> usize {
        self.push(MOVE, 2, 6, 0, 0);
        self.push(ADD_VALUE, 2, 0, 0, i32::from(bytes));
        self.push(IF_GREATER, 2, 7, 0, 0)
    }

    /// r0 = what stands at `offset`, as a number.
    fn load_at(&mut self, width: u8, offset: i16) {
        self.push(width, 0, 6, offset, 0);
        match width {
            LOAD_HALF => self.push(SWAP, 0, 0, 0, 16),
            LOAD_WORD => self.push(SWAP, 0, 0, 0, 32),
            LOAD_DOUBLE => self.push(SWAP, 0, 0, 0, 64),
            _ => 0,
        };
    }

    fn if_equal(&mut self, width: u8, offset: i16, value: i32, then: impl FnOnce(&mut Code)) {
        self.load_at(width, offset);
        let past = self.push(IF_NOT_EQUAL_32, 0, 0, 0, value);
        then(self);
        self.land(past);
    }

    /// A jump to be landed that is taken if any bit of `mask` is set at `offset`.
    fn if_any(&mut self, offset: i16, mask: i32) -> usize {
        self.if_other(offset, mask, 0)
    }

    /// A jump to be landed that is taken if the bits of `mask` at `offset` are not `value`.
    fn if_other(&mut self, offset: i16, mask: i32, value: i32) -> usize {
        self.load_at(LOAD_HALF, offset);
        self.push(AND_VALUE, 0, 0, 0, mask);
        self.push(IF_NOT_EQUAL_32, 0, 0, 0, value)
    }

    /// `then`, if source and destination port at `offset` are the load's: what a server gets comes
    /// to its ports; what a client gets comes from them, to one of its own.
    fn if_ports(&mut self, offset: i16, traffic: &Traffic, then: impl FnOnce(&mut Code)) {
        let server = traffic.role == Role::Server;
        let (from, to) = match server {
            true => (traffic.client_ports, traffic.listen),
            false => (traffic.listen, traffic.client_ports),
        };
        // Anybody may ask a server, from any port.
        let mut past = if server { Vec::new() } else { self.unless_port(offset, from).to_vec() };
        past.extend(self.unless_port(offset + 2, to));
        then(self);
        for jump in past {
            self.land(jump);
        }
    }

    /// Jumps to be landed, one of which is taken if the port at `offset` is outside `ports`.
    fn unless_port(&mut self, offset: i16, ports: PortRange) -> [usize; 2] {
        let last = i32::from(ports.first) + ports.count as i32 - 1;
        self.load_at(LOAD_HALF, offset);
        let below = self.push(IF_LESS_32, 0, 0, 0, i32::from(ports.first));
        let within = self.push(IF_AT_MOST_32, 0, 0, 0, last);
        let above = self.push(JUMP, 0, 0, 0, 0);
        self.land(within);
        [below, above]
    }

    /// `then`, with the address at `offset` in r7 and r8; the packet's end is there again after.
    fn with_v6(&mut self, offset: i16, then: impl FnOnce(&mut Code)) {
        // r5 is spoiled by nothing in between.
        self.push(MOVE, 5, 7, 0, 0);
        self.load_at(LOAD_DOUBLE, offset);
        self.push(MOVE, 4, 0, 0, 0);
        self.load_at(LOAD_DOUBLE, offset + 8);
        self.push(MOVE, 8, 0, 0, 0);
        self.push(MOVE, 7, 4, 0, 0);
        then(self);
        self.push(MOVE, 7, 5, 0, 0);
    }
}
