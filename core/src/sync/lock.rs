//! The one lock: whoever finds it taken goes on with something else.
//!
//! What may not change threads may not be shared through it:
//! ```
//! fn shared(value: usize) {
//!     fn needs_sync<T: Sync>(_: T) {}
//!     needs_sync(dperf_core::sync::Lock::new(value));
//! }
//! ```
//! ```compile_fail,E0277
//! fn shared(value: dperf_core::frame::Frame) {
//!     fn needs_sync<T: Sync>(_: T) {}
//!     needs_sync(dperf_core::sync::Lock::new(value));
//! }
//! ```
#![allow(unsafe_code)]

use super::atomic::{Acquire, AtomicU32, Relaxed, Release, UnsafeCell};

const FREE: u32 = 0;
const TAKEN: u32 = 1;

/// A value that several threads use in turn.
#[derive(Debug, Default)]
pub struct Lock<T> {
    word: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: `try_with` gives the value to one thread at a time; it may change threads, so it is Send.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// A free lock around `value`.
    pub fn new(value: T) -> Lock<T> {
        Lock { word: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Lets `act` have the value for as long as it runs; `None`, at once, if another thread has it.
    pub fn try_with<R>(&self, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.word.compare_exchange(FREE, TAKEN, Acquire, Relaxed).ok()?;
        let _free_again = Taken(&self.word);
        // SAFETY: the word says that the value is ours until `_free_again` is dropped.
        Some(act(unsafe { &mut *self.value.get() }))
    }
}

/// Frees the lock when it goes, by whatever way.
struct Taken<'l>(&'l AtomicU32);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.store(FREE, Release);
    }
}
