//! Two of us on one cable, every frame in VLAN tags: the kernel takes tags off what it hands to
//! packet sockets and allows for one on top of its MTU, and must not notice more than that.

use dperf_tests::namespace::alone;
use dperf_tests::program::{self, Outcome, Program};

use crate::net::{CABLE, Checksums, Net, OURS, PEER, PORT, few_seconds};

/// Addresses of the load: the client's and the server's.
const LOADS: [&str; 2] = ["10.77.1.1", "10.77.2.1"];

/// One side's configuration.
fn text(kind: &str, mode: &str, more: &str) -> String {
    let (port, own, gateway) =
        if mode == "client" { (PORT, OURS, PEER) } else { (CABLE, PEER, OURS) };
    let [client, server] = LOADS;
    format!(
        "mode {mode}\ncpu {}\nprotocol http\nport {kind}:{port} {own} {gateway}\n\
         client {client} 4\nserver {server} 2\n{more}\n",
        program::cpu()
    )
}

/// A run of both sides; `tags` is their `vlan` line.
fn run(net: &Net, kind: &str, tags: &str, more: [&str; 2]) -> [Outcome; 2] {
    let seconds = few_seconds();
    let ours = format!("{tags}\nduration {seconds}s\nslow_start 0\n{}", more[0]);
    let theirs = format!("{tags}\nduration 600s\n{}", more[1]);
    let mut server =
        Program::start(&net.there, &net.folder, "server", &text(kind, "server", &theirs));
    let client = Program::start(&net.here, &net.folder, "client", &text(kind, "client", &ours));
    server.wait_for_load();
    let client = client.end(seconds);
    [client, server.stop()]
}

#[test]
fn tagged_frames_of_full_length_cross_a_kernel_interface() {
    let Some(_alone) = alone("tagged_frames_of_full_length_cross_a_kernel_interface", &[]) else {
        return;
    };
    let net = Net::new(Checksums::Made);
    let kinds = ["af_packet", "af_xdp"];
    let loads = [("vlan 100", 1460), ("vlan 200 100", 1452)];
    for (kind, (tags, mss)) in kinds.into_iter().flat_map(|kind| loads.map(|load| (kind, load))) {
        let more = ["cps 100", "payload_size 100k\nsend_window 16"];
        let [client, server] = run(&net, kind, tags, more);
        for outcome in [&client, &server] {
            let faults = outcome.faults(&[]);
            assert!(faults.is_empty(), "{tags}: {}\n{}", faults.join("\n"), outcome.record());
            assert_eq!(outcome.count("dropVlan"), 0, "{tags}");
        }
        let answers = client.count("http2XX");
        assert!(answers >= 95 * few_seconds(), "{tags}: {answers}");
        // Full segments, each in the longest frame: no shorter one could carry so much.
        let segments = answers * 100_000_u64.div_ceil(mss);
        let carried = server.count("tcpTx");
        assert!((segments..segments + 5 * answers).contains(&carried), "{tags}: {carried}");
    }
}

#[test]
fn another_tag_or_none_is_dropped_and_counted() {
    let Some(_alone) = alone("another_tag_or_none_is_dropped_and_counted", &["ping"]) else {
        return;
    };
    let net = Net::new(Checksums::Made);
    let text = text("af_packet", "client", "vlan 100\nduration 2s\nslow_start 0\ncps 1");
    let text = text.replace(PEER, &format!("{PEER} 02:00:00:00:00:77"));
    let client = Program::start(&net.here, &net.folder, "client", &text);
    for _ in 0..5 {
        // It asks for our address without a tag.
        assert!(!net.there.succeeds(&format!("ping -q -c 1 -W 1 {OURS}")));
    }
    let client = client.end(2);
    assert!(client.count("dropVlan") > 0, "{}", client.record());
    assert_eq!((client.count("arpRx"), client.count("badRx")), (0, 0));
}
