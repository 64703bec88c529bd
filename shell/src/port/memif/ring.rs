//! One ring of descriptors in shared memory, seen by its receiver or by its sender. Each owns one
//! index, which only grows (modulo 2^16); a descriptor is the sender's or the receiver's by where
//! it lies between the two.
//!
//! ```text
//! byte 0    cookie u32, flags u16, head u16
//! byte 64   tail u16
//! byte 128  descriptors, each: flags u16, region u16, length u32, offset u32, metadata u32
//! ```
//! To the listening end, the sender moves the head and the receiver follows with the tail. From the
//! listening end, the receiver moves the head as it offers empty buffers, and the sender follows
//! with the tail as it fills them.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, fence};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::message::TO_LISTENER;
use super::region::Region;

/// What stands at the begin of every ring.
pub(super) const COOKIE: u32 = 0x03E3_1F20;

/// Rings of more descriptors are refused: an index must tell full from empty.
pub(super) const MAX_LOG2_SIZE: u8 = 14;

const FLAGS_AT: usize = 4;
const HEAD_AT: usize = 6;
const TAIL_AT: usize = 64;
const DESCRIPTORS_AT: usize = 128;
const DESCRIPTOR_BYTES: usize = 16;

/// The receiver polls and need not be woken.
const POLLS: u16 = 1;
/// The packet goes on in the next descriptor.
const GOES_ON: u64 = 1;

/// Bytes of a ring with 2^`log2_size` descriptors.
pub(super) const fn bytes(log2_size: u8) -> usize {
    DESCRIPTORS_AT + (DESCRIPTOR_BYTES << log2_size)
}

/// Which way the packets of a ring go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    ToListener,
    FromListener,
}

impl Direction {
    /// What the flags of a message say of a ring.
    pub(super) fn of(flags: u16) -> Direction {
        match flags & TO_LISTENER {
            0 => Direction::FromListener,
            _ => Direction::ToListener,
        }
    }
}

/// A ring within its regions.
pub(super) struct Ring {
    regions: Arc<[Region]>,
    base: NonNull<u8>,
    size: u16,
    direction: Direction,
}

// SAFETY: the address is of the regions, which the ring holds and which belong to no thread.
unsafe impl Send for Ring {}

/// Bytes in a region: where they begin, how many the descriptor names, and how many there are up to
/// the region's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) data: NonNull<u8>,
    pub(super) bytes: usize,
    pub(super) room: usize,
}

impl Ring {
    /// The ring of 2^`log2_size` descriptors at `offset` of a region; `None` if there is no room
    /// for one there.
    pub(super) fn new(
        regions: &Arc<[Region]>,
        (region, offset): (u16, u32),
        log2_size: u8,
        direction: Direction,
    ) -> Option<Ring> {
        if log2_size > MAX_LOG2_SIZE || !(offset as usize).is_multiple_of(DESCRIPTOR_BYTES) {
            return None;
        }
        let whole = regions.get(usize::from(region))?;
        let (base, _) = whole.at(offset as usize, bytes(log2_size))?;
        Some(Ring { regions: Arc::clone(regions), base, size: 1 << log2_size, direction })
    }

    fn half_word(&self, at: usize) -> &AtomicU16 {
        // SAFETY: within the ring, which is aligned to 16 bytes in a page-aligned region and lives
        // as long as `self`; all ends use it atomically.
        unsafe { AtomicU16::from_ptr(self.base.add(at).as_ptr().cast()) }
    }

    fn flags(&self) -> &AtomicU16 {
        self.half_word(FLAGS_AT)
    }

    /// The sender's index: all before it is filled.
    fn filled(&self) -> &AtomicU16 {
        self.half_word(match self.direction {
            Direction::ToListener => HEAD_AT,
            Direction::FromListener => TAIL_AT,
        })
    }

    /// The receiver's index.
    fn taken(&self) -> &AtomicU16 {
        self.half_word(match self.direction {
            Direction::ToListener => TAIL_AT,
            Direction::FromListener => HEAD_AT,
        })
    }

    /// What the receiver's index lies behind the first descriptor that the sender may not fill.
    fn behind(&self) -> u16 {
        match self.direction {
            Direction::ToListener => self.size,
            Direction::FromListener => 0,
        }
    }

    fn cookie(&self) -> &AtomicU32 {
        // SAFETY: as in `half_word`.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().cast()) }
    }

    /// Writes what stands at the begin of a ring.
    pub(super) fn mark(&self) {
        self.cookie().store(COOKIE, Relaxed);
    }

