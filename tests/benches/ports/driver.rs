//! What the driver costs with nothing behind it: DPDK's own test program on the same device.

use std::process::Command;
use std::time::Duration;

use dperf_tests::process::{Ended, Process, Signal};

use crate::load::Transport;
use crate::run::{Bench, Place, free_huge_pages};

/// DPDK's own test program.
const TESTPMD: &str = "dpdk-testpmd";
/// How long it runs, in each round.
const SECONDS: u64 = 8;
/// How long it may take to end.
const LIMIT: Duration = Duration::from_secs(20);

/// Rates second by second, and what they come to on a processor that never rests.
#[derive(Debug)]
pub(crate) struct Floor {
    /// What the client sent per second.
    pub(crate) packets: Vec<f64>,
    pub(crate) client_ticks: Vec<f64>,
    pub(crate) server_ticks: Vec<f64>,
}

/// There is a driver, and its test program.
pub(crate) fn is_there(transport: Transport) -> bool {
    if transport == Transport::Link {
        return false;
    }
    if Command::new(TESTPMD).arg("--version").output().is_err() || free_huge_pages() < 200 {
        println!("skipped: the driver alone needs {TESTPMD} (Debian: dpdk-dev) and huge pages");
        return false;
    }
    true
}

/// The driver alone: one side makes packets, the other sends them back.
pub(crate) fn floor(bench: &Bench, transport: Transport) -> Floor {
    let place = Place::new(transport);
    if transport == Transport::Null {
        let null = testpmd(&place, transport, "client", "txonly");
        std::thread::sleep(Duration::from_secs(SECONDS));
        let seconds = seconds(&null.end_by(Signal::TERM, LIMIT));
        return Floor {
            packets: seconds.iter().map(|(sent, _)| *sent).collect(),
            client_ticks: ticks(bench, &seconds),
            server_ticks: Vec::new(),
        };
    }
    let server = testpmd(&place, transport, "server", "macswap");
    // A device that is connected to must be there.
    std::thread::sleep(Duration::from_secs(2));
    let client = testpmd(&place, transport, "client", "flowgen");
    std::thread::sleep(Duration::from_secs(SECONDS));
    let client = seconds(&client.end_by(Signal::TERM, LIMIT));
    let server = seconds(&server.end_by(Signal::TERM, LIMIT));
    Floor {
        packets: client.iter().map(|(sent, _)| *sent).collect(),
        client_ticks: ticks(bench, &client),
        server_ticks: ticks(bench, &server),
    }
}

/// The program on one processor with one device; `mode` is what it does with frames.
fn testpmd(place: &Place, transport: Transport, role: &str, mode: &str) -> Process {
    let cpu = if role == "client" { 0 } else { 1 };
    let mut command = Command::new(TESTPMD);
    // The first lcore only prints.
    command.arg(format!("--lcores=0@{cpu},1@{cpu}"));
    command.args(["--no-pci", "--in-memory", "--no-telemetry", "--log-level=error"]);
    command.arg(format!("--vdev={}", transport.vdev(role, place)));
    command.args(["--", "--total-num-mbufs=16384", "--stats-period=1"]);
    command.arg(format!("--forward-mode={mode}"));
    place.start(role, &command)
}

/// Packets sent and received in each second in which some were sent, but for the first and the last
/// one, which are not whole.
fn seconds(ended: &Ended) -> Vec<(f64, f64)> {
    let after = |line: &str, name: &str| -> Option<f64> {
        line.split_once(name)?.1.split_whitespace().next()?.parse().ok()
    };
    let mut received = 0.0;
    let mut seconds = Vec::new();
    for line in ended.out.lines() {
        received = after(line, "Rx-pps:").unwrap_or(received);
        seconds.extend(after(line, "Tx-pps:").map(|sent| (sent, received)));
    }
    seconds.retain(|(sent, _)| *sent > 0.0);
    seconds.pop();
    seconds.into_iter().skip(1).collect()
}

fn ticks(bench: &Bench, seconds: &[(f64, f64)]) -> Vec<f64> {
    seconds.iter().map(|(sent, received)| bench.hz / (sent + received)).collect()
}
