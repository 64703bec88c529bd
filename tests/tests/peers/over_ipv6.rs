//! The program over IPv6 among the kernel's own: nginx, curl, wrk and ping, found and finding by
//! neighbour discovery, over packet sockets and over XDP sockets.

use std::time::{Duration, Instant};

use dperf_tests::kernel::{Counters, RESETS};
use dperf_tests::namespace::alone;
use dperf_tests::program::{Outcome, Program};

use crate::net::{
    CABLE, Checksums, LOAD, Net, Nginx, OURS, PEER, PORT, Way, client, few_seconds, ipv6, server,
    tool, wrk,
};

/// Starts a client of nginx in the peer.
fn start_client(net: &Net, device: &str, words: &str) -> Program {
    let text = client(&Way { gateway: PEER, server: PEER }, few_seconds(), words);
    let text = ipv6(&text).replace("af_packet:", device);
    Program::start(&net.here, &net.folder, "client", &text)
}

/// Starts a server and waits until it serves.
fn start_server(net: &Net, device: &str, words: &str) -> Program {
    let text = ipv6(&server(OURS, words)).replace("af_packet:", device);
    let mut server = Program::start(&net.here, &net.folder, "server", &text);
    server.wait_for_load();
    server
}

/// Every connection was answered once, and neither side has a complaint.
fn assert_served(net: &Net, outcome: &Outcome, before: &Counters, answers: u64) {
    net.assert_clean(outcome, &[], before, RESETS);
    let got = outcome.count("http2XX");
    println!("nginx over IPv6: {got} answers");
    assert!(got >= answers * few_seconds(), "{}", outcome.record());
    let accepted = Counters::of(&net.there).since(before).get("TcpPassiveOpens");
    assert_eq!(accepted, outcome.count("skOpen") as i64);
}

#[test]
fn nginx_answers_over_ipv6() {
    let Some(_alone) = alone("nginx_answers_over_ipv6", &["nginx", "ss"]) else { return };
    for (checksums, words, answers) in [
        (Checksums::Made, "cps 2k\nhttp_path /1k", 1980),
        (Checksums::Left, "cps 100\nhttp_path /100k", 99),
        (Checksums::Left, "cps 1k\ncc 100\nkeepalive 10ms\nhttp_path /1k", 5_000),
    ] {
        let net = Net::over_ipv6(checksums);
        let nginx = Nginx::start(&net.there, &net.folder);
        let before = Counters::of(&net.there);
        let outcome = start_client(&net, "af_packet:", words).end(few_seconds());
        assert_served(&net, &outcome, &before, answers);
        nginx.stop(&net.folder);
    }
}

#[test]
fn curl_wrk_and_ping_are_answered_over_ipv6() {
    let test = "curl_wrk_and_ping_are_answered_over_ipv6";
    let Some(_alone) = alone(test, &["curl", "wrk", "ping"]) else { return };
    for checksums in [Checksums::Made, Checksums::Left] {
        let net = Net::over_ipv6(checksums);
        // The kernel here has the addresses too, and must not be heard.
        for address in [OURS, LOAD] {
            let address = ipv6(address);
            net.here.run(&format!("ip address add {address}/64 dev {PORT} nodad"));
        }
        let (here, before) = (Counters::of(&net.here), Counters::of(&net.there));
        let server = start_server(&net, "af_packet:", "keepalive 1s");
        let load = ipv6(LOAD);
        assert_eq!(
            tool(&net.there, &format!("curl -gsS -m 9 http://[{load}]/")),
            "hello dperf!\r\n"
        );
        for address in [OURS, LOAD].map(ipv6) {
            for bytes in [0, 56, 1400] {
                let line = format!("ping -q -i 0.02 -c 25 -W 2 -s {bytes} {address}");
                let text = net.there.run(&line);
                assert!(text.contains("25 received, 0% packet loss"), "{address}: {text}");
            }
        }
        let answers = wrk(&net.there, &format!("[{load}]"), few_seconds() / 3, &[]);
        let outcome = server.stop();
        // wrk leaves in the middle of its last answers.
        net.assert_clean(&outcome, &["skErr", "tcpDrop"], &before, &[]);
        assert!(outcome.count("http2XX") > answers, "{}", outcome.record());
        assert!(outcome.count("icmpTx") >= 150, "{}", outcome.record());
        let heard = Counters::of(&net.here).since(&here);
        let spoken = ["TcpInSegs", "TcpOutRsts", "Icmp6OutEchoReplies"];
        assert_eq!(heard.nonzero(&spoken), [""; 0]);
    }
}

/// A kernel that looks whether an address of ours is free must learn that it is not.
#[test]
fn an_address_of_ours_is_taken() {
    let Some(_alone) = alone("an_address_of_ours_is_taken", &[]) else { return };
    let net = Net::over_ipv6(Checksums::Made);
    let server = start_server(&net, "af_packet:", "");
    let (ours, free) = (ipv6(LOAD), ipv6("10.77.0.99"));
    for address in [&ours, &free] {
        net.there.run(&format!("ip address add {address}/64 dev {CABLE}"));
    }
    let begun = Instant::now();
    loop {
        let list = net.there.run(&format!("ip -6 -oneline address show dev {CABLE}"));
        let is = |address: &str, word: &str| {
            let mut lines = list.lines().filter(|line| line.contains(&format!(" {address}/")));
            lines.any(|line| line.contains(word))
        };
        assert!(!is(&free, "dadfailed"), "{list}");
        if is(&ours, "dadfailed") && !is(&free, "tentative") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{list}");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(server.stop().faults(&[]), [""; 0]);
}

#[test]
fn nginx_answers_over_ipv6_and_xdp() {
    let test = "nginx_answers_over_ipv6_and_xdp";
    let Some(_alone) = alone(test, &["nginx", "ss", "ping"]) else { return };
    let net = Net::over_ipv6(Checksums::Made);
    let ours = ipv6(OURS);
    net.here.run(&format!("ip address add {ours}/64 dev {PORT} nodad"));
    let nginx = Nginx::start(&net.there, &net.folder);
    let before = Counters::of(&net.there);
    let mut client = start_client(&net, "af_xdp:", "cps 1k\nhttp_path /1k");
    client.wait_for_load();
    // Solicitations for the load's addresses go to groups that the kernel is not in.
    let flags = net.here.run(&format!("cat /sys/class/net/{PORT}/flags"));
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).expect("a number");
    assert_ne!(flags & 0x200, 0, "IFF_ALLMULTI of {flags:#x}");
    for (address, whose) in [(ours, "the kernel's"), (ipv6(LOAD), "ours")] {
        let pings = net.there.run(&format!("ping -q -i 0.02 -c 20 -W 2 {address}"));
        assert!(pings.contains("20 received, 0% packet loss"), "{whose}: {pings}");
    }
    let outcome = client.end(few_seconds());
    assert_served(&net, &outcome, &before, 980);
    assert!((20..40).contains(&outcome.count("icmpRx")), "{}", outcome.record());
    nginx.stop(&net.folder);
}
