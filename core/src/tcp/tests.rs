//! The TCP engine on one slot at a time: what RFC 9293, 5681, 5961 and 6298 ask for, and what the
//! peers we are tested against must never see.

use std::boxed::Box;
use std::net::IpAddr;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::plan::{AddressList, Keepalive, PacePlan, Payload, PortRange, Transport};
use crate::stats::{Page, Reader};
use crate::steer::Steering;
use crate::time::TickRate;
use crate::wire::ethernet::MacAddr;

const SYN: TcpFlags = TcpFlags::SYN;
const ACK: TcpFlags = TcpFlags::ACK;
const FIN: TcpFlags = TcpFlags::FIN;
const RST: TcpFlags = TcpFlags::RST;
const PSH: TcpFlags = TcpFlags::PSH;
const SYN_ACK: TcpFlags = SYN.union(ACK);
const FIN_ACK: TcpFlags = FIN.union(ACK);
const RST_ACK: TcpFlags = RST.union(ACK);
const DATA: TcpFlags = ACK.union(PSH);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Milliseconds in stamp units (2^9 ns).
const fn ms(milliseconds: u64) -> u32 {
    TickRate::NANOSECONDS.units_from_us(milliseconds * 1000)
}
const RTO: u64 = 200;
const IDLE: u64 = 1000;

pub(crate) fn plan(role: Role) -> CorePlan<'static> {
    let host: IpAddr = "10.0.0.1".parse().unwrap();
    CorePlan {
        role,
        rate: TickRate::NANOSECONDS,
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        host,
        gateway: host,
        encap: crate::plan::Encap::None,
        announces: false,
        clients: AddressList::new(&[], &[]),
        servers: AddressList::new(&[], &[]),
        client_ports: PortRange { first: 1, count: 1 },
        listen: PortRange { first: 1, count: 1 },
        steering: Steering::Whole,
        neigh_ignore: false,
        tos: 0,
        mss: 1460,
        send_window: 16,
        transport: Transport::Tcp,
        payload: Payload { head: b"", total_bytes: 100 },
        messages: Messages::HttpGet,
        keepalive: None,
        pace: PacePlan { cps: 0, cc: 0, launch: 1, slow_start_s: 0, wait_s: 0 },
        flood: false,
        pipeline: 1,
        client_hop: false,
        destinations: &[],
        retransmit_timeout_us: (RTO * 1000) as u32,
        idle_timeout_us: IDLE * 1000,
        tcp_rst: true,
        fast_close: false,
        disable_ack: false,
        seed: 7,
    }
}

/// One slot, and the peer's view of it.
struct Rig {
    tcp: Tcp<'static>,
    slot: Slot,
    counts: Reader<'static>,
    now: Stamp,
    /// What the peer sends next, and what it expects next.
    seq: u32,
    ack: u32,
    window: u16,
    mss: u16,
    wscale: Option<u8>,
}

impl Rig {
    fn new(role: Role, change: impl FnOnce(&mut CorePlan<'static>)) -> Rig {
        let mut plan = plan(role);
        change(&mut plan);
        let (stats, counts) = Box::leak(Box::new(Page::new())).open();
        Rig {
            tcp: Tcp::new(&plan, stats),
            slot: Slot::default(),
            counts,
            now: Stamp(1000),
            seq: 5000,
            ack: 0,
            window: 60_000,
            mss: 1460,
            wscale: Some(0),
        }
    }

    fn client() -> Rig {
        Rig::new(Role::Client, |_| {}).connected()
    }

    fn server() -> Rig {
        Rig::new(Role::Server, |_| {}).connected()
    }

    fn kept(role: Role, interval_us: u64, requests: u16) -> Rig {
        let keepalive = Some(Keepalive { interval_us, requests });
        Rig::new(role, |plan| plan.keepalive = keepalive).connected()
    }

    fn server_sending(total_bytes: u32) -> Rig {
        let rig = Rig::new(Role::Server, |plan| plan.payload.total_bytes = total_bytes);
        rig.connected()
    }

    /// Both sides have shaken hands; a client has sent its request.
    fn connected(mut self) -> Rig {
        if self.tcp.settings.role == Role::Client {
            let syn = self.tcp.open(&mut self.slot, self.now);
            self.ack = syn.seq.wrapping_add(1);
            let request = self.hear(SYN_ACK, b"").expect("a request");
            assert!(request.flags.contains(ACK) && request.ack == self.seq);
        } else {
            let syn_ack = self.hear(SYN, b"").expect("a SYN-ACK");
            assert_eq!((syn_ack.flags, syn_ack.ack), (SYN_ACK, self.seq));
            self.ack = syn_ack.seq.wrapping_add(1);
            assert_eq!(self.hear(ACK, b""), None);
        }
        assert_eq!(self.slot.state, State::Established);
        self
    }

    /// A segment at any place.
    fn hear_at(&mut self, seq: u32, ack: u32, flags: TcpFlags, payload: &[u8]) -> Option<Reply> {
        let segment = Segment {
            seq,
            ack,
            window: self.window,
            flags,
            payload_at: 54,
            payload_bytes: payload.len() as u16,
            mss: if flags.contains(SYN) { self.mss } else { 0 },
            wscale: self.wscale.filter(|_| flags.contains(SYN)),
        };
        let reply = self.tcp.on_segment(&mut self.slot, &segment, payload, self.now);
        self.check();
        reply
    }

    /// The peer's next segment; it acknowledges `self.ack`.
    fn hear(&mut self, flags: TcpFlags, payload: &[u8]) -> Option<Reply> {
        let reply = self.hear_at(self.seq, self.ack, flags, payload);
        let len = payload.len() as u32 + u32::from(flags.intersects(SYN | FIN));
        self.seq = self.seq.wrapping_add(len);
        reply
    }

    /// What a ready connection sends, until it sends no more; the peer takes it all.
    fn drain_ready(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        while !self.slot.is_closed() && self.tcp.wants_more(&self.slot) {
            let Some(reply) = self.tcp.ready(&mut self.slot, self.now) else { break };
            replies.push(reply);
            self.check();
        }
        replies
    }

    /// Time passes until the slot's timer rings.
    fn ring(&mut self) -> Option<Reply> {
        assert_ne!(self.slot.timer, Timer::None, "a timer runs");
        self.now = self.slot.due;
        let reply = self.tcp.on_timer(&mut self.slot, self.now);
        self.check();
        reply
    }

    /// Milliseconds until the timer rings.
    fn wait_ms(&self) -> u64 {
        let us = TickRate::NANOSECONDS.us_from_units(u64::from(self.slot.due.since(self.now)));
        (us / 1000.0).round() as u64
    }

    /// An open slot always has something that wakes it.
    fn check(&self) {
        let woken = self.slot.timer != Timer::None || self.tcp.wants_more(&self.slot);
        assert!(self.slot.is_closed() || woken, "nothing wakes {:?}", self.slot);
    }

    fn count(&self, count: Count) -> u64 {
        self.counts.snapshot().get(count)
    }

    /// The peer has all we sent.
    fn take_all(&mut self) {
        self.ack = self.slot.snd_max;
    }
}

/// The parts of a reply that matter on the wire.
fn told(reply: Option<Reply>) -> Option<(TcpFlags, u16)> {
    reply.map(|reply| (reply.flags, reply.payload_bytes))
}

#[test]
fn a_short_connection_of_the_client() {
    let mut rig = Rig::client();
    assert_eq!(rig.wait_ms(), RTO);
    rig.take_all();
    assert_eq!(told(rig.hear(DATA | FIN, RESPONSE)), Some((FIN_ACK, 0)));
    assert_eq!(rig.slot.state, State::LastAck);
    rig.take_all();
    assert_eq!(rig.hear(ACK, b""), None);
    assert!(rig.slot.is_closed());
    let counts = [Count::SkOpen, Count::SkClose, Count::Http2xx, Count::HttpGet, Count::RttCount];
    assert!(counts.iter().all(|count| rig.count(*count) == 1));
    assert_eq!((rig.count(Count::SkErr), rig.count(Count::TcpDrop)), (0, 0));
}

#[test]
fn a_short_connection_of_the_server() {
    let mut rig = Rig::server();
    assert_eq!(told(rig.hear(DATA, REQUEST)), Some((DATA | FIN, 100)));
    assert_eq!(rig.slot.state, State::FinWait1);
    rig.take_all();
    assert_eq!(told(rig.hear(FIN_ACK, b"")), Some((ACK, 0)));
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::Http2xx), rig.count(Count::SkErr)), (1, 0));
}

