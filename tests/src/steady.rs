//! A test fails by what it tests, not by a machine that stood still meanwhile: on a virtual machine
//! whose host gives its processors to somebody else, packets are lost that nobody lost.
//!
//! Each test gets a process of its own. Beside it one thread per processor sleeps again and again,
//! ahead of everybody else, and sees how late it wakes. What failed while all woke in time has
//! failed; what failed while one woke 10 ms late or more proves nothing and is run again.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Set in the process of a test.
const INSIDE: &str = "DPERF_TEST_INSIDE";
/// How long a watcher sleeps.
const SLEEP: Duration = Duration::from_millis(2);
/// A machine that lets a watcher wake this much too late stood still.
const STOOD_STILL: Duration = Duration::from_millis(10);
/// How often a test may run in all.
const RUNS: usize = 3;

/// Is this a process made by [`run`]?
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs the calling test in a process of its own, again if the machine stood still while it failed.
/// False if the caller's thread is not one that the test harness made for a test.
///
/// # Panics
/// The test failed.
pub fn run() -> bool {
    let thread = std::thread::current();
    let Some(test) = thread.name().filter(|name| *name != "main") else { return false };
    until_it_counts(RUNS, || {
        let (output, late) = watched(|| inside(test));
        print!("{}", String::from_utf8_lossy(&output.stdout));
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        (output.status.success(), late)
    });
    true
}

fn inside(test: &str) -> Output {
    let program = std::env::current_exe().expect("a test has a path");
    let words = [test, "--exact", "--nocapture", "--include-ignored"];
    with_default_signals(&program).args(words).env(INSIDE, "1").output().expect("a test starts")
}

/// `program`, which ignores no signal: a shell's background jobs ignore SIGINT, and what they start
/// does until it says otherwise.
fn with_default_signals(program: &Path) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(program);
    command
}

/// Repeats `attempt`, which says if it succeeded and how late a watcher woke, at most `runs` times.
fn until_it_counts(runs: usize, mut attempt: impl FnMut() -> (bool, Duration)) {
    for left in (0..runs).rev() {
        let (succeeded, late) = attempt();
        if succeeded {
            return;
        }
        println!("the machine stood still for {} us at most", late.as_micros());
        assert!(late >= STOOD_STILL && left > 0, "failed, see above");
        println!("that is too long to judge by: once more");
    }
}

/// Runs `work` under watch. Returns what it returns, and how late the latest watcher woke.
fn watched<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let over = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watchers: Vec<_> =
            processors().into_iter().map(|cpu| scope.spawn(move || watch(cpu, over))).collect();
        let result = work();
        over.store(true, Relaxed);
        let late = watchers.into_iter().map(|watcher| watcher.join().expect("a watcher ends"));
        (result, late.max().unwrap_or_default())
    })
}

/// Each processor that we may use, alone in its set.
fn processors() -> Vec<CpuSet> {
    let all = sched_getaffinity(None).expect("our processors");
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| all.is_set(*cpu))
        .map(|cpu| {
            let mut set = CpuSet::new();
            set.set(cpu);
            set
        })
        .collect()
}

/// Sleeps on `cpu` until all is `over`. Returns how late it woke at worst.
fn watch(cpu: CpuSet, over: &AtomicBool) -> Duration {
    sched_setaffinity(None, &cpu).expect("a processor of ours");
    // On Linux this is the calling thread's alone: setpriority(2).
    setpriority_process(None, -20).expect("root may");
    let mut worst = Duration::ZERO;
    while !over.load(Relaxed) {
        let start = Instant::now();
        std::thread::sleep(SLEEP);
        worst = worst.max(start.elapsed().saturating_sub(SLEEP));
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs attempts with these outcomes. Returns how many there were.
    fn attempts(outcomes: &[(bool, Duration)]) -> usize {
        let mut count = 0;
        until_it_counts(outcomes.len(), || {
            count += 1;
            outcomes[count - 1]
        });
        count
    }

    #[test]
    fn a_success_counts_however_late() {
        assert_eq!(attempts(&[(true, STOOD_STILL * 9), (true, STOOD_STILL)]), 1);
    }

    #[test]
    fn a_failure_counts_not_when_the_machine_stood_still() {
        assert_eq!(attempts(&[(false, STOOD_STILL), (true, Duration::ZERO)]), 2);
    }

    #[test]
    #[should_panic(expected = "failed")]
    fn a_failure_counts_at_once() {
        attempts(&[(false, STOOD_STILL - SLEEP), (true, Duration::ZERO)]);
    }

    #[test]
    #[should_panic(expected = "failed")]
    fn the_last_failure_counts() {
        attempts(&[(false, STOOD_STILL * 2), (false, STOOD_STILL * 2)]);
    }

    #[test]
    fn a_test_hears_the_signals_that_its_starter_ignores() {
        let look = with_default_signals(Path::new("grep"));
        let mut deaf = Command::new("sh");
        deaf.args(["-c", "trap '' INT; exec \"$@\"", "sh"]);
        deaf.arg(look.get_program()).args(look.get_args());
        let output = deaf.args(["SigIgn", "/proc/self/status"]).output().expect("it starts");
        let said = String::from_utf8(output.stdout).expect("text");
        let ignored = said.trim().rsplit('\t').next().expect("a number");
        let ignored = u64::from_str_radix(ignored, 16).expect("in hexadecimal");
        assert_eq!(ignored & 1 << (libc::SIGINT - 1), 0, "{said}");
    }
}
