//! The end of a worker's turn: what it wrote goes to the port, and what is done with goes back.

use super::{Worker, unwind};
use crate::exception::ExceptionPath;
use crate::frame::Tray;
use crate::port::PacketQueue;
use crate::stats::Count;
use crate::time::{Instant, Ticks};

/// A device that takes nothing for one part in so many of a second loses what waits: half a second,
/// since a peer on a shared processor may well not run for a tenth.
const STUCK_PER_SECOND: u64 = 2;

impl<Q: PacketQueue, X: ExceptionPath> Worker<'_, Q, X> {
    /// Hands everything on; gives up what the device takes nothing of for too long.
    #[inline]
    pub(super) fn transmit(&mut self, now: Instant) -> u32 {
        let mut sent = 0;
        if !self.trays.tx.is_empty() {
            if let Some(wrapping) = &mut self.wrapping {
                wrapping.wrap(&mut self.trays.tx);
            }
            let before = bytes(&self.trays.tx);
            let tx = &mut self.trays.tx;
            let most = usize::from(self.engine.plan.tx_burst);
            sent = match tx.len() <= most {
                true => self.queue.transmit(tx),
                false => transmit_in_bursts(&mut self.queue, tx, most),
            };
            let stats = &mut self.engine.tcp.stats;
            stats.add(Count::PktTx, sent as u64);
            stats.add(Count::BitsTx, 8 * (before - bytes(&self.trays.tx)));
            if sent > 0 {
                self.stuck_since = None;
            } else {
                self.stuck(now);
            }
        }
        self.congested = !self.trays.tx.is_empty();
        if !self.trays.done.is_empty() {
            if self.wrapping.is_some() {
                unwind(&mut self.trays.done);
            }
            self.queue.give_back(&mut self.trays.done);
        }
        sent as u32
    }

    /// Instead of a turn when the run is over: what waits leaves, as far as the device takes it.
    /// True if nothing waits any more.
    pub fn flush(&mut self, now: Instant) -> bool {
        self.transmit(now);
        self.trays.tx.is_empty()
    }

    #[cold]
    #[inline(never)]
    fn stuck(&mut self, now: Instant) {
        let since = *self.stuck_since.get_or_insert(now);
        if now - since > Ticks(self.engine.plan.rate.hz() / STUCK_PER_SECOND) {
            let tx = &mut self.trays.tx;
            self.engine.tcp.stats.add(Count::DropTx, tx.len() as u64);
            self.queue.give_back(tx);
            self.stuck_since = None;
        }
    }
}

/// Hands a tray on in bursts of `most` frames, in order, until the device takes no more. Returns
/// how many left.
#[cold]
#[inline(never)]
fn transmit_in_bursts<Q: PacketQueue>(queue: &mut Q, tx: &mut Tray, most: usize) -> usize {
    let (mut burst, mut sent, mut full) = (Tray::new(), 0, false);
    tx.drain(|_, frame| {
        // As many places as in the tray it comes from.
        let laid = burst.push(frame);
        debug_assert!(laid.is_ok());
        if burst.len() >= most && !full {
            sent += queue.transmit(&mut burst);
            full = !burst.is_empty();
        }
    });
    if !full && !burst.is_empty() {
        sent += queue.transmit(&mut burst);
    }
    *tx = burst;
    sent
}

/// Bytes of all frames of a tray.
#[inline]
fn bytes(tray: &Tray) -> u64 {
    tray.frames().iter().map(|frame| frame.len() as u64).sum()
}
