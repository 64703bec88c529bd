//! One worker of ours and one foreign TCP on a network that loses, doubles, reorders and damages,
//! in simulated time: either side asks and answers, every byte is the right one, and in the end no
//! connection is left on either side.

use std::fmt::Write as _;

use dperf_core::conn::Slot;
use dperf_core::exception::Closed;
use dperf_core::http::{Method, RequestSpec, write_request};
use dperf_core::plan::Role;
use dperf_core::port::Offloads;
use dperf_core::stats::{Count, Page, Snapshot};
use dperf_core::sync::{Control, Gateway, Phase};
use dperf_core::time::Instant;
use dperf_core::worker::{Lent, Worker};
use dperf_tests::conditions::Conditions;
use dperf_tests::judge::Judge;
use dperf_tests::queue::SimQueue;
use dperf_tests::replay;
use dperf_tests::scenario::{MICRO, MILLI, SECOND, Scenario, Side, mac};
use dperf_tests::wire::SharedWire;

/// Whatever has not ended by then never will.
const LONGEST: u64 = 600 * SECOND;

/// A foreign TCP with a program on it that asks or answers.
pub(crate) trait Peer {
    /// Takes what came, lets its time be `now` (in nanoseconds), and says what it sends.
    fn turn(&mut self, now: u64, came: &[Vec<u8>]) -> Vec<Vec<u8>>;
    /// When it next has something to do, if nothing comes.
    fn next(&mut self) -> u64;
    /// What its program saw so far.
    fn tally(&mut self) -> Tally;
}

/// What a peer's program saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    /// Connections that ended with all that was to be said on them: a client's when every answer
    /// was there, a server's behind an answer.
    pub(crate) done: u64,
    /// Connections that ended before.
    pub(crate) failed: u64,
    /// Bytes that were not those expected.
    pub(crate) wrong: u64,
    /// Connections that are not closed.
    pub(crate) open: u64,
}

/// What a peer's program is to do.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Client: it opens connections and asks. Server: it answers on port 80.
    pub(crate) role: Role,
    /// Every request.
    pub(crate) request: Vec<u8>,
    /// Every answer.
    pub(crate) response: Vec<u8>,
    /// Connections that a client opens.
    pub(crate) connections: u64,
    /// Requests on each connection.
    pub(crate) requests: u64,
}

impl Job {
    /// The message that the peer sends, and the one that it expects.
    pub(crate) fn messages(&self) -> [&[u8]; 2] {
        match self.role {
            Role::Client => [&self.request, &self.response],
            Role::Server => [&self.response, &self.request],
        }
    }
}

/// Connections that a peer's client has open at once, at most.
pub(crate) const PARALLEL: u64 = 8;

/// One of a peer's ports, and of ours.
pub(crate) const FIRST_PORT: u16 = 1024;

/// A network and its name.
const NETWORKS: [(&str, Conditions); 6] = [
    ("no loss", LINE),
    ("1 % loss", Conditions { loss: 10_000, ..LINE }),
    ("5 % loss", Conditions { loss: 50_000, ..LINE }),
    ("reordering", Conditions { reorder: 100_000, ..LINE }),
    ("duplication", Conditions { duplicate: 100_000, ..LINE }),
    (
        "all of it",
        Conditions { loss: 10_000, reorder: 50_000, duplicate: 50_000, damage: 10_000, ..LINE },
    ),
];

/// A good line that is some way long.
const LINE: Conditions =
    Conditions { delay: 500 * MICRO, jitter: 100 * MICRO, ..Conditions::CABLE };

/// What is exchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// A small answer and an end.
    Short,
    /// A hundred kilobytes.
    Large,
    /// Three answers on one connection.
    Kept,
    /// Twenty kilobytes to the server.
    Upload,
}

impl Shape {
    /// A load of this shape, with so many connections.
    fn scenario(self, network: Conditions, seed: u64) -> (Scenario, u64) {
        let scenario = Scenario {
            network,
            space: [1, 1, 1000, 1],
            cps: 100,
            duration: 400 * MILLI,
            // As patient as smoltcp, which sends its SYN-ACK again after a second.
            retransmit_us: 1_000_000,
            idle_us: 120_000_000,
            turn: 50 * MICRO,
            ..Scenario::short(seed)
        };
        match self {
            Shape::Short | Shape::Upload => (scenario, 40),
            Shape::Large => (Scenario { response_bytes: 100_000, cps: 25, ..scenario }, 10),
            Shape::Kept => {
                let keepalive = Some((10_000, 3));
                (Scenario { response_bytes: 3_000, keepalive, cps: 50, ..scenario }, 20)
            }
        }
    }
}

/// Lets `judge` take every case against the peers that `make` makes.
pub(crate) fn try_all<P: Peer>(judge: &mut Judge<'_>, make: impl Fn(&Job, [u8; 6]) -> P) {
    for (name, network) in NETWORKS {
        for ours in [Role::Client, Role::Server] {
            for shape in [Shape::Short, Shape::Large, Shape::Kept, Shape::Upload] {
                // Our requests are one segment.
                if (ours, shape) == (Role::Client, Shape::Upload) {
                    continue;
                }
                for seed in 1..=3 {
                    let case = format!("our {ours:?}, {shape:?}, {name}, seed {seed}");
                    judge.case(case, run(ours, shape, network, seed, &make));
                }
            }
        }
    }
}

