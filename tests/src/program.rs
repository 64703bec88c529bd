//! The program under test: the real one, as it was built, fed with text and judged by its status,
//! its records and its words.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::namespace::{Namespace, skip};
use crate::process::{Ended, Folder, Process, Signal, first_in_line};

/// The longest that a run may take to end once its time is over: connections get 4 s.
pub const END: Duration = Duration::from_secs(6);
/// The longest that it may take to start.
const START: Duration = Duration::from_secs(20);

/// Counters of a role that stay 0 when nothing is lost and nobody misbehaves.
pub const FAULTS: &[&str] = &[
    "skErr", "httpErr", "dropTx", "synRt", "finRt", "ackRt", "pushRt", "ackDup", "tcpDrop",
    "badRx", "imissed", "ierrors", "oerrors", "rxNombuf",
];

/// Where the program lies: $DPERF_SHELL, or beside the tests that were built with it.
///
/// # Panics
/// It is not there.
pub fn path() -> PathBuf {
    let built = || {
        let test = std::env::current_exe().expect("our own path");
        let folder = test.ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default();
        folder.join("dperf-shell")
    };
    let path = std::env::var_os("DPERF_SHELL").map_or_else(built, PathBuf::from);
    assert!(path.is_file(), "there is no {}: run `make test`, which builds it", path.display());
    path
}

/// True if it was built with DPDK; else `test` is skipped by name.
///
/// # Panics
/// It does not start, or it was not and CI=true.
pub fn has_dpdk(test: &str) -> bool {
    let help = Command::new(path()).arg("--help").output().expect("the program starts");
    let has = String::from_utf8_lossy(&help.stdout).contains("DPDK: built in");
    if !has {
        skip(test, "a dperf-shell built with DPDK (cargo build --features dpdk)");
    }
    has
}

/// The processor of the program under test; peers have number 0, on a machine with more than one.
pub fn cpu() -> usize {
    std::thread::available_parallelism().map_or(0, |count| usize::from(count.get() > 1))
}

fn command(namespace: &Namespace, files: &[PathBuf], words: &[&str]) -> Command {
    let mut command = namespace.command(&path().display().to_string());
    command.arg("run").args(files).arg("--json").args(words);
    command
}

/// One run of the program.
#[derive(Debug)]
pub struct Program(Process);

impl Program {
    /// Starts the program inside `namespace` with the configuration `text`, kept under `name`.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(namespace: &Namespace, folder: &Folder, name: &str, text: &str) -> Program {
        Program::start_with(namespace, folder, name, text, &[])
    }

    /// As [`Program::start`], with more `words` on its command line.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start_with(
        namespace: &Namespace,
        folder: &Folder,
        name: &str,
        text: &str,
        words: &[&str],
    ) -> Program {
        let file = folder.write(&format!("{name}.conf"), text);
        let command = command(namespace, &[file], words);
        Program(Process::start(first_in_line(&command), name, folder))
    }

    /// Starts the program with one role for each of `files`, no earlier in line for a processor
    /// than anybody else.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start_beside(
        namespace: &Namespace,
        folder: &Folder,
        name: &str,
        files: &[PathBuf],
        words: &[&str],
    ) -> Program {
        Program(Process::start(command(namespace, files, words), name, folder))
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.0
    }

    /// Waits for the first second's record: the gateway was found, the load runs.
    ///
    /// # Panics
    /// It ends before, or takes too long.
    pub fn wait_for_load(&mut self) {
        let begun = |process: &Process| process.out().contains("\"type\":\"interval\"");
        self.0.wait_until("a first second", START, begun);
    }

    /// Waits for the end that comes by itself, at most `seconds` of load from now.
    ///
    /// # Panics
    /// It does not come.
    pub fn end(self, seconds: u64) -> Outcome {
        Outcome(self.0.end(START + END + Duration::from_secs(seconds)))
    }

    /// Asks for the end.
    ///
    /// # Panics
    /// It takes too long.
    pub fn stop(self) -> Outcome {
        self.stop_by(Signal::TERM)
    }

    /// Asks for the end, which may take so long.
    ///
    /// # Panics
    /// It takes longer.
    pub fn stop_within(self, limit: Duration) -> Outcome {
        Outcome(self.0.end_by(Signal::TERM, limit))
    }

    /// Asks for the end by `signal`.
    ///
    /// # Panics
    /// It takes too long.
    pub fn stop_by(self, signal: Signal) -> Outcome {
        Outcome(self.0.end_by(signal, END))
    }
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Outcome(pub Ended);

impl Outcome {
    /// Its exit status; none if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    /// Its final record.
    ///
    /// # Panics
    /// There is none.
    pub fn record(&self) -> Value {
        let last = self.records("final").next();
        last.unwrap_or_else(|| panic!("no final record:\n{}{}", self.0.out, self.0.err))
    }

    /// The final record of one role, where one process has several.
    ///
    /// # Panics
    /// There is none.
    pub fn record_of(&self, role: &str) -> Value {
        let found = self.records("final").find(|record| record["role"] == role);
        found.unwrap_or_else(|| panic!("no final record:\n{}{}", self.0.out, self.0.err))
    }

    fn records(&self, kind: &'static str) -> impl Iterator<Item = Value> {
        let records = self.0.out.lines().filter_map(|line| serde_json::from_str(line).ok());
        records.filter(move |record: &Value| record["type"] == kind)
    }

    /// How often something was counted, second by second.
    fn seconds_of(&self, name: &str) -> String {
        let seconds = self.records("interval").zip(1..).filter(|(record, _)| record[name] != 0);
        let said = seconds.map(|(record, second)| format!("{} in second {second}", record[name]));
        said.collect::<Vec<_>>().join(", ")
    }

    /// A counter of its final record.
    ///
    /// # Panics
    /// There is none of this name.
    pub fn count(&self, name: &str) -> u64 {
        let record = self.record();
        record[name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {record}"))
    }

    /// What speaks against it: a status other than 0, and counters of [`FAULTS`] that are not 0
    /// except those `excused`.
    pub fn faults(&self, excused: &[&str]) -> Vec<String> {
        let record = self.record();
        let mut faults = Vec::new();
        if self.code() != Some(0) {
            faults.push(format!("{}: {}", self.0.status, record["faults"]));
        }
        for name in FAULTS.iter().filter(|name| !excused.contains(name)) {
            if record[*name] != 0 {
                faults.push(format!("{name} {} ({})", record[*name], self.seconds_of(name)));
            }
        }
        faults
    }
}
