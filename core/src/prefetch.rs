//! Safe functions around the processor's prefetch hint.
#![allow(unsafe_code)]

/// Asks the processor to bring the cache line of `value` near; never changes what a program means.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    prefetch_at(core::slice::from_ref(value), 0);
}

/// As [`prefetch`], for the value at `index`; without a look whether there is one.
#[inline(always)]
pub fn prefetch_at<T>(values: &[T], index: usize) {
    let value = values.as_ptr().wrapping_add(index);
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch reads nothing architecturally and faults on no address; SSE is part of
    // every x86-64 processor.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(value.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = value;
}
