//! The program at the interface: drops what asks for an address within the ranges, hands on the
//! rest.
//!
//! ```text
//! IPv4: destination          ARP: target protocol address
//! IPv6: destination, and the target of neighbour solicitations
//! ```
//! The kernel has taken a VLAN tag off before. A packet too short for a load is handed on.

use dperf_core::wire::ethernet::{ETHERNET_BYTES, ethertype};
use dperf_core::wire::icmpv6::NEIGHBOR_SOLICITATION;
use dperf_core::wire::ipv4::protocol;

use crate::port::bpf::{Code, IF_NOT_EQUAL_32, Instruction, IpRange, MOVE, OR, SHIFT_LEFT};

// Packet loads: Linux's own, in network byte order, into r0.
const LOAD_BYTE: u8 = 0x30;
const LOAD_HALF: u8 = 0x28;
const LOAD_WORD: u8 = 0x20;

// What the program returns (linux/bpf.h, enum tcx_action_base).
const NEXT: i32 = -1;
const DROP: i32 = 2;

/// The program for `ranges`; the descriptor of a packet comes in r1.
pub(super) fn assemble(ranges: &[IpRange]) -> Vec<Instruction> {
    let l3 = ETHERNET_BYTES as i32;
    let mut code = Code::default();
    // Packet loads find the packet in r6 and spoil r1 to r5.
    code.push(MOVE, 6, 1, 0, 0);
    for (kind, target) in [(ethertype::IPV4, l3 + 16), (ethertype::ARP, l3 + 24)] {
        code.only_if(LOAD_HALF, 12, i32::from(kind), |code| {
            code.load(LOAD_WORD, target);
            code.hit_within_v4(ranges);
            code.finish(NEXT);
        });
    }
    code.only_if(LOAD_HALF, 12, i32::from(ethertype::IPV6), |code| {
        code.load_v6(l3 + 24);
        code.hit_within_v6(ranges);
        code.only_if(LOAD_BYTE, l3 + 6, i32::from(protocol::ICMPV6), |code| {
            code.only_if(LOAD_BYTE, l3 + 40, i32::from(NEIGHBOR_SOLICITATION), |code| {
                code.load_v6(l3 + 48);
                code.hit_within_v6(ranges);
            });
        });
    });
    code.finish(NEXT);
    code.land_hits();
    code.finish(DROP);
    code.instructions()
}

impl Code {
    /// r0 = packet bytes at `offset`.
    fn load(&mut self, width: u8, offset: i32) {
        self.push(width, 0, 0, 0, offset);
    }

    /// r7, r8 = the address at `offset`.
    fn load_v6(&mut self, offset: i32) {
        for (register, at) in [(7, offset), (8, offset + 8)] {
            self.load(LOAD_WORD, at);
            self.push(MOVE, register, 0, 0, 0);
            self.push(SHIFT_LEFT, register, 0, 0, 32);
            self.load(LOAD_WORD, at + 4);
            self.push(OR, register, 0, 0, 0);
        }
    }

    fn only_if(&mut self, width: u8, offset: i32, value: i32, then: impl FnOnce(&mut Code)) {
        self.load(width, offset);
        let past = self.push(IF_NOT_EQUAL_32, 0, 0, 0, value);
        then(self);
        self.land(past);
    }
}
