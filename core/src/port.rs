//! The wall socket: one receive ring and one transmit ring of one port, owned by one core.
//!
//! A queue moves to its core once. Nothing here takes `&self` to move a packet, nothing is `Clone`,
//! and a back end mints each queue exactly once; so two cores that share a queue do not compile:
//!
//! ```
//! # use dperf_core::{frame::Tray, port::PacketQueue};
//! fn owner<Q: PacketQueue>(mut queue: Q, mut tray: Tray) {
//!     queue.receive(&mut tray);
//! }
//! ```
//! ```compile_fail,E0382
//! # use dperf_core::{frame::Tray, port::PacketQueue};
//! fn owner<Q: PacketQueue>(mut queue: Q, mut tray: Tray) {
//!     let other = queue;
//!     queue.receive(&mut tray);
//! }
//! ```
//! ```compile_fail,E0599
//! # use dperf_core::{frame::Tray, port::PacketQueue};
//! fn owner<Q: PacketQueue>(mut queue: Q, mut tray: Tray) {
//!     let other = queue.clone();
//!     queue.receive(&mut tray);
//! }
//! ```
//! ```compile_fail,E0596
//! # use dperf_core::{frame::Tray, port::PacketQueue};
//! fn owner<Q: PacketQueue>(queue: &Q, mut tray: Tray) {
//!     queue.receive(&mut tray);
//! }
//! ```
#![allow(unsafe_code)]

use crate::frame::Tray;

/// The most frames one `receive` brings.
pub const BURST: usize = 32;

bitflags::bitflags! {
    /// What a device does for us.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Offloads: u8 {
        /// Fills in IPv4 header checksums on transmit.
        const TX_IPV4_CHECKSUM = 1;
        /// Fills in TCP and UDP checksums on transmit.
        const TX_L4_CHECKSUM = 2;
        /// Verifies checksums on receive ([`crate::frame::RxChecksum`] is said per frame).
        const RX_CHECKSUM = 4;
    }
}

/// What a queue can do; fixed from its opening on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Work the device takes over.
    pub offloads: Offloads,
    /// The longest frame that can be sent, in bytes without FCS.
    pub frame_bytes: u16,
}

/// What the port is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortState {
    /// Frames can come and go.
    Up,
    /// No carrier: frames are lost, but it may come back.
    Down,
    /// The device is gone for good.
    Gone,
}

/// What the device itself lost, totals since its opening (dperf: imissed, ierrors, oerrors).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Frames the receive ring had no room for.
    pub rx_missed: u64,
    /// Frames received with an error.
    pub rx_errors: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
    /// Frames lost because no buffer was free.
    pub rx_no_buffer: u64,
}

/// One receive ring and one transmit ring with their buffers.
///
/// # Safety
/// The implementer promises that every frame it hands out is memory which lives as long as the
/// queue, is initialised, and is reached by nobody else until the frame comes back; and that a
/// frame which comes back is checked (its cookie) before it is used.
pub unsafe trait PacketQueue: Send {
    /// What this queue can do.
    fn capabilities(&self) -> Capabilities;

    /// Adds what has arrived, at most [`BURST`] frames and at most the tray's room. Never blocks.
    fn receive(&mut self, into: &mut Tray);

    /// Adds up to `want` blank frames (each with room for `frame_bytes`); returns how many.
    fn take(&mut self, want: usize, into: &mut Tray) -> usize;

    /// Sends from the front; what the ring has no room for stays in `from`, in order. Returns how
    /// many frames left.
    fn transmit(&mut self, from: &mut Tray) -> usize;

    /// Takes back every frame of the tray unsent.
    fn give_back(&mut self, from: &mut Tray);

    /// What the port is doing now; asked about ten times a second.
    fn state(&mut self) -> PortState {
        PortState::Up
    }

    /// What the device lost so far, as far as this queue is the one to tell.
    fn faults(&mut self) -> Faults {
        Faults::default()
    }
}

// SAFETY: every call is handed on to the borrowed queue, which keeps the promise itself.
unsafe impl<Q: PacketQueue + ?Sized> PacketQueue for &mut Q {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    #[inline]
    fn receive(&mut self, into: &mut Tray) {
        (**self).receive(into);
    }
    #[inline]
    fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        (**self).take(want, into)
    }
    #[inline]
    fn transmit(&mut self, from: &mut Tray) -> usize {
        (**self).transmit(from)
    }
    #[inline]
    fn give_back(&mut self, from: &mut Tray) {
        (**self).give_back(from);
    }
    fn state(&mut self) -> PortState {
        (**self).state()
    }
    fn faults(&mut self) -> Faults {
        (**self).faults()
    }
}
