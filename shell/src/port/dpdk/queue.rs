//! One receive and one transmit ring of a DPDK port as a [`PacketQueue`]: frames are mbufs, lent
//! and taken back by bursts through the C shim, and only mbufs of ours are taken back.
//!
//! Frames are made from foreign memory and given to foreign calls, so this file needs `unsafe`.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context, Result};
use dpdk_sys::{shim_frame, shim_shape};
use dperf_core::frame::{Frame, RxChecksum, TRAY_PLACES, Tray};
use dperf_core::port::{BURST, Capabilities, Faults, Offloads, PacketQueue, PortState};

use super::PortWish;
use super::device::{self, Port};
use super::pool::{self, ANYWHERE, Chunk, lies_in};
use crate::port::{Facts, Opened};

const _: () = assert!(size_of::<shim_frame>() == size_of::<Frame>());
const _: () = assert!(align_of::<shim_frame>() == align_of::<Frame>());
const _: () = assert!(TRAY_PLACES <= dpdk_sys::SHIM_FRAMES as usize);
const _: () = assert!(dpdk_sys::SHIM_RX_GOOD == RxChecksum::Good as u32);
const _: () = assert!(dpdk_sys::SHIM_RX_BAD == RxChecksum::Bad as u32);

/// One queue pair of a port. Minted by [`super::open`] alone, once.
pub struct DpdkQueue {
    port: Arc<Port>,
    id: u16,
    queue: u16,
    pool: NonNull<dpdk_sys::rte_mempool>,
    /// Where the queue's own buffers lie: nearly always the whole pool.
    own: Chunk,
    verify: bool,
    /// Both bursts must come again and again, with frames or without.
    lacp: bool,
    shapes: [shim_shape; 3],
    capabilities: Capabilities,
    /// Frames handed out less frames taken back; below zero where another port's came home here.
    lent: i64,
    /// Chained frames that fit into no buffer.
    chained: u64,
    /// Frames that came here but are no buffers of ours.
    foreign: u64,
}

// SAFETY: the pool's pointer is kept alive by `port`, and DPDK's rings and pools are bound to no
// thread; `&mut self` makes the queue's callers one at a time.
unsafe impl Send for DpdkQueue {}

/// Opens a port and mints its queues.
pub(super) fn open(wish: &PortWish) -> Result<Opened> {
    let (facts, mut port) = device::open(wish)?;
    let notes = std::mem::take(&mut port.notes);
    let port = Arc::new(port);
    let mint = |queue| DpdkQueue::mint(&port, queue, &facts).map(|queue| Box::new(queue) as _);
    let queues = (0..wish.queues).map(mint).collect::<Result<_>>()?;
    Ok(Opened { facts, queues, notes, refusals: None })
}

/// Frames of closed queues that are still somewhere.
static ADRIFT: AtomicI64 = AtomicI64::new(0);

/// How many frames of closed queues somebody still holds.
pub(super) fn adrift() -> i64 {
    ADRIFT.load(Ordering::Acquire)
}

impl Drop for DpdkQueue {
    fn drop(&mut self) {
        ADRIFT.fetch_add(self.lent, Ordering::Release);
    }
}

impl DpdkQueue {
    fn mint(port: &Arc<Port>, queue: u16, facts: &Facts) -> Result<DpdkQueue> {
        let pool = port.pool(queue).context("the queue has no pool")?;
        let own = pool.chunks().first().context("the pool has no memory")?;
        // SAFETY: it only computes with its arguments.
        let shape = |ipv6| unsafe { dpdk_sys::shim_tcp_shape(ipv6, port.device_does_ip.into()) };
        let complete = shim_shape { flags: 0, lengths: 0, ip_here: 0 };
        Ok(DpdkQueue {
            id: port.id(),
            queue,
            pool: pool.as_non_null(),
            own: *own,
            lacp: port.lacp,
            verify: facts.offloads.contains(Offloads::RX_CHECKSUM),
            shapes: [complete, shape(0), shape(1)],
            capabilities: Capabilities { offloads: facts.offloads, frame_bytes: facts.frame_bytes },
            lent: 0,
            chained: 0,
            foreign: 0,
            port: Arc::clone(port),
        })
    }

    /// The frame is a buffer of this queue's pool, or at least of one it may be freed into.
    fn owns(&self, cookie: usize) -> bool {
        let own = self.port.pool(self.queue).is_some_and(|pool| pool.holds(cookie));
        own || (!self.port.fast_free && pool::is_known(cookie))
    }

