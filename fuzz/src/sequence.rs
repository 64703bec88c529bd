//! Two live workers and everything that can happen to them: frames arrive that nobody sent, time
//! passes, the network loses, doubles and overtakes, the run ends early. Nothing panics, no frame
//! is lost, every connection ends, and the counters agree with the network.
//!
//! The first byte draws the scenario, its two highest bits what frames travel in; the second says
//! when no more connections open. Then come throws of six bytes; one that waits 240 rounds or more
//! changes the network instead. After some hundred frames the cable is cut.

use dperf_tests::conditions::Conditions;
use dperf_tests::scenario::{MICRO, Scenario, Travel};
use dperf_tests::wire::Wire;
use dperf_tests::{laws, sim};

use crate::throw::Throw;

/// Throws in one run; more make it slow, not wiser.
const THROWS: usize = 64;
/// Frames after which the cable is cut: two sides that a stranger has set at odds go on
/// contradicting each other for long, and nothing new comes of it.
const PATIENCE: u64 = 300;
/// A throw that waits so long is weather.
const WEATHER: u8 = 240;

/// Runs the script.
pub fn holds(data: &[u8]) {
    let [seed, duration, script @ ..] = data else { return };
    let mut script = script;
    let throws: Vec<_> = std::iter::from_fn(|| Throw::next(&mut script)).take(THROWS).collect();
    let mut scenario = scenario(*seed, *duration);
    if throws.iter().any(|throw| throw.wait >= WEATHER) {
        // It is not faithful from then on: one frame of a million may be lost from the start.
        scenario.network.loss = 1;
    }
    let mut throws = throws.into_iter().peekable();
    let mut ready = 0;
    let report = sim::run_with(&scenario, |sim| {
        let step = sim.steps();
        if sim.wire().capture.frames() > PATIENCE {
            sim.wire().set_conditions(Conditions { loss: 1_000_000, ..Conditions::CABLE });
            return;
        }
        while let Some(throw) = throws.next_if(|throw| step >= ready + rounds(throw)) {
            ready += rounds(&throw);
            if throw.wait >= WEATHER {
                sim.wire().set_conditions(weather(&throw));
            } else {
                cast(&throw, &mut sim.wire());
            }
        }
    });
    if report.frames > PATIENCE {
        scenario.network.loss = 1;
    }
    if let Err(broken) = laws::check(&scenario, &report) {
        panic!("{broken}\n{scenario:?}");
    }
}

/// Rounds of turns before it.
fn rounds(throw: &Throw) -> u64 {
    u64::from(if throw.wait < WEATHER { throw.wait } else { throw.pick })
}

/// A short run that has all kinds of connections; in every other one the neighbours first ask for
/// each other.
fn scenario(seed: u8, duration: u8) -> Scenario {
    let drawn = Scenario::drawn(u64::from(seed));
    let scenario = Scenario {
        pairs: 1,
        space: [1, 2, 4, 1],
        cps: 50_000,
        // A handful of connections at most, each with a handful of segments.
        duration: u64::from(duration / 3) * MICRO,
        keepalive: drawn.keepalive.map(|(interval_us, _)| (interval_us, 2)),
        response_bytes: drawn.response_bytes.min(2_000),
        // The shortest in which nobody repeats himself without need, and twice that.
        retransmit_us: 100_000,
        idle_us: 200_000,
        turn: 5 * MICRO,
        gateway_known: seed.is_multiple_of(2),
        travel: Travel::ALL[usize::from(seed >> 6)],
        mss: drawn.mss.map(|mss| mss.min(1390)),
        ..drawn
    };
    scenario.fitted()
}

/// Good again, or one thing worse.
fn weather(throw: &Throw) -> Conditions {
    let ppm = 4_000 * u32::from(throw.at);
    let cable = Conditions::CABLE;
    match throw.change % 6 {
        0 => cable,
        1 => Conditions { loss: ppm.min(900_000), ..cable },
        2 => Conditions { duplicate: ppm, ..cable },
        3 => Conditions { reorder: ppm, jitter: 20_000, ..cable },
        4 => Conditions { damage: ppm.min(900_000), ..cable },
        _ => Conditions { delay: u64::from(throw.at) * 10 * MICRO, pad: false, ..cable },
    }
}

/// Puts the changed frame in where the real one went.
fn cast(throw: &Throw, wire: &mut Wire) {
    let Some(mut frame) = wire.recent(throw.pick.into()).map(<[u8]>::to_vec) else { return };
    let Some(station) = wire.station_of(&frame) else { return };
    throw.apply(&mut frame);
    wire.inject(station, &frame);
}
