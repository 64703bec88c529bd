//! How a worker came to its connections: two real workers talked once, and what one of them heard
//! is replayed to a fresh one in microseconds, up to any moment.

use dperf_core::plan::{Messages, Role};
use dperf_core::port::Offloads;
use dperf_tests::pcap;
use dperf_tests::scenario::{MICRO, Scenario, Travel, mac};
use dperf_tests::sim;

/// How many kinds of openings there are.
pub const KINDS: usize = 512;

/// One side of a conversation, as far as connections are opened.
#[derive(Debug)]
pub struct Opening {
    /// What both sides did.
    pub scenario: Scenario,
    /// The side that is replayed.
    pub role: Role,
    /// When it had its turns.
    pub turns: Vec<u64>,
    /// What came to it during the whole conversation, and when.
    pub frames: Vec<(u64, Vec<u8>)>,
}

impl Opening {
    /// Lets the two sides of kind number `kind` talk.
    #[must_use]
    pub fn record(kind: usize) -> Opening {
        let scenario = scenario(kind);
        let role = if kind & 1 == 0 { Role::Client } else { Role::Server };
        let mut turns = Vec::new();
        let report = sim::run_kept(&scenario, true, |sim| turns.push(sim.now()));
        turns.retain(|now| *now < scenario.duration);
        let own = mac(role, 0).0;
        let is_ours = |frame: &[u8]| frame[..6] == own || frame[0] & 1 != 0 && frame[6..12] != own;
        let frames = pcap::frames(report.capture.as_deref().expect("it was asked for"))
            .filter(|(_, frame)| is_ours(frame))
            .map(|(sent, frame)| (sent + scenario.network.delay, frame.to_vec()))
            .collect();
        Opening { scenario, role, turns, frames }
    }
}

/// A few connections of one kind of load, some at their beginning and some at their end.
pub(crate) fn scenario(kind: usize) -> Scenario {
    let bit = |place: usize| kind >> place & 1 == 1;
    let plain = Scenario {
        space: [1, 2, 4, 1],
        duration: 100 * MICRO,
        turn: 4 * MICRO,
        idle_us: 1_000_000,
        mss: [1390, 536],
        ipv6: bit(1),
        travel: Travel::ALL[kind >> 2 & 3],
        offloads: if bit(7) { Offloads::RX_CHECKSUM } else { Offloads::empty() },
        gateway_known: !bit(8),
        ..Scenario::short(kind as u64)
    };
    let datagrams = Scenario {
        transport: dperf_core::plan::Transport::Udp,
        messages: Messages::Raw,
        request_bytes: 64,
        response_bytes: 200,
        ..plain.clone()
    };
    match kind >> 4 & 7 {
        0 => plain,
        1 => Scenario { response_bytes: 5_000, send_window: 2, disable_ack: true, ..plain },
        2 => Scenario { keepalive: Some((20, 3)), response_bytes: 300, ..plain },
        3 => {
            Scenario { messages: Messages::HttpPost, request_bytes: 300, fast_close: true, ..plain }
        }
        4 => Scenario {
            messages: Messages::Raw,
            request_bytes: 20,
            response_bytes: 1_200,
            keepalive: Some((0, 2)),
            ..plain
        },
        5 => datagrams,
        6 => Scenario { keepalive: Some((20, 3)), pipeline: 2, ..datagrams },
        _ => Scenario { flood: true, ..plain },
    }
}