#[test]
fn a_syn_may_carry_ecn_bits() {
    let mut rig = Rig::new(Role::Server, |_| {});
    let reply = rig.hear(SYN | TcpFlags::ECE | TcpFlags::CWR, b"");
    assert_eq!(told(reply), Some((SYN_ACK, 0)));
}

#[test]
fn the_peers_limits_are_kept() {
    // MSS of the peer, ours, what we may send in one segment.
    for (theirs, ours, want) in
        [(1460, 1460, 1460), (536, 1460, 536), (1460, 700, 700), (0, 1460, 536)]
    {
        let mut rig = Rig::new(Role::Server, |plan| {
            plan.mss = ours;
            plan.payload.total_bytes = 10_000;
        });
        rig.mss = theirs;
        let mut rig = rig.connected();
        assert_eq!(told(rig.hear(DATA, REQUEST)), Some((ACK, want)), "{theirs} {ours}");
    }
    // Window and scale of the peer, what we may send in all. The SYN's window is never scaled.
    for (window, wscale, want) in
        [(2000, Some(0), 1460), (500, Some(3), 2920), (5000, None, 4380), (300, Some(0), 300)]
    {
        let mut rig = Rig::new(Role::Server, |plan| plan.payload.total_bytes = 10_000);
        (rig.window, rig.wscale) = (window, wscale);
        let mut rig = rig.connected();
        let first = rig.hear(DATA, REQUEST).map_or(0, |reply| u32::from(reply.payload_bytes));
        let rest: u32 = rig.drain_ready().iter().map(|reply| u32::from(reply.payload_bytes)).sum();
        assert_eq!(first + rest, want, "{window} {wscale:?}");
    }
    let mut rig = Rig::new(Role::Client, |_| {});
    rig.wscale = Some(14);
    rig.window = u16::MAX;
    let mut rig = rig.connected();
    rig.hear(ACK, b"");
    assert_eq!(rig.slot.snd_wnd, 65_535 << 14);
}

#[test]
fn a_window_scale_is_offered_only_to_those_who_offer_one() {
    for offer in [None, Some(0), Some(7), Some(14), Some(200)] {
        let mut rig = Rig::new(Role::Server, |_| {});
        rig.wscale = offer;
        let syn_ack = rig.hear(SYN, b"").expect("SYN-ACK");
        assert_eq!(syn_ack.scaled, offer.is_some());
        assert_eq!(rig.ring(), Some(syn_ack));
    }
}

/// RFC 9110, 10.1.1: a final answer does as well as 100 (Continue), and the body is not missed.
#[test]
fn a_client_that_waits_with_its_body_is_answered_at_once() {
    let post = |version: &str, fields: &str, body: &str| {
        std::format!(
            "POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\nExpect: 100-continue\r\n\r\n{body}"
        )
        .into_bytes()
    };
    let server = || {
        let keepalive = Some(Keepalive { interval_us: 1_000_000, requests: 0 });
        Rig::new(Role::Server, |plan| plan.keepalive = keepalive).connected()
    };
    for fields in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let mut rig = server();
        let answer = rig.hear(DATA, &post("1.1", fields, "")).expect("an answer");
        assert!(answer.payload_bytes > 0 && answer.flags.contains(TcpFlags::FIN), "{answer:?}");
        assert_eq!((rig.count(Count::HttpPost), rig.count(Count::Http2xx)), (1, 1));
        // It may send the body all the same.
        assert!(rig.hear(DATA, b"12345").is_none_or(|reply| reply.payload_bytes == 0));
        assert_eq!((rig.count(Count::HttpErr), rig.count(Count::Http2xx)), (0, 1));
    }
    let length = "Content-Length: 5";
    for (request, rest) in [
        (post("1.0", length, ""), "12345"),
        (post("1.1", length, "12"), "345"),
        (post("1.1", "Content-Length: 5\r\nX-Expect: 1", "1"), "2345"),
    ] {
        let mut rig = server();
        assert!(rig.hear(DATA, &request).is_none_or(|reply| reply.payload_bytes == 0));
        assert_eq!(rig.count(Count::Http2xx), 0, "the body is on its way");
        rig.hear(DATA, rest.as_bytes());
        assert_eq!(rig.count(Count::Http2xx), 1);
    }
}

