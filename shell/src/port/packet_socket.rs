//! Plain packet sockets (AF_PACKET) on any Linux Ethernet interface: no driver, no huge pages, no
//! other program. What arrives is handed on as it was on the wire and whole, or dropped and
//! counted.
//!
//! One socket per queue. Frames are copied out of the kernel's ring, so its slot is free at once
//! and the frame is ours to answer in place; they leave from their own buffers, one system call per
//! burst. A transmit ring was measured and saves nothing: the kernel copies its slots all the same
//! when the receiver is on this machine.
//!
//! The kernel sees a copy of every frame: see [`super::kernel_silence`].
#![allow(unsafe_code)]

use std::io::{Error, Result as IoResult};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, bail};
use dperf_core::frame::{Frame, RxChecksum, TRAY_PLACES, Tray};
use dperf_core::port::{BURST, Capabilities, Faults, Offloads, PacketQueue, PortState};
use dperf_core::wire::ethernet::{VLAN_BYTES, ethertype};

use self::ring::{Arrived, RxRing};
use super::buffers;
use super::interface::{self, Interface};
use super::pool::Pool;
use super::socket_option::{get, set};
use super::{Delivery, Facts, KernelSees, Opened, ethtool};

mod ring;
mod spread;
#[cfg(test)]
pub(crate) mod tests;

/// Buffers of one queue: what a worker's trays can hold, twice.
const FRAMES: u32 = 512;

/// Bytes before the place of a VLAN tag: the two MAC addresses.
const BEFORE_TAG: usize = 12;

/// What the kernel may say: the checksums of a received frame, frame by frame.
const OFFLOADS: Offloads = Offloads::RX_CHECKSUM;

/// What tells flows apart where a port has several sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flows {
    /// Packets of the load are of this family.
    pub ipv6: bool,
    /// They are so many bytes behind where a network's header is, the first VLAN tag taken off: 0,
    /// or the bytes of a second tag, or those of a tunnel's headers.
    pub hidden_bytes: u16,
}

/// Opens `queues` sockets on `interface`, which stays as it is; several of them are chosen from by
/// a hash of `flows`.
///
/// # Errors
/// One sentence that says what is missing and how to provide it.
pub fn open(interface: &str, queues: u16, flows: Flows) -> Result<Opened> {
    let mut group = None;
    let mut opened = Vec::with_capacity(usize::from(queues));
    let mut facts = None;
    for _ in 0..queues.max(1) {
        let socket = socket()?;
        let found = Interface::find(socket.as_fd(), interface)?;
        let failed = |what: &'static str| move || format!("interface '{interface}': {what}");
        let ring = RxRing::new(&socket, found.frame_bytes + VLAN_BYTES as u16)
            .with_context(failed("the kernel grants no receive ring"))?;
        tune(socket.as_fd(), found.index).with_context(failed("cannot set up the socket"))?;
        bind(socket.as_fd(), found.index).with_context(failed("cannot bind the socket"))?;
        if queues > 1 {
            let joined = spread::join(socket.as_fd(), group, flows.hidden_bytes)
                .with_context(failed("cannot spread frames over several sockets"))?;
            group = Some(joined);
        }
        facts.get_or_insert(Facts {
            mac: found.mac,
            frame_bytes: found.frame_bytes,
            offloads: OFFLOADS,
            kernel_sees: KernelSees::Copy,
            delivery: Delivery::Hashed(spread::choice(flows.ipv6, queues)),
            buffer_bytes: memory_bytes(queues, found.frame_bytes),
        });
        let queue = PacketSocket::new(socket, ring, found.frame_bytes);
        opened.push(Box::new(queue) as Box<dyn PacketQueue>);
    }
    match facts {
        Some(facts) => {
            let notes = advice(interface).into_iter().collect();
            Ok(Opened { facts, queues: opened, notes, refusals: None })
        }
        None => bail!("interface '{interface}': no queue was asked for"),
    }
}

/// Bytes of the buffers and receive rings of so many queues, on an interface whose longest frame,
/// without a tag, is `frame_bytes`.
pub fn memory_bytes(queues: u16, frame_bytes: u16) -> u64 {
    let tagged = frame_bytes + VLAN_BYTES as u16;
    u64::from(queues) * (ring::bytes(tagged) as u64 + buffers::bytes(tagged, FRAMES) as u64)
}

