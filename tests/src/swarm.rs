//! The swarm: scenarios drawn with a random half of all features left out, so that what the others
//! hide is met as well (swarm testing), run one after the other as long as somebody wants.

use dperf_core::plan::{Messages, Transport};
use dperf_core::port::Offloads;

use crate::conditions::Conditions;
use crate::laws;
use crate::random::Random;
use crate::referee;
use crate::scenario::{MICRO, MILLI, SECOND, Scenario, Travel};
use crate::sim::{self, Report};
use crate::storm::Storm;

/// Rounds from one frame of a storm to the next.
const STORM_EVERY: u64 = 16;

/// One run of the swarm.
#[derive(Clone, Debug)]
pub struct Member {
    /// What it is.
    pub scenario: Scenario,
    /// Frames that no peer should send are thrown in.
    pub storm: bool,
}

impl Member {
    /// The member of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Member {
        let mut draw = Draw { random: Random::new(seed ^ 0x0005_3a43) };
        let mut scenario = Scenario { network: draw.network(), ..Scenario::short(seed) };
        draw.shape(&mut scenario);
        draw.load(&mut scenario);
        if draw.has() {
            draw.datagrams(&mut scenario);
        } else {
            draw.connections(&mut scenario);
        }
        scenario.tx_burst = draw.or(64, &[1, 8, 33]) as u16;
        let storm = draw.has() && draw.has();
        let grows = scenario.network.duplicate > 0 || storm;
        if scenario.transport == Transport::Udp && grows {
            // A row that goes on with each answer would grow with each doubled one.
            scenario.keepalive = scenario.keepalive.map(|(us, requests)| (us.max(100), requests));
        }
        Member { scenario: scenario.fitted(), storm }
    }

    /// Runs it, and holds it to every law and every byte.
    ///
    /// # Panics
    /// Something does not hold; how the run is found again was told.
    #[must_use]
    pub fn run(&self) -> Report {
        let Member { scenario, storm } = self;
        let mut weather = Storm::new(scenario.seed);
        let report = sim::run_kept(scenario, true, |sim| {
            if *storm && sim.now() < scenario.duration && sim.steps() % STORM_EVERY == 0 {
                weather.throw(&mut sim.wire());
            }
        });
        laws::hold(scenario, &report);
        if !storm {
            let _ = referee::hold(scenario, &report);
        }
        report
    }
}

/// Where a member's features come from.
struct Draw {
    random: Random,
}

impl Draw {
    /// The member has the feature that is asked for next.
    fn has(&mut self) -> bool {
        self.random.chance(500_000)
    }

    /// One of `choices` if the member has that feature, else the `usual`.
    fn or(&mut self, usual: u32, choices: &[u32]) -> u32 {
        let has = self.has();
        let drawn = self.random.pick(choices);
        if has { drawn } else { usual }
    }

    fn network(&mut self) -> Conditions {
        let calm = self.random.chance(250_000);
        let network = Conditions {
            loss: self.or(0, &[1_000, 10_000, 50_000, 200_000]),
            duplicate: self.or(0, &[1_000, 10_000, 100_000]),
            reorder: self.or(0, &[1_000, 10_000, 200_000]),
            damage: self.or(0, &[1_000, 10_000, 50_000]),
            delay: self.or(5_000, &[0, 1_000, 50_000, 2_000_000, 50_000_000]).into(),
            jitter: self.or(0, &[10_000, 1_000_000]).into(),
            longest: self.or(u32::MAX, &[600, 1_300, 1_513]) as usize,
            flap: self.flap(),
            ring: self.or(u32::MAX, &[1, 8, 33, 512]) as usize,
            pad: self.has(),
        };
        let Conditions { delay, jitter, pad, .. } = network;
        if calm { Conditions { delay, jitter, pad, ..Conditions::CABLE } } else { network }
    }

    /// Up and down, from microseconds to seconds.
    fn flap(&mut self) -> [u64; 2] {
        let up = u64::from(self.random.pick(&[500, 20_000, 3_000_000])) * MICRO;
        let down = u64::from(self.or(0, &[50, 10_000, 1_000_000])) * MICRO;
        if down > 0 { [up, down] } else { [0, 0] }
    }

    /// Machines, addresses, devices.
    fn shape(&mut self, scenario: &mut Scenario) {
        scenario.ipv6 = self.has();
        scenario.travel = Travel::ALL[self.or(0, &[1, 2, 3]) as usize];
        scenario.pairs = self.or(1, &[2]) as usize;
        scenario.cores = [self.or(1, &[2, 3, 4]) as u16, self.or(1, &[2, 3, 4]) as u16];
        scenario.kernel = self.has();
        scenario.gateway_known = self.has();
        scenario.space = [
            self.or(2, &[1, 5, 17]),
            self.or(2, &[1, 3]),
            self.or(1_000, &[50, 5_000]),
            self.or(1, &[3]),
        ];
        scenario.offloads = match self.or(0, &[1, 2, 3]) {
            0 => Offloads::empty(),
            1 => Offloads::all(),
            2 => Offloads::RX_CHECKSUM,
            _ => Offloads::TX_L4_CHECKSUM.union(Offloads::TX_IPV4_CHECKSUM),
        };
        scenario.ring = self.or(64, &[1, 7, 32]) as usize;
        scenario.turn = self.or(500, &[100, 20_000, 3_000_000]).into();
    }

    /// How much of it.
    fn load(&mut self, scenario: &mut Scenario) {
        scenario.cps = self.or(5_000, &[500, 50_000]).into();
        scenario.cc = self.or(0, &[5, 10, 200]).into();
        scenario.launch = self.or(1, &[4, 10]);
        scenario.client_hop = self.has();
        scenario.flood = self.has() && self.has() && self.has();
        scenario.retransmit_us = self.or(200_000, &[1_000, 20_000, 2_000_000]);
        scenario.idle_us = 4 * u64::from(scenario.retransmit_us).max(SECOND / MICRO);
        let interval = self.or(0, &[100, 1_000, 15_000, 300_000]);
        let requests = self.random.pick(&[1, 3, 10]) as u16;
        scenario.keepalive = self.has().then_some((interval.into(), requests));
        scenario.duration = 20 * MILLI;
    }

    fn datagrams(&mut self, scenario: &mut Scenario) {
        scenario.transport = Transport::Udp;
        scenario.messages = Messages::Raw;
        scenario.request_bytes = self.or(64, &[0, 1, 1_300]);
        scenario.response_bytes = self.or(200, &[0, 1, 1_300]);
        scenario.pipeline = self.or(1, &[2, 5]) as u8;
    }

    fn connections(&mut self, scenario: &mut Scenario) {
        scenario.messages = match self.or(0, &[1, 2]) {
            0 => Messages::HttpGet,
            1 => Messages::HttpPost,
            _ => Messages::Raw,
        };
        scenario.request_bytes = match self.or(0, &[1, 300, 1_400]) {
            // No HTTP is so short.
            1 if scenario.messages != Messages::Raw => 0,
            bytes => bytes,
        };
        scenario.response_bytes = self.or(0, &[100, 1_400, 5_000, 60_000]);
        scenario.mss = [self.or(1_440, &[536]) as u16, self.or(1_440, &[700]) as u16];
        scenario.send_window = self.or(16, &[1, 2, 255]) as u16;
        scenario.tcp_rst = self.has();
        scenario.fast_close = self.has();
        scenario.disable_ack = self.has();
    }
}
