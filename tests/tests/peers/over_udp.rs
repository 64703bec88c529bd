//! Datagrams to and from the kernel: its sockets echo what our client sends, and ask our server;
//! every datagram comes, whole and undamaged.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dperf_tests::kernel::Counters;
use dperf_tests::namespace::{Namespace, alone};
use dperf_tests::program::{Outcome, Program};

use crate::net::{
    Checksums, LOAD, LOAD_ADDRESSES, Net, OURS, PEER, Way, client, few_seconds, server, tool,
};

/// What the kernel counts when a datagram is not as it should be, or finds nobody.
const COMPLAINTS: &[&str] = &[
    "IpInHdrErrors",
    "UdpInErrors",
    "UdpInCsumErrors",
    "UdpNoPorts",
    "UdpRcvbufErrors",
    "UdpSndbufErrors",
];

fn assert_clean(net: &Net, outcome: &Outcome, before: &Counters) {
    let counted = Counters::of(&net.there).since(before).nonzero(COMPLAINTS);
    let faults = [outcome.faults(&[]), counted].concat();
    assert!(faults.is_empty(), "{}\n{}", faults.join("\n"), outcome.record());
}

/// Sends every datagram back until `over`. Returns how many there were.
fn echo(namespace: &Namespace, over: &AtomicBool) -> u64 {
    namespace.inside(|| {
        let socket = UdpSocket::bind((PEER, 80)).expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a time-out");
        let (mut bytes, mut count) = ([0; 2048], 0);
        while !over.load(Ordering::Relaxed) {
            let Ok((len, from)) = socket.recv_from(&mut bytes) else { continue };
            assert_eq!(socket.send_to(&bytes[..len], from).ok(), Some(len));
            count += 1;
        }
        count
    })
}

/// Runs a client of these words against the echo. Returns its outcome and the datagrams echoed.
fn against_echo(net: &Net, words: &str) -> (Outcome, u64) {
    let way = Way { gateway: PEER, server: PEER };
    let text = client(&way, few_seconds(), words).replace("protocol http", "protocol udp");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let echo = scope.spawn(|| echo(&net.there, &over));
        // Connections that end every few milliseconds are not all open when one looks.
        let words = ["--target", "80"];
        let client = Program::start_with(&net.here, &net.folder, "client", &text, &words);
        let outcome = client.end(few_seconds());
        over.store(true, Ordering::Relaxed);
        (outcome, echo.join().expect("the echo ends"))
    })
}

#[test]
fn the_kernel_echoes_every_datagram() {
    let Some(_alone) = alone("the_kernel_echoes_every_datagram", &[]) else { return };
    let loads = [
        (Checksums::Made, "cps 2k\npayload_size 64", 1980),
        (Checksums::Left, "cps 500\npayload_size 1472", 490),
        (Checksums::Made, "cps 500\npayload_size 0", 490),
        (Checksums::Left, "cps 1k\ncc 100\nkeepalive 100ms\npayload_size 1", 900),
        (Checksums::Made, "cps 100\ncc 2\nkeepalive 0us\npipeline 4\npayload_size 500", 1000),
        (
            Checksums::Made,
            "cps 10k\ncc 10\nkeepalive 20ms 5\npayload_random\npayload_size 300",
            400,
        ),
    ];
    for (checksums, words, least) in loads {
        let net = Net::new(checksums);
        let before = Counters::of(&net.there);
        let (outcome, echoed) = against_echo(&net, words);
        println!("{words:?}: {echoed} echoed in {} s", few_seconds());
        assert_clean(&net, &outcome, &before);
        assert_eq!(outcome.count("udpTx"), echoed);
        assert_eq!(outcome.count("udpRx"), echoed);
        assert_eq!(outcome.count("udpRt") + outcome.count("udpDrop"), 0);
        assert_eq!(outcome.count("skOpen"), outcome.count("skClose"));
        assert!(echoed >= least * few_seconds(), "{words:?}: {echoed}");
    }
}

