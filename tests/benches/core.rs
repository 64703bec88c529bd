//! What a packet costs in the core: time-stamp-counter ticks and instructions per packet event.
//!
//! Client and server alternate in one thread over an in-process link; each turn of either worker is
//! timed, and so is each call into the link, which is printed apart. Turns that moved nothing are
//! left out and their share is printed. A packet event is one frame received or one frame sent.
//! Checksums are computed and verified in software; the request has 85 bytes, the answer 99.
//!
//! `cargo bench -p dperf-tests --bench core` prints the table; `-- --scenario NAME --turns N` runs
//! one scenario (what callgrind is pointed at); with `--exception` the workers have a way to a
//! kernel that says nothing. `-- --instructions` counts with callgrind, `-- --gate` holds the count
//! against the record, `-- --record` records it.

#![allow(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use dperf_core::conn::Slot;
use dperf_core::exception::{Closed, Delivered, ExceptionPath};
use dperf_core::frame::{Frame, Tray};
use dperf_core::plan::{
    AddressBlock, AddressList, CorePlan, Encap, Keepalive, Messages, PacePlan, Payload, PortRange,
    Role, Transport, number,
};
use dperf_core::port::{Capabilities, Faults, PacketQueue, PortState};
use dperf_core::stats::{Count as Counter, Page, Reader, Snapshot};
use dperf_core::steer::Steering;
use dperf_core::sync::{Control, Gateway, Phase};
use dperf_core::time::{Instant, TickRate};
use dperf_core::worker::{Lent, Worker};
use dperf_shell::memory;
use dperf_shell::port::link::{self, LinkQueue, MACS};
use dperf_tests::callgrind::{self, Count};
use dperf_tests::namespace;
use dperf_tests::record::{self, Entry, TOLERANCE, Verdict};

/// One kind of load.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    /// Tuples, all of which are in use.
    connections: u32,
    kind: Kind,
}

/// What a connection does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One request.
    Short,
    /// A request in its turn, again and again.
    Kept,
    /// A datagram as soon as the last one was answered.
    Datagrams,
    /// Datagrams to nobody, more than can leave: there is no server.
    Flood,
}

const SCENARIOS: [Scenario; 10] = [
    Scenario { name: "short-1k", connections: 1_000, kind: Kind::Short },
    Scenario { name: "short-100k", connections: 100_000, kind: Kind::Short },
    Scenario { name: "short-1m", connections: 1_000_000, kind: Kind::Short },
    Scenario { name: "short-10m", connections: 10_000_000, kind: Kind::Short },
    Scenario { name: "keepalive-1k", connections: 1_000, kind: Kind::Kept },
    Scenario { name: "keepalive-100k", connections: 100_000, kind: Kind::Kept },
    Scenario { name: "keepalive-1m", connections: 1_000_000, kind: Kind::Kept },
    Scenario { name: "keepalive-10m", connections: 10_000_000, kind: Kind::Kept },
    Scenario { name: "udp-512", connections: 512, kind: Kind::Datagrams },
    Scenario { name: "flood-1k", connections: 1_000, kind: Kind::Flood },
];

impl Scenario {
    /// Requests or connections that begin in one turn of the client: about half a burst or one (a
    /// short connection sends the client three frames), and no more timers than one turn rings.
    fn per_turn(&self) -> u64 {
        match self.kind {
            Kind::Short => 10,
            Kind::Kept | Kind::Datagrams => 14,
            Kind::Flood => 32,
        }
    }

    fn is_kept(&self) -> bool {
        self.kind != Kind::Short
    }

    fn is_udp(&self) -> bool {
        matches!(self.kind, Kind::Datagrams | Kind::Flood)
    }

    /// All connections are open at once, and stay so.
    fn opens_all(&self) -> bool {
        matches!(self.kind, Kind::Kept | Kind::Flood)
    }

    /// The count of what was done.
    fn done(&self) -> Counter {
        match self.kind {
            Kind::Short | Kind::Kept => Counter::Http2xx,
            Kind::Datagrams => Counter::UdpRx,
            Kind::Flood => Counter::UdpTx,
        }
    }
}

/// How long a segment is waited for.
const TIMEOUT_US: u32 = 2_000_000;
/// Virtual ticks from one turn to the next.
const TURN_TICKS: u64 = 64_000;
/// The clock's rate the plans are made for.
const RATE: TickRate = TickRate::NANOSECONDS;

/// Reads the processor's counter.
fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reading the counter changes nothing; every x86-64 processor has it.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    dperf_shell::clock::Clock::start().now().0
}

