//! What differs when the load is no TCP that is followed: UDP, and floods. Decided once, when the
//! engine is built.

use super::ends::is_astray;
use super::{Engine, own, queue};
use crate::conn::{Slot, SlotFlags, SlotId, Timer, timers::Wheel};
use crate::frame::{Frame, Tray};
use crate::host::Verdict;
use crate::parse::Parsed;
use crate::plan::{CorePlan, Role, Transport};
use crate::stats::Count;
use crate::time::{Instant, Interval, Stamp};
use crate::udp::Udp;

/// Datagrams that a connection of a flood sends in a row, at most, if so many are due.
const BACK_TO_BACK: usize = 4;

/// What the load is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Traffic {
    /// TCP, followed from SYN to FIN.
    Tcp,
    /// SYN, again and again.
    SynFlood,
    /// Datagrams.
    Udp(Udp),
}

/// What happens to a connection of such a load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// It is opened.
    Open,
    /// A datagram came.
    Datagram,
    /// It came out of a wheel.
    Wheel,
    /// Its turn in the ready list has come.
    Ready,
    /// The run ends.
    Drain,
}

impl Traffic {
    /// The load of `plan`.
    pub(super) fn of(plan: &CorePlan<'_>) -> Traffic {
        match (plan.transport, plan.flood && plan.role == Role::Client) {
            (Transport::Udp, _) => Traffic::Udp(Udp::new(plan)),
            (Transport::Tcp, true) => Traffic::SynFlood,
            (Transport::Tcp, false) => Traffic::Tcp,
        }
    }

    /// TCP that is followed.
    #[inline]
    pub(super) fn is_tcp(&self) -> bool {
        matches!(self, Traffic::Tcp)
    }

    /// Datagrams.
    #[inline]
    pub(super) fn is_udp(&self) -> bool {
        matches!(self, Traffic::Udp(_))
    }
}

