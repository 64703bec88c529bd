//! Every rule across keywords, with the line it blames.

use dperf_core::plan::Role;

use super::{CLIENT, SERVER, client, refusal, server, text};
use crate::config::Keepalive;

/// A client on two PCI ports.
const TWO_PORTS: &str = "\
cpu 0 1
port 0000:01:00.0 10.0.1.1 10.0.1.254
port 0000:02:00.0 10.0.3.1 10.0.3.254
client 10.0.1.1 10
client 10.0.3.1 10
server 10.0.2.1 1
server 10.0.4.1 1
cps 1k
";

const TUNNEL: &str = "vxlan 1 0c:42:a1:9a:a3:e6 bc:97:e1:b6:e8:12 10.0.1.1 1 10.0.2.1 1\n";

/// Lines added to the client from line 7 on, and what is said about them.
const CLIENTS: &[(&str, &str)] = &[
    ("mss 1461", "7:1: mss: 1461 bytes are more than fit one packet, 1460"),
    ("jumbo 9000\nmss 8961", "8:1: mss: 8961 bytes are more than fit one packet, 8960"),
    ("cc 5", "7:1: cc: it needs keepalive, or connections close at once"),
    (
        "keepalive 0us\nflood",
        "7:1: keepalive: flood does not wait for answers, so the interval cannot be 0",
    ),
    ("pipeline 2", "7:1: pipeline: it needs keepalive"),
    ("keepalive 0us\npipeline 2", "8:1: pipeline: it needs protocol udp"),
    ("protocol udp\nkeepalive 1ms\npipeline 2", "9:1: pipeline: it needs keepalive 0us, or flood"),
    ("http_host x", "7:1: http_host: it needs protocol http"),
    ("http_path /x", "7:1: http_path: it needs protocol http"),
    (
        "protocol http\nhttp_path /x\npayload_file f",
        "8:1: http_path: a GET from a file has its path in the file",
    ),
    ("payload_size 1461", "7:1: payload_size: 1461 bytes are more than fit one packet, 1460"),
    (
        "protocol udp\npayload_size 1473",
        "8:1: payload_size: 1473 bytes are more than fit one packet, 1472",
    ),
    (
        "mss 1000\npayload_size 1001",
        "8:1: payload_size: 1001 bytes are more than fit one segment of mss, 1000",
    ),
    ("payload_size 1 2", "7:1: payload_size: a client has one size"),
    (
        "payload_size 1\npayload_file f",
        "8:1: payload_file: it cannot be combined with payload_size",
    ),
    ("payload_file /", "7:1: payload_file: '/' is not a file"),
    ("client 10.0.1.5 1", "7:1: client: 10.0.1.5 is a client address already"),
    ("server 10.0.2.1 2", "7:1: server: 10.0.2.1 is a server address already"),
    ("client 10.0.2.1 1", "7:1: client: 10.0.2.1 is a server address as well"),
    ("client 2001:db8::1 1", "7:1: client: 2001:db8::1 is not of the family of 10.0.1.1"),
    ("client 10.0.9.1 1", "4:1: client: 2 client lines do not match 1 ports"),
    ("server 10.0.9.1 1", "5:1: server: 2 server lines do not match 1 ports"),
    ("change_dip 10.0.9.1 1 5", "7:1: change_dip: it needs flood"),
    (
        "flood\nchange_dip ::1 1 5",
        "8:1: change_dip: its addresses are not of the family of the others",
    ),
    ("protocol udp\nfast_close", "8:1: fast_close: UDP has nothing to close"),
    ("flow_isolate", "3:1: port: flow_isolate needs the gateway's MAC address"),
    ("flow_isolate\nrss", "7:1: flow_isolate: it cannot be combined with rss"),
    (
        "port link:b 10.0.9.1 10.0.9.2",
        "2:1: cpu: the number of cores, 1, is not a multiple of that of ports, 2",
    ),
    ("port link:b 10.0.1.1 10.0.9.2", "7:1: port: 10.0.1.1 is the address of another port"),
    ("port link:b 10.0.2.1 10.0.9.2", "7:1: port: our own address 10.0.2.1 is a server address"),
    ("port link:b 10.0.9.1 10.0.1.2", "7:1: port: the gateway 10.0.1.2 is a client address"),
];

