//! `dperf-shell`: the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    dperf_shell::cli::main()
}
