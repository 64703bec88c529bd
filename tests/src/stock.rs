//! Memory that one run leaves to the next on its thread: to map it anew would take longer than a
//! short run does.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use dperf_core::conn::Chunk;
use dperf_core::conn::timers::chunks_for;

/// Bytes of one packet buffer.
pub const BUFFER_BYTES: usize = 2048;
/// What a buffer holds that nobody has written to.
const UNTOUCHED: u8 = 0xa5;
/// Buffers that are kept at most: those of eight workers.
const MOST_BUFFERS: usize = 4096;
/// Chunks that are kept at most, for small runs only: 4 MiB.
const MOST_CHUNKS: usize = 32 * 1024;

thread_local! {
    static CHUNKS: RefCell<Vec<Vec<Chunk>>> = const { RefCell::new(Vec::new()) };
    #[expect(clippy::vec_box, reason = "frames point to the buffers: they may not move")]
    static BUFFERS: RefCell<Vec<Box<[u8; BUFFER_BYTES]>>> = const { RefCell::new(Vec::new()) };
}

/// Memory for the timers of one worker; the next one gets it as it was left.
#[derive(Debug)]
pub struct Chunks(Vec<Chunk>);

impl Chunks {
    /// Enough for so many slots.
    #[must_use]
    pub fn of(slots: usize) -> Chunks {
        let mut chunks = CHUNKS.with_borrow_mut(Vec::pop).unwrap_or_default();
        chunks.resize(chunks_for(slots as u64) as usize, Chunk::EMPTY);
        Chunks(chunks)
    }
}

impl Deref for Chunks {
    type Target = [Chunk];

    fn deref(&self) -> &[Chunk] {
        &self.0
    }
}

impl DerefMut for Chunks {
    fn deref_mut(&mut self) -> &mut [Chunk] {
        &mut self.0
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        let chunks = std::mem::take(&mut self.0);
        CHUNKS.with_borrow_mut(|kept| {
            if kept.iter().map(Vec::capacity).sum::<usize>() + chunks.capacity() <= MOST_CHUNKS {
                kept.push(chunks);
            }
        });
    }
}

/// A packet buffer that nobody has written to.
#[must_use]
pub fn buffer() -> Box<[u8; BUFFER_BYTES]> {
    let Some(mut buffer) = BUFFERS.with_borrow_mut(Vec::pop) else {
        return Box::new([UNTOUCHED; BUFFER_BYTES]);
    };
    buffer.fill(UNTOUCHED);
    buffer
}

/// Keeps a packet buffer for the next run.
pub fn keep(buffer: Box<[u8; BUFFER_BYTES]>) {
    BUFFERS.with_borrow_mut(|kept| {
        if kept.len() < MOST_BUFFERS {
            kept.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_comes_again_untouched() {
        let mut first = buffer();
        let place = first.as_ptr();
        first[7] = 1;
        keep(first);
        let again = buffer();
        assert_eq!(again.as_ptr(), place);
        assert_eq!(*again, [UNTOUCHED; BUFFER_BYTES]);
        let place = Chunks::of(8).as_ptr();
        assert_eq!(Chunks::of(9).as_ptr(), place);
    }
}
