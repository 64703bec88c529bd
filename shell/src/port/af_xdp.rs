//! XDP sockets (AF_XDP) on any Linux interface, the kernel staying in charge: only the test traffic
//! comes to the socket, so ARP, ssh and BGP of the interface's own addresses live on undisturbed.
//!
//! A small program at the interface tells the traffic apart ([`program`]); it is attached by a
//! link that is closed with the last queue, so even a kill detaches it. One socket per receive
//! queue, each with memory of its own. The device works on that memory where it can; elsewhere the
//! kernel copies, and a line says so.
//!
//! The port's own address is the kernel's. The gateway is asked for in the name of the load's
//! addresses, so the kernel's own neighbour table never misses an answer.
#![allow(unsafe_code)]

use std::io::Error;
use std::mem::ManuallyDrop;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use dperf_core::frame::{Frame, Tray};
use dperf_core::port::{BURST, Capabilities, Faults, Offloads, PacketQueue, PortState};
use dperf_core::wire::ethernet::VLAN_BYTES;

use self::deferral::Deferral;
use self::socket::{CHUNKS, Chunks, Copying, HEADROOM, Socket};
use super::interface::{self, Interface};
use super::{Delivery, Facts, KernelSees, Opened, bpf, ethtool, packet_socket, undo};

mod deferral;
pub mod program;
mod ring;
mod socket;
#[cfg(test)]
mod tests;

use program::Traffic;

// linux/bpf.h, linux/if_link.h
const BPF_XDP: u32 = 37;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Opens one socket for each of the `queues` receive queues of `name` and sends them `traffic`. The
/// interface's interrupts are put off for `defer_us` microseconds, if that is said.
///
/// # Errors
/// One sentence that says what is missing and how to provide it; nothing stays attached.
pub fn open(
    (name, defer_us): (&str, Option<u16>),
    queues: u16,
    traffic: &Traffic,
) -> Result<Opened> {
    let ranges = traffic.own.len();
    ensure!(
        ranges <= bpf::MAX_RANGES,
        "the addresses make {ranges} ranges, more than {}",
        bpf::MAX_RANGES
    );
    let probe = UdpSocket::bind(("0.0.0.0", 0)).context("no socket to ask with")?;
    let found = Interface::find(probe.as_fd(), name)?;
    let has = ethtool::rx_queues(probe.as_fd(), name);
    ensure!(
        has == u32::from(queues),
        "interface '{name}' has {has} receive queues for {queues} workers: 'ethtool -L {name} \
         combined {queues}' (or 'rx {queues} tx {queues}')"
    );
    let is_cable = ethtool::driver(probe.as_fd(), name).as_deref() == Some("veth");
    ensure!(
        traffic.vlan.is_none() || is_cable || !ethtool::takes_tags_off(probe.as_fd(), name),
        "interface '{name}' takes VLAN tags off before a program sees them: 'ethtool -K {name} \
         rxvlan off', or use af_packet:{name}"
    );
    let chunk_bytes = chunk_bytes(found.frame_bytes);
    ensure!(
        most_bytes(found.frame_bytes) <= chunk_bytes,
        "interface '{name}': frames of {} bytes do not fit a page: 'ip link set {name} mtu 1500'",
        found.frame_bytes
    );
    let map = bpf::socket_map(u32::from(queues)).map_err(|why| refused(name, &why))?;
    let mut notes = Vec::new();
    let mut sockets = Vec::new();
    for queue in 0..u32::from(queues) {
        let (socket, chunks) = socket::open(found.index as u32, queue, chunk_bytes)
            .map_err(|why| refused(name, &why))?;
        if socket.copying == Copying::Copied && notes.is_empty() {
            notes.push(format!("{name}: its driver has no zero-copy: the kernel copies frames"));
        }
        sockets.push((queue, socket, chunks));
    }
    let link = attach(name, found.index as u32, traffic, &map, &mut notes)?;
    let groups = packet_socket::socket()?;
    packet_socket::hear_groups(groups.as_fd(), found.index).map_err(|why| refused(name, &why))?;
    let deferral = defer_us.map(|time_us| Deferral::set(probe.as_fd(), &found, time_us));
    let deferral = deferral.transpose()?;
    notes.extend(deferral.iter().map(|put_off| format!("{name}: {}", undo(&put_off.remedy()))));
    let held = Arc::new(Held { _link: link, _groups: groups, _deferral: deferral });
    let facts = Facts {
        mac: found.mac,
        frame_bytes: found.frame_bytes,
        offloads: Offloads::empty(),
        kernel_sees: KernelSees::Rest,
        delivery: delivery(name, queues, traffic, (&probe, is_cable), &mut notes),
        buffer_bytes: memory_bytes(queues, found.frame_bytes),
    };
    let queue = |(number, socket, chunks)| {
        let queue = XdpQueue::new(socket, chunks, &found, Arc::clone(&held), &probe)?;
        // Not before it has chunks: what comes earlier is the kernel's.
        bpf::put_socket(&map, number, &queue.socket.fd).map_err(|why| refused(name, &why))?;
        Ok(Box::new(queue) as Box<dyn PacketQueue>)
    };
    let queues = sockets.into_iter().map(queue).collect::<Result<_>>()?;
    Ok(Opened { facts, queues, notes, refusals: None })
}

