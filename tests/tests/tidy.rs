//! The house rules as far as a program can see them: how files look, what they may say, and which
//! room may know which. Exceptions stand here, each with its reason.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Columns of a line.
const COLUMNS: usize = 100;
/// Lines of code in a file, tests, comments and blank lines not counted.
const LINES: usize = 400;
/// Bytes of a file.
const BYTES: u64 = 500_000;

/// Files that may be longer, and why.
const LONG: &[(&str, &str)] = &[
    ("shell/src/config/keyword.rs", "one table of all keywords"),
    ("core/src/tcp/input.rs", "what one segment does, in the order of RFC 9293 section 3.10.7"),
];

/// Files that may `unwrap` or `expect` outside tests, and why it cannot fail or may end them.
const SURE: &[(&str, &str)] = &[
    ("shell/src/port/buffers.rs", "the layout of a few thousand buffers always exists"),
    ("shell/dpdk-sys/build.rs", "a build that cannot go on says so and stops"),
];

/// Where `unsafe` may be written.
const UNSAFE: &[&str] = &[
    "core/src/frame.rs",
    "core/src/port.rs",
    "core/src/prefetch.rs",
    "core/src/sync/lock.rs",
    "fuzz/",
    "shell/dpdk-sys/src/lib.rs",
    "shell/src/exception/tap.rs",
    "shell/src/memory.rs",
    "shell/src/port/",
    "tests/benches/",
    "tests/loom/",
    "tests/no-std/src/",
    "tests/packetdrill/",
    "tests/src/arena.rs",
    "tests/src/phy.rs",
    "tests/src/queue.rs",
    "tests/src/raw.rs",
];

/// What each room of the core may know of the others. A room knows only rooms above it: there are
/// no circles.
const CORE: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("time", &[]),
    ("frame", &[]),
    ("prefetch", &[]),
    ("http", &["wire"]),
    ("sync", &["wire"]),
    ("stats", &["sync"]),
    ("port", &["frame"]),
    ("exception", &["frame", "port", "sync"]),
    ("steer", &["wire"]),
    ("plan", &["steer", "time", "wire"]),
    ("pace", &["plan", "time"]),
    ("conn", &["http", "plan", "prefetch", "steer", "time", "wire"]),
    // A segment in, what to do out: it never sees a frame, a port or a template.
    ("tcp", &["conn", "http", "plan", "stats", "time", "wire"]),
    // The same for datagrams.
    ("udp", &["conn", "plan", "stats", "time"]),
    ("parse", &["conn", "frame", "http", "plan", "stats", "tcp", "wire"]),
    // Frames as they are on the wire in, plain ones out, and back.
    ("encap", &["frame", "parse", "plan", "stats", "wire"]),
    ("template", &["conn", "frame", "plan", "port", "tcp", "wire"]),
    ("host", &["frame", "parse", "plan", "stats", "sync", "time", "wire"]),
    (
        "engine",
        &[
            "conn", "frame", "host", "http", "parse", "plan", "port", "stats", "steer", "sync",
            "tcp", "template", "time", "udp", "wire",
        ],
    ),
    (
        "worker",
        &[
            "conn",
            "encap",
            "engine",
            "exception",
            "frame",
            "host",
            "pace",
            "parse",
            "plan",
            "port",
            "prefetch",
            "stats",
            "sync",
            "tcp",
            "time",
        ],
    ),
];

/// What each room of the shell may know of the others.
const SHELL: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("daemon", &[]),
    ("signals", &[]),
    ("memory", &[]),
    ("config", &[]),
    ("port", &[]),
    ("crew", &["clock", "memory", "port"]),
    ("exception", &["config", "port"]),
    ("plan", &["config", "port"]),
    ("learn", &["clock", "config", "crew", "memory", "plan", "port"]),
    ("ports", &["config", "exception", "port"]),
    ("demo", &["config", "crew"]),
    ("role", &["config", "crew"]),
    ("verdict", &["config", "role"]),
    ("report", &["clock", "config", "plan", "role", "verdict"]),
    (
        "run",
        &[
            "clock",
            "config",
            "crew",
            "exception",
            "learn",
            "memory",
            "plan",
            "port",
            "ports",
            "report",
            "role",
            "signals",
            "verdict",
        ],
    ),
    ("cli", &["config", "daemon", "demo", "plan", "report", "run", "verdict"]),
    ("main", &[]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the house")
}

/// Every file under version control whose name ends with `ending` and that is there.
fn files(ending: &str) -> Vec<String> {
    let output = Command::new("git").arg("ls-files").current_dir(root()).output();
    let output = output.expect("git lists the files");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("names are UTF-8");
    let wanted = |name: &&str| name.ends_with(ending) && root().join(name).is_file();
    names.lines().filter(wanted).map(str::to_owned).collect()
}

fn text(name: &str) -> String {
    String::from_utf8_lossy(&fs::read(root().join(name)).expect("a listed file")).into_owned()
}

/// The file holds tests, or tools for them, and nothing else.
fn is_test(name: &str) -> bool {
    let parts = ["tests/", "fuzz/", "benches/", "testing.rs"];
    parts.iter().any(|part| name.contains(part)) || name.ends_with("tests.rs")
}

/// Code lines with their numbers: no comments, no blanks, nothing behind `mod tests`.
fn code(text: &str) -> Vec<(usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with("//")).collect()
}

/// Ends the test with everything that was found.
fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Lines of code of the files that are wanted, where `is_wrong`.
fn lines_where(wanted: impl Fn(&str) -> bool, is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for name in files(".rs").iter().filter(|name| wanted(name)) {
        let text = text(name);
        let wrong = code(&text).into_iter().filter(|(_, line)| is_wrong(line));
        found.extend(wrong.map(|(number, line)| format!("{name}:{number}: {line}")));
    }
    found
}

