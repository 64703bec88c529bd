//! Whole runs of clients and servers over simulated networks: every run ends orderly, every law
//! holds, and a failure is found again by its seed.

use dperf_core::plan::Messages;
use dperf_core::stats::Count;
use dperf_core::time::TickRate;
use dperf_tests::conditions::Conditions;
use dperf_tests::random::Random;
use dperf_tests::referee::Verdict;
use dperf_tests::replay::seeds;
use dperf_tests::scenario::{MILLI, Scenario, Travel};
use dperf_tests::sim::{self, Report};
use dperf_tests::station::Ledger;
use dperf_tests::storm::Storm;
use dperf_tests::{laws, referee};
use rustix::time::{ClockId, clock_gettime};

/// Runs the scenario and checks the laws.
fn run(scenario: &Scenario) -> Report {
    let report = sim::run(scenario);
    laws::hold(scenario, &report);
    report
}

/// The sum of a counter over both sides of the first pair.
fn client(report: &Report, count: Count) -> u64 {
    report.machines[0].counts.get(count)
}

fn server(report: &Report, count: Count) -> u64 {
    report.machines[1].counts.get(count)
}

/// What a handshake takes is what the network takes: nothing waits for others on either side.
#[test]
fn a_handshake_is_timed_by_the_network_alone() {
    for delay in [1_000, 50_000, 2_000_000] {
        let network = Conditions { delay, ..Conditions::CABLE };
        let scenario = Scenario { network, ..Scenario::short(1) };
        let report = run(&scenario);
        let timed = client(&report, Count::RttCount);
        assert!(timed > 1900, "{timed} timed");
        let units = client(&report, Count::RttUnits) / timed;
        let mean_us = TickRate::NANOSECONDS.us_from_units(units);
        let (least_us, turn_us) = (2.0 * delay as f64 / 1e3, scenario.turn as f64 / 1e3);
        // A unit is cut off at either end; each machine looks once a turn.
        let most_us = least_us + 4.0 * turn_us + 1.1;
        assert!((least_us - 1.1..=most_us).contains(&mean_us), "{mean_us} us, {delay} ns away");
    }
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

/// Whatever frames travel in, the connections inside are the same; each frame is longer by that.
#[test]
fn connections_do_not_see_what_they_travel_in() {
    for ipv6 in [false, true] {
        let plain = run(&Scenario { ipv6, ..Scenario::short(1) });
        for (travel, bytes) in [(Travel::Vlan, 4), (Travel::Qinq, 8), (Travel::Vxlan, 50)] {
            let report = run(&Scenario { ipv6, travel, ..Scenario::short(1) });
            for (machine, plain) in report.machines.iter().zip(&plain.machines) {
                for count in [Count::SkOpen, Count::TcpTx, Count::Http2xx, Count::PktRx] {
                    assert_eq!(machine.counts.get(count), plain.counts.get(count));
                }
                let more = 8 * bytes * machine.counts.get(Count::PktTx);
                let bits = plain.counts.get(Count::BitsTx) + more;
                assert_eq!(machine.counts.get(Count::BitsTx), bits, "{travel:?}");
            }
        }
    }
}

#[test]
fn every_run_in_tags_and_tunnels_over_a_bad_network_ends_orderly() {
    for seed in seeds(30) {
        for travel in [Travel::Vlan, Travel::Qinq, Travel::Vxlan] {
            let drawn = Scenario { travel, mss: [1390, 700], ..Scenario::drawn(seed) };
            let request_bytes = drawn.request_bytes.min(700);
            let scenario = Scenario { network: rough(seed), request_bytes, ..drawn };
            run(&Scenario { cps: drawn.cps.min(2_000), ..scenario }.fitted());
        }
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
        ..Conditions::CABLE
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

/// Seeds of a long test.
const SEEDS: u64 = 50;

/// A network that is bad in the way the seed says.
fn rough(seed: u64) -> Conditions {
    let mut random = Random::new(seed ^ 0x0bad);
    let mut pick = |choices: &[u32]| random.pick(choices);
    Conditions {
        loss: pick(&[0, 10_000, 50_000, 200_000]),
        duplicate: pick(&[0, 0, 10_000, 100_000]),
        reorder: pick(&[0, 0, 10_000, 200_000]),
        damage: pick(&[0, 0, 10_000]),
        delay: u64::from(pick(&[1_000, 50_000, 2_000_000, 50_000_000])),
        jitter: u64::from(pick(&[0, 10_000, 1_000_000])),
        ..Conditions::CABLE
    }
}

#[test]
fn anything_over_a_good_cable_leaves_no_trace_of_trouble() {
    for seed in seeds(SEEDS) {
        run(&Scenario::drawn(seed));
    }
}

#[test]
fn every_run_over_a_bad_network_ends_orderly() {
    for seed in seeds(SEEDS) {
        let drawn = Scenario::drawn(seed);
        run(&Scenario { network: rough(seed), cps: drawn.cps.min(5_000), ..drawn });
    }
}

/// A connection fails only if one of its segments was sent four times in vain. Of `loss` in each
/// direction a round trip fails with `1 - (1 - loss)^2`, and a short connection needs three.
#[test]
fn connections_fail_only_when_a_segment_is_lost_four_times() {
    for loss in [10_000, 50_000, 200_000] {
        let network = Conditions { loss, ..Conditions::CABLE };
        let scenario =
            Scenario { network, cps: 50_000, duration: 200 * MILLI, ..Scenario::short(9) };
        let report = sim::run_kept(&scenario, true, |_| {});
        laws::hold(&scenario, &report);
        let (opened, failed) = (client(&report, Count::SkOpen), client(&report, Count::SkErr));
        let verdict = referee::hold(&scenario, &report);
        assert!(failed <= verdict.desperate, "{failed} failed, {verdict:?}");
        let round_trip_fails = 1.0 - (1.0 - f64::from(loss) / 1e6).powi(2);
        let expected = 3.0 * round_trip_fails.powi(4) * opened as f64;
        println!("loss {loss} ppm: {failed} of {opened} failed, at most {expected:.1} expected");
        assert!(failed as f64 <= expected.ceil(), "{failed} failed, {expected:.1} expected");
    }
}

/// Runs a scenario without checking anything, and keeps what crossed the wire.
fn judged(scenario: &Scenario) -> referee::Verdict {
    let report = sim::run_kept(scenario, true, |_| {});
    referee::hold(scenario, &report)
}

#[test]
fn every_byte_on_the_wire_is_the_one_asked_for() {
    for seed in seeds(30) {
        let drawn = Scenario::drawn(seed);
        // Four connections at once, 500 a second on three cores: the first come after 24 ms.
        let duration = 30 * MILLI;
        let (network, cps) = (rough(seed), drawn.cps.min(2_000));
        let scenario = Scenario { network, cps, duration, ..drawn };
        assert!(judged(&scenario).bytes > 0, "seed {seed}");
    }
}

/// A Linux peer repeats what is not acknowledged after 200 ms at the earliest; two segments in
/// flight after little more than two round trips. We answer within 40 ms, whatever the pace.
#[test]
fn data_is_acknowledged_within_40_ms() {
    for interval in [0, 100, 5_000, 19_000, 21_000, 100_000, 6_000_000] {
        for response_bytes in [0, 1_460, 5_000, 100_000] {
            let scenario = Scenario {
                keepalive: Some((interval, 3)),
                response_bytes,
                cps: 1_000,
                retransmit_us: 2_000_000,
                duration: 100 * MILLI,
                ..Scenario::short(5)
            };
            let verdict = judged(&scenario);
            let Verdict { longest_wait, longest_pair_wait, .. } = verdict;
            let what = format!("{interval} us, {response_bytes} bytes: {verdict:?}");
            assert!(longest_wait <= 40 * MILLI && longest_pair_wait <= MILLI / 10, "{what}");
        }
    }
}

#[test]
fn raw_messages_and_fast_closes_come_out_even() {
    let raw = Scenario { messages: Messages::Raw, request_bytes: 1, ..Scenario::short(6) };
    let report = run(&raw);
    assert_eq!(client(&report, Count::TcpTx), 3 * client(&report, Count::SkOpen));
    assert_eq!(client(&report, Count::TcpRsp), client(&report, Count::SkOpen));
    let kept = Scenario { keepalive: Some((0, 10)), response_bytes: 1400, ..raw };
    run(&kept);
    let report = run(&Scenario { fast_close: true, ..Scenario::short(7) });
    let opened = client(&report, Count::SkOpen);
    assert_eq!(
        (client(&report, Count::TcpTx), server(&report, Count::TcpTx)),
        (3 * opened, 2 * opened)
    );
    assert_eq!(client(&report, Count::RstTx), opened);
    for seed in seeds(10) {
        let drawn = Scenario { fast_close: true, ..Scenario::drawn(seed) };
        run(&Scenario { network: rough(seed), cps: drawn.cps.min(2_000), ..drawn });
    }
}

/// What waits for a device that takes nothing is given up after half a second, and counted; the
/// worker has frames again, and its connections fail in their time.
#[test]
fn a_device_that_takes_nothing_loses_what_waits() {
    let broken = Conditions { loss: 1_000_000, ..Conditions::CABLE };
    let scenario = Scenario {
        network: broken,
        ring: 0,
        cps: 1_000,
        duration: 2_000 * MILLI,
        turn: MILLI,
        ..Scenario::short(4)
    };
    let report = run(&scenario);
    let opened = client(&report, Count::SkOpen);
    assert!(opened > 0 && opened == client(&report, Count::SkErr));
    assert_eq!(client(&report, Count::DropTx), client(&report, Count::TcpTx));
    assert_eq!(client(&report, Count::PktTx), 0);
}

#[test]
fn the_gateway_is_found_before_anything_is_opened() {
    let lossy = Conditions { loss: 500_000, ..Conditions::CABLE };
    let both = |ipv6| [(ipv6, Conditions::CABLE), (ipv6, lossy)];
    let families = [false, true].into_iter().flat_map(both);
    let every = families.flat_map(|one| Travel::ALL.map(|travel| (one, travel)));
    for ((ipv6, network), travel) in every {
        let faithful = network.is_faithful();
        let scenario = Scenario {
            network,
            ipv6,
            travel,
            gateway_known: false,
            duration: if faithful { 20 * MILLI } else { 20_000 * MILLI },
            cps: if faithful { 100_000 } else { 100 },
            ..Scenario::short(8)
        };
        let report = run(&scenario);
        assert!(client(&report, Count::SkOpen) > 100);
        let asked = if ipv6 && travel != Travel::Vxlan { Count::IcmpTx } else { Count::ArpTx };
        assert!(client(&report, asked) > 0);
    }
}

/// Bad weather hurts only the connections it hits: no panic, every law of one machine holds, and no
/// more connections fail than frames were thrown.
#[test]
fn a_storm_hits_only_what_it_hits() {
    for seed in seeds(SEEDS) {
        let drawn = Scenario::drawn(seed);
        let scenario = Scenario {
            response_bytes: drawn.response_bytes.min(10_000),
            cps: drawn.cps.clamp(5_000, 20_000),
            idle_us: 1_000_000,
            network: Conditions { delay: 20_000, ..Conditions::CABLE },
            ..drawn
        };
        let mut storm = Storm::new(seed);
        let report = sim::run_with(&scenario, |sim| {
            if sim.now() < scenario.duration && sim.steps() % 16 == 0 {
                storm.throw(&mut sim.wire());
            }
        });
        laws::hold(&scenario, &report);
        let failed: u64 = (0..scenario.pairs)
            .map(|pair| report.machines[2 * pair].counts.get(Count::SkErr))
            .sum();
        assert!(failed <= storm.thrown, "seed {seed}: {failed} failed of {} thrown", storm.thrown);
        assert!(client(&report, Count::Http2xx) > 0, "seed {seed}");
    }
}

/// A million connections are a matter of seconds of one processor, two cores a side.
#[test]
fn a_million_connections_take_seconds() {
    let scenario = Scenario {
        cps: 1_000_000,
        launch: 10,
        duration: 1_000 * MILLI + 1,
        space: [8, 1, 60_000, 1],
        cores: [2, 2],
        turn: 20_000,
        ..Scenario::short(1)
    };
    let processor = || clock_gettime(ClockId::ThreadCPUTime);
    let begun = processor();
    let report = run(&scenario);
    let took = processor() - begun;
    let opened = client(&report, Count::SkOpen);
    assert!(opened >= 1_000_000 && client(&report, Count::Http2xx) == opened, "{opened}");
    let seconds = took.tv_sec as f64 + took.tv_nsec as f64 / 1e9;
    println!("{opened} connections in {seconds:.1} s of a processor");
    assert!(seconds < 60.0, "{seconds} s");
}

/// Every flow has one core on each side, whatever the network does, and every core has flows.
#[test]
fn several_cores_share_the_load() {
    for (seed, ipv6) in [(21, false), (22, true)] {
        let cores = [3, 4];
        let network = Conditions { loss: 10_000, reorder: 10_000, ..Conditions::CABLE };
        let report = run(&Scenario { ipv6, cores, network, ..Scenario::short(seed) });
        for machine in &report.machines {
            let opened = machine.cores.iter().map(|core| core.counts.get(Count::SkOpen));
            assert!(opened.clone().all(|opened| opened > 300), "{:?}", opened.collect::<Vec<_>>());
            assert_eq!(machine.counts.get(Count::DropWrongQueue), 0);
        }
    }
}

/// What each kind of bad network does is seen where it belongs, and nowhere else.
#[test]
fn what_the_network_loses_is_counted_where_it_was_lost() {
    let slow = Scenario { cps: 200_000, launch: 50, ..Scenario::short(23) };
    let on = |network| run(&Scenario { network, ..slow.clone() });
    let books = |report: &Report| [report.machines[0].ledger, report.machines[1].ledger];
    let full = on(Conditions { ring: 20, ..Conditions::CABLE });
    let hole = on(Conditions { longest: 150, ..Conditions::CABLE });
    let flaps = on(Conditions { flap: [5 * MILLI, MILLI], ..Conditions::CABLE });
    for (report, lost) in [(&full, 0), (&hole, 1), (&flaps, 2)] {
        let of = |book: &Ledger| [book.missed, book.too_long, book.cut];
        let losses = books(report).iter().fold([0; 3], |sum, book| {
            let more = of(book);
            std::array::from_fn(|kind| sum[kind] + more[kind])
        });
        for (kind, count) in losses.into_iter().enumerate() {
            assert_eq!(count > 0, kind == lost, "{losses:?}");
        }
    }
    // A ring that was full is the device's to tell, to the last frame.
    for (machine, book) in full.machines.iter().zip(books(&full)) {
        assert_eq!(machine.counts.get(Count::Imissed), book.missed);
    }
    // Nobody says that a path is too narrow: the answers never come.
    assert_eq!(client(&hole, Count::Http2xx), 0);
    assert_eq!(client(&hole, Count::SkErr), client(&hole, Count::SkOpen));
}

/// A kernel that takes little and seldom costs the load nothing; what it did not take is counted.
#[test]
fn a_slow_kernel_is_not_waited_for() {
    let calm = Scenario { gateway_known: false, duration: 200 * MILLI, ..Scenario::short(24) };
    let report = run(&Scenario { kernel: true, ..calm });
    for machine in &report.machines {
        let book = machine.book();
        assert!(book.kernel.sent > 300 && book.kernel.taken > 100, "{:?}", book.kernel);
    }
    assert_eq!(client(&report, Count::SkErr), 0);
}

/// What a worker writes in one turn leaves in bursts as small as asked for, whole and in order; a
/// device that takes less loses nothing.
#[test]
fn no_burst_is_larger_than_asked_for() {
    let busy = Scenario { cps: 500_000, launch: 50, turn: 50_000, ..Scenario::short(25) };
    let whole = run(&busy);
    for tx_burst in [1, 8, 31] {
        for travel in [Travel::Plain, Travel::Vxlan] {
            let report = run(&Scenario { tx_burst, travel, ..busy.clone() });
            for machine in &report.machines {
                assert_eq!(machine.book().tally.largest_burst, usize::from(tx_burst));
            }
            assert_eq!(client(&report, Count::Http2xx), client(&whole, Count::Http2xx));
        }
        let _ = run(&Scenario { tx_burst, ring: 5, ..busy.clone() });
    }
    assert!(whole.machines.iter().all(|machine| machine.book().tally.largest_burst > 31));
}
