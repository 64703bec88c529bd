//! Memory that one run leaves to the next on its thread: to map it anew would take longer than a
//! short run does.

use std::cell::RefCell;

/// Bytes of one packet buffer.
pub const BUFFER_BYTES: usize = 2048;
/// What a buffer holds that nobody has written to.
const UNTOUCHED: u8 = 0xa5;
/// Buffers that are kept at most: those of eight workers.
const MOST_BUFFERS: usize = 4096;

thread_local! {
    #[expect(clippy::vec_box, reason = "frames point to the buffers: they may not move")]
    static BUFFERS: RefCell<Vec<Box<[u8; BUFFER_BYTES]>>> = const { RefCell::new(Vec::new()) };
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
    }
}
