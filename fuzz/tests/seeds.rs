//! Every seed, and many damaged copies of it, hold.

use std::fs;
use std::path::{Path, PathBuf};

use dperf_tests::wire::Random;

/// The seeds of `target`, in order.
fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let entries = fs::read_dir(&folder).expect("every target has seeds");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    assert!(paths.len() >= 3, "{target} has {} seeds", paths.len());
    paths
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path).expect("a seed can be read");
            (path, bytes)
        })
        .collect()
}

/// Changes a few bytes, cuts some out, or doubles some.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() as u64) as usize;
        let end = (at + random.below(16) as usize).min(bytes.len());
        match random.below(4) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.extend_from_within(at..end),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.draw() as u8),
        }
    }
}

/// Runs `holds` on every seed of `target` and on `copies` damaged copies of each.
fn run(target: &str, holds: fn(&[u8]), copies: u64) {
    for (path, seed) in seeds(target) {
        println!("{}", path.display());
        holds(&seed);
        for copy in 0..copies {
            let mut bytes = seed.clone();
            damage(&mut bytes, &mut Random::new(copy));
            println!("copy {copy}");
            holds(&bytes);
        }
    }
}

#[test]
fn wire() {
    run("wire", dperf_fuzz::wire::holds, 2_000);
}

#[test]
fn http() {
    run("http", dperf_fuzz::http::holds, 2_000);
}

#[test]
fn receive() {
    run("receive", dperf_fuzz::receive::holds, 50);
}

#[test]
fn config() {
    run("config", dperf_fuzz::config::holds, 500);
}