/// Bytes of the buffers and rings of so many queues, on an interface whose longest frame, without a
/// tag, is `frame_bytes`.
pub fn memory_bytes(queues: u16, frame_bytes: u16) -> u64 {
    u64::from(queues) * socket::bytes(chunk_bytes(frame_bytes)) as u64
}

/// What a frame may take of its chunk: a tag comes on top.
fn most_bytes(frame_bytes: u16) -> usize {
    usize::from(frame_bytes) + VLAN_BYTES + HEADROOM
}

fn chunk_bytes(frame_bytes: u16) -> usize {
    if most_bytes(frame_bytes) <= 2048 { 2048 } else { 4096 }
}

/// How frames find one of several queues: over a virtual cable on that which the peer sent them on,
/// else as the device says.
fn delivery(
    name: &str,
    queues: u16,
    traffic: &Traffic,
    (probe, is_cable): (&UdpSocket, bool),
    notes: &mut Vec<String>,
) -> Delivery {
    if is_cable && traffic.vlan.is_some() {
        notes.push(format!(
            "{name}: tags that a sender's kernel leaves to its end of the cable are not seen: \
             'ethtool -K PEER txvlan off'"
        ));
    }
    if queues == 1 {
        return Delivery::Unknown;
    }
    if is_cable {
        notes.push(format!(
            "{name}: a frame comes to the queue that its sender used: the peer's XDP sockets must \
             be as many"
        ));
        return Delivery::Paired;
    }
    let ipv6 = traffic.own.first().is_some_and(|range| range.first.is_ipv6());
    let flows = ethtool::Flows { ipv6, udp: traffic.udp };
    match ethtool::hash(probe.as_fd(), name, queues.into(), flows) {
        Ok(rss) => Delivery::Hashed(rss),
        Err(why) => {
            notes.push(format!("{name}: {why}"));
            Delivery::Unknown
        }
    }
}

/// Attaches the program: in the driver where it can, else before the kernel's stack.
fn attach(
    name: &str,
    index: u32,
    traffic: &Traffic,
    map: &OwnedFd,
    notes: &mut Vec<String>,
) -> Result<OwnedFd> {
    let code = program::assemble(traffic, map.as_raw_fd());
    let program = bpf::load(bpf::Kind::Xdp, &code).map_err(|why| refused(name, &why))?;
    let native = bpf::attach(&program, index, BPF_XDP, XDP_FLAGS_DRV_MODE);
    match native {
        Ok(link) => Ok(link),
        Err(why) if matches!(why.raw_os_error(), Some(libc::EBUSY | libc::EPERM)) => {
            Err(refused(name, &why))
        }
        Err(_) => {
            notes.push(format!("{name}: its driver runs no XDP program: the kernel does, slower"));
            bpf::attach(&program, index, BPF_XDP, XDP_FLAGS_SKB_MODE)
                .map_err(|why| refused(name, &why))
        }
    }
}

/// Why there is no XDP socket, in one sentence with the fix.
fn refused(name: &str, why: &Error) -> anyhow::Error {
    let fix = match why.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "XDP sockets need the right to raw sockets and programs: run as root, or once 'setcap \
             cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep' on this program"
                .into()
        }
        Some(libc::EBUSY | libc::EEXIST) => format!(
            "another XDP program or socket has it: find it with 'ip -details link show {name}', \
             detach it with 'ip link set {name} xdp off'"
        ),
        Some(libc::EAFNOSUPPORT) => "the kernel has no XDP sockets (CONFIG_XDP_SOCKETS)".into(),
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            "memory that may be locked is short: 'ulimit -l unlimited', or give this program \
             cap_ipc_lock as well ('setcap')"
                .into()
        }
        _ => format!("use af_packet:{name}, or a newer kernel (Linux 5.9)"),
    };
    anyhow::anyhow!("interface '{name}': {why}: {fix}")
}

