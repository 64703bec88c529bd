//! The worker's dealings with the kernel: a few packets each way in a turn, so that a slow kernel
//! never slows the load.

use super::{Trays, Worker, unwind};
use crate::exception::ExceptionPath;
use crate::frame::{Frame, Tray, TxShape};
use crate::parse::Parsed;
use crate::port::PacketQueue;
use crate::stats::{Count, Writer};
use crate::time::Instant;

/// Packets to the kernel and packets from it in one turn, at most: each costs a system call or two,
/// and a slow kernel must not slow the load.
const BUDGET: usize = 32;
/// How often a silent kernel is asked whether it has something to send. Asking costs a system call.
pub(super) const LOOK_US: u64 = 100;

impl<Q: PacketQueue, X: ExceptionPath> Worker<'_, Q, X> {
    /// Hands on what waits for the kernel and fetches what the kernel wants sent, within a budget.
    #[inline]
    pub(super) fn serve_kernel(&mut self, now: Instant) -> u32 {
        if !self.exception.is_open() {
            return 0;
        }
        let delivered = if self.trays.kernel.is_empty() { 0 } else { self.deliver() };
        let collected = if now < self.kernel_look { 0 } else { self.collect(now) };
        (delivered + collected) as u32
    }

    /// What the kernel has no room for waits; what it refuses is given up.
    #[inline(never)]
    fn deliver(&mut self) -> usize {
        let Trays { kernel, done, .. } = &mut self.trays;
        let offered = kernel.len().min(BUDGET).min(done.room());
        let delivered = self.exception.deliver(&kernel.frames()[..offered]);
        let stats = &mut self.engine.tcp.stats;
        stats.add(Count::KniRx, (delivered.done - delivered.refused) as u64);
        stats.add(Count::KniErrors, delivered.refused as u64);
        kernel.drain_front(delivered.done, |frame| {
            let placed = done.push(frame);
            debug_assert!(placed.is_ok());
        });
        delivered.done
    }

    /// While the kernel has something to send it is asked in every turn, else now and then.
    #[inline(never)]
    fn collect(&mut self, now: Instant) -> usize {
        let filled = self.collect_into(1);
        if filled == 0 {
            self.kernel_look = now + self.kernel_look_ticks;
            return 0;
        }
        filled + self.collect_into(BUDGET - 1)
    }

    /// Fetches up to `most` packets from the kernel; returns how many there were.
    fn collect_into(&mut self, most: usize) -> usize {
        let room = self.room().min(most);
        let Trays { rx: blanks, tx, stock, .. } = &mut self.trays;
        for _ in 0..room {
            let Some(blank) = stock.pop() else { break };
            let placed = blanks.push(blank);
            debug_assert!(placed.is_ok());
        }
        if self.engine.plan.encap.is_tunnel() {
            // The kernel is a host of the network outside.
            unwind(blanks);
        }
        let filled = self.exception.collect(blanks.frames_mut());
        blanks.drain(|index, mut frame| {
            frame.set_tx_shape(TxShape::Complete);
            let placed = if index < filled { tx.push(frame) } else { stock.push(frame) };
            debug_assert!(placed.is_ok());
        });
        if let Some(wrapping) = &self.wrapping {
            wrapping.make_room(stock);
        }
        self.engine.tcp.stats.add(Count::KniTx, filled as u64);
        filled
    }
}

/// Puts a frame down for the kernel; gives it back if there is no room.
#[cold]
#[inline(never)]
pub(super) fn put(frame: Frame, kernel: &mut Tray, stats: &mut Writer<'_>) -> Option<Frame> {
    let refused = kernel.push(frame).err();
    stats.add(Count::KniFull, u64::from(refused.is_some()));
    refused
}

/// Puts copies of a burst's ARP packets and neighbour messages down for the kernel: they are
/// answered here, and the kernel keeps its table.
#[cold]
#[inline(never)]
pub(super) fn copy_neighbors(
    burst: &[Frame],
    parsed: &[Parsed],
    (stock, kernel): (&mut Tray, &mut Tray),
    stats: &mut Writer<'_>,
) {
    let both = burst.iter().zip(parsed);
    for (frame, _) in both.filter(|(_, parsed)| matches!(parsed, Parsed::Arp | Parsed::Neighbor)) {
        copy(frame, stock, kernel, stats);
    }
}

/// Puts a copy of `frame` down for the kernel.
pub(super) fn copy(frame: &Frame, stock: &mut Tray, kernel: &mut Tray, stats: &mut Writer<'_>) {
    let copied = |mut blank: Frame| {
        let fits = blank.set_len(frame.len());
        if fits {
            blank.bytes_mut().copy_from_slice(frame.bytes());
        }
        (fits, blank)
    };
    let copy = if kernel.room() > 0 { stock.pop().map(copied) } else { None };
    let (tray, frame) = match copy {
        Some((true, copy)) => (kernel, copy),
        Some((false, blank)) => {
            stats.inc(Count::KniFull);
            (stock, blank)
        }
        None => return stats.inc(Count::KniFull),
    };
    let placed = tray.push(frame);
    debug_assert!(placed.is_ok());
}
