//! The client's side of the exchange: open, request, judge the answer, pace, close.

use crate::conn::{Slot, SlotFlags, State, Timer};
use crate::http::{Event, Kind, Message};
use crate::plan::{Messages, Role};
use crate::stats::Count;
use crate::time::{Interval, Stamp};
use crate::wire::tcp::TcpFlags;

use super::output::Place;
use super::{Reply, Tcp};

impl Tcp<'_> {
    /// Opens a connection in a closed slot: the SYN.
    #[inline]
    pub fn open(&mut self, slot: &mut Slot, now: Stamp) -> Reply {
        self.begin(slot, State::SynSent, now);
        Reply::bare(slot.snd_una, 0, TcpFlags::SYN)
    }

    /// Queues one request.
    #[inline]
    pub(super) fn request(&mut self, slot: &mut Slot, now: Stamp) {
        slot.snd_end = slot.snd_end.wrapping_add(self.settings.message_bytes);
        slot.sent_at = now;
        slot.flags.insert(SlotFlags::AWAITING);
        self.stats.inc(match self.settings.messages {
            Messages::HttpGet => Count::HttpGet,
            Messages::HttpPost => Count::HttpPost,
            Messages::Raw => Count::TcpReq,
        });
    }

    /// New bytes of the answer.
    #[inline(always)]
    pub(super) fn on_response_bytes(&mut self, slot: &mut Slot, bytes: &[u8], now: Stamp) {
        if self.settings.messages == Messages::Raw {
            // The first bytes are the answer; what follows belongs to it.
            if slot.flags.contains(SlotFlags::AWAITING) {
                self.on_whole_response(slot, Message::default(), now);
            }
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() && slot.flags.contains(SlotFlags::AWAITING) {
            let outcome = slot.http.scan_with(&mut self.memo, Kind::Response, rest);
            rest = rest.get(outcome.consumed..).unwrap_or_default();
            match outcome.event {
                Event::More => break,
                Event::Complete(message) => self.on_whole_response(slot, message, now),
                Event::Broken(_) => self.on_bad_response(slot, now),
            }
        }
    }

    /// A whole response.
    #[inline(always)]
    pub(super) fn on_whole_response(&mut self, slot: &mut Slot, message: Message, now: Stamp) {
        self.stats.inc(match (self.settings.messages, message.class) {
            (Messages::Raw, _) => Count::TcpRsp,
            (_, 2) => Count::Http2xx,
            _ => Count::HttpErr,
        });
        self.on_response(slot, message.close, now);
    }

    /// The answer breaks HTTP: it is counted and the connection ends.
    #[cold]
    fn on_bad_response(&mut self, slot: &mut Slot, now: Stamp) {
        self.stats.inc(Count::HttpErr);
        self.on_response(slot, true, now);
    }

    /// The answer is complete: the next request is due, or the connection ends.
    #[inline]
    fn on_response(&mut self, slot: &mut Slot, peer_closes: bool, now: Stamp) {
        slot.flags.remove(SlotFlags::AWAITING);
        slot.flags.insert(SlotFlags::SERVED);
        match self.settings.keepalive {
            Some((interval, _)) if !peer_closes && !self.draining && slot.requests_left != 1 => {
                slot.requests_left = slot.requests_left.saturating_sub(1);
                self.pace(slot, interval, now);
            }
            _ => slot.flags.insert(SlotFlags::FIN_QUEUED),
        }
    }

    /// The next request is due one interval after the last one was; at once if that is past. The
    /// answer's ACK waits for it, unless that takes too long.
    #[inline(never)]
    fn pace(&mut self, slot: &mut Slot, interval: Interval, now: Stamp) {
        let units = interval.next(&mut slot.fraction, &mut self.rest);
        let waited = now.since(slot.sent_at);
        if waited >= units {
            self.request(slot, now);
            // What is late by less than an interval is made up for.
            let late = waited - units;
            slot.sent_at.0 = slot.sent_at.0.wrapping_sub(if late < units { late } else { 0 });
            return;
        }
        let left = units - waited;
        self.arm(slot, Timer::Pace, left, now);
        if left < self.settings.ack_wait_units {
            slot.flags.remove(SlotFlags::ACK_OWED);
        }
    }

    /// The pace timer rang: the next request, or the end.
    #[inline(always)]
    pub(super) fn next_request(&mut self, slot: &mut Slot, now: Stamp) -> Option<Reply> {
        if slot.state != State::Established {
            return None;
        }
        if self.draining {
            slot.flags.insert(SlotFlags::FIN_QUEUED);
        } else {
            self.request(slot, now);
            // The next one is counted from when this one was due, lest small delays add up.
            if now.since(slot.due) <= self.settings.retransmit_units {
                slot.sent_at = slot.due;
            }
        }
        // The answer's ACK may have waited for this.
        self.next_segment(slot, now, Place::First).or_else(|| Some(self.acknowledge(slot)))
    }

    /// Nothing is in flight any more. A client whose answer came before all of its request was
    /// acknowledged returns to its pace, or closes if the run ends; false for any other.
    #[inline]
    pub(super) fn pace_again(&mut self, slot: &mut Slot, now: Stamp) -> bool {
        let facts = SlotFlags::AWAITING | SlotFlags::SERVED | SlotFlags::FIN_QUEUED;
        let waits = slot.flags & facts == SlotFlags::SERVED && slot.state == State::Established;
        match self.settings.keepalive {
            Some(_) if waits && self.settings.role == Role::Client && self.draining => {
                slot.flags.insert(SlotFlags::FIN_QUEUED);
                false
            }
            Some((interval, _)) if waits && self.settings.role == Role::Client => {
                let waited = now.since(slot.sent_at).min(interval.units());
                self.arm(slot, Timer::Pace, interval.units() - waited, now);
                true
            }
            _ => false,
        }
    }

    /// The run ends: a connection that only waits for its next request is closed now.
    pub fn drain(&mut self, slot: &mut Slot, now: Stamp) -> Option<Reply> {
        if slot.state != State::Established || slot.timer != Timer::Pace {
            return None;
        }
        slot.timer = Timer::None;
        self.next_request(slot, now)
    }

    /// The peer has finished: an answer without a length ends here, any other must be complete.
    pub(super) fn on_response_end(&mut self, slot: &mut Slot, now: Stamp) {
        if slot.flags.contains(SlotFlags::AWAITING) {
            match slot.http.finish(Kind::Response) {
                Event::Complete(message) => self.on_whole_response(slot, message, now),
                Event::More | Event::Broken(_) => self.on_bad_response(slot, now),
            }
        }
        slot.flags.insert(SlotFlags::FIN_QUEUED);
    }
}

#[cfg(test)]
mod tests;
