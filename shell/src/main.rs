//! `dperf-shell`: the command line.
fn main() {}
