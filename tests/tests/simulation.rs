//! Whole runs of clients and servers over simulated networks: every run ends orderly, every law
//! holds, and a failure is found again by its seed.

use dperf_core::plan::Messages;
use dperf_core::stats::Count;
use dperf_tests::laws;
use dperf_tests::scenario::{MILLI, Scenario};
use dperf_tests::sim::{self, Report};
use dperf_tests::wire::{Conditions, Random};

/// Runs the scenario and checks the laws.
fn run(scenario: &Scenario) -> Report {
    let report = sim::run(scenario);
    if let Err(broken) = laws::check(scenario, &report) {
        panic!("seed {}: {scenario:?}\n{broken}\n{report:?}", scenario.seed);
    }
    report
}

/// The sum of a counter over both sides of the first pair.
fn client(report: &Report, count: Count) -> u64 {
    report.machines[0].counts.get(count)
}

fn server(report: &Report, count: Count) -> u64 {
    report.machines[1].counts.get(count)
}

#[test]
fn a_short_connection_is_three_packets_each_way() {
    for ipv6 in [false, true] {
        let report = run(&Scenario { ipv6, ..Scenario::short(1) });
        let opened = client(&report, Count::SkOpen);
        assert!((1990..=2001).contains(&opened), "{opened} opened");
        assert_eq!(client(&report, Count::TcpTx), 3 * opened);
        assert_eq!(server(&report, Count::TcpTx), 3 * opened);
        assert_eq!(client(&report, Count::Http2xx), opened);
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let rough = Conditions {
        loss: 30_000,
        duplicate: 20_000,
        reorder: 20_000,
        damage: 10_000,
        delay: 100_000,
        jitter: 300_000,
        pad: true,
    };
    let scenario = Scenario { network: rough, cps: 10_000, ..Scenario::drawn(77) };
    let once = sim::run_kept(&scenario, true, |_| {});
    let again = sim::run_kept(&scenario, true, |_| {});
    assert!(once.capture.as_ref().is_some_and(|file| file.len() > 10_000));
    assert!(once == again, "two runs of one seed differ");
    let other = sim::run_kept(&Scenario { seed: 78, ..scenario }, true, |_| {});
    assert_ne!(once.hash, other.hash);
}

#[test]
fn kept_connections_ask_as_often_as_told() {
    for interval in [0, 1_000, 15_000, 30_000] {
        let scenario =
            Scenario { keepalive: Some((interval, 5)), cps: 2_000, ..Scenario::short(3) };
        let report = run(&Scenario { duration: 300 * MILLI, ..scenario });
        let opened = client(&report, Count::SkOpen);
        let asked = client(&report, Count::HttpGet);
        assert!(asked >= 2 * opened && asked <= 5 * opened, "{interval}: {asked} of {opened}");
    }
}

#[test]
fn answers_of_every_size_arrive() {
    for (response_bytes, mss) in
        [(85, 1460), (1460, 1460), (1461, 1460), (100_000, 1460), (1_000_000, 1460), (50_000, 88)]
    {
        for messages in [Messages::HttpGet, Messages::HttpPost] {
            let scenario = Scenario {
                response_bytes,
                mss: [mss, 1460],
                messages,
                cps: 500,
                ..Scenario::short(4)
            };
            let report = run(&scenario);
            assert_eq!(client(&report, Count::Http2xx), client(&report, Count::SkOpen));
        }
    }
}

/// Seeds that are always run; `DPERF_SIM_SEED` replaces them by one, to look at it alone.
fn seeds(count: u64) -> Vec<u64> {
    if let Some(only) = std::env::var("DPERF_SIM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return vec![only];
    }
    let fresh = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::from(since.subsec_nanos()) * 1_000 + since.as_secs() % 1_000);
    println!("fresh seeds from {fresh} on");
    (1..=count).chain(fresh..fresh + count / 10).collect()
}

/// A network that is bad in the way the seed says.
fn rough(seed: u64) -> Conditions {
    let mut random = Random::new(seed ^ 0x0bad);
    let mut pick = |choices: &[u32]| choices[random.below(choices.len() as u64) as usize];
    Conditions {
        loss: pick(&[0, 10_000, 50_000, 200_000]),
        duplicate: pick(&[0, 0, 10_000, 100_000]),
        reorder: pick(&[0, 0, 10_000, 200_000]),
        damage: pick(&[0, 0, 10_000]),
        delay: u64::from(pick(&[1_000, 50_000, 2_000_000, 50_000_000])),
        jitter: u64::from(pick(&[0, 10_000, 1_000_000])),
        pad: true,
    }
}

#[test]
fn anything_over_a_good_cable_leaves_no_trace_of_trouble() {
    for seed in seeds(50) {
        run(&Scenario::drawn(seed));
    }
}

#[test]
fn every_run_over_a_bad_network_ends_orderly() {
    for seed in seeds(50) {
        let drawn = Scenario::drawn(seed);
        run(&Scenario { network: rough(seed), cps: drawn.cps.min(5_000), ..drawn });
    }
}

/// A connection fails only if one of its segments was lost four times in a row: of `loss` in each
/// direction, a round trip fails with `1 - (1 - loss)^2`, and a short connection needs three.
#[test]
fn connections_survive_loss_as_often_as_arithmetic_says() {
    for (loss, most_percent) in [(10_000, 0.01), (50_000, 0.1), (200_000, 8.0)] {
        let network = Conditions { loss, ..Conditions::CABLE };
        let report =
            run(&Scenario { network, cps: 50_000, duration: 200 * MILLI, ..Scenario::short(9) });
        let (opened, failed) = (client(&report, Count::SkOpen), client(&report, Count::SkErr));
        let percent = 100.0 * failed as f64 / opened as f64;
        println!("loss {loss} ppm: {failed} of {opened} failed, {percent:.3} %");
        assert!(percent <= most_percent, "{failed} of {opened} failed");
    }
}
