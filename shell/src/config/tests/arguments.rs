//! Every keyword of the table is accepted as its example says, and refused with bad arguments.

use super::{CLIENT, SERVER, refusal, text};
use crate::config::keyword::{self, Keyword, Side};

/// dperf's 48 keywords.
const DPERF: &str = "\
    mode cpu port duration cps cc flood keepalive pipeline launch_num client server change_dip \
    listen payload_random payload_size packet_size mss jumbo protocol tx_burst slow_start wait \
    vlan kni tos tcp_rst http_host http_path http_method lport_range client_port_range client_hop \
    neigh_ignore vxlan rss quiet daemon socket_mem simd512 fast_close flow_isolate \
    retransmit_timeout send_window clear_screen payload_file log_level disable_ack";

/// Lines that are refused, by keyword.
const REFUSED: &[(&str, &[&str])] = &[
    ("mode", &["", "both", "Client", "client server"]),
    ("cpu", &["", "x", "3-1", "5000", "0-4095 0"]),
    ("seed", &["", "x", "-1", "1 2"]),
    ("per_worker", &["1"]),
    (
        "port",
        &[
            "",
            "0000:03:00.1",
            "0000:03:00.1 10.0.1.1",
            "eth0 10.0.1.1 10.0.1.2",
            "link:a 10.0.1.1 10.0.1.1",
            "link:a 10.0.1.1 ::1",
            "link:a x 10.0.1.1",
            "link:a 10.0.1.1 x",
            "link:a 10.0.1.1 10.0.1.2 0:1:2:3:4:5",
            "link:a 10.0.1.1 10.0.1.2 b4:a9:fc:ab:7a:85 x",
        ],
    ),
    (
        "client",
        &[
            "",
            "10.0.1.1,10.0.1.2",
            "10.0.1.1 0",
            "10.0.1.1 65537",
            "255.255.255.250 7",
            "10.0.1.1 x",
            "0.0.0.0 1",
            "0.0.0.0/32",
            "10.0.1.1 2 10.0.1.2",
            "10.0.1.1 2 10.0.1.0/30",
            "10.0.1.1 2 ::1",
            "10.0.1.1 1 x",
            "10.0.1.1/24",
            "10.0.0.0/15",
            "10.0.1.0/33",
            "10.0.1.0/",
            "10.0.1.0/24 5",
            "10.0.1.9-10.0.1.8",
            "10.0.1.9-",
            "10.0.1.9-::5",
            "::fffe:ffff:ffff-::ffff:0:0",
        ],
    ),
    ("server", &["", "10.0.2.1 0", "10.0.2.1 1 10.0.2.1", "10.0.2.1/24 1"]),
    ("listen", &["", "0", "65536", "80 0", "80 x", "80 1 1", "65535 2"]),
    ("client_port_range", &["", "0", "1 65536", "10 9", "10-9", "a-b", "5-2 3", "1 2 3", "-5"]),
    ("lport_range", &["", "0", "10 9"]),
    ("tos", &["", "256", "0x100", "0xg", "-1", "1 2"]),
    ("jumbo", &["8999", "9711", "x", "9000 1"]),
    ("neigh_ignore", &["1"]),
    ("flow_isolate", &["1"]),
    ("vlan", &["", "0", "4095", "x", "1 0", "1 4095", "1 2 3", "1 2x"]),
    (
        "vxlan",
        &[
            "",
            "1 2 3 4 5 6",
            "0 0c:42:a1:9a:a3:e6 bc:97:e1:b6:e8:12 10.0.1.1 1 10.0.2.1 1",
            "1 0c:42:a1:9a:a3 bc:97:e1:b6:e8:12 10.0.1.1 1 10.0.2.1 1",
            "1 0c:42:a1:9a:a3:e6 bc:97:e1:b6:e8:12 ::1 1 10.0.2.1 1",
            "1 0c:42:a1:9a:a3:e6 bc:97:e1:b6:e8:12 10.0.1.1 1 10.0.2.1 0",
        ],
    ),
    (
        "exception",
        &["", "tun", "TAP", "tap 0ps", "tap abcdefghij", "tap a/b", "tap a%d", "tap a b", "none 0"],
    ),
    ("kni", &["0ps", "abcdefghij", "a b", "a:b"]),
    ("duration", &["", "0", "0.5", "ms", "x", "-1", "1 2"]),
    ("cps", &["", "x", "1k2", "-1", "1kk", "k"]),
    ("cc", &["", "0", "x"]),
    ("keepalive", &["", "1", "us 1", "1x", "0us 1", "1ms 32768", "1ms x", "1ms 1 1", "0.5us"]),
    ("launch_num", &["", "x", "2147483648", "1k"]),
    ("slow_start", &["", "601", "x"]),
    ("wait", &["", "x", "2147483648"]),
    ("flood", &["1"]),
    ("pipeline", &["", "101", "-1"]),
    ("client_hop", &["1"]),
    (
        "change_dip",
        &["", "10.0.3.1 1", "10.0.3.1 1 65537", "x 1 1", "10.0.3.1 １ 1", "255.255.255.250 1 10"],
    ),
    ("protocol", &["", "sctp", "HTTP"]),
    ("payload_size", &["", "x", "1k5", "2g"]),
    ("payload_file", &["", "/nowhere/to/be/found", "a b"]),
    ("payload_random", &["1"]),
    ("packet_size", &["", "1 2"]),
    ("http_host", &["", "a b", "é"]),
    ("http_path", &["", "index.html", "/a b", "/é"]),
    ("http_method", &["", "get", "PUT"]),
    ("mss", &["", "0", "1461", "x"]),
    ("send_window", &["", "0", "256", "x"]),
    ("retransmit_timeout", &["", "0", "301", "x"]),
    ("tcp_rst", &["", "2", "-1"]),
    ("fast_close", &["1"]),
    ("disable_ack", &["1"]),
    ("tx_burst", &["", "0", "1025", "x"]),
    ("socket_mem", &["", "x", "1024,", "1024,x", "1 2"]),
    ("simd512", &["1"]),
    ("eal", &[""]),
    ("log_level", &["", "trace", "4"]),
    ("quiet", &["# x", "text"]),
    ("clear_screen", &["1"]),
];

