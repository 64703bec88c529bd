//! UDP (RFC 768) as a load tester needs it: a client on one slot at a time. A server keeps nothing
//! of anybody, so it needs no room: what comes is answered where it is received.
//!
//! The promise of this room: given a slot, an event and a time, it changes the slot, counts what
//! happened and says whether one datagram goes out at once. It never sees a frame or a clock.
//!
//! What TCP counts in bytes is counted in datagrams here, from 0 in each connection: `snd_end` are
//! asked for, `snd_nxt` sent, `snd_una` answered or given up. So whatever was sent is answered or
//! counted as lost, once, at the latest when its connection ends.
//!
//! An answer does not say what it answers. A pace that goes on meanwhile tells a late one from a
//! lost one by the fewest datagrams that waited within a time-out (`snd_wnd`): if these are more
//! than ever before (`rcv_nxt`), the difference is lost.

#[cfg(test)]
mod tests;

use crate::conn::{Slot, SlotFlags, State, Timer};
use crate::plan::CorePlan;
use crate::stats::{Count, Writer};
use crate::time::{Interval, Stamp};

/// A connection with so many datagrams waiting for a place asks for no more.
const BACKLOG: u32 = 1024;
/// A pace that is behind by more than this forgets what it missed, in microseconds.
const LONGEST_LAG_US: u64 = 1_000_000;

/// How many datagrams usually wait is not known: the first answers are still under way.
const UNKNOWN: u32 = u32::MAX;
/// It is not known yet, but what waits from now on is usual.
const WARM: u32 = u32::MAX - 1;

/// When the next datagrams go out.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// Never: there is one request on each connection.
    Once,
    /// An interval after the last, whatever was answered.
    Every(Interval),
    /// As soon as one is answered, so that always equally many are under way.
    Answered,
}

/// The UDP client of one core: settings, and what rounding cut off. It owns no connection.
#[derive(Clone, Copy, Debug)]
pub struct Udp {
    pace: Pace,
    /// Datagrams at one instant.
    pipeline: u32,
    /// Datagrams on one connection; 0: no end.
    requests: u32,
    /// How long an answer is waited for.
    retransmit_units: u32,
    longest_lag_units: u32,
    /// From our units to those that times are counted in.
    rtt_shift: u32,
    /// Nothing that comes is looked at.
    flood: bool,
    /// Datagrams that wait for an answer at the end of each interval though none is lost; at first
    /// nobody knows.
    usual: u32,
    rest: u32,
    /// No new request; what is open is closed.
    pub draining: bool,
}

impl Udp {
    /// A client for `plan`.
    pub fn new(plan: &CorePlan<'_>) -> Udp {
        let pace = match plan.keepalive.map(|kept| kept.interval_us) {
            None => Pace::Once,
            Some(0) => Pace::Answered,
            Some(interval_us) => Pace::Every(Interval::from_us(plan.rate, interval_us)),
        };
        let retransmit_units = plan.rate.units_from_us(u64::from(plan.retransmit_timeout_us));
        let patient = match pace {
            Pace::Every(interval) => interval.units() >= retransmit_units,
            Pace::Once | Pace::Answered => true,
        };
        Udp {
            pace,
            pipeline: u32::from(plan.pipeline.max(1)),
            requests: plan.keepalive.map_or(1, |kept| u32::from(kept.requests)),
            retransmit_units,
            // Within a long interval every answer has its time.
            usual: if patient { 0 } else { UNKNOWN },
            longest_lag_units: plan.rate.units_from_us(LONGEST_LAG_US),
            rtt_shift: plan.rate.coarseness(),
            flood: plan.flood,
            rest: 0,
            draining: false,
        }
    }

    /// Opens a connection in a closed slot: its first datagram.
    #[inline]
    pub fn open(&mut self, slot: &mut Slot, stats: &mut Writer<'_>, now: Stamp) -> bool {
        slot.state = State::Established;
        slot.flags &= SlotFlags::PLACES;
        (slot.snd_una, slot.snd_nxt, slot.snd_end) = (0, 0, 0);
        slot.fraction = 0;
        slot.sent_at = now;
        (slot.snd_wnd, slot.rcv_nxt) = (u32::MAX, self.usual);
        stats.inc(Count::SkOpen);
        self.ask(slot, self.pipeline);
        match self.pace {
            Pace::Every(interval) if !self.is_over(slot) => {
                slot.timer = Timer::Pace;
                slot.due = now.after(interval.next(&mut slot.fraction, &mut self.rest));
            }
            _ => self.wait(slot, now),
        }
        self.send(slot, stats)
    }

