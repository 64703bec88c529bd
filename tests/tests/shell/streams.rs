//! Readers come and go; the program goes on and keeps its streams apart.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use dperf_tests::namespace::skip;
use dperf_tests::process::Folder;
use serde_json::Value;

use crate::in_turn;
use crate::run::{code, command, pair, records, root, run};

/// Runs the program, reads one line of what it prints and closes the pipe, as `head -1` does.
fn cut_off(words: &[&str]) -> (String, Option<i32>) {
    let mut program = command(words);
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut program = program.spawn().expect("it starts");
    let mut line = String::new();
    let out = program.stdout.take().expect("a pipe");
    BufReader::with_capacity(1, out).read_line(&mut line).expect("a line");
    (line, program.wait().expect("it ends").code())
}

#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let _turn = in_turn();
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 2s", "", "cps 1k");
    let example = root().join("configs/link-cps-client.conf").display().to_string();
    for words in [
        &["run", &server, &client, "--target", "90"][..],
        &["run", &server, &client, "--target", "90", "--json"],
        &["demo", "--cps", "100", "--duration", "1", "--target", "50"],
        &["keywords", "--markdown"],
        &["keywords"],
        &["check", &example],
        &["--help"],
    ] {
        let (line, code) = cut_off(words);
        assert!(!line.is_empty() && code == Some(0), "{words:?}: {code:?} after {line}");
    }
}

#[test]
fn a_full_disk_is_no_success() {
    let _turn = in_turn();
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 1s", "", "cps 1k");
    let example = root().join("configs/link-cps-client.conf").display().to_string();
    let full = || File::options().write(true).open("/dev/full").expect("a device");
    for (words, status) in [
        (&["run", &server, &client, "--target", "50"][..], 1),
        (&["run", &server, &client, "--target", "50", "--json"], 1),
        (&["check", "--json", &example], 2),
        (&["keywords"], 2),
    ] {
        let mut program = command(words);
        program.stdin(Stdio::null()).stdout(full()).stderr(Stdio::piped());
        let ended = program.output().expect("it starts");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(status), "{words:?} {said}");
        assert!(said.contains("stdout: No space left on device"), "{words:?} {said}");
    }
}

#[test]
fn nobody_need_listen_to_complaints() {
    let mut program = command(&["run", "/nonexistent.conf"]);
    program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut program = program.spawn().expect("it starts");
    drop(program.stderr.take());
    assert_eq!(program.wait().expect("it ends").code(), Some(2));
}

#[test]
fn records_have_stdout_to_themselves() {
    let _turn = in_turn();
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 1s", "", "cps 1k");
    let ended = run(&["run", &server, &client, "--target", "90", "--json"]);
    assert_eq!(code(&ended), Some(0), "{}", ended.err);
    let kinds: Vec<String> =
        records(&ended).iter().map(|record| record["type"].to_string()).collect();
    assert_eq!(kinds[..2], ["\"plan\"", "\"plan\""]);
    assert_eq!(kinds[kinds.len() - 2..], ["\"final\"", "\"final\""]);
    assert!(ended.err.contains("pktRx") && ended.err.contains("passed"), "{}", ended.err);
    let ended = run(&["run", &server, &client, "--target", "90"]);
    assert_eq!((code(&ended), ended.err.as_str()), (Some(0), ""));
    assert!(!ended.out.lines().any(|line| line.starts_with('{')), "{}", ended.out);
}

/// Every field of every record, and of what lies in it, is in the manual.
#[test]
fn every_field_of_a_record_is_documented() {
    let _turn = in_turn();
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 1s", "", "cps 1k");
    let read = |name: &str| std::fs::read_to_string(root().join(name)).expect("a document");
    let (output, counters) = (read("docs/OUTPUT.md"), read("docs/COUNTERS.md"));
    let ended = run(&["run", &server, &client, "--target", "90", "--json"]);
    let mut left = records(&ended);
    assert!(left.len() >= 6, "{}", ended.err);
    while let Some(value) = left.pop() {
        match value {
            Value::Array(values) => left.extend(values),
            Value::Object(fields) => {
                for (name, value) in fields {
                    // Keywords: docs/CONFIG.md has them all.
                    if name == "settings" {
                        continue;
                    }
                    let known = output.contains(&format!("`{name}`"))
                        || counters.contains(&format!("| `{name}` |"));
                    assert!(known, "{name} is not in docs/OUTPUT.md");
                    left.push(value);
                }
            }
            _ => {}
        }
    }
    for example in output.split("```json\n").skip(1).filter_map(|rest| rest.split("\n```").next()) {
        assert!(serde_json::from_str::<Value>(example).is_ok(), "{example}");
    }
}

/// `quiet` leaves the plan, the totals and the verdict.
#[test]
fn quiet_prints_no_seconds() {
    let _turn = in_turn();
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 2s\nquiet", "", "cps 1k");
    let ended = run(&["run", &server, &client, "--target", "90"]);
    assert_eq!(code(&ended), Some(0), "{}", ended.err);
    assert!(!ended.out.contains("\nseconds "), "{}", ended.out);
    assert_eq!(ended.out.matches("Total Numbers:").count(), 2, "{}", ended.out);
}

/// On a terminal, as `script` makes one.
#[test]
fn a_terminal_is_cleared_before_each_block() {
    let _turn = in_turn();
    let folder = Folder::new();
    for (lines, clears) in [("clear_screen", true), ("", false)] {
        let [server, client] = pair(&folder, &format!("duration 2s\n{lines}"), "", "cps 1k");
        let program = dperf_tests::program::path();
        let line = format!("{} run {server} {client} --target 90", program.display());
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        let Ok(output) = script.stdin(Stdio::null()).output() else {
            return skip("a_terminal_is_cleared_before_each_block", "script (Debian: bsdutils)");
        };
        let out = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{out}");
        let blocks = out.matches("\nseconds ").count();
        assert!(blocks >= 4, "{out}");
        let cleared = out.matches("\x1b[H\x1b[J\r\nseconds ").count();
        assert_eq!(cleared, if clears { blocks } else { 0 }, "{out:?}");
    }
    // Anywhere else nothing is cleared.
    let [server, client] = pair(&folder, "duration 1s\nclear_screen", "", "cps 1k");
    let ended = run(&["run", &server, &client, "--target", "90"]);
    assert!(!ended.out.contains('\x1b'), "{}", ended.out);
}
