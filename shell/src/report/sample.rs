//! What one role did in a second, or in its whole run: as a whole and worker by worker.

use dperf_core::stats::{Count, Snapshot};
use dperf_core::time::{Instant, TickRate};

use crate::role::RoleRun;

/// One role's second, or its whole run.
pub(super) struct Sample<'a> {
    pub(super) role: &'a RoleRun,
    /// Other roles run in the same process.
    pub(super) among_others: bool,
    /// What was counted in it.
    pub(super) counts: Snapshot,
    /// What each worker did.
    pub(super) workers: Vec<WorkerSample>,
    /// Seconds since the run began.
    pub(super) second: u64,
    /// Nanoseconds since the run began.
    pub(super) t_ns: u64,
    /// Nanoseconds it took.
    pub(super) span_ns: u64,
    /// Mean handshake time in microseconds, if any was timed.
    pub(super) rtt_us: Option<f64>,
    /// Connections open at its end.
    pub(super) open: u64,
}

/// What one worker did.
pub(super) struct WorkerSample {
    /// What it counted.
    pub(super) counts: Snapshot,
    /// Connections it had open in the end.
    pub(super) open: u64,
    /// Percent of the time it was busy.
    pub(super) cpu_usage: u64,
}

/// When a sample was taken.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// When the run began.
    pub(super) start: Instant,
    /// When what it covers began.
    pub(super) since: Instant,
    /// When it ended.
    pub(super) now: Instant,
    /// How fast the clock goes.
    pub(super) rate: TickRate,
}

impl Sample<'_> {
    /// What came between the pages `before` and the pages `now`, one for each worker.
    pub(super) fn new<'a>(
        role: &'a RoleRun,
        among_others: bool,
        before: &[Snapshot],
        now: &[Snapshot],
        span: Span,
    ) -> Sample<'a> {
        let ticks = (span.now - span.since).0.max(1);
        let nothing = Snapshot::default();
        let before = before.iter().chain(std::iter::repeat(&nothing));
        let worker = |(now, before): (&Snapshot, &Snapshot)| {
            let counts = now.since(before);
            WorkerSample {
                open: now.open_connections(),
                cpu_usage: counts.get(Count::BusyTicks) * 100 / ticks,
                counts,
            }
        };
        let workers: Vec<WorkerSample> = now.iter().zip(before).map(worker).collect();
        let counts = workers.iter().fold(nothing, |sum, worker| sum.plus(&worker.counts));
        let t_ns = span.rate.ns_from_ticks(span.now - span.start);
        Sample {
            role,
            among_others,
            counts,
            second: (t_ns + 500_000_000) / 1_000_000_000,
            t_ns,
            span_ns: span.rate.ns_from_ticks(span.now - span.since),
            rtt_us: rtt_us(&counts, span.rate),
            open: workers.iter().map(|worker| worker.open).sum(),
            workers,
        }
    }

    /// What the workers of a port counted, and how many connections they have open.
    pub(super) fn port(&self, index: usize) -> (Snapshot, u64) {
        let of_port = self.role.workers.iter().zip(&self.workers);
        let of_port = of_port.filter(|(who, _)| who.port == index);
        of_port.fold((Snapshot::default(), 0), |(sum, open), (_, worker)| {
            (sum.plus(&worker.counts), open + worker.open)
        })
    }
}

/// The mean handshake time.
fn rtt_us(counts: &Snapshot, rate: TickRate) -> Option<f64> {
    let timed = counts.get(Count::RttCount);
    (timed > 0).then(|| rate.us_from_units(counts.get(Count::RttUnits)) / timed as f64)
}
