//! Ctrl-C, SIGTERM and a terminal that hangs up: the first asks for an orderly end, another one
//! ends at once. Those that come within half a second are one: `timeout` signals a process and then
//! its group.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Arriving;

/// What comes within this time of the first signal belongs to it.
const ONE_REQUEST: Duration = Duration::from_millis(500);

/// Whether somebody asked us to stop.
#[derive(Clone, Debug)]
pub struct Signals(Arc<AtomicBool>);

impl Signals {
    /// Catches them from here on.
    ///
    /// # Errors
    /// The system refuses to hand them over.
    pub fn catch() -> Result<Signals> {
        let mut caught = vec![SIGINT, SIGTERM];
        // Whoever ignores it, as under nohup, goes on without a terminal.
        caught.extend((!is_ignored(SIGHUP)).then_some(SIGHUP));
        let arriving = Arriving::new(caught).context("the system refuses to hand over Ctrl-C")?;
        let asked = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&asked);
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || listen(arriving, &told))
            .context("the system refuses a thread")?;
        Ok(Signals(asked))
    }

    /// An end was asked for.
    pub fn stop_asked(&self) -> bool {
        self.0.load(Relaxed)
    }
}

fn listen(mut arriving: Arriving, asked: &AtomicBool) {
    let mut first: Option<Instant> = None;
    for signal in arriving.forever() {
        asked.store(true, Relaxed);
        if first.get_or_insert_with(Instant::now).elapsed() > ONE_REQUEST {
            signal_hook::low_level::exit(128 + signal);
        }
    }
}

/// This process was started to ignore `signal`.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
