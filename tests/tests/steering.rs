//! Any number of workers on either side, with any number of addresses, over a port that chooses
//! queues by a hash: every flow has one worker on each side, every tuple is used, rates are exact.
//!
//! The program's own plan and link, and real workers in simulated time, all in one thread.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use dperf_core::exception::Closed;
use dperf_core::port::PacketQueue;
use dperf_core::stats::{Count, Reader, Snapshot};
use dperf_core::steer::Hash;
use dperf_core::sync::{Control, Gateway, Phase};
use dperf_core::time::{Instant, TickRate};
use dperf_core::worker::{Lent, Worker};
use dperf_shell::clock::Clock;
use dperf_shell::config::{self, Config, Source};
use dperf_shell::crew;
use dperf_shell::learn::learn;
use dperf_shell::memory;
use dperf_shell::plan::Plan;
use dperf_shell::port::{Delivery, Facts, Opened, link, rss};

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLI;
/// What one round of turns takes.
const TURN: u64 = 1_000;

/// Who there is: workers of the client and of the server, and server addresses.
const CROWDS: &[[u16; 3]] = &[
    [1, 1, 1],
    [1, 2, 1],
    [2, 1, 3],
    [2, 2, 1],
    [2, 2, 2],
    [1, 4, 2],
    [4, 1, 1],
    [2, 4, 5],
    [4, 2, 3],
    [4, 4, 1],
    [3, 2, 7],
];

struct Side {
    workers: Vec<Worker<'static, &'static mut dyn PacketQueue, Closed>>,
    readers: Vec<Reader<'static>>,
}

impl Side {
    fn new(config: &Config, port: Opened, control: &'static Control) -> Side {
        let plan = Plan::new(config, &[port.facts], TickRate::NANOSECONDS);
        let plan = plan.unwrap_or_else(|why| panic!("{why}"));
        let gateway: &Gateway = Box::leak(Box::new(Gateway::new(config.ports[0].gateway_mac)));
        let mut side = Side { workers: Vec::new(), readers: Vec::new() };
        for (worker, queue) in plan.lend().into_iter().zip(port.queues) {
            let slots = memory::slots(worker.slots).expect("memory");
            let (stats, reader) = crew::page();
            let lent = Lent { slots, stats, gateway, control };
            let queue: &mut dyn PacketQueue = Box::leak(queue);
            let worker = Worker::new(worker.core, queue, Closed, lent, Instant(0));
            side.workers.push(worker.expect("the memory fits the plan"));
            side.readers.push(reader);
        }
        side
    }

    fn total(&self) -> Snapshot {
        let pages = self.readers.iter().map(Reader::snapshot);
        pages.reduce(|sum, page| sum.plus(&page)).expect("a worker")
    }

    /// By whom each tuple was used; no tuple has two.
    fn users(&self) -> Vec<Option<usize>> {
        let mut users = vec![None; self.workers[0].slots().len()];
        for (index, worker) in self.workers.iter().enumerate() {
            for (user, slot) in users.iter_mut().zip(worker.slots()) {
                if slot.is_own {
                    assert_eq!(user.replace(index), None, "a flow has two workers: {slot:?}");
                }
            }
        }
        users
    }
}

/// The configurations of a client and a server, with lines for both and for the client.
fn configs(crowd: [u16; 3], [both, client]: [&str; 2], ipv6: bool) -> [Config; 2] {
    let [clients, servers, addresses] = crowd;
    let (net, dot) = if ipv6 { ("fd00::", ":") } else { ("10.0.", ".") };
    let address = |side: u8, host: u8| format!("{net}{side}{dot}{host}");
    let cpus = |count| (0..count).map(|cpu: u16| cpu.to_string()).collect::<Vec<_>>().join(" ");
    let text = |mode, workers, [ours, theirs]: [u8; 2], mac, more: &str| {
        format!(
            "mode {mode}\ncpu {}\nport link:a {} {} {mac}\nduration 1h\nclient {} 3\n\
                 server {} {addresses}\nneigh_ignore\n{both}\n{more}\n",
            cpus(workers),
            address(ours, 1),
            address(theirs, 1),
            address(1, 2),
            address(2, 2)
        )
    };
    let [client_mac, server_mac] = link::MACS;
    let client = format!("slow_start 0\n{client}");
    let texts = [
        text("client", clients, [1, 2], server_mac, &client),
        text("server", servers, [2, 1], client_mac, ""),
    ];
    texts.map(|text| {
        let source = Source { name: "test".to_owned(), bytes: text.into_bytes() };
        config::read(&[source]).unwrap_or_else(|why| panic!("{why}")).config
    })
}

