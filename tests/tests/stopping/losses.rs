//! Somebody else goes while the load runs: the cable, or the peer.

use std::time::{Duration, Instant};

use dperf_tests::namespace::alone;
use dperf_tests::process::Signal;

use crate::setup::{Kind, PORTS, Setup};

/// Seconds of load that nobody waits for.
const LONG: u64 = 50;
/// Seconds of load that goes on without its server.
const SHORT: u64 = 5;

#[test]
fn a_cable_that_is_pulled_ends_both_sides() {
    let Some(_alone) = alone("a_cable_that_is_pulled_ends_both_sides", &[]) else { return };
    let setup = Setup::new(Kind::Sockets, LONG);
    let programs = setup.start_load();
    // A pair of virtual interfaces goes with either of its ends.
    setup.spaces[0].run(&format!("ip link delete {}", PORTS[0]));
    let pulled = Instant::now();
    for (program, port) in programs.into_iter().zip(PORTS) {
        let outcome = program.end(0);
        assert!(pulled.elapsed() < Duration::from_secs(6), "{:?}", pulled.elapsed());
        assert_eq!(outcome.code(), Some(1), "{}{}", outcome.0.out, outcome.0.err);
        let sentence = format!("port af_packet:{port}: the device is gone; the run ended early");
        assert!(outcome.0.err.contains(&sentence), "{}", outcome.0.err);
        assert!(outcome.count("http2XX") > 0 && outcome.record()["passed"] == false);
    }
}

#[test]
fn a_client_outlives_its_server() {
    let Some(_alone) = alone("a_client_outlives_its_server", &[]) else { return };
    let setup = Setup::new(Kind::Sockets, SHORT);
    let mut programs = setup.start_load().into_iter();
    let (server, client) = (programs.next().expect("a server"), programs.next().expect("a client"));
    server.stop_by(Signal::KILL);
    let outcome = client.end(SHORT);
    assert_eq!(outcome.code(), Some(1), "{}{}", outcome.0.out, outcome.0.err);
    let record = outcome.record();
    let count = |name| outcome.count(name);
    assert!(count("http2XX") > 0 && count("synRt") > 0 && count("skCon") > 0, "{record}");
    assert!(record["faults"].to_string().contains(" connections did not end"), "{record}");
    // Every connection was answered or failed, or is said to be open.
    assert_eq!(count("skOpen"), count("skClose") + count("skCon"), "{record}");
    assert!(count("skClose") <= count("http2XX") + count("skErr"), "{record}");
    setup.assert_nothing_left("a server that was killed");
}
