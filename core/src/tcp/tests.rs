//! The TCP engine on one slot at a time: what RFC 9293, 5681, 5961 and 6298 ask for, and what the
//! peers we are tested against must never see.

mod attacks;
mod closing;
mod exchange;
mod handshake;
mod loss;
mod prediction;
mod storm;
mod windows;

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
        port_addresses: AddressList::new(&[], &[]),
        retransmit_timeout_us: (RTO * 1000) as u32,
        idle_timeout_us: IDLE * 1000,
        tcp_rst: true,
        fast_close: false,
        disable_ack: false,
        tx_burst: 64,
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
        let (tcp, mut slot) = (Tcp::new(&plan, stats), Slot::default());
        tcp.scatter(SlotId(7), &mut slot);
        Rig {
            tcp,
            slot,
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
            known: self.tcp.recall(payload).map_or(0, |known| known.number),
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

    /// An open slot always has something that wakes it; a closed one is left alone.
    fn check(&self) {
        let rings = self.slot.timer != Timer::None;
        if self.slot.is_closed() {
            let rests = !rings && SlotFlags::PLACES.contains(self.slot.flags);
            assert!(rests, "something wakes {:?}", self.slot);
        } else {
            let woken = rings || self.tcp.wants_more(&self.slot);
            assert!(woken, "nothing wakes {:?}", self.slot);
        }
    }

    fn count(&self, count: Count) -> u64 {
        self.counts.snapshot().get(count)
    }

    /// The peer has all we sent.
    fn take_all(&mut self) {
        self.ack = self.slot.snd_max;
    }
}

#[test]
fn a_segments_payload_lies_where_it_says() {
    let segment = |payload_at, payload_bytes| Segment {
        seq: 0,
        ack: 0,
        window: 0,
        flags: ACK,
        payload_at,
        payload_bytes,
        mss: 0,
        wscale: None,
        known: 0,
    };
    let packet = b"0123456789";
    assert_eq!(segment(3, 4).payload(packet), b"3456");
    assert_eq!(segment(10, 0).payload(packet), b"");
    assert_eq!(segment(7, 4).payload(packet), b"", "more than there is");
}

/// The parts of a reply that matter on the wire.
fn told(reply: Option<Reply>) -> Option<(TcpFlags, u16)> {
    reply.map(|reply| (reply.flags, reply.payload_bytes))
}