/// One socket and who holds its chunks. Minted only by [`open`].
struct XdpQueue {
    socket: Socket,
    chunks: ManuallyDrop<Chunks>,
    /// Empty chunks in our hands, the hottest last.
    free: Vec<u32>,
    /// Chunks that workers hold.
    lent: u32,
    frame_bytes: u16,
    /// Frames that came back and were not ours.
    strange: u64,
    index: i32,
    probe: UdpSocket,
    _held: Arc<Held>,
}

/// What stays as long as any queue of the port lives.
struct Held {
    /// The program stays attached.
    _link: OwnedFd,
    /// The interface hands on solicitations for the load's addresses.
    _groups: OwnedFd,
    /// Its interrupts are put off.
    _deferral: Option<Deferral>,
}

impl XdpQueue {
    fn new(
        socket: Socket,
        chunks: Chunks,
        interface: &Interface,
        held: Arc<Held>,
        probe: &UdpSocket,
    ) -> Result<XdpQueue> {
        let mut queue = XdpQueue {
            socket,
            chunks: ManuallyDrop::new(chunks),
            free: (0..CHUNKS).collect(),
            lent: 0,
            frame_bytes: interface.frame_bytes,
            strange: 0,
            index: interface.index,
            probe: probe.try_clone()?,
            _held: held,
        };
        queue.refill();
        Ok(queue)
    }

    /// Gives the kernel empty chunks, but for a stock of our own.
    fn refill(&mut self) {
        let XdpQueue { socket, free, chunks, .. } = self;
        let keep = CHUNKS as usize / 4;
        let bytes = chunks.chunk_bytes() as u64;
        socket.fill.produce(|| {
            if free.len() <= keep { None } else { free.pop().map(|chunk| u64::from(chunk) * bytes) }
        });
        if socket.fill.wants_wakeup() {
            socket.kick_rx();
        }
    }

    /// Takes back the chunks of frames that were sent.
    fn complete(&mut self) {
        let XdpQueue { socket, free, chunks, .. } = self;
        let bytes = chunks.chunk_bytes() as u64;
        socket.sent.consume(u32::MAX, |offset| free.push((offset / bytes) as u32));
    }

    /// Makes a sleeping kernel send what lies in the ring.
    fn wake(&self) {
        for _ in 0..4 {
            let asleep = self.socket.tx.wants_wakeup() && self.socket.tx.len() > 0;
            // EAGAIN: there is more than one call's worth; anything else, `state` tells.
            if !asleep || self.socket.kick_tx().is_ok() {
                break;
            }
        }
    }

    /// A frame over the packet of `len` bytes at `offset`; none if the kernel lies.
    fn lend(&mut self, offset: u64, len: u32) -> Option<Frame> {
        let bytes = self.chunks.chunk_bytes() as u64;
        let data = self.chunks.at(offset)?;
        let capacity = bytes - offset % bytes;
        if u64::from(len) > capacity {
            return None;
        }
        self.lent += 1;
        // SAFETY: the chunk was in the kernel's hands or on the free list and is now lent to one
        // holder; the bytes are mapped zeroed and stay mapped (`drop`); `capacity` ends within it.
        Some(unsafe { Frame::new(data, len as u16, capacity as u16, (offset / bytes) as usize) })
    }

    /// The chunk of a frame that comes back, if it is one of ours.
    fn chunk_of(&self, frame: &Frame) -> Option<u32> {
        let offset = self.chunks.offset(frame.bytes().as_ptr())?;
        let chunk = offset / self.chunks.chunk_bytes() as u64;
        (chunk == frame.cookie() as u64).then_some(chunk as u32)
    }

    fn reclaim(&mut self, frame: Frame) {
        match self.chunk_of(&frame) {
            Some(chunk) => {
                self.lent -= 1;
                self.free.push(chunk);
            }
            None => self.strange += 1,
        }
    }
}

