//! docs/CONFIG.md is what the table says.

use std::{env, fs};

use crate::config::{manual, markdown};

#[test]
fn the_reference_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIG.md");
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, markdown()).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    let stale = "docs/CONFIG.md is stale: UPDATE_GOLDEN=1 cargo test -p dperf-shell writes it anew";
    assert!(committed == markdown(), "{stale}");
}

#[test]
fn the_manual_fits_a_terminal() {
    for line in manual().lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
    assert!(manual().contains("\n  cps RATE                        connections opened a second\n"));
}
