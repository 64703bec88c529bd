//! A worker that has really stopped: strace holds its thread at its next system call.

use std::process::Command;
use std::time::Duration;

use dperf_tests::namespace::alone;
use dperf_tests::process::{Process, Signal};
use dperf_tests::program::Program;

use crate::setup::{Kind, Setup};

/// Longer than the program's patience with a worker, 3 s.
const NOTICED: Duration = Duration::from_secs(8);
/// Patience with open connections, 4 s, and with a thread, 5 s, are over by then.
const TOLD: Duration = Duration::from_secs(15);

/// The thread of the program's client.
fn thread_of(program: &mut Program) -> String {
    let tasks = format!("/proc/{}/task", program.process().pid());
    let name = format!("worker-{}\n", dperf_tests::program::cpu());
    let mut tasks = std::fs::read_dir(tasks).expect("it runs").flatten();
    let is_it = |task: &std::fs::DirEntry| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm == name)
    };
    let task = tasks.find(is_it).expect("a thread of that name");
    task.file_name().to_string_lossy().into_owned()
}

/// Stops the thread; it goes on when what is returned goes on, or goes.
fn hold(setup: &Setup, program: &mut Program) -> Process {
    let thread = thread_of(program);
    let mut command = Command::new("strace");
    command.args(["-qq", "-o", "/dev/null", "-p", &thread]);
    let mut tracer = Process::start(command, "strace", &setup.folder);
    let status = format!("/proc/{thread}/status");
    let is_held = |_: &Process| {
        std::fs::read_to_string(&status).is_ok_and(|text| !text.contains("TracerPid:\t0"))
    };
    tracer.wait_until("a thread", Duration::from_secs(5), is_held);
    tracer.signal(Signal::STOP);
    tracer
}

/// The lines of what a program complained that are about a worker.
fn lines(err: &str) -> Vec<&str> {
    err.lines().filter(|line| line.contains("worker client-0.0 ")).collect()
}

#[test]
fn a_worker_that_stops_is_named_and_the_run_goes_on() {
    let test = "a_worker_that_stops_is_named_and_the_run_goes_on";
    let Some(_alone) = alone(test, &["strace"]) else { return };
    let setup = Setup::new(Kind::Link, 60);
    let mut program = setup.start_load().remove(0);
    let tracer = hold(&setup, &mut program);
    let said = |word: &'static str| move |process: &Process| process.err().contains(word);
    program.process().wait_until("a complaint", NOTICED, said("stopped turning"));
    tracer.signal(Signal::CONT);
    program.process().wait_until("its return", NOTICED, said("turns again, after"));
    let outcome = program.stop();
    assert!(matches!(outcome.code(), Some(0 | 1)), "{}", outcome.0.err);
    assert!(outcome.record_of("client")["http2XX"] != 0);
    let lines = lines(&outcome.0.err);
    let [stopped, turns] = lines[..] else { panic!("each is said once: {}", outcome.0.err) };
    let cpu = dperf_tests::program::cpu();
    let who = format!("dperf-shell: worker client-0.0 on cpu {cpu}, port link:a: ");
    assert!(stopped.starts_with(&format!("{who}stopped turning 3.")), "{stopped}");
    assert!(turns.starts_with(&format!("{who}turns again, after ")), "{turns}");
}

#[test]
fn a_worker_that_never_comes_back_ends_no_run() {
    let Some(_alone) = alone("a_worker_that_never_comes_back_ends_no_run", &["strace"]) else {
        return;
    };
    let setup = Setup::new(Kind::Link, 60);
    let mut program = setup.start_load().remove(0);
    let tracer = hold(&setup, &mut program);
    std::thread::sleep(Duration::from_millis(100));
    program.process().signal(Signal::TERM);
    let told = |process: &Process| process.out().matches("\"type\":\"final\"").count() == 2;
    program.process().wait_until("totals", TOLD, told);
    // The kernel lets a traced thread go only with its tracer.
    drop(tracer);
    let outcome = program.end(0);
    assert_eq!(outcome.code(), Some(1), "{}", outcome.0.err);
    let faults = outcome.record_of("client")["faults"].to_string();
    assert!(faults.contains("worker client-0.0 on cpu"), "{faults}");
    assert!(faults.contains("did not stop within 5 s"), "{faults}");
    setup.assert_nothing_left("a worker that stopped");
}