struct Run {
    sides: [Side; 2],
    control: &'static Control,
    now: u64,
}

impl Run {
    fn new(crowd: [u16; 3], lines: [&str; 2]) -> Run {
        Run::told(crowd, lines, &rss::KEY, false)
    }

    /// The client's end says that it hashes with the key `told`.
    fn told(crowd: [u16; 3], lines: [&str; 2], told: &[u8], ipv6: bool) -> Run {
        let [clients, servers, _] = crowd;
        let control: &Control = Box::leak(Box::default());
        let choices = [clients, servers].map(|queues| rss::even(ipv6, queues));
        let (mut near, far) = link::open_hashed(choices, 1514, link::FRAMES);
        let hash = Hash::toeplitz(told, ipv6, true);
        near.facts.delivery = Delivery::Hashed(rss::lend(hash, choices[0].table().to_vec()));
        let mut ends = [near, far].into_iter();
        let sides = configs(crowd, lines, ipv6)
            .map(|config| Side::new(&config, ends.next().expect("two ends"), control));
        control.advance(Phase::Run);
        Run { sides, control, now: 0 }
    }

    /// Goes on until `end`; where nobody has anything to do, to the next deadline.
    fn until(&mut self, end: u64) {
        while self.now < end {
            let mut work = 0;
            let workers = self.sides.iter_mut().flat_map(|side| &mut side.workers);
            let mut workers: Vec<_> = workers.collect();
            for worker in &mut workers {
                work += worker.run_once(Instant(self.now)).work;
            }
            let soon = self.now + TURN;
            let deadlines = workers.iter().filter_map(|worker| worker.next_deadline());
            let next = deadlines.map(|at| at.0).min().unwrap_or(end);
            self.now = if work > 0 { soon } else { next.clamp(soon, end.max(soon)) };
        }
    }

    /// Ends everything that is open; nothing may have gone wrong.
    fn end(&mut self) -> [Snapshot; 2] {
        self.control.advance(Phase::Drain);
        self.until(self.now + SECOND);
        let totals = [self.sides[0].total(), self.sides[1].total()];
        for total in &totals {
            assert_eq!(total.open_connections(), 0, "{total:?}");
            for count in [
                Count::SkErr,
                Count::HttpErr,
                Count::TcpDrop,
                Count::RstTx,
                Count::SynRt,
                Count::AckRt,
                Count::BadRx,
                Count::DropTx,
            ] {
                assert_eq!(total.get(count), 0, "{total:?}");
            }
        }
        assert_eq!(totals[0].get(Count::SkOpen), totals[1].get(Count::SkOpen));
        totals
    }
}

/// Every worker of the client's and the server's has some of the flows.
fn assert_spread(users: &[Option<usize>], workers: u16) {
    let all = users.iter().flatten().count();
    for worker in 0..usize::from(workers) {
        let own = users.iter().flatten().filter(|user| **user == worker).count();
        let fair = all / usize::from(workers);
        assert!(own.abs_diff(fair) <= fair / 3, "worker {worker} has {own} of {all}");
    }
}

