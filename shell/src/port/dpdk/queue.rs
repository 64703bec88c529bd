//! One receive and one transmit ring of a DPDK port as a [`PacketQueue`]: frames are mbufs, lent
//! and taken back by bursts through the C shim, and only mbufs of ours are taken back.
//!
//! Frames are made from foreign memory and given to foreign calls, so this file needs `unsafe`.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use dpdk_sys::{shim_frame, shim_shape};
use dperf_core::frame::{Frame, RxChecksum, TRAY_PLACES, Tray};
use dperf_core::port::{BURST, Capabilities, Faults, Offloads, PacketQueue, PortState};

use super::PortWish;
use super::device::{self, Port};
use super::pool::{self, Chunk};
use crate::port::Facts;

const _: () = assert!(size_of::<shim_frame>() == size_of::<Frame>());
const _: () = assert!(align_of::<shim_frame>() == align_of::<Frame>());
const _: () = assert!(TRAY_PLACES <= dpdk_sys::SHIM_FRAMES as usize);
const _: () = assert!(dpdk_sys::SHIM_RX_GOOD == RxChecksum::Good as u32);
const _: () = assert!(dpdk_sys::SHIM_RX_BAD == RxChecksum::Bad as u32);

/// A number no other call gets: pools are named with it.
pub(super) fn serial() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// One queue pair of a port. Minted by [`super::open`] alone, once.
pub struct DpdkQueue {
    port: Arc<Port>,
    id: u16,
    queue: u16,
    pool: NonNull<dpdk_sys::rte_mempool>,
    /// Where the queue's own buffers lie: nearly always the whole pool.
    own: Chunk,
    verify: bool,
    shapes: [shim_shape; 3],
    capabilities: Capabilities,
    /// Chained frames that fit into no buffer.
    chained: u64,
    /// Frames that came here but are no buffers of ours.
    foreign: u64,
}

// SAFETY: the pool's pointer is kept alive by `port`, and DPDK's rings and pools are bound to no
// thread; `&mut self` makes the queue's callers one at a time.
unsafe impl Send for DpdkQueue {}

/// Opens a port and mints its queues.
pub(super) fn open(wish: &PortWish) -> Result<(Facts, Vec<DpdkQueue>)> {
    let (facts, port) = device::open(wish)?;
    let port = Arc::new(port);
    let queues = (0..wish.queues).map(|queue| DpdkQueue::mint(&port, queue, &facts));
    Ok((facts, queues.collect::<Result<_>>()?))
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
            verify: facts.offloads.contains(Offloads::RX_CHECKSUM),
            shapes: [complete, shape(0), shape(1)],
            capabilities: Capabilities { offloads: facts.offloads, frame_bytes: facts.frame_bytes },
            chained: 0,
            foreign: 0,
            port: Arc::clone(port),
        })
    }

    /// The frame is a buffer of this queue's pool, or at least of one it may be freed into.
    #[inline]
    fn owns(&self, frame: &Frame) -> bool {
        self.own.holds(frame.cookie()) || self.knows(frame.cookie())
    }

    #[cold]
    fn knows(&self, cookie: usize) -> bool {
        let own = self.port.pool(self.queue).is_some_and(|pool| pool.holds(cookie));
        own || (!self.port.fast_free && pool::is_known(cookie))
    }

    /// Takes out what is none of DPDK's: touching it would be a wild write, so it is lost, and said.
    #[cold]
    fn refuse(&mut self, from: &mut Tray) {
        let mut kept = Tray::new();
        from.drain(|_, frame| {
            if self.owns(&frame) {
                // There is room: it came off a tray of the same size.
                let _ = kept.push(frame);
            } else {
                self.foreign += 1;
            }
        });
        kept.drain(|_, frame| {
            let _ = from.push(frame);
        });
    }

    /// The tray's frames as the shim reads them; all of them are DPDK's afterwards.
    #[inline]
    fn checked<'t>(&mut self, from: &'t mut Tray) -> &'t [Frame] {
        if !from.frames().iter().all(|frame| self.owns(frame)) {
            self.refuse(from);
        }
        from.frames()
    }
}