#[test]
fn every_file_says_what_it_is_and_fits_the_page() {
    let mut found = Vec::new();
    for name in files(".rs") {
        let text = text(&name);
        if !text.starts_with("//!") && !text.starts_with("#!/") {
            found.push(format!("{name}: does not open with what it promises (//!)"));
        }
        for (index, line) in text.lines().enumerate() {
            if line.chars().count() > COLUMNS && !line.contains("://") {
                found.push(format!("{name}:{}: longer than {COLUMNS} columns", index + 1));
            }
        }
        let lines = code(&text).len();
        let may = is_test(&name) || LONG.iter().any(|(long, _)| *long == name);
        if lines > LINES && !may {
            found.push(format!("{name}: {lines} lines of code, more than {LINES}"));
        }
    }
    none(&found);
}

#[test]
fn nothing_gives_up_outside_tests() {
    let sure = |name: &str| SURE.iter().any(|(file, _)| *file == name);
    none(&lines_where(
        |name| !is_test(name) && !sure(name),
        |line| line.contains(".unwrap()") || line.contains(".expect(\""),
    ));
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["todo!", "unimplemented!", "dbg!", "FIXME", "XXX"];
    let mut found = Vec::new();
    for name in files(".rs").iter().filter(|name| !name.ends_with("tidy.rs")) {
        for (index, line) in text(name).lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                found.push(format!("{name}:{}: {word}", index + 1));
            }
        }
    }
    none(&found);
}

#[test]
fn unsafe_code_stays_where_it_may() {
    let forms = ["{", "fn ", "impl", "trait ", "extern "].map(|form| format!("unsafe {form}"));
    none(&lines_where(
        |name| !UNSAFE.iter().any(|file| name.starts_with(file)) && !name.ends_with("tidy.rs"),
        |line| forms.iter().any(|form| line.contains(form)),
    ));
}

#[test]
fn foreign_functions_stay_with_dpdk() {
    none(&lines_where(
        |name| name.starts_with("shell/src/") && !name.starts_with("shell/src/port/dpdk/"),
        |line| line.contains("dpdk_sys") || line.contains("extern \"C\""),
    ));
}

/// The rooms that `line` names by `crate::`.
fn rooms(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        &rest[..end]
    })
}

/// Every arrow between rooms under `source` is in `table`.
fn arrows(source: &str, table: &[(&str, &[&str])]) {
    for (index, (room, known)) in table.iter().enumerate() {
        for other in *known {
            let above = table[..index].iter().any(|(name, _)| name == other);
            assert!(above, "{room} may know {other}, which is not above it");
        }
    }
    let mut found = Vec::new();
    for name in files(".rs").iter().filter(|name| name.starts_with(source) && !is_test(name)) {
        let room = name[source.len()..].split('/').next().unwrap_or_default();
        let room = room.trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let Some((_, known)) = table.iter().find(|(name, _)| *name == room) else {
            found.push(format!("{name}: a room without arrows in tidy.rs"));
            continue;
        };
        let text = text(name);
        for (number, line) in code(&text) {
            for other in rooms(line).filter(|other| other != &room && !known.contains(other)) {
                found.push(format!("{name}:{number}: {room} may not know {other:?}"));
            }
        }
    }
    none(&found);
}

#[test]
fn the_rooms_of_the_core_know_only_whom_they_may() {
    arrows("core/src/", CORE);
}

#[test]
fn the_rooms_of_the_shell_know_only_whom_they_may() {
    arrows("shell/src/", SHELL);
}

/// What `text` puts between back-quotes or into the brackets of a link.
fn quoted(text: &str) -> Vec<&str> {
    let mut quoted: Vec<_> = text.split('`').skip(1).step_by(2).collect();
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    quoted.extend(links.map(|link| link.split('#').next().unwrap_or_default()));
    quoted
}

#[test]
fn every_file_that_the_manual_names_exists() {
    let folders = ["core/", "shell/", "tests/", "fuzz/", "configs/", "docs/", "scripts/", ".ci/"];
    let mut found = Vec::new();
    for name in files(".md") {
        let beside = root().join(&name).parent().map(PathBuf::from).unwrap_or_default();
        let text = text(&name);
        for path in quoted(&text) {
            let is_path = folders.iter().any(|folder| path.starts_with(folder))
                || path.ends_with(".md") && !path.contains("://");
            let is_plain = path.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c));
            if is_path && is_plain && !root().join(path).exists() && !beside.join(path).exists() {
                found.push(format!("{name}: {path} does not exist"));
            }
        }
    }
    none(&found);
}

#[test]
fn no_file_is_huge_or_tells_of_somebodys_machine() {
    let places = ["/home/", "/root/", "/work/", "/Users/", "/tmp/bash"];
    let mut found = Vec::new();
    for name in files("").iter().filter(|name| !name.ends_with("tidy.rs")) {
        let bytes = fs::metadata(root().join(name)).map_or(0, |file| file.len());
        if bytes > BYTES {
            found.push(format!("{name}: {bytes} bytes"));
        }
        for (index, line) in text(name).lines().enumerate() {
            if let Some(place) = places.iter().find(|place| line.contains(**place)) {
                found.push(format!("{name}:{}: {place}", index + 1));
            }
        }
    }
    none(&found);
}

#[test]
fn the_changelog_is_open() {
    assert!(text("CHANGELOG.md").contains("\n## [Unreleased]\n"));
}
