//! The swarm: a fixed set of its seeds and some fresh ones, or as many fresh ones as
//! `DPERF_SWARM_SECONDS` has time for; and every seed that once failed, by what was wrong.

use std::time::{Duration, Instant};

use dperf_core::plan::Transport;
use dperf_tests::replay;
use dperf_tests::scenario::Travel;
use dperf_tests::swarm::Member;

/// Seeds that are always run.
const FIXED: u64 = 200;

/// Seeds that broke a law once, and why.
const ONCE: &[(u64, &str)] = &[
    (433035723273, "a ring of 7 frames left datagrams in the worker's trays at the end"),
    (76712073519, "a datagram came out of a tunnel before the gateway was known"),
    (984476033774, "turns of 3 ms ended with frames under way"),
    (953022229045, "a damaged ARP answer named a gateway that nobody is"),
    (456386951769, "a damaged message to the host went to the kernel"),
    (887078598427, "a time-out shorter than the peer's wait with its ACK"),
];

#[test]
fn what_broke_a_law_once_breaks_none() {
    for (seed, why) in ONCE {
        println!("seed {seed}: {why}");
        let _ = Member::new(*seed).run();
    }
}

#[test]
fn every_member_keeps_every_law() {
    let asked = std::env::var("DPERF_SWARM_SECONDS").ok();
    let asked = asked.map(|text| text.parse().expect("DPERF_SWARM_SECONDS is a number"));
    let Some(seconds) = asked.map(Duration::from_secs) else {
        for seed in replay::seeds(FIXED) {
            let _ = Member::new(seed).run();
        }
        return;
    };
    let (first, begun) = (replay::fresh(), Instant::now());
    println!("fresh seeds from {first} on");
    let mut frames = 0;
    for seed in first.. {
        if begun.elapsed() >= seconds {
            println!("{} seeds, {frames} frames", seed - first);
            break;
        }
        frames += Member::new(seed).run().frames;
    }
}

/// A feature's name, and who has it.
type Feature = (&'static str, fn(&Member) -> bool);

/// A feature that no member has is not tested.
#[test]
fn the_swarm_has_members_with_and_without_everything() {
    let members: Vec<Member> = (1..=FIXED).map(Member::new).collect();
    let features: &[Feature] = &[
        ("IPv6", |member| member.scenario.ipv6),
        ("tags or a tunnel", |member| member.scenario.travel != Travel::Plain),
        ("several cores", |member| member.scenario.cores.iter().any(|cores| *cores > 1)),
        ("a kernel", |member| member.scenario.kernel),
        ("datagrams", |member| member.scenario.transport == Transport::Udp),
        ("a flood", |member| member.scenario.flood),
        ("kept connections", |member| member.scenario.keepalive.is_some()),
        ("large answers", |member| member.scenario.response_bytes > 10_000),
        ("loss", |member| member.scenario.network.loss > 0),
        ("a black hole", |member| member.scenario.network.longest < 1_514),
        ("flaps", |member| member.scenario.network.flap[1] > 0),
        ("small rings", |member| member.scenario.network.ring < 1_000),
        ("a storm", |member| member.storm),
        ("a good network", |member| member.scenario.network.is_faithful()),
    ];
    for (name, has) in features {
        let with = members.iter().filter(|member| has(member)).count();
        assert!((5..FIXED as usize - 5).contains(&with), "{name}: {with} of {FIXED}");
    }
}