#[test]
fn the_send_window_limits_segments_in_flight() {
    let mut rig = Rig::new(Role::Server, |plan| {
        plan.payload.total_bytes = 100_000;
        plan.send_window = 3;
    })
    .connected();
    assert!(rig.hear(DATA, REQUEST).is_some());
    assert_eq!(rig.drain_ready().len(), 2);
    rig.ack = rig.ack.wrapping_add(1460);
    assert!(rig.hear(ACK, b"").is_some());
    assert!(rig.drain_ready().is_empty());
}

#[test]
fn a_closed_window_is_probed_and_opens() {
    let mut rig = Rig::server_sending(5000);
    rig.window = 0;
    assert_eq!(rig.hear(DATA, REQUEST), None);
    assert_eq!(told(rig.drain_ready().pop()), Some((ACK, 0)), "the request is acknowledged");
    assert_eq!((rig.slot.timer, rig.wait_ms()), (Timer::Persist, RTO));
    // Probes that are answered go on for ever, further and further apart, and are no failure.
    for round in 0..20 {
        assert_eq!(told(rig.ring()), Some((ACK, 1)), "{round}");
        assert_eq!(rig.hear(ACK, b""), None, "{round}");
        assert_eq!(rig.slot.timer, Timer::Persist);
    }
    assert_eq!(rig.count(Count::AckDup), 0, "an answered probe is no duplicate");
    rig.window = 60_000;
    assert_eq!(told(rig.hear(ACK, b"")), Some((ACK, 1460)));
    assert_eq!(rig.slot.timer, Timer::Retransmit);
    // Probes without an answer end the connection.
    let mut rig = Rig::server_sending(5000);
    rig.window = 0;
    rig.hear(DATA, REQUEST);
    for _ in 0..PROBES_MAX {
        assert_eq!(told(rig.ring()), Some((ACK, 1)));
    }
    assert_eq!(rig.ring(), None);
    assert!(rig.slot.is_closed());
    assert_eq!(rig.count(Count::SkErrTimeout), 1);
}

#[test]
fn a_probe_that_is_taken_moves_on() {
    let mut rig = Rig::server_sending(5000);
    rig.window = 0;
    rig.hear(DATA, REQUEST);
    rig.ring();
    rig.take_all();
    rig.hear(ACK, b"");
    assert_eq!(rig.slot.timer, Timer::Persist, "the window is still closed");
    rig.window = 60_000;
    let reply = rig.hear(ACK, b"").expect("data");
    assert_eq!((reply.payload_at, reply.payload_bytes), (1, 1460));
}

#[test]
fn a_window_that_closes_over_data_in_flight_is_probed() {
    let mut rig = Rig::server_sending(5000);
    rig.hear(DATA, REQUEST);
    rig.window = 0;
    rig.hear(ACK, b"");
    rig.ring();
    assert_eq!(rig.slot.timer, Timer::Persist, "no failure while the peer answers");
    for _ in 0..10 {
        assert_eq!(told(rig.ring()), Some((ACK, 1)));
        rig.hear(ACK, b"");
    }
    rig.window = 60_000;
    assert!(rig.hear(ACK, b"").is_some());
}

#[test]
fn a_window_opened_by_a_segment_out_of_order_is_used() {
    let mut rig = Rig::server_sending(5000);
    rig.window = 0;
    rig.hear(DATA, REQUEST);
    rig.drain_ready();
    rig.window = 60_000;
    let (seq, ack) = (rig.seq.wrapping_add(10), rig.ack);
    assert_eq!(told(rig.hear_at(seq, ack, DATA, b"x")), Some((ACK, 0)));
    assert!(rig.tcp.wants_more(&rig.slot));
}

#[test]
fn a_time_out_goes_back_to_the_oldest_and_waits_longer() {
    let mut rig = Rig::server_sending(5000);
    let first = rig.hear(DATA, REQUEST).expect("data");
    assert_eq!(rig.drain_ready().len(), 3);
    for (try_number, wait) in [(1, 2 * RTO), (2, 4 * RTO), (3, 8 * RTO)] {
        let again = rig.ring().expect("the oldest");
        assert_eq!((again.seq, again.payload_at), (first.seq, 0));
        assert_eq!((rig.wait_ms(), rig.count(Count::PushRt)), (wait, try_number));
        assert!(rig.drain_ready().is_empty(), "one segment per time-out");
    }
    assert_eq!(rig.ring(), None);
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::SkErr), rig.count(Count::SkErrTimeout)), (1, 1));
}

#[test]
fn progress_after_a_time_out_resends_the_rest() {
    let mut rig = Rig::server_sending(5000);
    rig.hear(DATA, REQUEST);
    rig.drain_ready();
    rig.ring();
    rig.ack = rig.ack.wrapping_add(1460);
    let next = rig.hear(ACK, b"").expect("the second segment again");
    assert_eq!((next.seq, next.payload_at), (rig.ack, 1460));
    assert_eq!((rig.slot.retries, rig.wait_ms()), (0, RTO));
    rig.take_all();
    rig.hear(ACK, b"");
    assert_eq!(rig.slot.state, State::FinWait2);
}

#[test]
fn three_duplicates_resend_at_once() {
    let mut rig = Rig::server_sending(40_000);
    let first = rig.hear(DATA, REQUEST).expect("data");
    rig.drain_ready();
    assert_eq!((rig.hear(ACK, b""), rig.hear(ACK, b"")), (None, None));
    let again = rig.hear(ACK, b"").expect("fast retransmit");
    assert_eq!((again.seq, rig.count(Count::PushRt)), (first.seq, 1));
    for _ in 0..300 {
        assert_eq!(rig.hear(ACK, b""), None);
    }
    assert!(rig.drain_ready().is_empty());
    // The peer had the rest: nothing of it is sent again.
    rig.take_all();
    let next = rig.hear(ACK, b"").expect("new data");
    assert_eq!((next.seq, rig.count(Count::PushRt)), (rig.ack, 1));
}