impl Engine<'_> {
    /// First pass over a burst where the load is UDP.
    #[inline(never)]
    pub(super) fn look_at_datagrams(&mut self, frames: &[Frame], parsed: &mut [Parsed]) {
        let is_client = self.plan.role == Role::Client;
        for (frame, parsed) in frames.iter().zip(parsed) {
            let Some(id) = self.parser.usual_datagram(frame, &self.table.space) else {
                self.look_closer(frame, parsed);
                continue;
            };
            if is_client {
                self.table.hint(id);
            }
            *parsed = Parsed::Udp(id);
            if self.parser.counts_tos() && self.parser.has_tos(frame) {
                self.tcp.stats.inc(Count::TosRx);
            }
        }
    }

    /// A datagram of a known tuple. A server keeps nothing of it: the answer is written over it.
    #[inline(never)]
    pub(super) fn on_udp(&mut self, frame: &mut Frame, id: SlotId, now: Instant) -> Verdict {
        self.tcp.stats.inc(Count::UdpRx);
        let answered = match self.plan.role {
            Role::Client if !self.is_own(id) && is_astray(&self.plan, frame) => {
                self.tcp.stats.inc(Count::UdpDrop);
                self.tcp.stats.inc(Count::DropWrongQueue);
                false
            }
            Role::Client => self.step_slot(id, Event::Datagram, frame, now),
            Role::Server => self.pen.answer(frame, &mut self.tcp.stats),
        };
        if answered { Verdict::Send } else { Verdict::Done }
    }

    /// As [`Engine::open`], where the load is no TCP that is followed.
    #[inline(never)]
    pub(super) fn open_other(
        &mut self,
        most: usize,
        (stock, tx): (&mut Tray, &mut Tray),
        now: Instant,
    ) -> usize {
        if !self.plan.keeps_connections() {
            return self.open_and_forget(most, (stock, tx), now);
        }
        stock.offer_each(tx, most, |frame| {
            let Some(id) = self.table.open_next() else { return false };
            self.happen(id, Event::Open, frame, now)
        })
    }

    /// Opens connections that are over with their first packet: nothing of them is kept.
    #[inline(always)]
    fn open_and_forget(
        &mut self,
        most: usize,
        (stock, tx): (&mut Tray, &mut Tray),
        now: Instant,
    ) -> usize {
        let stamp = self.stamp(now);
        let Engine { table, traffic, tcp, pen, .. } = self;
        if let Traffic::Udp(udp) = traffic {
            return stock.offer_each(tx, most, |frame| {
                let Some(id) = table.next_tuple() else { return false };
                let goes = udp.open(&mut Slot::default(), &mut tcp.stats, stamp);
                goes && pen.datagram(frame, (&table.space, id), &mut tcp.stats)
            });
        }
        stock.offer_each(tx, most, |frame| {
            let Some(id) = table.next_tuple() else { return false };
            let syn = tcp.flood_once(id);
            pen.flood_syn(frame, (&table.space, id), &syn, &mut tcp.stats)
        })
    }

    /// As [`Engine::ring`], where the load is no TCP that is followed.
    #[inline(never)]
    pub(super) fn ring_other(
        &mut self,
        wheel: Wheel,
        most: usize,
        (stock, tx): (&mut Tray, &mut Tray),
        now: Instant,
    ) -> usize {
        let endless = match &mut self.traffic {
            Traffic::Udp(udp) if wheel == Wheel::Steady => {
                udp.draining = self.tcp.draining;
                udp.endless()
            }
            _ => None,
        };
        // So few at once that each may send in a row.
        let together = if endless.is_some() { most.div_ceil(BACK_TO_BACK) } else { most };
        self.pop_each(wheel, (most, together), now, |engine, id, share| match endless {
            Some(interval) => {
                let more = share.min(BACK_TO_BACK - 1) as u32;
                engine.tick_endless(id, (interval, more), (stock, tx), now)
            }
            None => {
                stock.offer(tx, |frame| engine.happen(id, Event::Wheel, frame, now));
                0
            }
        })
    }

    /// A tick of connection `id` of a flood on connections that have no end: it sends a datagram if
    /// one is due, and up to `more` besides. Returns how many it sent besides.
    #[inline(always)]
    fn tick_endless(
        &mut self,
        id: SlotId,
        (interval, more): (Interval, u32),
        (stock, tx): (&mut Tray, &mut Tray),
        now: Instant,
    ) -> usize {
        let stamp = self.stamp(now);
        let slot = self.table.slots.get_mut(id.0 as usize);
        if let (Traffic::Udp(udp), Some(slot)) = (&mut self.traffic, slot) {
            let count = udp.tick_endless(slot, interval, 1 + more, stamp);
            if count > 0 {
                self.timers.arm_timer((id, slot), (stamp, now));
                if udp.wants_more(slot) {
                    queue(id, slot, &mut self.ready);
                }
                let of = (&self.table.space, id);
                self.pen.datagram_row(count, of, (stock, tx), &mut self.tcp.stats);
                return count as usize - 1;
            }
        }
        stock.offer(tx, |frame| self.happen(id, Event::Wheel, frame, now));
        0
    }

    /// Lets `event` happen to connection `id`. True if `frame` holds a packet now.
    #[inline(never)]
    pub(super) fn happen(
        &mut self,
        id: SlotId,
        event: Event,
        frame: &mut Frame,
        now: Instant,
    ) -> bool {
        self.step_slot(id, event, frame, now)
    }

    /// As [`Engine::happen`], made anew for each event that is known where it is called.
    #[inline(always)]
    fn step_slot(&mut self, id: SlotId, event: Event, frame: &mut Frame, now: Instant) -> bool {
        let stamp = self.stamp(now);
        let Some(slot) = self.table.slots.get_mut(id.0 as usize) else { return false };
        if event == Event::Open {
            own(id, slot, &self.tcp);
        } else if event == Event::Ready {
            slot.flags.remove(SlotFlags::READY);
        }
        if let Traffic::Udp(udp) = &mut self.traffic {
            udp.draining = self.tcp.draining;
            let stats = &mut self.tcp.stats;
            let goes = match event {
                Event::Open => udp.open(slot, stats, stamp),
                Event::Datagram => udp.on_datagram(slot, stats, stamp),
                Event::Wheel if rings(slot, stamp) => udp.on_timer(slot, stats, stamp),
                Event::Wheel => false,
                Event::Ready => udp.ready(slot, stats),
                Event::Drain => udp.drain(slot, stats, stamp),
            };
            self.timers.arm_timer((id, slot), (stamp, now));
            if udp.wants_more(slot) {
                queue(id, slot, &mut self.ready);
            }
            return goes && self.pen.datagram(frame, (&self.table.space, id), stats);
        }
        let syn = match event {
            Event::Open => Some(self.tcp.flood_open(slot, stamp)),
            Event::Wheel | Event::Ready if rings(slot, stamp) => self.tcp.flood_again(slot, stamp),
            Event::Drain => self.tcp.flood_drain(slot),
            _ => None,
        };
        self.timers.arm_timer((id, slot), (stamp, now));
        if rings(slot, stamp) {
            queue(id, slot, &mut self.ready);
        }
        let Some(syn) = syn else { return false };
        self.pen.flood_syn(frame, (&self.table.space, id), &syn, &mut self.tcp.stats)
    }
}

/// The slot's timer is due.
#[inline]
fn rings(slot: &Slot, now: Stamp) -> bool {
    slot.timer != Timer::None && now.reached(slot.due)
}