/// What should be changed on `interface` before a test, in one sentence; none if all is well.
/// Joined segments are longer than a frame may be, so they are dropped (and counted as receive
/// errors).
fn advice(interface: &str) -> Option<String> {
    let socket = socket().ok()?;
    ethtool::joins_segments(socket.as_fd(), interface).then(|| {
        format!(
            "'{interface}' joins received segments, which are dropped here if they get longer than \
             a frame: 'ethtool -K {interface} gro off lro off'; a peer on the same machine also \
             needs 'ethtool -K PEER tso off gso off'"
        )
    })
}

/// One packet socket with its buffers. Minted only by [`open`].
struct PacketSocket {
    socket: OwnedFd,
    ring: RxRing,
    pool: Pool,
    frame_bytes: u16,
    faults: Faults,
}

impl PacketSocket {
    fn new(socket: OwnedFd, ring: RxRing, frame_bytes: u16) -> PacketSocket {
        let pool = Pool::new(frame_bytes + VLAN_BYTES as u16, FRAMES);
        PacketSocket { socket, ring, pool, frame_bytes, faults: Faults::default() }
    }

    fn reclaim(&mut self, frame: Frame) {
        self.faults.tx_errors += u64::from(!self.pool.reclaim(frame));
    }

    /// Sends from the front of `frames`; how many left, or why the first one did not.
    fn send(&self, frames: &[Frame]) -> IoResult<usize> {
        // SAFETY: all-zero is valid for both: no name, no vectors, no control data.
        let (mut vectors, mut messages): (
            [libc::iovec; TRAY_PLACES],
            [libc::mmsghdr; TRAY_PLACES],
        ) = unsafe { core::mem::zeroed() };
        for ((frame, vector), message) in frames.iter().zip(&mut vectors).zip(&mut messages) {
            let bytes = frame.bytes();
            *vector =
                libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
        }
        let (socket, count) = (self.socket.as_raw_fd(), frames.len().min(TRAY_PLACES) as u32);
        // SAFETY: the first `count` messages each point to one vector over a living frame, and the
        // kernel only reads them.
        let sent =
            unsafe { libc::sendmmsg(socket, messages.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
        usize::try_from(sent).map_err(|_| Error::last_os_error())
    }
}

// SAFETY: every frame is lent by the pool, whose memory is initialised and outlives queue and
// frames, and which knows its own by cookie and address.
unsafe impl PacketQueue for PacketSocket {
    fn capabilities(&self) -> Capabilities {
        Capabilities { offloads: OFFLOADS, frame_bytes: self.frame_bytes }
    }

    fn receive(&mut self, into: &mut Tray) {
        let want = BURST.min(into.room()).min(self.pool.available());
        let mut got = 0;
        while got < want {
            let Some(mut frame) = self.pool.lend() else { return };
            match self.ring.next(|arrived| fill(&mut frame, &arrived)) {
                Some(Verdict::Whole) => {
                    got += 1;
                    let pushed = into.push(frame);
                    debug_assert!(pushed.is_ok(), "the tray has room for `want`");
                    continue;
                }
                Some(Verdict::Oversized) => self.faults.rx_errors += 1,
                Some(Verdict::Ours) => {}
                None => got = want,
            }
            self.reclaim(frame);
        }
    }

    fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        self.pool.take(want, into)
    }

    fn transmit(&mut self, from: &mut Tray) -> usize {
        let mut total = 0;
        while !from.is_empty() {
            let sent = match self.send(from.frames()) {
                Ok(0) => break,
                Ok(sent) => {
                    total += sent;
                    sent
                }
                // Not a frame that this interface can send: it would block the others for ever.
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    self.faults.tx_errors += 1;
                    1
                }
                // No room now, or the interface is down: `state` tells which.
                Err(_) => break,
            };
            from.drain_front(sent, |frame| self.reclaim(frame));
        }
        total
    }

    fn give_back(&mut self, from: &mut Tray) {
        self.faults.tx_errors += self.pool.give_back(from);
    }

    fn state(&mut self) -> PortState {
        interface::state(self.socket.as_fd())
    }

    fn faults(&mut self) -> Faults {
        // SAFETY: all-zero is a valid `tpacket_stats`; reading sets the kernel's counts to zero.
        let mut counts: libc::tpacket_stats = unsafe { core::mem::zeroed() };
        if get_option(self.socket.as_fd(), libc::PACKET_STATISTICS, &mut counts).is_ok() {
            self.faults.rx_missed += u64::from(counts.tp_drops);
        }
        self.faults
    }
}

