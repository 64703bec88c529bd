//! The network between the simulated machines: it loses, doubles, delays, reorders and damages
//! frames as one seed says, counts everything it does, and forgets nothing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::pcap::Capture;
use crate::reference;

/// SplitMix64: small, fast, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A row of numbers that `seed` fixes.
    #[must_use]
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// True `ppm` times in a million.
    pub fn chance(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.below(1_000_000) < u64::from(ppm)
    }
}

/// What the network does to frames; probabilities in parts per million, times in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conditions {
    /// A frame vanishes.
    pub loss: u32,
    /// A frame arrives twice.
    pub duplicate: u32,
    /// A frame is overtaken by later ones.
    pub reorder: u32,
    /// A bit is flipped, or the frame is cut short.
    pub damage: u32,
    /// Every frame travels at least this long.
    pub delay: u64,
    /// And up to this much longer, in order.
    pub jitter: u64,
    /// Short frames arrive padded to 60 bytes, as on Ethernet.
    pub pad: bool,
}

impl Conditions {
    /// A good cable, 5 microseconds long.
    pub const CABLE: Conditions = Conditions {
        loss: 0,
        duplicate: 0,
        reorder: 0,
        damage: 0,
        delay: 5_000,
        jitter: 0,
        pad: true,
    };

    /// Nothing is lost, doubled, reordered or damaged.
    #[must_use]
    pub fn is_faithful(&self) -> bool {
        self.loss | self.duplicate | self.reorder | self.damage == 0
    }
}

/// What the network did to frames of load: TCP and UDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fates {
    /// Handed over by a sender.
    pub sent: u64,
    /// Vanished, or damaged so that no receiver can take them for load.
    pub lost: u64,
    /// Arrived once more.
    pub doubled: u64,
    /// Put in by the test, not by a sender: load or anything else.
    pub injected: u64,
}

type Flight = Reverse<(u64, u64, usize)>;

/// One end of the network.
#[derive(Debug)]
struct Station {
    mac: [u8; 6],
    /// Arrival time, order, buffer.
    flights: BinaryHeap<Flight>,
    last_arrival: u64,
    fates: Fates,
}

/// Frames remembered for a storm.
const RECENT: usize = 32;

/// The network and everything that is under way.
#[derive(Debug)]
pub struct Wire {
    now: u64,
    random: Random,
    conditions: Conditions,
    stations: Vec<Station>,
    buffers: Vec<Vec<u8>>,
    free: Vec<usize>,
    order: u64,
    /// Frames sent of late: material for a storm.
    recent: VecDeque<Vec<u8>>,
    /// What crossed it.
    pub capture: Capture,
}

/// The network as several queues hold it.
#[derive(Clone, Debug)]
pub struct SharedWire(Arc<Mutex<Wire>>);

impl SharedWire {
    /// A network without stations.
    #[must_use]
    pub fn new(seed: u64, conditions: Conditions, keep: bool) -> SharedWire {
        SharedWire(Arc::new(Mutex::new(Wire {
            now: 0,
            random: Random::new(seed),
            conditions,
            stations: Vec::new(),
            buffers: Vec::new(),
            free: Vec::new(),
            order: 0,
            recent: VecDeque::new(),
            capture: Capture::new(keep),
        })))
    }

    /// The network itself.
    ///
    /// # Panics
    /// If a test panicked while it held the network.
    pub fn get(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().expect("nobody panics while holding the wire")
    }
}

impl Wire {
    /// Adds a station; returns its number.
    pub fn attach(&mut self, mac: [u8; 6]) -> usize {
        self.stations.push(Station {
            mac,
            flights: BinaryHeap::new(),
            last_arrival: 0,
            fates: Fates::default(),
        });
        self.stations.len() - 1
    }

    /// Time goes on.
    pub fn set_now(&mut self, now: u64) {
        debug_assert!(now >= self.now);
        self.now = now;
    }

    /// From now on the network is like this.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// When the next frame arrives anywhere.
    #[must_use]
    pub fn next_arrival(&self) -> Option<u64> {
        self.stations.iter().filter_map(|station| station.flights.peek()).map(|f| f.0.0).min()
    }

    /// What happened to the load sent by `station`.
    #[must_use]
    pub fn fates(&self, station: usize) -> Fates {
        self.stations[station].fates
    }

    /// A frame leaves `from`.
    pub fn send(&mut self, from: usize, frame: &[u8]) {
        assert!(
            reference::checksums_hold(frame),
            "a sent frame has a wrong checksum: {frame:02x?}"
        );
        self.capture.add(self.now, frame);
        self.remember(frame);
        let load = u64::from(reference::is_load(frame));
        self.stations[from].fates.sent += load;
        let conditions = self.conditions;
        if self.random.chance(conditions.loss) {
            self.stations[from].fates.lost += load;
            return;
        }
        for to in self.receivers(from, frame) {
            if self.random.chance(conditions.damage) {
                self.stations[from].fates.lost += load;
                self.fly_damaged(to, frame);
                continue;
            }
            self.fly(to, frame, conditions.pad);
            if self.random.chance(conditions.duplicate) {
                self.stations[from].fates.doubled += load;
                self.fly(to, frame, conditions.pad);
            }
        }
    }

