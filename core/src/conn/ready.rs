//! The ready list: connections that have more to send than the one frame an event allows.
//!
//! Each lies here at most once (a flag in its slot says so); they are served round robin.

use heapless::Deque;

use super::table::SlotId;

/// Connections that can wait here at once; one that finds no place is served by its next ACK.
const PLACES: usize = 4096;

/// A first-in first-out row of slots.
#[derive(Debug, Default)]
pub struct Ready(Deque<SlotId, PLACES>);

impl Ready {
    /// An empty list.
    pub const fn new() -> Ready {
        Ready(Deque::new())
    }

    /// Puts a slot at the end; false if there is no place.
    #[inline]
    pub fn push(&mut self, id: SlotId) -> bool {
        self.0.push_back(id).is_ok()
    }

    /// Takes the slot at the front.
    #[inline]
    pub fn pop(&mut self) -> Option<SlotId> {
        self.0.pop_front()
    }

    /// Slots waiting.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
