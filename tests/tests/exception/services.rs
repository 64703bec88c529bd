//! What people run beside the load on the tester's own address: ping, a bulk transfer, BGP. All of
//! it at full load, the kernel at both ends.
//!
//! `DPERF_SERVICE_CPS` (over shared memory), `DPERF_SERVICE_XDP_CPS`, `DPERF_SERVICE_SECONDS` and
//! `DPERF_SERVICE_MB` make it a long run.

use std::process::Command;
use std::time::Duration;

use dperf_tests::namespace::{Namespace, alone};
use dperf_tests::process::{Folder, Process};
use dperf_tests::program::{self, Outcome};

use crate::pair::{CLIENT, Pair, Running, SERVER};

/// The longest a neighbour may take to be met.
const MEET: Duration = Duration::from_secs(30);

/// A number from the environment, or a small one.
fn asked(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// `command` inside `namespace`, as a process of the test.
fn start(namespace: &Namespace, folder: &Folder, name: &str, line: &str) -> Process {
    Process::start(namespace.line(line), name, folder)
}

/// The kernels move `megabytes` of random bytes from the client's namespace to the server's.
fn assert_bulk_is_whole(pair: &Pair, megabytes: u64) {
    let sent = pair.folder.file("sent");
    let make = format!("dd if=/dev/urandom of={} bs=1M count={megabytes}", sent.display());
    pair.client.run(&make);
    let received = pair.folder.file("received");
    let listen = format!("socat -u TCP-LISTEN:5001,bind={SERVER} CREATE:{}", received.display());
    let mut listener = start(&pair.server, &pair.folder, "listen", &listen);
    let listens = |_: &Process| pair.server.run("ss -Hltn").contains(":5001");
    listener.wait_until("a listening socket", MEET, listens);
    let begun = std::time::Instant::now();
    pair.client.run(&format!("socat -u OPEN:{} TCP:{SERVER}:5001", sent.display()));
    let ended = listener.end(Duration::from_secs(60));
    println!("{megabytes} MB in {:.1} s", begun.elapsed().as_secs_f64());
    assert!(ended.status.success(), "{}", ended.err);
    let sum = |path: &std::path::Path| {
        let output = Command::new("sha256sum").arg(path).output().expect("sha256sum runs");
        String::from_utf8_lossy(&output.stdout).split(' ').next().map(str::to_owned)
    };
    assert_eq!(sum(&sent), sum(&received), "what arrived is what was sent");
    let _ = std::fs::remove_file(sent);
    let _ = std::fs::remove_file(received);
}

/// A BGP speaker at `own` with one neighbour; the hold time is the shortest that is not silly.
fn bird(namespace: &Namespace, folder: &Folder, name: &str, own: &str, peer: &str) -> Process {
    let text = format!(
        "router id {own};\nprotocol device {{}}\nprotocol bgp peer {{\n  local {own} as 65001;\n  \
         neighbor {peer} as 65001;\n  hold time 9;\n  connect retry time 2;\n  \
         connect delay time 1;\n  ipv4 {{ import all; export all; }};\n}}\n"
    );
    let file = folder.write(&format!("{name}.conf"), text);
    let socket = folder.file(&format!("{name}.ctl"));
    let line = format!("bird -f -c {} -s {}", file.display(), socket.display());
    start(namespace, folder, name, &line)
}

/// What BIRD says of its neighbour.
fn session(namespace: &Namespace, folder: &Folder, name: &str) -> String {
    let socket = folder.file(&format!("{name}.ctl"));
    let line = format!("birdc -s {} show protocols all peer", socket.display());
    let output = namespace.line(&line).output().expect("birdc runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The second of the day since when the session stands, as BIRD writes it: `HH:MM:SS.mmm`.
fn since(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with("peer"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let time = words.get(4).filter(|_| words.contains(&"Established"))?;
    time.split(':').try_fold(0.0, |sum, part| Some(60.0 * sum + part.parse::<f64>().ok()?))
}

#[test]
fn the_kernel_serves_while_the_load_runs() {
    let tools = ["ping", "socat", "ss", "bird", "birdc", "dd", "sha256sum"];
    let Some(_alone) = alone("the_kernel_serves_while_the_load_runs", &tools) else { return };
    if !program::has_dpdk("the_kernel_serves_while_the_load_runs") {
        return;
    }
    for exception in ["tap", "tap-per-core"] {
        let pair = Pair::new();
        let running = pair.start(exception, asked("DPERF_SERVICE_CPS", 10_000));
        for outcome in serve_under_load(exception, &pair, running) {
            let packets =
                ["kniRx", "kniTx", "kniFull", "kniErrors"].map(|name| outcome.count(name));
            println!("{exception}: to the kernel, from it, full, errors: {packets:?}");
            assert!(packets[0] > 0 && packets[1] > 0 && packets[3] == 0, "{}", outcome.record());
        }
    }
}

#[test]
fn the_kernel_in_charge_serves_while_the_load_runs() {
    let tools = ["ping", "socat", "ss", "bird", "birdc", "dd", "sha256sum"];
    let test = "the_kernel_in_charge_serves_while_the_load_runs";
    let Some(_alone) = alone(test, &tools) else { return };
    let pair = Pair::new();
    let running = pair.start_xdp(asked("DPERF_SERVICE_XDP_CPS", 2_000));
    serve_under_load("af_xdp", &pair, running);
}

/// Serves for some seconds, then ends the load; how it went, server and client.
fn serve_under_load(name: &str, pair: &Pair, running: Running) -> [Outcome; 2] {
    let seconds = asked("DPERF_SERVICE_SECONDS", 12);
    let megabytes = asked("DPERF_SERVICE_MB", 50);
    let mut here = bird(&pair.server, &pair.folder, "bird-server", SERVER, CLIENT);
    let there = bird(&pair.client, &pair.folder, "bird-client", CLIENT, SERVER);
    let met = |_: &Process| since(&session(&pair.server, &pair.folder, "bird-server")).is_some();
    here.wait_until("an established session", MEET, met);
    let established = since(&session(&pair.server, &pair.folder, "bird-server"));
    println!("{name}: the session stands");
    let began = std::time::Instant::now();

    let count = seconds * 20;
    let pinged = start(
        &pair.client,
        &pair.folder,
        "ping",
        &format!("ping -q -i 0.05 -c {count} -W 2 {SERVER}"),
    );
    assert_bulk_is_whole(pair, megabytes);
    let pinged = pinged.end(Duration::from_secs(seconds + 10));
    assert!(pinged.out.contains(" 0% packet loss"), "{}", pinged.out);
    assert!(!pinged.out.contains("duplicates"), "{}", pinged.out);
    println!("{name}: {}", pinged.out.lines().last().unwrap_or_default());
    std::thread::sleep(Duration::from_secs(seconds).saturating_sub(began.elapsed()));
    let still = session(&pair.server, &pair.folder, "bird-server");
    // BIRD reckons from another clock each time: to a millisecond or two.
    let moved = since(&still).zip(established).map(|(now, then)| (now - then).abs());
    assert!(moved.is_some_and(|seconds| seconds < 0.5), "the session fell: {still}");

    // What they would still say when the other end is gone, nobody could take.
    drop((here, there));
    std::thread::sleep(Duration::from_millis(500));
    let client = running.client.stop();
    let server = running.server.stop();
    for outcome in [&client, &server] {
        let say = || format!("client {}\nserver {}", client.record(), server.record());
        assert_eq!(outcome.code(), Some(0), "{name}: {}", say());
        assert_eq!(outcome.count("skErr") + outcome.count("httpErr"), 0, "{name}: {}", say());
    }
    let repeated = ["synRt", "pushRt", "finRt"].map(|name| client.count(name));
    println!("{name}: {} connections, repeated {repeated:?}", client.count("skOpen"));
    [server, client]
}
