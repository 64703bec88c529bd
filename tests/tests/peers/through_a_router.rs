//! A router in between that tracks every connection by the letter: it accepts nothing that it has
//! not seen begin, nothing outside a window, no wrong sum. It must find nothing to refuse, either
//! way.

use dperf_tests::kernel::{Counters, RESETS};
use dperf_tests::namespace::{Namespace, alone, join};
use dperf_tests::process::Folder;
use dperf_tests::program::{Outcome, Program};

use crate::net::{
    LOAD, Nginx, OURS, PORT, Way, client, complaints, few_seconds, server, tool, wrk,
};

const TOOLS: &[&str] = &["nft", "conntrack", "curl", "wrk", "nginx", "ss"];

/// The router's addresses: [`crate::net::PEER`] towards the program, this towards the others.
const BEYOND: &str = "10.78.0.1";
/// Who lives behind it.
const FAR: &str = "10.78.0.2";

/// What the router lets pass, and what it counts.
const RULES: &str = "table inet strict {
    counter forwarded {}
    counter refused {}
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state invalid counter name refused drop
        ct state new tcp flags & (syn|ack|fin|rst) != syn counter name refused drop
        ct state new,established counter name forwarded accept
        counter name refused
    }
    chain arrived {
        type filter hook prerouting priority 0;
        ct state invalid counter name refused drop
    }
}";

/// What connection tracking must not count.
const REFUSALS: &[&str] =
    &["invalid", "insert_failed", "drop", "early_drop", "error", "clashres", "chaintoolong"];

/// `DPERF_ROUTER_PACKETS` asks for more packets than come in the usual time.
fn packets_wanted() -> u64 {
    let text = std::env::var("DPERF_ROUTER_PACKETS").ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

struct Net {
    here: Namespace,
    router: Namespace,
    far: Namespace,
    folder: Folder,
}

impl Net {
    fn new() -> Net {
        let (here, router, far) = (Namespace::new(), Namespace::new(), Namespace::new());
        let net = Net { here, router, far, folder: Folder::new() };
        join((&net.here, PORT), (&net.router, "near0"));
        join((&net.router, "far0"), (&net.far, "cable0"));
        net.router.address("near0", &format!("{}/24", crate::net::PEER));
        net.router.address("far0", &format!("{BEYOND}/24"));
        net.far.address("cable0", &format!("{FAR}/24"));
        net.far.run(&format!("ip route add default via {BEYOND}"));
        let rules = net.folder.write("rules", RULES);
        net.router.run(&format!("nft -f {}", rules.display()));
        net.router.sysctl("net.ipv4.ip_forward", 1);
        for (name, value) in
            [("checksum", 1), ("tcp_be_liberal", 0), ("tcp_loose", 0), ("tcp_timeout_time_wait", 1)]
        {
            net.router.sysctl(&format!("net.netfilter.nf_conntrack_{name}"), value);
        }
        net
    }

    /// Packets in one of the router's counters.
    fn packets(&self, counter: &str) -> u64 {
        let text = self.router.run(&format!("nft list counter inet strict {counter}"));
        let mut words = text.split_whitespace().skip_while(|word| *word != "packets").skip(1);
        let count = words.next().and_then(|word| word.parse().ok());
        count.unwrap_or_else(|| panic!("no packets in {text}"))
    }

    /// Nobody finds fault, and the router saw at least `packets`. Who `breaks` off in the end
    /// leaves up to 32 exchanges half done.
    fn assert_clean(&self, outcome: &Outcome, breaks: bool, before: &Counters, packets: u64) {
        let (excused, resets) =
            if breaks { (&["skErr", "tcpDrop"][..], &[][..]) } else { (&[][..], RESETS) };
        let tracked = Counters::of_tracking(&self.router).nonzero(REFUSALS);
        let mut found = [outcome.faults(excused), complaints(&self.far, before, resets)].concat();
        found.extend(tracked.iter().map(|complaint| format!("connection tracking: {complaint}")));
        let (refused, forwarded) = (self.packets("refused"), self.packets("forwarded"));
        if refused != 0 || forwarded < packets {
            found.push(format!("router: {refused} refused, {forwarded} forwarded of {packets}"));
        }
        assert!(found.is_empty(), "{}\n{}", found.join("\n"), outcome.record());
    }
}

#[test]
fn a_strict_router_refuses_nothing_of_our_client() {
    let Some(_alone) = alone("a_strict_router_refuses_nothing_of_our_client", TOOLS) else {
        return;
    };
    let way = Way { gateway: crate::net::PEER, server: FAR };
    for (words, packets) in [
        ("cps 1k\nhttp_path /1k", 6_000),
        ("cps 100\nhttp_path /100k", 100 * 70),
        ("cps 1k\ncc 100\nkeepalive 10ms\nhttp_path /1k", 10_000),
    ] {
        let net = Net::new();
        let nginx = Nginx::start(&net.far, &net.folder);
        let before = Counters::of(&net.far);
        let text = client(&way, few_seconds(), words);
        let outcome = Program::start(&net.here, &net.folder, "client", &text).end(few_seconds());
        let (opened, answers) = (outcome.count("skOpen"), outcome.count("http2XX"));
        println!("through a router, {words:?}: {opened} connections, {answers} answers");
        net.assert_clean(&outcome, false, &before, packets * few_seconds() * 95 / 100);
        nginx.stop(&net.folder);
    }
}

/// A server that `far` may ask, and what its kernel counted before.
fn server_for_far(net: &Net, words: &str, allow: &[&str]) -> (Program, Counters) {
    let before = Counters::of(&net.far);
    let text = server(OURS, &format!("client {FAR} 1\n{words}"));
    let mut server = Program::start_with(&net.here, &net.folder, "server", &text, allow);
    server.wait_for_load();
    (server, before)
}

#[test]
fn a_strict_router_refuses_nothing_of_our_server() {
    let Some(_alone) = alone("a_strict_router_refuses_nothing_of_our_server", TOOLS) else {
        return;
    };
    let net = Net::new();
    // wrk may break off in the midst of 32 exchanges, each time.
    let allow = ["--allow", "skErr=1000000"];
    let (server, before) = server_for_far(&net, "keepalive 1s", &allow);
    let (mut runs, mut answers) = (0, 0);
    while runs == 0 || net.packets("forwarded") < packets_wanted() {
        answers += wrk(&net.far, LOAD, few_seconds(), &[]);
        runs += 1;
    }
    let outcome = server.stop();
    println!("through a router: {answers} answers, {} packets", net.packets("forwarded"));
    assert!(outcome.count("skErr") <= 32 * runs, "{}", outcome.record());
    net.assert_clean(&outcome, true, &before, answers.max(packets_wanted()));

    let net = Net::new();
    let (server, before) = server_for_far(&net, "payload_size 100k", &[]);
    // Each answer takes a port, and the kernel has 28,000 of them.
    let count = 100 * few_seconds();
    let urls = format!("-o /dev/null http://{LOAD}/[1-{count}]");
    let said = tool(&net.far, &format!("curl -sS -m 120 -w %{{http_code}}\\n {urls}"));
    assert_eq!(said, "200\n".repeat(count as usize));
    net.assert_clean(&server.stop(), false, &before, count * 70);
}
