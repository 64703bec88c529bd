//! The one door to atomics and to what they guard.
//!
//! Built with `--cfg loom` it leads to loom's, which are tried in every order that the memory model
//! allows (`make race`); nothing else in the house knows of it.

#[cfg(not(loom))]
pub use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64},
};

#[cfg(loom)]
pub use loomed::{AtomicBool, AtomicU32, AtomicU64, UnsafeCell};

pub use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

#[cfg(loom)]
mod loomed {
    pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

    /// Loom's cell with the door of `core`'s: to ask for the value is to write it.
    #[derive(Debug, Default)]
    pub struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// A cell with `value`.
        pub fn new(value: T) -> UnsafeCell<T> {
            UnsafeCell(loom::cell::UnsafeCell::new(value))
        }

        /// Where the value is, for whoever may write it.
        pub fn get(&self) -> *mut T {
            self.0.with_mut(|value| value)
        }
    }
}
