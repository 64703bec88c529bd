//! The program itself, as it was built: two workers on each side, each linked with one of the other
//! processor, a load, and the kernel's packets both ways, each kernel in a namespace of its own.
//!
//! `scripts/tsan` builds program and test with ThreadSanitizer, which ends the program with a
//! status of its own and says on stderr what it found.

use std::time::{Duration, Instant};

use dperf_shell::crew;
use dperf_shell::port::link;
use dperf_tests::flood;
use dperf_tests::kernel::Traffic;
use dperf_tests::namespace::{Namespace, alone};
use dperf_tests::process::Folder;
use dperf_tests::program::Program;
use serde_json::Value;

use crate::{nothing_wrong, overflowed, quiet, set_up};

/// Packets each way in one round.
const ROUND: u64 = 20_000;
/// Connections opened in a second.
const CPS: u64 = 500;

/// How long the rounds go on.
fn seconds() -> Duration {
    let asked = std::env::var("DPERF_RACE_SECONDS").ok();
    Duration::from_secs(asked.map_or(5, |asked| asked.parse().expect("DPERF_RACE_SECONDS")))
}

/// The interfaces of the client and of the server.
fn interfaces(kind: &str) -> [Vec<String>; 2] {
    ['c', 's'].map(|side| match kind {
        "tap" => vec![format!("race{side}0")],
        _ => (0..2).map(|worker| format!("race{side}0.{worker}")).collect(),
    })
}

/// Both configurations as one text each, the server's first.
fn texts(kind: &str) -> [String; 2] {
    let given = crew::processors().expect("the system says");
    let [one, other] = [0, 1].map(|index: usize| given[index % given.len()]);
    let both = format!(
        "duration 1h\nclient 10.0.1.2 4\nserver 10.0.2.2 2\nprotocol http\nrss\nneigh_ignore\n\
         exception {kind} race\n"
    );
    // The server's end is opened first.
    let [there, here] = link::MACS;
    let server =
        format!("mode server\ncpu {other} {one}\nport link:race 10.0.2.1 10.0.1.1 {here}\n");
    let client = format!(
        "mode client\ncpu {one} {other}\nport link:race 10.0.1.1 10.0.2.1 {there}\n\
         slow_start 0\ncps {CPS}\n"
    );
    [server + &both, client + &both]
}

/// What brings an interface up: it moves to its side's kernel and has its addresses there.
fn exception_up(kernels: &[Namespace; 2], interfaces: &[Vec<String>; 2]) -> String {
    let mut cases = String::new();
    for (side, names) in interfaces.iter().enumerate() {
        let kernel = kernels[side].name();
        for (n, name) in names.iter().enumerate() {
            let lines = set_up(name, n, side + 1, link::MACS[side]);
            cases += &format!(
                "{name}) ip link set {name} netns {kernel}\nip netns exec {kernel} sh -ec \
                 '{lines}';;\n"
            );
        }
    }
    format!("set -e\ncase $INTERFACE in\n{cases}esac\n")
}

#[test]
fn two_workers_a_side_with_a_queue_of_a_tap_each() {
    run("two_workers_a_side_with_a_queue_of_a_tap_each", "tap");
}

#[test]
fn two_workers_a_side_with_a_tap_each() {
    run("two_workers_a_side_with_a_tap_each", "tap-per-core");
}

fn run(test: &str, kind: &str) {
    let Some(_alone) = alone(test, &[]) else { return };
    let ([own], kernels, folder) = (quiet(), quiet(), Folder::new());
    let interfaces = interfaces(kind);
    let [server, client] = texts(kind);
    let client = folder.write("client.conf", client).display().to_string();
    let up = exception_up(&kernels, &interfaces);
    let words =
        [client.as_str(), "--exception-up", &up, "--target", "1", "--allow", "dropTx=1000000"];
    let mut program = Program::start_with(&own, &folder, "server", &server, &words);
    program.wait_for_load();
    let begun = Instant::now();
    let (mut sent, mut received) = ([0, 0], [0, 0]);
    while begun.elapsed() < seconds() {
        let [here, there] = &kernels;
        let tallies = flood::exchange([here, there], interfaces[0].len(), ROUND);
        nothing_wrong(&tallies);
        for (way, tally) in tallies.iter().enumerate() {
            sent[way] += tally.sent;
            received[way] += tally.received;
        }
    }
    // The interfaces go with the program.
    let drops = [0, 1].map(|side: usize| {
        let kernel = Traffic::of(&kernels[side], &interfaces[side]);
        (kernel.send_drops, overflowed(&kernels[side]))
    });
    let outcome = program.stop();
    assert!(!outcome.0.err.contains("ThreadSanitizer"), "{}", outcome.0.err);
    assert_eq!(outcome.code(), Some(0), "{}{}", outcome.0.out, outcome.0.err);
    let finals = &["client", "server"].map(|role| outcome.record_of(role));
    println!("{test}: sent {sent:?}, received {received:?}, drops {drops:?}");
    for (from, to) in [(0, 1), (1, 0)] {
        let told = format!("{}\n{}", finals[from], finals[to]);
        let [sender, receiver] = [from, to].map(|side| move |name| count(&finals[side], name));
        let came = ["kniRx", "kniFull", "kniErrors"].map(receiver).iter().sum::<u64>();
        assert_eq!(sender("arpTx"), 0, "{told}");
        assert_eq!(sent[from] - drops[from].0, sender("kniTx"), "{told}");
        assert_eq!(sender("pktTx"), receiver("pktRx"), "{told}");
        assert_eq!(receiver("pktRx"), receiver("tcpRx") + came, "{told}");
        assert_eq!(received[from] + drops[to].1, receiver("kniRx"), "{told}");
        let given_up = sender("kniTx").checked_sub(came);
        assert!(given_up.is_some_and(|count| count <= sender("dropTx")), "{told}");
    }
    assert!(count(&finals[0], "http2XX") > 0, "{}", finals[0]);
}

fn count(record: &Value, name: &str) -> u64 {
    record[name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {record}"))
}
