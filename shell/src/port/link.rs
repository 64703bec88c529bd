//! The in-process link: two ends in one process, joined queue by queue, and no frame is copied.
//!
//! Every buffer is reachable by exactly one holder: a frame, an end's free list, or one place of a
//! ring. Each direction is a single-producer single-consumer ring whose every place always holds a
//! buffer. Transmit swaps a full one for the empty one lying there, receive swaps it back; so each
//! end keeps the number of buffers it began with, without a way back and without allocating.
//!
//! A queue belongs to one thread:
//!
//! ```
//! use dperf_shell::port::link;
//! let (a, b) = link::pair(1514, 256);
//! std::thread::spawn(move || drop(a));
//! std::thread::spawn(move || drop(b));
//! ```
//! ```compile_fail,E0382
//! use dperf_shell::port::link;
//! let (a, b) = link::pair(1514, 256);
//! std::thread::spawn(move || drop(a));
//! std::thread::spawn(move || drop(a));
//! ```
//! ```compile_fail,E0599
//! use dperf_shell::port::link;
//! let (a, b) = link::pair(1514, 256);
//! std::thread::spawn(move || drop(a));
//! std::thread::spawn(move || drop(b.clone()));
//! ```
//! and is not shared by reference:
//!
//! ```
//! use dperf_core::{frame::Tray, port::PacketQueue};
//! use dperf_shell::port::link;
//! let (mut a, _b) = link::pair(1514, 256);
//! std::thread::scope(|s| {
//!     s.spawn(|| a.receive(&mut Tray::new()));
//! });
//! ```
//! ```compile_fail,E0596
//! use dperf_core::{frame::Tray, port::PacketQueue};
//! use dperf_shell::port::link;
//! let (mut a, _b) = link::pair(1514, 256);
//! let a = &a;
//! std::thread::scope(|s| {
//!     s.spawn(|| a.receive(&mut Tray::new()));
//! });
//! ```
//! ```
//! use dperf_shell::port::link;
//! fn shared<T: Send>(_: &T) {}
//! let (a, _b) = link::pair(1514, 256);
//! shared(&a);
//! ```
//! ```compile_fail,E0277
//! use dperf_shell::port::link;
//! fn shared<T: Sync>(_: &T) {}
//! let (a, _b) = link::pair(1514, 256);
//! shared(&a);
//! ```
#![allow(unsafe_code)]

use core::cell::Cell;
use core::marker::PhantomData;
use std::sync::Arc;

use dperf_core::frame::{Frame, Tray};
use dperf_core::port::{BURST, Capabilities, Faults, Offloads, PacketQueue, PortState};
use dperf_core::sync::atomic::{Acquire, AtomicBool, AtomicU32, AtomicU64, Relaxed, Release};
use dperf_core::wire::ethernet::{MacAddr, VLAN_BYTES};

use self::buffers::Buffers;
use super::{Facts, KernelSees, Opened};

pub(in crate::port) mod buffers;
#[cfg(test)]
mod tests;

/// The MAC addresses of the two ends: locally administered.
pub const MACS: [MacAddr; 2] = [MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2])];

/// Places of one ring. All of them are visited in turn, so more of them cost cache.
pub const PLACES: usize = 256;

/// Buffers per queue and end that suit a worker: a few full trays.
pub const FRAMES: u16 = 256;

/// Two ends with `queues` queues each; queue i of one talks to queue i of the other. Every queue
/// owns `frames` buffers that hold `frame_bytes`.
pub fn open(queues: u16, frame_bytes: u16, frames: u16) -> (Opened, Opened) {
    let mut ends = MACS.map(|mac| {
        let facts = Facts {
            mac,
            frame_bytes,
            offloads: Offloads::empty(),
            kernel_sees: KernelSees::Nothing,
            paired_queues: true,
        };
        Opened { facts, queues: Vec::with_capacity(usize::from(queues)), notes: Vec::new() }
    });
    for _ in 0..queues {
        let (a, b) = pair(frame_bytes, frames);
        ends[0].queues.push(Box::new(a));
        ends[1].queues.push(Box::new(b));
    }
    let [a, b] = ends;
    (a, b)
}

