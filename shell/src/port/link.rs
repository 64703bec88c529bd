//! The in-process link: two ends in one process, and no frame is copied. Its queues are joined in
//! pairs, or each with every queue of the other end: then a hash of addresses and ports chooses the
//! queue, as in a network card.
//!
//! Every buffer is reachable by exactly one holder: a frame, a queue's free list, or one place of a
//! ring. From queue to queue leads a single-producer single-consumer ring whose every place always
//! holds a buffer. Transmit swaps a full one for the empty one lying there, receive swaps it back;
//! so each queue keeps the number of buffers it began with, without a way back and without
//! allocating.
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

use dperf_core::frame::{Frame, TRAY_PLACES, Tray};
use dperf_core::port::{BURST, Capabilities, Faults, Offloads, PacketQueue, PortState};
use dperf_core::steer::Rss;
use dperf_core::sync::atomic::{Acquire, AtomicU32, Release};
use dperf_core::wire::ethernet::{MacAddr, VLAN_BYTES};

use self::ring::{Consumer, Producer, Ring};
use super::buffers::{self, Buffers};
use super::rss;
use super::{Delivery, Facts, KernelSees, Opened};

mod ring;
#[cfg(test)]
mod tests;

pub use self::ring::PLACES;

/// The MAC addresses of the two ends: locally administered.
pub const MACS: [MacAddr; 2] = [MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2])];

/// Buffers per queue and end that suit a worker: a few full trays.
pub const FRAMES: u16 = 256;

/// Two ends with `queues` queues each; queue i of one talks to queue i of the other. Every queue
/// owns `frames` buffers that hold `frame_bytes`.
pub fn open(queues: u16, frame_bytes: u16, frames: u16) -> (Opened, Opened) {
    let of_end = memory_bytes([queues; 2], false, frame_bytes, frames);
    let mut ends = MACS.map(|mac| opened(mac, frame_bytes, Delivery::Paired, of_end));
    for _ in 0..queues {
        let (a, b) = pair(frame_bytes, frames);
        ends[0].queues.push(Box::new(a));
        ends[1].queues.push(Box::new(b));
    }
    let [a, b] = ends;
    (a, b)
}

/// Two ends, each of which receives a frame on the queue that its choice says. Otherwise as
/// [`open`].
pub fn open_hashed(choices: [Rss<'static>; 2], frame_bytes: u16, frames: u16) -> (Opened, Opened) {
    let queues = choices.map(|rss| rss::queues(&rss));
    let cable = Cable::new(queues, frame_bytes, frames);
    let of_end = memory_bytes(queues, true, frame_bytes, frames);
    let end = |side: usize| {
        let mut end = opened(MACS[side], frame_bytes, Delivery::Hashed(choices[side]), of_end);
        // What one end sends, the other's choice divides.
        let mint = |queue| cable.mint(side, queue, Some(choices[1 - side]));
        end.queues.extend((0..queues[side]).map(|queue| Box::new(mint(queue)) as _));
        end
    };
    (end(0), end(1))
}

fn opened(mac: MacAddr, frame_bytes: u16, delivery: Delivery, buffer_bytes: u64) -> Opened {
    let facts = Facts {
        mac,
        frame_bytes,
        offloads: Offloads::empty(),
        kernel_sees: KernelSees::Nothing,
        delivery,
        buffer_bytes,
    };
    Opened { facts, queues: Vec::new(), notes: Vec::new(), refusals: None }
}

/// One queue of each end, joined.
pub fn pair(frame_bytes: u16, frames: u16) -> (LinkQueue, LinkQueue) {
    let cable = Cable::new([1, 1], frame_bytes, frames);
    (cable.mint(0, 0, None), cable.mint(1, 0, None))
}

/// Bytes of the buffers of a link with so many queues at each end, half of it: one end's part.
/// `hashed`: every queue is joined with every one of the other end, else with its pair.
pub fn memory_bytes(queues: [u16; 2], hashed: bool, frame_bytes: u16, frames: u16) -> u64 {
    let (cables, of_cable) = if hashed { (1, queues) } else { (queues[0], [1, 1]) };
    let bytes = buffers::bytes(frame_bytes + VLAN_BYTES as u16, count(of_cable, frames));
    u64::from(cables) * bytes as u64 / 2
}

/// Buffers of a cable with so many queues at each end: one in every place of its rings, and those
/// of its queues.
fn count(queues: [u16; 2], frames: u16) -> u32 {
    let [a, b] = queues.map(u32::from);
    2 * a * b * PLACES as u32 + (a + b) * u32::from(frames)
}

/// One queue of one end. Minted only by [`open`], [`open_hashed`] and [`pair`].
pub struct LinkQueue {
    cable: Arc<Cable>,
    side: usize,
    /// Empty buffers, the hottest last.
    free: Vec<u32>,
    /// Buffers this queue owns, in `free` or in frames: constant.
    frames: usize,
    frame_bytes: u16,
    /// One to each queue of the other end.
    producers: Box<[Producer]>,
    /// One from each queue of the other end.
    consumers: Box<[Consumer]>,
    /// The one that is asked next.
    turn: usize,
    /// Which of the other end's queues a frame goes to; there is one if it does not say.
    choice: Option<Rss<'static>>,
    /// Frames that came back and were not ours.
    foreign: u64,
    /// Which buffers are out as frames of this queue.
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
        assert!(core::mem::take(&mut self.lent[index as usize]), "a frame of another queue");
        Some((index, frame.len() as u16))
    }

    /// Receives at most `want` frames from queue `from` of the other end.
    #[inline]
    fn receive_from(&mut self, from: usize, want: u32, into: &mut Tray) -> u32 {
        let ring = self.consumers[from].ring;
        let count = self.consumers[from].ready(&self.cable.rings[1 - self.side][ring], want);
        for _ in 0..count {
            let Some(empty) = self.free.pop() else { break };
            let rings = &self.cable.rings[1 - self.side];
            let (full, len) = self.consumers[from].swap(&rings[ring], empty);
            let frame = self.lend(full, len);
            let pushed = into.push(frame);
            debug_assert!(pushed.is_ok(), "the tray has room for `want`");
        }
        if count > 0 {
            self.consumers[from].publish(&self.cable.rings[1 - self.side][ring]);
        }
        count
    }

    /// Where each frame from the front on goes, as long as there is room there; how many those are.
    #[inline]
    fn claim(&mut self, from: &Tray, to: &mut [u16; TRAY_PLACES]) -> usize {
        let rings = &self.cable.rings[self.side];
        let Some(rss) = &self.choice else {
            let only = &mut self.producers[0];
            return only.claim(&rings[only.ring], from.len() as u32) as usize;
        };
        let mut count = 0;
        for (frame, to) in from.frames().iter().zip(to) {
            *to = rss.queue_of_frame(frame.bytes());
            let Some(producer) = self.producers.get_mut(usize::from(*to)) else { break };
            if producer.claim(&rings[producer.ring], 1) == 0 {
                break;
            }
            count += 1;
        }
        count
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
        let mut want = BURST.min(into.room()).min(self.free.len()) as u32;
        for _ in 0..self.consumers.len() {
            if want == 0 {
                break;
            }
            let from = self.turn;
            self.turn = if from + 1 == self.consumers.len() { 0 } else { from + 1 };
            want -= self.receive_from(from, want, into);
        }
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
        let mut to = [0; TRAY_PLACES];
        let count = self.claim(from, &mut to);
        let (mut at, mut sent) = (0, 0);
        from.drain_front(count, |frame| {
            let to = usize::from(to[at]);
            at += 1;
            let Some((full, len)) = self.reclaim(frame) else { return };
            let producer = &mut self.producers[to];
            let ring = &self.cable.rings[self.side][producer.ring];
            self.free.push(producer.swap(ring, full, len));
            sent += 1;
        });
        for producer in &mut self.producers {
            producer.publish(&self.cable.rings[self.side][producer.ring]);
        }
        sent
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
        if alive > 0 { PortState::Up } else { PortState::Gone }
    }

    fn faults(&mut self) -> Faults {
        Faults { tx_errors: self.foreign, ..Faults::default() }
    }
}

