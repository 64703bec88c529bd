//! The kernel's own VXLAN device at the other end of a tunnel: its ARP, its pings and its TCP find
//! us inside, and neither side drops anything.

use dperf_tests::kernel::{Counters, RESETS};
use dperf_tests::namespace::alone;
use dperf_tests::program::{self, Program};

use crate::net::{CABLE, Checksums, Net, Nginx, OURS, PEER, PORT, few_seconds, tool, wrk};

/// The kernel's end.
const TUNNEL: &str = "tunnel0";
/// Inside, in either family: the kernel's address, and ours for the load.
const IPV4: Inside = Inside { kernel: "172.16.0.2", prefix: "24", load: "172.16.0.10" };
const IPV6: Inside = Inside { kernel: "fd00:77::2", prefix: "64 nodad", load: "fd00:77::10" };
/// Inside: our MAC address, and the kernel's.
const MACS: [&str; 2] = ["02:00:00:00:01:01", "02:00:00:00:01:02"];

#[derive(Clone, Copy)]
struct Inside {
    kernel: &'static str,
    prefix: &'static str,
    load: &'static str,
}

impl Inside {
    /// The page of our server.
    fn url(self) -> String {
        let load = self.load;
        if load.contains(':') { format!("http://[{load}]/") } else { format!("http://{load}/") }
    }
}

/// The kernel makes outer checksums, or sends zero.
const OUTER_SUMS: [&str; 2] = ["udpcsum", "noudpcsum"];

/// A net whose peer has the other end of the tunnel as well.
fn net(checksums: Checksums, outer_sums: &str, inside: Inside) -> Net {
    let net = Net::new(checksums);
    let there = &net.there;
    there.run(&format!(
        "ip link add {TUNNEL} address {} type vxlan id 100 local {PEER} remote {OURS} dstport 4789 \
         dev {CABLE} {outer_sums}",
        MACS[1]
    ));
    let sums = if checksums == Checksums::Left { "on" } else { "off" };
    there.run(&format!("ethtool -K {TUNNEL} tso off gso off gro off tx {sums}"));
    let ipv4 = inside.kernel == IPV4.kernel;
    there.sysctl(&format!("net.ipv6.conf.{TUNNEL}.disable_ipv6"), u8::from(ipv4));
    there.run(&format!("ip address add {}/{} dev {TUNNEL}", inside.kernel, inside.prefix));
    there.run(&format!("ip link set {TUNNEL} up"));
    net
}

/// Our end, for a client or a server that says `more`.
fn start(net: &Net, kind: &str, inside: Inside, mode: &str, more: &str) -> Program {
    let [ours, theirs] = MACS;
    let both = [(inside.load, 4), (inside.kernel, 1)];
    let [client, server] = if mode == "client" { both } else { [both[1], both[0]] };
    let text = format!(
        "mode {mode}\ncpu {}\nprotocol http\nport {kind}:{PORT} {OURS} {PEER}\n\
         vxlan 100 {ours} {theirs} {OURS} 1 {PEER} 1\n\
         client {} {}\nserver {} {}\n{more}\n",
        program::cpu(),
        client.0,
        client.1,
        server.0,
        server.1,
    );
    Program::start(&net.here, &net.folder, mode, &text)
}

fn server(net: &Net, inside: Inside, more: &str) -> Program {
    let mut server = start(net, "af_packet", inside, "server", &format!("duration 600s\n{more}"));
    server.wait_for_load();
    server
}

/// Our checks, and that the kernel dropped nothing at its end of the tunnel.
fn assert_clean(net: &Net, outcome: &program::Outcome, excused: &[&str], before: &Counters) {
    net.assert_clean(outcome, excused, before, if excused.is_empty() { RESETS } else { &[] });
    // Over IPv6 a kernel speaks unasked, also before we know the gateway.
    let unasked = net.there.run(&format!("ip -6 address show dev {TUNNEL}"));
    let most = if unasked.is_empty() { 0 } else { 4 };
    assert!(outcome.count("dropVxlan") <= most, "{}", outcome.record());
    for name in ["rx_errors", "rx_dropped", "rx_frame_errors", "tx_errors", "tx_dropped"] {
        let file = format!("cat /sys/class/net/{TUNNEL}/statistics/{name}");
        assert_eq!(net.there.run(&file).trim(), "0", "{TUNNEL}: {name}");
    }
}