/// One queue of each end, joined.
pub fn pair(frame_bytes: u16, frames: u16) -> (LinkQueue, LinkQueue) {
    let own = u32::from(frames);
    let in_rings = 2 * PLACES as u32;
    let cable = Arc::new(Cable {
        // A VLAN tag comes on top.
        buffers: Buffers::new(frame_bytes + VLAN_BYTES as u16, in_rings + 2 * own),
        rings: [Ring::new(0), Ring::new(PLACES as u32)],
        alive: [AtomicBool::new(true), AtomicBool::new(true)],
    });
    let end = |side: usize| LinkQueue {
        cable: Arc::clone(&cable),
        side,
        free: (in_rings + side as u32 * own..).take(usize::from(frames)).collect(),
        frames: usize::from(frames),
        frame_bytes,
        tail: 0,
        peer_head: 0,
        head: 0,
        peer_tail: 0,
        foreign: 0,
        #[cfg(debug_assertions)]
        lent: vec![false; (in_rings + 2 * own) as usize],
        one_thread: PhantomData,
    };
    (end(0), end(1))
}

/// One end of one joined pair of queues. Minted only by [`open`] and [`pair`].
pub struct LinkQueue {
    cable: Arc<Cable>,
    side: usize,
    /// Empty buffers, the hottest last.
    free: Vec<u32>,
    /// Buffers this end owns, in `free` or in frames: constant.
    frames: usize,
    frame_bytes: u16,
    /// Where the next frame is sent, and the peer's receive position as last seen.
    tail: u32,
    peer_head: u32,
    /// Where the next frame is received, and the peer's send position as last seen.
    head: u32,
    peer_tail: u32,
    /// Frames that came back and were not ours.
    foreign: u64,
    /// Which buffers are out as frames of this end.
    #[cfg(debug_assertions)]
    lent: Vec<bool>,
    /// Not `Sync`.
    one_thread: PhantomData<Cell<()>>,
}

impl LinkQueue {
    /// Makes a frame of buffer `index`, which the caller has just taken out of its only place.
    #[inline]
    fn lend(&mut self, index: u32, len: u16) -> Frame {
        #[cfg(debug_assertions)]
        assert!(!core::mem::replace(&mut self.lent[index as usize], true), "buffer lent twice");
        // SAFETY: the index was in one place and is in none now; `drop` keeps the cable if any
        // frame is still out.
        unsafe { self.cable.buffers.lend(index, len) }
    }

    /// The buffer behind a frame that comes back; none if the frame is not of this cable.
    #[inline]
    fn reclaim(&mut self, frame: Frame) -> Option<(u32, u16)> {
        let Some(index) = self.cable.buffers.number(&frame) else {
            self.foreign += 1;
            return None;
        };
        #[cfg(debug_assertions)]
        assert!(core::mem::take(&mut self.lent[index as usize]), "a frame of the other end");
        Some((index, frame.len() as u16))
    }
}

