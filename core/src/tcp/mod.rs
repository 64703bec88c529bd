//! TCP (RFC 9293) as a load tester needs it, on one slot at a time.
//!
//! The promise of this room: given a slot, a segment and a time, it changes the slot, counts what
//! happened and says which one segment goes out at once. It never sees a frame, a port or a clock,
//! never panics on what a peer sends, and does the same for the same input, always.
//!
//! [`input`] is what a segment does to a connection, [`output`] which segment goes next and what a
//! timer does; [`client`] and [`server`] are the two sides of the exchange of messages.

pub mod client;
mod flood;
pub mod input;
pub mod output;
pub mod sequence;
pub mod server;

#[cfg(test)]
pub(crate) mod tests;

use crate::conn::slot::NO_SCALE;
use crate::conn::{Slot, SlotFlags, SlotId, State, Timer};
use crate::http::{Kind, Known, Memo};
use crate::plan::{CorePlan, Messages, Role};
use crate::stats::{Count, Writer};
use crate::time::{Interval, Stamp};
use crate::wire::tcp::TcpFlags;

/// A received segment: values only; the payload stays in its frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Window, unscaled.
    pub window: u16,
    /// Control flags.
    pub flags: TcpFlags,
    /// Where the payload begins in the frame, in bytes.
    pub payload_at: u16,
    /// Length of the payload in bytes.
    pub payload_bytes: u16,
    /// Maximum segment size offered in a SYN; 0: none.
    pub mss: u16,
    /// Window scale offered in a SYN.
    pub wscale: Option<u8>,
    /// The [`Known::number`] of the message that the payload is ([`Tcp::recall`]), as of this
    /// burst; 0: unknown.
    pub known: u8,
}

impl Segment {
    /// The payload, in the packet that the segment was read from.
    #[inline(always)]
    pub fn payload<'p>(&self, packet: &'p [u8]) -> &'p [u8] {
        let at = usize::from(self.payload_at);
        packet.get(at..at + usize::from(self.payload_bytes)).unwrap_or_default()
    }

    /// Sequence numbers the segment takes: payload, SYN and FIN.
    #[inline]
    pub fn len(&self) -> u32 {
        let flags = self.flags;
        u32::from(self.payload_bytes)
            + u32::from(flags.contains(TcpFlags::SYN))
            + u32::from(flags.contains(TcpFlags::FIN))
    }

    /// The segment takes no sequence number.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The one segment that goes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number (meaningful with ACK).
    pub ack: u32,
    /// Control flags.
    pub flags: TcpFlags,
    /// Bytes of the message it carries.
    pub payload_bytes: u16,
    /// Where in the message those bytes begin.
    pub payload_at: u32,
    /// A SYN offers our window scale.
    pub scaled: bool,
}

impl Reply {
    /// A segment without payload.
    #[inline]
    pub fn bare(seq: u32, ack: u32, flags: TcpFlags) -> Reply {
        Reply { seq, ack, flags, payload_bytes: 0, payload_at: 0, scaled: true }
    }

    /// The RST that answers a segment without a connection (RFC 9293, 3.10.7.1); a RST is never
    /// answered.
    pub fn reset_for(segment: &Segment) -> Option<Reply> {
        if segment.flags.contains(TcpFlags::RST) {
            None
        } else if segment.flags.contains(TcpFlags::ACK) {
            Some(Reply::bare(segment.ack, 0, TcpFlags::RST))
        } else {
            let ack = segment.seq.wrapping_add(segment.len());
            Some(Reply::bare(0, ack, TcpFlags::RST | TcpFlags::ACK))
        }
    }
}

/// Our window field, in every segment (dperf's value).
pub const WINDOW: u16 = 58_400;
/// Our window scale. What arrives is consumed at once, so the window never closes.
pub const WINDOW_SCALE: u8 = 4;
/// Retransmissions of one segment before the connection is given up.
pub const RETRIES_MAX: u8 = 3;
/// Window probes without any answer before the connection is given up.
pub const PROBES_MAX: u8 = 8;
/// Answers a second to segments that no state accepts (RFC 5961, 7): two machines that disagree
/// must not keep each other busy.
pub const CHALLENGES_PER_SECOND: u32 = 1000;

/// The longest retransmission time-out there is, in stamp units (134 s at least): doubled for every
/// retransmission it still compares without doubt.
pub const LONGEST_WAIT: u32 = (1 << 28) - 1;
/// The longest patience, in stamp units (1000 s at least): somewhat less than half a stamp's range,
/// so that it still compares without doubt when it is noticed late.
const LONGEST_IDLE: u32 = (1 << 31) - (1 << 24);
/// The longest row of answers to pipelined requests, in bytes: half of it is never in doubt which
/// sequence number comes first.
const LONGEST_QUEUE: u32 = 1 << 30;

/// What does not change while a worker lives.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    role: Role,
    messages: Messages,
    /// Largest segment we accept and send, in bytes of payload.
    mss: u16,
    /// The peer's MSS when it offers none (RFC 9293, 3.7.1: MUST-15).
    default_mss: u16,
    /// Segments in flight at most.
    send_window: u8,
    /// Length of one message of ours in bytes.
    message_bytes: u32,
    retransmit_units: u32,
    idle_units: u32,
    /// Requests and their interval on kept connections.
    keepalive: Option<(Interval, u16)>,
    /// An answer is acknowledged at once unless the next request is nearer than this.
    ack_wait_units: u32,
    fast_close: bool,
    /// From our units to those that times are counted in.
    rtt_shift: u32,
    /// What has no connection is answered with RST.
    tcp_rst: bool,
    seed: u64,
}

