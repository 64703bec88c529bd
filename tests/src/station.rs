//! One end of the simulated network: a port, its receive rings, what is on its way to it, and the
//! book of what became of every frame meant for it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use dperf_core::steer::Rss;

/// What became of the frames, of any kind, that were meant for one station. Each of them ends in
/// exactly one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    /// Sent to it by others.
    pub meant: u64,
    /// Made by the network: a frame that came once more.
    pub doubled: u64,
    /// Put in by the test.
    pub injected: u64,
    /// Vanished by chance.
    pub lost: u64,
    /// Vanished because they were too long for the path.
    pub too_long: u64,
    /// Sent while the link was down.
    pub cut: u64,
    /// Found the receive ring full.
    pub missed: u64,
    /// Handed to the worker.
    pub received: u64,
    /// Still on their way or in a ring.
    pub under_way: u64,
}

impl Ledger {
    /// What came into being, and where it ended.
    #[must_use]
    pub fn sums(&self) -> (u64, u64) {
        let gone = self.lost + self.too_long + self.cut + self.missed;
        (self.meant + self.doubled + self.injected, gone + self.received + self.under_way)
    }
}

/// Arrival time, order, buffer.
type Flight = Reverse<(u64, u64, usize)>;

/// One receive ring and what is on its way to it.
#[derive(Debug, Default)]
struct Ring {
    flights: BinaryHeap<Flight>,
    arrived: VecDeque<usize>,
    missed: u64,
}

/// One end of the network.
#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) mac: [u8; 6],
    rings: Vec<Ring>,
    /// How the port chooses among several rings.
    rss: Rss<'static>,
    pub(crate) last_arrival: u64,
    pub(crate) ledger: Ledger,
}

impl Station {
    /// A port with `mac` that chooses among `rings` by `rss`.
    pub(crate) fn new(mac: [u8; 6], rings: u16, rss: Rss<'static>) -> Station {
        let rings = (0..rings).map(|_| Ring::default()).collect();
        Station { mac, rings, rss, last_arrival: 0, ledger: Ledger::default() }
    }

    /// A frame that lies in `buffer` is on its way.
    pub(crate) fn expect(&mut self, frame: &[u8], (at, order, buffer): (u64, u64, usize)) {
        let ring = if self.rings.len() > 1 { self.rss.queue_of_frame(frame) } else { 0 };
        self.rings[usize::from(ring)].flights.push(Reverse((at, order, buffer)));
    }

    /// The next frame of a ring, once all that has arrived by `now` lies in it; `miss` is told of
    /// each that finds `most` there.
    pub(crate) fn take(
        &mut self,
        ring: u16,
        now: u64,
        most: usize,
        mut miss: impl FnMut(usize),
    ) -> Option<usize> {
        let Ring { flights, arrived, missed } = &mut self.rings[usize::from(ring)];
        while flights.peek().is_some_and(|flight| flight.0.0 <= now) {
            let Some(Reverse((_, _, buffer))) = flights.pop() else { break };
            if arrived.len() < most {
                arrived.push_back(buffer);
            } else {
                *missed += 1;
                self.ledger.missed += 1;
                miss(buffer);
            }
        }
        let taken = arrived.pop_front();
        self.ledger.received += u64::from(taken.is_some());
        taken
    }

    /// Frames that a ring had no room for.
    pub(crate) fn missed(&self, ring: u16) -> u64 {
        self.rings[usize::from(ring)].missed
    }

    /// When the next frame arrives; 0 if one has.
    pub(crate) fn next_arrival(&self) -> Option<u64> {
        let next = |ring: &Ring| match ring.arrived.is_empty() {
            true => ring.flights.peek().map(|flight| flight.0.0),
            false => Some(0),
        };
        self.rings.iter().filter_map(next).min()
    }

    /// Its book.
    pub(crate) fn ledger(&self) -> Ledger {
        let open = |ring: &Ring| (ring.flights.len() + ring.arrived.len()) as u64;
        Ledger { under_way: self.rings.iter().map(open).sum(), ..self.ledger }
    }
}
