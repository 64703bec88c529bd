//! Tests that need a process of their own: an ignored one, started by another.

use std::process::Command;

/// What runs the ignored test at `path` (its module's path and its name) and nothing else.
pub(crate) fn ignored_test(path: &str) -> Command {
    let (_crate, name) = path.split_once("::").expect("a path within this crate");
    let mut command = Command::new(std::env::current_exe().expect("a test has a path"));
    command.args(["--ignored", "--exact", "--nocapture", name]);
    command
}

/// Runs that test and shows what it says.
///
/// # Panics
/// It does not pass.
pub(crate) fn run_alone(path: &str) {
    let output = ignored_test(path).output().expect("a test starts");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}
