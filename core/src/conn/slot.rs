//! One connection in one cache line; all zero means closed and never used.

use bitflags::bitflags;

use super::timers::Link;
use crate::http::Scanner;
use crate::time::Stamp;

/// TCP connection states (RFC 9293, 3.3.2). Nothing waits in TIME-WAIT: a closed slot remembers its
/// sequence numbers and still acknowledges the peer's last FIN, until the tuple is used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum State {
    /// No connection.
    #[default]
    Closed = 0,
    /// SYN sent.
    SynSent,
    /// SYN received and answered.
    SynReceived,
    /// Both sides may send.
    Established,
    /// The peer has finished sending; we have not.
    CloseWait,
    /// Our FIN is out, not acknowledged.
    FinWait1,
    /// Our FIN is acknowledged, the peer may still send.
    FinWait2,
    /// Both FINs crossed; ours is not acknowledged yet.
    Closing,
    /// The peer's FIN came first; ours is out, not acknowledged.
    LastAck,
    /// Both sides are finished; passed through within one segment.
    TimeWait,
}

/// Why a slot shall be looked at when its `due` comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Timer {
    /// It shall not.
    #[default]
    None = 0,
    /// Something sent is not acknowledged (RFC 6298).
    Retransmit,
    /// A delivered request is not answered (client), or nothing happens at all (server).
    Idle,
    /// The peer's window is closed: probe it (RFC 9293, 3.8.6.1).
    Persist,
    /// The next request of a kept connection is due.
    Pace,
}

bitflags! {
    /// Small facts about a connection.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct SlotFlags: u8 {
        /// An entry of this slot lies in the steady wheel. Outlives the connection.
        const IN_STEADY_WHEEL = 1;
        /// An entry of this slot lies in the wheel of time-outs. Outlives the connection.
        const IN_TIMEOUT_WHEEL = 2;
        /// The slot lies in the ready list. Outlives the connection.
        const READY = 4;
        /// The peer is owed an ACK that no data carried yet.
        const ACK_OWED = 8;
        /// Our side ends behind `snd_end`: FIN follows the data.
        const FIN_QUEUED = 16;
        /// Something was retransmitted: no time is taken from its ACK (Karn, RFC 6298, 3).
        const RETRANSMITTED = 32;
        /// The exchange this connection was opened for is complete.
        const SERVED = 64;
        /// A client's: the request waits for its answer.
        const AWAITING = 128;
        /// A server's: the last answer is a header without its body (HEAD).
        const HEADER_LAST = 128;
    }
}

impl SlotFlags {
    /// What stays when the tuple is used again: entries that still lie somewhere.
    pub const PLACES: SlotFlags =
        SlotFlags::IN_STEADY_WHEEL.union(SlotFlags::IN_TIMEOUT_WHEEL).union(SlotFlags::READY);
}

/// The peer offered no window scale: its low bits shift by nothing.
pub const NO_SCALE: u8 = 16;

/// All that is known of one connection.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
pub struct Slot {
    /// Next sequence number expected from the peer.
    pub rcv_nxt: u32,
    /// Oldest sequence number not acknowledged.
    pub snd_una: u32,
    /// Next sequence number to send; falls back to `snd_una` when all is sent again.
    pub snd_nxt: u32,
    /// Highest sequence number ever sent, plus one.
    pub snd_max: u32,
    /// End of the data that is to be sent; the FIN, if queued, lies there.
    pub snd_end: u32,
    /// When `timer` is due.
    pub due: Stamp,
    /// When the last SYN or request left for the first time.
    pub sent_at: Stamp,
    /// The peer's window in bytes, scaled.
    pub snd_wnd: u32,
    /// In each wheel where this slot lies, the slot that lies behind it.
    pub next: [Link; 2],
    /// Largest segment towards the peer, in bytes of payload.
    pub mss: u16,
    /// Requests still to be sent on this connection (client; 0: no end).
    pub requests_left: u16,
    /// How far the incoming message is read.
    pub http: Scanner,
    /// RFC 9293 state.
    pub state: State,
    /// What `due` is for.
    pub timer: Timer,
    /// Retransmissions since the last progress.
    pub retries: u8,
    /// Small facts.
    pub flags: SlotFlags,
    /// The tuple that the slot's number stands for is known to be this core's.
    pub is_own: bool,
    /// The peer's window scale (RFC 7323), or [`NO_SCALE`].
    pub wscale: u8,
    /// Duplicate ACKs in a row.
    pub dup_acks: u8,
    /// Segments that may be in flight.
    pub cwnd: u8,
    /// What rounding has cut off its intervals, in 1/256 unit ([`crate::time::Interval::next`]).
    pub fraction: u8,
}

const _: () = assert!(size_of::<Slot>() == 64 && align_of::<Slot>() == 64);

impl Slot {
    /// No connection lives here.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// A window field of the peer in bytes.
    #[inline]
    pub fn scale(&self, window: u16) -> u32 {
        u32::from(window) << (self.wscale & 15)
    }

    /// Bytes and flags in flight.
    #[inline]
    pub fn in_flight(&self) -> u32 {
        self.snd_max.wrapping_sub(self.snd_una)
    }

    /// The sequence number behind everything we shall ever send on this connection so far.
    #[inline]
    pub fn snd_last(&self) -> u32 {
        let fin = u32::from(self.flags.contains(SlotFlags::FIN_QUEUED));
        self.snd_end.wrapping_add(fin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_closed_and_has_nothing_pending() {
        let slot = Slot::default();
        assert!(slot.is_closed());
        assert_eq!(
            (slot.timer, slot.flags, slot.in_flight()),
            (Timer::None, SlotFlags::empty(), 0)
        );
    }
}