    /// What must stand at the begin of a ring does.
    pub(super) fn is_marked(&self) -> bool {
        self.cookie().load(Relaxed) == COOKIE
    }

    /// The two words of the descriptor at `index`.
    #[inline]
    fn descriptor(&self, index: u16) -> (&AtomicU64, &AtomicU64) {
        let at = DESCRIPTORS_AT + usize::from(index & (self.size - 1)) * DESCRIPTOR_BYTES;
        // SAFETY: as in `half_word`; 16-byte aligned.
        unsafe {
            let first = self.base.add(at).as_ptr();
            (AtomicU64::from_ptr(first.cast()), AtomicU64::from_ptr(first.add(8).cast()))
        }
    }

    /// The bytes that the descriptor at `index` names, and whether the packet goes on behind them;
    /// no bytes if they are not all in a region.
    #[inline]
    fn place(&self, index: u16) -> (Option<Place>, bool) {
        let (first, second) = self.descriptor(index);
        let (first, second) = (first.load(Relaxed), second.load(Relaxed));
        let (region, bytes) = ((first >> 16) as u16, (first >> 32) as usize);
        let within = self.regions.get(usize::from(region));
        let found = within.and_then(|region| region.at(second as u32 as usize, bytes));
        (found.map(|(data, room)| Place { data, bytes, room }), first & GOES_ON != 0)
    }

    /// Says how many bytes there are, or may be, at `index`; they are a whole packet.
    #[inline]
    fn set_bytes(&self, index: u16, bytes: u32) {
        let (first, _) = self.descriptor(index);
        let region = first.load(Relaxed) & 0xffff_0000;
        first.store(region | u64::from(bytes) << 32, Relaxed);
    }

    /// Says where the buffer of the descriptor at `index` lies.
    pub(super) fn set_buffer(&self, index: u16, (region, offset): (u16, u32), bytes: u32) {
        let (first, second) = self.descriptor(index);
        first.store(u64::from(region) << 16 | u64::from(bytes) << 32, Relaxed);
        second.store(offset.into(), Relaxed);
    }
}

/// A ring at its receiver.
pub(super) struct RxRing {
    ring: Ring,
    /// The next descriptor to be received.
    next: u16,
    /// The sender's index as last seen.
    filled: u16,
    /// The buffers are our end's, and have so many bytes each.
    own_bytes: Option<u32>,
    /// Further parts of a packet follow.
    in_packet: bool,
}

/// What a descriptor brings.
#[derive(Debug)]
pub(super) enum Arrived {
    Packet(Place),
    /// Part of a packet in several buffers: only the last of them counts.
    Part,
    /// It makes no sense, or ends a packet in several buffers.
    Unusable,
}

impl RxRing {
    /// Takes the ring into use: its receiver polls, and offers every buffer that is its own.
    pub(super) fn new(ring: Ring, own_bytes: Option<u32>) -> RxRing {
        ring.flags().store(POLLS, Relaxed);
        let rx = RxRing { ring, next: 0, filled: 0, own_bytes, in_packet: false };
        rx.publish();
        rx
    }

    /// Descriptors that wait, at most `most`.
    #[inline]
    pub(super) fn ready(&mut self, most: usize) -> usize {
        if self.filled == self.next {
            // Acquire: what was filled is seen before it is said to be.
            self.filled = self.ring.filled().load(Acquire);
        }
        usize::from(self.filled.wrapping_sub(self.next).min(self.ring.size)).min(most)
    }

    /// Where the `nth` descriptor that waits has its bytes, to be brought near.
    #[inline]
    pub(super) fn peek(&self, nth: usize) -> Option<Place> {
        self.ring.place(self.next.wrapping_add(nth as u16)).0
    }

    /// The `nth` descriptor that waits; they are asked for in order, each once.
    #[inline]
    pub(super) fn arrived(&mut self, nth: usize) -> Arrived {
        let (place, goes_on) = self.ring.place(self.next.wrapping_add(nth as u16));
        let part = goes_on || self.in_packet;
        self.in_packet = goes_on;
        match place {
            Some(place) if !part => Arrived::Packet(place),
            _ if goes_on => Arrived::Part,
            _ => Arrived::Unusable,
        }
    }

    /// The first `count` descriptors were read.
    #[inline]
    pub(super) fn consume(&mut self, count: usize) {
        if let Some(bytes) = self.own_bytes {
            for nth in 0..count as u16 {
                self.ring.set_bytes(self.next.wrapping_add(nth), bytes);
            }
        }
        self.next = self.next.wrapping_add(count as u16);
        self.publish();
    }

