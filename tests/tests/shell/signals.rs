//! Ctrl-C and SIGTERM in the middle of a run: the totals are still told, and the status still
//! follows from what was reached.

use std::process::Command;
use std::time::Duration;

use dperf_tests::process::{Folder, Process, Signal, first_in_line};
use dperf_tests::program::{self, END};

use crate::in_turn;
use crate::run::{LONGEST, code, count, of, pair, records, start};

/// Starts a run of `pair` that would last a minute, and waits for `seconds` of load.
fn started(folder: &Folder, [server, client]: &[String; 2], seconds: usize) -> Process {
    // Whoever runs the tests may ignore some.
    let mut line = Command::new("env");
    line.arg("--default-signal").arg(program::path());
    line.args(["run", server, client, "--json", "--target", "90"]);
    let mut run = start(first_in_line(&line), folder);
    let enough = |run: &Process| run.out().matches("\"type\":\"interval\"").count() >= 2 * seconds;
    run.wait_until("load", LONGEST, enough);
    run
}

#[test]
fn the_first_signal_ends_a_run_in_order() {
    let _turn = in_turn();
    let folder = Folder::new();
    for (signal, both, load) in [
        (Signal::INT, "duration 60s", "cps 2k"),
        (Signal::TERM, "duration 60s\nkeepalive 10ms 5", "cps 2k"),
    ] {
        let ended = started(&folder, &pair(&folder, both, "", load), 3).end_by(signal, END);
        assert_eq!(code(&ended), Some(0), "{}", ended.err);
        let records = records(&ended);
        let (client, server) =
            (of(&records, "final", "client")[0], of(&records, "final", "server")[0]);
        assert_eq!(client["passed"], true);
        for side in [client, server] {
            assert_eq!((count(side, "skCon"), count(side, "skErr")), (0, 0), "{side}");
        }
        assert_eq!(count(client, "skOpen"), count(server, "skOpen"));
        assert!(ended.err.contains("Total Numbers:"), "{}", ended.err);
    }
}

/// What was not reached yet is not passed.
#[test]
fn a_run_that_is_cut_short_is_judged_all_the_same() {
    let _turn = in_turn();
    let folder = Folder::new();
    let pair = pair(&folder, "duration 60s\nkeepalive 100ms", "", "cps 100\ncc 5k");
    let ended = started(&folder, &pair, 2).end_by(Signal::INT, END);
    assert_eq!(code(&ended), Some(1), "{}", ended.err);
    let records = records(&ended);
    let client = of(&records, "final", "client")[0];
    assert_eq!((&client["passed"], &client["target"]["name"]), (&false.into(), &"cc".into()));
    assert_eq!((count(client, "skCon"), count(client, "skErr")), (0, 0), "{client}");
}

/// While the rate rises, no target can be met.
#[test]
fn a_run_that_is_cut_short_before_its_full_rate_has_not_passed() {
    let _turn = in_turn();
    let folder = Folder::new();
    let pair = pair(&folder, "duration 60s", "", "cps 100");
    let text = std::fs::read_to_string(&pair[1]).expect("just written");
    std::fs::write(&pair[1], text.replacen("slow_start 0", "slow_start 30", 1)).expect("a file");
    let ended = started(&folder, &pair, 1).end_by(Signal::INT, END);
    assert_eq!(code(&ended), Some(1), "{}", ended.err);
    let records = records(&ended);
    let client = of(&records, "final", "client")[0];
    assert_eq!((&client["passed"], &client["target"]["reached"]), (&false.into(), &0.0.into()));
    let fault = client["faults"][0].as_str().unwrap_or_default();
    assert!(fault.contains("before the full rate") && fault.contains("30 s"), "{fault}");
}

/// Requests that are never whole: no connection ends by itself.
fn endless(folder: &Folder) -> [String; 2] {
    let half = folder.write("half", "GET / HTTP/1.1\r\nHost: half\r\n").display().to_string();
    pair(folder, "duration 60s", "", &format!("cps 100\npayload_file {half}"))
}

#[test]
fn connections_that_do_not_end_are_waited_for_but_not_for_long() {
    let _turn = in_turn();
    let folder = Folder::new();
    let ended = started(&folder, &endless(&folder), 1).end_by(Signal::INT, END);
    assert!(ended.took > Duration::from_secs(3), "{:?}", ended.took);
    let records = records(&ended);
    let client = of(&records, "final", "client")[0];
    assert!(count(client, "skCon") > 0, "{client}");
    // What nobody answered is not passed, however well it was opened.
    assert_eq!((code(&ended), count(client, "skErr")), (Some(1), 0), "{client}");
    let faults = client["faults"].as_array().expect("sentences");
    let left = |fault: &serde_json::Value| fault.to_string().contains(" connections did not end");
    assert!(faults.iter().any(left), "{client}");
}

/// `timeout` signals the process and then its group; a terminal that hangs up asks for an end too.
#[test]
fn signals_that_come_together_are_one() {
    let _turn = in_turn();
    let folder = Folder::new();
    for signal in [Signal::TERM, Signal::HUP] {
        let both = "duration 1m\nkeepalive 100ms";
        let run = started(&folder, &pair(&folder, both, "", "cps 1k\ncc 100"), 1);
        run.signal(signal);
        let ended = run.end_by(signal, Duration::from_secs(20));
        assert_eq!(code(&ended), Some(0), "{}{}", ended.out, ended.err);
        assert!(ended.out.contains("\"type\":\"final\""), "{}", ended.out);
    }
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let _turn = in_turn();
    let folder = Folder::new();
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let run = started(&folder, &endless(&folder), 1);
        run.signal(Signal::INT);
        std::thread::sleep(Duration::from_millis(800));
        let ended = run.end_by(signal, Duration::from_secs(2));
        assert_eq!(code(&ended), Some(status), "{}", ended.err);
        assert!(!ended.out.contains("\"type\":\"final\""), "{}", ended.out);
    }
}
