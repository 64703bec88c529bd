//! What the whole program comes to over a port: connections and requests per second on one core per
//! side, cycles per packet from the program's own records, and what the driver alone costs.
//!
//! The real program is driven: over an in-process link, over shared memory between two processes
//! (net_memif), and against DPDK's null device, where every SYN stays unanswered. A rate is clean
//! if nothing was lost, repeated or late on either side. Cycles are ticks of the time-stamp counter
//! in turns that moved something, over packets received and sent. Where workers waited for their
//! processor for more than some percent, the machine was measured: run it again.
//!
//! `cargo bench -p dperf-tests --bench ports` takes about three minutes on two idle cores. Build
//! the program first (`make bench` does), with DPDK or without: what is missing is skipped by name.
//! `-- link`, `-- net_memif` and `-- net_null` measure one of them.

use std::process::Command;
use std::time::Duration;

use dperf_shell::clock::Clock;
use dperf_tests::process::{Ended, Folder, Process, Signal, first_in_line};
use dperf_tests::program::{self, FAULTS};
use serde_json::Value;

/// Runs of which a median is given.
const ROUNDS: usize = 3;
/// Seconds at full rate.
const SECONDS: u64 = 3;
/// How often the program is looked at while it runs.
const LOOK: Duration = Duration::from_millis(100);
/// How long any run may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How the two sides are joined.
#[derive(Clone, Copy, PartialEq)]
enum Transport {
    /// Both in one process.
    Link,
    /// Two processes and shared memory.
    Memif,
    /// A client and nobody else.
    Null,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Transport::Link => "link",
            Transport::Memif => "net_memif",
            Transport::Null => "net_null",
        }
    }

    /// The words of the `port` line.
    fn port(self, side: &str, folder: &Folder) -> String {
        let ends = if side == "client" { "10.0.1.1 10.0.2.1" } else { "10.0.2.1 10.0.1.1" };
        match self {
            Transport::Link => format!("link:bench {ends}"),
            Transport::Memif => {
                let socket = folder.file("memif");
                let socket = format!("socket={},socket-abstract=no", socket.display());
                format!("net_memif0,role={side},{socket},bsize=2048,rsize=12 {ends}")
            }
            Transport::Null => format!("net_null0,no-rx=1 {ends} 02:00:00:00:00:01"),
        }
    }
}

/// What the client does.
#[derive(Clone, Copy)]
enum Load {
    /// Connections a second, one request each.
    Short(u64),
    /// So many connections, each sends its next request when it has the answer.
    Closed(u64),
}

/// Everything that a run needs besides its load.
struct Bench {
    folder: Folder,
    hz: f64,
}

/// The records of one run.
struct Run {
    /// The totals, the client's and the server's.
    sides: Vec<Value>,
    /// The client's seconds under load.
    seconds: Vec<Value>,
    /// The part of its time that the worst worker waited for its processor.
    waited: f64,
    clean: bool,
}

impl Run {
    fn count(&self, side: usize, name: &str) -> f64 {
        self.sides.get(side).and_then(|record| record[name].as_f64()).unwrap_or(0.0)
    }

    /// Busy ticks per packet received or sent.
    fn cycles(&self, side: usize) -> f64 {
        let packets = self.count(side, "pktRx") + self.count(side, "pktTx");
        self.count(side, "busyTicks") / packets.max(1.0)
    }

    /// What the client counted a second under load.
    fn per_second(&self, name: &str) -> f64 {
        let sum =
            |name: &str| self.seconds.iter().filter_map(|one| one[name].as_f64()).sum::<f64>();
        sum(name) * 1e9 / sum("span_ns").max(1.0)
    }
}

impl Bench {
    fn conf(&self, transport: Transport, side: &str, load: Load) -> String {
        let keepalive = if let Load::Closed(_) = load { "keepalive 0us\n" } else { "" };
        // Enough tuples that none is used twice within a retransmission time-out.
        let clients = if transport == Transport::Null { 250 } else { 100 };
        let common = format!(
            "port {}\nclient 10.0.1.1 {clients}\nserver 10.0.2.1 1\n{keepalive}protocol http\n\
             quiet\n",
            transport.port(side, &self.folder)
        );
        if side == "server" {
            return format!("mode server\ncpu 1\nduration 1m\n{common}");
        }
        let rate = match load {
            Load::Short(cps) => format!("cps {cps}\n"),
            Load::Closed(connections) => format!("cps 1m\ncc {connections}\n"),
        };
        format!("mode client\ncpu 0\nduration {SECONDS}s\nslow_start 0\n{rate}{common}")
    }

    /// Starts the program on `files`.
    fn start(&self, name: &str, files: &[String]) -> Process {
        let mut command = Command::new(program::path());
        command.arg("run").args(files).arg("--json");
        Process::start(first_in_line(&command), name, &self.folder)
    }