    #[inline]
    fn publish(&self) {
        let ahead = self.ring.size - self.ring.behind();
        // Release: what was in the buffers is read before they are given away.
        self.ring.taken().store(self.next.wrapping_add(ahead), Release);
    }
}

/// A ring at its sender.
pub(super) struct TxRing {
    ring: Ring,
    /// The next descriptor to be filled.
    next: u16,
    /// The first one that may not be filled, as last seen.
    end: u16,
    /// The buffers are our end's, and have so many bytes each.
    own_bytes: Option<u32>,
    /// Wakes a receiver that does not poll.
    wake: OwnedFd,
}

impl TxRing {
    /// Takes the ring into use.
    pub(super) fn new(ring: Ring, own_bytes: Option<u32>, wake: OwnedFd) -> TxRing {
        let end = ring.behind();
        TxRing { ring, next: 0, end, own_bytes, wake }
    }

    #[inline]
    fn look(&mut self) {
        // Acquire: the receiver has read a buffer before we write over it.
        self.end = self.ring.taken().load(Acquire).wrapping_add(self.ring.behind());
    }

    #[inline]
    fn room(&self) -> u16 {
        self.end.wrapping_sub(self.next).min(self.ring.size)
    }

    /// Descriptors that may be filled, at most `most`.
    #[inline]
    pub(super) fn free(&mut self, most: usize) -> usize {
        if usize::from(self.room()) < most {
            self.look();
        }
        usize::from(self.room()).min(most)
    }

    /// The buffer of the `nth` descriptor that may be filled: `bytes` is how many may be written.
    #[inline]
    pub(super) fn buffer(&self, nth: usize) -> Option<Place> {
        let place = self.ring.place(self.next.wrapping_add(nth as u16)).0?;
        // Where the receiver offers buffers it says their length each time; where we do, what
        // stands there is the length of the packet before.
        let bytes = self.own_bytes.map_or(place.bytes, |bytes| place.room.min(bytes as usize));
        Some(Place { bytes, ..place })
    }

    /// The buffer of the `nth` descriptor holds a packet of `bytes` bytes.
    #[inline]
    pub(super) fn fill(&mut self, nth: usize, bytes: usize) {
        self.ring.set_bytes(self.next.wrapping_add(nth as u16), bytes as u32);
    }

    /// The first `count` descriptors are filled.
    #[inline]
    pub(super) fn publish(&mut self, count: usize) {
        self.next = self.next.wrapping_add(count as u16);
        // Release: what was written is there before it is said to be.
        self.ring.filled().store(self.next, Release);
        // A receiver that is about to sleep says so, and looks once more: one of us sees the other.
        fence(SeqCst);
        if self.ring.flags().load(Relaxed) & POLLS == 0 {
            // A counter that is full wakes as well.
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }

    /// The receiver has taken everything.
    pub(super) fn is_empty(&mut self) -> bool {
        self.look();
        self.room() == self.ring.size
    }
}

/// What only tests do to a ring.
#[cfg(test)]
mod tests {
    use super::*;

    impl Ring {
        /// The same ring, seen by who should not look.
        pub(in super::super) fn again(&self) -> Ring {
            let Ring { base, size, direction, .. } = *self;
            Ring { regions: Arc::clone(&self.regions), base, size, direction }
        }

        /// The packet at `index` is said to go on.
        pub(in super::super) fn chain(&self, index: u16) {
            self.descriptor(index).0.fetch_or(GOES_ON, Relaxed);
        }

        /// Writes over eight bytes of the ring, wherever `at` falls.
        pub(in super::super) fn scribble(&self, at: usize, word: u64) {
            let words = (DESCRIPTORS_AT + DESCRIPTOR_BYTES * usize::from(self.size)) / 8;
            // SAFETY: as in `half_word`.
            let place = unsafe { self.base.add(at % words * 8) };
            // SAFETY: aligned to 8 bytes, and all ends use it atomically.
            unsafe { AtomicU64::from_ptr(place.as_ptr().cast()) }.store(word, Relaxed);
        }

        /// Moves the sender's index.
        pub(in super::super) fn set_filled(&self, index: u16) {
            self.filled().store(index, Release);
        }

        /// The buffer of the descriptor at `index`.
        pub(in super::super) fn buffer_of(&self, index: u16) -> Place {
            self.place(index).0.expect("it is inside")
        }
    }
}
