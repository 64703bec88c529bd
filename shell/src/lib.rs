//! The thin std side of dperf-shell: it reads what is wanted, opens ports, gives each core its
//! queue, its memory and its plan, reads time, and reports.
//!
//! Data flows one way: [`config`] (text to meaning) → [`ports`] (devices to facts) → [`plan`]
//! (meaning and facts to one plan per core) → [`crew`] (plans to threads) → [`role`] (what was
//! measured) → [`verdict`] → [`report`] (counters to text). [`run`] leads all of it.

pub mod cli;
pub mod clock;
pub mod config;
pub mod crew;
pub mod daemon;
pub mod demo;
pub mod exception;
pub mod learn;
pub mod memory;
pub mod plan;
pub mod port;
pub mod ports;
pub mod report;
pub mod role;
pub mod run;
pub mod signals;
#[cfg(test)]
mod testing;
pub mod verdict;
