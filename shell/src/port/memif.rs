//! Shared memory between two processes (memif, protocol 2.0) without any driver: no DPDK, no huge
//! pages, no root. The other end is another of these ports, DPDK's net_memif, VPP or any other
//! program with libmemif.
//!
//! One end listens on a socket, the other connects and brings the memory. Each worker has a ring
//! each way. Frames are copied, as the other end could write over them at any time: what it wrote
//! is looked at once, in a buffer of ours. A burst's descriptors and bytes are asked for together
//! before the first is needed, since they come from the other end's cache.
//!
//! When the other end goes, the port is down until one comes again; what it sent before is still
//! received.
#![allow(unsafe_code)]

use core::hash::{Hash, Hasher};
use std::hash::DefaultHasher;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::Result;
use dperf_core::frame::{Frame, Tray};
use dperf_core::port::{BURST, Capabilities, Faults, Offloads, PacketQueue, PortState};
use dperf_core::wire::ethernet::{MacAddr, VLAN_BYTES};

use self::control::{Change, Held, Started};
use self::conversation::Rings;
use self::layout::Layout;
use self::ring::{Arrived, Place};
use super::pool::Pool;
use super::{Delivery, Facts, KernelSees, Opened, buffers};

mod control;
mod conversation;
mod layout;
mod message;
mod near;
mod region;
mod ring;
#[cfg(test)]
mod tests;

/// Descriptors of a ring, as a power of two: few enough to stay in a processor's cache.
const LOG2_SIZE: u8 = 10;

/// Buffers of one queue: what a worker's trays can hold, twice.
const FRAMES: u32 = 512;

/// The longest frame that every other end takes.
const COMMON_BYTES: u16 = 1518;

/// How long the other end may take for what was sent, when a queue is dropped.
const LINGER: Duration = Duration::from_millis(100);

/// Which interface is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// A file, or `@` and a name that is in no file system.
    pub socket: PathBuf,
    /// Interfaces of one listener are told apart by it.
    pub id: u32,
    /// Our end makes the socket (memif calls it the server, or the master); else it makes the
    /// memory (the client, or the slave).
    pub listens: bool,
}

/// Opens one end with `queues` queues for frames of up to `frame_bytes` bytes. The end that
/// connects has a connection then; the one that listens is down until one comes.
///
/// # Errors
/// One sentence that says what is missing and how to provide it; nobody listened for `limit`, or
/// `stopped` said so.
pub fn open(
    interface: &Interface,
    (queues, frame_bytes): (u16, u16),
    limit: Duration,
    stopped: &dyn Fn() -> bool,
) -> Result<Opened> {
    let layout = layout(queues, frame_bytes);
    let Started { held, changes, refusals } = match interface.listens {
        true => control::listen_at(interface.clone(), layout)?,
        false => control::connect_to(interface.clone(), layout, limit, stopped)?,
    };
    let held = Arc::new(held);
    let mint = |changes| {
        Box::new(MemifQueue::new(changes, frame_bytes, Arc::clone(&held))) as Box<dyn PacketQueue>
    };
    let facts = Facts {
        mac: mac(interface),
        frame_bytes,
        offloads: Offloads::empty(),
        kernel_sees: KernelSees::Nothing,
        delivery: Delivery::Paired,
        buffer_bytes: memory_bytes(queues, frame_bytes, interface.listens),
    };
    let queues = changes.into_iter().map(mint).collect();
    let notes = (frame_bytes > COMMON_BYTES).then(|| {
        format!(
            "{}: DPDK's net_memif takes no frames of {frame_bytes} bytes, nor may others",
            interface.socket.display()
        )
    });
    Ok(Opened { facts, queues, notes: notes.into_iter().collect(), refusals: Some(refusals) })
}

fn layout(queues: u16, frame_bytes: u16) -> Layout {
    let frame_bytes = frame_bytes + VLAN_BYTES as u16;
    Layout { queues: queues.max(1), log2_size: LOG2_SIZE, frame_bytes }
}

/// Bytes of the buffers of so many queues, and of the shared memory at the end that makes it.
pub fn memory_bytes(queues: u16, frame_bytes: u16, listens: bool) -> u64 {
    let own = buffers::bytes(frame_bytes + VLAN_BYTES as u16, FRAMES) as u64;
    let shared = if listens { 0 } else { layout(queues, frame_bytes).bytes() as u64 };
    u64::from(queues) * own + shared
}

/// An address of its own for each end of each interface, the same in every run.
fn mac(interface: &Interface) -> MacAddr {
    let mut hasher = DefaultHasher::new();
    (&interface.socket, interface.id, interface.listens).hash(&mut hasher);
    let [a, b, c, d, e, ..] = hasher.finish().to_be_bytes();
    // Locally administered, of one station.
    MacAddr([2, a, b, c, d, e])
}

/// One queue. Minted only by [`open`].
struct MemifQueue {
    /// The other end came or went.
    changes: Receiver<Change>,
    state: PortState,
    /// They stay when the other end goes: what it sent is still there.
    rings: Option<Box<Rings>>,
    pool: Pool,
    frame_bytes: u16,
    faults: Faults,
    /// The last queue hangs up.
    _held: Arc<Held>,
}

