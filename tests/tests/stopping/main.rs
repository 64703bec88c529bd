//! Stopping and failing well: whatever ends a run and whenever, it ends in bounded time, tells what
//! it came to if it still may speak, and leaves nothing behind.

mod losses;
mod memory;
mod moments;
mod setup;
mod shortages;
mod watchdog;