/// A queue that times what is done in it.
struct Timed {
    queue: LinkQueue,
    ticks: u64,
    /// Calls timed.
    calls: u64,
}

impl Timed {
    fn time<T>(&mut self, act: impl FnOnce(&mut LinkQueue) -> T) -> T {
        let before = ticks();
        let result = act(&mut self.queue);
        self.ticks += ticks() - before;
        self.calls += 1;
        result
    }
}

// SAFETY: every call is handed on to the link's queue, which keeps the promise itself.
unsafe impl PacketQueue for Timed {
    fn capabilities(&self) -> Capabilities {
        self.queue.capabilities()
    }
    fn receive(&mut self, into: &mut Tray) {
        self.time(|queue| queue.receive(into));
    }
    fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        self.time(|queue| queue.take(want, into))
    }
    fn transmit(&mut self, from: &mut Tray) -> usize {
        self.time(|queue| queue.transmit(from))
    }
    fn give_back(&mut self, from: &mut Tray) {
        self.time(|queue| queue.give_back(from));
    }
    fn state(&mut self) -> PortState {
        self.queue.state()
    }
    fn faults(&mut self) -> Faults {
        self.queue.faults()
    }
}

/// What was measured of one side.
#[derive(Clone, Default)]
struct Cost {
    /// Ticks in `run_once`, the link included.
    turn_ticks: u64,
    link_ticks: u64,
    link_calls: u64,
    turns: u64,
    idle_turns: u64,
    counts: Snapshot,
    /// Of each turn: ticks outside the link, calls into it, packet events.
    each: Vec<(u64, u64, u64)>,
}

impl Cost {
    fn events(&self) -> u64 {
        self.counts.get(Counter::PktRx) + self.counts.get(Counter::PktTx)
    }

    /// The median turn's ticks per packet event: what the mean would be if nobody ever took the
    /// processor away in mid-turn.
    fn median_turn(&self, tick_cost: u64) -> f64 {
        let cost = |&(own, calls, events): &(u64, u64, u64)| {
            own.saturating_sub((1 + calls) * tick_cost) as f64 / events.max(1) as f64
        };
        median(self.each.iter().map(cost).collect())
    }

    /// Ticks per packet event outside the link, the timing's own cost taken off: the mean.
    fn core_cycles(&self, tick_cost: u64) -> f64 {
        let own = self.turn_ticks.saturating_sub(self.link_ticks);
        let timing = (self.turns + self.link_calls) * tick_cost;
        own.saturating_sub(timing) as f64 / self.events().max(1) as f64
    }

    fn link_cycles(&self) -> f64 {
        self.link_ticks as f64 / self.events().max(1) as f64
    }
}

/// A way to a kernel that has nothing to say, without its system calls: what is left is what asking
/// it costs the worker itself.
#[derive(Clone, Copy)]
struct Silent;

impl ExceptionPath for Silent {
    fn deliver(&mut self, packets: &[Frame]) -> Delivered {
        Delivered { done: packets.len(), refused: 0 }
    }

    fn collect(&mut self, _: &mut [Frame]) -> usize {
        0
    }
}

/// One side with its worker.
struct Side<X: ExceptionPath> {
    worker: Worker<'static, &'static mut Timed, X>,
    timed: *const Timed,
    reader: Reader<'static>,
    before: Snapshot,
    cost: Cost,
}

impl<X: ExceptionPath> Side<X> {
    fn link(&self) -> (u64, u64) {
        // SAFETY: the queue is leaked and lives for ever; the worker is not in a call.
        unsafe { ((*self.timed).ticks, (*self.timed).calls) }
    }

    fn turn(&mut self, now: u64) {
        let (link_before, calls_before) = self.link();
        let events_before = self.events();
        let before = ticks();
        let load = self.worker.run_once(Instant(now));
        let spent = ticks() - before;
        let (link_after, calls_after) = self.link();
        if load.work == 0 {
            self.cost.idle_turns += 1;
            return;
        }
        self.cost.turns += 1;
        self.cost.turn_ticks += spent;
        let (link, calls) = (link_after - link_before, calls_after - calls_before);
        self.cost.link_ticks += link;
        self.cost.link_calls += calls;
        let events = self.events() - events_before;
        self.cost.each.push((spent.saturating_sub(link), calls, events));
    }

    /// Frames received and sent so far.
    fn events(&self) -> u64 {
        self.reader.get(Counter::PktRx) + self.reader.get(Counter::PktTx)
    }

    fn begin(&mut self) {
        self.before = self.reader.snapshot();
        self.cost = Cost::default();
    }

