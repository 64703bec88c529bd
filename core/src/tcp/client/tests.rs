//! A client's numbers to the unit: where its sequence begins, how long its round trip took, and
//! when its next request is due.

use std::boxed::Box;
use std::vec::Vec;

use super::*;
use crate::conn::SlotId;
use crate::plan::{CorePlan, Keepalive};
use crate::stats::{Page, Reader};
use crate::tcp::{NO_SCALE, Segment, tests::plan};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const SYN_ACK: TcpFlags = TcpFlags::SYN.union(TcpFlags::ACK);
/// When the connections here are opened.
const OPENED: Stamp = Stamp(1000);

/// A client with one slot, whose SYN has left.
struct Client {
    tcp: Tcp<'static>,
    slot: Slot,
    counts: Reader<'static>,
}

impl Client {
    fn new(change: impl FnOnce(&mut CorePlan<'static>)) -> Client {
        let mut plan = plan(Role::Client);
        change(&mut plan);
        let (stats, counts) = Box::leak(Box::new(Page::new())).open();
        let mut client = Client { tcp: Tcp::new(&plan, stats), slot: Slot::default(), counts };
        client.tcp.scatter(SlotId(7), &mut client.slot);
        client.tcp.open(&mut client.slot, OPENED);
        client
    }

    /// One that keeps its connection and sends a request of so many bytes ten times a second, two
    /// segments of it at once.
    fn kept(total_bytes: u32) -> Client {
        let mut client = Client::new(|plan| {
            plan.keepalive = Some(Keepalive { interval_us: 100_000, requests: 0 });
            plan.payload.total_bytes = total_bytes;
            plan.send_window = 2;
        });
        client.hear(5000, client.slot.snd_nxt, SYN_ACK, b"", OPENED);
        while client.tcp.ready(&mut client.slot, OPENED).is_some() {}
        assert_eq!(client.slot.in_flight(), total_bytes.min(2920));
        client
    }

    fn hear(&mut self, seq: u32, ack: u32, flags: TcpFlags, payload: &[u8], now: Stamp) {
        let segment = Segment {
            seq,
            ack,
            window: u16::MAX,
            flags,
            payload_at: 54,
            payload_bytes: payload.len() as u16,
            mss: 1460,
            wscale: None,
            known: 0,
        };
        self.tcp.on_segment(&mut self.slot, &segment, payload, now);
    }

    /// The whole answer arrives, and the ACK of all but so many bytes of the request with it.
    fn hear_answer(&mut self, unacknowledged: u32, now: Stamp) {
        let ack = self.slot.snd_max.wrapping_sub(unacknowledged);
        self.hear(5001, ack, TcpFlags::ACK, ANSWER, now);
    }

    fn interval_units(&self) -> u32 {
        self.tcp.settings.keepalive.map_or(0, |(interval, _)| interval.units())
    }
}

#[test]
fn every_tuple_begins_elsewhere() {
    let first = |seed, id| {
        let mut client = Client::new(|plan| plan.seed = seed);
        let mut slot = Slot::default();
        client.tcp.scatter(SlotId(id), &mut slot);
        client.tcp.open(&mut slot, OPENED).seq
    };
    assert_eq!(first(7, 3), first(7, 3), "the same seed, the same packets");
    let mut begins: Vec<u32> = (0..1000).flat_map(|id| [first(7, id), first(8, id)]).collect();
    begins.sort_unstable();
    begins.dedup();
    assert_eq!(begins.len(), 2000);
}

#[test]
fn a_slot_used_again_keeps_its_places_and_nothing_else() {
    let mut client = Client::new(|_| {});
    let mut slot = Slot { flags: SlotFlags::all(), retries: 3, dup_acks: 2, ..Slot::default() };
    client.tcp.open(&mut slot, OPENED);
    assert_eq!(slot.flags, SlotFlags::PLACES);
    assert_eq!((slot.retries, slot.dup_acks, slot.wscale), (0, 0, NO_SCALE));
    slot.flags = SlotFlags::AWAITING;
    client.tcp.open(&mut slot, OPENED);
    assert_eq!(slot.flags, SlotFlags::empty());
}

/// Units grow with what is to be measured; times are counted in the finest all the same.
#[test]
fn a_round_trip_is_counted_in_the_finest_units() {
    let mut client = Client::new(|plan| plan.rate = plan.rate.reaching(86_400_000_000));
    let coarseness = client.tcp.settings.rtt_shift;
    assert!(coarseness > 0);
    client.hear(5000, client.slot.snd_nxt, SYN_ACK, b"", OPENED.after(9));
    assert_eq!(client.counts.get(Count::RttUnits), 9 << coarseness);
    assert_eq!(client.counts.get(Count::RttCount), 1);
}

#[test]
fn the_next_request_is_due_one_interval_after_the_last() {
    let mut client = Client::kept(100);
    let interval = client.interval_units();
    client.hear_answer(0, OPENED.after(30_000));
    assert_eq!((client.slot.timer, client.slot.due), (Timer::Pace, OPENED.after(interval)));
    assert_eq!(client.counts.get(Count::HttpGet), 1);
}

#[test]
fn an_answers_ack_waits_for_a_request_that_is_near() {
    for (nearer, waits) in [(0, false), (1, true)] {
        let mut client = Client::kept(100);
        let near = client.interval_units() - client.tcp.settings.ack_wait_units;
        client.hear_answer(0, OPENED.after(near + nearer));
        assert_eq!(client.slot.flags.contains(SlotFlags::ACK_OWED), !waits);
    }
}

#[test]
fn a_timer_that_rings_late_delays_no_other_request() {
    let timeout = Client::kept(100).tcp.settings.retransmit_units;
    // Whoever is that late has lost the pace, and begins anew.
    for (late, from) in [(0, 0), (5, 0), (timeout, 0), (timeout + 1, timeout + 1)] {
        let mut client = Client::kept(100);
        client.hear_answer(0, OPENED.after(1_000));
        let due = client.slot.due;
        assert!(client.tcp.on_timer(&mut client.slot, due.after(late)).is_some());
        assert_eq!(client.slot.sent_at, due.after(from), "{late} late");
    }
}

#[test]
fn a_late_answer_brings_the_next_request_at_once_and_lateness_is_made_up_for() {
    let interval = Client::kept(100).interval_units();
    for (late, from) in [(0, interval), (10, interval), (interval - 1, interval)] {
        let mut client = Client::kept(100);
        client.hear_answer(0, OPENED.after(interval + late));
        assert_eq!(client.counts.get(Count::HttpGet), 2);
        assert_eq!(client.slot.sent_at, OPENED.after(from), "{late} late");
    }
    // A whole interval is lost.
    let mut client = Client::kept(100);
    client.hear_answer(0, OPENED.after(2 * interval));
    assert_eq!(client.slot.sent_at, OPENED.after(2 * interval));
}

#[test]
fn the_pace_goes_on_when_the_rest_of_the_request_is_acknowledged() {
    let interval = Client::kept(4000).interval_units();
    // What comes late is followed by the next request at once.
    for (acknowledged, due) in [(3_000, interval), (interval + 7, interval + 7)] {
        let mut client = Client::kept(4000);
        client.hear_answer(1460, OPENED.after(1_000));
        assert_eq!(client.slot.timer, Timer::Retransmit, "the rest is out");
        let (behind, all) = (5001 + ANSWER.len() as u32, client.slot.snd_max);
        client.hear(behind, all, TcpFlags::ACK, b"", OPENED.after(acknowledged));
        assert_eq!((client.slot.timer, client.slot.due), (Timer::Pace, OPENED.after(due)));
    }
    // A request without an answer is not paced, however much of it is acknowledged.
    let mut client = Client::kept(100);
    client.hear(5001, client.slot.snd_max, TcpFlags::ACK, b"", OPENED.after(3_000));
    assert_eq!(client.slot.timer, Timer::Idle);
}

#[test]
fn a_pace_that_was_set_is_set_once() {
    let mut client = Client::kept(2920);
    // Enough was cut off the intervals before: this one is a unit longer.
    client.slot.fraction = u8::MAX;
    client.hear_answer(1460, OPENED.after(1_000));
    let paced = (Timer::Pace, OPENED.after(client.interval_units() + 1));
    assert_eq!((client.slot.timer, client.slot.due), paced);
    let (behind, all) = (5001 + ANSWER.len() as u32, client.slot.snd_max);
    client.hear(behind, all, TcpFlags::ACK, b"", OPENED.after(2_000));
    assert_eq!((client.slot.timer, client.slot.due), paced);
}

/// The last part of a request is acknowledged while the run ends: no further one is waited for.
#[test]
fn a_run_that_ends_ends_who_waits_for_an_ack_as_well() {
    let mut client = Client::kept(2920);
    client.hear_answer(1460, OPENED.after(1_000));
    client.slot.timer = Timer::Retransmit;
    client.tcp.draining = true;
    assert!(client.tcp.drain(&mut client.slot, OPENED.after(1_500)).is_none());
    let (behind, all) = (5001 + ANSWER.len() as u32, client.slot.snd_max);
    client.hear(behind, all, TcpFlags::ACK, b"", OPENED.after(2_000));
    assert_eq!(client.slot.state, State::FinWait1);
}

#[test]
fn who_waits_for_room_or_an_answer_wants_to_send_nothing() {
    for total_bytes in [100, 4000] {
        let client = Client::kept(total_bytes);
        assert!(!client.tcp.wants_more(&client.slot), "{total_bytes}");
    }
}

#[test]
fn a_reset_names_what_it_answers() {
    let segment = |flags| Segment {
        seq: 70,
        ack: 90,
        window: 0,
        flags,
        payload_at: 54,
        payload_bytes: 3,
        mss: 0,
        wscale: None,
        known: 0,
    };
    let both = TcpFlags::RST | TcpFlags::ACK;
    let told = |flags| Reply::reset_for(&segment(flags)).map(|it| (it.flags, it.seq, it.ack));
    assert_eq!(told(TcpFlags::SYN), Some((both, 0, 74)));
    assert_eq!(told(TcpFlags::FIN), Some((both, 0, 74)));
    assert_eq!(told(TcpFlags::PSH), Some((both, 0, 73)));
    assert_eq!(told(TcpFlags::ACK), Some((TcpFlags::RST, 90, 0)));
    assert_eq!(told(both), None);
}
