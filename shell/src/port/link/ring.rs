//! One direction between two queues: a ring of places, each of which always holds a buffer.

use dperf_core::sync::atomic::{Acquire, AtomicU32, AtomicU64, Relaxed, Release};

/// Places of one ring. All of them are visited in turn, so more of them cost cache.
pub const PLACES: usize = 256;

/// One direction. The indices count frames and wrap; each has one writer and its own cache line
/// pair, since processors fetch lines two by two.
pub(super) struct Ring {
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
    pub(super) fn new(first: u32) -> Ring {
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

    /// The buffers in its places.
    #[cfg(test)]
    pub(super) fn buffers(&self) -> impl Iterator<Item = u32> {
        self.places.0.iter().map(|place| place.load(Relaxed) as u32)
    }
}

/// The sending end of a ring; there is one.
pub(super) struct Producer {
    /// The ring's number.
    pub(super) ring: usize,
    /// Where the next frame is sent, where the one after all claimed places would be, and the
    /// receiver's position as last seen.
    tail: u32,
    claimed: u32,
    peer_head: u32,
    /// `tail` as the receiver knows it.
    published: u32,
}

impl Producer {
    pub(super) fn new(ring: usize) -> Producer {
        Producer { ring, tail: 0, claimed: 0, peer_head: 0, published: 0 }
    }

    /// Claims up to `want` places; how many are there.
    #[inline]
    pub(super) fn claim(&mut self, ring: &Ring, want: u32) -> u32 {
        let mut room = PLACES as u32 - self.claimed.wrapping_sub(self.peer_head);
        if room < want {
            self.peer_head = ring.head.0.load(Acquire);
            room = PLACES as u32 - self.claimed.wrapping_sub(self.peer_head);
        }
        let count = room.min(want);
        self.claimed = self.claimed.wrapping_add(count);
        count
    }

    /// Puts a full buffer into the next place, which was claimed, and takes the empty one out.
    #[inline]
    pub(super) fn swap(&mut self, ring: &Ring, full: u32, len: u16) -> u32 {
        let place = ring.place(self.tail);
        let empty = place.load(Relaxed) as u32;
        place.store(u64::from(full) | u64::from(len) << 32, Relaxed);
        self.tail = self.tail.wrapping_add(1);
        empty
    }

    /// Lets the receiver see what was put in; places that were claimed in vain are free again.
    #[inline]
    pub(super) fn publish(&mut self, ring: &Ring) {
        self.claimed = self.tail;
        if self.published != self.tail {
            self.published = self.tail;
            // Release: the frames' bytes and places are written before the peer may read them.
            ring.tail.0.store(self.tail, Release);
        }
    }
}

/// The receiving end of a ring; there is one.
pub(super) struct Consumer {
    /// The ring's number.
    pub(super) ring: usize,
    /// Where the next frame is received, and the sender's position as last seen.
    head: u32,
    peer_tail: u32,
}

impl Consumer {
    pub(super) fn new(ring: usize) -> Consumer {
        Consumer { ring, head: 0, peer_tail: 0 }
    }

    /// How many frames are there, at most `want`.
    #[inline]
    pub(super) fn ready(&mut self, ring: &Ring, want: u32) -> u32 {
        let mut ready = self.peer_tail.wrapping_sub(self.head);
        if ready < want {
            self.peer_tail = ring.tail.0.load(Acquire);
            ready = self.peer_tail.wrapping_sub(self.head);
        }
        ready.min(want)
    }

    /// Takes the next full buffer and its length, and leaves an empty one.
    #[inline]
    pub(super) fn swap(&mut self, ring: &Ring, empty: u32) -> (u32, u16) {
        let place = ring.place(self.head);
        let full = place.load(Relaxed);
        place.store(u64::from(empty), Relaxed);
        self.head = self.head.wrapping_add(1);
        (full as u32, (full >> 32) as u16)
    }

    /// Gives the places back to the sender.
    #[inline]
    pub(super) fn publish(&self, ring: &Ring) {
        // Release: the empty buffers are in their places before the peer may take them.
        ring.head.0.store(self.head, Release);
    }
}