    fn end(&mut self) -> Cost {
        self.cost.counts = self.reader.snapshot().since(&self.before);
        std::mem::take(&mut self.cost)
    }
}

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

fn list(first: Ipv4Addr, count: u32) -> AddressList<'static> {
    let address = |place| IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() + place));
    let addresses: Vec<IpAddr> = (0..count).map(address).collect();
    let block = AddressBlock { first: number(addresses[0]), count, base: 0 };
    AddressList::new(leak([block]), Vec::leak(addresses))
}

/// The plan of one side: its tuple space holds exactly the scenario's connections.
fn plan(scenario: Scenario, role: Role) -> CorePlan<'static> {
    let hosts = [Ipv4Addr::new(10, 0, 255, 1), Ipv4Addr::new(10, 1, 255, 1)].map(IpAddr::V4);
    let (own, peer) = if role == Role::Client { (0, 1) } else { (1, 0) };
    let ports = scenario.connections.min(50_000);
    let udp = scenario.is_udp();
    let body = b"hello dperf!\r\n";
    let mut message = vec![0u8; 99];
    let head: &[u8] = match role {
        _ if udp => &[b'a'; 18],
        Role::Client => {
            let spec = dperf_core::http::RequestSpec::default();
            let bytes = dperf_core::http::write_request(&mut message, &spec).unwrap();
            message.truncate(bytes);
            Vec::leak(message)
        }
        Role::Server => {
            dperf_core::http::write_response(&mut message, 0, !scenario.is_kept()).unwrap();
            assert!(message.ends_with(body));
            Vec::leak(message)
        }
    };
    let turns_per_second = 1_000_000_000 / TURN_TICKS;
    let per_second = scenario.per_turn() * turns_per_second;
    // All connections take their turn once per interval.
    let interval_us = u64::from(scenario.connections) * 1_000_000 / per_second;
    let interval_us = match scenario.kind {
        Kind::Datagrams => 0,
        // Four times what can leave.
        Kind::Flood => (interval_us / 4).max(1),
        Kind::Short | Kind::Kept => interval_us.max(1),
    };
    let keepalive = Keepalive { interval_us, requests: 0 };
    CorePlan {
        role,
        rate: RATE,
        mac: MACS[own],
        host: hosts[own],
        gateway: hosts[peer],
        encap: Encap::None,
        announces: true,
        clients: list(Ipv4Addr::new(10, 0, 0, 1), scenario.connections.div_ceil(ports)),
        servers: list(Ipv4Addr::new(10, 1, 0, 1), 1),
        client_ports: PortRange { first: 1024, count: ports },
        listen: PortRange { first: 80, count: 1 },
        steering: Steering::Whole,
        neigh_ignore: true,
        tos: 0,
        mss: 1460,
        send_window: 4,
        transport: if udp { Transport::Udp } else { Transport::Tcp },
        payload: Payload { head, total_bytes: head.len() as u32 },
        messages: Messages::HttpGet,
        keepalive: scenario.is_kept().then_some(keepalive),
        pace: PacePlan {
            // Kept connections take two intervals to open, so that both sides keep up meanwhile and
            // as many ask in every turn afterwards.
            cps: if scenario.kind == Kind::Kept { per_second / 2 } else { per_second },
            cc: if scenario.is_kept() { u64::from(scenario.connections) } else { 0 },
            launch: 1,
            slow_start_s: 0,
            wait_s: 0,
        },
        flood: scenario.kind == Kind::Flood,
        pipeline: 1,
        client_hop: false,
        destinations: &[],
        port_addresses: AddressList::new(&[], &[]),
        retransmit_timeout_us: TIMEOUT_US,
        // As the program has it: what follows an idle time-out is part of what is measured.
        idle_timeout_us: keepalive.interval_us + 4 * u64::from(TIMEOUT_US),
        tcp_rst: true,
        fast_close: false,
        disable_ack: false,
        tx_burst: 64,
        seed: 1,
    }
}

fn side<X: ExceptionPath>(
    (scenario, exception): (Scenario, X),
    role: Role,
    queue: LinkQueue,
    control: &'static Control,
) -> Side<X> {
    let plan = plan(scenario, role);
    let timed = leak(Timed { queue, ticks: 0, calls: 0 });
    let shown = core::ptr::from_ref(timed);
    let (stats, reader) = leak(Page::new()).open();
    let slots = memory::slots(plan.tuples()).unwrap();
    let gateway = leak(Gateway::new(Some(MACS[if role == Role::Client { 1 } else { 0 }])));
    let lent = Lent { slots, stats, gateway, control };
    Side {
        worker: Worker::new(plan, timed, exception, lent, Instant(0)).unwrap(),
        timed: shown,
        reader,
        before: Snapshot::default(),
        cost: Cost::default(),
    }
}

