//! The kernel is silent for the test addresses while we hold it so, and speaks again after.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use dperf_core::frame::Tray;

use super::*;
use crate::port::packet_socket;
use crate::port::packet_socket::tests::namespace::{Peer, alone, cable, sh};
use crate::testing::ignored_test;

fn range(first: &str, last: &str) -> IpRange {
    IpRange { first: first.parse().unwrap(), last: last.parse().unwrap() }
}

/// The addresses of the kernel on our side of the cable.
const INSIDE: [&str; 4] = ["192.0.2.10", "192.0.2.19", "2001:db8::10", "2001:db8:0:1::5"];
const OUTSIDE: [&str; 6] = [
    "192.0.2.9",
    "192.0.2.20",
    "2001:db8::f",
    "2001:db8:0:1::6",
    "2001:db8:0:2::1",
    "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
];

fn test_addresses() -> Vec<IpRange> {
    vec![
        range("198.51.100.0", "198.51.100.255"),
        range("192.0.2.10", "192.0.2.19"),
        range("2001:db8::10", "2001:db8:0:1::5"),
        range("2001:db8:ffff::", "2001:db8:ffff::1"),
    ]
}

/// A kernel with all addresses on `va`, and another one behind it.
fn two_kernels() -> Peer {
    cable("va", "vb");
    let peer = Peer::new();
    peer.gets("vb");
    for address in INSIDE.iter().chain(&OUTSIDE) {
        let bits = if address.contains(':') { "16 nodad" } else { "24" };
        sh(&format!("ip addr add {address}/{bits} dev va"));
    }
    peer.run(|| {
        sh("ip link set vb up && ip addr add 192.0.2.1/24 dev vb");
        sh("ip addr add 2001:db8:8000::1/16 dev vb nodad");
    });
    peer
}

/// Whether the kernel at `address` answers the other one, with a reset since nothing listens. What
/// was learnt about neighbours is forgotten before.
fn answers(peer: &Peer, address: &str) -> bool {
    let to = SocketAddr::new(address.parse().unwrap(), 9);
    peer.run(move || {
        sh("ip neigh flush dev vb");
        let result = TcpStream::connect_timeout(&to, Duration::from_millis(300));
        result.err().unwrap().kind() == ErrorKind::ConnectionRefused
    })
}

fn assert_answers(peer: &Peer, addresses: &[&str], expected: bool) {
    for address in addresses {
        // A busy machine may be late with an answer, but not with silence.
        let answered = (0..if expected { 5 } else { 1 }).any(|_| answers(peer, address));
        assert_eq!(answered, expected, "{address}");
    }
}

#[test]
fn the_kernel_is_silent_until_the_silence_is_dropped() {
    alone("the_kernel_is_silent_until_the_silence_is_dropped", || {
        let peer = two_kernels();
        assert_answers(&peer, &INSIDE, true);
        let silence =
            Silence(How::Program(attach(bpf::index("va").unwrap(), &test_addresses()).unwrap()));
        assert!(silence.ends_with_us() && silence.remedy().is_none());
        assert_answers(&peer, &INSIDE, false);
        assert_answers(&peer, &OUTSIDE, true);
        drop(silence);
        assert_answers(&peer, &INSIDE, true);
    });
}

#[test]
fn the_table_does_the_same_and_goes_too() {
    alone("the_table_does_the_same_and_goes_too", || {
        if Command::new("nft").arg("--version").stdout(Stdio::null()).status().is_err() {
            println!("skipped: the_table_does_the_same_and_goes_too needs nft");
            return;
        }
        let peer = two_kernels();
        let silence = Silence(How::Table(table::Table::new("va", &test_addresses()).unwrap()));
        assert!(silence.remedy().unwrap().starts_with("nft delete table netdev dperf_shell_"));
        assert_answers(&peer, &INSIDE, false);
        assert_answers(&peer, &OUTSIDE, true);
        drop(silence);
        assert_answers(&peer, &INSIDE, true);
    });
}

#[test]
fn the_packet_socket_still_hears() {
    alone("the_packet_socket_still_hears", || {
        let peer = two_kernels();
        let mut queue = packet_socket::open("va", 1, packet_socket::tests::PLAIN)
            .unwrap()
            .queues
            .pop()
            .unwrap();
        let _silence = silence("va", &test_addresses()).unwrap();
        assert!(!answers(&peer, "192.0.2.10"));
        let (mut tray, mut asked) = (Tray::new(), false);
        queue.receive(&mut tray);
        while !tray.is_empty() {
            let wants = |bytes: &[u8]| bytes[12..14] == [8, 6] && bytes[38..42] == [192, 0, 2, 10];
            asked |= tray.frames().iter().any(|frame| wants(frame.bytes()));
            queue.give_back(&mut tray);
            queue.receive(&mut tray);
        }
        assert!(asked, "the socket is in front of the silence");
    });
}

/// Not a test: what the next one kills.
#[test]
#[ignore = "started by another test"]
fn hold_the_silence() {
    let Ok(interface) = std::env::var("DPERF_SHELL_TEST_SILENCE") else { return };
    let silence = silence(&interface, &test_addresses()).unwrap();
    println!("\nsilent: {}", silence.ends_with_us());
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_killed_process_leaves_no_silence_behind() {
    alone("a_killed_process_leaves_no_silence_behind", || {
        let peer = two_kernels();
        let mut holder = ignored_test(concat!(module_path!(), "::hold_the_silence"))
            .env("DPERF_SHELL_TEST_SILENCE", "va")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(holder.stdout.take().unwrap());
        let line = output.lines().map_while(Result::ok).find(|line| line.starts_with("silent:"));
        let silent = (line, answers(&peer, INSIDE[0]));
        // SIGKILL: no destructor runs.
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert_eq!(silent, (Some("silent: true".to_owned()), false));
        assert_answers(&peer, &INSIDE, true);
    });
}

#[test]
fn what_cannot_be_silenced_is_explained() {
    alone("what_cannot_be_silenced_is_explained", || {
        let why = format!("{:#}", silence("absent", &test_addresses()).unwrap_err());
        assert!(why.contains("no interface 'absent'"), "{why}");
        let lo = bpf::index("lo").unwrap();
        let many = vec![range("192.0.2.1", "192.0.2.1"); MAX_RANGES + 1];
        assert!(silence("lo", &many).unwrap_err().to_string().contains("257 ranges"));
        assert!(attach(lo, &many[1..]).is_ok(), "the verifier accepts the longest program");
        let many = vec![range("2001:db8::", "2001:db8::1"); MAX_RANGES];
        assert!(attach(lo, &many).is_ok(), "the verifier accepts the longest program");
    });
}
