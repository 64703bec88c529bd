//! The program at the interface: drops what asks for an address within the ranges, hands on the
//! rest. Assembled here, so that neither a compiler nor a library is needed.
//!
//! ```text
//! IPv4: destination          ARP: target protocol address
//! IPv6: destination, and the target of neighbour solicitations
//! ```
//! The kernel has taken a VLAN tag off before. A packet too short for a load is handed on.

use core::net::IpAddr;

use dperf_core::wire::ethernet::{ETHERNET_BYTES, ethertype};

use super::IpRange;

/// One instruction (`struct bpf_insn`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    /// Destination in the low, source in the high half.
    registers: u8,
    offset: i16,
    value: i32,
}

const _: () = assert!(size_of::<Instruction>() == 8);

// Operation codes (RFC 9669; the packet loads are Linux's own, in network byte order, into r0).
const LOAD_BYTE: u8 = 0x30;
const LOAD_HALF: u8 = 0x28;
const LOAD_WORD: u8 = 0x20;
const LOAD_VALUE: u8 = 0x18;
const MOVE: u8 = 0xbf;
const MOVE_VALUE: u8 = 0xb7;
const OR: u8 = 0x4f;
const SHIFT_LEFT: u8 = 0x67;
const EXIT: u8 = 0x95;
/// On 32 bits, against a value.
const IF_NOT_EQUAL_32: u8 = 0x56;
const IF_LESS_32: u8 = 0xa6;
const IF_AT_MOST_32: u8 = 0xb6;
/// On 64 bits, against a register, unsigned.
const IF_GREATER: u8 = 0x2d;
const IF_LESS: u8 = 0xad;
const IF_AT_MOST: u8 = 0xbd;

// What the program returns (linux/bpf.h, enum tcx_action_base).
const NEXT: i32 = -1;
const DROP: i32 = 2;

const NEIGHBOUR_SOLICITATION: i32 = 135;
const ICMPV6: i32 = 58;

/// The program for `ranges`; the descriptor of a packet comes in r1.
pub(super) fn assemble(ranges: &[IpRange]) -> Vec<Instruction> {
    let l3 = ETHERNET_BYTES as i32;
    let mut code = Code::default();
    // Packet loads find the packet in r6 and spoil r1 to r5.
    code.push(MOVE, 6, 1, 0, 0);
    for (kind, target) in [(ethertype::IPV4, l3 + 16), (ethertype::ARP, l3 + 24)] {
        code.only_if(LOAD_HALF, 12, i32::from(kind), |code| {
            code.load(LOAD_WORD, target);
            code.drop_within_v4(ranges);
            code.finish(NEXT);
        });
    }
    code.only_if(LOAD_HALF, 12, i32::from(ethertype::IPV6), |code| {
        code.load_v6(l3 + 24);
        code.drop_within_v6(ranges);
        code.only_if(LOAD_BYTE, l3 + 6, ICMPV6, |code| {
            code.only_if(LOAD_BYTE, l3 + 40, NEIGHBOUR_SOLICITATION, |code| {
                code.load_v6(l3 + 48);
                code.drop_within_v6(ranges);
            });
        });
    });
    code.finish(NEXT);
    code.finish_dropping()
}

#[derive(Default)]
struct Code {
    code: Vec<Instruction>,
    /// Jumps that lead to the end, where packets are dropped.
    drops: Vec<usize>,
}

impl Code {
    fn push(&mut self, code: u8, to: u8, from: u8, offset: i16, value: i32) -> usize {
        self.code.push(Instruction { code, registers: from << 4 | to, offset, value });
        self.code.len() - 1
    }

    /// The jump at `from` leads to the next instruction to come.
    fn land(&mut self, from: usize) {
        // Within i16: MAX_RANGES times 30 instructions.
        self.code[from].offset = (self.code.len() - from - 1) as i16;
    }

    /// r0 = packet bytes at `offset`.
    fn load(&mut self, width: u8, offset: i32) {
        self.push(width, 0, 0, 0, offset);
    }

    /// `register` = `value`: two places.
    fn set(&mut self, register: u8, value: u64) {
        self.push(LOAD_VALUE, register, 0, 0, value as u32 as i32);
        self.push(0, 0, 0, 0, (value >> 32) as u32 as i32);
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

    fn finish(&mut self, verdict: i32) {
        self.push(MOVE_VALUE, 0, 0, 0, verdict);
        self.push(EXIT, 0, 0, 0, 0);
    }

    fn finish_dropping(mut self) -> Vec<Instruction> {
        for from in core::mem::take(&mut self.drops) {
            self.land(from);
        }
        self.finish(DROP);
        self.code
    }

    /// Drops if r0 is within an IPv4 range.
    fn drop_within_v4(&mut self, ranges: &[IpRange]) {
        for range in ranges {
            let (IpAddr::V4(first), IpAddr::V4(last)) = (range.first, range.last) else { continue };
            let past = self.push(IF_LESS_32, 0, 0, 0, first.to_bits() as i32);
            let hit = self.push(IF_AT_MOST_32, 0, 0, 0, last.to_bits() as i32);
            self.drops.push(hit);
            self.land(past);
        }
    }

    /// Drops if r7, r8 is within an IPv6 range.
    fn drop_within_v6(&mut self, ranges: &[IpRange]) {
        for range in ranges {
            let (IpAddr::V6(first), IpAddr::V6(last)) = (range.first, range.last) else { continue };
            let halves = |bits: u128| ((bits >> 64) as u64, bits as u64);
            let ((first_high, first_low), (last_high, last_low)) =
                (halves(first.to_bits()), halves(last.to_bits()));
            self.set(1, first_high);
            let below = self.push(IF_LESS, 7, 1, 0, 0);
            let above_first = self.push(IF_GREATER, 7, 1, 0, 0);
            self.set(1, first_low);
            let below_low = self.push(IF_LESS, 8, 1, 0, 0);
            self.land(above_first);
            self.set(1, last_high);
            let hit = self.push(IF_LESS, 7, 1, 0, 0);
            let above = self.push(IF_GREATER, 7, 1, 0, 0);
            self.set(1, last_low);
            let hit_low = self.push(IF_AT_MOST, 8, 1, 0, 0);
            self.drops.extend([hit, hit_low]);
            for past in [below, below_low, above] {
                self.land(past);
            }
        }
    }
}
