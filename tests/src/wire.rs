//! The network between the simulated machines: it loses, doubles, delays, reorders and damages
//! frames as one seed says, counts everything it does, and forgets nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use dperf_core::steer::Rss;

use crate::conditions::Conditions;
use crate::pcap::Capture;
use crate::random::Random;
use crate::reference;
use crate::station::{Ledger, Station};

/// What the network did to frames of load: TCP and UDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fates {
    /// Handed over by a sender.
    pub sent: u64,
    /// Vanished anywhere before a worker had them, went to an address that nobody has, or damaged
    /// so that none can take them for load.
    pub lost: u64,
    /// Arrived once more.
    pub doubled: u64,
    /// Put in by the test, not by a sender: load or anything else.
    pub injected: u64,
}

/// A frame on its way.
#[derive(Debug, Default)]
struct Copy {
    bytes: Vec<u8>,
    /// Whose load it is, if it is undamaged load that a machine sent.
    load_of: Option<usize>,
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
    /// What happened to the load that each station sent.
    fates: Vec<Fates>,
    buffers: Vec<Copy>,
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
            fates: Vec::new(),
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
    /// Adds a station with so many receive rings, chosen among by `rss`; returns its number.
    pub fn attach(&mut self, mac: [u8; 6], rings: u16, rss: Rss<'static>) -> usize {
        self.stations.push(Station::new(mac, rings, rss));
        self.fates.push(Fates::default());
        self.stations.len() - 1
    }

    /// The time, in nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
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

    /// The link is down.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.conditions.is_down(self.now)
    }

    /// When the next frame arrives anywhere; in the past if it has arrived.
    #[must_use]
    pub fn next_arrival(&self) -> Option<u64> {
        self.stations.iter().filter_map(Station::next_arrival).min()
    }

    /// What happened to the load sent by `station`.
    #[must_use]
    pub fn fates(&self, station: usize) -> Fates {
        self.fates[station]
    }

    /// What became of all that was meant for `station`.
    #[must_use]
    pub fn ledger(&self, station: usize) -> Ledger {
        self.stations[station].ledger()
    }

    /// Frames that a ring of `station` had no room for.
    #[must_use]
    pub fn missed(&self, station: usize, ring: u16) -> u64 {
        self.stations[station].missed(ring)
    }

    /// A frame leaves `from`.
    pub fn send(&mut self, from: usize, frame: &[u8]) {
        assert!(
            reference::checksums_hold(frame),
            "a sent frame has a wrong checksum: {frame:02x?}"
        );
        self.capture.add(self.now, frame);
        self.remember(frame);
        let load_of = reference::is_load(frame).then_some(from);
        let load = u64::from(load_of.is_some());
        self.fates[from].sent += load;
        let receivers = self.receivers(from, frame);
        if receivers.is_empty() {
            // ARP has no checksum: a damaged answer names a gateway that nobody is.
            self.fates[from].lost += load;
        }
        for to in receivers {
            self.stations[to].ledger.meant += 1;
            if self.vanishes(to, frame.len()) {
                self.fates[from].lost += load;
            } else if self.random.chance(self.conditions.damage) {
                self.fates[from].lost += load;
                self.fly_damaged(to, frame);
            } else {
                self.fly(to, frame, load_of, self.conditions.pad);
                if self.random.chance(self.conditions.duplicate) {
                    self.fates[from].doubled += load;
                    self.stations[to].ledger.doubled += 1;
                    self.fly(to, frame, load_of, self.conditions.pad);
                }
            }
        }
    }

    /// A frame for `to` never gets there; why is written down.
    fn vanishes(&mut self, to: usize, bytes: usize) -> bool {
        let down = self.is_down();
        let ledger = &mut self.stations[to].ledger;
        let why = if down {
            &mut ledger.cut
        } else if bytes > self.conditions.longest {
            &mut ledger.too_long
        } else if self.random.chance(self.conditions.loss) {
            &mut ledger.lost
        } else {
            return false;
        };
        *why += 1;
        true
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
        self.fates[to].injected += 1;
        self.stations[to].ledger.injected += 1;
        self.land(to, self.now, frame, None, self.conditions.pad);
    }

    /// The next frame that has arrived in a ring of `station`, handed to `take`; false if there is
    /// none.
    pub fn receive(&mut self, station: usize, ring: u16, take: impl FnOnce(&[u8])) -> bool {
        let Wire { stations, fates, buffers, free, conditions, now, .. } = self;
        let next = stations[station].take(ring, *now, conditions.ring, |missed| {
            if let Some(sender) = buffers[missed].load_of {
                fates[sender].lost += 1;
            }
            free.push(missed);
        });
        let Some(buffer) = next else { return false };
        take(&buffers[buffer].bytes);
        free.push(buffer);
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

    fn fly(&mut self, to: usize, frame: &[u8], load_of: Option<usize>, pad: bool) {
        let Conditions { delay, jitter, reorder, .. } = self.conditions;
        let mut at = self.now + delay + self.random.below(jitter);
        if self.random.chance(reorder) {
            at += 1 + self.random.below(3 * (delay + jitter));
        } else {
            at = at.max(self.stations[to].last_arrival);
            self.stations[to].last_arrival = at;
        }
        self.land(to, at, frame, load_of, pad);
    }

    /// A frame that no receiver may take for what it was.
    fn fly_damaged(&mut self, to: usize, frame: &[u8]) {
        let mut broken = self.damaged(frame);
        // A bit may fall so that nobody can see it.
        while reference::may_be_load(&broken) {
            broken = self.damaged(frame);
        }
        self.fly(to, &broken, None, false);
    }

    /// The frame with one bit of its segment flipped, or cut short.
    fn damaged(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut broken = frame.to_vec();
        let load = reference::segment_of(frame).or_else(|| reference::datagram_of(frame));
        let from = load.map_or(14, |(at, _)| at);
        if self.random.chance(300_000) {
            broken.truncate(self.random.below(frame.len() as u64) as usize);
        } else {
            let at = from + self.random.below((frame.len() - from) as u64) as usize;
            broken[at] ^= 1 << self.random.below(8);
        }
        broken
    }

    fn land(&mut self, to: usize, at: u64, frame: &[u8], load_of: Option<usize>, pad: bool) {
        let buffer = self.free.pop().unwrap_or_else(|| {
            self.buffers.push(Copy::default());
            self.buffers.len() - 1
        });
        let copy = &mut self.buffers[buffer];
        copy.load_of = load_of;
        copy.bytes.clear();
        copy.bytes.extend_from_slice(frame);
        if pad && copy.bytes.len() < 60 {
            copy.bytes.resize(60, 0);
        }
        self.order += 1;
        self.stations[to].expect(frame, (at, self.order, buffer));
    }
}

