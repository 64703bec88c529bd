//! Real workers on a simulated network in simulated time: a run is a function of its scenario.
//!
//! Nothing sleeps. When no worker finds work, time jumps to the next arrival or the next deadline.
//! How a run that fails is told and found again: [`crate::replay`].

use dperf_core::conn::Slot;
use dperf_core::frame::TRAY_PLACES;
use dperf_core::plan::{CorePlan, Role};
use dperf_core::stats::{Page, Reader, Snapshot};
use dperf_core::sync::{Control, Gateway, Phase};
use dperf_core::time::Instant;
use dperf_core::worker::{Lent, Worker};

use crate::queue::{SimQueue, Tally};
use crate::replay;
use crate::scenario::{SECOND, Scenario, Side, mac, spread};
use crate::slow_kernel::{Seen, SlowKernel};
use crate::station::Ledger;
use crate::wire::{Fates, SharedWire, Wire};

/// A run that has not ended this long after the last opening never will.
const LONGEST_DRAIN: u64 = 600 * SECOND;
/// Turns with work but without an end in sight: something runs in a circle.
const LONGEST_BUSY: u64 = 50_000_000;

/// One worker of a machine.
struct Core<'m> {
    worker: Worker<'m, &'m mut SimQueue, &'m mut SlowKernel>,
    reader: Reader<'m>,
    /// The machine it belongs to: its station on the wire.
    station: usize,
    role: Role,
}

/// A run in progress.
pub struct Sim<'m> {
    cores: Vec<Core<'m>>,
    wire: SharedWire,
    control: &'m Control,
    scenario: &'m Scenario,
    now: u64,
    steps: u64,
}

/// What one worker, or all of a machine together, came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Book {
    /// The counters.
    pub counts: Snapshot,
    /// What the queue saw.
    pub tally: Tally,
    /// What the kernel saw.
    pub kernel: Seen,
    /// Frames in its hands at the end.
    pub held: u64,
    /// Slots that are not closed at the end.
    pub open: u64,
}

impl Book {
    fn plus(self, other: &Book) -> Book {
        let (one, two) = (self.tally, other.tally);
        Book {
            counts: self.counts.plus(&other.counts),
            tally: Tally {
                received: one.received + two.received,
                taken: one.taken + two.taken,
                sent: one.sent + two.sent,
                given_back: one.given_back + two.given_back,
                largest_burst: one.largest_burst.max(two.largest_burst),
            },
            kernel: Seen {
                taken: self.kernel.taken + other.kernel.taken,
                sent: self.kernel.sent + other.kernel.sent,
            },
            held: self.held + other.held,
            open: self.open + other.open,
        }
    }
}

/// What one machine came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Client or server.
    pub role: Role,
    /// The counters of all its workers.
    pub counts: Snapshot,
    /// What each of its workers came to.
    pub cores: Vec<Book>,
    /// What the network did to the load that it sent.
    pub fates: Fates,
    /// What the network did to what was meant for it.
    pub ledger: Ledger,
}

impl Outcome {
    /// All its workers together.
    #[must_use]
    pub fn book(&self) -> Book {
        self.cores.iter().fold(Book::default(), Book::plus)
    }
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

/// The memory of one worker.
struct Memory {
    slots: Vec<Slot>,
    page: Page,
    queue: SimQueue,
    kernel: SlowKernel,
}

/// The memory of one machine.
struct Machine {
    side: Side,
    role: Role,
    station: usize,
    gateway: Gateway,
    cores: Vec<Memory>,
}

impl Machine {
    fn new(scenario: &Scenario, role: Role, pair: usize, wire: &SharedWire) -> Machine {
        let side = Side::new(scenario, role, pair);
        let queues = side.cores(scenario);
        let station = wire.get().attach(mac(role, pair).0, queues, spread(scenario.ipv6, queues));
        let tuples = scenario.tuples();
        let core = |core| Memory {
            slots: vec![Slot::default(); tuples],
            page: Page::new(),
            queue: SimQueue::new(wire.clone(), (station, core), scenario),
            kernel: SlowKernel::new(
                wire.clone(),
                scenario.seed ^ u64::from(core),
                side.ping(scenario),
                scenario.duration,
            ),
        };
        Machine {
            role,
            station,
            gateway: Gateway::new(scenario.gateway_known.then(|| side.peer_mac())),
            cores: (0..queues).map(core).collect(),
            side,
        }
    }

