//! Four workers on each side, each on a thread of its own, with each way to the kernel that there
//! is. What the kernels send each other crosses two workers; what is lost is counted.

use std::time::{Duration, Instant};

use dperf_core::exception::ExceptionPath;
use dperf_core::stats::{Count, Snapshot};
use dperf_core::sync::Phase;
use dperf_shell::clock::Clock;
use dperf_shell::config::Config;
use dperf_shell::exception;
use dperf_shell::port::{Facts, link};
use dperf_tests::flood::{self, Tally};
use dperf_tests::kernel::Traffic;
use dperf_tests::namespace::{Namespace, alone};
use dperf_tests::threads::{Running, WORKERS, sides};

use crate::{nothing_wrong, overflowed, quiet, set_up, shell};

/// Packets through ways to the kernel, both directions and both sides together.
fn packets() -> u64 {
    let asked = std::env::var("DPERF_RACE_PACKETS").ok();
    asked.map_or(1_000_000, |asked| asked.parse().expect("DPERF_RACE_PACKETS is a number"))
}

/// Connections opened in a second besides.
const CPS: u64 = 200;

/// How a side's ways to the kernel are made: paths, and the interfaces behind them.
type Open = fn(&Config, &Facts) -> (Vec<Box<dyn ExceptionPath>>, Vec<String>);

/// As configured: what the program does.
fn configured(config: &Config, facts: &Facts) -> (Vec<Box<dyn ExceptionPath>>, Vec<String>) {
    let wanted = config.exception.as_ref().expect("a way to the kernel");
    let opened = exception::open(wanted, config.role, 0, facts, usize::from(WORKERS));
    let opened = opened.expect("the kernel has TAP");
    assert!(opened.notes.is_empty(), "{:?}", opened.notes);
    (opened.paths, opened.interfaces)
}

/// One queue for all: what the program does where the kernel gives no more.
fn shared(config: &Config, facts: &Facts) -> (Vec<Box<dyn ExceptionPath>>, Vec<String>) {
    let wanted = config.exception.as_ref().expect("a way to the kernel");
    let names = wanted.interfaces(config.role, 0, 1);
    let paths = exception::open_shared(&names[0], facts, usize::from(WORKERS));
    (paths.expect("the kernel has TAP"), names)
}

#[test]
fn each_worker_has_a_queue_of_one_tap() {
    crowd("each_worker_has_a_queue_of_one_tap", "exception tap race", configured);
}

#[test]
fn each_worker_has_a_tap() {
    crowd("each_worker_has_a_tap", "exception tap-per-core race", configured);
}

#[test]
fn all_workers_share_a_tap_with_one_queue() {
    crowd("all_workers_share_a_tap_with_one_queue", "exception tap race", shared);
}

/// One side's books: what its workers, its interfaces and its sockets counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Books {
    workers: Snapshot,
    kernel: Traffic,
    overflowed: u64,
}

impl Books {
    fn of(running: &Running, (namespace, interfaces): (&Namespace, &[String])) -> Books {
        Books {
            workers: running.total(),
            kernel: Traffic::of(namespace, interfaces),
            overflowed: overflowed(namespace),
        }
    }

    fn count(&self, count: Count) -> u64 {
        self.workers.get(count)
    }

    fn sum(&self, counts: &[Count]) -> u64 {
        counts.iter().map(|count| self.count(*count)).sum()
    }
}

fn crowd(test: &str, exception: &str, open: Open) {
    let Some(_alone) = alone(test, &[]) else { return };
    let namespaces = quiet();
    let clock = Clock::start();
    let mut subnets = 0;
    let mut host = 0;
    let started = sides(exception, CPS).map(|side| {
        let namespace = &namespaces[host];
        let (config, facts) = (&side.config, &side.port.facts);
        let (paths, interfaces) = namespace.inside(|| open(config, facts));
        host += 1;
        for (n, name) in interfaces.iter().enumerate() {
            shell(namespace, &set_up(name, n, host, link::MACS[2 - host]));
        }
        subnets = interfaces.len();
        (Running::start(side, paths, &clock), interfaces)
    });
    for phase in [Phase::Resolve, Phase::Run] {
        started.iter().for_each(|(running, _)| running.advance(phase));
    }
    let [here, there] = &namespaces;
    let begun = Instant::now();
    // Each packet goes through two ways to the kernel.
    let tallies = flood::exchange([here, there], subnets, packets() / 4);
    let took = begun.elapsed();
    started.iter().for_each(|(running, _)| running.drain());
    let books = at_rest(|| {
        [0, 1].map(|side: usize| Books::of(&started[side].0, (&namespaces[side], &started[side].1)))
    });
    let ended = started.map(|(running, _)| running.stop());
    drop(ended);
    tell(test, &books, &tallies, took);
    nothing_wrong(&tallies);
    for side in &books {
        one_side(side);
    }
    for (from, to) in [(0, 1), (1, 0)] {
        one_direction(&books[from], &books[to], &tallies[from]);
    }
}