/// Lines added to the server from line 6 on, and what is said about them.
const SERVERS: &[(&str, &str)] = &[
    ("wait 3", "6:1: wait: a server has no such keyword, only a client has"),
    ("slow_start 30", "6:1: slow_start: a server has no such keyword, only a client has"),
    ("fast_close", "6:1: fast_close: a server has no such keyword, only a client has"),
    ("http_path /", "6:1: http_path: a server has no such keyword, only a client has"),
    ("pipeline 1", "6:1: pipeline: a server has no such keyword, only a client has"),
    ("payload_size 1 2", "6:1: payload_size: 2 sizes do not match 1 cores"),
    (
        "protocol udp\npayload_size 1473",
        "7:1: payload_size: 1473 bytes are more than fit one packet, 1472",
    ),
];

#[test]
fn rules_blame_the_line_that_breaks_them() {
    for (lines, expected) in CLIENTS {
        assert_eq!(refusal(client(lines)), format!("t.conf:{expected}"), "{lines}");
    }
    for (lines, expected) in SERVERS {
        assert_eq!(refusal(server(lines)), format!("t.conf:{expected}"), "{lines}");
    }
    let sizes = SERVER.replace("cpu 0", "cpu 0 1 2");
    let mixed = refusal(text(&format!("{sizes}payload_size 50 1000 1000")));
    assert_eq!(mixed, "t.conf:6:1: payload_size: sizes below and from 85 on (HTTP) are mixed");
}

#[test]
fn what_is_missing_is_named() {
    let without = |base: &str, keyword: &str| {
        let rest: Vec<&str> = base.lines().filter(|line| !line.starts_with(keyword)).collect();
        refusal(text(&rest.join("\n")))
    };
    assert_eq!(without(CLIENT, "cps"), "t.conf:5:1: cps: no load is asked for");
    assert_eq!(without(CLIENT, "cpu"), "t.conf:5:1: cpu: there is no core");
    assert_eq!(without(CLIENT, "port"), "t.conf:5:1: port: there is no port");
    assert_eq!(
        without(CLIENT, "server"),
        "t.conf:5:1: server: 0 server lines do not match 1 ports"
    );
    assert_eq!(
        without(CLIENT, "client"),
        "t.conf:5:1: client: 0 client lines do not match 1 ports"
    );
    assert_eq!(without(SERVER, "client"), "t.conf:4:1: client: there is no client line");
    assert_eq!(without(CLIENT, "mode"), "accepted");
}

#[test]
fn ports_and_their_workers_must_match() {
    let with = |from: &str, to: &str| refusal(text(&TWO_PORTS.replace(from, to)));
    assert_eq!(with("", ""), "accepted");
    let twice = "t.conf:3:1: port: '0000:01:00.0' is used twice";
    assert_eq!(with("0000:02:00.0", "0000:01:00.0"), twice);
    let mismatch = "t.conf:6:1: server: 1 server addresses do not match 2 workers of the port";
    assert_eq!(with("cpu 0 1", "cpu 0-3"), mismatch);
    let tunnels = TWO_PORTS.replace("cps", &format!("{TUNNEL}cps"));
    assert_eq!(refusal(text(&tunnels)), "t.conf:8:1: vxlan: 1 tunnels do not match 2 ports");
    let family = CLIENT.replace("10.0.1.1 10.0.2.1", "2001:db8::1 2001:db8::2");
    let expected = "t.conf:3:1: port: 2001:db8::1 is not an IPv4 address";
    assert_eq!(refusal(text(&family)), expected);
}

