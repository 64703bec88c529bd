//! What a worker does last: what waits for its device leaves, and nothing that was counted is lost.

use dperf_core::frame::TRAY_PLACES;
use dperf_core::plan::Role;
use dperf_core::stats::Count;
use dperf_core::sync::Phase;
use dperf_core::time::Instant;
use dperf_tests::alone;
use dperf_tests::scenario::Scenario;

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
