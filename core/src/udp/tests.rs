//! The UDP client on one slot at a time.

use std::boxed::Box;
use std::format;
use std::vec::Vec;

use super::*;
use crate::plan::{Keepalive, Role, Transport};
use crate::stats::{Page, Reader};
use crate::tcp;
use crate::time::TickRate;

const RTO_MS: u32 = 200;

fn plan(keepalive: Option<(u64, u16)>, pipeline: u8, flood: bool) -> CorePlan<'static> {
    CorePlan {
        transport: Transport::Udp,
        keepalive: keepalive.map(|(interval_us, requests)| Keepalive { interval_us, requests }),
        pipeline,
        flood,
        retransmit_timeout_us: RTO_MS * 1000,
        ..tcp::tests::plan(Role::Client)
    }
}

/// One connection, and time in microseconds.
struct Rig {
    udp: Udp,
    slot: Slot,
    stats: Writer<'static>,
    counts: Reader<'static>,
    now_us: u64,
}

impl Rig {
    /// An open connection and how many datagrams left at once.
    fn open(keepalive: Option<(u64, u16)>, pipeline: u8, flood: bool) -> (Rig, u32) {
        let (stats, counts) = Box::leak(Box::new(Page::new())).open();
        let udp = Udp::new(&plan(keepalive, pipeline, flood));
        let mut rig = Rig { udp, slot: Slot::default(), stats, counts, now_us: 77 };
        let now = rig.now();
        let goes = rig.udp.open(&mut rig.slot, &mut rig.stats, now);
        let sent = u32::from(goes) + rig.rest();
        (rig, sent)
    }

    fn now(&self) -> Stamp {
        let ticks = TickRate::NANOSECONDS.ticks_from_us(self.now_us).0;
        Stamp((ticks >> TickRate::NANOSECONDS.shift()) as u32)
    }

    /// Datagrams that leave by the ready list.
    fn rest(&mut self) -> u32 {
        let mut sent = 0;
        while self.udp.wants_more(&self.slot) {
            assert!(self.udp.ready(&mut self.slot, &mut self.stats));
            sent += 1;
        }
        sent
    }

    /// Time goes on; the timer rings if it is due. Returns the datagrams that left.
    fn pass(&mut self, micros: u64) -> u32 {
        self.now_us += micros;
        let now = self.now();
        if self.slot.timer == Timer::None || !now.reached(self.slot.due) {
            return 0;
        }
        let goes = self.udp.on_timer(&mut self.slot, &mut self.stats, now);
        u32::from(goes) + self.rest()
    }

    /// An answer comes. Returns the datagrams that left.
    fn hear(&mut self) -> u32 {
        let now = self.now();
        u32::from(self.udp.on_datagram(&mut self.slot, &mut self.stats, now)) + self.rest()
    }

    fn count(&self, count: Count) -> u64 {
        self.counts.snapshot().get(count)
    }
}

#[test]
fn a_short_exchange_is_one_datagram_each_way() {
    let (mut rig, sent) = Rig::open(None, 1, false);
    assert_eq!((sent, rig.slot.is_closed()), (1, false));
    assert_eq!(rig.pass(50), 0);
    assert_eq!((rig.hear(), rig.slot.is_closed()), (0, true));
    assert_eq!((rig.count(Count::RttCount), rig.count(Count::SkClose)), (1, 1));
    assert!(rig.count(Count::RttUnits).abs_diff(50_000 >> 9) <= 1);
    // Once more: nobody waits for it.
    assert_eq!((rig.hear(), rig.count(Count::UdpDrop)), (0, 1));
}

#[test]
fn without_an_answer_it_is_lost_and_not_sent_again() {
    let (mut rig, _) = Rig::open(None, 1, false);
    assert_eq!((rig.pass(199_000), rig.count(Count::UdpRt)), (0, 0));
    assert_eq!((rig.pass(2_000), rig.count(Count::UdpRt)), (0, 1));
    assert!(rig.slot.is_closed());
    assert_eq!((rig.hear(), rig.count(Count::UdpDrop)), (0, 1));
}

#[test]
fn an_interval_passes_whatever_is_answered() {
    // Longer than the time-out: what is not answered then is lost.
    let (mut rig, _) = Rig::open(Some((300_000, 0)), 1, false);
    for answered in [true, false, true, false, false] {
        if answered {
            assert_eq!(rig.hear(), 0);
        }
        assert_eq!(rig.pass(300_001), 1);
    }
    assert_eq!(rig.count(Count::UdpRt), 3);
    assert_eq!((rig.count(Count::SkOpen), rig.count(Count::SkClose)), (1, 0));
}

