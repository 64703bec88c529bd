//! What the documents name exists, besides files: counters, fields of records, targets of make.

use std::path::{Path, PathBuf};

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