/// A configuration in which `line` is the only one of its keyword.
fn with(keyword: &Keyword, line: &str) -> String {
    let base = match keyword.side {
        Side::Server(_) => SERVER,
        _ if keyword.name == "mode" => SERVER,
        _ => CLIENT,
    };
    let companions = match keyword.name {
        "cc" => "keepalive 1s\n",
        "http_host" | "http_path" => "protocol http\n",
        _ => "",
    };
    let others = |text: &&str| text.split(' ').next() != Some(keyword.name);
    let rest: Vec<&str> = base.lines().filter(others).collect();
    format!("{}\n{companions}{line}\n", rest.join("\n"))
}

#[test]
fn the_table_has_all_of_dperf_and_some_of_our_own() {
    let mut names: Vec<&str> = keyword::all().map(|keyword| keyword.name).collect();
    names.sort_unstable();
    let ours = ["eal", "exception", "per_worker", "seed"];
    assert_eq!(DPERF.split_whitespace().count(), 48);
    let mut expected: Vec<&str> = DPERF.split_whitespace().chain(ours).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn entries_are_complete() {
    for keyword in keyword::all() {
        let name = keyword.name;
        assert!(!keyword.brief.is_empty() && keyword.brief.len() < 75, "{name}");
        assert!(!keyword.brief.ends_with('.'), "{name}");
        assert!(keyword.help.is_empty() || keyword.help.ends_with('.'), "{name}");
        assert_eq!(keyword.example.split(' ').next(), Some(name));
        assert!(keyword.alias_of.is_empty() || keyword::find(keyword.alias_of).is_some(), "{name}");
    }
}

#[test]
fn every_example_is_understood() {
    for keyword in keyword::all() {
        let refusal = refusal(text(&with(keyword, keyword.example)));
        let unmet = ["change_dip", "flow_isolate", "pipeline", "payload_file"];
        match keyword.name {
            // These need more than a line.
            name if unmet.contains(&name) => assert!(refusal.contains(name), "{refusal}"),
            name => assert_eq!(refusal, "accepted", "{name}"),
        }
    }
}

#[test]
fn bad_arguments_are_refused_at_their_line() {
    for keyword in keyword::all().filter(|keyword| !keyword.form.starts_with("[WORD]")) {
        let (_, lines) = REFUSED.iter().find(|(name, _)| *name == keyword.name).unwrap();
        for arguments in *lines {
            let config = with(keyword, &format!("{} {arguments}", keyword.name));
            let line = config.lines().count();
            let refusal = refusal(text(&config));
            // A comment is no argument.
            if arguments.starts_with('#') {
                assert_eq!(refusal, "accepted");
                continue;
            }
            let named = refusal.contains(&format!(": {}: ", keyword.name));
            assert!(refusal.starts_with(&format!("t.conf:{line}:")) && named, "{refusal}");
        }
    }
}

#[test]
fn given_twice_is_once_too_often_unless_it_repeats() {
    for keyword in keyword::all() {
        let twice = format!("{0}\n{0}\n", keyword.example);
        let refusal = refusal(text(&twice));
        assert_eq!(refusal.ends_with("is given twice"), !keyword.repeats, "{refusal}");
    }
    let alias = refusal(text("lport_range 1 2\nclient_port_range 1 2"));
    assert_eq!(alias, "t.conf:2:1: client_port_range: 'client_port_range' is given twice");
    let alias = refusal(text("client_port_range 1 2\nlport_range 1 2"));
    assert_eq!(alias, "t.conf:2:1: lport_range: 'lport_range' is given twice");
}

#[test]
fn ports_are_read_as_they_are_meant() {
    let range = |lines: &str| {
        let range = super::client(lines).unwrap().config.client_ports;
        (range.first, range.count)
    };
    assert_eq!(range(""), (1, 65535));
    assert_eq!(range("client_port_range 63026-65535"), (63026, 2510));
    assert_eq!(range("client_port_range 63026"), (63026, 2510));
    assert_eq!(range("lport_range 10 10"), (10, 1));
}