/// The books once nothing is written into them any more.
fn at_rest(look: impl Fn() -> [Books; 2]) -> [Books; 2] {
    // Turns are counted at rest as well, and what they cost.
    let moved = |books: &[Books; 2]| {
        let counts = Count::ALL
            .iter()
            .filter(|count| !matches!(count, Count::Turns | Count::IdleTurns | Count::BusyTicks));
        let counted = |books: &Books| counts.clone().map(|count| books.count(*count)).sum::<u64>();
        books.map(|books| (counted(&books), books.kernel, books.overflowed))
    };
    let begun = Instant::now();
    let mut last = look();
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = look();
        if moved(&now) == moved(&last) {
            return now;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{now:?}");
        last = now;
    }
}

fn tell(test: &str, books: &[Books; 2], tallies: &[Tally; 2], took: Duration) {
    use Count::{KniErrors, KniFull, KniRx, KniTx};
    let crossed: u64 = books.iter().map(|side| side.sum(&[KniRx, KniTx, KniErrors])).sum();
    println!(
        "{test}: {crossed} packets in {:.1} s, {:.2} us each; sent {} {}, received {} {}; kniFull \
         {} {}; {} connections",
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / crossed as f64,
        tallies[0].sent,
        tallies[1].sent,
        tallies[0].received,
        tallies[1].received,
        books[0].count(KniFull),
        books[1].count(KniFull),
        books[0].count(Count::SkClose),
    );
}

/// What the workers say is what the kernel says, and every frame came to its end.
fn one_side(side: &Books) {
    use Count::{
        ArpTx, BadRx, DropForeignMac, DropTx, IcmpTx, KniErrors, KniFull, KniRx, KniTx, PktRx,
        PktTx, TcpRx, TcpTx, UdpRx, UdpTx,
    };
    let Traffic { received, sent, receive_drops, .. } = side.kernel;
    assert_eq!((received, sent), (side.count(KniRx), side.count(KniTx)), "{side:?}");
    assert_eq!(receive_drops, side.count(KniErrors), "{side:?}");
    assert_eq!(side.sum(&[BadRx, DropForeignMac, UdpRx]), 0, "{side:?}");
    assert_eq!(side.count(PktRx), side.sum(&[TcpRx, KniRx, KniFull, KniErrors]), "{side:?}");
    let made = side.sum(&[TcpTx, UdpTx, ArpTx, IcmpTx, KniTx]);
    assert_eq!(side.sum(&[PktTx, DropTx]), made, "{side:?}");
}

/// What one side sent is what the other received, and every numbered packet is in one book.
fn one_direction(from: &Books, to: &Books, tally: &Tally) {
    let told = format!("{tally:?}\n{from:?}\n{to:?}");
    assert_eq!(from.count(Count::PktTx), to.count(Count::PktRx), "the link loses nothing\n{told}");
    assert_eq!(tally.sent, from.count(Count::KniTx) + from.kernel.send_drops, "{told}");
    // What refreshes the gateway's address in a long run is copied to the kernel, if there is room.
    let refreshes = from.count(Count::ArpTx);
    let copies = to.count(Count::KniRx).checked_sub(tally.received + to.overflowed);
    let full = to.count(Count::KniFull);
    assert!(copies.is_some_and(|n| n <= refreshes && n + full >= refreshes), "{told}");
    // On a machine that stands still for half a second the link takes nothing for so long, and what
    // waits is given up: the kernel's packets and the load's.
    let came = to.sum(&[Count::KniRx, Count::KniFull, Count::KniErrors]);
    let given_up = (from.count(Count::KniTx) + refreshes).checked_sub(came);
    assert!(given_up.is_some_and(|count| count <= from.count(Count::DropTx)), "{told}");
}
