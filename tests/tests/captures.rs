//! tshark reads what crossed the wire in clean runs: no frame is malformed, every checksum is right
//! at every layer, and TCP's analysis has nothing to remark.

use std::process::Command;

use dperf_core::plan::Messages;
use dperf_core::port::Offloads;
use dperf_core::stats::Count;
use dperf_tests::namespace::skip;
use dperf_tests::pcap::Capture;
use dperf_tests::process::Folder;
use dperf_tests::scenario::{MILLI, Scenario, Travel};
use dperf_tests::sim;

/// Asks for something else.
type Change = fn(Scenario) -> Scenario;

/// A kind of traffic.
struct Case {
    name: &'static str,
    /// What tshark finds in a frame that carries a segment, from the outside in.
    layers: &'static str,
    scenario: Change,
}

const CASES: &[Case] = &[
    Case { name: "IPv4", layers: "eth:ethertype:ip:tcp", scenario: |plain| plain },
    Case {
        name: "IPv6",
        layers: "eth:ethertype:ipv6:tcp",
        scenario: |plain| Scenario { ipv6: true, ..plain },
    },
    Case {
        name: "VLAN",
        layers: "eth:ethertype:vlan:ethertype:ip:tcp",
        scenario: |plain| Scenario { travel: Travel::Vlan, ..plain },
    },
    Case {
        name: "VLAN, IPv6",
        layers: "eth:ethertype:vlan:ethertype:ipv6:tcp",
        scenario: |plain| Scenario { travel: Travel::Vlan, ipv6: true, ..plain },
    },
    Case {
        name: "QinQ",
        layers: "eth:ethertype:ieee8021ad:ethertype:vlan:ethertype:ip:tcp",
        scenario: |plain| Scenario { travel: Travel::Qinq, ..plain },
    },
    Case {
        name: "VXLAN",
        layers: "eth:ethertype:ip:udp:vxlan:eth:ethertype:ip:tcp",
        scenario: |plain| Scenario { travel: Travel::Vxlan, mss: [1410; 2], ..plain },
    },
    Case {
        name: "VXLAN, IPv6",
        layers: "eth:ethertype:ip:udp:vxlan:eth:ethertype:ipv6:tcp",
        scenario: |plain| Scenario { travel: Travel::Vxlan, mss: [1390; 2], ipv6: true, ..plain },
    },
];

/// A load's name, and what is asked for beside the case's.
type Load = (&'static str, fn(Scenario) -> Scenario);

/// What connections carry, for every case.
const LOADS: &[Load] = &[
    ("short connections", |case| case),
    ("sums left to the device", |case| Scenario { offloads: Offloads::all(), ..case }),
    ("large answers", |case| Scenario { response_bytes: 100_000, cps: 1_000, ..case }),
    ("kept connections", |case| Scenario { keepalive: Some((1_000, 5)), cps: 2_000, ..case }),
    ("posts", |case| Scenario { messages: Messages::HttpPost, request_bytes: 1_000, ..case }),
];

/// The fields that are asked for; each may occur once per layer.
const FIELDS: &[&str] = &[
    "frame.protocols",
    "ip.checksum.status",
    "tcp.checksum.status",
    "udp.checksum.status",
    "tcp.analysis.flags",
    "_ws.malformed",
    "_ws.expert.severity",
];

/// A checksum that is not right; 1 is right, 3 is none (UDP over IPv4 may have none).
const WRONG: [&str; 2] = ["0", "2"];

/// tshark's number for a warning; a note tells of what is rare, such as who closes first.
const WARNING: u32 = 0x0060_0000;

/// What tshark says of every frame, and what is wrong with it.
fn dissect(folder: &Folder, capture: &[u8]) -> Vec<(String, Vec<String>)> {
    let file = folder.write("capture.pcap", capture);
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-n", "-T", "fields", "-E", "occurrence=a"]);
    // Our datagrams are letters: no protocol is to be guessed from the client's ports.
    command.args(["-d", "udp.port==1024-3000,data"]);
    for protocol in ["ip", "tcp", "udp"] {
        command.args(["-o", &format!("{protocol}.check_checksum:TRUE")]);
    }
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark starts");
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), &output.stderr);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(complaint));
    said.lines().map(judge).collect()
}

/// The layers of one line, and what is wrong in it.
fn judge(line: &str) -> (String, Vec<String>) {
    let values: Vec<&str> = line.split('\t').collect();
    assert_eq!(values.len(), FIELDS.len(), "{line}");
    let mut wrong = Vec::new();
    for (field, value) in FIELDS.iter().zip(&values).skip(1) {
        let bad = if field.ends_with("status") {
            value.split(',').any(|status| WRONG.contains(&status))
        } else if field.ends_with("severity") {
            value.split(',').any(|severity| severity.parse().is_ok_and(|n: u32| n >= WARNING))
        } else {
            !value.is_empty()
        };
        if bad {
            wrong.push(format!("{field} {value}"));
        }
    }
    (values[0].to_owned(), wrong)
}

