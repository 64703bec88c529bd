//! What the tests of this folder stand on: two namespaces with a cable between them, one for the
//! program and one for its peer, and the words that both are told.

use std::process::Command;
use std::time::Duration;

use dperf_tests::kernel::{COMPLAINTS, Counters};
use dperf_tests::namespace::{Namespace, join};
use dperf_tests::process::{Folder, Process, Signal, first_in_line};
use dperf_tests::program::{self, Outcome, Program};

/// Seconds that a long run takes.
const SECONDS: u64 = 30;

/// Seconds that a long run takes, or what DPERF_PEER_SECONDS says.
pub(crate) fn seconds() -> u64 {
    std::env::var("DPERF_PEER_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS)
}

/// Seconds of a run that need not be long.
pub(crate) fn few_seconds() -> u64 {
    seconds().min(5)
}

/// The program's interface.
pub(crate) const PORT: &str = "port0";
/// Its peer's.
pub(crate) const CABLE: &str = "cable0";
/// The program's address at its port.
pub(crate) const OURS: &str = "10.77.0.1";
/// Its first address for the load, of [`LOAD_ADDRESSES`].
pub(crate) const LOAD: &str = "10.77.0.10";
/// How many addresses it has for the load.
pub(crate) const LOAD_ADDRESSES: u8 = 4;
/// The peer's address.
pub(crate) const PEER: &str = "10.77.0.2";

/// What the peer's kernel leaves to its device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Checksums {
    /// Nothing: its frames are complete.
    Made,
    /// The sums of what it sends: on a virtual interface nobody makes them.
    Left,
}

/// Two namespaces and the cable between them.
pub(crate) struct Net {
    /// The program's.
    pub(crate) here: Namespace,
    /// Its peer's.
    pub(crate) there: Namespace,
    /// Files of both.
    pub(crate) folder: Folder,
}

impl Net {
    pub(crate) fn new(checksums: Checksums) -> Net {
        let net = Net { here: Namespace::new(), there: Namespace::new(), folder: Folder::new() };
        join((&net.here, PORT), (&net.there, CABLE));
        net.there.address(CABLE, &format!("{PEER}/24"));
        if checksums == Checksums::Left {
            net.there.run(&format!("ethtool -K {CABLE} tx on tso off gso off"));
        }
        net
    }

    /// The same, over IPv6: both kernels speak it, and the peer has its address at once.
    pub(crate) fn over_ipv6(checksums: Checksums) -> Net {
        let net = Net::new(checksums);
        for (namespace, interface) in [(&net.here, PORT), (&net.there, CABLE)] {
            namespace.sysctl(&format!("net.ipv6.conf.{interface}.disable_ipv6"), 0);
        }
        net.there.run(&format!("ip address add {}/64 dev {CABLE} nodad", ipv6(PEER)));
        net
    }

    /// Starts a server and waits until it serves.
    pub(crate) fn server(&self, more: &str) -> Program {
        self.server_with(more, &[])
    }

    /// As [`Net::server`], with more `words` on its command line.
    pub(crate) fn server_with(&self, more: &str, words: &[&str]) -> Program {
        let text = server(OURS, more);
        let mut server = Program::start_with(&self.here, &self.folder, "server", &text, words);
        server.wait_for_load();
        server
    }

    /// Starts a client of the peer.
    pub(crate) fn client(&self, seconds: u64, more: &str) -> Program {
        let text = client(&Way { gateway: PEER, server: PEER }, seconds, more);
        Program::start(&self.here, &self.folder, "client", &text)
    }

    /// Checks that a run had no fault except those `excused`, and that the peer's kernel has
    /// nothing to complain about since `before`, nor counted any of `more`.
    pub(crate) fn assert_clean(
        &self,
        outcome: &Outcome,
        excused: &[&str],
        before: &Counters,
        more: &[&str],
    ) {
        let found = [outcome.faults(excused), complaints(&self.there, before, more)].concat();
        assert!(found.is_empty(), "{}\n{}", found.join("\n"), outcome.record());
    }
}

/// What a kernel complains about since `before`, and what it counted of `more`.
pub(crate) fn complaints(namespace: &Namespace, before: &Counters, more: &[&str]) -> Vec<String> {
    let counted = Counters::of(namespace).since(before);
    let found = [counted.nonzero(COMPLAINTS), counted.nonzero(more)].concat();
    found.into_iter().map(|complaint| format!("the peer's kernel: {complaint}")).collect()
}

/// The last seconds of a server come when it is told: longer than the longest of these runs.
const SERVER_SECONDS: u64 = 24 * 3600;

/// A server at `address` for anybody on that net.
pub(crate) fn server(address: &str, more: &str) -> String {
    let cpu = program::cpu();
    format!(
        "mode server\ncpu {cpu}\nduration {SERVER_SECONDS}s\nprotocol http\nlisten 80\n\
         port af_packet:{PORT} {address} {PEER}\nclient {PEER} 1\n\
         server {LOAD} {LOAD_ADDRESSES}\n{more}\n"
    )
}

