//! Several workers on one Linux interface, two processes face to face: any number of workers on
//! either side, any number of server addresses, and nothing is lost.
//!
//! Needs root; what is lacking is said and skipped, or fails with CI=true.

use std::time::Duration;

use dperf_tests::namespace::{Namespace, alone, join};
use dperf_tests::process::Folder;
use dperf_tests::program::{self, Program};

/// Seconds of load.
const SECONDS: u64 = 4;
/// The longest that a port may take to open.
const OPEN: Duration = Duration::from_secs(10);

/// Who meets whom.
struct Meeting {
    /// Before the interface's name.
    kind: &'static str,
    /// Workers of the client and of the server.
    workers: [usize; 2],
    /// Server addresses.
    servers: u8,
    /// How the client's plan says that its workers divide the tuples.
    split: &'static str,
}

/// As many workers, all on one processor: threads without one would wait for each other.
fn cpus(workers: usize, cpu: usize) -> String {
    vec![cpu.to_string(); workers].join(" ")
}

fn meet(meeting: &Meeting, (one, other): (&Namespace, &Namespace)) {
    let Meeting { kind, workers: [clients, servers], servers: addresses, split } = meeting;
    let folder = Folder::new();
    let both = format!(
        "client 10.78.0.100 3\nserver 10.78.0.200 {addresses}\nprotocol http\nkeepalive 10ms 5\n"
    );
    let server = format!(
        "mode server\ncpu {}\nduration 600s\nport {kind}:port0 10.78.0.1 10.78.0.2\n{both}",
        cpus(*servers, 0)
    );
    let client = format!(
        "mode client\ncpu {}\nduration {SECONDS}s\nslow_start 0\ncps 600\n\
         port {kind}:port0 10.78.0.2 10.78.0.1\n{both}",
        cpus(*clients, program::cpu())
    );
    let mut server = Program::start(one, &folder, "server", &server);
    let is_open = |process: &dperf_tests::process::Process| process.out().contains("\"plan\"");
    server.process().wait_until("an open port", OPEN, is_open);
    let client = Program::start(other, &folder, "client", &client);
    let client = client.end(SECONDS);
    let server = server.stop();
    let say = || format!("client: {}\nserver: {}", client.record(), server.record());
    assert_eq!(client.faults(&[]), [""; 0], "{}", say());
    assert_eq!(server.faults(&[]), [""; 0], "{}", say());
    for name in ["skOpen", "skClose", "http2XX", "httpGet"] {
        assert_eq!(client.count(name), server.count(name), "{name}: {}", say());
    }
    assert_eq!(client.count("rstTx") + server.count("rstTx"), 0, "{}", say());
    let opened = client.count("skOpen");
    assert!(opened >= 600 * SECONDS * 95 / 100, "{opened} connections: {}", say());
    let told = format!("\"split\":\"{split}\"");
    assert!(client.0.out.contains(&told), "{}", client.0.out);
}

#[test]
fn packet_sockets_serve_any_number_of_workers() {
    let Some(_alone) = alone("packet_sockets_serve_any_number_of_workers", &[]) else { return };
    for (workers, servers) in [([2, 2], 1), ([3, 2], 2), ([1, 4], 3), ([2, 1], 2)] {
        let (one, other) = (Namespace::new(), Namespace::new());
        join((&one, "port0"), (&other, "port0"));
        let split = if workers[0] == 1 { "one worker" } else { "by hash" };
        meet(&Meeting { kind: "af_packet", workers, servers, split }, (&one, &other));
    }
}

#[test]
fn xdp_sockets_serve_two_workers_each() {
    let Some(_alone) = alone("xdp_sockets_serve_two_workers_each", &["ethtool"]) else { return };
    for (servers, split) in [(1, "by client port"), (2, "by server address"), (3, "by client port")]
    {
        let (one, other) = (Namespace::new(), Namespace::new());
        join((&one, "port0"), (&other, "port0"));
        // The port's own address is the kernel's.
        for (namespace, address) in [(&one, "10.78.0.1/24"), (&other, "10.78.0.2/24")] {
            namespace.run("ethtool -L port0 rx 2 tx 2");
            namespace.address("port0", address);
        }
        meet(&Meeting { kind: "af_xdp", workers: [2, 2], servers, split }, (&one, &other));
    }
}
