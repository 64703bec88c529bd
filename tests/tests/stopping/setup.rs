//! What runs here: a client and a server, in one process over a link, with a way to the kernel
//! besides, or each for itself at one end of a cable.

use std::path::PathBuf;
use std::time::Duration;

use dperf_tests::namespace::{Namespace, join};
use dperf_tests::process::{Folder, Process};
use dperf_tests::program::{self, Program};

/// What a client and a server run over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A link in one process.
    Link,
    /// The same, each side with a TAP interface.
    Tap,
    /// Packet sockets on a cable between two namespaces.
    Sockets,
}

/// Seconds until full rate.
pub(crate) const RAMP: u64 = 1;
/// Interfaces of the server and of the client on a cable.
pub(crate) const PORTS: [&str; 2] = ["server0", "client0"];
/// The longest that a program may take to start.
const START: Duration = Duration::from_secs(10);

/// A client and a server that are to be started.
pub(crate) struct Setup {
    kind: Kind,
    /// The server's namespace, and the client's if that is another.
    pub(crate) spaces: Vec<Namespace>,
    pub(crate) folder: Folder,
    server: PathBuf,
    client: PathBuf,
}

impl Setup {
    /// A load that lasts so many `seconds` at full rate.
    pub(crate) fn new(kind: Kind, seconds: u64) -> Setup {
        let folder = Folder::new();
        let alone = kind == Kind::Sockets;
        let spaces: Vec<_> = (0..=usize::from(alone)).map(|_| Namespace::new()).collect();
        let [server_port, client_port] = match &spaces[..] {
            [server, client] => {
                join((server, PORTS[0]), (client, PORTS[1]));
                PORTS.map(|interface| format!("af_packet:{interface}"))
            }
            _ => ["link:a", "link:a"].map(str::to_owned),
        };
        let exception = if kind == Kind::Tap { "exception tap net" } else { "" };
        let common = format!(
            "protocol http\nclient 10.77.0.100 2\nserver 10.77.0.200 2\n{exception}\nduration"
        );
        // On its own a server goes on until it is stopped.
        let served = if alone { seconds + 60 } else { seconds };
        let server = format!(
            "mode server\ncpu 0\nport {server_port} 10.77.0.1 10.77.0.2\n{common} {served}s\n"
        );
        let cpu = program::cpu();
        let client = format!(
            "mode client\ncpu {cpu}\nslow_start {RAMP}\ncps 1k\n\
             port {client_port} 10.77.0.2 10.77.0.1\n{common} {seconds}s\n"
        );
        let [server, client] = [("server", server), ("client", client)]
            .map(|(name, text)| folder.write(&format!("{name}.conf"), text));
        Setup { kind, spaces, folder, server, client }
    }

    /// Starts it, the server first; each program with the number of its roles.
    pub(crate) fn start(&self) -> Vec<(Program, usize)> {
        let Setup { spaces, folder, server, client, .. } = self;
        let start = |space, name, files: &[&PathBuf]| {
            let files: Vec<PathBuf> = files.iter().copied().cloned().collect();
            let program = Program::start_beside(space, folder, name, &files, &["--target", "1"]);
            (program, files.len())
        };
        match &spaces[..] {
            [here, there] => {
                vec![start(here, "server", &[server]), start(there, "client", &[client])]
            }
            here => vec![start(&here[0], "both", &[server, client])],
        }
    }

    /// As [`Setup::start`], and waits until load flows.
    pub(crate) fn start_load(&self) -> Vec<Program> {
        let mut programs = self.start();
        let flows = |process: &Process| {
            let records = process.out();
            let busy = |line: &&str| line.contains("interval") && !line.contains("\"http2XX\":0,");
            records.lines().any(|line| busy(&line))
        };
        for (program, _) in &mut programs {
            program.process().wait_until("load", START, flows);
        }
        programs.into_iter().map(|(program, _)| program).collect()
    }

    /// No process, no interface and no promiscuous interface is left.
    pub(crate) fn assert_nothing_left(&self, what: &str) {
        for (index, space) in self.spaces.iter().enumerate() {
            let processes = dperf_tests::namespace::run(&format!("ip netns pids {}", space.name()));
            assert_eq!(processes, "", "{what}: a process is left");
            let links = space.run("ip -details -oneline link");
            let expected = 1 + usize::from(self.kind == Kind::Sockets);
            assert_eq!(links.lines().count(), expected, "{what}, side {index}: {links}");
            for line in links.lines() {
                let quiet = line.contains("promiscuity 0") && !line.contains("PROMISC");
                assert!(quiet && !line.contains("ALLMULTI"), "{what}: {line}");
            }
        }
    }
}