/// The far end of the link.
enum Far<X: ExceptionPath> {
    Server(Box<Side<X>>),
    /// What comes is let go.
    Nobody(LinkQueue),
}

impl<X: ExceptionPath> Far<X> {
    fn begin(&mut self) {
        if let Far::Server(side) = self {
            side.begin();
        }
    }

    fn turn(&mut self, now: u64) {
        match self {
            Far::Server(side) => side.turn(now),
            Far::Nobody(queue) => {
                let mut came = Tray::new();
                queue.receive(&mut came);
                queue.give_back(&mut came);
            }
        }
    }

    fn end(&mut self) -> Cost {
        match self {
            Far::Server(side) => side.end(),
            Far::Nobody(_) => Cost::default(),
        }
    }
}

/// Runs a scenario: warm until every slot was used and every kept connection is open and has asked
/// since, then `turns` turns of each side measured.
fn run<X: ExceptionPath + Copy>(scenario: Scenario, exception: X, turns: u64) -> [Cost; 2] {
    let (near, far) = link::pair(1514, 256);
    let control = leak(Control::new());
    control.advance(Phase::Run);
    let mut client = side((scenario, exception), Role::Client, near, control);
    let mut server = match scenario.kind {
        Kind::Flood => Far::Nobody(far),
        _ => Far::Server(Box::new(side((scenario, exception), Role::Server, far, control))),
    };
    let mut now = 1_000_000_000;
    // In a round every connection has its turn; kept ones take two to open, and ask once since.
    let rounds = if scenario.kind == Kind::Kept { 3 } else { 1 };
    let warm = rounds * (u64::from(scenario.connections) * 5 / 4 / scenario.per_turn() + 1000);
    for turn in 0..warm + turns {
        if turn == warm {
            let open = client.reader.get(Counter::SkOpen);
            let all = !scenario.opens_all() || open == u64::from(scenario.connections);
            assert!(all, "{}: {open}", scenario.name);
            client.begin();
            server.begin();
        }
        now += TURN_TICKS;
        client.turn(now);
        server.turn(now);
    }
    let costs = [client.end(), server.end()];
    let [c, _] = &costs;
    assert_eq!(
        c.counts.get(Counter::SkErr) + c.counts.get(Counter::HttpErr),
        0,
        "{}",
        scenario.name
    );
    assert!(
        c.counts.get(scenario.done()) >= turns * scenario.per_turn() * 9 / 10,
        "{}",
        scenario.name
    );
    costs
}