    fn remember(&mut self, frame: &[u8]) {
        let mut oldest = if self.recent.len() < RECENT { None } else { self.recent.pop_front() }
            .unwrap_or_default();
        oldest.clear();
        oldest.extend_from_slice(frame);
        self.recent.push_back(oldest);
    }

    /// One of the last frames that were sent.
    #[must_use]
    pub fn recent(&self, pick: u64) -> Option<&[u8]> {
        let count = self.recent.len() as u64;
        let index = pick.checked_rem(count)? as usize;
        self.recent.get(index).map(Vec::as_slice)
    }

    /// The station with the MAC address that `frame` is for.
    #[must_use]
    pub fn station_of(&self, frame: &[u8]) -> Option<usize> {
        self.stations.iter().position(|station| frame.starts_with(&station.mac))
    }

    /// Puts a frame in at `to`, as if it came from the network now.
    pub fn inject(&mut self, to: usize, frame: &[u8]) {
        self.capture.add(self.now, frame);
        self.stations[to].fates.injected += 1;
        let at = self.now;
        self.land(to, at, frame, self.conditions.pad);
    }

    /// The next frame that has arrived at `station`, handed to `take`; false if there is none.
    pub fn receive(&mut self, station: usize, take: impl FnOnce(&[u8])) -> bool {
        let flights = &mut self.stations[station].flights;
        if flights.peek().is_none_or(|flight| flight.0.0 > self.now) {
            return false;
        }
        let Some(Reverse((_, _, buffer))) = flights.pop() else { return false };
        take(&self.buffers[buffer]);
        self.free.push(buffer);
        true
    }

    /// Whom the frame is for: one station, or all others.
    fn receivers(&self, from: usize, frame: &[u8]) -> Vec<usize> {
        let group = frame[0] & 1 != 0;
        let wanted = |(index, station): &(usize, &Station)| {
            *index != from && (group || station.mac == frame[..6])
        };
        self.stations.iter().enumerate().filter(wanted).map(|(index, _)| index).collect()
    }

    fn fly(&mut self, to: usize, frame: &[u8], pad: bool) {
        let Conditions { delay, jitter, reorder, .. } = self.conditions;
        let mut at = self.now + delay + self.random.below(jitter);
        if self.random.chance(reorder) {
            at += 1 + self.random.below(3 * (delay + jitter));
        } else {
            at = at.max(self.stations[to].last_arrival);
            self.stations[to].last_arrival = at;
        }
        self.land(to, at, frame, pad);
    }

    /// A frame that no receiver may take for what it was.
    fn fly_damaged(&mut self, to: usize, frame: &[u8]) {
        let mut broken = frame.to_vec();
        let load = reference::segment_of(frame).or_else(|| reference::datagram_of(frame));
        let from = load.map_or(14, |(at, _)| at);
        if self.random.chance(300_000) {
            broken.truncate(self.random.below(frame.len() as u64) as usize);
        } else {
            let at = from + self.random.below((frame.len() - from) as u64) as usize;
            broken[at] ^= 1 << self.random.below(8);
        }
        self.fly(to, &broken, false);
    }

    fn land(&mut self, to: usize, at: u64, frame: &[u8], pad: bool) {
        let buffer = self.free.pop().unwrap_or_else(|| {
            self.buffers.push(Vec::with_capacity(2048));
            self.buffers.len() - 1
        });
        let bytes = &mut self.buffers[buffer];
        bytes.clear();
        bytes.extend_from_slice(frame);
        if pad && bytes.len() < 60 {
            bytes.resize(60, 0);
        }
        self.order += 1;
        self.stations[to].flights.push(Reverse((at, self.order, buffer)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_network() {
        let run = |seed| {
            let rough = Conditions { loss: 300_000, reorder: 300_000, ..Conditions::CABLE };
            let shared = SharedWire::new(seed, rough, false);
            let mut wire = shared.get();
            let (one, two) = (wire.attach([2, 0, 0, 0, 0, 1]), wire.attach([2, 0, 0, 0, 0, 2]));
            for n in 0..100 {
                wire.send(one, &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0, 0, n]);
            }
            wire.set_now(1_000_000);
            let mut seen = Vec::new();
            while wire.receive(two, |frame| seen.push(frame[14])) {}
            seen
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert!(run(1).len() < 90 && !run(1).is_sorted());
    }
}