    fn run(&self, transport: Transport, load: Load) -> Run {
        let file = |side| {
            let path = self.folder.write(side, self.conf(transport, side, load));
            path.display().to_string()
        };
        let files = match transport {
            Transport::Link => vec![file("server"), file("client")],
            Transport::Memif | Transport::Null => vec![file("client")],
        };
        let server =
            (transport == Transport::Memif).then(|| self.start("serving", &[file("server")]));
        let mut client = self.start("calling", &files);
        let mut waited = 0.0f64;
        while client.runs() {
            std::thread::sleep(LOOK);
            for process in server.iter().chain([&client]) {
                waited = waited.max(waiting(process.pid()).unwrap_or(0.0));
            }
        }
        let mut ended = vec![client.end(LIMIT)];
        ended.extend(server.map(|server| server.end_by(Signal::TERM, LIMIT)));
        let records = |kind| ended.iter().flat_map(move |one| records(one, kind));
        let mut sides: Vec<Value> = records("final").collect();
        sides.sort_by_key(|record| record["role"].to_string());
        let fault = |record: &Value| FAULTS.iter().any(|name| record[*name] != 0);
        let clean = ended.iter().all(|one| one.status.success()) && !sides.iter().any(fault);
        if sides.len() < ended.len() {
            println!("a run over {} gave no result:", transport.name());
            ended.iter().for_each(|one| print!("{}", one.err));
        }
        let under_load = |record: &Value| {
            let end_ns = SECONDS * 1_000_000_000 + 100_000_000;
            record["role"] == "client" && record["t_ns"].as_u64().is_some_and(|t| t < end_ns)
        };
        let seconds = records("interval").filter(under_load).collect();
        Run { sides, seconds, waited, clean }
    }

    /// The highest clean rate of short connections, to about a twentieth: up or down in big steps,
    /// then halving twice. A rate gets a second chance, since the machine may be busy elsewhere.
    fn knee(&self, transport: Transport) -> u64 {
        const STEP: f64 = 1.4;
        let clean = |rate: f64| {
            let load = Load::Short(rate as u64);
            (0..2).any(|_| self.run(transport, load).clean)
        };
        let mut good = 400_000.0;
        if clean(good) {
            while good * STEP < 3.2e6 && clean(good * STEP) {
                good *= STEP;
            }
        } else {
            while good > 150_000.0 && !clean(good / STEP) {
                good /= STEP;
            }
            good /= STEP;
        }
        for step in [STEP.sqrt(), STEP.sqrt().sqrt()] {
            if clean(good * step) {
                good *= step;
            }
        }
        good as u64 / 1000 * 1000
    }

    fn rounds(&self, transport: Transport, load: Load) -> Vec<Run> {
        (0..ROUNDS).map(|_| self.run(transport, load)).collect()
    }

    fn measure(&self, transport: Transport) {
        if transport == Transport::Null {
            let runs = self.rounds(transport, Load::Short(8_000_000));
            let rate: Vec<f64> = runs.iter().map(|run| run.per_second("pktTx")).collect();
            self.line(transport, "SYN, 8 M asked for", &rate, "packets/s", &runs);
            return;
        }
        let knee = self.knee(transport);
        let runs = self.rounds(transport, Load::Short(knee));
        let rate: Vec<f64> = runs.iter().map(|run| run.per_second("http2XX")).collect();
        let clean = runs.iter().filter(|run| run.clean).count();
        let what = format!("short, {clean} of {ROUNDS} clean");
        self.line(transport, &what, &rate, "connections/s", &runs);
        let runs = self.rounds(transport, Load::Closed(512));
        let rate: Vec<f64> = runs.iter().map(|run| run.per_second("http2XX")).collect();
        self.line(transport, "keepalive, 512 open", &rate, "requests/s", &runs);
    }

    fn line(&self, transport: Transport, what: &str, rate: &[f64], unit: &str, runs: &[Run]) {
        let cycles = |side: usize| {
            let values: Vec<f64> = runs.iter().map(|run| run.cycles(side)).collect();
            spread(&values, 1.0)
        };
        println!(
            "{:<10}{what:<24}{:>24} k {unit:<14}{:>24}{:>24}{:>16}",
            transport.name(),
            spread(rate, 1000.0),
            cycles(0),
            if transport == Transport::Null { "-".to_string() } else { cycles(1) },
            spread(&runs.iter().map(|run| run.waited).collect::<Vec<_>>(), 0.01),
        );
    }
}

/// The part of their time that a process's workers waited for a processor, of the one that waited
/// most: how much the machine disturbed the run.
fn waiting(pid: u32) -> Option<f64> {
    let share = |task: std::fs::DirEntry| {
        let read = |name| std::fs::read_to_string(task.path().join(name)).ok();
        read("comm").filter(|name| name.starts_with("worker-"))?;
        let times = read("schedstat")?;
        let mut times = times.split_whitespace().map_while(|word| word.parse::<f64>().ok());
        let (ran, waited) = (times.next()?, times.next()?);
        Some(waited / (ran + waited).max(1.0))
    };
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    tasks.flatten().filter_map(share).max_by(f64::total_cmp)
}

