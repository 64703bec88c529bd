//! A client and a server on two smoltcp devices: the adapter is a whole back end.

use dperf_core::conn::Slot;
use dperf_core::exception::Closed;
use dperf_core::plan::Role;
use dperf_core::stats::{Count, Page, Snapshot};
use dperf_core::sync::{Control, Gateway, Phase};
use dperf_core::time::Instant;
use dperf_core::worker::{Lent, Worker};
use dperf_tests::cable::{End, Pipe};
use dperf_tests::phy::PhyQueue;
use dperf_tests::scenario::{MILLI, Scenario, Side};

/// Runs one pair over a cable; the counters of client and server.
fn run(scenario: &Scenario) -> [Snapshot; 2] {
    let (one, two) = (Pipe::default(), Pipe::default());
    let sides = [Role::Client, Role::Server].map(|role| Side::new(scenario, role, 0));
    let tuples = scenario.tuples();
    let mut slots = [(); 2].map(|()| vec![Slot::default(); tuples]);
    let mut pages = [Page::new(), Page::new()];
    let gateways = [0, 1].map(|side: usize| Gateway::new(Some(sides[side].peer_mac())));
    let control = Control::new();
    let ends = [(one.clone(), two.clone()), (two, one)];
    let mut workers = Vec::new();
    let mut readers = Vec::new();
    let memory = slots.iter_mut().zip(&mut pages);
    for (index, (slots, page)) in memory.enumerate() {
        let (stats, reader) = page.open();
        let lent = Lent { slots, stats, gateway: &gateways[index], control: &control };
        let (incoming, outgoing) = ends[index].clone();
        let queue = PhyQueue::new(End { incoming, outgoing }, || smoltcp::time::Instant::ZERO);
        let plan = sides[index].plan(scenario);
        workers.push(Worker::new(plan, queue, Closed, lent, Instant(0)).expect("the memory fits"));
        readers.push(reader);
    }
    control.advance(Phase::Run);
    for now in (0..2 * scenario.duration).step_by(1000) {
        if now > scenario.duration {
            control.advance(Phase::Drain);
        }
        for worker in &mut workers {
            worker.run_once(Instant(now));
        }
    }
    [readers[0].snapshot(), readers[1].snapshot()]
}

#[test]
fn connections_cross_two_smoltcp_devices() {
    let scenario = Scenario { duration: 10 * MILLI, ..Scenario::short(1) };
    let [client, server] = run(&scenario);
    let opened = client.get(Count::SkOpen);
    assert!((990..=1001).contains(&opened), "{opened}");
    for side in [&client, &server] {
        assert_eq!(side.get(Count::SkClose), opened);
        assert_eq!(side.get(Count::TcpTx), 3 * opened);
        assert_eq!((side.get(Count::Http2xx), side.get(Count::SkErr)), (opened, 0));
    }
}

#[test]
fn large_answers_pass_a_short_ring() {
    let scenario = Scenario {
        duration: 50 * MILLI,
        cps: 1_000,
        response_bytes: 200_000,
        send_window: 64,
        ..Scenario::short(2)
    };
    let [client, server] = run(&scenario);
    assert_eq!(client.get(Count::Http2xx), client.get(Count::SkOpen));
    assert_eq!((client.get(Count::SkErr), server.get(Count::PushRt)), (0, 0));
}
