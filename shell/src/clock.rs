//! The only place that reads time: raw ticks of the processor's counter, and how fast they go.

use dperf_core::time::{Instant, TickRate};

/// A clock of raw ticks, cheap enough to be read once per turn.
#[derive(Clone, Debug)]
pub struct Clock {
    source: quanta::Clock,
    rate: TickRate,
}

impl Clock {
    /// Starts the clock; measures its rate once (some 10 ms at the first call of a process).
    pub fn start() -> Clock {
        let source = quanta::Clock::new();
        let span = 1u64 << 32;
        let nanos = source.delta_as_nanos(0, span).max(1);
        let hz = (u128::from(span) * 1_000_000_000 / u128::from(nanos)) as u64;
        Clock { source, rate: TickRate::new(hz) }
    }

    /// Ticks a second.
    pub fn rate(&self) -> TickRate {
        self.rate
    }

    /// Now.
    #[inline]
    pub fn now(&self) -> Instant {
        Instant(self.source.raw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ticks_agree_with_the_system_clock() {
        let clock = Clock::start();
        let (wall, ticks) = (std::time::Instant::now(), clock.now());
        std::thread::sleep(Duration::from_millis(200));
        let nanos = clock.rate().ns_from_ticks(clock.now() - ticks);
        let truth = wall.elapsed().as_nanos() as u64;
        assert!(nanos.abs_diff(truth) < truth / 1000 + 1_000_000, "{nanos} against {truth}");
    }
}
