//! The first run: traffic at once, both sides in agreement, an end by itself, no device.

use std::time::Duration;

use dperf_core::stats::Count;
use dperf_tests::process::{Folder, Process, first_in_line};
use serde_json::Value;

use crate::in_turn;
use crate::run::{LONGEST, code, command, count, cpus, end, of, records, run, start};

/// A rate that a busy machine keeps.
const CPS: u64 = 5000;
const SECONDS: u64 = 4;

fn words() -> Vec<String> {
    let (cps, seconds) = (CPS.to_string(), SECONDS.to_string());
    // A machine that stands still for a moment at the end costs some percent of so short a run.
    ["demo", "--cps", &cps, "--duration", &seconds, "--target", "90"].map(String::from).to_vec()
}

/// What holds for the records of any demo at [`CPS`].
fn judge(records: &[Value]) {
    for role in ["client", "server"] {
        assert_eq!(of(records, "plan", role).len(), 1, "{role}");
        assert!(of(records, "interval", role).len() as u64 >= SECONDS, "{role}");
        assert_eq!(of(records, "final", role).len(), 1, "{role}");
    }
    assert!(records[0]["type"] == "plan" && records[records.len() - 1]["type"] == "final");
    let counted = records.iter().filter(|record| record["type"] != "plan");
    counted.for_each(is_whole);
    let (client, server) = (of(records, "final", "client")[0], of(records, "final", "server")[0]);
    agree(client, server);
    assert!(client["passed"] == true && client["faults"] == serde_json::json!([]), "{client}");
    assert_eq!(
        (&client["target"]["name"], &client["target"]["asked"]),
        (&"cps".into(), &CPS.into())
    );
    let reached = client["target"]["reached"].as_f64().expect("a number");
    assert!((reached / CPS as f64 - 1.0).abs() < 0.1, "{reached} of {CPS}");
    assert!(client["rtt_us"].as_f64().is_some_and(|rtt| rtt > 0.0), "{client}");
    for name in ["skOpen", "tcpTx", "http2XX"] {
        let seconds = of(records, "interval", "client").into_iter();
        let sum: u64 = seconds.map(|record| count(record, name)).sum();
        assert!(sum > 0 && sum <= count(client, name), "{name}: {sum} of {client}");
    }
}

/// A record says who, when and every counter under its own name.
fn is_whole(record: &Value) {
    let is_role = record["role"] == "client" || record["role"] == "server";
    assert!(is_role, "{record}");
    for name in ["t_ns", "span_ns", "skCon"] {
        count(record, name);
    }
    assert!(count(record, "t_ns") >= count(record, "span_ns"));
    let usage = record["cpuUsage"].as_array().expect("one number per worker");
    assert!(usage.iter().all(|percent| percent.as_u64().is_some_and(|percent| percent <= 105)));
    assert!(record["rtt_us"].is_null() || record["rtt_us"].is_f64(), "{record}");
    for counter in Count::ALL.iter().filter(|counter| **counter != Count::RttUnits) {
        count(record, counter.name());
    }
}

/// What one side sent the other has received; every connection was served.
fn agree(client: &Value, server: &Value) {
    for (ours, theirs) in [
        ("tcpTx", "tcpRx"),
        ("tcpRx", "tcpTx"),
        ("pktTx", "pktRx"),
        ("bitsRx", "bitsTx"),
        ("skOpen", "skOpen"),
        ("skClose", "skClose"),
        ("httpGet", "httpGet"),
        ("http2XX", "http2XX"),
    ] {
        assert_eq!(count(client, ours), count(server, theirs), "{ours} {client}\n{server}");
    }
    assert_eq!(count(client, "skOpen"), count(client, "http2XX"));
    assert_eq!((count(client, "skCon"), count(server, "skCon")), (0, 0));
}

#[test]
fn it_shows_traffic_within_three_seconds_and_ends() {
    let _turn = in_turn();
    let folder = Folder::new();
    let mut words = words();
    words.push("--json".to_string());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut demo = start(command(&words), &folder);
    let traffic = |demo: &Process| demo.out().contains("\"type\":\"interval\"");
    demo.wait_until("traffic", Duration::from_secs(3), traffic);
    let ended = demo.end(LONGEST);
    assert_eq!(code(&ended), Some(0), "{}", ended.err);
    judge(&records(&ended));
    assert!(ended.err.contains("connections/s") && ended.err.contains("passed"), "{}", ended.err);
}

#[test]
fn it_speaks_to_people_in_lines() {
    let _turn = in_turn();
    let ended = run(&["demo", "--cps", "1000", "--duration", "1", "--target", "50"]);
    assert_eq!((code(&ended), ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    for said in ["client ", "server ", " connections/s ", "client total: ", "passed: "] {
        assert!(ended.out.contains(said), "no '{said}' in\n{}", ended.out);
    }
    assert!(!ended.out.contains('\x1b') && ended.out.lines().all(|line| line.len() < 200));
}

/// One processor is enough for both sides; with two each has its own.
#[test]
fn it_runs_on_one_processor_and_on_two() {
    let _turn = in_turn();
    let [first, second] = cpus();
    for given in [vec![first], vec![first, second]] {
        // A child may use what the thread that starts it may use.
        let ended = std::thread::spawn(move || {
            let mut set = rustix::thread::CpuSet::new();
            given.iter().for_each(|cpu| set.set(usize::from(*cpu)));
            rustix::thread::sched_setaffinity(None, &set).expect("processors of our own");
            let mut words = words();
            words.push("--json".to_string());
            run(&words.iter().map(String::as_str).collect::<Vec<_>>())
        });
        let ended = ended.join().expect("no panic");
        assert_eq!(code(&ended), Some(0), "{}", ended.err);
        judge(&records(&ended));
    }
}

/// Both workers sleep when there is nothing to do.
#[test]
fn it_rests_while_there_is_little_to_do() {
    let _turn = in_turn();
    let folder = Folder::new();
    let program = dperf_tests::program::path();
    let mut shell = std::process::Command::new("sh");
    // `times` prints what the shell took, and then what its children took.
    shell.args(["-c", "\"$0\" demo --cps 10 --duration 3 >&2; times"]).arg(program);
    let ended = end(first_in_line(&shell), &folder);
    assert!(ended.err.contains("client total: "), "{}", ended.err);
    let took = ended.out.lines().nth(1).unwrap_or_default();
    let seconds = |text: &str| -> Option<f64> {
        let (minutes, seconds) = text.strip_suffix('s')?.split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    let busy: f64 = took.split(' ').map(|text| seconds(text).expect("a time")).sum();
    let wall = ended.took.as_secs_f64();
    assert!(wall >= 3.0 && busy < 0.3 * wall, "{busy} s of processor time in {wall} s");
}
