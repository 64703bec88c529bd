//! A kernel behind a worker that takes packets when it likes, and now and then sends a ping.

use dperf_core::exception::{Delivered, ExceptionPath};
use dperf_core::frame::Frame;

use crate::random::Random;
use crate::reference;
use crate::wire::SharedWire;

/// It takes something from one call in so many.
const TAKES: u64 = 4;
/// Nanoseconds from one ping to the next.
const PING_EVERY: u64 = 300_000;

/// Who pings whom: MAC and IPv4 addresses.
#[derive(Clone, Copy, Debug)]
pub struct Ping {
    /// From, to.
    pub macs: [[u8; 6]; 2],
    /// From, to.
    pub addresses: [[u8; 4]; 2],
}

/// What the kernel saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Packets it took.
    pub taken: u64,
    /// Pings it sent.
    pub sent: u64,
}

/// A kernel; without a ping to send there is none.
#[derive(Debug)]
pub struct SlowKernel {
    wire: SharedWire,
    random: Random,
    ping: Option<Vec<u8>>,
    /// When the next ping is due, and when there are no more.
    next: u64,
    end: u64,
    seen: Seen,
}

impl SlowKernel {
    /// A kernel that pings until `end`.
    #[must_use]
    pub fn new(wire: SharedWire, seed: u64, ping: Option<Ping>, end: u64) -> SlowKernel {
        let random = Random::new(seed ^ 0x0510_0e55);
        let ping = ping.as_ref().map(echo_request);
        SlowKernel { wire, random, ping, next: 0, end, seen: Seen::default() }
    }

    /// What it saw.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen
    }
}

impl ExceptionPath for SlowKernel {
    fn is_open(&self) -> bool {
        self.ping.is_some()
    }

    fn deliver(&mut self, packets: &[Frame]) -> Delivered {
        let ready = self.random.below(TAKES) == 0;
        let done = if ready { self.random.below(packets.len() as u64 + 1) as usize } else { 0 };
        self.seen.taken += done as u64;
        Delivered { done, refused: 0 }
    }

    fn collect(&mut self, blanks: &mut [Frame]) -> usize {
        let now = self.wire.get().now();
        let (Some(ping), Some(blank)) = (&self.ping, blanks.first_mut()) else { return 0 };
        if now < self.next || now >= self.end || !blank.set_len(ping.len()) {
            return 0;
        }
        blank.bytes_mut().copy_from_slice(ping);
        self.next = now + PING_EVERY;
        self.seen.sent += 1;
        1
    }
}

/// An echo request (RFC 792) of 64 bytes.
fn echo_request(ping: &Ping) -> Vec<u8> {
    let Ping { macs: [from_mac, to_mac], addresses: [from, to] } = ping;
    let mut frame = [&to_mac[..], from_mac, &[8, 0]].concat();
    frame.extend([0x45, 0, 0, 50, 0, 0, 0, 0, 64, 1, 0, 0]);
    frame.extend([&from[..], to].concat());
    frame.extend([8, 0, 0, 0, 0, 7, 0, 9]);
    frame.resize(64, 0x61);
    reference::fill(&mut frame, 14, 34, 24);
    reference::fill(&mut frame, 34, 64, 36);
    frame
}