fn tshark_is_there(test: &str) -> bool {
    let there = Command::new("tshark").arg("--version").output().is_ok();
    if !there {
        skip(test, "tshark");
    }
    there
}

/// Runs `asked`, holds every frame of it to be right, and returns the layers of each, and what the
/// machines counted.
fn run_clean(folder: &Folder, asked: &Scenario, run: &str) -> (Vec<String>, Vec<sim::Outcome>) {
    let report = sim::run_kept(asked, true, |_| {});
    let frames = dissect(folder, &report.capture.expect("it was asked for"));
    assert_eq!(frames.len() as u64, report.frames);
    for (number, (_, wrong)) in frames.iter().enumerate() {
        assert!(wrong.is_empty(), "{run}, frame {}: {wrong:?}", number + 1);
    }
    (frames.into_iter().map(|(found, _)| found).collect(), report.machines)
}

#[test]
fn a_clean_run_is_clean_for_tshark() {
    if !tshark_is_there("a_clean_run_is_clean_for_tshark") {
        return;
    }
    let folder = Folder::new();
    for Case { name, layers, scenario } in CASES {
        for (load, of_load) in LOADS {
            let short = Scenario { cps: 5_000, duration: 20 * MILLI, ..Scenario::short(1) };
            let asked = of_load(scenario(Scenario { gateway_known: false, ..short }));
            let run = format!("{name}, {load}");
            let (found, machines) = run_clean(&folder, &asked, &run);
            let segments = found.iter().filter(|found| found.starts_with(layers)).count();
            let sent = |count| machines.iter().map(|m| m.counts.get(count)).sum::<u64>();
            assert_eq!(segments as u64, sent(Count::TcpTx), "{run}: {:?}", found.last());
            assert!(sent(Count::Http2xx) > 0, "{run}");
        }
        println!("{name}: clean");
    }
}

/// Datagrams and floods of them, and of SYN where nothing answers.
const OTHER_LOADS: &[Load] = &[
    ("datagrams", |case| case),
    ("sums left to the device", |case| Scenario { offloads: Offloads::all(), ..case }),
    ("empty datagrams", |case| Scenario { request_bytes: 0, response_bytes: 1, ..case }),
    ("a pace", |case| Scenario { keepalive: Some((1_000, 5)), cps: 2_000, ..case }),
    ("rows", |case| Scenario { keepalive: Some((0, 0)), pipeline: 3, cc: 2, ..case }),
    ("a flood", |case| Scenario {
        flood: true,
        destinations: 5,
        keepalive: Some((1_000, 0)),
        cc: 50,
        ..case
    }),
];

#[test]
fn clean_datagrams_are_clean_for_tshark() {
    if !tshark_is_there("clean_datagrams_are_clean_for_tshark") {
        return;
    }
    let folder = Folder::new();
    for Case { name, layers, scenario } in CASES {
        let layers = layers.replace("tcp", "udp");
        for (load, of_load) in OTHER_LOADS {
            let short = Scenario { cps: 5_000, duration: 20 * MILLI, ..Scenario::datagrams(1) };
            let asked = of_load(scenario(Scenario { gateway_known: false, ..short }));
            let run = format!("{name}, {load}");
            let (found, machines) = run_clean(&folder, &asked, &run);
            let datagrams = found.iter().filter(|found| found.starts_with(&layers)).count();
            let sent: u64 = machines.iter().map(|m| m.counts.get(Count::UdpTx)).sum();
            assert_eq!(datagrams as u64, sent, "{run}: {:?}", found.last());
            assert!(sent > 50, "{run}");
        }
        println!("{name}: clean");
    }
}

/// The judge is not blind: one bit off, at every layer, is seen.
#[test]
fn tshark_sees_what_is_wrong() {
    if !tshark_is_there("tshark_sees_what_is_wrong") {
        return;
    }
    let folder = Folder::new();
    let scenario = Scenario { travel: Travel::Vxlan, mss: [1410; 2], ..Scenario::short(1) };
    let short = Scenario { cps: 1_000, duration: 2 * MILLI, ..scenario };
    let file = sim::run_kept(&short, true, |_| {}).capture.expect("it was asked for");
    let length = usize::from(u16::from_le_bytes([file[24 + 8], file[24 + 9]]));
    let frame = &file[24 + 16..24 + 16 + length];
    for (at, field) in [
        (22, "ip.checksum.status 0,1"),
        (72, "ip.checksum.status 1,0"),
        (91, "tcp.checksum.status 0"),
    ] {
        let mut capture = Capture::new(true);
        let mut damaged = frame.to_vec();
        damaged[at] ^= 1;
        capture.add(0, &damaged);
        let frames = dissect(&folder, capture.file().expect("kept"));
        assert_eq!(frames[0].1.first().map(String::as_str), Some(field), "byte {at}");
    }
    let mut capture = Capture::new(true);
    capture.add(0, frame);
    capture.add(1, frame);
    let frames = dissect(&folder, capture.file().expect("kept"));
    assert!(frames[0].1.is_empty() && !frames[1].1.is_empty(), "a retransmission: {frames:?}");
}
