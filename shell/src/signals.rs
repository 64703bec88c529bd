//! Ctrl-C and SIGTERM: the first asks for an orderly end, a second of the same ends at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether somebody asked us to stop.
#[derive(Clone, Debug)]
pub struct Signals(Arc<AtomicBool>);

impl Signals {
    /// Catches both signals from here on.
    ///
    /// # Errors
    /// The system refuses to hand them over.
    pub fn catch() -> Result<Signals> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the second signal finds the flag set by the first.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))
                .and_then(|_| flag::register(signal, Arc::clone(&asked)))
                .context("the system refuses to hand over Ctrl-C")?;
        }
        Ok(Signals(asked))
    }

    /// An end was asked for.
    pub fn stop_asked(&self) -> bool {
        self.0.load(Relaxed)
    }
}