fn run<P: Peer>(
    ours: Role,
    shape: Shape,
    network: Conditions,
    seed: u64,
    make: impl Fn(&Job, [u8; 6]) -> P,
) -> Result<(), String> {
    let (scenario, connections) = shape.scenario(network, seed);
    let theirs = if ours == Role::Client { Role::Server } else { Role::Client };
    let mut request = Side::new(&scenario, Role::Client, 0).whole_message();
    if shape == Shape::Upload {
        let spec =
            RequestSpec { method: Method::Post, payload_size: 20_000, ..RequestSpec::default() };
        request.resize(20_000, 0);
        assert_eq!(write_request(&mut request, &spec), Some(20_000));
    }
    let job = Job {
        role: theirs,
        request,
        response: Side::new(&scenario, Role::Server, 0).whole_message(),
        connections,
        requests: scenario.keepalive.map_or(1, |(_, requests)| requests.into()),
    };
    let mut peer = make(&job, mac(theirs, 0).0);
    let wire = SharedWire::new(seed, network, replay::wants_capture());
    let met = meet(&scenario, ours, &wire, &mut peer).and_then(|(counts, end)| {
        judge(ours, network, &job, &counts, peer.tally())
            .map_err(|why| format!("{why}; over after {} ms", end / MILLI))
    });
    if met.is_err() {
        replay::keep(wire.get().capture.file());
    }
    met
}

/// Lets our worker and `peer` run to the end of both. Our counters, and when that was.
fn meet(
    scenario: &Scenario,
    ours: Role,
    wire: &SharedWire,
    peer: &mut impl Peer,
) -> Result<(Snapshot, u64), String> {
    let side = Side::new(scenario, ours, 0);
    let here = wire.get().attach_one(mac(ours, 0).0);
    let there = wire.get().attach_one(side.peer_mac().0);
    let tuples = scenario.tuples();
    let mut slots = vec![Slot::default(); tuples];
    let mut page = Page::new();
    let (stats, reader) = page.open();
    let gateway = Gateway::new(Some(side.peer_mac()));
    let control = Control::new();
    control.advance(Phase::Run);
    let lent = Lent { slots: &mut slots, stats, gateway: &gateway, control: &control };
    let plain = Scenario { offloads: Offloads::empty(), ..*scenario };
    let queue = SimQueue::new(wire.clone(), (here, 0), &plain);
    let mut worker =
        Worker::new(side.plan(scenario), queue, Closed, lent, Instant(0)).expect("it fits");
    let mut now = 0;
    while now < LONGEST {
        wire.get().set_now(now);
        let mut came = Vec::new();
        while wire.get().receive(there, 0, |frame| came.push(frame.to_vec())) {}
        if !came.is_empty() || peer.next() <= now {
            for frame in peer.turn(now, &came) {
                wire.get().send(there, &frame);
            }
        }
        let work = worker.run_once(Instant(now)).work;
        if now >= scenario.duration {
            if ours == Role::Client {
                control.advance(Phase::Drain);
            }
            let under_way = wire.get().next_arrival().is_some();
            let open = worker.open_connections();
            if open == 0 && !under_way && peer.tally().open == 0 {
                return Ok((reader.snapshot(), now));
            }
        }
        let deadline = worker.next_deadline().map(|at| at.0);
        let soonest = deadline.into_iter().chain(wire.get().next_arrival()).min();
        let end = if now < scenario.duration { scenario.duration } else { LONGEST };
        let soonest = soonest.unwrap_or(end).min(peer.next()).min(end);
        let soon = now + scenario.turn;
        now = if work > 0 { soon } else { soonest.max(soon) };
    }
    let stuck = worker.slots().iter().find(|slot| !slot.is_closed());
    Err(format!("never over: {:?}, {stuck:?}", peer.tally()))
}

fn judge(
    ours: Role,
    network: Conditions,
    job: &Job,
    counts: &Snapshot,
    tally: Tally,
) -> Result<(), String> {
    let mut wrong = String::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            let _ = write!(wrong, "{what}; ");
        }
    };
    let of = |count| counts.get(count);
    let retransmitted = of(Count::SynRt) + of(Count::FinRt) + of(Count::PushRt) + of(Count::AckRt);
    let opened = of(Count::SkOpen);
    must(tally.wrong == 0, "a byte is not the right one");
    must(of(Count::HttpErr) == 0, "HTTP is broken");
    must(opened == of(Count::SkClose), "a connection is not closed");
    if ours == Role::Server {
        must(tally.done + tally.failed == job.connections, "a connection of theirs has no end");
    } else {
        must(opened.abs_diff(job.connections) <= 1, "another number of connections");
        let (asked, answered) = (of(Count::HttpGet), of(Count::Http2xx));
        must(asked >= opened && answered + of(Count::SkErr) >= asked, "an answer is missing");
    }
    if network.is_faithful() {
        must(tally.failed == 0 && of(Count::SkErr) == 0, "a connection failed for no reason");
        must(tally.done == opened, "the two do not agree on how many");
        must(retransmitted == 0, "we sent something twice for no reason");
    } else {
        must(tally.done * 20 >= job.connections * 19, "too few were served");
    }
    let errors = of(Count::SkErr);
    let said = format!("{wrong}{opened} opened, {errors} errors, {retransmitted} again, {tally:?}");
    if wrong.is_empty() { Ok(()) } else { Err(said) }
}