impl Settings {
    /// The plan's numbers in stamp units.
    pub fn new(plan: &CorePlan<'_>) -> Settings {
        let units = |us: u64| plan.rate.units_from_us(us);
        let retransmit_us = u64::from(plan.retransmit_timeout_us);
        let interval = |us| Interval::from_us(plan.rate, us);
        // The buckets of a long interval are too wide for an ACK to wait in them.
        let fine = plan.keepalive.is_some_and(|kept| kept.interval_us <= 5_000_000);
        Settings {
            role: plan.role,
            messages: plan.messages,
            mss: plan.mss,
            default_mss: if plan.host.is_ipv4() { 536 } else { 1220 },
            send_window: plan.send_window.clamp(1, 255) as u8,
            message_bytes: plan.payload.total_bytes,
            retransmit_units: units(retransmit_us).clamp(1, LONGEST_WAIT),
            idle_units: units(plan.idle_timeout_us).clamp(1, LONGEST_IDLE),
            keepalive: plan.keepalive.map(|kept| (interval(kept.interval_us), kept.requests)),
            ack_wait_units: match (plan.disable_ack, fine) {
                (true, _) => u32::MAX,
                (false, true) => units(20_000),
                (false, false) => 0,
            },
            fast_close: plan.fast_close,
            rtt_shift: plan.rate.coarseness(),
            tcp_rst: plan.tcp_rst,
            seed: plan.seed,
        }
    }
}

/// The TCP engine of one core: settings, counters and a memory of the last message. It owns no
/// connection; each call is given the slot it is about.
#[derive(Debug)]
pub struct Tcp<'m> {
    settings: Settings,
    /// This core's counters.
    pub stats: Writer<'m>,
    memo: Memo,
    /// No new request; what is open is closed.
    pub draining: bool,
    /// Answers to unacceptable segments left in this second.
    pub challenges_left: u32,
    /// What rounding has cut off all intervals together.
    rest: u32,
}

impl<'m> Tcp<'m> {
    /// An engine for `plan`.
    pub fn new(plan: &CorePlan<'_>, stats: Writer<'m>) -> Tcp<'m> {
        Tcp {
            settings: Settings::new(plan),
            stats,
            memo: Memo::new(),
            draining: false,
            challenges_left: CHALLENGES_PER_SECOND,
            rest: 0,
        }
    }

    /// What is known of `payload`, if it is the message that came last.
    #[inline(always)]
    pub fn recall(&self, payload: &[u8]) -> Option<Known> {
        let kind = match self.settings.role {
            Role::Client => Kind::Response,
            Role::Server => Kind::Request,
        };
        self.memo.recall(kind, payload)
    }

    /// Where the sequence numbers of a tuple begin, whose slot was never used: pseudo-random
    /// (RFC 9293, 3.4.1).
    pub fn scatter(&self, id: SlotId, slot: &mut Slot) {
        slot.snd_max = self.scattered(id);
    }

    /// A number for a tuple, always the same for it.
    #[inline(always)]
    fn scattered(&self, id: SlotId) -> u32 {
        let mut mixed = u64::from(id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.settings.seed;
        mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed >> 32) as u32
    }

    /// Begins a connection in `slot`: every number of the last one is forgotten, its places in
    /// wheels and lists are not.
    fn begin(&mut self, slot: &mut Slot, state: State, now: Stamp) {
        // Beyond everything that the tuple's last connection sent, so that a peer which still
        // remembers it takes the new SYN (RFC 6191).
        let first = slot.snd_max.wrapping_add(1);
        slot.state = state;
        slot.snd_una = first;
        slot.snd_nxt = first.wrapping_add(1);
        slot.snd_max = slot.snd_nxt;
        slot.snd_end = slot.snd_nxt;
        slot.rcv_nxt = 0;
        slot.sent_at = now;
        slot.flags &= SlotFlags::PLACES;
        slot.retries = 0;
        slot.dup_acks = 0;
        slot.wscale = NO_SCALE;
        slot.http = crate::http::Scanner::default();
        slot.requests_left = self.settings.keepalive.map_or(1, |(_, requests)| requests);
        slot.mss = self.settings.mss;
        slot.cwnd = self.settings.send_window;
        slot.snd_wnd = 0;
        slot.fraction = 0;
        self.stats.inc(Count::SkOpen);
        self.arm(slot, Timer::Retransmit, self.settings.retransmit_units, now);
    }

    /// Ends the connection; the slot keeps its numbers to answer a late FIN.
    pub(crate) fn close(&mut self, slot: &mut Slot) {
        slot.state = State::Closed;
        slot.timer = Timer::None;
        slot.flags &= SlotFlags::PLACES;
        self.stats.inc(Count::SkClose);
    }

    /// Ends the connection as failed, for the reason that `kind` counts.
    fn fail(&mut self, slot: &mut Slot, kind: Count) {
        self.stats.inc(Count::SkErr);
        self.stats.inc(kind);
        self.close(slot);
    }

    /// Sets the slot's timer; the owner of the wheels sees to it that it rings.
    #[inline]
    fn arm(&self, slot: &mut Slot, timer: Timer, delay_units: u32, now: Stamp) {
        slot.timer = timer;
        slot.due = now.after(delay_units);
    }

    /// Counts a dropped segment.
    fn drop_segment(&mut self, reason: Count) {
        self.stats.inc(Count::TcpDrop);
        self.stats.inc(reason);
    }
}
