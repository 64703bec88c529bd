//! One worker alone on a cable: what comes to it, turn by turn, is the test's, and so is what it
//! says to that.

use dperf_core::conn::timers::chunks_for;
use dperf_core::conn::{Chunk, Slot};
use dperf_core::exception::ExceptionPath;
use dperf_core::plan::CorePlan;
use dperf_core::stats::{Page, Snapshot};
use dperf_core::sync::{Control, Gateway, Phase};
use dperf_core::time::Instant;
use dperf_core::worker::{Lent, Worker};

use crate::cable::{End, Pipe};
use crate::phy::PhyQueue;

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
    let tuples = plan.tuples();
    let mut slots = vec![Slot::default(); tuples as usize];
    let mut chunks = vec![Chunk::EMPTY; chunks_for(tuples) as usize];
    let mut page = Page::new();
    let (stats, reader) = page.open();
    let control = Control::new();
    control.advance(Phase::Run);
    let (slots, chunks, control) = (&mut slots[..], &mut chunks[..], &control);
    let lent = Lent { slots, chunks, stats, gateway, control };
    let (incoming, outgoing) = (Pipe::default(), Pipe::default());
    let end = End { incoming: incoming.clone(), outgoing: outgoing.clone() };
    let queue = PhyQueue::new(end, || smoltcp::time::Instant::ZERO);
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
}
