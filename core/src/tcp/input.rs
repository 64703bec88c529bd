//! What a segment does to a connection (RFC 9293, 3.10.7, with RFC 5961's care).

use crate::conn::slot::NO_SCALE;
use crate::conn::{Slot, SlotFlags, State, Timer};
use crate::http::Message;
use crate::plan::{Messages, Role};
use crate::stats::Count;
use crate::time::Stamp;
use crate::wire::tcp::{MAX_WINDOW_SCALE, TcpFlags};

use super::output::Place;
use super::sequence::{after, before, within};
use super::{RETRIES_MAX, Reply, Segment, Tcp, WINDOW, WINDOW_SCALE};

/// An acknowledgment older than the largest window there can be is a blind guess (RFC 5961, 5.2).
const OLDEST_ACK: u32 = 1 << 30;

impl Tcp<'_> {
    /// One segment of a known tuple. `payload` are its bytes; they are read only where they are
    /// new and in order.
    #[inline]
    pub fn on_segment(
        &mut self,
        slot: &mut Slot,
        segment: &Segment,
        payload: &[u8],
        now: Stamp,
    ) -> Option<Reply> {
        match self.predicted(slot, segment) {
            Some(message) => self.on_predicted(slot, segment, message, now),
            None if self.completes(slot, segment) => {
                self.on_last_ack(slot, segment, now);
                None
            }
            None => self.on_any(slot, segment, payload, now),
        }
    }

    /// The message that the segment brings, if it is what nearly every one is: the next data, one
    /// whole message as it came before, an ACK of everything sent, nothing else, on a connection
    /// that has not begun to close.
    #[inline(always)]
    pub(crate) fn predicted(&self, slot: &Slot, segment: &Segment) -> Option<Message> {
        let role = self.settings.role;
        let usual = segment.flags | TcpFlags::PSH == TcpFlags::PSH | TcpFlags::ACK
            && segment.seq == slot.rcv_nxt
            && segment.ack == slot.snd_max
            && segment.payload_bytes > 0
            && matches!(slot.state, State::SynReceived | State::Established)
            && !slot.flags.intersects(SlotFlags::FIN_QUEUED.union(SlotFlags::ACK_OWED))
            && (role == Role::Server || slot.flags.contains(SlotFlags::AWAITING))
            && slot.http.is_idle();
        if !usual {
            return None;
        }
        match self.settings.messages {
            Messages::Raw => Some(Message::default()),
            Messages::HttpGet | Messages::HttpPost => self.memo.numbered(segment.known),
        }
    }

    /// What [`Tcp::on_any`] would do with a predicted segment, in fewer steps.
    #[inline(always)]
    pub(crate) fn on_predicted(
        &mut self,
        slot: &mut Slot,
        segment: &Segment,
        message: Message,
        now: Stamp,
    ) -> Option<Reply> {
        self.on_last_ack(slot, segment, now);
        slot.state = State::Established;
        slot.rcv_nxt = slot.rcv_nxt.wrapping_add(u32::from(segment.payload_bytes));
        slot.flags.insert(SlotFlags::ACK_OWED);
        match self.settings.role {
            Role::Client => self.on_whole_response(slot, message, now),
            Role::Server => self.on_whole_request(slot, message),
        }
        self.next_segment(slot, now, Place::First)
    }

    /// The segment does nothing but acknowledge everything that there was to be sent, on a
    /// connection that has not begun to close: what follows the last answer for a while.
    #[inline(always)]
    pub(crate) fn completes(&self, slot: &Slot, segment: &Segment) -> bool {
        let waits = self.settings.role == Role::Server || slot.flags.contains(SlotFlags::AWAITING);
        segment.flags == TcpFlags::ACK
            && segment.payload_bytes == 0
            && segment.seq == slot.rcv_nxt
            && segment.ack == slot.snd_max
            && segment.ack == slot.snd_end
            && slot.state == State::Established
            && slot.timer == Timer::Retransmit
            && slot.in_flight() > 0
            && waits
            && !slot.flags.intersects(SlotFlags::FIN_QUEUED.union(SlotFlags::ACK_OWED))
    }

    /// All that was sent is acknowledged, on a connection that has not begun to close. Of a segment
    /// that [`Tcp::completes`] it is all that [`Tcp::on_any`] would do.
    #[inline(always)]
    pub(crate) fn on_last_ack(&mut self, slot: &mut Slot, segment: &Segment, now: Stamp) {
        slot.snd_una = segment.ack;
        slot.snd_nxt = segment.ack;
        slot.retries = 0;
        slot.dup_acks = 0;
        slot.cwnd = slot.cwnd.saturating_add(1).min(self.settings.send_window);
        slot.snd_wnd = slot.scale(segment.window);
        slot.flags.remove(SlotFlags::RETRANSMITTED);
        self.arm(slot, Timer::Idle, self.settings.idle_units, now);
    }

    /// Any segment in any state.
    #[inline]
    pub(crate) fn on_any(
        &mut self,
        slot: &mut Slot,
        segment: &Segment,
        payload: &[u8],
        now: Stamp,
    ) -> Option<Reply> {
        let Taken { fresh, due } = match self.take(slot, segment, payload, now) {
            Ok(taken) => taken,
            Err(answer) => return answer,
        };
        if !fresh.is_empty() {
            self.read(slot, fresh, now);
        }
        if segment.flags.contains(TcpFlags::FIN) && due != Due::Ack {
            self.on_fin(slot, now);
        }
        self.answer(slot, due, now)
    }

    /// Takes in a segment. `Err` holds the answer of one that goes no further.
    #[inline(always)]
    fn take<'p>(
        &mut self,
        slot: &mut Slot,
        segment: &Segment,
        payload: &'p [u8],
        now: Stamp,
    ) -> Result<Taken<'p>, Option<Reply>> {
        let flags = segment.flags;
        if flags.intersects(TcpFlags::SYN.union(TcpFlags::FIN).union(TcpFlags::RST)) {
            self.stats.add(Count::SynRx, u64::from(flags.contains(TcpFlags::SYN)));
            self.stats.add(Count::FinRx, u64::from(flags.contains(TcpFlags::FIN)));
            self.stats.add(Count::RstRx, u64::from(flags.contains(TcpFlags::RST)));
            if flags.contains(TcpFlags::SYN) && flags.intersects(TcpFlags::FIN.union(TcpFlags::RST))
            {
                self.drop_segment(Count::DropFlags);
                return Err(None);
            }
        }
        match slot.state {
            State::Closed => Err(self.on_closed(slot, segment, now)),
            State::SynSent => {
                self.on_syn_sent(slot, segment, now)?;
                Ok(Taken { fresh: &[], due: Due::DataOrAck })
            }
            _ => self.on_synchronized(slot, segment, payload, now),
        }
    }

    /// CLOSED and LISTEN (3.10.7.1, 3.10.7.2).
    fn on_closed(&mut self, slot: &mut Slot, segment: &Segment, now: Stamp) -> Option<Reply> {
        let flags = segment.flags;
        let opens = flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK);
        if opens && self.settings.role == Role::Server {
            return Some(self.accept(slot, segment, now));
        }
        let end = segment.seq.wrapping_add(segment.len());
        let late = slot.snd_una != 0
            && segment.ack == slot.snd_max
            && end == slot.rcv_nxt
            && !flags.contains(TcpFlags::RST);
        if late {
            if segment.is_empty() {
                return None; // the last ACK, once more
            }
            if self.settings.fast_close {
                return Reply::reset_for(segment); // the peer missed our RST
            }
            self.stats.inc(Count::AckRt);
            return Some(self.acknowledge(slot)); // the peer missed our last ACK
        }
        self.drop_segment(Count::DropNoConnection);
        let listens = self.settings.role == Role::Server;
        if listens && !flags.intersects(TcpFlags::SYN.union(TcpFlags::ACK)) {
            return None; // no listener has anything to say to that (3.10.7.2)
        }
        if self.settings.tcp_rst { Reply::reset_for(segment) } else { None }
    }

    /// A SYN for a closed tuple of the server: SYN-ACK.
    fn accept(&mut self, slot: &mut Slot, segment: &Segment, now: Stamp) -> Reply {
        self.begin(slot, State::SynReceived, now);
        self.take_offer(slot, segment);
        Tcp::syn_ack(slot)
    }

    /// What the peer's SYN says: where it starts, its MSS, scale and window.
    #[inline]
    fn take_offer(&mut self, slot: &mut Slot, segment: &Segment) {
        let offered = if segment.mss == 0 { self.settings.default_mss } else { segment.mss };
        slot.rcv_nxt = segment.seq.wrapping_add(1);
        slot.mss = self.settings.mss.min(offered).max(1);
        slot.wscale = segment.wscale.map_or(NO_SCALE, |shift| shift.min(MAX_WINDOW_SCALE));
        slot.snd_wnd = u32::from(segment.window);
    }

    /// SYN-SENT (3.10.7.3).
    #[inline(always)]
    fn on_syn_sent(
        &mut self,
        slot: &mut Slot,
        segment: &Segment,
        now: Stamp,
    ) -> Result<(), Option<Reply>> {
        let flags = segment.flags;
        let acked = flags.contains(TcpFlags::ACK) && segment.ack == slot.snd_nxt;
        if flags.contains(TcpFlags::ACK) && !acked {
            self.drop_segment(Count::DropSequence);
            return Err(Reply::reset_for(segment));
        }
        if flags.contains(TcpFlags::RST) {
            if acked {
                self.fail(slot, Count::SkErrReset);
            } else {
                self.drop_segment(Count::DropSequence);
            }
            return Err(None);
        }
        if !acked || !flags.contains(TcpFlags::SYN) {
            // A SYN without ACK would be a simultaneous open: a load client never wants one.
            self.drop_segment(Count::DropFlags);
            return Err(None);
        }
        self.take_offer(slot, segment);
        slot.snd_una = segment.ack;
        slot.state = State::Established;
        slot.timer = Timer::None;
        slot.retries = 0;
        if !slot.flags.contains(SlotFlags::RETRANSMITTED) {
            self.stats.inc(Count::RttCount);
            let rtt = u64::from(now.since(slot.sent_at)) << self.settings.rtt_shift;
            self.stats.add(Count::RttUnits, rtt);
        }
        slot.flags.remove(SlotFlags::RETRANSMITTED);
        slot.flags.insert(SlotFlags::ACK_OWED);
        self.request(slot, now);
        Ok(())
    }

    /// Every state from SYN-RECEIVED on (3.10.7.4).
    #[inline(always)]
    fn on_synchronized<'p>(
        &mut self,
        slot: &mut Slot,
        segment: &Segment,
        payload: &'p [u8],
        now: Stamp,
    ) -> Result<Taken<'p>, Option<Reply>> {
        // The usual segment: exactly the next one, an ACK, neither SYN nor RST.
        let usual = TcpFlags::SYN.union(TcpFlags::RST).union(TcpFlags::ACK);
        if segment.seq != slot.rcv_nxt || segment.flags & usual != TcpFlags::ACK {
            self.unusual(slot, segment, now)?;
        }
        self.on_ack(slot, segment, now)?;
        if slot.is_closed() {
            return Err(None);
        }
        Ok(self.on_payload(slot, segment, payload, now))
    }

    /// First to fourth check: sequence, RST, SYN, ACK present. `Err` holds the answer of a segment
    /// that goes no further.
    #[cold]
    #[inline(never)]
    fn unusual(
        &mut self,
        slot: &mut Slot,
        segment: &Segment,
        now: Stamp,
    ) -> Result<(), Option<Reply>> {
        let flags = segment.flags;
        if slot.state == State::SynReceived
            && flags.contains(TcpFlags::SYN)
            && !flags.contains(TcpFlags::ACK)
        {
            return Err(Some(self.syn_again(slot, segment, now)));
        }
        if !acceptable(slot, segment) {
            if flags.contains(TcpFlags::RST) {
                self.drop_segment(Count::DropSequence);
                return Err(None);
            }
            return Err(self.unacceptable(slot, segment));
        }
        if flags.contains(TcpFlags::RST) {
            if segment.seq != slot.rcv_nxt {
                return Err(self.challenge(slot));
            }
            self.on_reset(slot);
            return Err(None);
        }
        if flags.contains(TcpFlags::SYN) {
            return Err(self.challenge(slot));
        }
        if !flags.contains(TcpFlags::ACK) {
            self.drop_segment(Count::DropFlags);
            return Err(None);
        }
        Ok(())
    }

    /// A SYN in SYN-RECEIVED: the same once more, or a new start by a peer that gave up on the
    /// first (3.10.7.4: a passive open returns to LISTEN).
    fn syn_again(&mut self, slot: &mut Slot, segment: &Segment, now: Stamp) -> Reply {
        if segment.seq.wrapping_add(1) == slot.rcv_nxt {
            return self.repeat_syn_ack(slot);
        }
        self.close(slot);
        self.accept(slot, segment, now)
    }

    /// A segment outside the window: what a peer sends again is acknowledged at once; an empty
    /// segment only within a budget, so that two confused machines do not answer each other for
    /// ever.
    fn unacceptable(&mut self, slot: &mut Slot, segment: &Segment) -> Option<Reply> {
        self.drop_segment(Count::DropSequence);
        if segment.is_empty() {
            return self.challenge(slot);
        }
        // Who was started again knocks with a new number, on all its connections at once; nobody
        // answers an ACK by a SYN, so that needs no budget.
        let is_knock = segment.flags & (TcpFlags::SYN | TcpFlags::ACK) == TcpFlags::SYN;
        self.stats.inc(if is_knock { Count::ChallengeAck } else { Count::AckRt });
        Some(self.acknowledge(slot))
    }

    /// A challenge ACK, if this second's budget allows one (RFC 5961, 3 to 7).
    fn challenge(&mut self, slot: &mut Slot) -> Option<Reply> {
        self.challenges_left = self.challenges_left.checked_sub(1)?;
        self.stats.inc(Count::ChallengeAck);
        Some(self.acknowledge(slot))
    }

    /// A valid RST: a failure, unless the exchange was complete. A client that leaves this way
    /// after it was served does not make its server fail.
    fn on_reset(&mut self, slot: &mut Slot) {
        // A client with more to ask, or an answer to come, has not begun to close.
        let complete = self.settings.role == Role::Server || slot.state != State::Established;
        if complete && slot.flags.contains(SlotFlags::SERVED) {
            self.close(slot);
        } else {
            self.fail(slot, Count::SkErrReset);
        }
    }

    /// Fifth check: the ACK field. `Err` holds the answer of a segment that goes no further.
    #[inline]
    fn on_ack(
        &mut self,
        slot: &mut Slot,
        segment: &Segment,
        now: Stamp,
    ) -> Result<(), Option<Reply>> {
        let ack = segment.ack;
        if slot.state == State::SynReceived {
            if ack != slot.snd_nxt {
                self.drop_segment(Count::DropSequence);
                return Err(Reply::reset_for(segment));
            }
            slot.state = State::Established;
            slot.flags.remove(SlotFlags::RETRANSMITTED);
        }
        let news = ack.wrapping_sub(slot.snd_una);
        if news == 0 {
            self.on_same_ack(slot, segment, now)?;
        } else if news <= slot.in_flight() {
            self.on_new_ack(slot, ack, now);
        } else if after(ack, slot.snd_max) || slot.snd_una.wrapping_sub(ack) > OLDEST_ACK {
            self.drop_segment(Count::DropSequence);
            return Err(self.challenge(slot));
        } else {
            return Ok(()); // an old ACK: its data may still be new, its window is not
        }
        slot.snd_wnd = slot.scale(segment.window);
        if slot.timer == Timer::Persist && slot.snd_wnd > 0 {
            slot.timer = Timer::None;
            slot.retries = 0;
        }
        Ok(())
    }

    /// Something is acknowledged for the first time.
    #[inline]
    fn on_new_ack(&mut self, slot: &mut Slot, ack: u32, now: Stamp) {
        slot.snd_una = ack;
        if before(slot.snd_nxt, ack) {
            slot.snd_nxt = ack;
        }
        slot.retries = 0;
        slot.dup_acks = 0;
        slot.cwnd = slot.cwnd.saturating_add(1).min(self.settings.send_window);
        if slot.in_flight() > 0 {
            if slot.timer != Timer::Pace {
                self.arm(slot, Timer::Retransmit, self.settings.retransmit_units, now);
            }
            return;
        }
        slot.flags.remove(SlotFlags::RETRANSMITTED);
        if slot.timer != Timer::Pace && !self.pace_again(slot, now) {
            self.arm(slot, Timer::Idle, self.settings.idle_units, now);
        }
        // Our FIN was the last that was in flight, if it was sent.
        match slot.state {
            State::FinWait1 => slot.state = State::FinWait2,
            State::Closing | State::LastAck => self.close(slot),
            _ => {}
        }
    }

    /// The same ACK as before: it may be a duplicate that tells of a hole (RFC 5681, 2).
    #[inline]
    fn on_same_ack(
        &mut self,
        slot: &mut Slot,
        segment: &Segment,
        now: Stamp,
    ) -> Result<(), Option<Reply>> {
        if slot.timer == Timer::Persist {
            // The peer is there, its window is just closed: probes stay as far apart as they are.
            slot.retries = slot.retries.min(RETRIES_MAX);
            return Ok(());
        }
        let duplicate = slot.in_flight() > 0
            && segment.is_empty()
            && slot.scale(segment.window) == slot.snd_wnd;
        if !duplicate {
            return Ok(());
        }
        self.stats.inc(Count::AckDup);
        slot.dup_acks = slot.dup_acks.saturating_add(1);
        if slot.dup_acks == 3 {
            return Err(self.fast_retransmit(slot, now));
        }
        Ok(())
    }

    /// Seventh check: the payload.
    #[inline(always)]
    fn on_payload<'p>(
        &mut self,
        slot: &mut Slot,
        segment: &Segment,
        payload: &'p [u8],
        now: Stamp,
    ) -> Taken<'p> {
        let known = slot.rcv_nxt.wrapping_sub(segment.seq);
        if (known as i32) < 0 {
            if segment.is_empty() {
                // A bare ACK behind a hole: to answer it would be a duel of two that miss bytes.
                return Taken { fresh: &[], due: Due::Data };
            }
            self.drop_segment(Count::DropOutOfOrder);
            return Taken { fresh: &[], due: Due::Ack };
        }
        let Some(fresh) = payload.get(known as usize..).filter(|fresh| !fresh.is_empty()) else {
            // Its end, and so its FIN, may be the next we have.
            let due = if known as usize <= payload.len() { Due::Data } else { Due::Ack };
            return Taken { fresh: &[], due };
        };
        let receiving =
            matches!(slot.state, State::Established | State::FinWait1 | State::FinWait2);
        if !receiving {
            // Behind the peer's own FIN: nothing can be there.
            return Taken { fresh: &[], due: Due::Data };
        }
        slot.rcv_nxt = slot.rcv_nxt.wrapping_add(fresh.len() as u32);
        if slot.timer == Timer::Idle {
            slot.due = now.after(self.settings.idle_units);
        }
        Taken { fresh, due: Due::Data }
    }

    /// Reads new bytes in order, and owes an ACK for them.
    #[inline(always)]
    fn read(&mut self, slot: &mut Slot, fresh: &[u8], now: Stamp) {
        let second = slot.flags.contains(SlotFlags::ACK_OWED);
        slot.flags.insert(SlotFlags::ACK_OWED);
        match self.settings.role {
            Role::Client => self.on_response_bytes(slot, fresh, now),
            Role::Server => self.on_request_bytes(slot, fresh, now),
        }
        if second {
            // Two segments at least: they are acknowledged now, whatever may come soon (RFC 5681,
            // 4.2), else their sender's tail loss probe is quicker (RFC 8985, 7.2).
            slot.flags.insert(SlotFlags::ACK_OWED);
        }
    }

    /// Eighth check: the FIN, which is the next thing in order.
    fn on_fin(&mut self, slot: &mut Slot, now: Stamp) {
        match slot.state {
            State::Established => slot.state = State::CloseWait,
            State::FinWait1 => slot.state = State::Closing,
            State::FinWait2 => slot.state = State::TimeWait,
            _ => return, // a FIN that was taken before
        }
        slot.rcv_nxt = slot.rcv_nxt.wrapping_add(1);
        slot.flags.insert(SlotFlags::ACK_OWED);
        match self.settings.role {
            Role::Client => self.on_response_end(slot, now),
            Role::Server => self.on_request_end(slot),
        }
    }

    /// What goes out after a segment was taken: data that carries the ACK; an ACK alone at once
    /// where RFC 5681 (4.2) or the end of the connection wants it, else with the burst's others.
    #[inline(always)]
    fn answer(&mut self, slot: &mut Slot, due: Due, now: Stamp) -> Option<Reply> {
        if slot.is_closed() {
            return None;
        }
        if due == Due::Ack {
            return Some(self.acknowledge(slot));
        }
        if let Some(data) = self.next_segment(slot, now, Place::First) {
            return Some(data);
        }
        let owes = slot.flags.contains(SlotFlags::ACK_OWED);
        match slot.state {
            State::TimeWait => {
                let ack = self.acknowledge(slot);
                self.close(slot);
                Some(ack)
            }
            State::CloseWait | State::Closing if owes => Some(self.acknowledge(slot)),
            _ if due == Due::DataOrAck => Some(self.acknowledge(slot)),
            _ => None,
        }
    }
}

/// What was taken of a segment.
struct Taken<'p> {
    /// The bytes that are new.
    fresh: &'p [u8],
    due: Due,
}

/// What is due after a segment was taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    /// An ACK at once and nothing else: something is missing before the segment, or it is old.
    Ack,
    /// Data, or else an ACK.
    DataOrAck,
    /// Data, if there is any.
    Data,
}

/// The segment's place meets the receive window (3.10.7.4, first check), which a peer that offered
/// no scale reads unscaled (RFC 7323, 2.2).
fn acceptable(slot: &Slot, segment: &Segment) -> bool {
    let len = segment.len();
    let shift = if slot.wscale == NO_SCALE { 0 } else { WINDOW_SCALE };
    let window = u32::from(WINDOW) << shift;
    within(segment.seq, slot.rcv_nxt, window)
        || len > 0 && within(segment.seq.wrapping_add(len - 1), slot.rcv_nxt, window)
}
