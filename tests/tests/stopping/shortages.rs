//! The machine has not what was asked for: it is said before anything runs, with what to do.

use std::process::Command;
use std::time::Duration;

use dperf_tests::process::{Ended, Folder, Process};
use dperf_tests::program;

/// The longest a refusal may take.
const REFUSAL: Duration = Duration::from_secs(20);

/// Runs the program with the configurations `texts` behind the words `before` of a shell.
fn refused(before: &str, texts: &[String]) -> Ended {
    let folder = Folder::new();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{before} exec \"$0\" run \"$@\"")).arg(program::path());
    for (index, text) in texts.iter().enumerate() {
        shell.arg(folder.write(&format!("{index}.conf"), text));
    }
    let ended = Process::start(shell, "refused", &folder).end(REFUSAL);
    assert_eq!(ended.status.code(), Some(2), "{}{}", ended.out, ended.err);
    ended
}

#[test]
fn connections_that_find_no_memory_are_refused() {
    let common = "duration 1s\nprotocol http\nclient 10.0.1.2 50\nserver 10.0.2.2 4\n";
    let cpu = program::cpu();
    let texts = [
        format!("mode server\ncpu 0\nport link:a 10.0.2.1 10.0.1.1\n{common}"),
        format!("mode client\ncpu {cpu}\nport link:a 10.0.1.1 10.0.2.1\ncps 1k\n{common}"),
    ];
    // 13 million connections of 64 bytes, and room for 600 MB.
    let ended = refused("ulimit -v 600000;", &texts);
    for words in ["MiB of connections", "use fewer addresses or ports"] {
        assert!(ended.err.contains(words), "{}", ended.err);
    }
}

#[test]
fn huge_pages_that_are_not_there_are_named() {
    if !program::has_dpdk("huge_pages_that_are_not_there_are_named") {
        return;
    }
    // More than any machine has; by itself the program would do without.
    let text = "mode server\ncpu 0\nduration 1s\nprotocol http\nport net_null0 10.0.2.1 10.0.1.1\n\
                client 10.0.1.2 1\nserver 10.0.2.2 1\neal --in-memory\nsocket_mem 90000000\n";
    let ended = refused("", &[text.to_owned()]);
    assert!(ended.err.contains("huge pages"), "{}", ended.err);
}
