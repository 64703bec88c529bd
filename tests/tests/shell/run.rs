//! How a test runs the program: with words on its command line, to its end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use dperf_tests::process::{Ended, Folder, Process, first_in_line};
use dperf_tests::program;
use serde_json::Value;

/// No run of these tests takes longer, however busy the machine is.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// The program with `words` on its command line.
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(program::path());
    command.args(words);
    first_in_line(&command)
}

/// Starts `command`.
pub(crate) fn start(command: Command, folder: &Folder) -> Process {
    Process::start(command, "dperf-shell", folder)
}

/// Runs `command` to its end.
pub(crate) fn end(command: Command, folder: &Folder) -> Ended {
    start(command, folder).end(LONGEST)
}

/// Runs the program with `words` to its end.
pub(crate) fn run(words: &[&str]) -> Ended {
    end(command(words), &Folder::new())
}

/// Its exit status; none if a signal ended it.
pub(crate) fn code(ended: &Ended) -> Option<i32> {
    ended.status.code()
}

/// Runs the program with `words`, which it can do, and returns what it says.
pub(crate) fn says(words: &[&str]) -> String {
    let ended = run(words);
    assert_eq!((code(&ended), ended.err.as_str()), (Some(0), ""), "{words:?}\n{}", ended.out);
    ended.out
}

/// The records on stdout, where nothing else may be.
pub(crate) fn records(ended: &Ended) -> Vec<Value> {
    let read = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|why| {
            panic!("{why}: {line}\n{}", ended.err);
        });
        assert!(record.is_object(), "{line}");
        record
    };
    ended.out.lines().map(read).collect()
}

/// The records of one type and one role.
pub(crate) fn of<'a>(records: &'a [Value], kind: &str, role: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["type"] == kind && record["role"] == role).collect()
}

/// A counter of a record.
pub(crate) fn count(record: &Value, name: &str) -> u64 {
    record[name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {record}"))
}

/// The root of the source tree.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Two processors of this process, or one twice.
pub(crate) fn cpus() -> [u16; 2] {
    let given = dperf_shell::crew::processors().expect("the system says");
    let first = *given.first().expect("at least one");
    [first, given.get(1).copied().unwrap_or(first)]
}

/// Configurations of a server and a client on one link: what both say, and what each says besides.
pub(crate) fn pair(folder: &Folder, both: &str, server: &str, client: &str) -> [String; 2] {
    let [first, second] = cpus();
    let common = format!("client 10.0.1.2 1\nserver 10.0.2.1 1\nprotocol http\n{both}\n");
    let server =
        format!("mode server\ncpu {second}\nport link:test 10.0.2.1 10.0.1.1\n{common}{server}\n");
    let client = format!(
        "mode client\ncpu {first}\nport link:test 10.0.1.1 10.0.2.1\nslow_start 0\n{common}\
         {client}\n"
    );
    let write = |name, text| folder.write(name, text).display().to_string();
    [write("server.conf", server), write("client.conf", client)]
}