#[test]
fn every_tuple_is_used_and_every_flow_stays_on_one_core() {
    let crowds = CROWDS.iter().map(|crowd| (crowd, false));
    for (&crowd, ipv6) in crowds.chain([(&[2, 2, 1], true), (&[4, 2, 3], true)]) {
        let [clients, servers, addresses] = crowd;
        let tuples = 3 * u64::from(addresses) * 400;
        // So that each comes round at least twice.
        let (cps, seconds) = (tuples / 4, 9);
        let client = format!("cps {cps}\nlaunch_num 1");
        let lines = ["protocol http\nclient_port_range 1000 1399", &client];
        let mut run = Run::told(crowd, lines, &rss::KEY, ipv6);
        run.until(seconds * SECOND + 1);
        let opened = run.sides[0].total().get(Count::SkOpen);
        let asked = cps * seconds;
        assert!(opened.abs_diff(asked) <= u64::from(clients), "{crowd:?}: {opened} of {asked}");
        let totals = run.end();
        assert_eq!(totals[0].get(Count::Http2xx), opened, "{crowd:?}");
        let [by_client, by_server] = [run.sides[0].users(), run.sides[1].users()];
        assert_eq!(by_client.len() as u64, tuples);
        assert!(by_client.iter().all(Option::is_some), "{crowd:?}: a tuple was never used");
        assert!(by_server.iter().all(Option::is_some), "{crowd:?}");
        assert_spread(&by_client, clients);
        assert_spread(&by_server, servers);
    }
}

#[test]
fn as_many_connections_are_open_as_are_asked_for() {
    for &crowd in CROWDS {
        let asked = 300;
        let mut run =
            Run::new(crowd, ["protocol http\nkeepalive 1ms", &format!("cps 20k\ncc {asked}")]);
        run.until(40 * MILLI);
        for _ in 0..10 {
            run.until(run.now + MILLI);
            assert_eq!(run.sides[0].total().open_connections(), asked, "{crowd:?}");
            assert_eq!(run.sides[1].total().open_connections(), asked, "{crowd:?}");
        }
        run.end();
        let used = |side: &Side| side.users().iter().flatten().count() as u64;
        assert_eq!((used(&run.sides[0]), used(&run.sides[1])), (asked, asked), "{crowd:?}");
    }
}

/// A device that hashes otherwise than it says: its answers come to workers that never asked. They
/// are counted by that name, and nobody's connection is reset.
#[test]
fn a_device_that_hashes_otherwise_is_found_out() {
    let load = |protocol: &str, key: u8| {
        let mut told = rss::KEY;
        // What the low bits of clients' ports add to the low bits of the hash.
        told[14] ^= key;
        let mut run = Run::told([2, 2, 1], [protocol, "cps 1k"], &told, false);
        run.until(SECOND);
        run.sides[0].total()
    };
    for (protocol, answers, dropped) in [
        ("protocol http", Count::Http2xx, Count::TcpDrop),
        ("protocol udp", Count::UdpRx, Count::UdpDrop),
    ] {
        let (honest, lying) = (load(protocol, 0), load(protocol, 0x55));
        assert!(honest.get(dropped) == 0 && honest.get(answers) >= 990, "{honest:?}");
        let wrong = lying.get(Count::DropWrongQueue);
        assert!(wrong > 100 && wrong == lying.get(dropped), "{lying:?}");
        assert_eq!(lying.get(Count::RstTx), 0);
    }
}

#[test]
fn datagrams_are_shared_like_connections() {
    for crowd in [[2, 2, 1], [4, 2, 3], [3, 1, 1]] {
        let mut run = Run::new(crowd, ["protocol udp", "cps 2k\nlaunch_num 1"]);
        run.until(2 * SECOND + 1);
        run.control.advance(Phase::Drain);
        run.until(run.now + 10 * MILLI);
        let [client, server] = [run.sides[0].total(), run.sides[1].total()];
        assert!(client.get(Count::SkOpen).abs_diff(4000) <= u64::from(crowd[0]), "{client:?}");
        assert_eq!(client.get(Count::UdpTx), server.get(Count::UdpRx), "{crowd:?}");
        assert_eq!(client.get(Count::UdpRx), server.get(Count::UdpTx), "{crowd:?}");
        assert_eq!((client.get(Count::UdpDrop), client.get(Count::UdpRt)), (0, 0), "{client:?}");
        let used =
            |worker: &Worker<'_, _, _>| worker.slots().iter().filter(|slot| slot.is_own).count();
        let used: Vec<usize> = run.sides[0].workers.iter().map(used).collect();
        assert_eq!(used.iter().sum::<usize>() as u64, client.get(Count::SkOpen), "{used:?}");
    }
}

