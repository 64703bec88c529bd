//! Connections: where they lie, how they are found, what wakes them.
//!
//! The promise of this room: a connection is one cache line and nothing besides ([`slot`]), found
//! from its 4-tuple by arithmetic ([`table`]), woken by a bucket wheel without a search
//! ([`timers`]), and zeroed memory is a table of closed connections, so start-up costs nothing
//! however many there may be.

mod divisor;
mod hop;
pub mod locator;
mod own;
mod ready;
pub mod slot;
pub mod table;
pub mod timers;

pub use locator::Locator;
pub(crate) use ready::Ready;
pub use slot::{Slot, SlotFlags, State, Timer};
pub use table::{SlotId, Space, Table};
pub use timers::Timers;
