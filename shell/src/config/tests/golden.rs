//! docs/CONFIG.md is what the table says.

use std::collections::HashSet;
use std::{env, fs};

use crate::config::keyword;
use crate::config::{Source, manual, markdown, read, schema};

fn is_fresh(name: &str, text: &str) {
    let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    let again = "UPDATE_GOLDEN=1 cargo test -p dperf-shell writes it anew";
    assert!(committed == text, "docs/{name} is stale: {again}");
}

#[test]
fn the_reference_is_fresh() {
    is_fresh("CONFIG.md", &markdown());
}

/// Whoever copies the example of a TOML file has a configuration.
#[test]
fn the_example_in_toml_is_a_configuration() {
    let markdown = markdown();
    let example = markdown.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let source = Source { name: "t.toml".to_owned(), bytes: example.as_bytes().to_vec() };
    let config = read(&[source]).unwrap().config;
    assert_eq!((config.clients[0].list.len(), config.servers[0].list.len()), (126, 2));
}

#[test]
fn the_schema_is_fresh() {
    is_fresh("config.schema.json", &schema());
}

#[test]
fn the_manual_fits_a_terminal() {
    for line in manual().lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
    assert!(manual().contains("\n  cps RATE                        connections opened a second\n"));
}

/// Whoever looks for an example of a keyword finds one.
#[test]
fn every_keyword_has_an_example() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs");
    let mut used = HashSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "conf" || extension == "toml") {
            let text = fs::read_to_string(path).unwrap();
            let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
            used.extend(text.lines().filter_map(first));
        }
    }
    let missing: Vec<&str> = keyword::all()
        .filter(|keyword| !used.contains(keyword.name))
        .map(|keyword| keyword.name)
        .collect();
    assert_eq!(missing, [""; 0], "no file in configs/ uses them");
}
