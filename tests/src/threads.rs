//! More workers than processors: the program's own crew on one link, client and server, each worker
//! on a thread of its own, so that any of them may be stopped anywhere while the others go on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dperf_core::exception::ExceptionPath;
use dperf_core::stats::{Reader, Snapshot};
use dperf_core::sync::{Control, Gateway, Phase};
use dperf_shell::clock::Clock;
use dperf_shell::config::{self, Config, Source};
use dperf_shell::crew::{self, Parts, Thread, Watch};
use dperf_shell::memory;
use dperf_shell::plan::Plan;
use dperf_shell::port::{Opened, link};

/// Workers of each side.
pub const WORKERS: u16 = 4;
/// How long open connections may take to end.
const LONGEST: Duration = Duration::from_secs(30);

/// One side of a link that is still to be started.
pub struct Side {
    /// What it is to do.
    pub config: Config,
    /// Its end of the link.
    pub port: Opened,
}

/// Both ends of one link, the client's first, with a load of `cps` connections a second.
///
/// # Panics
/// `exception` is not a line of the configuration language.
pub fn sides(exception: &str, cps: u64) -> [Side; 2] {
    let [client, server] = link::MACS;
    let both = format!(
        "cpu 0 1 2 3\nduration 1h\nclient 10.0.1.2 8\nserver 10.0.2.2 2\nprotocol http\nrss\n\
         neigh_ignore\n{exception}\n"
    );
    let texts = [
        format!(
            "mode client\nport link:test 10.0.1.1 10.0.2.1 {server}\nslow_start 0\ncps \
             {cps}\n{both}"
        ),
        format!("mode server\nport link:test 10.0.2.1 10.0.1.1 {client}\n{both}"),
    ];
    let (first, second) = link::open(WORKERS, 1514, link::FRAMES);
    let mut ends = [first, second].into_iter();
    texts.map(|text| {
        let source = Source { name: "test".to_owned(), bytes: text.into_bytes() };
        let config = config::read(&[source]).unwrap_or_else(|why| panic!("{why}")).config;
        Side { config, port: ends.next().expect("two ends") }
    })
}

/// One side while its workers turn.
pub struct Running {
    readers: Vec<Reader<'static>>,
    control: &'static Control,
    threads: Vec<Thread>,
}

impl Running {
    /// Starts each worker of `side` with one of `paths` on a thread of its own.
    ///
    /// # Panics
    /// The system refuses.
    pub fn start(side: Side, paths: Vec<Box<dyn ExceptionPath>>, clock: &Clock) -> Running {
        let Side { config, port } = side;
        let plan = Plan::new(&config, &[port.facts], clock.rate()).expect("it fits the link");
        let gateway: &Gateway = Box::leak(Box::new(Gateway::new(config.ports[0].gateway_mac)));
        let control: &Control = Box::leak(Box::default());
        let cpus = crew::processors().expect("the system says");
        let (mut readers, mut threads) = (Vec::new(), Vec::new());
        for ((worker, queue), path) in plan.lend().into_iter().zip(port.queues).zip(paths) {
            let (stats, reader) = crew::page();
            readers.push(reader);
            let parts = Parts {
                plan: worker.core,
                queue,
                exception: Some(path),
                slots: memory::slots(worker.slots).expect("memory"),
                stats,
                gateway,
                control,
                watch: Arc::new(Watch::default()),
            };
            let cpu = cpus[usize::from(worker.cpu) % cpus.len()];
            threads.push(crew::start(cpu, vec![parts], clock).expect("a thread"));
        }
        assert_eq!(threads.len(), usize::from(WORKERS), "every worker has a queue and a path");
        Running { readers, control, threads }
    }

    /// Goes on to `phase`.
    pub fn advance(&self, phase: Phase) {
        self.control.advance(phase);
    }

    /// What all its workers counted.
    pub fn total(&self) -> Snapshot {
        let pages = self.readers.iter().map(Reader::snapshot);
        pages.reduce(|sum, page| sum.plus(&page)).unwrap_or_default()
    }

    /// Opens nothing new and waits until nothing is open.
    ///
    /// # Panics
    /// It does not come to its end.
    pub fn drain(&self) {
        self.advance(Phase::Drain);
        let begun = Instant::now();
        while self.total().open_connections() > 0 {
            assert!(begun.elapsed() < LONGEST, "{:?}", self.total());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the threads. Their queues go when both sides have ended.
    ///
    /// # Panics
    /// One of them panicked.
    pub fn stop(self) -> Vec<impl Sized> {
        self.advance(Phase::Stop);
        let ended = self.threads.into_iter().map(|thread| thread.join().expect("no panic"));
        ended.map(|queues| queues.expect("a worker was built")).collect()
    }
}
