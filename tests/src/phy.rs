//! Any smoltcp device is a packet queue: one copy in, one copy out, and nothing is asked of the
//! device that smoltcp itself would not ask. This is the smallest whole back end there is.
#![allow(unsafe_code)]

use dperf_core::frame::{Frame, Tray};
use dperf_core::port::{BURST, Capabilities, Offloads, PacketQueue};
use smoltcp::phy::{Device, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::arena::Arena;

/// Buffers of one queue: two trays each way, and some to spare.
const BUFFERS: usize = 512;

/// The queue of one core on a device that it owns.
#[derive(Debug)]
pub struct PhyQueue<D> {
    device: D,
    arena: Arena,
    /// smoltcp's devices want to know the time.
    clock: fn() -> Instant,
}

impl<D: Device> PhyQueue<D> {
    /// A queue on `device`, which must speak Ethernet.
    pub fn new(device: D, clock: fn() -> Instant) -> PhyQueue<D> {
        PhyQueue { device, arena: Arena::new(BUFFERS), clock }
    }

    /// Takes one frame from the device into a free buffer. The buffer is found first: what has no
    /// place stays in the device.
    fn receive_one(&mut self) -> Option<Frame> {
        let mut frame = self.arena.lend()?;
        let Some((token, _)) = self.device.receive((self.clock)()) else {
            self.arena.take_back(frame);
            return None;
        };
        let fits = token.consume(|bytes| {
            let fits = frame.set_len(bytes.len());
            if fits {
                frame.bytes_mut().copy_from_slice(bytes);
            }
            fits
        });
        if !fits {
            // Longer than any frame we could have asked for: an empty one is dropped by the core.
            let emptied = frame.set_len(0);
            debug_assert!(emptied);
        }
        Some(frame)
    }
}

// SAFETY: every frame is a buffer of the arena, which lends each to one holder at a time, checks
// what comes back, and frees its memory only when nothing is out.
unsafe impl<D: Device + Send> PacketQueue for PhyQueue<D> {
    fn capabilities(&self) -> Capabilities {
        let bytes = self.device.capabilities().max_transmission_unit.min(1514);
        Capabilities { offloads: Offloads::empty(), frame_bytes: bytes as u16 }
    }

    fn receive(&mut self, into: &mut Tray) {
        for _ in 0..BURST.min(into.room()) {
            let Some(frame) = self.receive_one() else { return };
            if let Err(frame) = into.push(frame) {
                return self.arena.take_back(frame);
            }
        }
    }

    fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        let before = into.len();
        for _ in 0..want.min(into.room()) {
            let Some(frame) = self.arena.lend() else { break };
            if let Err(frame) = into.push(frame) {
                self.arena.take_back(frame);
                break;
            }
        }
        into.len() - before
    }

    fn transmit(&mut self, from: &mut Tray) -> usize {
        let mut count = 0;
        for frame in from.frames() {
            let Some(token) = self.device.transmit((self.clock)()) else { break };
            token.consume(frame.len(), |bytes| bytes.copy_from_slice(frame.bytes()));
            count += 1;
        }
        from.drain_front(count, |frame| self.arena.take_back(frame));
        count
    }

    fn give_back(&mut self, from: &mut Tray) {
        from.drain(|_, frame| self.arena.take_back(frame));
    }
}
