//! What dperf accepts is accepted and means the same; where its reading is odd, or ours differs,
//! one line says so.

use super::{CLIENT, SERVER, client, refusal, server, text};
use crate::config::{Config, Read};

/// What the notes about the lines of the test say, without their place and keyword.
fn notes(read: &Read) -> Vec<String> {
    let said = read.notes.iter().map(|note| note.text.clone());
    said.filter(|text| text.contains("dperf")).collect()
}

/// Adds `line` to a client and checks one thing of what it means, and what is said.
fn means<T: PartialEq + std::fmt::Debug>(line: &str, of: fn(&Config) -> T, value: T, note: &str) {
    let read = client(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(of(&read.config), value, "{line}");
    assert_eq!(notes(&read).join("; "), note, "{line}");
}

#[test]
fn odd_numbers_mean_what_they_mean_in_dperf() {
    let tos = |config: &Config| config.tos;
    means("tos abc", tos, 0, "tos: 'abc' is read as 0, as in dperf");
    means("tos 12x", tos, 12, "tos: '12x' is read as 12, as in dperf");
    let seconds = |config: &Config| config.duration_s;
    means("duration 10ms", seconds, 10, "duration: '10ms' is read as 10 s, as in dperf");
    means("duration 1.5", seconds, 1, "duration: '1.5' is read as 1 s, as in dperf");
    means("duration 10x", seconds, 10, "duration: '10x' is read as 10 s, as in dperf");
    let timeout = |config: &Config| config.retransmit_timeout_s;
    means("retransmit_timeout 3", timeout, 3, "");
    means(
        "retransmit_timeout 2m",
        timeout,
        2,
        "retransmit_timeout: '2m' is read as 2, as in dperf",
    );
    let reset = |config: &Config| config.tcp_rst;
    means("tcp_rst 0", reset, false, "");
    means("tcp_rst off", reset, false, "tcp_rst: 'off' is read as 0, as in dperf");
    let mtu = |config: &Config| config.mtu;
    means("jumbo 9000b", mtu, 9000, "jumbo: '9000b' is read as 9000, as in dperf");
    let size = |config: &Config| config.payload_sizes[0];
    means("payload_size 80.9", size, 80, "payload_size: '80.9' is read as 80, as in dperf");
    means("pipeline abc", |config| config.pipeline, 0, "pipeline: 'abc' is read as 0, as in dperf");
    let kept = |config: &Config| config.keepalive.map(|kept| kept.interval_us);
    means("keepalive us", kept, Some(0), "keepalive: 'us' is read as 0 us, as in dperf");
    let cps = |line: &str| text(&CLIENT.replace("cps 1k", line)).unwrap();
    let cut = cps("cps 1.2.3k");
    assert_eq!(cut.config.cps, 1);
    assert_eq!(notes(&cut), ["cps: '1.2.3k' is read as 1, as in dperf"]);
    // Exactly, where binary fractions fail dperf.
    let exact = cps("cps 1.001k");
    assert_eq!(exact.config.cps, 1001);
    assert_eq!(notes(&exact), ["cps: '1.001k' is 1001; dperf reads 1000"]);
}

#[test]
fn ports_may_have_a_dash() {
    let ports = |config: &Config| (config.client_ports.first, config.client_ports.count);
    means("client_port_range 63026-65535", ports, (63026, 2510), "");
    let different = "client_port_range: '10-20' ends at 20; dperf reads 65535";
    means("client_port_range 10-20", ports, (10, 11), different);
    let odd = "client_port_range: '10x' is read as 10, as in dperf";
    means("client_port_range 10x", ports, (10, 65526), odd);
    means("client_port_range 10x 20", ports, (10, 11), odd);
}

/// dperf takes what is zero, or the default, for not given.
#[test]
fn what_is_given_as_zero_may_be_given_again() {
    for (lines, of) in [
        ("tos 0\ntos 7", (|config| config.tos.into()) as fn(&Config) -> u64),
        ("launch_num 0\nlaunch_num 7", |config| config.launch_num.into()),
        ("payload_size 0\npayload_size 7", |config| config.payload_sizes[0].into()),
        ("pipeline 0\npipeline 0\ntos 7", |config| config.tos.into()),
        ("http_method GET\nhttp_method POST\ntos 7", |config| config.tos.into()),
    ] {
        let read = client(lines).unwrap_or_else(|error| panic!("{lines}: {error}"));
        assert_eq!(of(&read.config), 7, "{lines}");
        let name = lines.split(' ').next().unwrap();
        let said = format!("{name}: what stands at t.conf:7:1 is replaced, as in dperf");
        assert_eq!(notes(&read), [said], "{lines}");
    }
    assert!(refusal(client("tos 7\ntos 0")).ends_with("tos: 'tos' is given twice"));
    let roles = format!("mode client\n{SERVER}");
    assert_eq!(text(&roles).unwrap().config.role, dperf_core::plan::Role::Server);
    assert!(refusal(text(&format!("{SERVER}mode client"))).contains("'mode' is given twice"));
    assert_eq!(client("cps 5").map(drop).unwrap_err().place.line, 7);
    assert_eq!(text(&CLIENT.replace("cps 1k", "cps 0\ncps 5")).unwrap().config.cps, 5);
}

#[test]
fn lines_that_dperf_ignores_are_ignored_and_said() {
    let ignored =
        "change_dip: the line is ignored, as in dperf: its step or its count is not above 0";
    for line in ["change_dip 10.0.9.1 0 5", "change_dip 10.0.9.1 x 5", "change_dip 10.0.9.1 1 -1"] {
        let read = text(&format!("{CLIENT}{line}\n")).unwrap();
        assert_eq!(notes(&read), [ignored], "{line}");
    }
    let zero = CLIENT.replace("10.0.2.1\n", "10.0.2.1 00:00:00:00:00:00\n");
    let read = text(&zero).unwrap();
    assert_eq!(read.config.ports[0].gateway_mac, None);
    assert!(read.notes[0].text.contains("the gateway is asked for its own"), "{:?}", read.notes);
    let group = CLIENT.replace("10.0.2.1\n", "10.0.2.1 01:00:5e:00:00:01\n");
    let read = text(&group).unwrap();
    assert!(read.config.ports[0].gateway_mac.is_some());
    assert!(read.notes[0].text.contains("is a group's"), "{:?}", read.notes);
}

#[test]
fn what_dperf_drops_behind_31_arguments_is_read_and_said() {
    let cores: Vec<String> = (0..40).map(|core| core.to_string()).collect();
    let many = format!("{}rss\n", CLIENT.replace("cpu 0", &format!("cpu {}", cores.join(" "))));
    let read = text(&many).unwrap();
    assert_eq!(read.config.cpus.len(), 40);
    assert_eq!(notes(&read), ["cpu: 40 arguments; dperf drops all behind 31"]);
}

#[test]
fn addresses_may_be_networks_ranges_and_lists() {
    let list = |words: &str| {
        let read = text(&CLIENT.replace("client 10.0.1.1 10", &format!("client {words}")));
        let config = read.unwrap_or_else(|error| panic!("{words}: {error}")).config;
        let list = &config.clients[0].list;
        (list.len(), list[0].to_string(), list[list.len() - 1].to_string())
    };
    let is = |count, first: &str, last: &str| (count, first.to_owned(), last.to_owned());
    assert_eq!(list("10.0.4.0/24"), is(254, "10.0.4.1", "10.0.4.254"));
    assert_eq!(list("10.0.4.0/31"), is(2, "10.0.4.0", "10.0.4.1"));
    assert_eq!(list("10.0.4.9/32"), is(1, "10.0.4.9", "10.0.4.9"));
    assert_eq!(list("10.4.0.0/16"), is(65534, "10.4.0.1", "10.4.255.254"));
    assert_eq!(list("10.4.0.0 65536"), is(65536, "10.4.0.0", "10.4.255.255"));
    assert_eq!(list("10.4.0.250-10.4.1.5"), is(12, "10.4.0.250", "10.4.1.5"));
    assert_eq!(list("10.4.0.1 2 10.5.0.0/30 10.6.0.1-10.6.0.3"), is(7, "10.4.0.1", "10.6.0.3"));
    let six = |words: &str| {
        let word = |text| super::super::words::Word {
            text,
            place: crate::config::Place { file: "t".into(), line: 1, column: 1 },
        };
        let words: Vec<_> = words.split(' ').map(word).collect();
        super::super::value::address_list(&words).unwrap().len()
    };
    assert_eq!(six("2001:db8::/112"), 65535);
    assert_eq!(six("2001:db8::5/128 2001:db8::8-2001:db8::b"), 5);
    let off = refusal(text(&CLIENT.replace("10.0.1.1 10\n", "10.0.4.7/24\n")));
    assert_eq!(off, "t.conf:4:8: client: 10.0.4.7 is not the first address of '10.0.4.7/24'");
    let served = server("").unwrap().config.servers[0].list.len();
    assert_eq!(served, 1);
}

#[test]
fn cores_may_have_something_behind_them() {
    let read = text(&CLIENT.replace("cpu 0", "cpu 0-1x\nrss")).unwrap();
    assert_eq!(read.config.cpus, [0, 1]);
    assert_eq!(notes(&read), ["cpu: '0-1x' is read as 0-1, as in dperf"]);
}
