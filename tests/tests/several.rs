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
    /// What their frames travel in: the client's line and the server's.
    encap: [&'static str; 2],
    /// How the client's plan says that its workers divide the tuples.
    split: &'static str,
}

/// As many workers, all on one processor: threads without one would wait for each other.
fn cpus(workers: usize, cpu: usize) -> String {
    vec![cpu.to_string(); workers].join(" ")
}

fn meet(meeting: &Meeting, (one, other): (&Namespace, &Namespace)) {
    let Meeting { kind, workers: [clients, servers], servers: addresses, encap, split } = meeting;
    let folder = Folder::new();
    let both = format!(
        "client 10.78.0.100 3\nserver 10.78.0.200 {addresses}\nprotocol http\nkeepalive 10ms 5\n"
    );
    let server = format!(
        "mode server\ncpu {}\nduration 600s\nport {kind}:port0 10.78.0.1 10.78.0.2\n{both}{}\n",
        cpus(*servers, 0),
        encap[1]
    );
    let client = format!(
        "mode client\ncpu {}\nduration {SECONDS}s\nslow_start 0\ncps 600\n\
         port {kind}:port0 10.78.0.2 10.78.0.1\n{both}{}\n",
        cpus(*clients, program::cpu()),
        encap[0]
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
        let encap = ["", ""];
        meet(&Meeting { kind: "af_packet", workers, servers, encap, split }, (&one, &other));
    }
}

/// Two tags, and a tunnel whose ends are as many on either side, or one only on the server's.
const TAGS: [&str; 2] = ["vlan 200 100"; 2];
const TUNNEL: [&str; 2] = [
    "vxlan 7 02:00:00:00:01:01 02:00:00:00:01:02 10.78.0.11 2 10.78.0.21 2",
    "vxlan 7 02:00:00:00:01:02 02:00:00:00:01:01 10.78.0.21 2 10.78.0.11 2",
];
const TUNNEL_TO_ONE: [&str; 2] = [
    "vxlan 7 02:00:00:00:01:01 02:00:00:00:01:02 10.78.0.11 2 10.78.0.21 1",
    "vxlan 7 02:00:00:00:01:02 02:00:00:00:01:01 10.78.0.21 1 10.78.0.11 1",
];

#[test]
fn packet_sockets_look_behind_tags_and_into_tunnels_for_the_worker() {
    let test = "packet_sockets_look_behind_tags_and_into_tunnels_for_the_worker";
    let Some(_alone) = alone(test, &[]) else { return };
    for (workers, encap) in [([3, 2], TAGS), ([2, 2], TUNNEL), ([2, 1], TUNNEL_TO_ONE)] {
        let (one, other) = (Namespace::new(), Namespace::new());
        join((&one, "port0"), (&other, "port0"));
        let meeting = Meeting { kind: "af_packet", workers, servers: 3, encap, split: "by hash" };
        meet(&meeting, (&one, &other));
    }
}

#[test]
fn xdp_sockets_serve_two_workers_each() {
    let Some(_alone) = alone("xdp_sockets_serve_two_workers_each", &["ethtool"]) else { return };
    let none = ["", ""];
    for (servers, encap, split) in [
        (1, none, "by client port"),
        (2, none, "by server address"),
        (3, none, "by client port"),
        (2, TAGS, "by server address"),
        (3, TUNNEL, "by client port"),
    ] {
        let (one, other) = (Namespace::new(), Namespace::new());
        join((&one, "port0"), (&other, "port0"));
        // The port's own address is the kernel's.
        for (namespace, address) in [(&one, "10.78.0.1/24"), (&other, "10.78.0.2/24")] {
            namespace.run("ethtool -L port0 rx 2 tx 2");
            namespace.address("port0", address);
        }
        let meeting = Meeting { kind: "af_xdp", workers: [2, 2], servers, encap, split };
        meet(&meeting, (&one, &other));
    }
}
