//! Real workers on a simulated network in simulated time: a run is a function of its scenario.
//!
//! Nothing sleeps. When no worker finds work, time jumps to the next arrival or the next deadline.
//! A run that fails prints `seed N step M`; `DPERF_SIM_SEED=N` runs that seed alone, and
//! `DPERF_SIM_PCAP=FILE` writes what crossed the wire when it fails.

use dperf_core::conn::timers::chunks_for;
use dperf_core::conn::{Chunk, Slot};
use dperf_core::exception::Closed;
use dperf_core::plan::{CorePlan, Role};
use dperf_core::stats::{Page, Reader, Snapshot};
use dperf_core::sync::{Control, Gateway, Phase};
use dperf_core::time::Instant;
use dperf_core::worker::{Lent, Worker};

use crate::queue::{SimQueue, Tally};
use crate::scenario::{SECOND, Scenario, Side, mac};
use crate::wire::{Fates, SharedWire, Wire};

/// A run that has not ended this long after the last opening never will.
const LONGEST_DRAIN: u64 = 600 * SECOND;
/// Turns with work but without an end in sight: something runs in a circle.
const LONGEST_BUSY: u64 = 50_000_000;

/// One machine of the run.
struct Machine<'m> {
    worker: Worker<'m, &'m mut SimQueue, Closed>,
    reader: Reader<'m>,
    role: Role,
}

/// A run in progress.
pub struct Sim<'m> {
    machines: Vec<Machine<'m>>,
    wire: SharedWire,
    control: &'m Control,
    scenario: &'m Scenario,
    now: u64,
    steps: u64,
}

/// What one machine came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Client or server.
    pub role: Role,
    /// Its counters.
    pub counts: Snapshot,
    /// What its queue saw.
    pub tally: Tally,
    /// What the network did to what it sent.
    pub fates: Fates,
    /// Frames in its hands at the end.
    pub held: usize,
    /// Slots that are not closed at the end.
    pub open: usize,
}

/// What a run came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Client, server, client, server …
    pub machines: Vec<Outcome>,
    /// Fingerprint of everything that crossed the wire.
    pub hash: u64,
    /// Frames that crossed the wire.
    pub frames: u64,
    /// Rounds of turns.
    pub steps: u64,
    /// When it ended, in nanoseconds.
    pub end: u64,
    /// The capture file, if it was asked for.
    pub capture: Option<Vec<u8>>,
}

/// The memory of one machine.
struct Memory {
    side: Side,
    slots: Vec<Slot>,
    chunks: Vec<Chunk>,
    page: Page,
    gateway: Gateway,
    queue: SimQueue,
}

impl Memory {
    fn new(scenario: &Scenario, role: Role, pair: usize, wire: &SharedWire) -> Memory {
        let side = Side::new(scenario, role, pair);
        let station = wire.get().attach(mac(role, pair).0);
        let tuples = scenario.tuples();
        Memory {
            slots: vec![Slot::default(); tuples],
            chunks: vec![Chunk::EMPTY; chunks_for(tuples as u64) as usize],
            page: Page::new(),
            gateway: Gateway::new(scenario.gateway_known.then(|| side.peer_mac())),
            queue: SimQueue::new(wire.clone(), station, scenario.offloads, scenario.ring),
            side,
        }
    }

    fn machine<'m>(&'m mut self, scenario: &Scenario, control: &'m Control) -> Machine<'m> {
        let plan: CorePlan<'m> = self.side.plan(scenario);
        let (stats, reader) = self.page.open();
        let lent = Lent {
            slots: &mut self.slots,
            chunks: &mut self.chunks,
            stats,
            gateway: &self.gateway,
            control,
        };
        let worker = Worker::new(plan, &mut self.queue, Closed, lent, Instant(0));
        Machine { worker: worker.expect("the memory fits the plan"), reader, role: plan.role }
    }
}

/// Runs `scenario` to its orderly end.
#[must_use]
pub fn run(scenario: &Scenario) -> Report {
    run_with(scenario, |_| {})
}

