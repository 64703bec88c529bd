//! What a worker does last: what waits for its device leaves, and nothing that was counted is lost.

use dperf_core::conn::timers::chunks_for;
use dperf_core::conn::{Chunk, Slot};
use dperf_core::exception::Closed;
use dperf_core::frame::TRAY_PLACES;
use dperf_core::plan::Role;
use dperf_core::stats::{Count, Page};
use dperf_core::sync::{Control, Gateway};
use dperf_core::time::Instant;
use dperf_core::worker::{Lent, Worker};
use dperf_tests::queue::SimQueue;
use dperf_tests::scenario::{Scenario, Side, mac, spread};
use dperf_tests::wire::SharedWire;

/// A device whose ring has one place, and a worker that has more to announce: told to flush, it
/// sends one after the other; without, the rest is given up and counted.
#[test]
fn a_worker_that_ends_sends_what_waits() {
    for flushes in [false, true] {
        let scenario = Scenario { gateway_known: false, ring: 1, ..Scenario::short(1) };
        let wire = SharedWire::new(scenario.seed, scenario.network, false);
        let station = wire.get().attach(mac(Role::Server, 0).0, 1, spread(false, 1));
        let side = Side::new(&scenario, Role::Server, 0);
        let plan = side.plan(&scenario);
        let tuples = plan.tuples();
        let (mut page, gateway, control) = (Page::new(), Gateway::new(None), Control::new());
        let (stats, reader) = page.open();
        let mut slots = vec![Slot::default(); tuples as usize];
        let mut chunks = vec![Chunk::EMPTY; chunks_for(tuples) as usize];
        let (slots, chunks) = (&mut slots[..], &mut chunks[..]);
        let lent = Lent { slots, chunks, stats, gateway: &gateway, control: &control };
        let queue = SimQueue::new(wire, (station, 0), scenario.offloads, scenario.ring);
        let worker = Worker::new(plan, queue, Closed, lent, Instant(0));
        let mut worker = worker.expect("the memory fits the plan");
        worker.run_once(Instant(0));
        let mut calls = 0;
        while flushes && calls < TRAY_PLACES as u64 && !worker.flush(Instant(0)) {
            calls += 1;
        }
        drop(worker);
        let counts = reader.snapshot();
        let [made, sent, lost] =
            [Count::ArpTx, Count::PktTx, Count::DropTx].map(|count| counts.get(count));
        assert!(made > 1, "{made} announcements");
        let expected = if flushes { (made - 2, made, 0) } else { (0, 1, made - 1) };
        assert_eq!((calls, sent, lost), expected, "of {made} announcements");
    }
}