/// The records of one kind that a program printed.
fn records(ended: &Ended, kind: &'static str) -> impl Iterator<Item = Value> {
    let records = ended.out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.filter(move |record| record["type"] == kind)
}

/// The median and, in brackets, the least and the most.
fn spread(values: &[f64], unit: f64) -> String {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let [least, .., most] = values[..] else { return "-".to_string() };
    let median = values[values.len() / 2];
    format!("{:.0} [{:.0}..{:.0}]", median / unit, least / unit, most / unit)
}

/// DPDK's own test program.
const TESTPMD: &str = "dpdk-testpmd";

impl Bench {
    /// testpmd on one processor with one device; `mode` is what it does with frames.
    fn testpmd(&self, name: &str, cpu: usize, device: &str, mode: &str) -> Process {
        let mut command = Command::new(TESTPMD);
        // The first lcore only prints.
        let lcores = format!("--lcores=0@{cpu},1@{cpu}");
        command.args([&lcores, "--no-pci", "--in-memory", "--no-telemetry"]);
        command.args(["--log-level=error", &format!("--vdev={device}"), "--"]);
        command.args(["--total-num-mbufs=16384", "--stats-period=1"]);
        command.arg(format!("--forward-mode={mode}"));
        Process::start(first_in_line(&command), name, &self.folder)
    }

    /// What the driver costs with nothing behind it.
    fn floor(&self) {
        let free =
            std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
        let free = free.ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
        if Command::new(TESTPMD).arg("--version").output().is_err() || free < 200 {
            println!("skipped: the driver alone needs {TESTPMD} (Debian: dpdk-dev) and huge pages");
            return;
        }
        let null = self.testpmd("null", 0, "net_null0,no-rx=1", "txonly");
        std::thread::sleep(Duration::from_secs(SECONDS + 2));
        self.say_floor("net_null", "testpmd txonly", &null.end_by(Signal::TERM, LIMIT));
        let socket = self.folder.file("floor");
        let device = |role| {
            let socket = socket.display();
            format!("net_memif0,role={role},socket={socket},socket-abstract=no,bsize=2048,rsize=12")
        };
        let server = self.testpmd("swapping", 1, &device("server"), "macswap");
        std::thread::sleep(Duration::from_secs(1));
        let client = self.testpmd("flooding", 0, &device("client"), "flowgen");
        std::thread::sleep(Duration::from_secs(SECONDS + 2));
        let ended = client.end_by(Signal::TERM, LIMIT);
        self.say_floor("net_memif", "testpmd flowgen", &ended);
        let ended = server.end_by(Signal::TERM, LIMIT);
        self.say_floor("net_memif", "testpmd macswap", &ended);
    }

    /// The median second of those in which packets moved; the processor was never idle.
    fn say_floor(&self, device: &str, what: &str, ended: &Ended) {
        let after = |line: &str, name: &str| -> Option<f64> {
            line.split_once(name)?.1.split_whitespace().next()?.parse().ok()
        };
        let mut rates = Vec::new();
        let mut received = 0.0;
        for line in ended.out.lines() {
            received = after(line, "Rx-pps:").unwrap_or(received);
            rates.extend(after(line, "Tx-pps:").map(|sent| sent + received));
        }
        rates.retain(|rate| *rate > 0.0);
        let cycles: Vec<f64> = rates.iter().map(|rate| self.hz / rate).collect();
        println!(
            "{device:<10}{what:<24}{:>24} k {:<14}{:>24}",
            spread(&rates, 1000.0),
            "packets/s",
            spread(&cycles, 1.0)
        );
    }
}

/// DPDK is in the program.
fn has_dpdk() -> bool {
    let help = Command::new(program::path()).arg("--help").output();
    let help = help.expect("the program starts").stdout;
    String::from_utf8_lossy(&help).contains("DPDK: built in")
}

fn main() {
    let bench = Bench { folder: Folder::new(), hz: Clock::start().rate().hz() as f64 };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    if cpus < 2 {
        println!("skipped: ports needs two processors");
        return;
    }
    println!("median [least..most] of {ROUNDS} runs of {SECONDS} s, one core per side");
    println!("ticks of {:.0} MHz per packet received or sent, in busy turns", bench.hz / 1e6);
    println!(
        "{:<10}{:<24}{:>24}   {:<14}{:>24}{:>24}{:>16}",
        "port", "load", "per core", "", "client ticks", "server ticks", "waited, %"
    );
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let wanted = |transport: Transport| {
        asked.is_empty() || asked.iter().any(|name| name == transport.name())
    };
    let dpdk = has_dpdk();
    for transport in [Transport::Link, Transport::Memif, Transport::Null] {
        if transport != Transport::Link && !dpdk {
            println!("skipped: {} needs DPDK", transport.name());
        } else if wanted(transport) {
            bench.measure(transport);
        }
    }
    if dpdk && wanted(Transport::Memif) && wanted(Transport::Null) {
        bench.floor();
    }
}