#[cfg(test)]
mod tests {
    use dperf_shell::port::rss;

    use super::*;

    #[test]
    fn every_frame_that_vanishes_has_a_reason() {
        let rough = Conditions {
            loss: 300_000,
            duplicate: 300_000,
            longest: 20,
            flap: [50, 50],
            ring: 8,
            ..Conditions::CABLE
        };
        let shared = SharedWire::new(1, rough, false);
        let mut wire = shared.get();
        let [one, two] =
            [1, 2].map(|last| wire.attach([2, 0, 0, 0, 0, last], 1, rss::even(false, 1)));
        for n in 0..100 {
            wire.set_now(n);
            let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0, 0];
            frame.resize(if n % 5 == 0 { 30 } else { 14 }, 0);
            wire.send(one, &frame);
        }
        wire.set_now(1_000_000);
        while wire.receive(two, 0, |_| {}) {}
        let Ledger { meant, doubled, injected, lost, too_long, cut, missed, received, under_way } =
            wire.ledger(two);
        assert_eq!((meant, injected, cut, too_long, received, under_way), (100, 0, 50, 10, 8, 0));
        assert!(doubled > 0 && lost > 0 && missed > 0 && missed == wire.missed(two, 0));
        let (made, ended) = wire.ledger(two).sums();
        assert_eq!(made, ended);
    }

    #[test]
    fn a_seed_is_a_network() {
        let run = |seed| {
            let rough = Conditions { loss: 300_000, reorder: 300_000, ..Conditions::CABLE };
            let shared = SharedWire::new(seed, rough, false);
            let mut wire = shared.get();
            let [one, two] =
                [1, 2].map(|last| wire.attach([2, 0, 0, 0, 0, last], 1, rss::even(false, 1)));
            for n in 0..100 {
                wire.send(one, &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0, 0, n]);
            }
            wire.set_now(1_000_000);
            let mut seen = Vec::new();
            while wire.receive(two, 0, |frame| seen.push(frame[14])) {}
            seen
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert!(run(1).len() < 90 && !run(1).is_sorted());
    }
}
