//! A packet queue on the simulated network: it knows each of its buffers and who holds it, and
//! stops the test when one comes back twice, comes back strange, or never comes back.
#![allow(unsafe_code)]

use dperf_core::frame::{RxChecksum, Tray};
use dperf_core::port::{BURST, Capabilities, Faults, Offloads, PacketQueue, PortState};

use crate::arena::Arena;
use crate::reference;
use crate::scenario::Scenario;
use crate::wire::SharedWire;

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
    /// The most frames that came back to be sent at once.
    pub largest_burst: usize,
}

/// One queue of one simulated port.
#[derive(Debug)]
pub struct SimQueue {
    wire: SharedWire,
    station: usize,
    /// Which of the station's receive rings is its own.
    place: u16,
    arena: Arena,
    offloads: Offloads,
    /// Frames the ring takes in one call.
    ring: usize,
    tally: Tally,
}

impl SimQueue {
    /// The queue with the receive ring `place` of a station of the wire, as `scenario` has it.
    #[must_use]
    pub fn new(wire: SharedWire, (station, place): (usize, u16), scenario: &Scenario) -> SimQueue {
        SimQueue {
            wire,
            station,
            place,
            arena: Arena::new(scenario.buffers),
            offloads: scenario.offloads,
            ring: scenario.ring,
            tally: Tally::default(),
        }
    }

    /// What it has seen.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Lets a frame come from nowhere.
    pub fn bring(&self, frame: &[u8]) {
        self.wire.get().inject(self.station, frame);
    }

    /// Frames that are out.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.arena.outstanding()
    }
}

// SAFETY: every frame is a buffer of the arena, which lends each to one holder at a time, checks
// what comes back, and frees its memory only when nothing is out.
unsafe impl PacketQueue for SimQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities { offloads: self.offloads, frame_bytes: 1514 }
    }

    fn receive(&mut self, into: &mut Tray) {
        let wire = self.wire.clone();
        let mut wire = wire.get();
        for _ in 0..BURST.min(into.room()) {
            let Some(mut frame) = self.arena.lend() else { return };
            let good = self.offloads.contains(Offloads::RX_CHECKSUM);
            let came = wire.receive(self.station, self.place, |bytes| {
                assert!(frame.set_len(bytes.len()));
                frame.bytes_mut().copy_from_slice(bytes);
                if good && reference::is_load(bytes) {
                    let holds = reference::checksums_hold(bytes);
                    frame.set_rx_checksum(if holds { RxChecksum::Good } else { RxChecksum::Bad });
                }
            });
            if !came {
                self.arena.take_back(frame);
                return;
            }
            self.tally.received += 1;
            assert!(into.push(frame).is_ok());
        }
    }

    fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        let mut count = 0;
        while count < want.min(into.room()) {
            let Some(frame) = self.arena.lend() else { break };
            assert!(into.push(frame).is_ok());
            count += 1;
            self.tally.taken += 1;
        }
        count
    }

    fn transmit(&mut self, from: &mut Tray) -> usize {
        let shared = self.wire.clone();
        let mut wire = shared.get();
        self.tally.largest_burst = self.tally.largest_burst.max(from.len());
        let count = from.len().min(self.ring);
        from.drain_front(count, |mut frame| {
            let shape = frame.tx_shape();
            reference::complete(frame.bytes_mut(), shape);
            wire.send(self.station, frame.bytes());
            self.arena.take_back(frame);
            self.tally.sent += 1;
        });
        count
    }

    fn give_back(&mut self, from: &mut Tray) {
        from.drain(|_, frame| {
            self.arena.take_back(frame);
            self.tally.given_back += 1;
        });
    }

    fn state(&mut self) -> PortState {
        if self.wire.get().is_down() { PortState::Down } else { PortState::Up }
    }

    fn faults(&mut self) -> Faults {
        Faults { rx_missed: self.wire.get().missed(self.station, self.place), ..Faults::default() }
    }
}
