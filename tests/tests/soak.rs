//! A long run at full rate: nothing fails, the counters of both sides agree, and memory stays flat.
//!
//! `DPERF_SOAK_SECONDS` says how long, and then the rate is most of what a short trial reaches, or
//! what `DPERF_SOAK_CPS` says. Without it the run is short and slow.

use std::process::Command;
use std::time::Duration;

use dperf_shell::crew;
use dperf_tests::process::{Folder, Process, first_in_line};
use dperf_tests::program::{self, Outcome};
use serde_json::Value;

/// The short run: seconds, and connections opened in each.
const SHORT: (u64, u64) = (5, 2_000);
/// The trial: its seconds, a rate that no processor reaches, and how much of what it reaches is
/// asked for.
const TRIAL: (u64, u64, f64) = (5, 2_000_000, 0.8);
/// Connections live and leave within so many seconds: so many times the rate must there be tuples.
const TUPLE_SECONDS: u64 = 3;
/// Ports of a client address, at most.
const PORTS: u64 = 64_000;
/// Memory is flat if it grows by no more than this, in KiB, after the first part of the run, in
/// which every tuple is used once: two huge pages, which the kernel assembles when it likes. (A
/// short run uses some later, but its tuples fill no huge page.)
const GROWTH_KIB: u64 = 2 * 2048;
/// How much longer than its load a run may take.
const BESIDES: Duration = Duration::from_secs(30);

/// Counters of the client and of the server that must be the same.
const SAME: &[(&str, &str)] = &[
    ("tcpTx", "tcpRx"),
    ("tcpRx", "tcpTx"),
    ("bitsTx", "bitsRx"),
    ("bitsRx", "bitsTx"),
    ("skOpen", "skOpen"),
    ("skClose", "skClose"),
    ("httpGet", "httpGet"),
    ("http2XX", "http2XX"),
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

/// Client and server over a link in one process, on different processors where there are two.
fn command(folder: &Folder, cps: u64, seconds: u64) -> Command {
    let cpus = crew::processors().expect("the system says");
    let tuples = TUPLE_SECONDS * cps;
    let clients = tuples.div_ceil(PORTS);
    let ports = tuples.div_ceil(clients);
    let both = format!(
        "duration {seconds}s\nprotocol http\nclient 10.0.1.1 {clients}\nserver 10.0.2.2 1\n\
         client_port_range 1024 {}\nport link:soak",
        1023 + ports
    );
    let server = format!("mode server\ncpu {}\n{both} 10.0.2.1 10.0.3.1\n", cpus[cpus.len() - 1]);
    let client = format!(
        "mode client\ncpu {}\nslow_start 0\ncps {cps}\n{both} 10.0.3.1 10.0.2.1\n",
        cpus[0]
    );
    let mut command = Command::new(program::path());
    command.arg("run");
    for (name, text) in [("server.conf", server), ("client.conf", client)] {
        command.arg(folder.write(name, text));
    }
    command.args(["--json", "--target", "1"]);
    first_in_line(&command)
}

/// What lies in memory of a process, in KiB; none if it has ended.
fn resident_kib(process: &Process) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Runs the program; its end, and what lay in memory second by second.
fn run(cps: u64, seconds: u64) -> (Outcome, Vec<u64>) {
    let folder = Folder::new();
    let mut process = Process::start(command(&folder, cps, seconds), "soak", &folder);
    let mut memory = Vec::new();
    for _ in 0..seconds {
        std::thread::sleep(Duration::from_secs(1));
        memory.extend(process.runs().then(|| resident_kib(&process)).flatten());
    }
    (Outcome(process.end(BESIDES)), memory)
}

/// Most of what a short trial reaches.
fn full_rate() -> u64 {
    let (seconds, more_than_any, part) = TRIAL;
    let (outcome, _) = run(more_than_any, seconds);
    let opened = outcome.record_of("client")["skOpen"].as_u64().expect("a counter");
    (part * opened as f64 / seconds as f64) as u64
}

#[test]
fn a_long_run_stays_as_it_began() {
    let (seconds, cps) = match number("DPERF_SOAK_SECONDS") {
        Some(seconds) => (seconds, number("DPERF_SOAK_CPS").unwrap_or_else(full_rate)),
        None => SHORT,
    };
    let (outcome, memory) = run(cps, seconds);
    let [client, server] = ["client", "server"].map(|role| outcome.record_of(role));
    let count = |record: &Value, name: &str| record[name].as_u64().expect("a counter");
    let of_client = |name| count(&client, name);
    println!(
        "{cps} connections a second for {seconds} s: {} opened, {} answered, {} failed",
        of_client("skOpen"),
        of_client("http2XX"),
        of_client("skErr") + count(&server, "skErr")
    );
    println!("{} packets one way, {} back", of_client("pktTx"), of_client("pktRx"));
    let settled = &memory[memory.len() / 5..];
    let [first, last] = [settled.first(), settled.last()].map(|kib| *kib.expect("a sample"));
    println!("memory: {first} KiB after a fifth of the time, {last} KiB at the end");
    assert_eq!(outcome.code(), Some(0), "{}{}", client["faults"], outcome.0.err);
    for (ours, theirs) in SAME {
        assert_eq!(of_client(ours), count(&server, theirs), "the client's {ours}");
    }
    assert_eq!(of_client("skErr") + count(&server, "skErr"), 0);
    let most = settled.iter().max().expect("a sample");
    assert!(*most <= first + GROWTH_KIB, "memory grows: {memory:?}");
}
