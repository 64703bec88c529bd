//! What a worker does last: what waits for its device leaves, and nothing that was counted is lost.

use dperf_core::frame::TRAY_PLACES;
use dperf_core::plan::Role;
use dperf_core::stats::Count;
use dperf_core::sync::Phase;
use dperf_core::time::Instant;
use dperf_tests::conditions::Conditions;
use dperf_tests::scenario::{MILLI, Scenario};
use dperf_tests::{alone, sim};

/// A server outlives its client: what it would tell its neighbours meanwhile waits for the link and
/// is not lost.
#[test]
fn without_a_link_nobody_is_told_anything() {
    const SECOND: u64 = 1000 * MILLI;
    let network = Conditions { flap: [2 * SECOND, 90 * SECOND], ..Conditions::CABLE };
    let (cps, turn, duration) = (10, MILLI, 100 * SECOND);
    let scenario =
        Scenario { network, gateway_known: false, cps, turn, duration, ..Scenario::short(1) };
    let (mut said, mut steps) = (Vec::new(), 0);
    let report = sim::run_with(&scenario, |sim| {
        let (second, down) = (sim.now() / SECOND, sim.wire().is_down());
        said.push((second, down, sim.counts(1).get(Count::ArpTx)));
        steps = sim.steps();
    });
    let told = |wanted: std::ops::Range<u64>| {
        let of = said.iter().filter(|(second, ..)| wanted.contains(second));
        of.map(|(.., told)| *told).collect::<Vec<_>>()
    };
    let (up, down, again) = (told(0..2), told(3..92), told(92..101));
    assert!(up.last() > Some(&1), "addresses are told: {up:?}");
    assert_eq!(down.first(), down.last(), "nobody is there");
    assert!(again.last() > down.last(), "somebody is there again");
    assert!(steps < 100_000, "it rests meanwhile: {steps} steps");
    assert_eq!(report.machines[1].counts.get(Count::DropTx), 0);
}

/// Nor before there is a link for the first time.
#[test]
fn before_there_is_a_link_nobody_is_told_anything() {
    let network = Conditions { flap: [0, 1000 * MILLI], ..Conditions::CABLE };
    let scenario = Scenario { network, gateway_known: false, ..Scenario::short(1) };
    let (role, phase) = (Role::Server, Phase::Resolve);
    let told = alone::on_a_wire(&scenario, role, phase, |mut worker, reader| {
        (0..3000).for_each(|turn| {
            worker.run_once(Instant(turn * MILLI));
        });
        reader.get(Count::ArpTx)
    });
    assert_eq!(told, 0);
}

/// A device whose ring has one place, and a worker that has more to announce: told to flush, it
/// sends one after the other; without, the rest is given up and counted.
#[test]
fn a_worker_that_ends_sends_what_waits() {
    for flushes in [false, true] {
        let scenario = Scenario { gateway_known: false, ring: 1, ..Scenario::short(1) };
        let (role, phase) = (Role::Server, Phase::Resolve);
        let (calls, counts) = alone::on_a_wire(&scenario, role, phase, |mut worker, reader| {
            worker.run_once(Instant(0));
            let mut calls = 0;
            while flushes && calls < TRAY_PLACES as u64 && !worker.flush(Instant(0)) {
                calls += 1;
            }
            drop(worker);
            (calls, reader.snapshot())
        });
        let [made, sent, lost] =
            [Count::ArpTx, Count::PktTx, Count::DropTx].map(|count| counts.get(count));
        assert!(made > 1, "{made} announcements");
        let expected = if flushes { (made - 2, made, 0) } else { (0, 1, made - 1) };
        assert_eq!((calls, sent, lost), expected, "of {made} announcements");
    }
}
