//! Division by a number that stays the same, by one multiplication.

/// A number that others are divided by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Divisor {
    by: u32,
    /// 2^64 divided by it, or one less where that is whole: less than it by at most one.
    inverse: u64,
}

impl Divisor {
    /// Division by `by`, or by 1 if that is 0.
    pub(super) fn new(by: u32) -> Divisor {
        let by = by.max(1);
        Divisor { by, inverse: u64::MAX / u64::from(by) }
    }

    /// Quotient and rest of `number`.
    #[inline(always)]
    pub(super) fn split(self, number: u32) -> (u32, u32) {
        // Of the next number, since the inverse is too small: of a multiple of `by` the quotient is
        // one less then, of any other the same, for what is missing is at most 2^32, and from one
        // number to the next it is more (Robison, N-Bit Unsigned Division Via N-Bit Multiply-Add).
        let product = (u128::from(number) + 1) * u128::from(self.inverse);
        let quotient = (product >> 64) as u32;
        (quotient, number.wrapping_sub(quotient.wrapping_mul(self.by)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_divides_as_the_processor_does() {
        let some = [1, 2, 3, 5, 7, 10, 255, 256, 64_511, 65_535, 65_536, 1 << 31, u32::MAX];
        for by in some {
            let divisor = Divisor::new(by);
            let near = |of: u32| (0..5).map(move |more: u32| of.wrapping_sub(2).wrapping_add(more));
            for number in
                some.into_iter().flat_map(near).chain(near(0)).chain(near(by.wrapping_mul(3)))
            {
                assert_eq!(divisor.split(number), (number / by, number % by), "{number} by {by}");
            }
        }
        assert_eq!(Divisor::new(0).split(9), (9, 0));
    }
}