    /// One answer came. A datagram that nobody waits for is dropped.
    #[inline]
    pub fn on_datagram(&mut self, slot: &mut Slot, stats: &mut Writer<'_>, now: Stamp) -> bool {
        if self.flood {
            return false;
        }
        if slot.is_closed() || waiting(slot) == 0 {
            stats.inc(Count::UdpDrop);
            return false;
        }
        slot.snd_una = slot.snd_una.wrapping_add(1);
        if let Pace::Once = self.pace {
            stats.inc(Count::RttCount);
            stats.add(Count::RttUnits, u64::from(now.since(slot.sent_at)) << self.rtt_shift);
        }
        if self.is_over(slot) && slot.snd_una == slot.snd_end {
            close(slot, stats);
        } else if let Pace::Answered = self.pace {
            self.refill(slot, now);
        }
        self.send(slot, stats)
    }

    /// A flood on connections that have no end: nothing but the clock tells what happens. The
    /// interval, if it is one.
    pub fn endless(&self) -> Option<Interval> {
        match self.pace {
            Pace::Every(interval) if self.flood && self.requests == 0 && !self.draining => {
                Some(interval)
            }
            _ => None,
        }
    }

    /// A tick of an [`Udp::endless`] flood: what is due is asked for, and up to `most` of what was
    /// asked for goes; so many are returned. Zero, and nothing changed, if anything is not usual.
    #[inline(always)]
    pub fn tick_endless(
        &mut self,
        slot: &mut Slot,
        interval: Interval,
        most: u32,
        now: Stamp,
    ) -> u32 {
        // What is not due yet lags by more than any span.
        if slot.timer != Timer::Pace || now.since(slot.due) > self.longest_lag_units {
            return 0;
        }
        self.catch_up(slot, interval, u32::MAX, now);
        let count = unsent(slot).min(most);
        slot.snd_nxt = slot.snd_nxt.wrapping_add(count);
        count
    }

    /// Asks for what is due, interval by interval, but for no more than `left` datagrams.
    #[inline(always)]
    fn catch_up(&mut self, slot: &mut Slot, interval: Interval, left: u32, now: Stamp) {
        let (mut due, mut asked) = (slot.due, unsent(slot));
        let most = asked.saturating_add(left);
        while now.reached(due) && asked < most.min(BACKLOG) {
            asked = (asked + self.pipeline).min(most);
            due = due.after(interval.next(&mut slot.fraction, &mut self.rest));
        }
        slot.due = due;
        slot.snd_end = slot.snd_nxt.wrapping_add(asked);
    }

    /// The slot's timer rang.
    #[inline]
    pub fn on_timer(&mut self, slot: &mut Slot, stats: &mut Writer<'_>, now: Stamp) -> bool {
        match (core::mem::take(&mut slot.timer), self.pace) {
            (Timer::Pace, Pace::Every(interval)) => self.tick(slot, interval, stats, now),
            (Timer::Retransmit, _) => self.give_up(slot, stats, now),
            _ => {}
        }
        self.send(slot, stats)
    }

    /// What a connection in the ready list sends.
    #[inline]
    pub fn ready(&mut self, slot: &mut Slot, stats: &mut Writer<'_>) -> bool {
        self.send(slot, stats)
    }

    /// More can be sent at once: the slot belongs into the ready list.
    #[inline]
    pub fn wants_more(&self, slot: &Slot) -> bool {
        !slot.is_closed() && slot.snd_nxt != slot.snd_end
    }

    /// The run ends: a connection that waits for no answer is closed, any other when that came.
    /// Nothing goes out.
    pub fn drain(&mut self, slot: &mut Slot, stats: &mut Writer<'_>, now: Stamp) -> bool {
        if slot.is_closed() {
            return false;
        }
        slot.snd_end = slot.snd_nxt;
        if self.flood || waiting(slot) == 0 {
            close(slot, stats);
        } else if slot.timer == Timer::Pace {
            self.wait(slot, now);
        }
        false
    }

    /// An interval is over: the next datagrams are due, also those of intervals that were missed.
    #[inline]
    fn tick(&mut self, slot: &mut Slot, interval: Interval, stats: &mut Writer<'_>, now: Stamp) {
        if !self.flood {
            self.judge(slot, stats, now);
        }
        if now.since(slot.due) > self.longest_lag_units {
            slot.due = now;
        }
        self.catch_up(slot, interval, self.left(slot), now);
        if self.is_over(slot) {
            self.wait(slot, now);
        } else {
            slot.timer = Timer::Pace;
        }
    }

