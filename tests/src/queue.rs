//! A packet queue on the simulated network: it knows each of its buffers and who holds it, and
//! stops the test when one comes back twice, comes back strange, or never comes back.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use dperf_core::frame::{Frame, RxChecksum, Tray};
use dperf_core::port::{BURST, Capabilities, Offloads, PacketQueue};

use crate::reference;
use crate::wire::SharedWire;

/// Buffers of one queue.
const BUFFERS: usize = 512;
/// Bytes of one buffer; room for headers is part of the longest frame.
const BUFFER_BYTES: usize = 2048;
/// What a cookie adds to the buffer's number.
const MARK: usize = 0x5eed_0000;

/// What a queue has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Frames handed out that came from the network.
    pub received: u64,
    /// Blank frames handed out.
    pub taken: u64,
    /// Frames that came back to be sent.
    pub sent: u64,
    /// Frames that came back unsent.
    pub given_back: u64,
}

/// One queue of one simulated port.
#[derive(Debug)]
pub struct SimQueue {
    wire: SharedWire,
    station: usize,
    base: NonNull<u8>,
    /// Buffers nobody holds.
    free: Vec<u32>,
    /// Whether each buffer is out.
    lent: Vec<bool>,
    offloads: Offloads,
    /// Frames the ring takes in one call.
    ring: usize,
    tally: Tally,
}

// SAFETY: the arena is plain bytes, reached only through this queue and the frames it lends.
unsafe impl Send for SimQueue {}

impl SimQueue {
    /// A queue at `station` of the wire that takes at most `ring` frames at once.
    #[must_use]
    pub fn new(wire: SharedWire, station: usize, offloads: Offloads, ring: usize) -> SimQueue {
        let arena = vec![0xa5u8; BUFFERS * BUFFER_BYTES].into_boxed_slice();
        SimQueue {
            wire,
            station,
            base: NonNull::from(Box::leak(arena)).cast(),
            free: (0..BUFFERS as u32).rev().collect(),
            lent: vec![false; BUFFERS],
            offloads,
            ring,
            tally: Tally::default(),
        }
    }

    /// What it has seen.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Frames that are out.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        BUFFERS - self.free.len()
    }

    fn lend(&mut self) -> Option<Frame> {
        let index = self.free.pop()? as usize;
        self.lent[index] = true;
        // SAFETY: the buffer lies inside the arena, which is initialised and lives until the queue
        // is dropped; it was free, so nobody else reaches it.
        Some(unsafe {
            let data = self.base.add(index * BUFFER_BYTES);
            Frame::new(data, 0, BUFFER_BYTES as u16, MARK + index)
        })
    }

    /// Takes a buffer back, if it is one of ours and out.
    fn take_back(&mut self, frame: Frame) {
        let index = frame.cookie().wrapping_sub(MARK);
        assert!(index < BUFFERS, "a frame with a strange cookie came back");
        let own = self.base.as_ptr().wrapping_add(index * BUFFER_BYTES);
        assert!(std::ptr::eq(frame.bytes().as_ptr(), own), "a frame of another queue came back");
        assert!(std::mem::take(&mut self.lent[index]), "a frame came back twice");
        self.free.push(index as u32);
    }
}

// SAFETY: every frame is a buffer of the arena, which lives as long as the queue; `lent` sees to it
// that each is out at most once, and `take_back` checks its cookie and its address.
unsafe impl PacketQueue for SimQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities { offloads: self.offloads, frame_bytes: 1514 }
    }

    fn receive(&mut self, into: &mut Tray) {
        let wire = self.wire.clone();
        let mut wire = wire.get();
        for _ in 0..BURST.min(into.room()) {
            let Some(mut frame) = self.lend() else { return };
            let good = self.offloads.contains(Offloads::RX_CHECKSUM);
            let came = wire.receive(self.station, |bytes| {
                assert!(frame.set_len(bytes.len()));
                frame.bytes_mut().copy_from_slice(bytes);
                if good && reference::is_tcp(bytes) {
                    let holds = reference::checksums_hold(bytes);
                    frame.set_rx_checksum(if holds { RxChecksum::Good } else { RxChecksum::Bad });
                }
            });
            if !came {
                self.take_back(frame);
                return;
            }
            self.tally.received += 1;
            assert!(into.push(frame).is_ok());
        }
    }

    fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        let mut count = 0;
        while count < want.min(into.room()) {
            let Some(frame) = self.lend() else { break };
            assert!(into.push(frame).is_ok());
            count += 1;
            self.tally.taken += 1;
        }
        count
    }

    fn transmit(&mut self, from: &mut Tray) -> usize {
        let shared = self.wire.clone();
        let mut wire = shared.get();
        let count = from.len().min(self.ring);
        from.drain_front(count, |mut frame| {
            let shape = frame.tx_shape();
            reference::complete(frame.bytes_mut(), shape);
            wire.send(self.station, frame.bytes());
            self.take_back(frame);
            self.tally.sent += 1;
        });
        count
    }

    fn give_back(&mut self, from: &mut Tray) {
        from.drain(|_, frame| {
            self.take_back(frame);
            self.tally.given_back += 1;
        });
    }
}

impl Drop for SimQueue {
    fn drop(&mut self) {
        if self.outstanding() > 0 {
            // Someone may still reach the arena: it stays, and the laws have said so already.
            return;
        }
        let arena = NonNull::slice_from_raw_parts(self.base, BUFFERS * BUFFER_BYTES);
        // SAFETY: made by `Box::leak` in `new`, with this length; no frame is out.
        drop(unsafe { Box::from_raw(arena.as_ptr()) });
    }
}
