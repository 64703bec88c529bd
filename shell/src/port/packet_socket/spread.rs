//! Several sockets on one interface: every received frame goes to exactly one of them, and all
//! frames of a connection to the same one.
//!
//! The kernel asks a program of ours. It adds up the bytes of addresses and ports by exclusive or:
//! a hash that the plan can reckon with, as with a network card's. It looks behind a second tag and
//! into a tunnel, where the load's packets are; of what lies there otherwise, it chooses anything.

use std::io::Result;
use std::os::fd::BorrowedFd;

use dperf_core::steer::{Hash, Rss};
use dperf_core::wire::ethernet::ethertype;

use super::{get_option, set_option};
use crate::port::rss;

/// Values of a hash of one byte.
const ENTRIES: u16 = 256;

/// The choice among `queues` sockets that were joined.
pub(super) fn choice(ipv6: bool, queues: u16) -> Rss<'static> {
    let hash = Hash::new(ipv6, |bit| 0x80 >> (bit % 8));
    // The kernel takes the remainder.
    rss::lend(hash, (0..ENTRIES).map(|sum| sum % queues.max(1)).collect())
}

/// Joins the sockets of one port; the first one founds the group. Returns its number. The packets
/// of the load are `hidden_bytes` behind the place where the network's header is.
pub(super) fn join(socket: BorrowedFd<'_>, group: Option<u16>, hidden_bytes: u16) -> Result<u16> {
    let how = libc::PACKET_FANOUT_CBPF;
    let unique = if group.is_none() { libc::PACKET_FANOUT_FLAG_UNIQUEID } else { 0 };
    let ask = |flags: u32| u32::from(group.unwrap_or(0)) | (how | unique | flags) << 16;
    // The group has its own switch for outgoing frames, younger than the socket's.
    set_option(socket, libc::PACKET_FANOUT, &ask(libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING))
        .or_else(|_| set_option(socket, libc::PACKET_FANOUT, &ask(0)))?;
    let mut joined = 0u32;
    get_option(socket, libc::PACKET_FANOUT, &mut joined)?;
    if group.is_none() {
        let mut program = program(hidden_bytes);
        let data = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        set_option(socket, libc::PACKET_FANOUT_DATA, &data)?;
    }
    Ok(joined as u16)
}

const fn step(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Past the next `steps` unless A is `value`.
const fn unless_equal(value: u16, steps: u8) -> libc::sock_filter {
    let code = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    libc::sock_filter { code, jt: 0, jf: steps, k: value as u32 }
}

/// The sum of the bytes of addresses and ports of the packet that is `hidden_bytes` behind the
/// place of the network's header; of what is not IP, 0. A load from beyond the end is the end, with
/// 0.
fn program(hidden_bytes: u16) -> Vec<libc::sock_filter> {
    const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const LOAD_WORD_AT_X: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_IND;
    /// X = four times the low half of a byte: the length of an IPv4 header.
    const X_IS_HEADER_BYTES: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
    const X_IS_MEMORY: u32 = libc::BPF_LDX | libc::BPF_W | libc::BPF_MEM;
    const X_IS_A: u32 = libc::BPF_MISC;
    const ADD_X: u32 = libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X;
    const SHIFT_RIGHT: u32 = libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K;
    const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
    // BPF_A is in no version of libc's list.
    const RETURN_A: u32 = libc::BPF_RET | 0x10;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    // The kernel has taken the Ethernet header off, and a tag.
    let at = |place: u16| u32::from(hidden_bytes + place);
    let kind = match hidden_bytes {
        // Its word on the protocol.
        0 => step(LOAD_WORD, (libc::SKF_AD_OFF + libc::SKF_AD_PROTOCOL) as u32),
        _ => step(LOAD_HALF, u32::from(hidden_bytes) - 2),
    };

    // Bytes 0 to 3 of A, added up.
    let end = [
        step(X_IS_A, 0),
        step(SHIFT_RIGHT, 16),
        step(ADD_X, 0),
        step(X_IS_A, 0),
        step(SHIFT_RIGHT, 8),
        step(ADD_X, 0),
        step(AND, 0xff),
        step(RETURN_A, 0),
    ];
    let mut v4 = vec![
        step(LOAD_WORD, at(12)),
        step(X_IS_A, 0),
        step(LOAD_WORD, at(16)),
        step(ADD_X, 0),
        step(libc::BPF_ST, 0),
        step(X_IS_HEADER_BYTES, at(0)),
        step(LOAD_WORD_AT_X, at(0)),
        step(X_IS_MEMORY, 0),
        step(ADD_X, 0),
    ];
    v4.extend(end);
    // Both addresses and the ports lie in a row.
    let mut v6 = vec![step(LOAD_WORD, at(8))];
    for place in (12..44).step_by(4) {
        v6.extend([step(X_IS_A, 0), step(LOAD_WORD, at(place)), step(ADD_X, 0)]);
    }
    v6.extend(end);
    let mut program = vec![kind];
    for (kind, steps) in [(ethertype::IPV4, v4), (ethertype::IPV6, v6)] {
        program.push(unless_equal(kind, steps.len() as u8));
        program.extend(steps);
    }
    program.push(step(RETURN, 0));
    program
}