impl Drop for LinkQueue {
    fn drop(&mut self) {
        self.cable.alive[self.side].fetch_sub(1, Release);
        if self.free.len() != self.frames {
            // Somebody still holds frames: their memory must stay.
            core::mem::forget(Arc::clone(&self.cable));
        }
    }
}

/// What both ends share.
struct Cable {
    buffers: Buffers,
    /// `rings[side]` carry what `side` sends: from its first queue to each of the other end's, from
    /// its second and so on.
    rings: [Box<[Ring]>; 2],
    /// Queues of each end that are still there.
    alive: [AtomicU32; 2],
    /// Queues of each end.
    queues: [u16; 2],
    frame_bytes: u16,
    frames: u16,
}

impl Cable {
    fn new(queues: [u16; 2], frame_bytes: u16, frames: u16) -> Arc<Cable> {
        let [a, b] = queues.map(u32::from);
        let (joined, places) = (a * b, PLACES as u32);
        let rings = |first: u32| (0..joined).map(|ring| Ring::new(first + ring * places)).collect();
        Arc::new(Cable {
            // A VLAN tag comes on top.
            buffers: Buffers::new(frame_bytes + VLAN_BYTES as u16, count(queues, frames)),
            rings: [rings(0), rings(joined * places)],
            alive: queues.map(|count| AtomicU32::new(count.into())),
            queues,
            frame_bytes,
            frames,
        })
    }

    /// A queue of one end; each is minted once.
    fn mint(self: &Arc<Cable>, side: usize, queue: u16, choice: Option<Rss<'static>>) -> LinkQueue {
        let [own, peers] = [self.queues[side], self.queues[1 - side]].map(usize::from);
        let (queue, frames) = (usize::from(queue), usize::from(self.frames));
        let in_rings = 2 * own * peers * PLACES;
        let before = if side == 0 { queue } else { peers + queue };
        let first = (in_rings + before * frames) as u32;
        let producer = |peer| Producer::new(queue * peers + peer);
        let consumer = |peer| Consumer::new(peer * own + queue);
        LinkQueue {
            cable: Arc::clone(self),
            side,
            free: (first..).take(frames).collect(),
            frames,
            frame_bytes: self.frame_bytes,
            producers: (0..peers).map(producer).collect(),
            consumers: (0..peers).map(consumer).collect(),
            turn: 0,
            choice,
            foreign: 0,
            #[cfg(debug_assertions)]
            lent: vec![false; in_rings + (own + peers) * frames],
            one_thread: PhantomData,
        }
    }
}
