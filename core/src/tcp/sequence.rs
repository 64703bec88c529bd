//! Sequence number arithmetic: comparisons modulo 2^32 (RFC 9293, 3.4).

/// `a` comes before `b`.
#[inline]
pub const fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// `a` comes after `b`.
#[inline]
pub const fn after(a: u32, b: u32) -> bool {
    before(b, a)
}

/// `at` lies in the window of `len` numbers that begins at `start`.
#[inline]
pub const fn within(at: u32, start: u32, len: u32) -> bool {
    at.wrapping_sub(start) < len
}

/// The later of two numbers.
#[inline]
pub const fn latest(a: u32, b: u32) -> u32 {
    if before(a, b) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_across_the_wrap() {
        assert!(before(u32::MAX, 0) && after(0, u32::MAX) && !before(5, 5) && !after(5, 5));
        assert!(within(2, u32::MAX, 4) && !within(3, u32::MAX, 4) && !within(7, 7, 0));
        assert_eq!(latest(u32::MAX, 1), 1);
    }
}
