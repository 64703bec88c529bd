//! The simulated network between two real interfaces, in real time: it loses, doubles and reorders
//! what crosses it as one seed says.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::conditions::Conditions;
use crate::raw::RawSocket;
use crate::wire::{Fates, SharedWire};

/// The longest sleep, and so the latest that a frame may be.
const NAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000 };

/// Carries frames between `interfaces` of the namespace that this thread is in until `stop`; behind
/// each is the station with the MAC address beside it. What became of the load from either.
///
/// # Panics
/// The system refuses.
#[must_use]
pub fn carry(
    interfaces: [(&str, [u8; 6]); 2],
    seed: u64,
    conditions: Conditions,
    stop: &AtomicBool,
) -> [Fates; 2] {
    let shared = SharedWire::new(seed, conditions, false);
    let mut wire = shared.get();
    let ends = interfaces.map(|(name, mac)| (RawSocket::open(name), wire.attach_one(mac)));
    let mut buffer = vec![0; 2048];
    let begun = Instant::now();
    while !stop.load(Relaxed) {
        let mut ready = [0, 1].map(|end: usize| PollFd::new(&ends[end].0, PollFlags::IN));
        let _ = poll(&mut ready, Some(&NAP));
        wire.set_now(Duration::as_nanos(&begun.elapsed()) as u64);
        for (socket, station) in &ends {
            while let Some(len) = socket.receive(&mut buffer) {
                wire.send(*station, &buffer[..len]);
            }
        }
        for (socket, station) in &ends {
            while wire.receive(*station, 0, |frame| _ = socket.send(frame)) {}
        }
    }
    ends.map(|(_, station)| wire.fates(station))
}