#[test]
fn a_hole_is_told_at_once_and_filled() {
    let mut rig = Rig::client();
    rig.take_all();
    let (hole, ack) = (rig.seq, rig.ack);
    let (first, rest) = RESPONSE.split_at(10);
    let duplicate = rig.hear_at(hole.wrapping_add(10), ack, DATA, rest).expect("a duplicate ACK");
    assert_eq!((duplicate.flags, duplicate.ack), (ACK, hole));
    assert_eq!(rig.count(Count::DropOutOfOrder), 1);
    rig.hear(DATA, first);
    assert_eq!(told(rig.hear(DATA, rest)), Some((FIN_ACK, 0)));
    assert_eq!(rig.count(Count::Http2xx), 1);
}

/// Two machines that both miss something must not answer each other's bare ACKs for ever.
#[test]
fn a_bare_ack_beyond_a_hole_is_not_answered() {
    let mut rig = Rig::client();
    let (seq, ack) = (rig.seq.wrapping_add(10), rig.ack);
    assert_eq!(rig.hear_at(seq, ack, ACK, b""), None);
    assert_eq!(rig.count(Count::TcpDrop), 0);
    let (seq, ack) = (rig.seq.wrapping_add(10), rig.ack);
    assert_eq!(told(rig.hear_at(seq, ack, FIN_ACK, b"")), Some((ACK, 0)), "a FIN is");
}

#[test]
fn repeated_data_is_acknowledged() {
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    let start = rig.seq;
    assert!(rig.hear(DATA, REQUEST).is_some());
    let ack = rig.ack;
    let again = rig.hear_at(start, ack, DATA, REQUEST).expect("an ACK");
    assert_eq!((again.flags, again.ack, again.seq), (ACK, rig.seq, rig.slot.snd_max));
    assert_eq!((rig.count(Count::AckRt), rig.count(Count::HttpGet)), (1, 1));
    // Partly old: only the new part counts.
    rig.take_all();
    rig.hear(ACK, b"");
    let both = [REQUEST, REQUEST].concat();
    let ack = rig.ack;
    assert_eq!(told(rig.hear_at(start, ack, DATA, &both)), Some((DATA, 100)));
    assert_eq!(rig.count(Count::HttpGet), 2);
}

#[test]
fn acks_from_the_past_and_the_future() {
    let mut rig = Rig::client();
    rig.take_all();
    rig.hear(ACK, b"");
    let (seq, una) = (rig.seq, rig.slot.snd_una);
    // An old ACK is ignored, its data is not; its window is stale.
    rig.window = 0;
    rig.hear_at(seq, una.wrapping_sub(50), DATA, &RESPONSE[..5]);
    assert_eq!((rig.slot.rcv_nxt, rig.slot.snd_wnd), (seq.wrapping_add(5), 60_000));
    for blind in [una.wrapping_add(1), una.wrapping_add(1 << 30), una.wrapping_sub((1 << 30) + 1)] {
        let rcv_nxt = rig.slot.rcv_nxt;
        let challenge = rig.hear_at(rcv_nxt, blind, DATA, b"evil");
        assert_eq!(told(challenge), Some((ACK, 0)), "{blind}");
        assert_eq!(rig.slot.rcv_nxt, rcv_nxt, "its data is not taken");
    }
    assert_eq!(rig.count(Count::ChallengeAck), 3);
}

#[test]
fn a_reset_counts_only_where_it_is_exact() {
    let mut rig = Rig::client();
    let (next, ack) = (rig.seq, rig.ack);
    let beyond = next.wrapping_add((u32::from(WINDOW)) << WINDOW_SCALE);
    for outside in [next.wrapping_sub(1), beyond, next ^ 0x8000_0000] {
        assert_eq!(rig.hear_at(outside, ack, RST, b""), None);
        assert_eq!(rig.slot.state, State::Established);
    }
    assert_eq!(told(rig.hear_at(next.wrapping_add(1), ack, RST, b"")), Some((ACK, 0)));
    assert_eq!(rig.count(Count::ChallengeAck), 1);
    assert_eq!(rig.hear_at(next, ack, RST, b""), None);
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::SkErr), rig.count(Count::SkErrReset)), (1, 1));
}

#[test]
fn a_reset_ends_every_state() {
    let finish = |rig: &mut Rig, state: State| {
        let (seq, ack) = (rig.slot.rcv_nxt, rig.slot.snd_max);
        assert_eq!(rig.slot.state, state);
        assert_eq!(rig.hear_at(seq, ack, RST_ACK, b""), None);
        assert!(rig.slot.is_closed(), "{state:?}");
        assert_eq!(rig.count(Count::SkClose), 1);
    };
    let mut rig = Rig::new(Role::Client, |_| {});
    let syn = rig.tcp.open(&mut rig.slot, rig.now);
    assert_eq!(rig.hear_at(0, syn.seq, RST_ACK, b""), None, "it acknowledges nothing of ours");
    assert_eq!(rig.hear_at(0, syn.seq.wrapping_add(1), RST, b""), None, "nor does this");
    finish(&mut rig, State::SynSent);
    let mut rig = Rig::new(Role::Server, |_| {});
    rig.hear(SYN, b"");
    finish(&mut rig, State::SynReceived);
    let mut rig = Rig::server_sending(100_000);
    rig.hear(DATA | FIN, REQUEST);
    finish(&mut rig, State::CloseWait);
    let mut rig = Rig::server();
    rig.hear(DATA, REQUEST);
    finish(&mut rig, State::FinWait1);
    assert_eq!(rig.count(Count::SkErr), 0, "the client was served");
    let mut rig = Rig::server();
    rig.hear(DATA, REQUEST);
    rig.take_all();
    rig.hear(ACK, b"");
    finish(&mut rig, State::FinWait2);
    let mut rig = Rig::server();
    rig.hear(DATA, REQUEST);
    rig.hear(FIN_ACK, b"");
    finish(&mut rig, State::Closing);
    let mut rig = Rig::server();
    rig.hear(DATA | FIN, REQUEST);
    finish(&mut rig, State::LastAck);
}