#[test]
fn tunnels_have_their_own_rules() {
    assert_eq!(refusal(client(TUNNEL)), "accepted");
    let mss = refusal(client(&format!("{TUNNEL}mss 1411")));
    assert_eq!(mss, "t.conf:8:1: mss: 1411 bytes are more than fit one packet, 1410");
    let vlan = refusal(client(&format!("{TUNNEL}vlan 5")));
    assert_eq!(vlan, "t.conf:8:1: vlan: it cannot be combined with vxlan");
    let dips = refusal(client(&format!("{TUNNEL}flood\nchange_dip 10.0.9.1 1 5")));
    assert_eq!(dips, "t.conf:9:1: change_dip: it cannot be combined with vxlan");
    let ends = refusal(client(&TUNNEL.replace("10.0.1.1 1", "10.0.1.1 2")));
    assert_eq!(ends, "t.conf:7:1: vxlan: 2 and 1 ends do not match 1 workers a port");
    let own = refusal(client(&TUNNEL.replace("10.0.2.1 1", "10.0.1.1 1")));
    assert_eq!(own, "t.conf:7:56: vxlan: 10.0.1.1 is at both ends of the tunnel");
    let group = client(&TUNNEL.replace("0c:42:a1:9a:a3:e6", "01:42:a1:9a:a3:e6")).unwrap();
    assert_eq!(group.notes[0].to_string(), "t.conf:7: vxlan: this MAC address is a group's");
    let rss = CLIENT.replace("cpu 0", "cpu 0 1");
    let tunnel = TUNNEL.replace("10.0.1.1 1", "10.0.1.1 2");
    let rss = refusal(text(&format!("{rss}{tunnel}rss")));
    assert_eq!(rss, "t.conf:8:1: rss: it cannot be combined with vxlan");
    let bond = CLIENT.replace("link:a", "bond4:2(0000:81:10.0)");
    let bond = refusal(text(&format!("{bond}vlan 5")));
    assert_eq!(bond, "t.conf:7:1: vlan: it cannot be combined with a bond");
}

