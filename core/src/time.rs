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
/// to one microsecond a unit, so that a span of up to 17 minutes compares without doubt. Longer
/// spans take longer units ([`TickRate::reaching`]).
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

    /// Units from `self` to `due`; 0 if that is past, for moments less than 2^31 units apart.
    #[inline]
    pub fn until(self, due: Stamp) -> u32 {
        (due.0.wrapping_sub(self.0) as i32).max(0) as u32
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
    /// Binary logarithm of the ticks in one [`Stamp`] unit.
    shift: u32,
}

/// The longest span that is measured in [`Stamp`]s, in units: what is up to twice as long still
/// compares without doubt.
const LONGEST_SPAN: u64 = 1 << 30;

impl TickRate {
    /// One tick a nanosecond: the simulator's rate.
    pub const NANOSECONDS: TickRate = TickRate::new(1_000_000_000);

    /// A clock of `hz` ticks a second; below 1 MHz it is taken as 1 MHz. A [`Stamp`] unit is the
    /// largest power of two of ticks that is not more than a microsecond.
    pub const fn new(hz: u64) -> TickRate {
        let hz = if hz < 1_000_000 { 1_000_000 } else { hz };
        TickRate { hz, shift: finest(hz) }
    }

    /// The same clock with [`Stamp`] units long enough that `micros` microseconds can be measured.
    #[must_use]
    pub const fn reaching(mut self, micros: u64) -> TickRate {
        while self.ticks_from_us(micros).0 >> self.shift > LONGEST_SPAN {
            self.shift += 1;
        }
        self
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

    /// Binary logarithm of the ticks in one [`Stamp`] unit.
    pub const fn shift(self) -> u32 {
        self.shift
    }

    /// Binary logarithm of how much longer a unit is than without [`TickRate::reaching`].
    pub const fn coarseness(self) -> u32 {
        self.shift - finest(self.hz)
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

/// Binary logarithm of the ticks in the shortest unit.
const fn finest(hz: u64) -> u32 {
    (hz / 1_000_000).ilog2()
}

/// A span that is waited again and again: each time whole [`Stamp`] units, in the sum exact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    units: u32,
    /// Beyond whole units, in 1/256.
    fraction: u8,
    /// Beyond that, in 1/2^32 of 1/256.
    rest: u32,
}

impl Interval {
    /// A span of `micros` microseconds.
    pub const fn from_us(rate: TickRate, micros: u64) -> Interval {
        // A year at 5 GHz is below 2^78 here: the shift loses nothing.
        let exact = (((micros as u128 * rate.hz as u128) << 40) / 1_000_000) >> rate.shift;
        let units = exact >> 40;
        Interval {
            units: if units > u32::MAX as u128 { u32::MAX } else { units as u32 },
            fraction: (exact >> 32) as u8,
            rest: exact as u32,
        }
    }

    /// Whole units of the span, rounded down.
    pub const fn units(self) -> u32 {
        self.units
    }

    /// Units to wait this time. What is cut off is kept: of each waiter in `fraction`, and what is
    /// below 1/256 unit for all of them together in `rest`.
    #[inline]
    pub fn next(self, fraction: &mut u8, rest: &mut u32) -> u32 {
        let (sum, fine) = rest.overflowing_add(self.rest);
        *rest = sum;
        let sum = u16::from(*fraction) + u16::from(self.fraction) + u16::from(fine);
        *fraction = sum as u8;
        self.units + u32::from(sum >> 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_grow_with_what_is_to_be_measured() {
        for hz in [1_000_000, 1_000_000_000, 2_445_400_000, 5_000_000_000] {
            let rate = TickRate::new(hz);
            assert_eq!(rate.reaching(68_000_000), rate, "a minute needs nothing");
            for micros in [900_000_000, 2_400_000_000, 86_400_000_000] {
                let long = rate.reaching(micros);
                let units = long.units_from_us(micros);
                assert!(u64::from(units) <= LONGEST_SPAN && units > 1 << 28, "{hz} {micros}");
                let back = long.us_from_units(u64::from(units));
                assert!((back / micros as f64 - 1.0).abs() < 1e-6, "{hz}: {back}");
            }
        }
    }

    #[test]
    fn intervals_are_exact_in_the_sum() {
        for hz in [1_000_000, 1_000_000_000, 2_445_400_001, 4_999_999_999] {
            let rate = TickRate::new(hz);
            for micros in [1, 2, 3, 10, 333, 1000, 6250] {
                let interval = Interval::from_us(rate, micros);
                let count = 1_000_000 / micros;
                // Several waiters share what is below 1/256 unit.
                let (mut fractions, mut rest, mut units) = ([0u8; 3], 0, [0u64; 3]);
                for _ in 0..count {
                    for (fraction, units) in fractions.iter_mut().zip(&mut units) {
                        *units += u64::from(interval.next(fraction, &mut rest));
                    }
                }
                let exact =
                    rate.ticks_from_us(micros * count).0 as f64 / f64::from(1 << rate.shift);
                for units in units {
                    let off = units as f64 - exact;
                    // One waiter alone would be off by less than two units.
                    assert!(off.abs() < 2.0 + count as f64 / 256.0, "{hz} {micros}: {off}");
                }
                let mean = units.iter().sum::<u64>() as f64 / 3.0;
                assert!((mean - exact).abs() < 2.0, "{hz} {micros}: {mean} of {exact}");
            }
        }
    }

    #[test]
    fn what_is_past_is_not_waited_for() {
        assert_eq!(Stamp(5).until(Stamp(9)), 4);
        assert_eq!(Stamp(9).until(Stamp(5)), 0);
        assert_eq!(Stamp(u32::MAX).until(Stamp(1)), 2);
    }

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