#[test]
fn a_syn_in_a_connection_is_challenged() {
    for flags in [SYN, SYN_ACK] {
        let mut rig = Rig::server();
        let (seq, ack) = (rig.seq.wrapping_add(77), rig.ack);
        assert_eq!(told(rig.hear_at(seq, ack, flags, b"")), Some((ACK, 0)));
        assert_eq!((rig.slot.state, rig.count(Count::ChallengeAck)), (State::Established, 1));
    }
    for flags in [SYN | FIN, SYN | RST] {
        let mut rig = Rig::server();
        let (seq, ack) = (rig.seq, rig.ack);
        assert_eq!(rig.hear_at(seq, ack, flags, b""), None);
        assert_eq!((rig.slot.state, rig.count(Count::DropFlags)), (State::Established, 1));
    }
}

#[test]
fn a_repeated_syn_ack_is_acknowledged() {
    let mut rig = Rig::client();
    let (seq, ack) = (rig.seq.wrapping_sub(1), rig.slot.snd_una);
    assert_eq!(told(rig.hear_at(seq, ack, SYN_ACK, b"")), Some((ACK, 0)));
    assert_eq!(rig.slot.state, State::Established);
}

#[test]
fn a_second_syn_before_the_handshake_ends() {
    let mut rig = Rig::new(Role::Server, |_| {});
    let first = rig.hear(SYN, b"").expect("SYN-ACK");
    let again = rig.hear_at(5000, 0, SYN, b"").expect("the same once more");
    assert_eq!((again.seq, again.ack, rig.count(Count::SynRt)), (first.seq, first.ack, 1));
    let anew = rig.hear_at(90_000, 0, SYN, b"").expect("a new start");
    assert_eq!((anew.flags, anew.ack), (SYN_ACK, 90_001));
    assert_ne!(anew.seq, first.seq);
    rig.seq = 90_001;
    rig.ack = anew.seq.wrapping_add(1);
    rig.hear(ACK, b"");
    assert_eq!(rig.slot.state, State::Established);
}

#[test]
fn handshakes_that_are_not_answered_fail() {
    let mut rig = Rig::new(Role::Client, |_| {});
    let syn = rig.tcp.open(&mut rig.slot, rig.now);
    for wait in [2 * RTO, 4 * RTO, 8 * RTO] {
        assert_eq!(rig.ring(), Some(syn));
        assert_eq!(rig.wait_ms(), wait);
    }
    assert_eq!(rig.ring(), None);
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::SkErrTimeout), rig.count(Count::SynRt)), (1, 3));
    let mut rig = Rig::new(Role::Server, |_| {});
    let syn_ack = rig.hear(SYN, b"");
    for _ in 0..RETRIES_MAX {
        assert_eq!(rig.ring(), syn_ack);
    }
    assert_eq!(rig.ring(), None);
    assert!(rig.slot.is_closed());
}

#[test]
fn wrong_answers_to_a_syn() {
    let mut rig = Rig::new(Role::Client, |_| {});
    let syn = rig.tcp.open(&mut rig.slot, rig.now);
    let reset = rig.hear_at(5, syn.seq.wrapping_add(9), SYN_ACK, b"").expect("RST");
    assert_eq!((reset.flags, reset.seq), (RST, syn.seq.wrapping_add(9)));
    assert_eq!(rig.hear_at(5, 0, SYN, b""), None, "no simultaneous open");
    assert_eq!(rig.hear_at(5, syn.seq.wrapping_add(1), ACK, b""), None);
    assert_eq!(rig.slot.state, State::SynSent);
}

#[test]
fn both_close_at_once() {
    let mut rig = Rig::server();
    rig.hear(DATA, REQUEST);
    let una = rig.ack;
    assert_eq!(told(rig.hear_at(rig.seq, una, FIN_ACK, b"")), Some((ACK, 0)));
    assert_eq!(rig.slot.state, State::Closing);
    rig.seq = rig.seq.wrapping_add(1);
    rig.take_all();
    assert_eq!(rig.hear(ACK, b""), None);
    assert!(rig.slot.is_closed());
    assert_eq!(rig.count(Count::SkErr), 0);
}

#[test]
fn a_client_may_finish_first_and_still_be_served() {
    let mut rig = Rig::server_sending(4000);
    assert_eq!(told(rig.hear(DATA | FIN, REQUEST)), Some((ACK, 1460)));
    assert_eq!(rig.slot.state, State::CloseWait);
    let rest = rig.drain_ready();
    assert_eq!(told(rest.last().copied()), Some((DATA | FIN, 1080)));
    assert_eq!(rig.slot.state, State::LastAck);
    rig.take_all();
    assert_eq!(rig.hear(ACK, b""), None);
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::Http2xx), rig.count(Count::SkErr)), (1, 0));
}

#[test]
fn a_closed_slot_still_answers_the_last_fin() {
    let mut rig = Rig::server();
    rig.hear(DATA, REQUEST);
    rig.take_all();
    let fin = rig.seq;
    rig.hear(FIN_ACK, b"");
    assert!(rig.slot.is_closed());
    let (seq, ack) = (rig.seq, rig.ack);
    assert_eq!(rig.hear_at(seq, ack, ACK, b""), None, "a late ACK is nothing");
    let again = rig.hear_at(fin, ack, FIN_ACK, b"").expect("the last ACK once more");
    assert_eq!((again.flags, again.seq, again.ack), (ACK, ack, seq));
    // Anything else has no connection.
    let reset = rig.hear_at(seq, ack.wrapping_sub(9), DATA, b"x").expect("RST");
    assert_eq!((reset.flags, reset.seq), (RST, ack.wrapping_sub(9)));
    assert_eq!(rig.hear_at(seq, ack, RST, b""), None, "a RST is never answered");
    assert_eq!(rig.count(Count::SkClose), 1);
}

