//! Two processes over shared memory, without root, DPDK or huge pages.

use std::path::Path;

use dperf_tests::process::{Folder, Process, Signal};
use dperf_tests::program::END;
use serde_json::Value;

use crate::in_turn;
use crate::run::{LONGEST, code, command, count, end, of, pair, records, run, start};

/// Seconds of a client's load.
const SECONDS: u64 = 2;

/// What both are told.
const BOTH: &str = "keepalive 20ms 5";

/// A server's and a client's file, joined at `socket`, each with so many workers.
fn shared(folder: &Folder, socket: &Path, workers: usize) -> [String; 2] {
    let client = format!("duration {SECONDS}s\ncps 1k");
    let files = pair(folder, BOTH, "duration 60s", &client);
    for file in &files {
        let text = std::fs::read_to_string(file).expect("just written");
        let cpu = text.lines().find_map(|line| line.strip_prefix("cpu ")).expect("a processor");
        let text = text
            .replace(&format!("cpu {cpu}"), &format!("cpu{}", format!(" {cpu}").repeat(workers)))
            .replace("link:test", &format!("memif:{}", socket.display()));
        std::fs::write(file, text).expect("a file");
    }
    files
}

/// The client's last record, once it has passed.
fn passed(client: &str) -> Value {
    let ended = run(&["run", client, "--json", "--target", "90"]);
    assert_eq!(code(&ended), Some(0), "{}\n{}", ended.out, ended.err);
    let last = of(&records(&ended), "final", "client")[0].clone();
    for fault in ["skErr", "synRt", "dropTx", "badRx", "ierrors", "oerrors"] {
        assert_eq!(count(&last, fault), 0, "{fault}: {last}");
    }
    last
}

/// A server outlives its clients, and all that they sent has come.
#[test]
fn two_processes_share_memory_and_lose_nothing() {
    let _turn = in_turn();
    for workers in [1, 2] {
        let folder = Folder::new();
        let socket = folder.file("memif.sock");
        let [server, client] = shared(&folder, &socket, workers);
        let mut server = start(command(&["run", &server, "--json"]), &folder);
        server.wait_until("a socket", LONGEST, |_: &Process| socket.exists());
        let clients = [passed(&client), passed(&client)];
        let ended = server.end_by(Signal::INT, END);
        assert_eq!(code(&ended), Some(0), "{}", ended.err);
        let server = of(&records(&ended), "final", "server")[0].clone();
        for (sent, came) in [("skOpen", "skOpen"), ("tcpTx", "tcpRx"), ("tcpRx", "tcpTx")] {
            let sent: u64 = clients.iter().map(|client| count(client, sent)).sum();
            assert_eq!(sent, count(&server, came), "{came}: {clients:?}\n{server}");
        }
        assert!(count(&server, "skOpen") >= 2 * SECONDS * 900, "{server}");
        assert!(!socket.exists(), "its socket is removed");
    }
}

/// Both ends in one process, whichever of them listens.
#[test]
fn both_ends_may_be_in_one_process() {
    let _turn = in_turn();
    for roles in [["", ""], [",role=client", ",role=server"]] {
        run_together(roles);
    }
}

fn run_together(roles: [&str; 2]) {
    let folder = Folder::new();
    let socket = "memif:@dperf-shell-both-ends";
    let [server, client] = shared(&folder, Path::new("@dperf-shell-both-ends"), 1);
    for (file, role) in [&server, &client].into_iter().zip(roles) {
        let text = std::fs::read_to_string(file).expect("just written");
        std::fs::write(file, text.replace(socket, &format!("{socket}{role}"))).expect("a file");
    }
    let ended = run(&["run", &server, &client, "--json", "--target", "90"]);
    assert_eq!(code(&ended), Some(0), "{}", ended.err);
    let all = records(&ended);
    let both = ["server", "client"].map(|role| count(of(&all, "final", role)[0], "skOpen"));
    assert_eq!(both[0], both[1]);
    assert!(both[0] >= SECONDS * 900, "{both:?}");
}

/// SIGINT no longer ends the process at once.
fn catches_interrupts(process: &Process) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()));
    let caught = status.ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("SigCgt:"))?;
        u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok()
    });
    caught.is_some_and(|caught| caught & 1 << (libc::SIGINT - 1) != 0)
}

/// Whoever waits for the other end ends when it is told to.
#[test]
fn who_waits_for_the_other_end_can_be_stopped() {
    let _turn = in_turn();
    for waits in [0, 1] {
        let folder = Folder::new();
        let files = shared(&folder, &folder.file("memif.sock"), 1);
        let mut waiting = start(command(&["run", &files[waits]]), &folder);
        waiting.wait_until("a handler for SIGINT", LONGEST, catches_interrupts);
        let ended = waiting.end_by(Signal::INT, END);
        assert!(ended.err.contains("stopped"), "{}\n{}", ended.out, ended.err);
    }
}

/// A client whose workers have no queue at the other end is told what to do.
#[test]
fn workers_without_a_queue_are_named() {
    let _turn = in_turn();
    let folder = Folder::new();
    let socket = folder.file("memif.sock");
    let [server, _] = shared(&folder, &socket, 1);
    let mut server = start(command(&["run", &server, "--json"]), &folder);
    server.wait_until("a socket", LONGEST, |_: &Process| socket.exists());
    let other = Folder::new();
    let [_, client] = shared(&other, &socket, 2);
    let ended = end(command(&["run", &client]), &other);
    assert_eq!(code(&ended), Some(2), "{}", ended.out);
    let why = "client.conf:3:1: cannot connect to ";
    assert!(ended.err.contains(why) && ended.err.contains("1 queues for 2"), "{}", ended.err);
    server.end_by(Signal::INT, END);
}
