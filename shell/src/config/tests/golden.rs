//! docs/CONFIG.md is what the table says.

use std::{env, fs};

use crate::config::{manual, markdown, schema};

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
