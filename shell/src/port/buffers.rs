//! Equal packet buffers in one piece of memory: a number stands for a buffer, and a frame that
//! comes back is known by its address, not by its word.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

use dperf_core::frame::Frame;

const CACHE_LINE: usize = 64;
const PAGE: usize = 4096;

/// Equal buffers, numbered from 0.
pub(super) struct Buffers {
    base: NonNull<u8>,
    layout: Layout,
    /// An odd number of cache lines, so that the buffers' heads spread over all sets of the cache.
    stride: usize,
    capacity: u16,
    count: u32,
}

// SAFETY: the memory is plain bytes that belong to no thread, and the pointer is not handed out but
// in frames.
unsafe impl Send for Buffers {}
// SAFETY: by reference one can only lend, whose caller promises to own the buffer, and compare.
unsafe impl Sync for Buffers {}

/// Cache lines of a frame's room, and bytes from one buffer to the next.
fn shape(frame_bytes: u16) -> (usize, usize) {
    let lines = usize::from(frame_bytes.max(60)).div_ceil(CACHE_LINE);
    (lines, (lines | 1) * CACHE_LINE)
}

/// Bytes that `count` buffers take.
pub(super) fn bytes(frame_bytes: u16, count: u32) -> usize {
    count as usize * shape(frame_bytes).1
}

impl Buffers {
    /// `count` buffers (at least one) with room for `frame_bytes` each.
    pub(super) fn new(frame_bytes: u16, count: u32) -> Buffers {
        let (lines, stride) = shape(frame_bytes);
        let capacity = u16::try_from(lines * CACHE_LINE).unwrap_or(u16::MAX);
        let count = count.max(1);
        let layout = Layout::from_size_align(bytes(frame_bytes, count), PAGE)
            .expect("a few thousand buffers of 64 KiB are far below isize::MAX");
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(memory) else { handle_alloc_error(layout) };
        // Touched now, so that no page fault falls into the run.
        for page in (0..layout.size()).step_by(PAGE) {
            // SAFETY: inside the allocation, which nobody else knows yet.
            unsafe { base.as_ptr().add(page).write_volatile(0) };
        }
        Buffers { base, layout, stride, capacity, count }
    }

    /// Bytes that they take.
    #[cfg(test)]
    pub(super) fn size(&self) -> u64 {
        self.layout.size() as u64
    }

    /// How many buffers there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// A frame over buffer `index`.
    ///
    /// # Safety
    /// `index` is below the count, the caller is its only holder and gives it up until the frame
    /// comes back, and these buffers outlive the frame.
    #[inline]
    pub(super) unsafe fn lend(&self, index: u32, len: u16) -> Frame {
        debug_assert!(index < self.count);
        // SAFETY: inside the arena, which is zeroed at birth; the rest is the caller's promise.
        unsafe {
            let data = self.base.add(index as usize * self.stride);
            Frame::new(data, len, self.capacity, index as usize + 1)
        }
    }

    /// The number of the buffer behind `frame`; none if it is not one of ours. A frame cannot be
    /// copied, so whoever brings one with the address of our buffer brings the buffer.
    #[inline]
    pub(super) fn number(&self, frame: &Frame) -> Option<u32> {
        let index = u32::try_from(frame.cookie().wrapping_sub(1)).ok()?;
        let address = self.base.as_ptr().wrapping_add(index as usize * self.stride);
        let ours = index < self.count && core::ptr::eq(frame.bytes().as_ptr(), address);
        ours.then_some(index)
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout; the owner dropped it, so no frame is out.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}