// SAFETY: every frame is made by `lend` from a buffer that was in exactly one place; the arena is
// initialised and outlives its queues and frames; `reclaim` checks cookie and address.
unsafe impl PacketQueue for LinkQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities { offloads: Offloads::empty(), frame_bytes: self.frame_bytes }
    }

    #[inline]
    fn receive(&mut self, into: &mut Tray) {
        let want = BURST.min(into.room()).min(self.free.len()) as u32;
        let mut ready = self.peer_tail.wrapping_sub(self.head);
        if ready < want {
            self.peer_tail = self.cable.rings[1 - self.side].tail.0.load(Acquire);
            ready = self.peer_tail.wrapping_sub(self.head);
        }
        let count = ready.min(want);
        if count == 0 {
            return;
        }
        for _ in 0..count {
            let Some(empty) = self.free.pop() else { break };
            let place = self.cable.rings[1 - self.side].place(self.head);
            let full = place.load(Relaxed);
            place.store(u64::from(empty), Relaxed);
            self.head = self.head.wrapping_add(1);
            let frame = self.lend(full as u32, (full >> 32) as u16);
            let pushed = into.push(frame);
            debug_assert!(pushed.is_ok(), "the tray has room for `want`");
        }
        // Release: the empty buffers are in their places before the peer may take them.
        self.cable.rings[1 - self.side].head.0.store(self.head, Release);
    }

    #[inline]
    fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        let count = want.min(into.room()).min(self.free.len());
        for _ in 0..count {
            let Some(index) = self.free.pop() else { break };
            let frame = self.lend(index, 0);
            let pushed = into.push(frame);
            debug_assert!(pushed.is_ok(), "the tray has room for `count`");
        }
        count
    }

    #[inline]
    fn transmit(&mut self, from: &mut Tray) -> usize {
        let want = from.len() as u32;
        let mut room = PLACES as u32 - self.tail.wrapping_sub(self.peer_head);
        if room < want {
            self.peer_head = self.cable.rings[self.side].head.0.load(Acquire);
            room = PLACES as u32 - self.tail.wrapping_sub(self.peer_head);
        }
        let before = self.tail;
        from.drain_front(room.min(want) as usize, |frame| {
            let Some((full, len)) = self.reclaim(frame) else { return };
            let place = self.cable.rings[self.side].place(self.tail);
            let empty = place.load(Relaxed) as u32;
            place.store(u64::from(full) | u64::from(len) << 32, Relaxed);
            self.free.push(empty);
            self.tail = self.tail.wrapping_add(1);
        });
        // Release: the frames' bytes and places are written before the peer may read them.
        self.cable.rings[self.side].tail.0.store(self.tail, Release);
        self.tail.wrapping_sub(before) as usize
    }

    #[inline]
    fn give_back(&mut self, from: &mut Tray) {
        from.drain(|_, frame| {
            if let Some((index, _)) = self.reclaim(frame) {
                self.free.push(index);
            }
        });
    }

    fn state(&mut self) -> PortState {
        let alive = self.cable.alive[1 - self.side].load(Acquire);
        if alive { PortState::Up } else { PortState::Gone }
    }

    fn faults(&mut self) -> Faults {
        Faults { tx_errors: self.foreign, ..Faults::default() }
    }
}

impl Drop for LinkQueue {
    fn drop(&mut self) {
        self.cable.alive[self.side].store(false, Release);
        if self.free.len() != self.frames {
            // Somebody still holds frames: their memory must stay.
            core::mem::forget(Arc::clone(&self.cable));
        }
    }
}

/// What both ends share.
struct Cable {
    buffers: Buffers,
    /// `rings[side]` carries what `side` sends.
    rings: [Ring; 2],
    alive: [AtomicBool; 2],
}

/// One direction. The indices count frames and wrap; each has one writer and its own cache line
/// pair, since processors fetch lines two by two.
struct Ring {
    /// Next frame to be sent; written by the sender.
    tail: Line,
    /// Next frame to be received; written by the receiver.
    head: Line,
    /// Buffer index (32 bits) and frame length (16 bits). Between `head` and `tail` the buffers are
    /// full and the receiver's to swap, all others are empty and the sender's.
    places: Places,
}

#[repr(align(128))]
struct Line(AtomicU32);

#[repr(align(128))]
struct Places([AtomicU64; PLACES]);

const _: () = assert!(PLACES.is_power_of_two());

impl Ring {
    /// A ring whose places hold the empty buffers `first..first + PLACES`.
    fn new(first: u32) -> Ring {
        let places = core::array::from_fn(|i| AtomicU64::new(u64::from(first) + i as u64));
        Ring {
            tail: Line(AtomicU32::new(0)),
            head: Line(AtomicU32::new(0)),
            places: Places(places),
        }
    }

    #[inline]
    fn place(&self, position: u32) -> &AtomicU64 {
        &self.places.0[position as usize % PLACES]
    }
}