#[test]
fn strangers_are_told_only_if_we_may() {
    let mut rig = Rig::new(Role::Client, |plan| plan.tcp_rst = false);
    assert_eq!(rig.hear_at(1, 2, DATA, b"x"), None);
    assert_eq!(rig.count(Count::DropNoConnection), 1);
}

#[test]
fn a_tuple_is_used_again_with_a_higher_number() {
    let mut rig = Rig::server();
    rig.hear(DATA, REQUEST);
    rig.take_all();
    rig.hear(FIN_ACK, b"");
    let last = rig.slot.snd_max;
    let syn_ack = rig.hear_at(77, 0, SYN, b"").expect("SYN-ACK");
    assert_eq!((syn_ack.seq, syn_ack.ack), (last.wrapping_add(1), 78));
}

#[test]
fn fast_close_leaves_with_a_reset() {
    let mut rig = Rig::new(Role::Client, |plan| plan.fast_close = true).connected();
    rig.take_all();
    let start = rig.seq;
    let reset = rig.hear(DATA | FIN, RESPONSE).expect("RST");
    assert_eq!((reset.flags, reset.seq), (RST_ACK, rig.ack));
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::SkErr), rig.count(Count::Http2xx)), (0, 1));
    // If that was lost the server repeats itself, and hears it again.
    let ack = rig.ack;
    let again = rig.hear_at(start, ack, DATA | FIN, RESPONSE).expect("RST");
    assert!(again.flags.contains(RST) && again.seq == ack);
}

#[test]
fn an_answer_that_does_not_come_is_a_failure() {
    let mut rig = Rig::client();
    rig.take_all();
    rig.hear(ACK, b"");
    assert_eq!((rig.slot.timer, rig.wait_ms()), (Timer::Idle, IDLE));
    let reset = rig.ring().expect("RST");
    assert_eq!((reset.flags, reset.seq, reset.ack), (RST_ACK, rig.ack, rig.seq));
    assert_eq!((rig.count(Count::SkErr), rig.count(Count::SkErrResponse)), (1, 1));
}

#[test]
fn a_slow_answer_is_none_as_long_as_it_comes() {
    let mut rig = Rig::client();
    rig.take_all();
    rig.hear(ACK, b"");
    for byte in &RESPONSE[..20] {
        rig.now = rig.now.after(ms(IDLE - 100));
        rig.hear(DATA, &[*byte]);
        rig.drain_ready();
        assert_eq!(rig.wait_ms(), IDLE);
    }
}

#[test]
fn a_silent_client_is_given_up() {
    let mut rig = Rig::server();
    assert_eq!((rig.slot.timer, rig.wait_ms()), (Timer::Idle, IDLE));
    assert_eq!(told(rig.ring()), Some((RST_ACK, 0)));
    assert_eq!((rig.count(Count::SkErr), rig.count(Count::SkErrIdle)), (1, 1));
}

#[test]
fn a_kept_connection_sends_as_many_requests_as_told() {
    for requests in [1u16, 2, 7] {
        let mut rig = Rig::kept(Role::Client, 100_000, requests);
        for _ in 1..requests {
            rig.take_all();
            assert_eq!(rig.hear(DATA, RESPONSE), None);
            assert_eq!((rig.slot.timer, rig.wait_ms()), (Timer::Pace, 100));
            assert_eq!(told(rig.drain_ready().pop()), Some((ACK, 0)), "100 ms are too long");
            assert_eq!(told(rig.ring()), Some((DATA, 100)));
        }
        rig.take_all();
        assert_eq!(told(rig.hear(DATA, RESPONSE)), Some((FIN_ACK, 0)));
        assert_eq!(rig.count(Count::HttpGet), u64::from(requests));
    }
}

#[test]
fn the_next_request_carries_the_ack_if_it_comes_soon() {
    let mut rig = Rig::kept(Role::Client, 10_000, 0);
    rig.take_all();
    assert_eq!(rig.hear(DATA, RESPONSE), None);
    assert!(rig.drain_ready().is_empty());
    let request = rig.ring().expect("a request");
    assert_eq!((request.flags, request.ack), (DATA, rig.seq));
    // At once.
    let mut rig = Rig::kept(Role::Client, 0, 0);
    rig.take_all();
    assert_eq!(told(rig.hear(DATA, RESPONSE)), Some((DATA, 100)));
}

/// A Linux sender with two segments in flight repeats the last after two round trips and a little
/// (RFC 8985, 7.2), so two segments are acknowledged at once, whatever comes soon.
#[test]
fn two_segments_are_not_kept_waiting() {
    let mut rig = Rig::kept(Role::Client, 10_000, 0);
    rig.take_all();
    assert_eq!(rig.hear(DATA, &RESPONSE[..10]), None);
    assert_eq!(rig.hear(DATA, &RESPONSE[10..]), None);
    assert_eq!(told(rig.drain_ready().pop()), Some((ACK, 0)));
    assert_eq!(rig.slot.timer, Timer::Pace);
}

/// A long interval makes coarse buckets: what is near may ring late.
#[test]
fn a_coarse_pace_acknowledges_at_once() {
    let mut rig = Rig::kept(Role::Client, 120_000_000, 0);
    rig.take_all();
    rig.now = rig.now.after(ms(119_990));
    assert_eq!(rig.hear(DATA, RESPONSE), None);
    assert_eq!(told(rig.drain_ready().pop()), Some((ACK, 0)));
}

#[test]
fn a_request_into_a_closed_window_still_acknowledges() {
    let mut rig = Rig::kept(Role::Client, 10_000, 0);
    rig.take_all();
    rig.window = 0;
    rig.hear(DATA, RESPONSE);
    let ack = rig.ring().expect("the ACK that waited");
    assert_eq!((ack.flags, ack.payload_bytes, ack.ack), (ACK, 0, rig.seq));
    assert_eq!(rig.slot.timer, Timer::Persist);
}

#[test]
fn the_pace_outlives_an_early_answer() {
    let mut rig = Rig::new(Role::Client, |plan| {
        plan.payload.total_bytes = 4000;
        plan.keepalive = Some(Keepalive { interval_us: 100_000, requests: 0 });
    })
    .connected();
    rig.drain_ready();
    let una = rig.ack;
    rig.ack = una.wrapping_add(1460);
    rig.hear(DATA, RESPONSE);
    rig.drain_ready();
    rig.ack = una.wrapping_add(2920);
    rig.hear(ACK, b"");
    rig.take_all();
    rig.hear(ACK, b"");
    assert!(rig.ring().is_some_and(|reply| reply.payload_bytes == 1460), "the next request");
    assert_eq!(rig.count(Count::HttpGet), 2);
}