/// Serves, each worker on its queue, until `stop`.
fn serve(config: &Config, port: Opened, stop: &AtomicBool) {
    let control: &Control = Box::leak(Box::default());
    let mut side = Side::new(config, port, control);
    control.advance(Phase::Run);
    let begun = std::time::Instant::now();
    while !stop.load(Relaxed) {
        let now = Instant(begun.elapsed().as_nanos() as u64);
        let work: u32 = side.workers.iter_mut().map(|worker| worker.run_once(now).work).sum();
        if work == 0 {
            std::thread::yield_now();
        }
    }
}

/// What a client learns of its end `near` that tells nothing, from a server at `far`, if there is
/// one.
fn learned(
    crowd: [u16; 3],
    ipv6: bool,
    near: Opened,
    far: Option<Opened>,
) -> Result<Opened, String> {
    let [client, server] = configs(crowd, ["protocol http", "cps 1k"], ipv6);
    let facts = Facts { delivery: Delivery::Unknown, ..near.facts };
    let mut ports = [Opened { facts, ..near }];
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _server = far.map(|far| scope.spawn(|| serve(&server, far, &stop)));
        let done = learn(&client, &mut ports, &Clock::start(), &|| false, false);
        stop.store(true, Relaxed);
        done.map_err(|why| format!("{why:#}"))
    })?;
    let [port] = ports;
    assert!(port.notes[0].contains("connections before the run showed"), "{:?}", port.notes);
    Ok(port)
}

#[test]
fn a_hash_that_is_not_told_is_learned() {
    for (crowd, ipv6) in [([2, 2, 1], false), ([4, 1, 3], false), ([4, 2, 2], true)] {
        let choices = [crowd[0], crowd[1]].map(|queues| rss::even(ipv6, queues));
        let (near, far) = link::open_hashed(choices, 1514, link::FRAMES);
        let port = learned(crowd, ipv6, near, Some(far)).unwrap();
        let Delivery::Hashed(found) = port.facts.delivery else { panic!("{:?}", port.facts) };
        let net: &[u8] = if ipv6 { &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] } else { &[10, 0] };
        let address = |side: u8, host: u8| match ipv6 {
            true => [net, &[0, side, 0, host]].concat(),
            false => [net, &[side, host]].concat(),
        };
        for port in (1..=u16::MAX).step_by(7) {
            let client = address(1, 2 + (port % 3) as u8);
            let server = address(2, 2 + (port % crowd[2]) as u8);
            let answer = ((&*server, 80), (&*client, port));
            let told = choices[0].queue_of(answer.0, answer.1);
            assert_eq!(found.queue_of(answer.0, answer.1), told, "{crowd:?}: {port}");
        }
    }
}

#[test]
fn answers_that_come_back_where_they_were_asked_for_need_no_hash() {
    let (near, far) = link::open(2, 1514, link::FRAMES);
    let port = learned([2, 2, 1], false, near, Some(far)).unwrap();
    assert!(matches!(port.facts.delivery, Delivery::Paired), "{:?}", port.facts);
}

#[test]
fn what_cannot_be_learned_is_refused() {
    let choices = [3, 1].map(|queues| rss::even(false, queues));
    let (near, far) = link::open_hashed(choices, 1514, link::FRAMES);
    let why = learned([3, 1, 1], false, near, Some(far)).err().unwrap();
    assert!(why.starts_with("test:3:1: ") && why.ends_with("give it one core"), "{why}");
    let (near, far) = link::open(2, 1514, link::FRAMES);
    let why = learned([2, 2, 1], false, near, None).err().unwrap();
    assert!(why.contains("10.0.2.2 does not answer within 10 s: start the server first"), "{why}");
    drop(far);
}
