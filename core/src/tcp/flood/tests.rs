//! A flood's tuple: which SYN leave it, when, and how it ends.

use std::boxed::Box;

use super::*;
use crate::plan::{Keepalive, Role};
use crate::stats::{Page, Reader};
use crate::tcp::tests::plan;

const OPENED: Stamp = Stamp(1000);
const INTERVAL_US: u64 = 1024;
/// The same in stamp units of 512 ns.
const INTERVAL: u32 = 2000;

fn flood(requests: Option<u16>) -> (Tcp<'static>, Reader<'static>) {
    let mut plan = plan(Role::Client);
    plan.flood = true;
    plan.keepalive = requests.map(|requests| Keepalive { interval_us: INTERVAL_US, requests });
    let (stats, counts) = Box::leak(Box::new(Page::new())).open();
    (Tcp::new(&plan, stats), counts)
}

#[test]
fn without_an_interval_one_syn_is_all() {
    let (mut tcp, counts) = flood(None);
    let first = tcp.flood_once(SlotId(7));
    assert_eq!((first.flags, first.ack, first.payload_bytes), (TcpFlags::SYN, 0, 0));
    assert_eq!((counts.get(Count::SkOpen), counts.get(Count::SkClose)), (1, 1));
    // Another tuple begins elsewhere, and the same one beyond its last number.
    let other = tcp.flood_once(SlotId(8));
    let again = tcp.flood_once(SlotId(7));
    assert_eq!(again.seq.wrapping_sub(first.seq), 2);
    assert!(other.seq.abs_diff(first.seq) > 1000);
}

#[test]
fn each_interval_brings_a_syn_one_number_further_until_all_are_sent() {
    let (mut tcp, counts) = flood(Some(3));
    let mut slot = Slot::default();
    let first = tcp.flood_open(&mut slot, OPENED);
    for nth in 1..3 {
        assert_eq!((slot.timer, slot.due), (Timer::Pace, OPENED.after(nth * INTERVAL)));
        let late = slot.due.after(5);
        let again = tcp.flood_again(&mut slot, late).expect("a SYN");
        assert_eq!((again.seq, again.flags), (first.seq.wrapping_add(nth), TcpFlags::SYN));
    }
    assert!(slot.is_closed());
    assert_eq!((counts.get(Count::SkOpen), counts.get(Count::SkClose)), (1, 1));
    // What the tuple sends when it is opened again is beyond all that.
    assert!(tcp.flood_open(&mut slot, OPENED).seq.wrapping_sub(first.seq) > 2);
}

#[test]
fn without_a_number_it_does_not_end() {
    let (mut tcp, _) = flood(Some(0));
    let mut slot = Slot::default();
    tcp.flood_open(&mut slot, OPENED);
    for _ in 0..1000 {
        let due = slot.due;
        assert!(tcp.flood_again(&mut slot, due).is_some() && !slot.is_closed());
    }
}

#[test]
fn a_little_lateness_is_made_up_for_and_a_lot_is_not() {
    for (late, from) in [(1, 0), (390_625, 0), (390_626, 390_626)] {
        let (mut tcp, _) = flood(Some(0));
        let mut slot = Slot::default();
        tcp.flood_open(&mut slot, OPENED);
        let due = slot.due;
        assert_eq!(tcp.settings.retransmit_units, 390_625);
        tcp.flood_again(&mut slot, due.after(late));
        assert_eq!(slot.due, due.after(from + INTERVAL), "{late}");
    }
}

#[test]
fn the_end_of_the_run_closes_what_is_open_and_sends_nothing() {
    let (mut tcp, counts) = flood(Some(0));
    let (mut rung, mut swept) = (Slot::default(), Slot::default());
    tcp.flood_open(&mut rung, OPENED);
    tcp.flood_open(&mut swept, OPENED);
    tcp.draining = true;
    assert_eq!(tcp.flood_again(&mut rung, OPENED.after(INTERVAL)), None);
    assert_eq!(tcp.flood_drain(&mut swept), None);
    assert!(rung.is_closed() && swept.is_closed());
    assert_eq!(tcp.flood_drain(&mut swept), None);
    assert_eq!(counts.get(Count::SkClose), 2, "each once");
}

#[test]
fn answers_are_counted_by_what_they_are() {
    let (mut tcp, counts) = flood(None);
    tcp.flood_hear(TcpFlags::SYN | TcpFlags::ACK);
    tcp.flood_hear(TcpFlags::RST);
    tcp.flood_hear(TcpFlags::FIN);
    tcp.flood_hear(TcpFlags::ACK);
    let kinds = [Count::TcpRx, Count::SynRx, Count::RstRx, Count::FinRx];
    let drops = [Count::TcpDrop, Count::DropFlood];
    assert_eq!(kinds.map(|count| counts.get(count)), [4, 1, 1, 1]);
    assert_eq!(drops.map(|count| counts.get(count)), [4, 4]);
}