// SAFETY: every frame is made by `lend` from a chunk that was the kernel's or free and is neither
// any more; the memory is initialised and is kept if a frame is out; `chunk_of` checks what comes.
unsafe impl PacketQueue for XdpQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities { offloads: Offloads::empty(), frame_bytes: self.frame_bytes }
    }

    fn receive(&mut self, into: &mut Tray) {
        // What the kernel had no room for when it was last called.
        self.wake();
        self.complete();
        let mut came = [(0, 0); BURST];
        let mut count = 0;
        let most = BURST.min(into.room()) as u32;
        self.socket.rx.consume(most, |descriptor| {
            came[count] = (descriptor.addr, descriptor.len);
            count += 1;
        });
        for (offset, len) in &came[..count] {
            let Some(frame) = self.lend(*offset, *len) else {
                self.strange += 1;
                continue;
            };
            let pushed = into.push(frame);
            debug_assert!(pushed.is_ok(), "the tray has room for `most`");
        }
        self.refill();
    }

    fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        let count = want.min(into.room()).min(self.free.len());
        let bytes = self.chunks.chunk_bytes() as u64;
        for _ in 0..count {
            let Some(chunk) = self.free.pop() else { break };
            let Some(frame) = self.lend(u64::from(chunk) * bytes + HEADROOM as u64, 0) else {
                break;
            };
            let pushed = into.push(frame);
            debug_assert!(pushed.is_ok(), "the tray has room for `count`");
        }
        count
    }

    fn transmit(&mut self, from: &mut Tray) -> usize {
        self.complete();
        let (chunks, frame_bytes) = (&self.chunks, usize::from(self.frame_bytes));
        // What does not fit the wire would be lost on it: it goes to the device never.
        let descriptor = |frame: &Frame| libc::xdp_desc {
            addr: chunks.offset(frame.bytes().as_ptr()).unwrap_or(u64::MAX),
            len: frame.len() as u32,
            options: 0,
        };
        let ours = |frame: &Frame| {
            self.chunk_of(frame).is_some() && frame.len() <= frame_bytes + VLAN_BYTES
        };
        let good = from.frames().iter().take_while(|frame| ours(frame)).count();
        let mut frames = from.frames()[..good].iter().map(descriptor);
        let sent = self.socket.tx.produce(|| frames.next()) as usize;
        from.drain_front(sent, |_| self.lent -= 1);
        if sent == 0 && good == 0 && !from.is_empty() {
            self.strange += 1;
            from.drain_front(1, |frame| self.reclaim(frame));
        }
        self.wake();
        sent
    }

    fn give_back(&mut self, from: &mut Tray) {
        from.drain(|_, frame| self.reclaim(frame));
    }

    fn state(&mut self) -> PortState {
        interface::state_of(self.probe.as_fd(), self.index)
    }

    fn faults(&mut self) -> Faults {
        let counts = self.socket.statistics();
        // A kernel that copies counts a frame without a chunk as dropped, too.
        let dropped = match self.socket.copying {
            Copying::Zero => counts.rx_dropped,
            Copying::Copied => counts.rx_dropped.saturating_sub(counts.rx_fill_ring_empty_descs),
        };
        Faults {
            rx_missed: dropped + counts.rx_ring_full,
            rx_errors: counts.rx_invalid_descs,
            tx_errors: counts.tx_invalid_descs + self.strange,
            rx_no_buffer: counts.rx_fill_ring_empty_descs,
        }
    }
}

impl Drop for XdpQueue {
    fn drop(&mut self) {
        // Somebody may still hold frames: their memory must stay then.
        if self.lent == 0 {
            // SAFETY: dropped once, here, and not used after; the kernel keeps its own hold on the
            // pages until the socket is closed.
            unsafe { ManuallyDrop::drop(&mut self.chunks) };
        }
    }
}

/// Refuses addresses of the load that nobody could be asked for.
///
/// # Errors
/// The gateway is to be resolved, and every address of the load is the kernel's.
pub fn check_resolvable(name: &str, traffic: &Traffic, gateway_known: bool) -> Result<()> {
    if !gateway_known && traffic.ours_alone.is_empty() {
        bail!(
            "every address of the load is an address of the kernel on '{name}', so its answers \
             about the gateway are the kernel's: use other addresses, or give the gateway's MAC \
             address as the last word of the `port` line"
        );
    }
    Ok(())
}
