//! In the background: what is left of the terminal, what stands in the logs, how it ends; and disks
//! that are full.

use std::process::Command;
use std::time::{Duration, Instant};

use dperf_tests::process::{Folder, Signal};
use rustix::process::{Pid, kill_process};

use crate::in_turn;
use crate::run::{LONGEST, code, command, end, pair, records, run};

/// The program with `words`, and `folder` for its logs.
fn logging(folder: &Folder, words: &[&str]) -> Command {
    let mut command = command(words);
    command.env("DPERF_SHELL_LOG_DIR", folder.path());
    command
}

fn log(folder: &Folder, role: &str) -> String {
    String::from_utf8(folder.read(&format!("dperf-ctl-{role}.log"))).expect("text")
}

/// A daemon; whatever becomes of its test, it ends.
struct Daemon(Pid);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended long since if all is well.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

/// The session of a process, from proc(5): getsid(2) tells the same, but not a session whose leader
/// is outside of our process namespace, which is 0 here.
fn session(process: &str) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let (_, behind_name) = stat.rsplit_once(") ").expect("a name in brackets");
    let session = behind_name.split(' ').nth(3).expect("state, parent, group, session");
    session.parse().expect("a number")
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONGEST, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_daemon_logs_as_dperf_and_ends_in_order() {
    let _turn = in_turn();
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 60s\ndaemon", "", "cps 1k");
    std::fs::write(folder.file("dperf-ctl-client.log"), "an earlier run\n").expect("a file");
    let words = ["run", &server, &client, "--target", "90"];
    let ended = end(logging(&folder, &words), &Folder::new());
    assert_eq!((code(&ended), ended.out.as_str()), (Some(0), ""), "{}", ended.err);
    assert!(ended.took < Duration::from_secs(5), "it does not wait: {:?}", ended.took);
    let (_, number) = ended.err.split_once("as process ").expect("its number");
    let (number, logs) = number.split_once(',').expect("its logs");
    assert!(logs.contains("dperf-ctl-server.log and "), "{logs}");
    let process = Pid::from_raw(number.parse().expect("a number")).expect("a process");
    let daemon = Daemon(process);
    // Every block is there as soon as its second is over.
    wait_until("a third second", || log(&folder, "client").contains("\nseconds 3 "));
    assert_ne!(session(number), session("self"));
    kill_process(process, Signal::TERM).expect("it runs");
    let has_ended = |role: &str| log(&folder, role).ends_with(" nothing failed\n");
    wait_until("its end", || has_ended("client") && has_ended("server"));
    drop(daemon);
    let (server, client) = (log(&folder, "server"), log(&folder, "client"));
    assert!(client.starts_with("an earlier run\n"), "logs are appended to: {client}");
    for (log, role) in [(&server, "server"), (&client, "client")] {
        assert_eq!(log.matches("Total Numbers:").count(), 1, "{log}");
        assert!(log.contains(&format!("Role:    {role}, after ")), "{log}");
        assert!(log.ends_with("passed: every target was met, nothing failed\n"), "{log}");
    }
    assert!(!server.contains("rtt(us)"), "each log has its own role: {server}");
}

#[test]
fn a_log_that_cannot_be_written_is_2_and_named() {
    let folder = Folder::new();
    let [server, client] = pair(&folder, "", "", "cps 1k\ndaemon");
    let mut command = command(&["run", &server, &client]);
    command.env("DPERF_SHELL_LOG_DIR", folder.file("nowhere"));
    let ended = end(command, &folder);
    assert_eq!((code(&ended), ended.out.as_str()), (Some(2), ""));
    for word in ["nowhere/dperf-ctl-server.log", "mkdir -p", "No such file"] {
        assert!(ended.err.contains(word), "{}", ended.err);
    }
}

/// What goes wrong later stands in the log.
#[test]
fn a_daemon_that_cannot_start_says_so_in_its_log() {
    let folder = Folder::new();
    let [_, client] = pair(&folder, "", "", "cps 1k\ndaemon");
    let text = std::fs::read_to_string(&client).expect("just written");
    std::fs::write(&client, text.replace("link:test", "af_packet:nonexistent0")).expect("a file");
    let ended = end(logging(&folder, &["run", &client]), &Folder::new());
    assert_eq!(code(&ended), Some(0), "{}", ended.err);
    wait_until("a complaint", || log(&folder, "client").contains("nonexistent0"));
}

/// A disk that is full stops nothing; it is said once, and how much was lost in the end. What
/// nobody can read has not passed.
#[test]
fn a_full_disk_stops_nothing() {
    let _turn = in_turn();
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 2s", "", "cps 1k");
    for words in [&["--target", "90"][..], &["--target", "90", "--json"]] {
        let mut command = command(&["run", &server, &client]);
        command.args(words);
        // The program's own stdout, not the test's file.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "exec \"$0\" \"$@\" >/dev/full"])
            .arg(command.get_program())
            .args(command.get_args());
        let ended = end(shell, &folder);
        assert_eq!(code(&ended), Some(1), "{}", ended.err);
        let said = |text: &str| ended.err.matches(text).count();
        assert_eq!(said("output is being lost, the run goes on"), 1, "{}", ended.err);
        // The verdict says it as well, where it can be read.
        let times = 1 + usize::from(words.contains(&"--json"));
        assert_eq!(said("bytes of output were lost"), times, "{}", ended.err);
    }
    // A log on such a disk: the daemon complains where it was started.
    let full = folder.file("full");
    std::fs::create_dir(&full).expect("a folder");
    for role in ["client", "server"] {
        let log = full.join(format!("dperf-ctl-{role}.log"));
        std::os::unix::fs::symlink("/dev/full", log).expect("a link");
    }
    let [server, client] = pair(&folder, "duration 1s\ndaemon", "", "cps 1k");
    let mut command = command(&["run", &server, &client, "--target", "90"]);
    command.env("DPERF_SHELL_LOG_DIR", &full);
    let ended = end(command, &folder);
    assert_eq!(code(&ended), Some(0), "{}", ended.err);
    let complaints = || String::from_utf8_lossy(&folder.read("dperf-shell.err")).into_owned();
    wait_until("its complaint", || complaints().contains("bytes of output were lost"));
    assert_eq!(complaints().matches("output is being lost").count(), 1);
}

#[test]
fn workers_and_ports_are_told_one_by_one() {
    let _turn = in_turn();
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 2s", "", "cps 1k");
    let ended = run(&["run", &server, &client, "--target", "90", "--per-worker"]);
    assert_eq!(code(&ended), Some(0), "{}", ended.err);
    let lines = |name: &str| ended.out.lines().filter(|line| line.starts_with(name)).count();
    // Two seconds, or three, and the totals.
    assert!((3..=4).contains(&lines("client-0.0 ")), "{}", ended.out);
    assert!((6..=8).contains(&lines("port 0 ")), "{}", ended.out);
    let ended = run(&["run", &server, &client, "--target", "90", "--json"]);
    assert_eq!(code(&ended), Some(0), "{}", ended.err);
    for record in records(&ended).iter().filter(|record| record["type"] != "plan") {
        assert_eq!(record["workers"][0]["pktTx"], record["pktTx"]);
        assert_eq!(record["ports"][0]["name"], "link:test");
    }
}
