//! The machine's memory ends while connections open: the kernel kills the program, and nothing is
//! left of it; whoever it spoke with says what came of it.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use dperf_tests::cgroup::MemoryLimit;
use dperf_tests::namespace::{alone, skip};
use dperf_tests::process::Signal;
use dperf_tests::program::Program;

use crate::setup::{Kind, Setup};

/// Seconds of load that nobody waits for.
const LONG: u64 = 240;
/// What it may take once load flows: a second of new connections, when those that were touched at
/// the start are open.
const LIMIT_BYTES: u64 = 4 << 20;
/// More addresses than connections that were touched at the start.
const MANY: &str = "client 10.77.0.100 20";
/// The longest that the limit may last.
const SPENT: Duration = Duration::from_secs(240);

/// A load whose connections all stay open, a side's 100,000 more in every second.
fn growing(kind: Kind) -> Setup {
    let setup = Setup::new(kind, LONG);
    for (name, more) in [("server.conf", ""), ("client.conf", "cps 100k\n")] {
        let text = String::from_utf8(setup.folder.read(name)).expect("text");
        let text = text.replace("cps 1k\n", more).replace("client 10.77.0.100 2", MANY);
        setup.folder.write(name, text + "keepalive 60s\n");
    }
    setup
}

/// Lets `program` run out of memory.
fn starve(test: &str, program: &mut Program) -> bool {
    let Some(limit) = MemoryLimit::new(LIMIT_BYTES) else {
        skip(test, "a control group for memory");
        return false;
    };
    limit.hold(program.process().pid());
    let begun = Instant::now();
    while program.process().runs() {
        assert!(begun.elapsed() < SPENT, "it lives on {LIMIT_BYTES} bytes");
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

#[test]
fn a_program_that_runs_out_of_memory_leaves_nothing_behind() {
    let test = "a_program_that_runs_out_of_memory_leaves_nothing_behind";
    let Some(_alone) = alone(test, &[]) else { return };
    let setup = growing(Kind::Tap);
    let mut program = setup.start_load().remove(0);
    if !starve(test, &mut program) {
        return;
    }
    let outcome = program.end(0);
    assert_eq!(outcome.0.status.signal(), Some(Signal::KILL.as_raw()), "{}", outcome.0.err);
    setup.assert_nothing_left("no memory");
}

#[test]
fn the_peer_of_a_program_without_memory_tells_what_it_saw() {
    let test = "the_peer_of_a_program_without_memory_tells_what_it_saw";
    let Some(_alone) = alone(test, &[]) else { return };
    let setup = growing(Kind::Sockets);
    let mut programs = setup.start_load();
    if !starve(test, &mut programs[1]) {
        return;
    }
    let server = programs.swap_remove(0).stop();
    drop(programs);
    let record = server.record();
    let count = |name| server.count(name);
    assert!(matches!(server.code(), Some(0 | 1)), "{record}");
    assert!(count("http2XX") > 1_000, "{record}");
    // Every connection has ended, or is said to be open.
    assert_eq!(count("skOpen"), count("skClose") + count("skCon"), "{record}");
    setup.assert_nothing_left("a peer without memory");
}