    /// Once in a time-out: what waited all the time, and did not before, is lost.
    fn judge(&self, slot: &mut Slot, stats: &mut Writer<'_>, now: Stamp) {
        slot.snd_wnd = slot.snd_wnd.min(waiting(slot));
        if slot.snd_wnd == 0 {
            slot.rcv_nxt = 0;
        }
        if now.since(slot.sent_at) < self.retransmit_units {
            return;
        }
        let lost = slot.snd_wnd.saturating_sub(slot.rcv_nxt);
        stats.add(Count::UdpRt, u64::from(lost));
        slot.snd_una = slot.snd_una.wrapping_add(lost);
        slot.rcv_nxt = match slot.rcv_nxt {
            UNKNOWN => WARM,
            usual => usual.min(slot.snd_wnd),
        };
        slot.snd_wnd = u32::MAX;
        slot.sent_at = now;
    }

    /// Nothing came for too long: what is not answered is lost. A row that never ends begins anew,
    /// else a lost datagram would be missing from it for ever.
    fn give_up(&mut self, slot: &mut Slot, stats: &mut Writer<'_>, now: Stamp) {
        stats.add(Count::UdpRt, u64::from(waiting(slot)));
        slot.snd_una = slot.snd_nxt;
        match self.pace {
            Pace::Answered if !self.is_over(slot) => self.refill(slot, now),
            _ => close(slot, stats),
        }
    }

    /// Asks for as many datagrams as were answered. Once in a time-out the row runs empty first:
    /// what is missing then is lost, however steadily the others are answered.
    #[inline]
    fn refill(&mut self, slot: &mut Slot, now: Stamp) {
        if slot.snd_una == slot.snd_end {
            slot.sent_at = now;
        }
        if now.since(slot.sent_at) < self.retransmit_units && !self.is_over(slot) {
            let under_way = slot.snd_end.wrapping_sub(slot.snd_una);
            self.ask(slot, self.pipeline.saturating_sub(under_way));
        }
        self.wait(slot, now);
    }

    /// Asks for `count` more datagrams, as far as the connection may have them.
    #[inline]
    fn ask(&self, slot: &mut Slot, count: u32) {
        slot.snd_end = slot.snd_end.wrapping_add(count.min(self.left(slot)));
    }

    /// Datagrams that the connection may still ask for, if it ends; else more than can be.
    #[inline]
    fn left(&self, slot: &Slot) -> u32 {
        match (self.draining, self.requests) {
            (true, _) => 0,
            (false, 0) => u32::MAX,
            (false, requests) => requests.saturating_sub(slot.snd_end),
        }
    }

    /// Nothing more will be asked for.
    #[inline]
    fn is_over(&self, slot: &Slot) -> bool {
        self.left(slot) == 0
    }

    /// From now on an answer is waited for.
    #[inline]
    fn wait(&self, slot: &mut Slot, now: Stamp) {
        slot.timer = if self.flood { Timer::None } else { Timer::Retransmit };
        slot.due = now.after(self.retransmit_units);
    }

    /// True if one datagram goes out; the last one of a flood closes its connection.
    #[inline]
    fn send(&self, slot: &mut Slot, stats: &mut Writer<'_>) -> bool {
        if slot.is_closed() || slot.snd_nxt == slot.snd_end {
            return false;
        }
        slot.snd_nxt = slot.snd_nxt.wrapping_add(1);
        if self.flood && self.is_over(slot) && slot.snd_nxt == slot.snd_end {
            close(slot, stats);
        }
        true
    }
}

/// Datagrams sent and not answered.
#[inline]
fn waiting(slot: &Slot) -> u32 {
    slot.snd_nxt.wrapping_sub(slot.snd_una)
}

/// Datagrams asked for and not sent.
#[inline]
fn unsent(slot: &Slot) -> u32 {
    slot.snd_end.wrapping_sub(slot.snd_nxt)
}

/// Ends the connection.
#[inline]
fn close(slot: &mut Slot, stats: &mut Writer<'_>) {
    slot.state = State::Closed;
    slot.timer = Timer::None;
    slot.flags &= SlotFlags::PLACES;
    stats.inc(Count::SkClose);
}