/// 1000 intervals, five time-outs, of which `lost` go unanswered; every answer is late by
/// `behind` intervals. Returns what was counted as lost before the end and with it.
fn lost_of(lost: &[usize], behind: usize) -> (u64, u64) {
    let (mut rig, _) = Rig::open(Some((1000, 1001)), 1, false);
    let mut sent = 1;
    for step in 0..1000 {
        if step >= behind && !lost.contains(&(step - behind)) {
            assert_eq!(rig.hear(), 0);
        }
        sent += rig.pass(1001);
    }
    assert_eq!(sent, 1001);
    let before = rig.count(Count::UdpRt);
    for _ in 0..=behind {
        rig.hear();
    }
    rig.pass(201_000);
    assert!(rig.slot.is_closed());
    (before, rig.count(Count::UdpRt))
}

#[test]
fn late_is_not_lost() {
    assert_eq!(lost_of(&[], 0), (0, 0));
    assert_eq!(lost_of(&[], 3), (0, 0));
    assert_eq!(lost_of(&[], 150), (0, 0));
    assert_eq!(lost_of(&[5, 90, 91], 0), (3, 3), "seen within two time-outs");
    assert_eq!(lost_of(&[500, 590, 591], 7), (3, 3));
    assert_eq!(lost_of(&[998], 0), (0, 1), "seen at the end");
    assert_eq!(lost_of(&[5], 7), (0, 1), "so early it could be as usual");
}

#[test]
fn the_number_of_requests_is_kept_and_the_last_is_waited_for() {
    let (mut rig, mut sent) = Rig::open(Some((1000, 3)), 1, false);
    for _ in 0..2 {
        rig.hear();
        sent += rig.pass(1001);
    }
    assert_eq!((sent, rig.slot.is_closed()), (3, false));
    let (mut other, _) = Rig::open(Some((1000, 1)), 1, false);
    assert_eq!(rig.hear(), 0);
    assert!(rig.slot.is_closed());
    assert_eq!(other.pass(201_000), 0);
    assert_eq!((other.slot.is_closed(), other.count(Count::UdpRt)), (true, 1));
}

/// A pace of one microsecond, looked at every 7 to 40 us, is exact over a second.
#[test]
fn a_pace_is_exact_to_the_datagram() {
    for (interval_us, pipeline) in [(1, 1), (1, 4), (3, 1), (10, 1), (333, 2)] {
        let (mut rig, mut sent) = Rig::open(Some((interval_us, 0)), pipeline, true);
        let end = rig.now_us + 1_000_000;
        let mut step = 7;
        while rig.now_us < end {
            step = if step < 40 { step + 1 } else { 7 };
            let left = end - rig.now_us;
            sent += rig.pass(step.min(left));
        }
        let asked = (1_000_000 / interval_us + 1) as u32 * u32::from(pipeline);
        let off = sent.abs_diff(asked);
        assert!(off <= 2 * u32::from(pipeline), "{interval_us} us: {sent} of {asked}");
    }
}

#[test]
fn a_pace_that_is_far_behind_forgets() {
    let (mut rig, _) = Rig::open(Some((1, 0)), 1, true);
    let most = (0..10).map(|_| rig.pass(100)).max();
    assert_eq!(most, Some(100));
    rig.pass(50_000_000);
    let late: u32 = (0..100).map(|_| rig.pass(1)).sum();
    assert!(late <= 102, "{late}");
    rig.pass(900_000);
    assert!(rig.pass(1) <= BACKLOG && rig.now().reached(rig.slot.due));
}

#[test]
fn a_row_stays_as_long_as_it_was_whatever_is_lost() {
    let (mut rig, sent) = Rig::open(Some((0, 0)), 4, false);
    assert_eq!(sent, 4);
    // Three of four go on; the fourth was lost.
    let mut under_way = 3;
    let mut lost_after = None;
    for step in 0..8_000 {
        rig.now_us += 100;
        let mut sent = 0;
        for _ in 0..under_way {
            sent += rig.hear();
        }
        if rig.now().reached(rig.slot.due) {
            sent += rig.pass(0);
        }
        under_way = sent;
        if rig.count(Count::UdpRt) == 1 && lost_after.is_none() {
            lost_after = Some(step);
            assert_eq!(under_way, 4);
        }
        if lost_after.is_some() {
            assert!(under_way == 4 || rig.count(Count::UdpRt) == 1);
        }
    }
    // A time-out to notice, another to be sure: 400 ms.
    assert!(lost_after.is_some_and(|step| (1_900..=4_100).contains(&step)), "{lost_after:?}");
    assert_eq!((rig.count(Count::UdpRt), rig.count(Count::UdpDrop)), (1, 0));
}

