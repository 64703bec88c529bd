//! A cable between two queues, in borrowed memory: the smallest back end there can be.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use dperf_core::frame::{Frame, Tray};
use dperf_core::port::{BURST, Capabilities, Offloads, PacketQueue};

/// Bytes of one buffer, enough for an Ethernet frame.
pub const BYTES: usize = 1536;
/// Buffers of one end: two full trays and some.
pub const BUFFERS: usize = 160;
/// Frames under way in one direction.
const PLACES: usize = 64;

/// One direction: written at one end, read at the other.
pub struct Ring {
    sent: AtomicUsize,
    received: AtomicUsize,
    frames: [UnsafeCell<(usize, [u8; BYTES])>; PLACES],
}

// SAFETY: a place lies either before `sent`, and the reader alone reaches it, or behind, and the
// writer alone does; there is one of each, since an `End` is neither cloned nor shared.
unsafe impl Sync for Ring {}

impl Ring {
    /// An empty ring.
    pub const fn new() -> Ring {
        Ring {
            sent: AtomicUsize::new(0),
            received: AtomicUsize::new(0),
            frames: [const { UnsafeCell::new((0, [0; BYTES])) }; PLACES],
        }
    }

    /// Adds a frame; false if there is no place.
    fn send(&self, bytes: &[u8]) -> bool {
        let sent = self.sent.load(Relaxed);
        if sent - self.received.load(Acquire) == PLACES {
            return false;
        }
        // SAFETY: this place lies behind `sent`: it is the writer's.
        let (len, place) = unsafe { &mut *self.frames[sent % PLACES].get() };
        *len = bytes.len();
        place[..bytes.len()].copy_from_slice(bytes);
        self.sent.store(sent + 1, Release);
        true
    }

    /// Shows the oldest frame to `read` and forgets it; false if there is none.
    fn receive(&self, read: impl FnOnce(&[u8])) -> bool {
        let received = self.received.load(Relaxed);
        if received == self.sent.load(Acquire) {
            return false;
        }
        // SAFETY: this place lies before `sent`: it is the reader's.
        let (len, place) = unsafe { &*self.frames[received % PLACES].get() };
        read(&place[..*len]);
        self.received.store(received + 1, Release);
        true
    }
}

/// One end of a cable of two rings.
pub struct End<'m> {
    out: &'m Ring,
    back: &'m Ring,
    base: NonNull<[u8; BYTES]>,
    /// Buffers nobody holds: the first `count` numbers.
    free: [usize; BUFFERS],
    count: usize,
    own: PhantomData<&'m mut [[u8; BYTES]; BUFFERS]>,
}

// SAFETY: the buffers are plain bytes and borrowed by this end alone.
unsafe impl Send for End<'_> {}

impl<'m> End<'m> {
    /// The end that sends into `out` and receives from `back`, with buffers of its own.
    pub fn new(out: &'m Ring, back: &'m Ring, buffers: &'m mut [[u8; BYTES]; BUFFERS]) -> End<'m> {
        End {
            out,
            back,
            base: NonNull::from(buffers).cast(),
            free: core::array::from_fn(|index| index),
            count: BUFFERS,
            own: PhantomData,
        }
    }

    fn lend(&mut self) -> Option<Frame> {
        self.count = self.count.checked_sub(1)?;
        let index = self.free[self.count];
        // SAFETY: a buffer of the borrowed array, initialised; it was free, so nobody reaches it.
        Some(unsafe { Frame::new(self.base.add(index).cast(), 0, BYTES as u16, index) })
    }

    fn take_back(&mut self, frame: &Frame) {
        assert!(frame.cookie() < BUFFERS, "a frame of somebody else");
        self.free[self.count] = frame.cookie();
        self.count += 1;
    }
}

// SAFETY: every frame is a buffer of the borrowed array, which outlives the queue; a number is
// either in `free` or in one frame, and `take_back` checks it.
unsafe impl PacketQueue for End<'_> {
    fn capabilities(&self) -> Capabilities {
        Capabilities { offloads: Offloads::empty(), frame_bytes: 1514 }
    }

    fn receive(&mut self, into: &mut Tray) {
        for _ in 0..BURST.min(into.room()) {
            let Some(mut frame) = self.lend() else { return };
            let came = self.back.receive(|bytes| {
                assert!(frame.set_len(bytes.len()));
                frame.bytes_mut().copy_from_slice(bytes);
            });
            if !came {
                return self.take_back(&frame);
            }
            assert!(into.push(frame).is_ok());
        }
    }

    fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        let mut count = 0;
        while count < want.min(into.room()) {
            let Some(frame) = self.lend() else { break };
            assert!(into.push(frame).is_ok());
            count += 1;
        }
        count
    }

    fn transmit(&mut self, from: &mut Tray) -> usize {
        let sent = from.frames().iter().take_while(|frame| self.out.send(frame.bytes())).count();
        from.drain_front(sent, |frame| self.take_back(&frame));
        sent
    }

    fn give_back(&mut self, from: &mut Tray) {
        from.drain(|_, frame| self.take_back(&frame));
    }
}
