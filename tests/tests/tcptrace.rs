//! tcptrace follows every connection of a simulated run and comes to the numbers that both sides
//! counted: how many there were, their bytes, and what was sent again.

use std::collections::HashMap;
use std::process::Command;

use dperf_core::plan::Role;
use dperf_core::stats::Count;
use dperf_tests::conditions::Conditions;
use dperf_tests::namespace::skip;
use dperf_tests::process::Folder;
use dperf_tests::scenario::{MILLI, Scenario, Side};
use dperf_tests::{laws, sim};

/// The names of columns, client to server and back.
const WAYS: [&str; 2] = ["a2b", "b2a"];

/// One connection as tcptrace saw it, by the names of its columns.
type Row = HashMap<String, String>;

/// A number in a column of both ways.
fn numbers(row: &Row, column: &str) -> [u64; 2] {
    WAYS.map(|way| {
        let cell = &row[&format!("{column}_{way}")];
        cell.parse().unwrap_or_else(|_| panic!("{column}: {cell}"))
    })
}

/// The sum of a column over all connections, both ways.
fn sums(rows: &[Row], column: &str) -> [u64; 2] {
    let numbers = rows.iter().map(|row| numbers(row, column));
    numbers.fold([0; 2], |sum, more| [sum[0] + more[0], sum[1] + more[1]])
}

/// What tcptrace makes of a capture.
fn trace(folder: &Folder, capture: &[u8]) -> Vec<Row> {
    let file = folder.write("capture.pcap", capture);
    let output = Command::new("tcptrace").args(["-n", "-l", "--csv"]).arg(file).output();
    let output = output.expect("tcptrace starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    let mut lines = said.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let cells = |line: &str| line.split(',').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let names = cells(lines.next().expect("names of columns"));
    lines.map(|line| names.iter().cloned().zip(cells(line)).collect()).collect()
}

fn tcptrace_is_there(test: &str) -> bool {
    let there = Command::new("tcptrace").arg("--version").output().is_ok();
    if !there {
        skip(test, "tcptrace");
    }
    there
}

/// Bytes of a request and of a response.
fn message_bytes(scenario: &Scenario) -> [u64; 2] {
    [Role::Client, Role::Server]
        .map(|role| Side::new(scenario, role, 0).whole_message().len() as u64)
}

/// Runs the scenario; what tcptrace saw, and what client and server counted.
fn run(scenario: &Scenario) -> (Vec<Row>, [sim::Outcome; 2]) {
    let report = sim::run_kept(scenario, true, |_| {});
    laws::hold(scenario, &report);
    let rows = trace(&Folder::new(), report.capture.as_deref().expect("it was asked for"));
    (rows, report.machines.try_into().expect("one pair"))
}

/// Loads that differ in what their connections carry; no tuple is used twice.
fn loads(network: Conditions) -> [Scenario; 4] {
    let short = Scenario {
        network,
        cps: 10_000,
        duration: 50 * MILLI,
        cores: [2, 2],
        ..Scenario::short(31)
    };
    [
        short.clone(),
        Scenario { ipv6: true, ..short.clone() },
        Scenario { response_bytes: 60_000, cps: 1_000, ..short.clone() },
        Scenario { keepalive: Some((1_000, 5)), cps: 1_000, ..short },
    ]
}

#[test]
fn a_clean_run_is_clean_for_tcptrace() {
    if !tcptrace_is_there("a_clean_run_is_clean_for_tcptrace") {
        return;
    }
    for scenario in loads(Conditions::CABLE) {
        let (rows, [client, server]) = run(&scenario);
        let count = |count| client.counts.get(count);
        assert_eq!(rows.len() as u64, count(Count::SkOpen));
        assert_eq!(count(Count::SkOpen), server.counts.get(Count::SkOpen));
        for row in &rows {
            for column in ["rexmt_data_pkts", "outoforder_pkts", "resets_sent", "missed_data"] {
                assert_eq!(numbers(row, column), [0, 0], "{column}: {row:?}");
            }
            for way in WAYS {
                assert_eq!(row[&format!("SYN/FIN_pkts_sent_{way}")], "1/1", "{row:?}");
            }
        }
        let [request, response] = message_bytes(&scenario);
        let bytes = [count(Count::HttpGet) * request, count(Count::Http2xx) * response];
        assert_eq!(sums(&rows, "unique_bytes_sent"), bytes);
        assert_eq!(
            sums(&rows, "total_packets"),
            [count(Count::TcpTx), server.counts.get(Count::TcpTx)]
        );
    }
}

#[test]
fn a_lossy_run_comes_to_the_same_numbers_for_tcptrace() {
    if !tcptrace_is_there("a_lossy_run_comes_to_the_same_numbers_for_tcptrace") {
        return;
    }
    let lossy = Conditions { loss: 20_000, ..Conditions::CABLE };
    for scenario in loads(lossy) {
        let (rows, [client, server]) = run(&scenario);
        let count = |count| client.counts.get(count);
        assert_eq!(rows.len() as u64, count(Count::SkOpen));
        assert_eq!(count(Count::SkErr) + server.counts.get(Count::SkErr), 0, "a loss too many");
        let [request, response] = message_bytes(&scenario);
        let bytes = [count(Count::HttpGet) * request, count(Count::Http2xx) * response];
        assert_eq!(sums(&rows, "unique_bytes_sent"), bytes);
        let repeated = [Count::SynRt, Count::PushRt, Count::FinRt];
        let again = [&client, &server]
            .map(|side| repeated.iter().map(|count| side.counts.get(*count)).sum::<u64>());
        assert_eq!(sums(&rows, "rexmt_data_pkts"), again);
        assert!(again[0] + again[1] > 5, "{again:?}");
    }
}