    /// The tray's first frame is none of this queue's own memory: it may still be DPDK's. What is
    /// not is lost and counted, for touching it would be a wild write.
    #[cold]
    fn only_ours(&mut self, from: &mut Tray) {
        let mut kept = Tray::new();
        from.drain(|_, frame| {
            if self.owns(frame.cookie()) {
                // There is room: it came off a tray of the same size.
                let _ = kept.push(frame);
            } else {
                self.foreign += 1;
            }
        });
        *from = kept;
    }

    /// The first frame is why the shim stopped.
    #[inline]
    fn begins_elsewhere(&self, from: &Tray) -> bool {
        from.frames().first().is_some_and(|frame| !lies_in(&self.own, frame.cookie()))
    }

    #[inline]
    fn send(&mut self, from: &mut Tray, within: &Chunk) -> usize {
        let (frames, count) = raw(from);
        // SAFETY: the port is started and this is the only user of its queue; frames in `within`
        // are mbufs, lent out; the shapes are as many as `TxShape` has.
        let sent = unsafe {
            let shapes = self.shapes.as_ptr();
            dpdk_sys::shim_transmit(self.id, self.queue, frames, count, within, shapes)
        };
        self.lent -= i64::from(sent);
        from.drain_front(usize::from(sent), |_sent| ());
        usize::from(sent)
    }

    #[inline]
    fn free(&mut self, from: &mut Tray, within: &Chunk) {
        let (frames, count) = raw(from);
        // SAFETY: frames in `within` are mbufs, lent out, and what is freed leaves the tray.
        let freed = unsafe { dpdk_sys::shim_give_back(frames, count, within) };
        self.lent -= i64::from(freed);
        from.drain_front(usize::from(freed), |_freed| ());
    }
}

/// The tray's frames as the shim knows them: a `Frame` is laid out as a `shim_frame`.
#[inline]
fn raw(tray: &Tray) -> (*const shim_frame, u16) {
    (tray.frames().as_ptr().cast(), tray.len() as u16)
}

// SAFETY: frames are mbufs of pools that live until all their buffers are back, whatever happens
// to the queue; an mbuf is out of DPDK's hands from receive or take on until it is transmitted or
// given back, and what comes back is checked to be an mbuf of a living pool.
unsafe impl PacketQueue for DpdkQueue {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    #[inline]
    fn receive(&mut self, into: &mut Tray) {
        let (id, queue, verify) = (self.id, self.queue, self.verify.into());
        let chained = &mut self.chained;
        // SAFETY: the port is started and this is the only user of its queue; a `shim_frame` is a
        // `Frame`, and the shim writes at most `room` of them, each an mbuf that is nobody else's:
        // its data lies in a pool, which was zeroed memory at first and lives until every buffer
        // is back, and its verdict is one of `RxChecksum`'s numbers.
        let got = unsafe {
            into.fill(BURST, |places, room| {
                let places = places.cast();
                dpdk_sys::shim_receive(id, queue, places, room as u16, verify, chained).into()
            })
        };
        self.lent += got as i64;
        if self.lacp {
            self.send(&mut Tray::new(), &ANYWHERE);
        }
    }

    #[inline]
    fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        let pool = self.pool.as_ptr();
        // SAFETY: the pool lives as long as `port`; the rest as in `receive`.
        let got = unsafe {
            into.fill(want, |places, room| {
                dpdk_sys::shim_take(pool, places.cast(), room as u16).into()
            })
        };
        self.lent += got as i64;
        got
    }

    #[inline]
    fn transmit(&mut self, from: &mut Tray) -> usize {
        let own = self.own;
        let mut sent = self.send(from, &own);
        if self.begins_elsewhere(from) {
            self.only_ours(from);
            sent += self.send(from, &ANYWHERE);
        }
        sent
    }

    #[inline]
    fn give_back(&mut self, from: &mut Tray) {
        let own = self.own;
        self.free(from, &own);
        if !from.is_empty() {
            self.only_ours(from);
            self.free(from, &ANYWHERE);
        }
    }

    fn state(&mut self) -> PortState {
        if self.queue == 0 { self.port.ask_state() } else { self.port.last_state() }
    }

    fn faults(&mut self) -> Faults {
        let device = if self.queue == 0 { self.port.faults() } else { Faults::default() };
        Faults {
            rx_errors: device.rx_errors + self.chained,
            tx_errors: device.tx_errors + self.foreign,
            ..device
        }
    }
}
