//! Several sockets on one interface: every received frame goes to exactly one of them, and all
//! frames of a connection to the same one.

use std::io::Result;
use std::os::fd::BorrowedFd;

use dperf_core::wire::ethernet::ethertype;

use super::{get_option, set_option};

/// Which of several queues a received frame goes to. An address counts by its low 32 bits as a
/// number, modulo the number of queues; what is not IP goes to queue 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spread {
    /// The source address: on the client's side, the server's.
    Source,
    /// The destination address: on the server's side, the server's.
    Destination,
}

/// Joins the sockets of one port; the first one founds the group. Returns its number.
pub(super) fn join(socket: BorrowedFd<'_>, group: Option<u16>, spread: Spread) -> Result<u16> {
    let how = libc::PACKET_FANOUT_CBPF;
    let unique = if group.is_none() { libc::PACKET_FANOUT_FLAG_UNIQUEID } else { 0 };
    let ask = |flags: u32| u32::from(group.unwrap_or(0)) | (how | unique | flags) << 16;
    // The group has its own switch for outgoing frames, younger than the socket's.
    set_option(socket, libc::PACKET_FANOUT, &ask(libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING))
        .or_else(|_| set_option(socket, libc::PACKET_FANOUT, &ask(0)))?;
    let mut joined = 0u32;
    get_option(socket, libc::PACKET_FANOUT, &mut joined)?;
    if group.is_none() {
        match spread {
            Spread::Source => choose_by(socket, 12, 8 + 12)?,
            Spread::Destination => choose_by(socket, 16, 24 + 12)?,
        }
    }
    Ok(joined as u16)
}

/// Lets the group choose by the word at these offsets of the IPv4 and the IPv6 header.
fn choose_by(socket: BorrowedFd<'_>, v4: u32, v6: u32) -> Result<()> {
    // Offsets below zero: from the network header on, and the kernel's word on the protocol.
    let network = libc::SKF_NET_OFF as u32;
    let protocol = (libc::SKF_AD_OFF + libc::SKF_AD_PROTOCOL) as u32;
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let if_equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    // BPF_A is in no version of libc's list.
    let return_loaded = libc::BPF_RET as u16 | 0x10;
    let return_value = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        step(load, 0, 0, protocol),
        step(if_equal, 0, 2, u32::from(ethertype::IPV4)),
        step(load, 0, 0, network.wrapping_add(v4)),
        step(return_loaded, 0, 0, 0),
        step(if_equal, 0, 2, u32::from(ethertype::IPV6)),
        step(load, 0, 0, network.wrapping_add(v6)),
        step(return_loaded, 0, 0, 0),
        step(return_value, 0, 0, 0),
    ];
    let data = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    set_option(socket, libc::PACKET_FANOUT_DATA, &data)
}
