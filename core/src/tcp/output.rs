//! Which segment goes next, and what a timer does.

use crate::conn::slot::NO_SCALE;
use crate::conn::{Slot, SlotFlags, State, Timer};
use crate::plan::Role;
use crate::stats::Count;
use crate::time::Stamp;
use crate::wire::tcp::TcpFlags;

use super::sequence::{after, before, latest};
use super::server::header_bytes;
use super::{PROBES_MAX, RETRIES_MAX, Reply, Tcp};

/// Segments that are worth to wait for, so that they go out together.
const TOGETHER: u32 = 16;

/// Where a segment stands among those that go out together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the first, if it is not better to wait.
    First,
    /// It follows others.
    Next,
}

impl Tcp<'_> {
    /// The next segment of new (or again sent) data, with the FIN if it is due; `None` when the
    /// windows are full or there is nothing to send.
    #[inline(never)]
    pub(super) fn output(&mut self, slot: &mut Slot, now: Stamp) -> Option<Reply> {
        self.next_segment(slot, now, Place::Next)
    }

    /// As [`Tcp::output`], for the two places where a call is too dear.
    #[inline(always)]
    pub(super) fn next_segment(
        &mut self,
        slot: &mut Slot,
        now: Stamp,
        place: Place,
    ) -> Option<Reply> {
        if slot.snd_nxt == slot.snd_last() || slot.state <= State::SynReceived {
            return None;
        }
        let left = slot.snd_end.wrapping_sub(slot.snd_nxt);
        let most = u32::from(slot.mss).min(slot.snd_wnd).min(self.settings.message_bytes);
        let is_rest = slot.in_flight() == 0 && left <= most && !self.holds_two(slot, left);
        if is_rest && !self.settings.fast_close {
            return Some(self.rest(slot, left, now));
        }
        self.part(slot, left, now, place)
    }

    /// All of the `left` bytes, which belong to one message, and the FIN if it is due; nothing else
    /// is in flight.
    #[inline(always)]
    fn rest(&mut self, slot: &mut Slot, left: u32, now: Stamp) -> Reply {
        let fin = slot.flags.contains(SlotFlags::FIN_QUEUED);
        let mut flags = TcpFlags::ACK;
        flags.set(TcpFlags::PSH, left > 0);
        flags.set(TcpFlags::FIN, fin);
        let reply = self.data(slot, left as u16, left, flags);
        slot.snd_nxt = slot.snd_last();
        slot.snd_max = slot.snd_nxt;
        if fin {
            self.fin_sent(slot);
        }
        self.arm(slot, Timer::Retransmit, self.settings.retransmit_units, now);
        reply
    }

    /// As much of the `left` bytes as the windows allow.
    #[inline(never)]
    fn part(&mut self, slot: &mut Slot, left: u32, now: Stamp, place: Place) -> Option<Reply> {
        if left == 0 && self.settings.fast_close {
            return Some(self.close_fast(slot));
        }
        let of_message = self.message_left(slot, left);
        let waits = place == Place::First && waits_for_company(slot, of_message);
        let payload_bytes = if waits { 0 } else { self.sendable(slot, of_message) };
        if left > 0 && payload_bytes == 0 {
            // Nothing fits although nothing is out (any more): the window is closed.
            let closed = slot.snd_nxt == slot.snd_una;
            let timer = if closed { Timer::Persist } else { Timer::Retransmit };
            if slot.timer != timer {
                slot.retries = 0;
                self.arm(slot, timer, self.settings.retransmit_units, now);
            }
            return None;
        }
        let last = payload_bytes == left;
        let fin = last && slot.flags.contains(SlotFlags::FIN_QUEUED);
        let mut flags = TcpFlags::ACK;
        flags.set(TcpFlags::PSH, payload_bytes > 0 && payload_bytes == of_message);
        flags.set(TcpFlags::FIN, fin);
        let reply = self.data(slot, payload_bytes as u16, of_message, flags);
        if before(slot.snd_nxt, slot.snd_max) {
            self.count_repeated(&reply);
        }
        slot.snd_nxt = slot.snd_nxt.wrapping_add(payload_bytes + u32::from(fin));
        slot.snd_max = latest(slot.snd_max, slot.snd_nxt);
        if fin {
            self.fin_sent(slot);
        }
        if slot.timer != Timer::Retransmit {
            self.arm(slot, Timer::Retransmit, self.settings.retransmit_units, now);
        }
        Some(reply)
    }

    /// The connection ends with a RST where a FIN would be (`fast_close`).
    fn close_fast(&mut self, slot: &mut Slot) -> Reply {
        self.close(slot);
        Reply::bare(slot.snd_max, slot.rcv_nxt, TcpFlags::RST | TcpFlags::ACK)
    }

    /// Of the `left` bytes to be sent, those to the end of the message that begins or goes on
    /// there. Messages are equal, so they are told apart from behind.
    #[inline]
    fn message_left(&self, slot: &Slot, left: u32) -> u32 {
        if self.ends_with_header(slot) {
            return self.before_header(left).map_or(left, |before| self.equal_left(before));
        }
        self.equal_left(left)
    }

    /// As [`Tcp::message_left`], all messages being equal.
    #[inline]
    fn equal_left(&self, left: u32) -> u32 {
        if left > self.settings.message_bytes {
            (left - 1) % self.settings.message_bytes.max(1) + 1
        } else {
            left
        }
    }

    /// The last message is a header without its body.
    #[inline]
    pub(super) fn ends_with_header(&self, slot: &Slot) -> bool {
        self.settings.role == Role::Server && slot.flags.contains(SlotFlags::HEADER_LAST)
    }

    /// The `left` bytes, though no more than a message has, are the end of one and a header without
    /// its body.
    #[inline]
    fn holds_two(&self, slot: &Slot, left: u32) -> bool {
        self.ends_with_header(slot) && self.before_header(left).is_some()
    }

    /// Of the `left` bytes, those before the header without body; none if they are part of it.
    #[cold]
    fn before_header(&self, left: u32) -> Option<u32> {
        left.checked_sub(header_bytes(self.settings.message_bytes)).filter(|before| *before > 0)
    }

    /// Length of the message that the next segment is a part of.
    #[inline]
    fn next_message_bytes(&self, slot: &Slot) -> u32 {
        let whole = self.settings.message_bytes;
        if !self.ends_with_header(slot) {
            return whole;
        }
        let left = slot.snd_end.wrapping_sub(slot.snd_nxt);
        self.before_header(left).map_or(header_bytes(whole), |_| whole)
    }

    /// How many of the bytes `of_message` may go out now in one segment: the smallest of the peer's
    /// MSS, its window and ours; a sliver only when nothing is in flight (RFC 9293, 3.8.6.2.1).
    #[inline]
    fn sendable(&self, slot: &Slot, of_message: u32) -> u32 {
        let in_flight = slot.snd_nxt.wrapping_sub(slot.snd_una);
        let whole = of_message.min(u32::from(slot.mss));
        let room = window(slot).saturating_sub(in_flight);
        if room >= whole {
            whole
        } else if in_flight == 0 {
            room
        } else {
            0
        }
    }

    /// A segment from `snd_nxt` on, in a message of which `of_message` bytes are left.
    #[inline]
    fn data(
        &mut self,
        slot: &mut Slot,
        payload_bytes: u16,
        of_message: u32,
        flags: TcpFlags,
    ) -> Reply {
        slot.flags.remove(SlotFlags::ACK_OWED);
        Reply {
            seq: slot.snd_nxt,
            ack: slot.rcv_nxt,
            flags,
            payload_bytes,
            payload_at: self.next_message_bytes(slot).wrapping_sub(of_message),
            scaled: true,
        }
    }

    fn fin_sent(&mut self, slot: &mut Slot) {
        slot.state = match slot.state {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            repeated => repeated,
        };
    }

    fn count_repeated(&mut self, reply: &Reply) {
        self.stats.inc(if reply.payload_bytes > 0 { Count::PushRt } else { Count::FinRt });
    }

    /// The ACK that says what we have.
    #[inline]
    pub fn acknowledge(&mut self, slot: &mut Slot) -> Reply {
        slot.flags.remove(SlotFlags::ACK_OWED);
        Reply::bare(slot.snd_max, slot.rcv_nxt, TcpFlags::ACK)
    }

    /// What a connection in the ready list sends: data, or the ACK it owes.
    pub fn ready(&mut self, slot: &mut Slot, now: Stamp) -> Option<Reply> {
        if slot.is_closed() {
            return None;
        }
        let reply = self.output(slot, now);
        let owes = slot.flags.contains(SlotFlags::ACK_OWED);
        reply.or_else(|| owes.then(|| self.acknowledge(slot)))
    }

    /// More could be sent at once, or an ACK is owed: the slot belongs into the ready list.
    #[inline]
    pub fn wants_more(&self, slot: &Slot) -> bool {
        if slot.flags.contains(SlotFlags::ACK_OWED) {
            return true;
        }
        if slot.snd_nxt == slot.snd_last() || slot.state <= State::SynReceived {
            return false;
        }
        let left = slot.snd_end.wrapping_sub(slot.snd_nxt);
        left == 0 || self.sendable(slot, self.message_left(slot, left)) > 0
    }

    /// The slot's timer rang.
    #[inline(always)]
    pub fn on_timer(&mut self, slot: &mut Slot, now: Stamp) -> Option<Reply> {
        match core::mem::take(&mut slot.timer) {
            Timer::Pace => self.next_request(slot, now),
            trouble => self.on_trouble(trouble, slot, now),
        }
    }

    /// A timer rang that is to ring only if something goes wrong.
    #[inline(never)]
    fn on_trouble(&mut self, timer: Timer, slot: &mut Slot, now: Stamp) -> Option<Reply> {
        match timer {
            Timer::None | Timer::Pace => None,
            Timer::Retransmit => self.retransmit(slot, now),
            Timer::Persist => self.probe(slot, now),
            Timer::Idle => Some(self.give_up(slot)),
        }
    }

    /// Sends everything that is not acknowledged again, from the oldest on, one segment now and the
    /// rest as ACKs come; waits twice as long for the next try (RFC 6298, 5.4 to 5.6).
    fn retransmit(&mut self, slot: &mut Slot, now: Stamp) -> Option<Reply> {
        if slot.retries >= RETRIES_MAX {
            self.fail(slot, Count::SkErrTimeout);
            return None;
        }
        slot.retries += 1;
        slot.flags.insert(SlotFlags::RETRANSMITTED);
        slot.cwnd = 1;
        slot.dup_acks = 0;
        let wait = self.settings.retransmit_units << slot.retries;
        self.arm(slot, Timer::Retransmit, wait, now);
        match slot.state {
            State::SynSent => {
                self.stats.inc(Count::SynRt);
                Some(Reply::bare(slot.snd_una, 0, TcpFlags::SYN))
            }
            State::SynReceived => Some(self.repeat_syn_ack(slot)),
            _ => {
                slot.snd_nxt = slot.snd_una;
                self.output(slot, now)
            }
        }
    }

    /// The SYN-ACK once more.
    pub(super) fn repeat_syn_ack(&mut self, slot: &mut Slot) -> Reply {
        self.stats.inc(Count::SynRt);
        slot.flags.insert(SlotFlags::RETRANSMITTED);
        Tcp::syn_ack(slot)
    }

    /// A SYN-ACK; it offers a window scale only if the SYN did (RFC 7323, 2.2).
    pub(super) fn syn_ack(slot: &Slot) -> Reply {
        let scaled = slot.wscale != NO_SCALE;
        let flags = TcpFlags::SYN | TcpFlags::ACK;
        Reply { scaled, ..Reply::bare(slot.snd_una, slot.rcv_nxt, flags) }
    }

    /// The oldest segment once more, after three duplicate ACKs (RFC 5681, 3.2).
    pub(super) fn fast_retransmit(&mut self, slot: &mut Slot, now: Stamp) -> Option<Reply> {
        slot.flags.insert(SlotFlags::RETRANSMITTED);
        slot.cwnd = 1;
        slot.snd_nxt = slot.snd_una;
        self.output(slot, now)
    }

    /// One byte into a closed window (RFC 9293, 3.8.6.1): its ACK tells when the window opens.
    fn probe(&mut self, slot: &mut Slot, now: Stamp) -> Option<Reply> {
        if slot.retries >= PROBES_MAX {
            self.fail(slot, Count::SkErrTimeout);
            return None;
        }
        let wait = self.settings.retransmit_units << slot.retries.min(RETRIES_MAX);
        slot.retries += 1;
        self.arm(slot, Timer::Persist, wait, now);
        if !before(slot.snd_nxt, slot.snd_end) {
            return None;
        }
        let of_message = self.message_left(slot, slot.snd_end.wrapping_sub(slot.snd_nxt));
        let reply = self.data(slot, 1, of_message, TcpFlags::ACK);
        if !after(slot.snd_max, slot.snd_nxt) {
            slot.snd_max = slot.snd_nxt.wrapping_add(1);
        }
        Some(reply)
    }

    /// Nothing came for too long: the peer is told, the connection has failed.
    fn give_up(&mut self, slot: &mut Slot) -> Reply {
        let awaiting =
            self.settings.role == Role::Client && slot.flags.contains(SlotFlags::AWAITING);
        self.abort(slot, if awaiting { Count::SkErrResponse } else { Count::SkErrIdle })
    }

    /// Ends a failed connection with a RST.
    pub(super) fn abort(&mut self, slot: &mut Slot, kind: Count) -> Reply {
        let reply = Reply::bare(slot.snd_max, slot.rcv_nxt, TcpFlags::RST | TcpFlags::ACK);
        self.fail(slot, kind);
        reply
    }
}

/// Bytes that may be in flight: the peer's window and ours.
#[inline]
fn window(slot: &Slot) -> u32 {
    slot.snd_wnd.min(u32::from(slot.cwnd) * u32::from(slot.mss))
}

/// An ACK that comes soon, for there is data in flight, leaves room for several segments of the
/// message, of which `of_message` bytes are left: they go back to back then, and their receiver
/// answers them with one ACK, not each with its own. Half of the window is enough (RFC 9293,
/// 3.8.6.2.1), and a receiver that delays ACKs has two segments or more to answer.
fn waits_for_company(slot: &Slot, of_message: u32) -> bool {
    let (window, mss) = (window(slot), u32::from(slot.mss));
    let room = window.saturating_sub(slot.snd_nxt.wrapping_sub(slot.snd_una));
    window >= 4 * mss && room < (window / 2).min(TOGETHER * mss).min(of_message)
}
