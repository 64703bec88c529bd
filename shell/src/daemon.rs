//! The background: the program starts itself once more, detached from whoever started it.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// What the second process finds in its environment.
const VARIABLE: &str = "DPERF_SHELL_IN_BACKGROUND";

/// This is the second process.
pub fn is_background() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Starts the second process: the same program with the same arguments, in the same folder. Returns
/// its number. As in dperf it keeps stdout and stderr, where it complains if its log cannot be
/// written.
///
/// # Errors
/// The system refuses.
pub fn start() -> Result<u32> {
    let program = std::env::current_exe().context("the program does not find itself")?;
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).env(VARIABLE, "1").stdin(Stdio::null());
    let child = command.spawn().context("the system refuses another process")?;
    Ok(child.id())
}

/// Leaves the session, and with it the terminal, of whoever started this process.
pub fn detach() {
    // Who leads a session already needs none.
    let _ = rustix::process::setsid();
}
