//! A worker among strangers: two real workers talk, and a script throws frames in between. Nothing
//! panics, no frame is lost, every connection ends, and the counters agree with the network.
//!
//! The first byte draws the scenario, its two highest bits what frames travel in. Then come throws
//! of six bytes: how long to wait, which of the last real frames to take, what to change in it,
//! where, and by what.

use dperf_tests::scenario::{MILLI, Scenario, Travel};
use dperf_tests::wire::Wire;
use dperf_tests::{laws, reference, sim};

/// Throws in one run; more make it slow, not wiser.
const THROWS: usize = 64;

/// One frame thrown in.
struct Throw {
    wait: u64,
    pick: u64,
    change: u8,
    at: usize,
    by: u16,
}

/// Runs the script.
pub fn holds(data: &[u8]) {
    let [seed, script @ ..] = data else { return };
    let scenario = scenario(*seed);
    let mut throws = script.chunks_exact(6).take(THROWS).map(|bytes| Throw {
        wait: u64::from(bytes[0]),
        pick: u64::from(bytes[1]),
        change: bytes[2],
        at: usize::from(bytes[3]),
        by: u16::from_be_bytes([bytes[4], bytes[5]]),
    });
    let mut next = throws.next();
    let mut ready = next.as_ref().map_or(0, |throw| throw.wait);
    let report = sim::run_with(&scenario, |sim| {
        while let Some(throw) = next.take_if(|_| sim.steps() >= ready) {
            throw.into(&mut sim.wire());
            next = throws.next();
            ready = sim.steps() + next.as_ref().map_or(0, |throw| throw.wait);
        }
    });
    if let Err(broken) = laws::check(&scenario, &report) {
        panic!("{broken}\n{scenario:?}");
    }
}

/// A short run that has all kinds of connections; in every other one the neighbours first ask for
/// each other.
fn scenario(seed: u8) -> Scenario {
    let drawn = Scenario::drawn(u64::from(seed));
    Scenario {
        pairs: 1,
        cps: 20_000,
        duration: 2 * MILLI,
        response_bytes: drawn.response_bytes.min(10_000),
        idle_us: 1_000_000,
        gateway_known: seed % 2 == 0,
        travel: Travel::ALL[usize::from(seed >> 6)],
        ..drawn
    }
}

impl Throw {
    /// Puts the changed frame in where the real one went.
    fn into(self, wire: &mut Wire) {
        let Some(mut frame) = wire.recent(self.pick).map(<[u8]>::to_vec) else { return };
        let Some(station) = wire.station_of(&frame) else { return };
        let field = |offset| reference::segment_of(&frame).map_or(14, |(tcp, _)| tcp) + offset;
        let at = match self.change % 8 {
            // TCP's flags, sequence, acknowledgement, window, offset; or any place.
            0 => field(13),
            1 => field(6),
            2 => field(10),
            3 => field(14),
            4 => field(12),
            _ => 12 + self.at,
        };
        match self.change % 8 {
            5 => frame.truncate(at.max(14)),
            6 => frame.extend(std::iter::repeat_n(self.by as u8, self.at)),
            _ => {
                let [high, low] = self.by.to_be_bytes();
                for (place, byte) in frame.iter_mut().skip(at).zip([low, high]) {
                    *place = place.wrapping_add(byte);
                }
            }
        }
        if self.change < 192 {
            reference::repair(&mut frame);
        }
        wire.inject(station, &frame);
    }
}
