//! The highest rate that is reached without a loss, to about a twentieth.

use crate::load::{Ask, Load};
use crate::run::{Bench, Tester};

/// The seconds of a run that tell whether a rate is clean: a tester may take two to begin, and
/// another three until every tuple was used.
const SECONDS: std::ops::Range<u64> = 6..8;
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
            let run = bench.run(load, tester, rate as u64, SECONDS);
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
