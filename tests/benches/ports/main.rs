//! What the whole program comes to over a port, beside another tester and beside the driver alone:
//! one row per load, in dperf's own configuration language, so that both read the same lines.
//!
//! ```text
//! cargo bench -p dperf-tests --bench ports -- [LOAD...] [--rounds N] [--peer PATH] [--name NAME]
//! ```
//!
//! Build the program first (`make bench` does). `PATH` is a tester that reads these configurations,
//! prints dperf's blocks and takes DPDK's virtual devices for `port` (and `slow_start 1`); without
//! it the program is measured alone. Runs of both take turns; a figure is a median with the least
//! and the most. The driver's row holds how many times its ticks our client takes, of the rounds
//! in which both were measured one after the other. Cycles are ticks of the time-stamp counter: the
//! part of its time that a worker says it was busy, over packets received and sent. Instructions
//! per packet are those of our core, both sides and the link together, as the core's own benchmark
//! recorded them. Bytes per connection are those that a process grew by, with what was touched
//! before. Where workers waited for their processor, the machine was measured: run it again. What
//! is missing is skipped by name.

mod driver;
mod figures;
mod knee;
mod load;
mod run;
mod start;

use std::path::PathBuf;

use dperf_shell::clock::Clock;
use dperf_tests::program;

use figures::{Figures, headline};
use load::{LOADS, Load};
use run::{Bench, Tester};

/// Seconds of a run that are looked at.
const SECONDS: u64 = 3;

/// What the command line asks for.
struct Asked {
    loads: Vec<String>,
    rounds: usize,
    peer: Option<Tester>,
}

impl Asked {
    fn read() -> Asked {
        let mut asked = Asked { loads: Vec::new(), rounds: 2, peer: None };
        let mut name = "peer".to_string();
        let mut path = None;
        let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            match word.as_str() {
                "--rounds" => asked.rounds = value().parse().expect("--rounds N"),
                "--peer" => path = Some(PathBuf::from(value())),
                "--name" => name = value(),
                _ => asked.loads.push(word),
            }
        }
        let known = |name: &&String| LOADS.iter().any(|load| load.name == name.as_str());
        let unknown = asked.loads.iter().find(|name| !known(name) && *name != start::NAME);
        if let Some(name) = unknown {
            let names: Vec<&str> = LOADS.iter().map(|load| load.name).collect();
            panic!("no load '{name}'; there are: {}, {}", names.join(", "), start::NAME);
        }
        asked.peer = path.map(|path| Tester { path, name, ours: false });
        asked
    }

    fn wants(&self, name: &str) -> bool {
        self.loads.is_empty() || self.loads.iter().any(|asked| asked == name)
    }
}

/// Runs of all testers in turns, and of the driver alone.
fn measure(bench: &Bench, load: &Load, testers: &[Tester], rounds: usize) -> Figures {
    let rates: Vec<u64> = testers.iter().map(|tester| knee::rate(bench, load, tester)).collect();
    let mut runs: Vec<Vec<run::Run>> = testers.iter().map(|_| Vec::new()).collect();
    let mut floors = Vec::new();
    let has_driver = driver::is_there(load.transport);
    for _ in 0..rounds {
        for (index, tester) in testers.iter().enumerate() {
            let from = load.first_second(rates[index]);
            runs[index].push(bench.run(load, tester, rates[index], from..from + SECONDS));
        }
        if has_driver {
            floors.push(driver::floor(bench, load.transport));
        }
    }
    Figures::of(load, &runs, floors, bench.hz)
}

fn main() {
    let asked = Asked::read();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    if cpus < 2 {
        println!("skipped: ports needs two processors");
        return;
    }
    let bench = Bench::new(Clock::start().rate().hz() as f64);
    let ours = Tester { path: program::path(), name: "ours".to_string(), ours: true };
    let testers: Vec<Tester> = std::iter::once(ours).chain(asked.peer.clone()).collect();
    println!("median [least..most] of {} runs, one core per side", asked.rounds);
    println!("ticks of {:.0} MHz per packet received or sent, client and server", bench.hz / 1e6);
    println!("{}", headline());
    for load in LOADS.iter().filter(|load| asked.wants(load.name)) {
        match load.transport.lacking() {
            Some(what) => println!("skipped: {} needs {what}", load.name),
            None => {
                let testers: Vec<Tester> =
                    testers.iter().filter(|one| one.ours || load.for_both()).cloned().collect();
                print!("{}", measure(&bench, load, &testers, asked.rounds).rows(&testers));
            }
        }
    }
    if asked.wants(start::NAME) {
        start::measure(&bench, &testers, asked.rounds);
    }
}
