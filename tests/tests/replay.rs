//! A failure is found again: its seed and step are told, and the command that is told beside them
//! repeats it, down to the last byte on the wire.

use std::process::{Command, Output};

use dperf_tests::process::Folder;
use dperf_tests::replay::Again;
use dperf_tests::scenario::Scenario;
use dperf_tests::swarm::Member;
use dperf_tests::{laws, replay, sim};

/// Where the run of seed 2 stops.
const STEP: u64 = 300;

#[test]
#[ignore = "fails on purpose, for others to find it again"]
fn a_run_that_stops() {
    for seed in replay::seeds(3) {
        let scenario = Scenario::short(seed);
        let _ = sim::run_with(&scenario, |sim| {
            assert!(seed != 2 || sim.steps() != STEP, "stopped on purpose");
        });
    }
}

#[test]
#[ignore = "fails on purpose, for others to find it again"]
fn a_run_that_breaks_a_law() {
    for seed in replay::seeds(3) {
        let scenario = Scenario::drawn(seed);
        let mut report = sim::run_with(&scenario, |_| {});
        report.machines[0].cores[0].open += u64::from(seed == 2);
        laws::hold(&scenario, &report);
    }
}

/// Runs a test of this program that fails; returns what it says.
fn fails(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("our own program");
    assert!(!status.success(), "{command:?}");
    String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()
}

#[test]
fn a_failure_is_found_again_to_the_byte() {
    let program = std::env::current_exe().expect("our own path");
    for (name, told) in
        [("a_run_that_stops", "seed 2 step 300 at "), ("a_run_that_breaks_a_law", "seed 2 step ")]
    {
        let mut first = Command::new(&program);
        first.args([name, "--exact", "--include-ignored"]);
        let said = fails(first.env_remove("DPERF_SIM_SEED").env_remove("DPERF_SIM_PCAP"));
        let line = said.lines().find(|line| line.starts_with(told)).expect("seed and step");
        let Again { set, words } = Again::of(&said, &program).expect("a command");
        assert!(set.contains(&("DPERF_SIM_SEED".to_owned(), "2".to_owned())), "{said}");
        let folder = Folder::new();
        let captures = ["once", "again"].map(|file| {
            let mut again = Command::new(&program);
            again.args(&words).envs(set.iter().cloned());
            let repeated = fails(again.env("DPERF_SIM_PCAP", folder.file(file)));
            assert!(repeated.lines().any(|other| other == line), "{line}\n{repeated}");
            assert!(!repeated.contains("fresh seeds"), "the seed alone: {repeated}");
            folder.read(file)
        });
        assert!(captures[0].len() > 10_000, "{name}: {} bytes", captures[0].len());
        assert!(captures[0] == captures[1], "{name}: two replays of one seed differ");
    }
}

#[test]
fn every_member_of_the_swarm_is_its_seed() {
    for seed in 1..=20 {
        let [once, again] = [0, 1].map(|_| Member::new(seed).run());
        assert!(once.capture.as_ref().is_some_and(|file| file.len() > 24), "seed {seed}");
        assert!(once == again, "seed {seed}: two runs differ");
    }
}
