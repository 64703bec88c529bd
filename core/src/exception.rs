//! A core's own way to the kernel: what is not load goes there, and what the kernel wants sent
//! comes from there.
//!
//! Each core owns its path as it owns its queue: a packet for the kernel leaves through the path of
//! the core that received it, and what the kernel sends is transmitted by the core that read it. No
//! frame crosses cores; both directions copy bytes. Two cores with one path do not compile, be it
//! moved twice, copied or shared by reference:
//!
//! ```
//! # use dperf_core::{exception::ExceptionPath, frame::Frame};
//! fn owner<X: ExceptionPath>(mut path: X, packets: &[Frame]) {
//!     path.deliver(packets);
//! }
//! ```
//! ```compile_fail,E0382
//! # use dperf_core::{exception::ExceptionPath, frame::Frame};
//! fn owner<X: ExceptionPath>(mut path: X, packets: &[Frame]) {
//!     let other = path;
//!     path.deliver(packets);
//! }
//! ```
//!
//! ```compile_fail,E0599
//! # use dperf_core::{exception::ExceptionPath, frame::Frame};
//! fn owner<X: ExceptionPath>(mut path: X, packets: &[Frame]) {
//!     let other = path.clone();
//!     path.deliver(packets);
//! }
//! ```
//! ```compile_fail,E0596
//! # use dperf_core::{exception::ExceptionPath, frame::Frame};
//! fn owner<X: ExceptionPath>(path: &X, packets: &[Frame]) {
//!     path.deliver(packets);
//! }
//! ```
//!
//! A device that has one queue only is consumed by [`Shared`], the one place with a lock. Any
//! number of cores may use that:
//! ```
//! # use dperf_core::exception::{Closed, ExceptionPath, Shared};
//! let shared = Shared::new(Closed);
//! std::thread::scope(|s| {
//!     s.spawn(|| (&shared).deliver(&[]));
//!     s.spawn(|| (&shared).deliver(&[]));
//! });
//! ```
//! but none goes round the lock, neither inwards nor by keeping the path:
//! ```compile_fail,E0616
//! # use dperf_core::exception::{Closed, ExceptionPath, Shared};
//! let shared = Shared::new(Closed);
//! std::thread::scope(|s| {
//!     s.spawn(|| (&shared).deliver(&[]));
//!     s.spawn(|| shared.0.deliver(&[]));
//! });
//! ```
//! ```
//! # use dperf_core::exception::{ExceptionPath, Shared};
//! fn keeper<X: ExceptionPath>(mut path: X) {
//!     path.deliver(&[]);
//! }
//! ```
//! ```compile_fail,E0382
//! # use dperf_core::exception::{ExceptionPath, Shared};
//! fn keeper<X: ExceptionPath>(mut path: X) {
//!     let shared = Shared::new(path);
//!     path.deliver(&[]);
//! }
//! ```

use crate::frame::Frame;
use crate::port::PortState;
use crate::sync::Lock;

/// What became of a burst offered to the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Delivered {
    /// Packets at the front of the burst that are dealt with; the rest found no room and may be
    /// offered again.
    pub done: usize,
    /// How many of those the kernel refused for good.
    pub refused: usize,
}

/// One core's way to the kernel and back. Nothing here blocks.
pub trait ExceptionPath: Send {
    /// There is a kernel behind it.
    #[inline]
    fn is_open(&self) -> bool {
        true
    }

    /// Copies packets to the kernel, oldest first.
    fn deliver(&mut self, packets: &[Frame]) -> Delivered;

    /// Fills blank frames, first to last, with packets that the kernel wants sent; returns how many
    /// it filled.
    fn collect(&mut self, blanks: &mut [Frame]) -> usize;

    /// Packets that the kernel wanted sent, too long for the port and dropped since this was asked
    /// last; asked about ten times a second.
    fn oversized(&mut self) -> u64 {
        0
    }

    /// What the kernel's interface is doing; asked as often.
    fn state(&mut self) -> PortState {
        PortState::Up
    }
}

/// No kernel at all; compiles to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Closed;

impl ExceptionPath for Closed {
    #[inline]
    fn is_open(&self) -> bool {
        false
    }
    #[inline]
    fn deliver(&mut self, packets: &[Frame]) -> Delivered {
        Delivered { done: packets.len(), refused: packets.len() }
    }
    #[inline]
    fn collect(&mut self, _: &mut [Frame]) -> usize {
        0
    }
}

impl<X: ExceptionPath + ?Sized> ExceptionPath for &mut X {
    #[inline]
    fn is_open(&self) -> bool {
        (**self).is_open()
    }
    #[inline]
    fn deliver(&mut self, packets: &[Frame]) -> Delivered {
        (**self).deliver(packets)
    }
    #[inline]
    fn collect(&mut self, blanks: &mut [Frame]) -> usize {
        (**self).collect(blanks)
    }
    fn oversized(&mut self) -> u64 {
        (**self).oversized()
    }
    fn state(&mut self) -> PortState {
        (**self).state()
    }
}

/// A path that several cores use in turn, because its device has one queue only.
///
/// It consumes the path, so nobody can go round the lock. The lock is taken once per burst, for the
/// copying alone: what is to be delivered already lies in the caller's tray. Nobody waits for it: a
/// core that finds it taken comes again in its next turn.
#[derive(Debug, Default)]
pub struct Shared<X>(Lock<X>);

impl<X: ExceptionPath> Shared<X> {
    /// Makes one path out of an owned one that any number of cores may use.
    pub fn new(path: X) -> Shared<X> {
        Shared(Lock::new(path))
    }
}

impl<X: ExceptionPath> ExceptionPath for &Shared<X> {
    fn deliver(&mut self, packets: &[Frame]) -> Delivered {
        self.0.try_with(|path| path.deliver(packets)).unwrap_or_default()
    }

    fn collect(&mut self, blanks: &mut [Frame]) -> usize {
        self.0.try_with(|path| path.collect(blanks)).unwrap_or_default()
    }

    fn oversized(&mut self) -> u64 {
        self.0.try_with(ExceptionPath::oversized).unwrap_or_default()
    }

    fn state(&mut self) -> PortState {
        self.0.try_with(ExceptionPath::state).unwrap_or(PortState::Up)
    }
}