/// The same words with the addresses of IPv6.
pub(crate) fn ipv6(text: &str) -> String {
    text.replace("10.77.0.", "fd77::")
}

/// Where a client's packets go.
pub(crate) struct Way<'a> {
    pub(crate) gateway: &'a str,
    pub(crate) server: &'a str,
}

/// A client of port 80 at full rate from its first second on.
pub(crate) fn client(way: &Way<'_>, seconds: u64, more: &str) -> String {
    let (cpu, Way { gateway, server }) = (program::cpu(), way);
    format!(
        "mode client\ncpu {cpu}\nduration {seconds}s\nslow_start 0\nprotocol http\nlisten 80\n\
         port af_packet:{PORT} {OURS} {gateway}\nclient {LOAD} {LOAD_ADDRESSES}\n\
         server {server} 1\n{more}\n"
    )
}

/// A web server of files, in one process.
pub(crate) struct Nginx(Process);

impl Nginx {
    /// Starts it inside `namespace`, with files `/1k` and `/100k` of so many bytes.
    pub(crate) fn start(namespace: &Namespace, folder: &Folder) -> Nginx {
        let place = folder.path().display();
        std::fs::create_dir_all(folder.file("www")).expect("a folder");
        folder.write("www/1k", [b'n'; 1000]);
        folder.write("www/100k", vec![b'n'; 100_000]);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("  {name}_temp_path {place}/{name};\n"))
            .concat();
        let text = format!(
            "daemon off;\nmaster_process off;\nworker_processes 1;\npid {place}/nginx.pid;\n\
             error_log {place}/nginx.log warn;\nevents {{ worker_connections 8192; }}\n\
             http {{\n  access_log off;\n  keepalive_requests 1000000;\n  sendfile on;\n{temporary}\
             \x20 server {{ listen 80 backlog=4096; listen [::]:80 backlog=4096;\n\
             \x20 root {place}/www; }}\n}}\n"
        );
        let file = folder.write("nginx.conf", text);
        let log = folder.file("nginx.log");
        let mut command = namespace.command("taskset");
        command.args(["-c", "0", "nginx", "-c"]).arg(file).arg("-e").arg(log);
        let mut process = Process::start(first_in_line(&command), "nginx", folder);
        let listens = |_: &Process| !namespace.run("ss -Hltn sport = :80").is_empty();
        process.wait_until("listening", Duration::from_secs(10), listens);
        Nginx(process)
    }

    /// Ends it. Checks that it complained of nothing.
    pub(crate) fn stop(self, folder: &Folder) {
        drop(self.0);
        let log = String::from_utf8_lossy(&folder.read("nginx.log")).into_owned();
        assert!(log.is_empty(), "nginx says: {log}");
    }
}

/// Runs a tool on the peers' processor. Returns what it printed.
pub(crate) fn tool(namespace: &Namespace, line: &str) -> String {
    namespace.run(&format!("taskset -c 0 {line}"))
}

/// Runs a load of wrk against `address` over 32 connections, with `more` words. Returns the number
/// of answers, all of which were good.
pub(crate) fn wrk(namespace: &Namespace, address: &str, seconds: u64, more: &[&str]) -> u64 {
    let mut command = wrk_line(namespace, address, seconds, more);
    let output = command.output().expect("wrk starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count = good_answers(&String::from_utf8_lossy(&output.stdout));
    println!("wrk at {address} {}: {count} answers in {seconds} s", more.join(" "));
    count
}

/// Does `work` while wrk asks [`LOAD`], which is answered well all the while.
pub(crate) fn under_wrk(net: &Net, more: &[&str], work: impl FnOnce()) {
    let line = wrk_line(&net.there, LOAD, 600, more);
    let mut wrk = Process::start(line, "wrk", &net.folder);
    work();
    assert!(wrk.runs(), "the load ended first: {}", wrk.err());
    let ended = wrk.end_by(Signal::INT, Duration::from_secs(10));
    assert!(ended.status.success(), "{}", ended.err);
    println!("wrk at {LOAD} {}: {} answers", more.join(" "), good_answers(&ended.out));
}

/// The command of that load.
pub(crate) fn wrk_line(
    namespace: &Namespace,
    address: &str,
    seconds: u64,
    more: &[&str],
) -> Command {
    let mut command = namespace.line("taskset -c 0 wrk -t1 -c32 --timeout 5s");
    command.arg(format!("-d{seconds}s")).args(more).arg(format!("http://{address}/"));
    command
}

/// The number of answers that wrk tells.
fn good_answers(text: &str) -> u64 {
    assert!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
    let line = text.lines().find(|line| line.contains(" requests in "));
    let count = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    count.unwrap_or_else(|| panic!("no count in: {text}"))
}
