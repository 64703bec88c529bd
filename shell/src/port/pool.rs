//! One queue's buffers: the empty ones at hand, the others out as frames.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;

use dperf_core::frame::{Frame, Tray};

use super::buffers::Buffers;

/// Equal buffers that one queue lends and takes back.
pub(super) struct Pool {
    buffers: ManuallyDrop<Buffers>,
    /// Empty buffers, the hottest last.
    free: Vec<u32>,
    count: u32,
}

impl Pool {
    /// `count` buffers with room for `frame_bytes` each.
    pub(super) fn new(frame_bytes: u16, count: u32) -> Pool {
        let buffers = ManuallyDrop::new(Buffers::new(frame_bytes, count));
        Pool { buffers, free: (0..count).collect(), count }
    }

    /// Buffers that are at hand.
    #[inline]
    pub(super) fn available(&self) -> usize {
        self.free.len()
    }

    /// A blank frame.
    #[inline]
    pub(super) fn lend(&mut self) -> Option<Frame> {
        let index = self.free.pop()?;
        // SAFETY: the number was on the free list only and is off it now; `drop` keeps the buffers
        // if any frame is still out.
        Some(unsafe { self.buffers.lend(index, 0) })
    }

    /// Takes a frame back; false if it is none of these.
    #[inline]
    #[must_use]
    pub(super) fn reclaim(&mut self, frame: Frame) -> bool {
        match self.buffers.number(&frame) {
            Some(index) => {
                self.free.push(index);
                true
            }
            None => false,
        }
    }

    /// Adds up to `want` blank frames; how many.
    pub(super) fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        let count = want.min(into.room()).min(self.free.len());
        for _ in 0..count {
            let Some(frame) = self.lend() else { break };
            let pushed = into.push(frame);
            debug_assert!(pushed.is_ok(), "the tray has room for `count`");
        }
        count
    }

    /// Takes every frame back; how many were none of these.
    pub(super) fn give_back(&mut self, from: &mut Tray) -> u64 {
        let mut foreign = 0;
        from.drain(|_, frame| foreign += u64::from(!self.reclaim(frame)));
        foreign
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Somebody may still hold frames: their memory must stay then.
        if self.free.len() == self.count as usize {
            // SAFETY: dropped once, here, and not used after.
            unsafe { ManuallyDrop::drop(&mut self.buffers) };
        }
    }
}