#[test]
fn loads_that_are_not_connections_say_what_they_ignore() {
    let notes = |lines: &str| {
        let read = client(lines).unwrap_or_else(|error| panic!("{error}"));
        read.notes.iter().map(|note| note.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        notes("protocol udp\nmss 1000\nhttp_method POST\nkeepalive 1ms 5"),
        [
            "mss is ignored: it is not for UDP",
            "http_method is ignored: it is not for UDP",
            "requests on each connection: 5; dperf sends them without end over UDP",
        ]
    );
    assert_eq!(
        notes("flood\nfast_close\npayload_size 99\nkeepalive 1ms 5"),
        [
            "payload_size is ignored: a flood of TCP is SYN alone",
            "fast_close is ignored: a flood of TCP is SYN alone",
            "requests on each connection: 5; dperf's flood has no end",
        ]
    );
    let header = "protocol http\nhttp_path /x\nhttp_host h\nhttp_method POST\n";
    let short = |name| format!("{name} is ignored: so short a message has no header");
    assert_eq!(
        notes(&format!("{header}payload_size 50")),
        ["http_host", "http_path", "http_method"].map(short)
    );
    assert!(notes(&format!("{header}payload_size 500")).is_empty());
    let ignored = server("flood\nclient_hop\ndisable_ack").unwrap().config;
    assert!(!(ignored.flood || ignored.client_hop || ignored.disable_ack));
    for lines in ["keepalive 2148s", "keepalive 31536000s 9", "retransmit_timeout 300"] {
        assert_eq!(refusal(client(lines)), "accepted");
    }
    let far = refusal(client("keepalive 31536001s"));
    assert!(far.contains("is more than 31536000000000, the most possible"), "{far}");
    let sizes = SERVER.replace("cpu 0", "cpu 0 1").replace("10.0.2.1 1", "10.0.2.1 2");
    assert_eq!(refusal(text(&format!("{sizes}payload_size 100 200"))), "accepted");
}

#[test]
fn cards_that_dperf_knows_want_rss_where_dperf_does() {
    let with = |port: &str, servers: &str, lines: &str| {
        let config = CLIENT.replace("cpu 0", "cpu 0 1").replace("link:a", port);
        text(&format!("{}{lines}", config.replace("10.0.2.1 1", &format!("10.0.2.1 {servers}"))))
    };
    let card = "0000:01:00.0";
    let expected = "t.conf:5:1: server: 3 server addresses do not match 2 workers of the port";
    assert_eq!(refusal(with(card, "3", "")), expected);
    assert!(with(card, "2", "").is_ok() && with(card, "3", "rss").is_ok());
    for other in ["link:a", "af_packet:eth0", "af_xdp:eth0", "net_memif0"] {
        assert!(with(other, "3", "").is_ok() && with(other, "3", "rss").is_ok(), "{other}");
    }
}

#[test]
fn an_address_on_both_sides_is_refused() {
    let ipv6 = "mode server\ncpu 0\nport 0000:03:00.1 2001:6::27 2001:6::1\n\
                client 2001:6::10 50\nserver 2001:6::27 1\n";
    let expected = "t.conf:4:1: client: 2001:6::27 is a server address as well";
    assert_eq!(refusal(text(ipv6)), expected);
}

#[test]
fn the_defects_of_dperf_are_gone() {
    assert!(!client("tcp_rst 0").unwrap().config.tcp_rst);
    let huge = client("keepalive 1s\ncc 3000m").unwrap().config;
    assert_eq!(huge.cc, 3_000_000_000);
    let kept = client("keepalive 6.25ms").unwrap().config.keepalive;
    assert_eq!(kept, Some(Keepalive { interval_us: 6250, requests: 0 }));
    let shared = text(&CLIENT.replace("cpu 0", "cpu 0 1 0 1")).unwrap();
    assert_eq!(shared.config.cpus, [0, 1, 0, 1]);
    assert_eq!(shared.notes[0].text, "4 workers share 2 cores: rates will suffer");
    let far = text(&CLIENT.replace("10.0.1.1 10\n", "10.0.1.5 1 11.0.1.5\n")).unwrap();
    assert_eq!(far.config.clients[0].list.len(), 2);
}

#[test]
fn bursts_are_as_large_as_written() {
    for (written, meant) in [("1", 1), ("64", 64), ("65", 64), ("256", 64), ("1024", 64)] {
        let read = client(&format!("tx_burst {written}")).unwrap();
        let told = usize::from(meant.to_string() != written);
        assert_eq!((read.config.tx_burst, read.notes.len()), (meant, told), "{written}");
    }
    assert_eq!(client("").unwrap().config.tx_burst, 64);
}

#[test]
fn defaults_are_dperfs() {
    let config = text(&CLIENT.replace("cps 1k", "keepalive 1s\ncc 5")).unwrap().config;
    assert_eq!(
        (config.cps, config.duration_s, config.slow_start_s, config.wait_s),
        (1000, 60, 30, 3)
    );
    assert_eq!((config.listen.first, config.listen.count), (80, 1));
    assert_eq!((config.retransmit_timeout_s, config.seed), (2, 1));
    assert_eq!((config.mss, config.mtu, config.send_window, config.tcp_rst), (1460, 1500, 4, true));
    assert_eq!((config.http_host.as_str(), config.http_path.as_str()), ("dperf", "/"));
    assert_eq!(config.role, Role::Client);
    assert_eq!(client("slow_start 2").unwrap().config.wait_s, 2);
    assert_eq!(client("slow_start 0").unwrap().config.wait_s, 0);
    let late = client("slow_start 2\nwait 9").unwrap();
    assert_eq!(late.config.wait_s, 2);
    assert_eq!(late.notes[0].text, "wait 9 ends with the ramp, after 2 s; dperf waits on");
}

#[test]
fn a_servers_configuration_may_keep_the_clients_rates() {
    let read =
        server("cps 1m\ncc 5\nlaunch_num 3\nflood\nhttp_method POST\nkeepalive 1s 5").unwrap();
    assert_eq!(read.notes.len(), 5);
    assert_eq!(read.notes[3].to_string(), "t.conf:9: flood is ignored: it is for the client");
    let kept = read.config.keepalive;
    assert_eq!(kept, Some(Keepalive { interval_us: 1_000_000, requests: 0 }));
}

#[test]
fn a_payload_file_is_read() {
    let folder = std::env::temp_dir().join(format!("dperf-shell-payload-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        format!("payload_file {}", path.display())
    };
    let read = client(&file("request", b"a\0b")).unwrap();
    assert_eq!(read.config.payload_file, b"a\0b");
    let written = format!("{}\nprotocol http\nhttp_host h\npayload_random", file("request", b"a"));
    let notes: Vec<String> =
        client(&written).unwrap().notes.into_iter().map(|note| note.text).collect();
    let ignored = |name| format!("{name} is ignored: payload_file has the whole message");
    assert_eq!(notes, ["http_host", "payload_random"].map(ignored));
    assert!(refusal(client(&file("long", &[b'a'; 1461]))).contains("has 1461 bytes"));
    assert!(refusal(client(&file("empty", b""))).contains("has 0 bytes"));
    std::fs::remove_dir_all(&folder).unwrap();
}
