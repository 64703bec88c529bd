//! Bytes that another processor wrote or will read: asked for early, and copied by cache lines.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use core::sync::atomic::AtomicU8;

use dperf_core::prefetch::prefetch;

const CACHE_LINE: usize = 64;

/// Lines that are asked for early: of a longer packet the processor guesses the rest itself.
const LINES: usize = 2;

/// The lines of `bytes` bytes that are asked for early.
#[inline(always)]
fn lines(data: NonNull<u8>, bytes: usize) -> impl Iterator<Item = *mut u8> {
    let lines = bytes.div_ceil(CACHE_LINE).min(LINES);
    (0..lines).map(move |line| data.as_ptr().wrapping_add(line * CACHE_LINE))
}

/// Brings the first lines of `bytes` bytes near, to be read; they are within a mapping.
#[inline(always)]
pub(super) fn to_read(data: NonNull<u8>, bytes: usize) {
    for line in lines(data, bytes) {
        // SAFETY: within the mapping, and nothing is read.
        prefetch(unsafe { AtomicU8::from_ptr(line) });
    }
}

/// Brings the first lines of `bytes` bytes near, to be written.
#[inline(always)]
pub(super) fn to_write(data: NonNull<u8>, bytes: usize) {
    for line in lines(data, bytes) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch writes nothing and faults on no address. A processor without
        // `prefetchw` takes it for nothing.
        unsafe {
            core::arch::asm!("prefetchw [{}]", in(reg) line, options(nostack, preserves_flags));
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}

/// Copies `bytes` bytes, in whole lines where there is room for them on both sides; what is behind
/// the bytes means nothing.
///
/// # Safety
/// From `from` one may read, and to `to` write, as many bytes as each says, at least `bytes`; they
/// do not overlap.
#[inline(always)]
pub(super) unsafe fn copy(from: (*const u8, usize), to: (*mut u8, usize), bytes: usize) {
    let whole = bytes.next_multiple_of(CACHE_LINE);
    if whole <= from.1.min(to.1) {
        for at in (0..whole).step_by(CACHE_LINE) {
            // SAFETY: a line within the `whole` bytes of both.
            unsafe { core::ptr::copy_nonoverlapping(from.0.add(at), to.0.add(at), CACHE_LINE) };
        }
    } else {
        // SAFETY: the caller's promise.
        unsafe { core::ptr::copy_nonoverlapping(from.0, to.0, bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_copied_and_none_behind_the_room() {
        let from: [u8; 200] = core::array::from_fn(|i| i as u8 + 1);
        for bytes in 0..=128 {
            for room in bytes..=192 {
                let mut to = [0; 200];
                // SAFETY: both have 200 bytes, of which no more than that are named.
                unsafe { copy((from.as_ptr(), 192), (to.as_mut_ptr(), room), bytes) };
                assert_eq!(to[..bytes], from[..bytes]);
                assert!(to[room..].iter().all(|byte| *byte == 0), "{bytes} of {room}");
            }
        }
    }
}
