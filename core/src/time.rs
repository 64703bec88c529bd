//! Time, passed in: the core never reads a clock.
//!
//! An [`Instant`] counts ticks of whatever clock the shell has (a processor's time-stamp counter on
//! metal, nanoseconds in the simulator). What lies in a connection slot is a [`Stamp`]: 32 bits of
//! the same time in coarser units, compared by wrapping subtraction, so a slot stays small.

use core::ops::{Add, Sub};

/// A moment, in ticks since an arbitrary start; never decreases.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Instant(pub u64);

/// A span, in ticks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Ticks(pub u64);

impl Add<Ticks> for Instant {
    type Output = Instant;
    #[inline]
    fn add(self, span: Ticks) -> Instant {
        Instant(self.0.saturating_add(span.0))
    }
}

impl Sub for Instant {
    type Output = Ticks;
    #[inline]
    fn sub(self, earlier: Instant) -> Ticks {
        Ticks(self.0.saturating_sub(earlier.0))
    }
}

/// A moment in 32 bits, in units of `2^shift` ticks ([`TickRate::shift`]): about half a microsecond
/// to one microsecond a unit, so that a span of up to 17 minutes compares without doubt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stamp(pub u32);

impl Stamp {
    /// The moment `units` later.
    #[inline]
    pub fn after(self, units: u32) -> Stamp {
        Stamp(self.0.wrapping_add(units))
    }

    /// Units from `earlier` to `self`; meaningful while the true span is below 2^32 units.
    #[inline]
    pub fn since(self, earlier: Stamp) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// `self` is at or after `other`, for moments less than 2^31 units apart.
    #[inline]
    pub fn reached(self, other: Stamp) -> bool {
        self.0.wrapping_sub(other.0) as i32 >= 0
    }
}

/// How fast ticks go; used only while planning and reporting, never per packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TickRate {
    hz: u64,
}

impl TickRate {
    /// One tick a nanosecond: the simulator's rate.
    pub const NANOSECONDS: TickRate = TickRate { hz: 1_000_000_000 };

    /// A clock of `hz` ticks a second; below 1 MHz it is taken as 1 MHz.
    pub const fn new(hz: u64) -> TickRate {
        TickRate { hz: if hz < 1_000_000 { 1_000_000 } else { hz } }
    }

    /// Ticks a second.
    pub const fn hz(self) -> u64 {
        self.hz
    }

    /// The number of ticks in `nanos` nanoseconds, rounded down.
    pub const fn ticks_from_ns(self, nanos: u64) -> Ticks {
        Ticks((nanos as u128 * self.hz as u128 / 1_000_000_000) as u64)
    }

    /// The number of ticks in `micros` microseconds, rounded down.
    pub const fn ticks_from_us(self, micros: u64) -> Ticks {
        Ticks((micros as u128 * self.hz as u128 / 1_000_000) as u64)
    }

    /// The number of nanoseconds in `ticks`, rounded down.
    pub const fn ns_from_ticks(self, ticks: Ticks) -> u64 {
        (ticks.0 as u128 * 1_000_000_000 / self.hz as u128) as u64
    }

    /// Binary logarithm of the ticks in one [`Stamp`] unit: the largest power of two that is not
    /// more than a microsecond.
    pub const fn shift(self) -> u32 {
        (self.hz / 1_000_000).ilog2()
    }

    /// The number of [`Stamp`] units in `micros` microseconds, at least one for a non-zero span.
    pub const fn units_from_us(self, micros: u64) -> u32 {
        let units = self.ticks_from_us(micros).0 >> self.shift();
        if units > u32::MAX as u64 {
            u32::MAX
        } else if units == 0 && micros > 0 {
            1
        } else {
            units as u32
        }
    }

    /// The number of microseconds in `units` [`Stamp`] units (a sum of many may be passed).
    pub fn us_from_units(self, units: u64) -> f64 {
        (units as f64) * ((1u64 << self.shift()) as f64) * 1e6 / self.hz as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_half_to_one_microsecond() {
        for hz in [1_000_000, 999_999_999, 1_000_000_000, 2_445_400_000, 5_000_000_000] {
            let rate = TickRate::new(hz);
            let unit_us = rate.us_from_units(1);
            assert!(unit_us > 0.49 && unit_us <= 1.0, "{hz}: {unit_us}");
            let back = rate.us_from_units(u64::from(rate.units_from_us(60_000_000)));
            assert!((back - 60_000_000.0).abs() < 2.0, "{hz}: {back}");
        }
    }

    #[test]
    fn stamps_compare_across_the_wrap() {
        let late = Stamp(5);
        let early = Stamp(u32::MAX - 5);
        assert!(late.reached(early) && !early.reached(late));
        assert_eq!(late.since(early), 11);
        assert_eq!(early.after(11), late);
    }
}