#[test]
fn a_row_that_was_lost_as_a_whole_begins_anew() {
    let (mut rig, _) = Rig::open(Some((0, 0)), 3, false);
    assert_eq!(rig.pass(201_000), 3);
    assert_eq!(rig.count(Count::UdpRt), 3);
    assert_eq!(rig.hear(), 1);
}

#[test]
fn a_flood_hears_nothing() {
    let (mut rig, sent) = Rig::open(None, 1, true);
    assert_eq!((sent, rig.slot.is_closed()), (1, true));
    assert_eq!((rig.hear(), rig.count(Count::UdpDrop)), (0, 0));
    let (mut rig, sent) = Rig::open(Some((100, 10)), 4, true);
    let mut row = Vec::from([sent]);
    for _ in 0..5 {
        assert_eq!(rig.hear(), 0);
        row.push(rig.pass(101));
    }
    assert_eq!(row, [4, 4, 2, 0, 0, 0]);
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::UdpRt), rig.count(Count::SkClose)), (0, 1));
}

#[test]
fn the_end_of_the_run_waits_for_answers_and_sends_nothing() {
    for (keepalive, pipeline) in [(None, 1), (Some((1000, 0)), 1), (Some((0, 0)), 4)] {
        for answered in [true, false] {
            let (mut rig, sent) = Rig::open(keepalive, pipeline, false);
            rig.udp.draining = true;
            let now = rig.now();
            assert!(!rig.udp.drain(&mut rig.slot, &mut rig.stats, now));
            assert!(!rig.slot.is_closed());
            for _ in 0..sent {
                assert_eq!(if answered { rig.hear() } else { rig.pass(201_000) }, 0);
            }
            assert!(rig.slot.is_closed(), "{keepalive:?}");
            let lost = if answered { 0 } else { u64::from(sent) };
            assert_eq!(rig.count(Count::UdpRt), lost, "{keepalive:?}");
        }
    }
}

/// The short way of an endless flood's tick is the long way, tick by tick, however late it comes;
/// and it is for nothing else.
#[test]
fn an_endless_flood_ticks_as_any_other() {
    for (interval_us, pipeline) in [(1, 1), (250, 1), (333, 3), (5000, 255)] {
        let [mut short, mut long] =
            [(); 2].map(|()| Rig::open(Some((interval_us, 0)), pipeline, true).0);
        let interval = short.udp.endless().expect("it has no end");
        let (mut late, mut taken) = (1, 0);
        for step in 0..2000u64 {
            // From a tick in time to one that is behind by more than is made up for.
            late = (late * 5 + step) % 1_500_000;
            for rig in [&mut short, &mut long] {
                rig.now_us += late % [1, 40, 10_000, 1_500_000][step as usize % 4];
            }
            let now = long.now();
            let before = short.slot.clone();
            let mut many = (short.udp, short.slot.clone());
            let ticked = short.udp.tick_endless(&mut short.slot, interval, 1, now);
            let count = many.0.tick_endless(&mut many.1, interval, 4, now);
            let asked = short.slot.snd_end.wrapping_sub(before.snd_nxt);
            assert_eq!(count, if ticked == 0 { 0 } else { asked.min(4) });
            assert_eq!(many.1.snd_nxt, before.snd_nxt.wrapping_add(count));
            many.1.snd_nxt = short.slot.snd_nxt;
            assert_eq!(format!("{:?}", many.1), format!("{:?}", short.slot));
            assert_eq!(many.0.rest, short.udp.rest);
            if ticked == 0 {
                assert_eq!(format!("{before:?}"), format!("{:?}", short.slot));
                let due = now.reached(before.due);
                assert!(!due || now.since(before.due) > short.udp.longest_lag_units);
                if due {
                    short.udp.on_timer(&mut short.slot, &mut short.stats, now);
                }
            }
            taken += ticked;
            if now.reached(long.slot.due) {
                assert!(long.udp.on_timer(&mut long.slot, &mut long.stats, now));
            }
            assert_eq!(format!("{:?}", long.slot), format!("{:?}", short.slot));
            assert_eq!(long.udp.rest, short.udp.rest);
            if step % 3 == 0 {
                assert_eq!(long.rest(), short.rest());
            }
        }
        assert!(taken > 500, "{taken} of 2000 ticks were usual");
    }
    for (keepalive, flood) in [(Some((5, 7)), true), (Some((5, 0)), false), (None, true)] {
        assert!(Udp::new(&plan(keepalive, 1, flood)).endless().is_none());
    }
    let mut draining = Udp::new(&plan(Some((5, 0)), 1, true));
    draining.draining = true;
    assert!(draining.endless().is_none());
}
