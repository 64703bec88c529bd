//! FreeBSD's TCP test suite and packetdrill's own, run against the core in virtual time: judges
//! that know nothing of us.
//!
//! Neither tool nor scripts are ours to hand out. `PACKETDRILL` is the folder with the built tool,
//! beside which its own scripts lie, `PACKETDRILL_SCRIPTS` the folder with FreeBSD's suite;
//! `tests/data/packetdrill/manifest` names both and their commits. Which scripts ask for what is
//! not here says `classes`, which of the others fail and why the lists `expected-fail-*` beside
//! the manifest. They may only shrink.

mod classes;
mod rewrite;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use classes::Class;
use dperf_tests::namespace::skip_judge;

/// A script that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a script: passed, or what packetdrill said.
type Verdict = Result<(), String>;

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/packetdrill").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// The library, which cargo builds beside the tests' own folder.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let target = test.parent().and_then(Path::parent).expect("target/debug/deps");
    let library = target.join("examples/libpacketdrill.so");
    let how = "cargo build -p dperf-tests --example packetdrill";
    assert!(library.is_file(), "{} is missing: {how}", library.display());
    library
}

/// Every script under `folder`, by its path there.
fn scripts(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(one) = folders.pop() {
        for entry in std::fs::read_dir(&one).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "pkt") {
                let name = path.strip_prefix(folder).expect("inside").display().to_string();
                found.insert(name, std::fs::read_to_string(&path).expect("a script"));
            }
        }
    }
    found
}

/// FNV-1a of all names and texts.
fn fingerprint(scripts: &BTreeMap<String, String>) -> String {
    let bytes = scripts.iter().flat_map(|(name, text)| name.bytes().chain(text.bytes()));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn run(tool: &Path, library: &Path, folder: &Path, name: &str, script: &str) -> Verdict {
    let file = folder.join(name.replace('/', "+"));
    std::fs::write(&file, script).expect("a file in the temporary folder");
    let (local, remote) = match script.contains("--ip_version=ipv6") {
        true => ("fd3d:fa7b:d17d::36", "fd3d:fa7b:d17d:8888::2"),
        false => ("192.168.0.36", "192.0.2.1"),
    };
    let mut child = Command::new(tool)
        .arg(format!("--so_filename={}", library.display()))
        .arg(format!("--so_flags={local},{remote}"))
        .args([format!("--local_ip={local}"), format!("--remote_ip={remote}")])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("packetdrill starts");
    let begun = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().expect("a child of ours");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("its last words");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// Runs all of `scripts`, on as many processors as there are.
fn run_all(
    tool: &Path,
    suite: &str,
    scripts: BTreeMap<String, String>,
) -> BTreeMap<String, Verdict> {
    let library = library();
    let folder = std::env::temp_dir().join(format!("dps-{suite}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let (waiting, done) = (Mutex::new(scripts.into_iter()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("no panic").next();
                    let Some((name, script)) = next else { break };
                    let verdict = run(tool, &library, &folder, &name, &rewrite::rewrite(&script));
                    done.lock().expect("no panic").insert(name, verdict);
                }
            });
        }
    });
    std::fs::remove_dir_all(&folder).expect("our folder");
    done.into_inner().expect("no panic")
}

/// The scripts of `suite` that are known to fail, each with a reason.
fn expected(suite: &str) -> BTreeMap<String, String> {
    let list = data(&format!("expected-fail-{suite}"));
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &str| {
        let (name, reason) = line.split_once(' ').unwrap_or_else(|| panic!("{line}: no reason"));
        (name.to_owned(), reason.trim().to_owned())
    };
    lines.map(split).collect()
}

/// What stands behind `name` in the manifest.
fn pinned(name: &str) -> String {
    let manifest = data("manifest");
    let line = manifest.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("the manifest has no {name}")).trim().to_owned()
}

/// Runs every applicable script in `folder`: those that fail are those listed.
fn judge(suite: &str, tool: &Path, folder: &Path, classes: &[Class]) {
    let all = scripts(folder);
    let fingerprint = fingerprint(&all);
    assert_eq!(fingerprint, pinned(suite), "another commit of {suite} than the manifest's");
    let mut skipped: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wanted = BTreeMap::new();
    for (name, text) in all {
        match classes.iter().find(|class| class.holds(&name, &text)) {
            Some(class) => *skipped.entry(class.reason).or_default() += 1,
            None => drop(wanted.insert(name, text)),
        }
    }
    let verdicts = run_all(&tool.join("packetdrill"), suite, wanted);
    let expected = expected(suite);
    let failed: BTreeSet<&String> =
        verdicts.iter().filter(|(_, verdict)| verdict.is_err()).map(|(name, _)| name).collect();
    let listed: BTreeSet<&String> = expected.keys().collect();
    for (reason, count) in &skipped {
        println!("{suite}: {count} not applicable: {reason}");
    }
    let (run, failures) = (verdicts.len(), failed.len());
    println!("{suite}: {run} run, {failures} failed, {} listed", listed.len());
    let mut wrong = Vec::new();
    for name in failed.difference(&listed) {
        wrong.push(format!("{name} fails:\n{}", verdicts[*name].as_ref().expect_err("failed")));
    }
    for name in listed.difference(&failed) {
        wrong.push(format!("{name} passes, or is no more: take it off the list"));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The folder that the environment names; else `test` is skipped by name.
fn given(test: &str, variable: &str, what: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        skip_judge(test, &format!("{what} ({variable})"));
    }
    folder
}

#[test]
fn freebsds_suite_finds_what_is_listed_and_no_more() {
    let test = "freebsds_suite_finds_what_is_listed_and_no_more";
    let Some(tool) = given(test, "PACKETDRILL", "packetdrill") else { return };
    let Some(suite) = given(test, "PACKETDRILL_SCRIPTS", "FreeBSD's TCP suite") else { return };
    judge("freebsd", &tool, &suite, classes::FREEBSD);
}

#[test]
fn packetdrills_own_suite_finds_what_is_listed_and_no_more() {
    let test = "packetdrills_own_suite_finds_what_is_listed_and_no_more";
    let Some(tool) = given(test, "PACKETDRILL", "packetdrill and its scripts") else { return };
    judge("google", &tool, &tool.join("../tcp"), classes::GOOGLE);
}

/// What needs no tool to be checked: every line of the lists has a reason, and comes once.
#[test]
fn the_lists_are_in_order() {
    for suite in ["freebsd", "google"] {
        let list = data(&format!("expected-fail-{suite}"));
        let lines: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.is_sorted(), "{suite}");
        assert_eq!(expected(suite).len(), lines.len(), "{suite}");
        assert_eq!(pinned(suite).len(), 16, "{suite}");
    }
}
