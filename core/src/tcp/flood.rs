//! A flood of SYN: what comes back is not looked at, so a connection is no more than a pace.

use crate::conn::{Slot, SlotId, State, Timer};
use crate::stats::Count;
use crate::time::Stamp;
use crate::wire::tcp::TcpFlags;

use super::{Reply, Tcp};

impl Tcp<'_> {
    /// The only SYN of a tuple without an interval, which is opened and closed at once.
    #[inline(always)]
    pub fn flood_once(&mut self, id: SlotId) -> Reply {
        self.stats.inc(Count::SkOpen);
        self.stats.inc(Count::SkClose);
        // The tuple comes again, and nobody remembers its last number: this one is beyond it.
        let opened = self.stats.get(Count::SkOpen) as u32;
        Reply::bare(self.scattered(id).wrapping_add(opened), 0, TcpFlags::SYN)
    }

    /// Opens a connection in a closed slot: its first SYN.
    #[inline]
    pub fn flood_open(&mut self, slot: &mut Slot, now: Stamp) -> Reply {
        self.begin(slot, State::SynSent, now);
        slot.due = now;
        self.flood_next(slot)
    }

    /// An interval is over: the next SYN, one sequence number further.
    pub fn flood_again(&mut self, slot: &mut Slot, now: Stamp) -> Option<Reply> {
        if core::mem::take(&mut slot.timer) != Timer::Pace {
            return None;
        }
        if self.draining {
            self.close(slot);
            return None;
        }
        if now.since(slot.due) > self.settings.retransmit_units {
            slot.due = now; // too far behind to make up for
        }
        slot.snd_una = slot.snd_nxt;
        slot.snd_nxt = slot.snd_nxt.wrapping_add(1);
        slot.snd_max = slot.snd_nxt;
        Some(self.flood_next(slot))
    }

    /// The run ends. Nothing goes out.
    pub fn flood_drain(&mut self, slot: &mut Slot) -> Option<Reply> {
        if !slot.is_closed() {
            self.close(slot);
        }
        None
    }

    /// Answers are counted, and dropped.
    pub fn flood_hear(&mut self, flags: TcpFlags) {
        self.stats.inc(Count::TcpRx);
        self.stats.add(Count::SynRx, u64::from(flags.contains(TcpFlags::SYN)));
        self.stats.add(Count::FinRx, u64::from(flags.contains(TcpFlags::FIN)));
        self.stats.add(Count::RstRx, u64::from(flags.contains(TcpFlags::RST)));
        self.stats.inc(Count::TcpDrop);
        self.stats.inc(Count::DropFlood);
    }

    /// The SYN that is due, and when the next one is.
    #[inline]
    fn flood_next(&mut self, slot: &mut Slot) -> Reply {
        let syn = Reply::bare(slot.snd_una, 0, TcpFlags::SYN);
        match self.settings.keepalive {
            Some((interval, _)) if slot.requests_left != 1 => {
                slot.requests_left = slot.requests_left.saturating_sub(1);
                let units = interval.next(&mut slot.fraction, &mut self.rest);
                slot.timer = Timer::Pace;
                slot.due = slot.due.after(units);
            }
            _ => self.close(slot),
        }
        syn
    }
}

#[cfg(test)]
mod tests;