#[test]
fn nginx_answers_behind_the_kernels_end() {
    let tools = ["nginx", "ss"];
    let Some(_alone) = alone("nginx_answers_behind_the_kernels_end", &tools) else { return };
    let kept = "cps 1k\ncc 100\nkeepalive 20ms\nhttp_path /1k";
    let [sockets, xdp] = ["af_packet", "af_xdp"];
    for (kind, inside, checksums, outer_sums, words, answers) in [
        (sockets, IPV4, Checksums::Made, OUTER_SUMS[0], "cps 1k\nhttp_path /1k", 990),
        (sockets, IPV4, Checksums::Left, OUTER_SUMS[0], kept, 2_500),
        (sockets, IPV4, Checksums::Left, OUTER_SUMS[1], "cps 100\nhttp_path /100k", 99),
        (sockets, IPV6, Checksums::Made, OUTER_SUMS[0], "cps 100\nhttp_path /100k", 99),
        (sockets, IPV6, Checksums::Left, OUTER_SUMS[1], kept, 2_500),
        (xdp, IPV4, Checksums::Made, OUTER_SUMS[0], "cps 1k\nhttp_path /1k", 990),
        (xdp, IPV6, Checksums::Made, OUTER_SUMS[1], kept, 2_500),
    ] {
        let net = net(checksums, outer_sums, inside);
        let nginx = Nginx::start(&net.there, &net.folder);
        let before = Counters::of(&net.there);
        let seconds = few_seconds();
        let more = format!("duration {seconds}s\nslow_start 0\n{words}");
        let outcome = start(&net, kind, inside, "client", &more).end(seconds);
        assert_clean(&net, &outcome, &[], &before);
        let (opened, got) = (outcome.count("skOpen"), outcome.count("http2XX"));
        println!("nginx in a tunnel, {words:?}: {opened} connections, {got} answers");
        assert!(got >= answers * seconds, "{words}: {got}");
        let accepted = Counters::of(&net.there).since(&before).get("TcpPassiveOpens");
        assert_eq!(accepted, opened as i64);
        nginx.stop(&net.folder);
    }
}

#[test]
fn curl_and_ping_reach_us_inside() {
    let Some(_alone) = alone("curl_and_ping_reach_us_inside", &["curl", "ping", "wrk"]) else {
        return;
    };
    for (inside, checksums, outer_sums) in [
        (IPV4, Checksums::Made, OUTER_SUMS[0]),
        (IPV4, Checksums::Left, OUTER_SUMS[1]),
        (IPV6, Checksums::Made, OUTER_SUMS[1]),
        (IPV6, Checksums::Left, OUTER_SUMS[0]),
    ] {
        let net = net(checksums, outer_sums, inside);
        let before = Counters::of(&net.there);
        let server = server(&net, inside, "payload_size 1m\nsend_window 16");
        let file = net.folder.file("body");
        let ask = "curl -sS -m 10 -w %{http_code},%{size_download}";
        let said = tool(&net.there, &format!("{ask} -g -o {} {}", file.display(), inside.url()));
        assert_eq!(said, "200,999915");
        let body = net.folder.read("body");
        assert!(body.starts_with(b"hello dperf!\r\n") || body.iter().all(|byte| *byte == b'a'));
        // Our address inside, and the port's own, which is the tunnel's end, outside.
        for address in [inside.load, OURS] {
            tool(&net.there, &format!("ping -q -c 3 -i 0.1 -W 1 {address}"));
        }
        let neighbours = net.there.run(&format!("ip neigh show dev {TUNNEL}"));
        assert!(neighbours.contains(MACS[0]), "{neighbours}");
        let outcome = server.stop();
        assert_clean(&net, &outcome, &[], &before);
        // Over IPv6 solicitations are answered as well.
        let echoes = if inside.load == IPV4.load { 6..7 } else { 7..20 };
        assert!(echoes.contains(&outcome.count("icmpTx")), "{}", outcome.record());
        assert_eq!((outcome.count("skOpen"), outcome.count("http2XX")), (1, 1));
    }
}

#[test]
fn wrk_finds_no_error_in_a_tunnel() {
    let Some(_alone) = alone("wrk_finds_no_error_in_a_tunnel", &["wrk"]) else { return };
    let net = net(Checksums::Made, OUTER_SUMS[0], IPV4);
    let before = Counters::of(&net.there);
    let server = server(&net, IPV4, "keepalive 1s");
    let answers = wrk(&net.there, IPV4.load, few_seconds(), &[]);
    let outcome = server.stop();
    // In the end wrk leaves in the midst of 32 exchanges.
    assert_clean(&net, &outcome, &["skErr", "tcpDrop"], &before);
    let sent = outcome.count("http2XX");
    assert!((answers..=answers + 32).contains(&sent), "{sent} sent, {answers} seen");
}
