//! How a run that failed is told, and how it is found again: `seed N step M`, the one command that
//! repeats it, and what crossed the wire.
//!
//! `DPERF_SIM_SEED=N` runs that seed alone in every test that draws seeds, and
//! `DPERF_SIM_PCAP=FILE` writes what crossed the wire when a run fails.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::scenario::Scenario;

/// A seed that is looked at alone.
fn only() -> Option<u64> {
    std::env::var("DPERF_SIM_SEED").ok()?.parse().ok()
}

/// Where captures of failed runs go.
fn capture_path() -> Option<PathBuf> {
    std::env::var_os("DPERF_SIM_PCAP").map(PathBuf::from)
}

/// Somebody wants to see what crossed the wire of a failed run.
#[must_use]
pub fn wants_capture() -> bool {
    capture_path().is_some()
}

/// A seed that no run has had, most likely; those above it are as new.
#[must_use]
pub fn fresh() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) * 1_000 + since.as_secs() % 1_000
}

/// The seed that `DPERF_SIM_SEED` says, or a fresh one.
#[must_use]
pub fn seed() -> u64 {
    only().unwrap_or_else(fresh)
}

/// The seeds from 1 to `count`, which are always run, and a tenth as many fresh ones, which are
/// printed; or the one that `DPERF_SIM_SEED` says.
#[must_use]
pub fn seeds(count: u64) -> Vec<u64> {
    if let Some(only) = only() {
        return vec![only];
    }
    let fresh = fresh();
    println!("fresh seeds from {fresh} on");
    (1..=count).chain(fresh..fresh + count.div_ceil(10)).collect()
}

/// Tells of a run of this thread's test that fails at this step and time, and keeps its `capture`
/// if that is wanted.
pub fn tell(scenario: &Scenario, (step, now): (u64, u64), capture: Option<&[u8]>) {
    let seed = scenario.seed;
    eprintln!("seed {seed} step {step} at {now} ns: {scenario:?}");
    eprintln!("again: DPERF_SIM_SEED={seed} DPERF_SIM_PCAP=/tmp/sim.pcap {}", command());
    if let (Some(path), Some(capture)) = (capture_path(), capture)
        && let Err(why) = std::fs::write(&path, capture)
    {
        eprintln!("{}: {why}", path.display());
    }
}

/// The command that runs the test of this thread.
fn command() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let stem = program.file_stem().unwrap_or_default().to_string_lossy();
    // cargo adds a hash.
    let target = match stem.rsplit_once('-').map_or(&*stem, |(name, _)| name) {
        "dperf_tests" => "--lib".to_owned(),
        name => format!("--test {name}"),
    };
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main").unwrap_or_default();
    format!("cargo test -p dperf-tests {target} {test} -- --exact --include-ignored")
}

/// A command that was told.
#[derive(Debug)]
pub struct Again {
    /// What is set in its environment.
    pub set: Vec<(String, String)>,
    /// What is said to the test program.
    pub words: Vec<String>,
}

impl Again {
    /// The command in what the test program `program` said; none if there is none.
    #[must_use]
    pub fn of(said: &str, program: &Path) -> Option<Again> {
        let line = said.lines().find_map(|line| line.strip_prefix("again: "))?;
        let stem = program.file_stem()?.to_str()?;
        let name = stem.rsplit_once('-').map_or(stem, |(name, _)| name);
        let (set, words) = line.split_once(&format!("cargo test -p dperf-tests --test {name} "))?;
        let set = set.split_whitespace().filter_map(|pair| pair.split_once('='));
        let words = words.split_whitespace().filter(|word| *word != "--");
        Some(Again {
            set: set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            words: words.map(str::to_owned).collect(),
        })
    }
}
