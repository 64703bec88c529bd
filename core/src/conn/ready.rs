//! The ready list: connections that have more to send than the one frame an event allows.
//!
//! Each lies here at most once (a flag in its slot says so); they are served round robin.

use heapless::Deque;

use super::table::SlotId;

/// Connections that can wait here at once; one that finds no place is served by its next ACK.
const PLACES: usize = 4096;

/// A first-in first-out row of slots.
#[derive(Debug, Default)]
pub(crate) struct Ready(Deque<SlotId, PLACES>);

impl Ready {
    /// An empty list.
    pub(crate) const fn new() -> Ready {
        Ready(Deque::new())
    }

    /// Puts a slot at the end; false if there is no place.
    #[inline]
    pub(crate) fn push(&mut self, id: SlotId) -> bool {
        self.0.push_back(id).is_ok()
    }

    /// Takes the slot at the front.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<SlotId> {
        self.0.pop_front()
    }

    /// Slots waiting.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_came_is_the_first_that_goes_and_a_full_row_takes_nobody() {
        let mut ready = Ready::new();
        assert_eq!((ready.pop(), ready.len()), (None, 0));
        let all = 0..PLACES as u32;
        assert!(all.clone().all(|id| ready.push(SlotId(id))));
        assert_eq!((ready.push(SlotId(7)), ready.len()), (false, PLACES));
        assert!(all.clone().all(|id| ready.pop() == Some(SlotId(id))));
        assert_eq!((ready.pop(), ready.len()), (None, 0));
    }
}
