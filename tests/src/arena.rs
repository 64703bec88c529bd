//! Equal packet buffers of one queue: each is either here or lent out as exactly one frame, and one
//! that comes back strange, or twice, stops the test.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use dperf_core::frame::Frame;

use crate::stock::{self, BUFFER_BYTES};

/// What a cookie adds to the buffer's number.
const MARK: usize = 0x5eed_0000;

/// Buffers, and who is out. A buffer comes into being when it is first lent.
#[derive(Debug)]
pub struct Arena {
    /// How many there may be.
    most: usize,
    buffers: Vec<NonNull<u8>>,
    /// Buffers nobody holds.
    free: Vec<u32>,
    /// Whether each buffer is out.
    lent: Vec<bool>,
}

// SAFETY: the buffers are plain bytes, reached only through the arena and the frames it lends.
unsafe impl Send for Arena {}

impl Arena {
    /// At most `most` buffers.
    #[must_use]
    pub fn new(most: usize) -> Arena {
        Arena { most, buffers: Vec::new(), free: Vec::new(), lent: Vec::new() }
    }

    /// Buffers that are out.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.buffers.len() - self.free.len()
    }

    /// An empty frame over a free buffer, if there is one.
    pub fn lend(&mut self) -> Option<Frame> {
        let index = self.free.pop().or_else(|| self.grow())? as usize;
        self.lent[index] = true;
        let data = self.buffers[index];
        // SAFETY: the buffer is initialised, lives until the arena is dropped without a frame out,
        // and was free: nobody else reaches it.
        Some(unsafe { Frame::new(data, 0, BUFFER_BYTES as u16, MARK + index) })
    }

    /// One more buffer, if there may be one.
    fn grow(&mut self) -> Option<u32> {
        let index = self.buffers.len();
        if index == self.most {
            return None;
        }
        self.buffers.push(NonNull::from(Box::leak(stock::buffer())).cast());
        self.lent.push(false);
        Some(index as u32)
    }

    /// Takes a buffer back.
    ///
    /// # Panics
    /// If it is not one of ours, or not out.
    pub fn take_back(&mut self, frame: Frame) {
        let index = frame.cookie().wrapping_sub(MARK);
        assert!(index < self.lent.len(), "a frame with a strange cookie came back");
        let own = self.buffers[index].as_ptr();
        assert!(std::ptr::eq(frame.bytes().as_ptr(), own), "a frame of another queue came back");
        assert!(std::mem::take(&mut self.lent[index]), "a frame came back twice");
        self.free.push(index as u32);
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if self.outstanding() > 0 {
            return; // someone may still reach it: the memory stays
        }
        for buffer in self.buffers.drain(..) {
            // SAFETY: made by `Box::leak` in `grow` with this type; no frame is out.
            stock::keep(unsafe { Box::from_raw(buffer.cast::<[u8; BUFFER_BYTES]>().as_ptr()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "of another queue")]
    fn a_frame_of_another_queue_is_known() {
        let (mut one, mut two) = (Arena::new(1), Arena::new(1));
        let (frame, _theirs) = (one.lend().expect("free"), two.lend().expect("free"));
        two.take_back(frame);
    }

    #[test]
    fn buffers_run_out_and_come_back() {
        let mut arena = Arena::new(2);
        let (first, second) = (arena.lend().expect("free"), arena.lend().expect("free"));
        assert!(arena.lend().is_none() && first.cookie() != second.cookie());
        arena.take_back(first);
        arena.take_back(second);
        assert_eq!(arena.outstanding(), 0);
    }
}
