//! A queue as the kernel's of dperf was (rte_kni_fifo.h): a ring in shared memory with one index
//! that its producer writes and one that its consumer writes. It serves one producer. dperf gave it
//! several.
//!
//! It is written as in C: whoever has its address may use it, from any thread, and the compiler
//! says nothing.

use dperf_core::exception::{Delivered, ExceptionPath};
use dperf_core::frame::Frame;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Places; one stays empty, as in dperf's kernel.
const PLACES: usize = 4;

/// The ring.
pub struct Fifo {
    write: AtomicUsize,
    read: AtomicUsize,
    /// Packets by their numbers. Plain memory in C; atomic here, so that what is looked for are not
    /// broken words but lost packets.
    places: [AtomicUsize; PLACES],
}

impl Fifo {
    /// An empty ring, at an address that anybody may keep.
    #[expect(clippy::new_ret_no_self, reason = "its address is all that its users have")]
    pub fn new() -> Address {
        let zero = || AtomicUsize::new(0);
        let fifo = Fifo { write: zero(), read: zero(), places: core::array::from_fn(|_| zero()) };
        Address(Arc::new(fifo))
    }
}

/// The address of a ring: what dperf's workers had of their kernel queue.
#[derive(Clone)]
pub struct Address(Arc<Fifo>);

impl Address {
    /// Puts a packet in (`kni_fifo_put`); false if there is no room. One thread may call this, and
    /// nothing sees to it.
    pub fn put(&self, packet: usize) -> bool {
        let fifo = &*self.0;
        let write = fifo.write.load(Relaxed);
        let next = (write + 1) % PLACES;
        if next == fifo.read.load(Acquire) {
            return false;
        }
        fifo.places[write].store(packet, Relaxed);
        fifo.write.store(next, Release);
        true
    }

    /// Takes a packet out (`kni_fifo_get`): the kernel's thread.
    pub fn get(&self) -> Option<usize> {
        let fifo = &*self.0;
        let read = fifo.read.load(Relaxed);
        if read == fifo.write.load(Acquire) {
            return None;
        }
        let packet = fifo.places[read].load(Relaxed);
        fifo.read.store((read + 1) % PLACES, Release);
        Some(packet)
    }
}

/// The same ring as a way to the kernel: it has one holder, or stands behind a lock.
pub struct FifoPath(Address);

impl FifoPath {
    /// The only path into `fifo`.
    pub fn new(fifo: Address) -> FifoPath {
        FifoPath(fifo)
    }
}

impl ExceptionPath for FifoPath {
    fn deliver(&mut self, packets: &[Frame]) -> Delivered {
        let put = |packet: &&Frame| self.0.put(usize::from(packet.bytes()[0]));
        Delivered { done: packets.iter().take_while(put).count(), refused: 0 }
    }

    fn collect(&mut self, _: &mut [Frame]) -> usize {
        0
    }
}