impl MemifQueue {
    fn new(changes: Receiver<Change>, frame_bytes: u16, held: Arc<Held>) -> MemifQueue {
        MemifQueue {
            changes,
            state: PortState::Down,
            rings: None,
            pool: Pool::new(frame_bytes + VLAN_BYTES as u16, FRAMES),
            frame_bytes,
            faults: Faults::default(),
            _held: held,
        }
    }
}

// SAFETY: every frame is lent by the pool, whose memory is initialised, is no other process's and
// outlives queue and frames, and which knows its own by cookie and address.
unsafe impl PacketQueue for MemifQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities { offloads: Offloads::empty(), frame_bytes: self.frame_bytes }
    }

    fn receive(&mut self, into: &mut Tray) {
        let Some(Rings { rx, .. }) = self.rings.as_deref_mut() else { return };
        let count = rx.ready(BURST.min(into.room()).min(self.pool.available()));
        if count == 0 {
            return;
        }
        for nth in 0..count {
            if let Some(place) = rx.peek(nth) {
                near::to_read(place.data, place.bytes);
            }
        }
        for nth in 0..count {
            match rx.arrived(nth) {
                Arrived::Packet(place) => {
                    let Some(mut frame) = self.pool.lend() else { break };
                    if copy_in(&place, &mut frame) {
                        let pushed = into.push(frame);
                        debug_assert!(pushed.is_ok(), "the tray has room for `count`");
                        continue;
                    }
                    self.faults.rx_errors += 1;
                    let ours = self.pool.reclaim(frame);
                    debug_assert!(ours, "it was lent just now");
                }
                Arrived::Part => {}
                Arrived::Unusable => self.faults.rx_errors += 1,
            }
        }
        rx.consume(count);
    }

    fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        self.pool.take(want, into)
    }

    fn transmit(&mut self, from: &mut Tray) -> usize {
        let Some(Rings { tx, .. }) = self.rings.as_deref_mut() else { return 0 };
        if self.state != PortState::Up {
            return 0;
        }
        let count = tx.free(from.len());
        if count == 0 {
            return 0;
        }
        for nth in 0..count {
            if let Some(place) = tx.buffer(nth) {
                near::to_write(place.data, from.frames()[nth].len());
            }
        }
        let (mut used, mut lost) = (0, 0);
        from.drain_front(count, |mut frame| {
            let written = match tx.buffer(used) {
                Some(place) => copy_out(&mut frame, &place).then_some(frame.len()),
                // The other end offers what is none: an empty packet steps over it.
                None => Some(0),
            };
            if let Some(bytes) = written {
                tx.fill(used, bytes);
                used += 1;
            }
            lost += u64::from(written.is_none_or(|bytes| bytes == 0));
            let ours = self.pool.reclaim(frame);
            lost += u64::from(!ours);
        });
        self.faults.tx_errors += lost;
        tx.publish(used);
        used
    }

    fn give_back(&mut self, from: &mut Tray) {
        self.faults.tx_errors += self.pool.give_back(from);
    }

    fn state(&mut self) -> PortState {
        loop {
            match self.changes.try_recv() {
                Ok(Change::Up(rings)) => {
                    self.rings = Some(rings);
                    self.state = PortState::Up;
                }
                Ok(Change::Down) => self.state = PortState::Down,
                Err(TryRecvError::Empty) => return self.state,
                Err(TryRecvError::Disconnected) => return PortState::Gone,
            }
        }
    }

    fn faults(&mut self) -> Faults {
        self.faults
    }
}

impl Drop for MemifQueue {
    fn drop(&mut self) {
        // An end that hears us hang up may let go of what it has not received yet.
        let begun = Instant::now();
        while let (PortState::Up, Some(rings)) = (self.state(), &mut self.rings) {
            if rings.tx.is_empty() || begun.elapsed() > LINGER {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Copies a packet into a frame; false if it is longer than one may be.
#[inline]
fn copy_in(place: &Place, frame: &mut Frame) -> bool {
    if !frame.set_len(place.bytes) {
        return false;
    }
    let (from, to) = (place.data.as_ptr(), frame.buffer_mut());
    // SAFETY: `place` has `room` bytes within a mapping that lasts as long as the ring, and `to` is
    // ours alone; `copy` stays within both. The other end may write while we read: then the bytes
    // are whatever they are, and are looked at only after this.
    unsafe { near::copy((from, place.room), (to.as_mut_ptr(), to.len()), place.bytes) };
    true
}

/// Copies a frame into a buffer; false if it does not fit.
#[inline]
fn copy_out(frame: &mut Frame, place: &Place) -> bool {
    let bytes = frame.len();
    if bytes > place.bytes {
        return false;
    }
    let from = frame.buffer_mut();
    // SAFETY: all of a frame's buffer is initialised; `place` has `bytes` bytes within a mapping
    // that lasts as long as the ring. An other end that offers one place twice, or places where
    // rings are, gets what it asked for: what is read from there is believed as little as ever.
    unsafe {
        near::copy((from.as_ptr(), from.len()), (place.data.as_ptr(), place.bytes), bytes);
    };
    true
}