    /// Its workers.
    fn start<'m>(
        &'m mut self,
        scenario: &Scenario,
        control: &'m Control,
    ) -> impl Iterator<Item = Core<'m>> {
        let Machine { side, role, station, gateway, cores } = self;
        let (side, gateway, role, station) = (&*side, &*gateway, *role, *station);
        cores.iter_mut().enumerate().map(move |(core, memory)| {
            let plan: CorePlan<'m> = side.plan_of(scenario, core as u16);
            let Memory { slots, page, queue, kernel } = memory;
            let (stats, reader) = page.open();
            let lent = Lent { slots, stats, gateway, control };
            let worker = Worker::new(plan, queue, kernel, lent, Instant(0));
            Core { worker: worker.expect("the memory fits the plan"), reader, station, role }
        })
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
    run_kept(scenario, replay::wants_capture(), meddle)
}

/// As [`run_with`]; keeps the capture file if `keep` says so.
#[must_use]
pub fn run_kept(scenario: &Scenario, keep: bool, mut meddle: impl FnMut(&mut Sim<'_>)) -> Report {
    let wire = SharedWire::new(scenario.seed, scenario.network, keep);
    let control = Control::new();
    let mut machines = Vec::new();
    for pair in 0..scenario.pairs {
        for role in [Role::Client, Role::Server] {
            machines.push(Machine::new(scenario, role, pair, &wire));
        }
    }
    let cores = machines.iter_mut().flat_map(|machine| machine.start(scenario, &control)).collect();
    let mut sim = Sim { cores, wire: wire.clone(), control: &control, scenario, now: 0, steps: 0 };
    sim.go(&mut meddle);
    let report = sim.report();
    drop(sim);
    for memory in machines.iter().flat_map(|machine| &machine.cores) {
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

    /// Every slot of one worker.
    #[must_use]
    pub fn slots(&self, core: usize) -> &[Slot] {
        self.cores[core].worker.slots()
    }

    /// Counters of one worker.
    #[must_use]
    pub fn counts(&self, core: usize) -> Snapshot {
        self.cores[core].reader.snapshot()
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
            let open: u64 = self.cores.iter().map(|core| core.worker.open_connections()).sum();
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
        for core in &mut self.cores {
            work += core.worker.run_once(Instant(self.now)).work;
        }
        let soon = self.now + self.scenario.turn;
        self.now = if work > 0 { soon } else { self.next().unwrap_or(end).min(end).max(soon) };
        self.wire.get().set_now(self.now);
    }

    /// When something happens next, if anything does.
    fn next(&self) -> Option<u64> {
        let deadlines = self.cores.iter().filter_map(|core| core.worker.next_deadline());
        deadlines.map(|at| at.0).chain(self.wire.get().next_arrival()).min()
    }

    /// A connection that does not end, told for the reader of a failure.
    fn oldest(&self) -> String {
        let open = self.cores.iter().flat_map(|c| c.worker.slots().iter().map(|s| (c.role, s)));
        open.filter(|(_, slot)| !slot.is_closed())
            .map(|(role, slot)| format!("{role:?} {slot:?}"))
            .next()
            .unwrap_or_default()
    }

    /// What all came to, once every worker has gone.
    fn report(&mut self) -> Report {
        let mut machines: Vec<Outcome> = Vec::new();
        for Core { mut worker, reader, station, role } in std::mem::take(&mut self.cores) {
            // As often as frames may wait; a device that takes none takes none then.
            let _ = (0..TRAY_PLACES).any(|_| worker.flush(Instant(self.now)));
            let (tally, kernel) = (worker.queue().tally(), worker.exception().seen());
            let open = worker.slots().iter().filter(|slot| !slot.is_closed()).count() as u64;
            let held = worker.frames_held() as u64;
            drop(worker);
            let book = Book { counts: reader.snapshot(), tally, kernel, held, open };
            match machines.get_mut(station) {
                Some(machine) => machine.cores.push(book),
                None => machines.push(self.outcome(station, role, book)),
            }
        }
        for machine in &mut machines {
            machine.counts = machine.book().counts;
        }
        let wire = self.wire.get();
        Report {
            machines,
            hash: wire.capture.hash(),
            frames: wire.capture.frames(),
            steps: self.steps,
            end: self.now,
            capture: wire.capture.file().map(<[u8]>::to_vec),
        }
    }

    /// A machine of which one worker is known.
    fn outcome(&self, station: usize, role: Role, book: Book) -> Outcome {
        let wire = self.wire.get();
        let (fates, ledger) = (wire.fates(station), wire.ledger(station));
        Outcome { role, counts: book.counts, cores: vec![book], fates, ledger }
    }
}

impl Drop for Sim<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            replay::tell(self.scenario, (self.steps, self.now), self.wire.get().capture.file());
        }
    }
}