/// Runs `scenario`; `meddle` is called before each round of turns.
#[must_use]
pub fn run_with(scenario: &Scenario, meddle: impl FnMut(&mut Sim<'_>)) -> Report {
    run_kept(scenario, wants_capture(), meddle)
}

/// `DPERF_SIM_PCAP` asks for what crossed the wire of a run that fails.
#[must_use]
pub fn wants_capture() -> bool {
    std::env::var_os("DPERF_SIM_PCAP").is_some()
}

/// As [`run_with`]; keeps the capture file if `keep` says so.
#[must_use]
pub fn run_kept(scenario: &Scenario, keep: bool, mut meddle: impl FnMut(&mut Sim<'_>)) -> Report {
    let wire = SharedWire::new(scenario.seed, scenario.network, keep);
    let control = Control::new();
    let mut memories = Vec::new();
    for pair in 0..scenario.pairs {
        for role in [Role::Client, Role::Server] {
            memories.push(Memory::new(scenario, role, pair, &wire));
        }
    }
    let machines = memories.iter_mut().map(|memory| memory.machine(scenario, &control)).collect();
    let mut sim =
        Sim { machines, wire: wire.clone(), control: &control, scenario, now: 0, steps: 0 };
    sim.go(&mut meddle);
    let report = sim.report();
    drop(sim);
    for memory in &memories {
        assert_eq!(memory.queue.outstanding(), 0, "a dropped worker keeps no frame");
    }
    report
}

impl Sim<'_> {
    /// The network.
    pub fn wire(&self) -> std::sync::MutexGuard<'_, Wire> {
        self.wire.get()
    }

    /// The time, in nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Rounds so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Every slot of one machine.
    #[must_use]
    pub fn slots(&self, machine: usize) -> &[Slot] {
        self.machines[machine].worker.slots()
    }

    /// Counters of one machine.
    #[must_use]
    pub fn counts(&self, machine: usize) -> Snapshot {
        self.machines[machine].reader.snapshot()
    }

    fn go(&mut self, meddle: &mut impl FnMut(&mut Sim<'_>)) {
        self.control.advance(Phase::Run);
        let limit = self.scenario.duration + LONGEST_DRAIN;
        while self.now < self.scenario.duration {
            meddle(self);
            self.round(self.scenario.duration);
        }
        self.control.advance(Phase::Drain);
        loop {
            meddle(self);
            self.round(limit);
            let open: u64 = self.machines.iter().map(|m| m.worker.open_connections()).sum();
            let under_way = self.wire.get().next_arrival().is_some();
            if open == 0 && !under_way {
                break;
            }
            assert!(self.now < limit, "{open} connections never end: {}", self.oldest());
            assert!(self.steps < LONGEST_BUSY, "the workers run in a circle");
        }
        self.control.advance(Phase::Stop);
        self.round(limit);
        self.round(limit);
    }

    /// One turn of each worker; then time goes on, at most to `end`.
    fn round(&mut self, end: u64) {
        self.steps += 1;
        let mut work = 0;
        for machine in &mut self.machines {
            work += machine.worker.run_once(Instant(self.now)).work;
        }
        let soon = self.now + self.scenario.turn;
        self.now = if work > 0 { soon } else { self.next().unwrap_or(end).min(end).max(soon) };
        self.wire.get().set_now(self.now);
    }

    /// When something happens next, if anything does.
    fn next(&self) -> Option<u64> {
        let deadlines = self.machines.iter().filter_map(|m| m.worker.next_deadline());
        deadlines.map(|at| at.0).chain(self.wire.get().next_arrival()).min()
    }

    /// A connection that does not end, told for the reader of a failure.
    fn oldest(&self) -> String {
        let open = self.machines.iter().flat_map(|m| m.worker.slots().iter().map(|s| (m.role, s)));
        open.filter(|(_, slot)| !slot.is_closed())
            .map(|(role, slot)| format!("{role:?} {slot:?}"))
            .next()
            .unwrap_or_default()
    }

    fn report(&self) -> Report {
        let wire = self.wire.get();
        let outcome = |(station, machine): (usize, &Machine<'_>)| Outcome {
            role: machine.role,
            counts: machine.reader.snapshot(),
            tally: machine.worker.queue().tally(),
            fates: wire.fates(station),
            held: machine.worker.frames_held(),
            open: machine.worker.slots().iter().filter(|slot| !slot.is_closed()).count(),
        };
        Report {
            machines: self.machines.iter().enumerate().map(outcome).collect(),
            hash: wire.capture.hash(),
            frames: wire.capture.frames(),
            steps: self.steps,
            end: self.now,
            capture: wire.capture.file().map(<[u8]>::to_vec),
        }
    }
}

impl Drop for Sim<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let Scenario { seed, .. } = self.scenario;
        eprintln!("seed {seed} step {} at {} ns: {:?}", self.steps, self.now, self.scenario);
        eprintln!("again: DPERF_SIM_SEED={seed} DPERF_SIM_PCAP=/tmp/sim.pcap cargo test …");
        write_capture(&self.wire);
    }
}

/// Writes the capture where `DPERF_SIM_PCAP` says.
pub fn write_capture(wire: &SharedWire) {
    let Some(path) = std::env::var_os("DPERF_SIM_PCAP") else { return };
    if let Some(file) = wire.get().capture.file()
        && let Err(why) = std::fs::write(&path, file)
    {
        eprintln!("{}: {why}", path.display());
    }
}