#[test]
fn draining_ends_what_waits_and_opens_nothing() {
    let mut rig = Rig::kept(Role::Client, 100_000, 0);
    rig.take_all();
    rig.hear(DATA, RESPONSE);
    rig.tcp.draining = true;
    assert_eq!(told(rig.tcp.drain(&mut rig.slot, rig.now)), Some((FIN_ACK, 0)));
    assert_eq!(rig.slot.state, State::FinWait1);
    assert_eq!(rig.tcp.drain(&mut rig.slot, rig.now), None);
    // One that waits for its answer ends behind it.
    let mut rig = Rig::kept(Role::Client, 100_000, 0);
    rig.tcp.draining = true;
    assert_eq!(rig.tcp.drain(&mut rig.slot, rig.now), None);
    rig.take_all();
    assert_eq!(told(rig.hear(DATA, RESPONSE)), Some((FIN_ACK, 0)));
}

#[test]
fn a_body_may_end_with_the_connection() {
    let mut rig = Rig::client();
    rig.take_all();
    rig.hear(DATA, b"HTTP/1.1 200 OK\r\n\r\nanything");
    assert_eq!(rig.count(Count::Http2xx), 0);
    assert_eq!(told(rig.hear(FIN_ACK, b"")), Some((FIN_ACK, 0)));
    assert_eq!((rig.count(Count::Http2xx), rig.count(Count::HttpErr)), (1, 0));
}

#[test]
fn a_truncated_or_foreign_answer_is_an_error() {
    for broken in [&RESPONSE[..20], b"", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", b"\0"] {
        let mut rig = Rig::client();
        rig.take_all();
        let reply = rig.hear(DATA | FIN, broken);
        assert_eq!(told(reply), Some((FIN_ACK, 0)), "{broken:?}");
        assert_eq!((rig.count(Count::Http2xx), rig.count(Count::HttpErr)), (0, 1), "{broken:?}");
    }
}

#[test]
fn pipelined_and_split_requests() {
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    let three = [REQUEST, REQUEST, REQUEST].concat();
    // Each answer is a segment of its own: its bytes begin at the head of a message.
    let first = rig.hear(DATA, &three).expect("an answer");
    let rest = rig.drain_ready();
    let places: Vec<_> =
        rest.iter().chain([&first]).map(|r| (r.payload_at, r.payload_bytes)).collect();
    assert_eq!(places, vec![(0, 100); 3]);
    rig.take_all();
    for byte in &REQUEST[..REQUEST.len() - 1] {
        assert_eq!(rig.hear(DATA, &[*byte]), None);
        assert_eq!(told(rig.drain_ready().pop()), Some((ACK, 0)));
    }
    assert_eq!(told(rig.hear(DATA, &REQUEST[REQUEST.len() - 1..])), Some((DATA, 100)));
    assert_eq!(rig.count(Count::Http2xx), 4);
}

const HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_head_request_gets_no_body() {
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    let header = Some((DATA, 85));
    for (request, answer) in
        [(HEAD, header), (HEAD, header), (REQUEST, Some((DATA, 100))), (HEAD, header)]
    {
        let reply = rig.hear(DATA, request);
        assert_eq!((told(reply), reply.map(|reply| reply.payload_at)), (answer, Some(0)));
        // Lost, it comes again from the same place.
        let again = rig.ring();
        assert_eq!(again.map(|r| (r.payload_at, r.payload_bytes)), answer.map(|(_, n)| (0, n)));
        rig.take_all();
    }
    assert_eq!(rig.hear(RST_ACK, b""), None);
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::Http2xx), rig.count(Count::SkErr)), (4, 0));
}

#[test]
fn a_head_request_in_a_pipeline_is_the_last_that_is_answered() {
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    let first = rig.hear(DATA, &[REQUEST, HEAD, REQUEST].concat()).expect("an answer");
    let rest = rig.drain_ready();
    let places: Vec<_> =
        [first].iter().chain(&rest).map(|r| (r.payload_at, r.payload_bytes, r.flags)).collect();
    assert_eq!(places, [(0, 100, DATA), (0, 85, DATA | FIN)]);
    assert_eq!(rig.count(Count::Http2xx), 2);
    // In pieces, too.
    let mut rig = Rig::new(Role::Server, |plan| plan.mss = 60).connected();
    let first = rig.hear(DATA, HEAD).expect("an answer");
    let rest = rig.drain_ready();
    let places: Vec<_> =
        [first].iter().chain(&rest).map(|r| (r.payload_at, r.payload_bytes, r.flags)).collect();
    assert_eq!(places, [(0, 60, ACK), (60, 25, DATA | FIN)]);
}

#[test]
fn an_endless_pipeline_stays_within_the_sequence_space() {
    let mut rig = Rig::new(Role::Server, |plan| {
        plan.payload.total_bytes = 100 << 20;
        plan.keepalive = Some(Keepalive { interval_us: 1_000_000, requests: 0 });
    })
    .connected();
    let many = REQUEST.repeat(50);
    for _ in 0..4 {
        rig.hear(DATA, &many);
    }
    let queued = rig.slot.snd_end.wrapping_sub(rig.slot.snd_una);
    assert!(queued < 1 << 31, "{queued}");
    assert!(rig.slot.flags.contains(SlotFlags::FIN_QUEUED));
}

#[test]
fn raw_bytes_are_answered_until_the_end_is_queued() {
    let raw = |plan: &mut CorePlan<'static>| plan.messages = Messages::Raw;
    let mut rig = Rig::new(Role::Server, raw).connected();
    assert_eq!(told(rig.hear(DATA, b"some")), Some((DATA | FIN, 100)));
    let end = rig.slot.snd_max;
    assert_eq!(rig.hear(DATA, b"more"), None);
    assert_eq!(told(rig.drain_ready().pop()), Some((ACK, 0)));
    assert_eq!((rig.slot.snd_max, rig.count(Count::TcpRsp)), (end, 1));
    let mut rig = Rig::new(Role::Client, raw).connected();
    rig.take_all();
    assert_eq!(told(rig.hear(DATA, b"x")), Some((FIN_ACK, 0)));
    assert_eq!((rig.count(Count::TcpReq), rig.count(Count::TcpRsp)), (1, 1));
}