/// The least cost of reading the counter, back to back.
fn tick_cost() -> u64 {
    (0..10_000)
        .map(|_| {
            let before = ticks();
            ticks() - before
        })
        .min()
        .unwrap_or(0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn table(rounds: usize) {
    let tick_cost = tick_cost();
    println!("ticks per packet event (one frame received or sent): median of {rounds} runs");
    println!("mean: of all turns that moved something; turn: of the median turn; both without the");
    println!(
        "link, whose own cost stands apart, and less {tick_cost} ticks per reading of the counter"
    );
    println!(
        "{:<16}{:>13}{:>13}{:>13}{:>13}{:>8}{:>13}{:>7}",
        "scenario",
        "client mean",
        "client turn",
        "server mean",
        "server turn",
        "link",
        "events/conn",
        "idle"
    );
    for scenario in SCENARIOS {
        let rounds = if scenario.connections >= 1_000_000 { rounds.min(3) } else { rounds };
        let turns = 60_000;
        let runs: Vec<[Cost; 2]> = (0..rounds).map(|_| run(scenario, Closed, turns)).collect();
        let of = |figure: &dyn Fn(&[Cost; 2]) -> f64| median(runs.iter().map(figure).collect());
        let per = |[c, s]: &[Cost; 2]| {
            (c.events() + s.events()) as f64 / c.counts.get(scenario.done()).max(1) as f64
        };
        // A flood has one side.
        let sides = if scenario.kind == Kind::Flood { 1 } else { 2 };
        let idle = |[c, s]: &[Cost; 2]| {
            100.0 * (c.idle_turns + s.idle_turns) as f64 / (sides * turns) as f64
        };
        println!(
            "{:<16}{:>13.1}{:>13.1}{:>13.1}{:>13.1}{:>8.1}{:>13.2}{:>6.0}%",
            scenario.name,
            of(&|run| run[0].core_cycles(tick_cost)),
            of(&|run| run[0].median_turn(tick_cost)),
            of(&|run| run[1].core_cycles(tick_cost)),
            of(&|run| run[1].median_turn(tick_cost)),
            of(&|run| (run[0].link_cycles() + run[1].link_cycles()) / sides as f64),
            of(&per),
            of(&idle)
        );
    }
    println!("bytes per connection, with its timers: {}", size_of::<Slot>());
}

/// A scenario's instructions by room and its packet events, by callgrind: the difference of two
/// runs, so that start-up and warming cancel out.
fn instructions(scenario: Scenario, more: &[&str]) -> (Count, f64) {
    let program = std::env::current_exe().unwrap();
    let (short, long) = (2_000, 6_000);
    let count = |turns: u64| {
        let turns = turns.to_string();
        let mut arguments = vec!["--silent", "--scenario", scenario.name, "--turns", &turns];
        arguments.extend(more);
        callgrind::count(&program, &arguments)
    };
    let events = |turns| run(scenario, Closed, turns).iter().map(Cost::events).sum::<u64>();
    (count(long).less(&count(short)), (events(long) - events(short)) as f64)
}

/// Prints the budget: instructions per packet event by room. Holds it against the record, or
/// records it, as `words` say; false if it has grown.
fn budget(words: &[String]) -> bool {
    let asked = |word: &str| words.iter().any(|other| other == word);
    let scenarios = || SCENARIOS.iter().filter(|scenario| scenario.connections <= 1_000);
    let counts: Vec<(Count, f64)> = scenarios().map(|one| instructions(*one, &[])).collect();
    let named: Vec<(&str, &Count, f64)> = scenarios()
        .zip(&counts)
        .map(|(scenario, (count, events))| (scenario.name, count, *events))
        .collect();
    println!("instructions per packet event (one frame received or sent), by callgrind");
    print!("{}", callgrind::table(&named));
    let compiler = namespace::run("rustc --version").trim().to_owned();
    let entry = |&(name, count, events): &(&str, &Count, f64)| Entry {
        scenario: name.to_owned(),
        instructions: count.total() as f64 / events,
        compiler: compiler.clone(),
    };
    let entries: Vec<Entry> = named.iter().map(entry).collect();
    if asked("--record") {
        std::fs::write(record::PATH, record::write(&entries)).expect("the record can be written");
        println!("recorded in {}", record::PATH);
    }
    if !asked("--gate") {
        for (scenario, entry) in scenarios().zip(&entries) {
            let (count, events) = instructions(*scenario, &["--exception"]);
            let silent = count.total() as f64 / events;
            let more = 100.0 * (silent / entry.instructions - 1.0);
            println!("{} with a silent kernel: {silent:.1} ({more:+.2} %)", scenario.name);
        }
        return true;
    }
    let before = record::read(&std::fs::read_to_string(record::PATH).expect("there is a record"));
    let before = before.unwrap_or_else(|complaint| panic!("{}: {complaint}", record::PATH));
    let mut holds = true;
    for entry in &entries {
        match record::judge(&before, entry) {
            Verdict::Holds(said) | Verdict::Apart(said) => println!("{said}"),
            Verdict::Fails(said) => {
                holds = false;
                println!("{said}: more than {TOLERANCE} % is too much. If it must be, record it:");
                println!("    cargo bench -p dperf-tests --bench core -- --record");
            }
        }
    }
    holds
}

/// What asks for instructions instead of ticks.
const COUNTING: [&str; 3] = ["--instructions", "--gate", "--record"];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        words.iter().position(|word| word == name).and_then(|at| words.get(at + 1)).cloned()
    };
    match after("--scenario") {
        Some(name) => {
            let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
            let turns = after("--turns").and_then(|turns| turns.parse().ok()).unwrap_or(60_000);
            let scenario = *scenario.expect("a scenario's name");
            let costs = match words.iter().any(|word| word == "--exception") {
                true => run(scenario, Silent, turns),
                false => run(scenario, Closed, turns),
            };
            if words.iter().any(|word| word == "--silent") {
                return ExitCode::SUCCESS;
            }
            let tick_cost = tick_cost();
            for cost in costs {
                println!(
                    "{:.1} mean, {:.1} median turn, {:.1} link",
                    cost.core_cycles(tick_cost),
                    cost.median_turn(tick_cost),
                    cost.link_cycles()
                );
            }
        }
        None if words.iter().any(|word| COUNTING.contains(&word.as_str())) => {
            if !budget(&words) {
                return ExitCode::FAILURE;
            }
        }
        None => table(5),
    }
    ExitCode::SUCCESS
}