/// Nobody answers: each datagram is lost, and is said to be.
#[test]
fn without_an_echo_all_is_lost() {
    let Some(_alone) = alone("without_an_echo_all_is_lost", &[]) else { return };
    let net = Net::new(Checksums::Made);
    let way = Way { gateway: PEER, server: PEER };
    let words = "cps 100\nretransmit_timeout 1";
    let text = client(&way, 3, words).replace("protocol http", "protocol udp");
    let outcome = Program::start(&net.here, &net.folder, "client", &text).end(3);
    assert_eq!(outcome.code(), Some(1));
    assert!(outcome.count("udpTx") >= 290);
    assert_eq!(outcome.count("udpRt"), outcome.count("udpTx"));
    assert_eq!(outcome.record()["skCon"], 0);
}

fn our_server(net: &Net, words: &str) -> Program {
    let text = server(OURS, words).replace("protocol http", "protocol udp");
    let mut program = Program::start(&net.here, &net.folder, "server", &text);
    program.wait_for_load();
    program
}

#[test]
fn the_kernel_is_answered_whatever_it_sends() {
    let Some(_alone) = alone("the_kernel_is_answered_whatever_it_sends", &[]) else { return };
    for checksums in [Checksums::Made, Checksums::Left] {
        for (words, answer) in [
            ("payload_size 0", 0),
            ("payload_size 1", 1),
            ("payload_size 1472", 1472),
            ("payload_random\npayload_size 700", 700),
        ] {
            let net = Net::new(checksums);
            let before = Counters::of(&net.there);
            let server = our_server(&net, words);
            let asked = net.there.inside(|| {
                let socket = UdpSocket::bind((PEER, 0)).expect("a socket");
                socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
                let mut bytes = [0; 2048];
                let base: std::net::Ipv4Addr = LOAD.parse().expect("an address");
                let mut asked = 0;
                for len in [0, 1, 2, 3, 63, 64, 500, 1471, 1472] {
                    for place in 0..u32::from(LOAD_ADDRESSES) {
                        let to = std::net::Ipv4Addr::from_bits(base.to_bits() + place);
                        socket.send_to(&vec![7; len], (to, 80)).expect("sent");
                        let (came, from) = socket.recv_from(&mut bytes).expect("an answer");
                        assert_eq!((came, from.ip()), (answer, to.into()), "to {len} bytes");
                        assert_eq!(from.port(), 80);
                        asked += 1;
                    }
                }
                asked
            });
            let outcome = server.stop();
            assert_clean(&net, &outcome, &before);
            assert_eq!(outcome.count("udpRx"), asked);
            assert_eq!(outcome.count("udpTx"), asked);
            assert_eq!(outcome.count("skOpen"), 0);
        }
    }
}

/// A file is sent byte for byte, zeros and all; and a datagram without a checksum is answered.
#[test]
fn socat_gets_the_file() {
    let Some(_alone) = alone("socat_gets_the_file", &["socat"]) else { return };
    let net = Net::new(Checksums::Made);
    let bytes: Vec<u8> = (0..=255).chain([0, 0, 10]).collect();
    let file = net.folder.write("answer", &bytes);
    let server = our_server(&net, &format!("payload_file {}", file.display()));
    let (question, answer) = (net.folder.write("question", "?"), net.folder.file("got"));
    for option in ["", ",setsockopt-int=1:11:1"] {
        let line = format!(
            "socat -t 1 OPEN:{},rdonly!!CREATE:{} UDP4:{LOAD}:80{option}",
            question.display(),
            answer.display()
        );
        tool(&net.there, &line);
        assert_eq!(net.folder.read("got"), bytes, "{option}");
    }
    let outcome = server.stop();
    assert_eq!((outcome.count("udpRx"), outcome.count("udpTx")), (2, 2));
    assert_eq!(outcome.faults(&[]), [""; 0]);
}
