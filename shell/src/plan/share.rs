//! The load is divided over the workers without a remainder.

use dperf_core::plan::{PacePlan, Role};

use crate::config::{Config, Note};

/// What the first `index` of `parts` equal parts of `total` come to, rounded down.
pub(super) fn before(index: u64, total: u64, parts: u64) -> u64 {
    let sum = u128::from(index) * u128::from(total) / u128::from(parts.max(1));
    // Not more than `total` while `index` is not more than `parts`.
    sum as u64
}

/// The part of `total` that falls to `index` of `parts`; all parts together are exactly `total`.
fn part(index: u64, total: u64, parts: u64) -> u64 {
    before(index + 1, total, parts) - before(index, total, parts)
}

/// A number that looks like chance and depends on `seed` and `index` alone (SplitMix64).
pub(super) fn scramble(seed: u64, index: u64) -> u64 {
    let mut state = seed.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Who has how much of the load.
///
/// A worker either has a share of everything or of nothing: with fewer connections than workers,
/// some workers stay idle.
pub(super) struct Shares {
    workers: u64,
    busy: u64,
}

impl Shares {
    pub(super) fn new(config: &Config) -> Shares {
        let workers = config.cpus.len() as u64;
        let busy = match config.cc {
            0 => workers.min(config.cps),
            cc => workers.min(config.cps).min(cc),
        };
        Shares { workers, busy }
    }

    /// The pace of the worker of that index.
    pub(super) fn pace(&self, config: &Config, index: usize) -> PacePlan {
        let mut pace = PacePlan { cps: 0, cc: 0, launch: 1, slow_start_s: 0, wait_s: 0 };
        let index = index as u64;
        if config.role == Role::Server || part(index, self.busy, self.workers) == 0 {
            return pace;
        }
        let rank = before(index, self.busy, self.workers);
        pace.cps = part(rank, config.cps, self.busy);
        pace.cc = part(rank, config.cc, self.busy);
        let launch = match config.launch_num {
            0 => launch(pace.cps),
            given => given,
        };
        // Less than a launch a second is opened once a second.
        pace.launch = u64::from(launch).min(pace.cps) as u32;
        pace.slow_start_s = config.slow_start_s;
        pace.wait_s = config.wait_s;
        pace
    }

    /// What is worth saying about it.
    pub(super) fn notes(&self, config: &Config) -> Vec<Note> {
        let idle = self.workers - self.busy;
        if config.role == Role::Server || idle == 0 {
            return Vec::new();
        }
        let keyword = if config.cps < self.workers { "cps" } else { "cc" };
        let text = format!("{keyword} is less than the number of workers: {idle} stay idle");
        config.given(keyword).map(|place| Note { place: place.clone(), text }).into_iter().collect()
    }
}

/// Connections opened at one instant: as in dperf the smallest divisor of the rate from 4 to 10.
fn launch(cps: u64) -> u32 {
    const FEWEST: u32 = 4;
    (FEWEST..=10).find(|launch| cps.is_multiple_of(u64::from(*launch))).unwrap_or(FEWEST)
}
