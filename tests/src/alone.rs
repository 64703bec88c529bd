//! One worker alone: what comes to it, turn by turn, is the test's, and so is what it says to that.

use dperf_core::conn::Slot;
use dperf_core::exception::{Closed, ExceptionPath};
use dperf_core::plan::{CorePlan, Role};
use dperf_core::stats::{Page, Reader, Snapshot};
use dperf_core::sync::{Control, Gateway, Phase};
use dperf_core::time::Instant;
use dperf_core::worker::{Lent, Worker};

use crate::cable::{End, Pipe};
use crate::phy::PhyQueue;
use crate::queue::SimQueue;
use crate::scenario::{Scenario, Side, mac, spread};
use crate::wire::SharedWire;

/// What a worker came to.
#[derive(Debug)]
pub struct Said {
    /// Its counters.
    pub counts: Snapshot,
    /// What it sent, and when.
    pub frames: Vec<(u64, Vec<u8>)>,
}

impl Said {
    /// The frames alone.
    #[must_use]
    pub fn bytes(self) -> Vec<Vec<u8>> {
        self.frames.into_iter().map(|(_, frame)| frame).collect()
    }
}

/// Lets a worker turn at each of `times` (in its ticks), in the middle of a run; `before` each turn
/// something may be put on the cable.
///
/// # Panics
/// The plan does not fit its memory.
pub fn serve<X: ExceptionPath>(
    plan: CorePlan<'_>,
    gateway: &Gateway,
    path: X,
    times: impl IntoIterator<Item = u64>,
    mut before: impl FnMut(u64, &Pipe),
) -> Said {
    let control = Control::new();
    control.advance(Phase::Run);
    let (incoming, outgoing) = (Pipe::default(), Pipe::default());
    let end = End { incoming: incoming.clone(), outgoing: outgoing.clone() };
    let queue = PhyQueue::new(end, || smoltcp::time::Instant::ZERO);
    lend(&plan, gateway, &control, |lent, reader| {
        let mut frames = Vec::new();
        let mut worker = Worker::new(plan, queue, path, lent, Instant(0)).expect("the memory fits");
        for now in times {
            before(now, &incoming);
            worker.run_once(Instant(now));
            let sent = outgoing.lock().expect("no panic").drain(..).collect::<Vec<_>>();
            frames.extend(sent.into_iter().map(|frame| (now, frame)));
        }
        drop(worker);
        Said { counts: reader.snapshot(), frames }
    })
}

/// What a worker says within three turns to `frames`, which lie there when it begins.
///
/// # Panics
/// The plan does not fit its memory.
#[must_use]
pub fn hear(plan: CorePlan<'_>, gateway: &Gateway, frames: &[Vec<u8>]) -> Said {
    serve(plan, gateway, Closed, [0, 1000, 2000], |now, wire| {
        if now == 0 {
            wire.lock().expect("no panic").extend(frames.iter().cloned());
        }
    })
}

/// Lets `work` have the only worker on a simulated wire, which has the role `role` in `scenario`
/// and knows the gateway if that says so, and its counters.
///
/// # Panics
/// The plan does not fit its memory.
pub fn on_a_wire<R>(
    scenario: &Scenario,
    role: Role,
    phase: Phase,
    work: impl FnOnce(Worker<'_, SimQueue, Closed>, Reader<'_>) -> R,
) -> R {
    let wire = SharedWire::new(scenario.seed, scenario.network, false);
    let station = wire.get().attach(mac(role, 0).0, 1, spread(scenario.ipv6, 1));
    let side = Side::new(scenario, role, 0);
    let plan = side.plan(scenario);
    let gateway = Gateway::new(scenario.gateway_known.then(|| side.peer_mac()));
    let control = Control::new();
    control.advance(phase);
    let queue = SimQueue::new(wire, (station, 0), scenario);
    lend(&plan, &gateway, &control, |lent, reader| {
        let worker = Worker::new(plan, queue, Closed, lent, Instant(0));
        work(worker.expect("the memory fits"), reader)
    })
}

/// Lends a worker for `plan` all that it needs.
fn lend<R>(
    plan: &CorePlan<'_>,
    gateway: &Gateway,
    control: &Control,
    work: impl FnOnce(Lent<'_>, Reader<'_>) -> R,
) -> R {
    let tuples = plan.tuples();
    let mut slots = vec![Slot::default(); tuples as usize];
    let mut page = Page::new();
    let (stats, reader) = page.open();
    work(Lent { slots: &mut slots, stats, gateway, control }, reader)
}
