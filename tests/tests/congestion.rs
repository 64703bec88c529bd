//! What is not said yet waits where a device is full, or brings more than is received: answers go
//! first, or two full devices would wait for each other.

use std::net::IpAddr;

use dperf_core::exception::Closed;
use dperf_core::plan::{Role, Transport};
use dperf_core::port::BURST;
use dperf_core::stats::Count;
use dperf_core::sync::{Gateway, Phase};
use dperf_core::time::Instant;
use dperf_tests::alone;
use dperf_tests::ipv4::Way;
use dperf_tests::scenario::{MILLI, Scenario, Side, mac};
use dperf_tests::sim;
use smoltcp::wire::EthernetAddress;

/// Far more than one turn per millisecond opens.
fn hurried() -> Scenario {
    Scenario { cps: 1_000_000, launch: 1, ring: 1, ..Scenario::short(1) }
}

/// A device that takes one frame in a turn: while some wait, no more are made.
#[test]
fn nothing_is_opened_while_the_device_is_full() {
    let (role, phase) = (Role::Client, Phase::Run);
    let turns = alone::on_a_wire(&hurried(), role, phase, |mut worker, reader| {
        let turn = |now| {
            worker.run_once(Instant(now * MILLI));
            let counts = reader.snapshot();
            [Count::SkOpen, Count::PktTx, Count::Deferred].map(|count| counts.get(count))
        };
        (0..3 * BURST as u64).map(turn).collect::<Vec<_>>()
    });
    let mut held = turns.iter().filter(|[opened, sent, _]| opened > sent);
    assert!(held.clone().count() > BURST, "{turns:?}");
    // What a turn opened is all gone before the next one opens again.
    assert!(held.all(|[opened, sent, _]| opened - sent < BURST as u64), "{turns:?}");
    let [opened, _, deferred] = turns[turns.len() - 1];
    assert!(opened > BURST as u64 && deferred > BURST as u64, "{turns:?}");
}

/// Nothing is left to write into: what is due is put off, and told.
#[test]
fn opens_without_a_frame_are_told() {
    let (role, phase) = (Role::Client, Phase::Run);
    let scenario = Scenario { buffers: 0, ..hurried() };
    let [opened, deferred] = alone::on_a_wire(&scenario, role, phase, |mut worker, reader| {
        worker.run_once(Instant(0));
        worker.run_once(Instant(MILLI));
        [Count::SkOpen, Count::Deferred].map(|count| reader.snapshot().get(count))
    });
    assert_eq!((opened, deferred), (0, 1));
}

/// More is due by the clock than can leave: what comes is read all the same, and connections open.
#[test]
fn who_sends_by_the_clock_listens_where_the_device_is_full() {
    for (transport, ring) in [(Transport::Udp, 8), (Transport::Udp, 1), (Transport::Tcp, 8)] {
        let scenario = Scenario {
            transport,
            keepalive: Some((100, 0)),
            cps: 1_000_000,
            cc: 600,
            space: [1, 1, 700, 1],
            ring,
            turn: MILLI / 10,
            duration: 400 * MILLI,
            ..Scenario::datagrams(5)
        };
        let mut half = None;
        let report = sim::run_with(&scenario, |sim| {
            if sim.now() >= scenario.duration / 2 {
                half.get_or_insert_with(|| sim.counts(0));
            }
        });
        let half = half.expect("the run was long enough");
        let [sent, read] = [Count::PktTx, Count::PktRx].map(|count| half.get(count));
        assert!(read > sent / 2, "{transport:?} {ring}: {sent} sent, {read} read");
        // Over TCP those that are open fill the device by themselves.
        let least = BURST as u64 + u64::from(transport == Transport::Udp);
        let opened = report.machines[0].counts.get(Count::SkOpen);
        assert!(opened >= least, "{transport:?} {ring}: {opened} opened");
    }
}

/// A device that is never empty, and opens that are always owed: what was sent is sent again all
/// the same when nobody answers.
#[test]
fn what_is_lost_is_sent_again_while_the_device_is_full() {
    let scenario = Scenario { ring: 1, retransmit_us: 100_000, ..hurried() };
    let (role, phase) = (Role::Client, Phase::Run);
    let side = Side::new(&scenario, role, 0);
    let plan = side.plan(&scenario);
    let (IpAddr::V4(gateway), IpAddr::V4(host)) = (plan.gateway, plan.host) else {
        unreachable!("IPv4");
    };
    let macs = [side.peer_mac().0, mac(role, 0).0].map(EthernetAddress);
    let ping = Way { macs, addresses: [gateway, host] }.ping(0);
    let [repeated, deferred] = alone::on_a_wire(&scenario, role, phase, |mut worker, reader| {
        for now in 0..1000 {
            // Each is answered: one frame comes, one goes.
            worker.queue().bring(&ping);
            worker.run_once(Instant(now * MILLI));
        }
        [Count::SynRt, Count::Deferred].map(|count| reader.snapshot().get(count))
    });
    assert!(deferred > 900, "{deferred} turns in which opens were owed");
    assert!(repeated > 16, "{repeated} repeated");
}

/// Every burst is full: fewer are opened than answers fit into a burst, but some are.
#[test]
fn few_are_opened_while_more_waits_than_is_received() {
    let scenario = hurried();
    let side = Side::new(&scenario, Role::Client, 0);
    let gateway = Gateway::new(Some(side.peer_mac()));
    let opened = |frames: usize| {
        let turns = (0..10).map(|turn| turn * MILLI);
        let said = alone::serve(side.plan(&scenario), &gateway, Closed, turns, |_, cable| {
            let mut cable = cable.lock().expect("no panic");
            cable.extend((0..frames).map(|_| vec![0; 60]));
        });
        said.counts.get(Count::SkOpen) as usize
    };
    let (free, busy) = (opened(BURST - 1), opened(BURST));
    assert!(free > 4 * BURST, "{free}");
    assert!((BURST..=10 * BURST / 3).contains(&busy), "{busy}");
}

/// As many time-outs come round as requests are due, all of them of what was answered: they take no
/// frame from the requests.
#[test]
fn a_time_out_that_sends_nothing_takes_no_frame() {
    let (connections, interval_us) = (36_000, 200_000);
    let scenario = Scenario {
        keepalive: Some((interval_us, 0)),
        cps: 100_000,
        cc: u64::from(connections),
        space: [1, 1, connections, 1],
        retransmit_us: 100_000,
        turn: MILLI / 10,
        duration: 1200 * MILLI,
        ..Scenario::short(3)
    };
    let mut before = None;
    let mut last = None;
    let report = sim::run_with(&scenario, |sim| {
        if sim.now() >= 800 * MILLI && sim.now() < scenario.duration {
            before.get_or_insert_with(|| (sim.now(), sim.counts(0)));
            last = Some((sim.now(), sim.counts(0)));
        }
    });
    let ((from, before), (to, last)) = (before.expect("it ran"), last.expect("it ran"));
    let requests = last.since(&before).get(Count::HttpGet);
    let due = u64::from(connections) * (to - from) / (1000 * interval_us);
    assert!(requests > due * 95 / 100, "{requests} of {due}");
    assert_eq!(report.machines[0].counts.get(Count::SkErr), 0);
}
