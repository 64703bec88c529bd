//! What the documents name exists, besides files: counters, fields of records, targets of make.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use dperf_core::stats::Count;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// Every document for people: the ones at the root and those in `docs`.
fn documents() -> Vec<String> {
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(root().join(folder)).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.retain(|name| name.ends_with(".md"));
        names.into_iter().map(|name| format!("{folder}{name}")).collect()
    };
    [names(""), names("docs/"), names("docs/decisions/")].concat()
}

/// What stands between two of `mark`, within lines.
fn between(text: &str, mark: char) -> impl Iterator<Item = &str> {
    text.lines().flat_map(move |line| line.split(mark).skip(1).step_by(2))
}

/// What `make` is told to make in a document, it can make.
#[test]
fn every_target_of_make_exists() {
    let makefile = read("Makefile");
    for document in documents() {
        for command in between(&read(&document), '`') {
            let Some(target) = command.strip_prefix("make ") else { continue };
            let target = target.split(' ').next().unwrap_or_default();
            let rule = format!("{target}:");
            let known = makefile.lines().any(|line| line.starts_with(&rule));
            assert!(known, "{document}: make {target}");
        }
    }
}

/// The first cells of all table rows that are one word in back quotes.
fn named_rows(text: &str) -> Vec<&str> {
    let first = |line: &'_ str| -> Option<(usize, usize)> {
        let rest = line.strip_prefix("| `")?;
        let len = rest.find("` |")?;
        Some((3, 3 + len))
    };
    text.lines().filter_map(|line| first(line).map(|(from, to)| &line[from..to])).collect()
}

#[test]
fn every_counter_is_explained_once_and_no_other() {
    let text = read("docs/COUNTERS.md");
    let mut explained = named_rows(&text);
    let mut counters: Vec<&str> = Count::ALL.iter().map(|count| count.name()).collect();
    explained.sort_unstable();
    counters.sort_unstable();
    assert_eq!(explained, counters);
}

/// The decisions are numbered from 1 without a gap.
#[test]
fn decisions_are_numbered() {
    let mut names: Vec<String> =
        documents().into_iter().filter(|name| name.starts_with("docs/decisions/")).collect();
    names.sort();
    for (index, name) in names.iter().enumerate() {
        assert!(name.starts_with(&format!("docs/decisions/{:04}-", index + 1)), "{name}");
    }
}

/// The cells of the rows of every table whose first cell is `wanted`.
fn rows<'t>(text: &'t str, wanted: impl Fn(&str) -> bool) -> Vec<Vec<&'t str>> {
    let cells = |line: &'t str| -> Vec<&'t str> {
        line.trim_matches('|').split('|').map(str::trim).collect()
    };
    let rows = text.lines().filter(|line| line.starts_with("| ")).map(cells);
    rows.filter(|cells| wanted(cells[0])).collect()
}

/// Names of all tests, and of all else that is a function.
fn functions() -> HashSet<String> {
    let files = Command::new("git").args(["ls-files", "*.rs"]).current_dir(root()).output();
    let files = String::from_utf8(files.expect("git lists the files").stdout).expect("UTF-8");
    let mut names = HashSet::new();
    for file in files.lines().filter(|file| root().join(file).is_file()) {
        for line in read(file).lines() {
            let Some((_, rest)) = line.split_once("fn ") else { continue };
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            names.insert(rest[..end].to_owned());
        }
    }
    names
}

/// Every keyword and every defect has a row, and each names a test that exists.
#[test]
fn the_comparison_with_dperf_is_complete() {
    let text = read("docs/COMPATIBILITY.md");
    let manual = read("docs/CONFIG.md");
    let functions = functions();
    let mut wrong = Vec::new();
    let mut check = |row: &[&str], state: usize| {
        let tests: Vec<&str> = between(row.last().unwrap_or(&""), '`').collect();
        let state = row[state];
        if !["same", "better", "refused"].contains(&state) {
            wrong.push(format!("{}: '{state}' is no state", row[0]));
        }
        if tests.is_empty() {
            wrong.push(format!("{}: {state}, without a test", row[0]));
        }
        let missing = tests.iter().filter(|name| !functions.contains(**name));
        wrong.extend(missing.map(|name| format!("{}: there is no test {name}", row[0])));
    };
    let is_keyword = |cell: &str| cell.starts_with('`') && !cell.contains(' ');
    let is_defect = |cell: &str| {
        let (letter, number) = cell.split_at(cell.len().min(1));
        "CRPN".contains(letter) && !number.is_empty() && number.parse::<u32>().is_ok()
    };
    let (_, file) = text.split_once("## The file\n").expect("a section");
    let (file, rest) = file.split_once("## Keywords\n").expect("a section");
    for row in rows(file, |cell| cell != "what dperf does") {
        check(&row, 1);
    }
    let (keywords, defects) = rest.split_once("## Defects of dperf\n").expect("a section");
    let keywords = rows(keywords, is_keyword);
    let defects = rows(defects, is_defect);
    keywords.iter().for_each(|row| check(row, 1));
    defects.iter().for_each(|row| check(row, 2));
    let mut expected: Vec<String> = Vec::new();
    for (letter, count) in [("C", 13), ("R", 14), ("P", 21), ("N", 26)] {
        expected.extend((1..=count).map(|number| format!("{letter}{number}")));
    }
    let listed: Vec<&str> = defects.iter().map(|row| row[0]).collect();
    assert_eq!(listed, expected);
    let entries = manual.split("\n### ").skip(1);
    let mut known: Vec<&str> = entries.filter_map(|entry| entry.lines().next()).collect();
    known.sort_unstable();
    let mut listed: Vec<&str> = keywords.iter().map(|row| row[0].trim_matches('`')).collect();
    listed.sort_unstable();
    assert_eq!(listed, known, "each keyword once");
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Every requirement of RFC 9293's appendix B has one row; what is kept has tests that exist, and
/// what is not has a reason.
#[test]
fn every_requirement_of_the_rfc_has_its_row() {
    let text = read("docs/RFC9293.md");
    let functions = functions();
    let mut expected: Vec<String> = Vec::new();
    for (kind, count) in [("MUST-", 69), ("SHLD-", 31), ("MAY-", 18), ("REC-", 1)] {
        expected.extend((1..=count).map(|number| format!("{kind}{number}")));
    }
    let rows = rows(&text, |cell| cell != "number");
    let mut listed: Vec<String> = rows.iter().map(|row| row[0].to_owned()).collect();
    listed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    let mut wrong = Vec::new();
    for row in rows {
        let [number, _, state, why, tests] = row[..] else { panic!("{row:?}: five cells") };
        let tests: Vec<&str> = between(tests, '`').collect();
        let (is_shown, needs_reason) = match state {
            "kept" => (true, false),
            "partly" => (true, true),
            "not applicable" => (false, true),
            "not kept" => (false, !number.starts_with("MAY-")),
            other => {
                wrong.push(format!("{number}: '{other}' is no state"));
                continue;
            }
        };
        if tests.is_empty() == is_shown {
            wrong.push(format!("{number}: {state}, with {} tests", tests.len()));
        }
        if why.is_empty() && needs_reason {
            wrong.push(format!("{number}: {state}, and no word why"));
        }
        let missing = tests.iter().filter(|name| !functions.contains(**name));
        wrong.extend(missing.map(|name| format!("{number}: there is no test {name}")));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