/// Frames as the shim knows them.
type Burst = [MaybeUninit<shim_frame>; TRAY_PLACES];

#[inline]
fn written(frames: &[Frame], burst: &mut Burst) -> *const shim_frame {
    for (place, frame) in burst.iter_mut().zip(frames) {
        place.write(shim_frame {
            data: std::ptr::null_mut(),
            mbuf: frame.cookie(),
            len: frame.len() as u16,
            capacity: 0,
            rx_checksum: 0,
            tx_shape: frame.tx_shape() as u8,
        });
    }
    burst.as_ptr().cast()
}

/// The tray gets the `count` frames the shim has described.
///
/// # Safety
/// The first `count` places are written, each with an mbuf that is nobody else's.
#[inline]
unsafe fn hand_over(burst: &Burst, count: u16, into: &mut Tray) {
    for place in &burst[..usize::from(count)] {
        // SAFETY: the caller's promise. An mbuf's data lies in a pool, which is zeroed memory at
        // first and lives until every buffer is back.
        let frame = unsafe {
            let raw = place.assume_init_ref();
            let data = NonNull::new_unchecked(raw.data);
            let mut frame = Frame::new(data, raw.len, raw.capacity, raw.mbuf);
            frame.set_rx_checksum(match u32::from(raw.rx_checksum) {
                dpdk_sys::SHIM_RX_GOOD => RxChecksum::Good,
                dpdk_sys::SHIM_RX_BAD => RxChecksum::Bad,
                _ => RxChecksum::Unknown,
            });
            frame
        };
        // There is room: no more were asked for.
        let _ = into.push(frame);
    }
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
        let want = into.room().min(BURST) as u16;
        let mut burst = [const { MaybeUninit::uninit() }; TRAY_PLACES];
        // SAFETY: the port is started, this is the only user of its queue, and `burst` has room.
        unsafe {
            let verify = self.verify.into();
            let places = burst.as_mut_ptr().cast();
            let got = dpdk_sys::shim_receive(
                self.id,
                self.queue,
                places,
                want,
                verify,
                &mut self.chained,
            );
            hand_over(&burst, got, into);
        }
    }

    #[inline]
    fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        let want = want.min(into.room()) as u16;
        let mut burst = [const { MaybeUninit::uninit() }; TRAY_PLACES];
        // SAFETY: the pool lives as long as `port`, and `burst` has room.
        unsafe {
            let got = dpdk_sys::shim_take(self.pool.as_ptr(), burst.as_mut_ptr().cast(), want);
            hand_over(&burst, got, into);
            usize::from(got)
        }
    }

    #[inline]
    fn transmit(&mut self, from: &mut Tray) -> usize {
        let frames = self.checked(from);
        let (count, mut burst) =
            (frames.len() as u16, [const { MaybeUninit::uninit() }; TRAY_PLACES]);
        let frames = written(frames, &mut burst);
        // SAFETY: the port is started and this is the only user of its queue; the frames are mbufs
        // of ours, and those the device took leave the tray.
        let sent = unsafe {
            let shapes = self.shapes.as_ptr();
            dpdk_sys::shim_transmit(self.id, self.queue, frames, count, shapes)
        };
        from.drain_front(usize::from(sent), |_sent| ());
        usize::from(sent)
    }

    #[inline]
    fn give_back(&mut self, from: &mut Tray) {
        let frames = self.checked(from);
        let (count, mut burst) =
            (frames.len() as u16, [const { MaybeUninit::uninit() }; TRAY_PLACES]);
        let frames = written(frames, &mut burst);
        // SAFETY: the frames are mbufs of ours, and they leave the tray.
        unsafe { dpdk_sys::shim_give_back(frames, count) };
        from.drain(|_, _freed| ());
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