#[test]
fn numbers_wrap_in_the_middle_of_everything() {
    let mut rig = Rig::new(Role::Server, |plan| plan.payload.total_bytes = 20_000);
    rig.slot.snd_max = u32::MAX - 3000;
    rig.seq = u32::MAX - 10;
    let mut rig = rig.connected();
    let start = rig.ack;
    rig.hear(DATA, REQUEST);
    let mut sent = 1460;
    for _ in 0..30 {
        sent += rig.drain_ready().iter().map(|reply| u32::from(reply.payload_bytes)).sum::<u32>();
        rig.take_all();
        sent += rig.hear(ACK, b"").map_or(0, |reply| u32::from(reply.payload_bytes));
    }
    assert_eq!((sent, rig.slot.snd_una), (20_000, start.wrapping_add(20_001)));
    assert_eq!(rig.slot.state, State::FinWait2);
    rig.hear(FIN_ACK, b"");
    assert!(rig.slot.is_closed() && rig.slot.snd_una < start);
    assert_eq!(rig.count(Count::TcpDrop), 0);
}

#[test]
fn challenges_have_a_budget() {
    let mut rig = Rig::client();
    let (seq, ack) = (rig.seq.wrapping_sub(9), rig.ack);
    for _ in 0..CHALLENGES_PER_SECOND {
        assert!(rig.hear_at(seq, ack, ACK, b"").is_some());
    }
    assert_eq!(rig.hear_at(seq, ack, ACK, b""), None);
    assert_eq!(rig.count(Count::ChallengeAck), u64::from(CHALLENGES_PER_SECOND));
}

#[test]
fn the_longest_waits_do_not_overflow() {
    let mut rig = Rig::new(Role::Client, |plan| {
        plan.retransmit_timeout_us = u32::MAX;
        plan.idle_timeout_us = u64::MAX;
    });
    rig.tcp.open(&mut rig.slot, rig.now);
    for _ in 0..RETRIES_MAX {
        assert!(rig.slot.due.reached(rig.now) && rig.slot.due != rig.now, "a wait lies ahead");
        assert!(rig.ring().is_some());
    }
    assert_eq!(rig.ring(), None);
    assert!(rig.slot.is_closed());
}

/// Time-outs of minutes are waited for to the end, on every clock.
#[test]
fn long_waits_are_not_cut_short() {
    for rate in [TickRate::NANOSECONDS, TickRate::new(1_999_999_999), TickRate::new(2_048_000_000)]
    {
        let mut server = Rig::new(Role::Server, |plan| {
            plan.rate = rate;
            plan.idle_timeout_us = 1_000_000_000;
        });
        server = server.connected();
        let wait = rate.units_from_us(1_000_000_000);
        assert_eq!(server.slot.due.since(server.now), wait, "{rate:?}");
        let mut client = Rig::new(Role::Client, |plan| {
            plan.rate = rate;
            plan.retransmit_timeout_us = 125_000_000;
        });
        client.tcp.open(&mut client.slot, client.now);
        let wait = rate.units_from_us(125_000_000);
        assert_eq!(client.slot.due.since(client.now), wait, "{rate:?}");
    }
}

/// Any segments and timers in any order: no panic, no slot that nothing wakes, exact books.
#[test]
fn a_storm_of_segments_on_one_slot() {
    let mut state = 0x1234_5678_9abc_def0u64;
    let mut next = move |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % bound
    };
    for role in [Role::Client, Role::Server] {
        for round in 0..2000 {
            let interval_us = [0, 5_000, 500_000][next(3) as usize];
            let total_bytes = [1, 100, 5_000][next(3) as usize];
            let mut rig = Rig::new(role, |plan| {
                plan.payload.total_bytes = total_bytes;
                plan.send_window = 1 + next(5) as u16;
                plan.fast_close = role == Role::Client && round % 7 == 0;
                plan.keepalive = (round % 2 == 0).then_some(Keepalive { interval_us, requests: 3 });
            });
            rig.slot.snd_max = [0, u32::MAX - 50][next(2) as usize];
            rig.wscale = [None, Some(0), Some(14)][next(3) as usize];
            for _ in 0..60 {
                storm_step(&mut rig, &mut next);
            }
            let open = u64::from(!rig.slot.is_closed());
            assert_eq!(rig.count(Count::SkOpen), rig.count(Count::SkClose) + open);
        }
    }
}

fn storm_step(rig: &mut Rig, next: &mut impl FnMut(u64) -> u64) {
    match next(10) {
        0 if rig.slot.is_closed() && rig.tcp.settings.role == Role::Client => {
            rig.tcp.open(&mut rig.slot, rig.now);
        }
        0 | 1 if rig.slot.timer != Timer::None => drop(rig.ring()),
        2 => drop(rig.drain_ready()),
        _ => {
            let near = |base: u32, next: &mut dyn FnMut(u64) -> u64| match next(8) {
                0 => base.wrapping_add(next(3000) as u32).wrapping_sub(1500),
                1 => (next(1 << 16) << 16 | next(1 << 16)) as u32,
                _ => base,
            };
            let seq = near(rig.slot.rcv_nxt, next);
            let ack = near(if next(2) == 0 { rig.slot.snd_max } else { rig.slot.snd_una }, next);
            let flags = [ACK, ACK, DATA, DATA, FIN_ACK, SYN_ACK, SYN, RST][next(8) as usize];
            let all = [REQUEST, RESPONSE, REQUEST].concat();
            let from = next(all.len() as u64) as usize;
            let payload = if next(2) == 0 { &all[from..] } else { &[][..] };
            rig.window = [0, 1, 500, 60_000][next(4) as usize];
            rig.hear_at(seq, ack, flags, payload);
        }
    }
}
