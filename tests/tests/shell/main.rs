//! The program as people and scripts meet it: its command line, its words, its records and its exit
//! status, without root and without a device.

mod block;
mod daemon;
mod demo;
mod dperf_flags;
mod examples;
mod frames;
mod memif;
mod run;
mod signals;
mod status;
mod streams;
mod toml;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Runs with load take turns: they would count each other's load as their own delay.
fn in_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
