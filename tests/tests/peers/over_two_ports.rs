//! One process on two interfaces, each with a worker, a peer and addresses of its own: each does
//! its half, with frames as long as the interface's MTU.

use dperf_tests::kernel::{Counters, RESETS};
use dperf_tests::namespace::{Namespace, alone, join};
use dperf_tests::process::Folder;
use dperf_tests::program::{self, Program};

use crate::net::{Nginx, complaints, few_seconds};

#[test]
fn two_ports_do_half_of_the_load_each() {
    let Some(_alone) = alone("two_ports_do_half_of_the_load_each", &["nginx", "ss"]) else {
        return;
    };
    let (here, folder) = (Namespace::new(), Folder::new());
    let peers = [Namespace::new(), Namespace::new()];
    let folders = [Folder::new(), Folder::new()];
    let mut nginx = Vec::new();
    for (number, (peer, folder)) in peers.iter().zip(&folders).enumerate() {
        let port = format!("port{number}");
        join((&here, &port), (peer, "cable0"));
        here.run(&format!("ip link set {port} mtu 9000"));
        peer.run("ip link set cable0 mtu 9000");
        peer.address("cable0", &format!("10.{number}.0.2/24"));
        nginx.push(Nginx::start(peer, folder));
    }
    let (cpu, seconds) = (program::cpu(), few_seconds());
    let text = format!(
        "mode client\ncpu {cpu} {cpu}\nduration {seconds}s\nslow_start 0\nprotocol http\n\
         jumbo 9000\nport af_packet:port0 10.0.0.1 10.0.0.2\n\
         port af_packet:port1 10.1.0.1 10.1.0.2\nclient 10.0.0.10 4\nclient 10.1.0.20 4\n\
         server 10.0.0.2 1\nserver 10.1.0.2 1\ncps 200\nhttp_path /100k\n"
    );
    let before: Vec<Counters> = peers.iter().map(Counters::of).collect();
    let outcome = Program::start(&here, &folder, "client", &text).end(seconds);
    assert_eq!(outcome.faults(&[]), [""; 0], "{}", outcome.record());
    let opened = outcome.count("skOpen");
    assert!(opened >= 198 * seconds, "{}", outcome.record());
    for ((peer, before), (nginx, folder)) in
        peers.iter().zip(&before).zip(nginx.into_iter().zip(&folders))
    {
        assert_eq!(complaints(peer, before, RESETS), [""; 0]);
        let accepted = Counters::of(peer).since(before).get("TcpPassiveOpens");
        assert!(accepted.abs_diff(opened as i64 / 2) <= 4, "{accepted} of {opened}");
        nginx.stop(folder);
    }
    // 100 kB and a header are 12 segments of 8960 bytes; an MTU of 1500 would make it 69.
    let segments = outcome.count("tcpRx") / opened;
    assert!((12..=30).contains(&segments), "{segments} segments in an answer");
}