enum Verdict {
    Whole,
    /// Longer than any frame on the wire: segments that the kernel or the device has joined.
    Oversized,
    /// A frame that we sent.
    Ours,
}

/// Copies a received frame, its VLAN tag back in place.
#[inline]
fn fill(frame: &mut Frame, arrived: &Arrived<'_>) -> Verdict {
    if arrived.kind == libc::PACKET_OUTGOING {
        return Verdict::Ours;
    }
    let tagged = arrived.status & libc::TP_STATUS_VLAN_VALID != 0;
    let tag = if tagged { VLAN_BYTES } else { 0 };
    let bytes = arrived.bytes;
    if bytes.len() < arrived.len || bytes.len() < BEFORE_TAG || !frame.set_len(bytes.len() + tag) {
        return Verdict::Oversized;
    }
    let to = frame.bytes_mut();
    if tagged {
        let known = arrived.status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
        let tpid = if known { arrived.vlan_tpid } else { ethertype::VLAN };
        let (addresses, rest) = bytes.split_at(BEFORE_TAG);
        to[..BEFORE_TAG].copy_from_slice(addresses);
        to[BEFORE_TAG..][..2].copy_from_slice(&tpid.to_be_bytes());
        to[BEFORE_TAG + 2..][..2].copy_from_slice(&arrived.vlan_tci.to_be_bytes());
        to[BEFORE_TAG + VLAN_BYTES..].copy_from_slice(rest);
    } else {
        to.copy_from_slice(bytes);
    }
    frame.set_rx_checksum(if arrived.status & libc::TP_STATUS_CSUMNOTREADY != 0 {
        // The sender is this machine's kernel.
        RxChecksum::Left
    } else if arrived.status & libc::TP_STATUS_CSUM_VALID != 0 {
        RxChecksum::Good
    } else {
        RxChecksum::Unknown
    });
    Verdict::Whole
}

/// A packet socket; it receives nothing until it is bound.
pub(super) fn socket() -> Result<OwnedFd> {
    // Protocol 0 is none.
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no memory is involved.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if fd < 0 {
        let error = Error::last_os_error();
        if error.raw_os_error() == Some(libc::EPERM) {
            bail!(
                "a packet socket needs the right to use raw sockets: run as root, or once \
                 'setcap cap_net_raw,cap_net_admin+ep' on this program"
            );
        }
        return Err(error).context("the kernel has no packet sockets (CONFIG_PACKET)");
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What makes the socket fast and quiet; the kernel may refuse what is only nice to have.
fn tune(socket: BorrowedFd<'_>, index: i32) -> IoResult<()> {
    let on: libc::c_int = 1;
    set_option(socket, libc::PACKET_QDISC_BYPASS, &on)?;
    // Before Linux 4.20 our own frames are recognised and skipped one by one.
    let _ = set_option(socket, libc::PACKET_IGNORE_OUTGOING, &on);
    let send_bytes: libc::c_int = 4 << 20;
    let _ = set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &send_bytes);
    hear_groups(socket, index)
}

/// From now on the interface hands on what is for any multicast group, as long as the socket lives:
/// neighbour solicitations go to groups, of addresses the kernel has never heard of.
pub(super) fn hear_groups(socket: BorrowedFd<'_>, index: i32) -> IoResult<()> {
    let all_multicast = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: libc::PACKET_MR_ALLMULTI as _,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set_option(socket, libc::PACKET_ADD_MEMBERSHIP, &all_multicast)
}

fn bind(socket: BorrowedFd<'_>, index: i32) -> IoResult<()> {
    // SAFETY: all-zero is a valid `sockaddr_ll`.
    let mut address: libc::sockaddr_ll = unsafe { core::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as _;
    // All protocols: only then are we asked before the filters at the kernel's own ingress.
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index;
    let len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is of the family's type and of the length said.
    let rc = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) };
    if rc < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

fn set_option<T>(socket: BorrowedFd<'_>, option: libc::c_int, value: &T) -> IoResult<()> {
    set(socket, libc::SOL_PACKET, option, value)
}

fn get_option<T: Copy>(socket: BorrowedFd<'_>, option: i32, value: &mut T) -> IoResult<()> {
    get(socket, libc::SOL_PACKET, option, value)
}
