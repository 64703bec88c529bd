//! How many connections to open now: exactly the asked rate over time, evenly spread.
//!
//! The pace is a row of due times, one per launch, kept in 1/65536 of a tick so that nothing is
//! lost by rounding; a late turn opens what it missed. Rates rise once a second during the ramp.

use crate::plan::PacePlan;
use crate::time::{Instant, TickRate, Ticks};

/// Fractions of a tick, as a binary logarithm.
const FRACTION: u32 = 16;

/// The clockwork that opens connections.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    plan: PacePlan,
    hz: u64,
    /// When the next launch is due, in fractions of a tick.
    due: u128,
    /// From one launch to the next, in fractions of a tick.
    interval: u128,
    /// When the rate changes.
    stage_ends: Instant,
    /// Seconds of the ramp that are over.
    stage: u32,
    /// Not the pace holds back, but the limit on open connections.
    held: bool,
}

impl Pace {
    /// A pace that begins its ramp at `start`.
    pub fn new(plan: PacePlan, rate: TickRate, start: Instant) -> Pace {
        let mut pace = Pace {
            plan,
            hz: rate.hz(),
            due: u128::MAX >> 1,
            interval: 0,
            stage_ends: start,
            stage: 0,
            held: false,
        };
        pace.enter(start, 0);
        pace
    }

    /// How many connections are due now, at most `most` (those beyond stay due).
    #[inline]
    pub fn due(&mut self, now: Instant, most: u32) -> u32 {
        while now >= self.stage_ends && self.stage < self.plan.slow_start_s {
            self.enter(self.stage_ends, self.stage + 1);
        }
        let now = u128::from(now.0) << FRACTION;
        if core::mem::take(&mut self.held) {
            self.due = self.due.max(now);
        }
        let mut count = 0;
        while self.due <= now && count < most {
            self.due += self.interval;
            count += self.plan.launch.max(1);
        }
        count
    }

    /// The limit on open connections holds back: nothing is due before [`Pace::due`] is asked
    /// again, and what is missed until then is forgotten.
    #[inline]
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// When the next connection is due; `None` while the limit holds back.
    pub fn next(&self) -> Option<Instant> {
        let due = (self.due >> FRACTION).min(u128::from(u64::MAX)) as u64;
        (!self.held).then_some(Instant(due))
    }

    /// Begins second `stage` of the ramp at `start`; the last stage has no end.
    fn enter(&mut self, start: Instant, stage: u32) {
        self.stage = stage;
        self.stage_ends = start + Ticks(self.hz);
        let rate = self.rate_at(stage);
        let start = u128::from(start.0) << FRACTION;
        if rate == 0 {
            self.interval = u128::MAX >> 1;
            self.due = u128::MAX >> 1;
            return;
        }
        let launch = u128::from(self.plan.launch.max(1));
        let interval = ((u128::from(self.hz) << FRACTION) * launch) / u128::from(rate);
        // A launch that was due stays due; one that was far away comes nearer.
        self.due = self.due.min(start + interval);
        self.interval = interval.max(1);
    }

    /// Connections a second in second `stage`: nothing while waiting, then a straight line.
    fn rate_at(&self, stage: u32) -> u64 {
        let (cps, ramp) = (self.plan.cps, self.plan.slow_start_s);
        if stage >= ramp {
            cps
        } else if stage < self.plan.wait_s {
            0
        } else {
            (u64::from(stage) * (cps / u64::from(ramp)).max(1)).min(cps)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: TickRate = TickRate::NANOSECONDS;

    fn plan(cps: u64) -> PacePlan {
        PacePlan { cps, cc: 0, launch: 1, slow_start_s: 0, wait_s: 0 }
    }

    #[test]
    fn the_asked_rate_is_met_to_the_connection() {
        for cps in [1, 3, 7, 11, 13, 23, 46, 999, 123_457, 3_000_000] {
            let mut pace = Pace::new(plan(cps), RATE, Instant(5));
            let mut opened = 0;
            let seconds = 10;
            for now in (0..seconds * 1_000_000_000u64).step_by(7_919) {
                opened += u64::from(pace.due(Instant(now + 5), 1000));
            }
            let asked = cps * seconds;
            assert!(opened.abs_diff(asked) <= 1 + cps / 100_000, "{cps}: {opened} of {asked}");
        }
    }

    #[test]
    fn it_is_even_and_a_late_turn_catches_up() {
        let mut pace = Pace::new(plan(1000), RATE, Instant(0));
        for milli in 1..=500u64 {
            assert_eq!(pace.due(Instant(milli * 1_000_000), 10), 1, "{milli}");
        }
        assert_eq!(pace.due(Instant(520_000_000), 5), 5);
        assert_eq!(pace.due(Instant(520_000_000), 100), 15);
    }

    #[test]
    fn the_ramp_is_a_line_and_starts_with_silence() {
        let ramp = PacePlan { slow_start_s: 10, wait_s: 3, ..plan(1000) };
        let mut pace = Pace::new(ramp, RATE, Instant(0));
        for second in 0..15u64 {
            let mut opened = 0;
            for milli in 0..1000 {
                opened += pace.due(Instant(second * 1_000_000_000 + milli * 1_000_000), 100);
            }
            let want = if second < 3 { 0 } else { (second * 100).min(1000) };
            assert!(u64::from(opened).abs_diff(want) <= 1, "second {second}: {opened}");
        }
    }

    #[test]
    fn launches_come_together_and_nothing_is_opened_without_a_rate() {
        let batched = PacePlan { launch: 4, ..plan(100) };
        let mut pace = Pace::new(batched, RATE, Instant(0));
        let mut opened = 0;
        for milli in 0..=10_000u64 {
            let due = pace.due(Instant(milli * 1_000_000), 100);
            assert!(due == 0 || due == 4);
            opened += due;
        }
        assert!(opened.abs_diff(1000) <= 4);
        let mut still = Pace::new(plan(0), RATE, Instant(0));
        assert_eq!(still.due(Instant(u64::MAX / 2), 100), 0);
    }

    #[test]
    fn launches_that_the_limit_held_back_are_not_made_up() {
        let mut pace = Pace::new(plan(1000), RATE, Instant(0));
        assert_eq!(pace.next(), Some(Instant(1_000_000)));
        pace.hold();
        assert_eq!(pace.next(), None, "a connection must end first");
        assert_eq!(pace.due(Instant(900_000_000), 100), 1);
        assert_eq!(pace.due(Instant(901_500_000), 100), 1);
        assert_eq!(pace.next(), Some(Instant(902_000_000)));
    }
}
