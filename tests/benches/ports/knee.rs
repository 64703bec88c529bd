//! The highest rate that is reached without a loss, to about a twentieth.

use crate::load::{Ask, Load};
use crate::run::{Bench, Tester};

/// So many seconds of a run tell whether a rate is clean.
const SECONDS: u64 = 2;
/// The part of the asked rate that counts as having been reached.
const REACHED: f64 = 0.98;

/// Up or down in big steps, then halving twice. A rate gets a second chance, since the machine may
/// be busy elsewhere. Loads that name their rate have no knee.
pub(crate) fn rate(bench: &Bench, load: &Load, tester: &Tester) -> u64 {
    const STEP: f64 = 1.4;
    let Ask::Knee(from) = load.ask else { return 0 };
    let least = from as f64 / 8.0;
    let clean = |rate: f64| {
        (0..2).any(|_| {
            let from = load.first_second(rate as u64);
            let run = bench.run(load, tester, rate as u64, from..from + SECONDS);
            run.clean && run.client.per_second(load.counter) > REACHED * rate
        })
    };
    let mut good = from as f64;
    if clean(good) {
        while good * STEP < 16.0 * from as f64 && clean(good * STEP) {
            good *= STEP;
        }
    } else {
        while good > least && !clean(good / STEP) {
            good /= STEP;
        }
        good /= STEP;
    }
    for step in [STEP.sqrt(), STEP.sqrt().sqrt()] {
        if clean(good * step) {
            good *= step;
        }
    }
    good as u64 / 1000 * 1000
}
