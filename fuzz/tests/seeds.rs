//! Every seed holds, and so do many damaged copies of it: what libFuzzer does with patience, done
//! briefly, on stable Rust and the same way every time.
//!
//! `DPERF_FUZZ_TIMES=100` makes a hundred times as many copies.

use std::fs;
use std::path::Path;

use dperf_tests::random::Random;

/// One seed of a target.
struct Seed {
    name: String,
    bytes: Vec<u8>,
}

/// The seeds of `target`, in order.
fn seeds(target: &str) -> Vec<Seed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let entries = fs::read_dir(&folder).expect("every target has seeds");
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("a file").path();
        let bytes = fs::read(&path).expect("a seed can be read");
        Seed { name: path.display().to_string(), bytes }
    };
    let mut seeds: Vec<_> = entries.map(read).collect();
    seeds.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(seeds.len() >= 10, "{target} has {} seeds", seeds.len());
    seeds
}

/// Bytes at which programs err.
const EDGES: [u8; 8] = [0, 1, 0x0f, 0x10, 0x7f, 0x80, 0xfe, 0xff];

/// Changes a few bytes, cuts some out, doubles some, or goes on as another seed.
fn damage(bytes: &mut Vec<u8>, seeds: &[Seed], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() as u64) as usize;
        let end = (at + random.below(16) as usize).min(bytes.len());
        match random.below(8) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.extend_from_within(at..end),
            2 => {
                let other = &seeds[random.below(seeds.len() as u64) as usize].bytes;
                let from = random.below(other.len() as u64) as usize;
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            3 => bytes.insert(at, random.draw() as u8),
            4 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
            5 => {
                let edge = EDGES[random.below(EDGES.len() as u64) as usize];
                bytes.iter_mut().skip(at).take(2).for_each(|byte| *byte = edge);
            }
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.draw() as u8),
        }
    }
}

/// Tells, if a law breaks, what broke it.
struct Told<'a> {
    name: &'a str,
    copy: u64,
    bytes: &'a [u8],
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}, copy {}: {:02x?}", self.name, self.copy, self.bytes);
        }
    }
}

/// A stack as libFuzzer's: a test's own is a quarter of it, and workers move over it into place.
const STACK_BYTES: usize = 8 << 20;

/// Runs `holds` on every seed of `target` and on `copies` damaged copies of each.
fn run(target: &'static str, holds: fn(&[u8]), copies: u64) {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let thread = thread.spawn(move || run_all(target, holds, copies)).expect("a thread");
    if let Err(broken) = thread.join() {
        std::panic::resume_unwind(broken);
    }
}

fn run_all(target: &str, holds: fn(&[u8]), copies: u64) {
    let times = std::env::var("DPERF_FUZZ_TIMES").map_or(1, |times| times.parse().expect("number"));
    let seeds = seeds(target);
    for Seed { name, bytes } in &seeds {
        for copy in 0..=copies * times {
            let mut bytes = bytes.clone();
            if copy > 0 {
                damage(&mut bytes, &seeds, &mut Random::new(copy));
            }
            let told = Told { name, copy, bytes: &bytes };
            holds(told.bytes);
        }
    }
    println!("{target}: {} runs", seeds.len() as u64 * (1 + copies * times));
}

#[test]
fn wire() {
    run("wire", dperf_fuzz::wire::holds, 50_000);
}

#[test]
fn headers() {
    run("headers", dperf_fuzz::headers::holds, 30_000);
}

#[test]
fn http() {
    run("http", dperf_fuzz::http::holds, 50_000);
}

#[test]
fn messages() {
    run("messages", dperf_fuzz::messages::holds, 50_000);
}

#[test]
fn receive() {
    run("receive", dperf_fuzz::receive::holds, 500);
}

#[test]
fn sequence() {
    run("sequence", dperf_fuzz::sequence::holds, 4_000);
}

#[test]
fn config() {
    run("config", dperf_fuzz::config::holds, 5_000);
}
