//! Timers without a search and without memory of their own: two wheels of buckets, each bucket a
//! few chains of slots that lie behind one another.
//!
//! A slot lies in each wheel at most once (a flag in the slot says so) and is never removed early:
//! when its bucket comes round, the owner looks at the slot's own `due` and either acts, arms again
//! or forgets. So arming an armed slot is one store, and a short connection costs one entry.
//!
//! *Steady*: waits that are all equally long: the pace of a client's requests, the silence that a
//! server bears. *Timeout*: the rest, retransmission above all. An entry never lies further ahead
//! than the shortest wait of its wheel, hence a later and shorter one is never missed; and a
//! connection that only waits for its peer is not looked at as often as segments are sent again.

use crate::prefetch::prefetch_at;
use crate::time::Instant;

use super::slot::{Slot, SlotFlags, Timer};
use super::table::SlotId;

/// Buckets of one wheel.
const BUCKETS: usize = 1024;
/// From one bucket of a wheel to the last one of its round.
const ROUND: u64 = BUCKETS as u64 - 1;
/// Chains of one bucket. Where a chain goes on is known when its first slot has come from memory,
/// and wanted when those of the others were dealt with.
const CHAINS: usize = 4;

/// From one slot of a chain to the next; zero is the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Link(u32);

impl Link {
    #[inline(always)]
    fn to(id: SlotId) -> Link {
        // No slot has the highest number (`Table::new`).
        Link(id.0.wrapping_add(1))
    }

    #[inline(always)]
    fn id(self) -> Option<SlotId> {
        self.0.checked_sub(1).map(SlotId)
    }
}

/// Slots that came out of a wheel together, each of another chain.
pub type Row = heapless::Vec<SlotId, CHAINS>;

/// Which wheel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wheel {
    /// Waits of one length.
    Steady = 0,
    /// All others.
    Timeout = 1,
}

impl Wheel {
    /// The flag of a slot that lies in it.
    #[inline(always)]
    fn place(self) -> SlotFlags {
        match self {
            Wheel::Steady => SlotFlags::IN_STEADY_WHEEL,
            Wheel::Timeout => SlotFlags::IN_TIMEOUT_WHEEL,
        }
    }
}

#[derive(Debug)]
struct Ring {
    /// Where the chains of each bucket begin.
    heads: [[Link; CHAINS]; BUCKETS],
    /// The buckets that hold anything.
    taken: Buckets,
    /// The bucket that is emptied next, counted from time zero.
    cursor: u64,
    /// Binary logarithm of a bucket's width in stamp units.
    width_shift: u32,
    /// Entries are never placed further ahead than this, in stamp units.
    reach: u64,
    /// Entries that lie in it.
    entries: u32,
    /// The chain that got the last one. Told from `entries`, it would be the one that was popped
    /// just before, and all would soon lie in one chain.
    chain: usize,
}

/// Both wheels.
#[derive(Debug)]
pub struct Timers {
    /// What is waited for in the steady wheel.
    steady: Timer,
    rings: [Ring; 2],
    tick_shift: u32,
}

impl Timers {
    /// Timers with nothing in them. `tick_shift` is [`crate::time::TickRate::shift`]; waits for
    /// `steady` are `steady_units` long (0: there are none), the shortest other one is
    /// `timeout_units`, both in stamp units.
    pub fn new(
        tick_shift: u32,
        (steady, steady_units): (Timer, u32),
        timeout_units: u32,
        now: Instant,
    ) -> Timers {
        let units = now.0 >> tick_shift;
        Timers {
            steady,
            rings: [Ring::new(steady_units, units), Ring::new(timeout_units, units)],
            tick_shift,
        }
    }

    /// Puts a slot into the wheel of its timer, if it has one, `delay_units` from now or as far
    /// ahead as the wheel reaches; not if it lies there already.
    #[inline(always)]
    pub fn arm_timer(&mut self, entry: (SlotId, &mut Slot), delay_units: u32, now: Instant) {
        match entry.1.timer {
            Timer::None => {}
            timer if timer == self.steady => self.arm(Wheel::Steady, entry, delay_units, now),
            _ => self.arm(Wheel::Timeout, entry, delay_units, now),
        }
    }

    /// As [`Timers::arm_timer`], for a wheel that is known.
    #[inline(always)]
    fn arm(
        &mut self,
        wheel: Wheel,
        (id, slot): (SlotId, &mut Slot),
        delay_units: u32,
        now: Instant,
    ) {
        if slot.flags.contains(wheel.place()) {
            return;
        }
        slot.flags.insert(wheel.place());
        let ring = &mut self.rings[wheel as usize];
        let units = now.0 >> self.tick_shift;
        let due = units + u64::from(delay_units).min(ring.reach);
        // While the cursor lags behind the clock, the far end is short of the reach: beyond it lies
        // what is emptied next, and an entry put there would come round at once, for ever.
        let far = ring.cursor + ROUND;
        let bucket = (due >> ring.width_shift).clamp(ring.cursor, far) as usize % BUCKETS;
        ring.chain = (ring.chain + 1) % CHAINS;
        let head = &mut ring.heads[bucket][ring.chain];
        slot.next[wheel as usize] = core::mem::replace(head, Link::to(id));
        ring.taken.insert(bucket);
        ring.entries += 1;
    }

    /// The next entries of a wheel whose bucket has come round, at most `most`; none only if none
    /// has, or `most` is zero.
    #[inline(never)]
    pub fn pop(&mut self, wheel: Wheel, slots: &mut [Slot], most: usize, now: Instant) -> Row {
        let ring = &mut self.rings[wheel as usize];
        let current = (now.0 >> self.tick_shift) >> ring.width_shift;
        while ring.cursor < current {
            let bucket = ring.cursor as usize % BUCKETS;
            match ring.taken.empty_from(bucket) {
                0 => return ring.pop_row(bucket, (wheel, slots), most),
                _ if ring.entries == 0 => ring.cursor = current,
                empty => ring.cursor = current.min(ring.cursor + u64::from(empty)),
            }
        }
        Row::new()
    }

    /// When the next bucket that holds anything comes round; looked up only when there is nothing
    /// else to do.
    pub fn next(&self) -> Option<Instant> {
        self.rings.iter().filter_map(|ring| ring.next(self.tick_shift)).min()
    }

    /// Entries lying in both wheels.
    #[cfg(test)]
    pub fn entries(&self) -> u64 {
        self.rings.iter().map(|ring| u64::from(ring.entries)).sum()
    }
}

impl Ring {
    /// A wheel that reaches `reach_units` ahead with the finest buckets that allow it.
    fn new(reach_units: u32, now_units: u64) -> Ring {
        let reach = u64::from(reach_units.max(1));
        // The reach is half the round at most: a wheel that lags by the other half loses nothing.
        let width_shift = (reach / (BUCKETS as u64 / 2 - 2) + 1).next_power_of_two().ilog2();
        Ring {
            heads: [[Link(0); CHAINS]; BUCKETS],
            taken: Buckets([0; WORDS]),
            cursor: now_units >> width_shift,
            width_shift,
            reach,
            entries: 0,
            chain: 0,
        }
    }

    /// An entry of each chain of this bucket, at most `most`.
    #[inline(always)]
    fn pop_row(&mut self, bucket: usize, (wheel, slots): (Wheel, &mut [Slot]), most: usize) -> Row {
        let (mut row, mut left) = (Row::new(), false);
        for head in &mut self.heads[bucket] {
            if let Some(id) = head.id()
                && row.len() < most
                && let Some(slot) = slots.get_mut(id.0 as usize)
                && row.push(id).is_ok()
            {
                slot.flags.remove(wheel.place());
                *head = slot.next[wheel as usize];
                prefetch_at(slots, (head.0 as usize).wrapping_sub(1));
            }
            left |= head.0 != 0;
        }
        if !left {
            self.taken.remove(bucket);
        }
        self.entries -= row.len() as u32;
        row
    }

    fn next(&self, tick_shift: u32) -> Option<Instant> {
        let start = self.cursor as usize % BUCKETS;
        let ahead = (self.taken.first_from(start)? + BUCKETS - start) % BUCKETS;
        Some(Instant((self.cursor + ahead as u64 + 1) << self.width_shift << tick_shift))
    }
}

/// 64-bit words with a bit for each bucket.
const WORDS: usize = BUCKETS / 64;

/// A set of buckets.
#[derive(Debug)]
struct Buckets([u64; WORDS]);

impl Buckets {
    /// How many are not in it from this one on: at least so many, if they are many.
    #[inline(always)]
    fn empty_from(&self, bucket: usize) -> u32 {
        let (word, bit) = (self.0[bucket / 64 % WORDS], bucket as u32 % 64);
        (word >> bit).trailing_zeros().min(64 - bit)
    }

    #[inline(always)]
    fn insert(&mut self, bucket: usize) {
        self.0[bucket / 64 % WORDS] |= 1 << (bucket % 64);
    }

    #[inline(always)]
    fn remove(&mut self, bucket: usize) {
        self.0[bucket / 64 % WORDS] &= !(1 << (bucket % 64));
    }

    /// The first one from `start` round to it.
    fn first_from(&self, start: usize) -> Option<usize> {
        let ahead = !0 << (start % 64);
        (0..=WORDS).find_map(|step| {
            let at = (start / 64 + step) % WORDS;
            let part = match step {
                0 => self.0[at] & ahead,
                WORDS => self.0[at] & !ahead,
                _ => self.0[at],
            };
            (part != 0).then(|| 64 * at + part.trailing_zeros() as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// One tick is one unit in these tests.
    const SHIFT: u32 = 0;

    /// Timers and the slots that lie in them.
    struct Both {
        timers: Timers,
        slots: Vec<Slot>,
    }

    impl Both {
        fn new(slots: usize, timers: Timers) -> Both {
            Both { timers, slots: vec![Slot::default(); slots] }
        }

        fn arm(&mut self, wheel: Wheel, id: u32, delay: u32, now: u64) {
            let slot = &mut self.slots[id as usize];
            self.timers.arm(wheel, (SlotId(id), slot), delay, Instant(now));
        }

        /// All that come out, at most `most`.
        fn pop(&mut self, wheel: Wheel, most: usize, now: u64) -> Vec<u32> {
            let mut all = Vec::new();
            loop {
                let left = most - all.len();
                let row = self.timers.pop(wheel, &mut self.slots, left, Instant(now));
                if row.is_empty() {
                    return all;
                }
                all.extend(row.iter().map(|id| id.0));
                if all.len() == most {
                    return all;
                }
            }
        }
    }

    #[test]
    fn nothing_fires_early_or_later_than_a_bucket() {
        let mut both =
            Both::new(10_000, Timers::new(SHIFT, (Timer::Pace, 100_000), 1 << 20, Instant(77)));
        let mut seed = 1u64;
        let mut due = Vec::new();
        for id in 0..10_000u32 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            let delay = (seed >> 33) as u32 % 100_000;
            both.arm(Wheel::Steady, id, delay, 77);
            due.push(77 + u64::from(delay));
        }
        let mut fired = vec![false; 10_000];
        for now in (77..101_000u64).step_by(13) {
            for id in both.pop(Wheel::Steady, usize::MAX, now) {
                let due = due[id as usize];
                assert!(due <= now && now - due <= 256 + 13, "due {due} fired at {now}");
                assert!(!core::mem::replace(&mut fired[id as usize], true));
            }
        }
        assert!(fired.iter().all(|fired| *fired));
        assert_eq!((both.timers.entries(), both.timers.next()), (0, None));
    }

    /// Entries armed while the wheel lags behind must not come round before it has caught up: the
    /// same ones would come in every turn.
    #[test]
    fn a_wheel_that_was_not_turned_catches_up() {
        for pause in [10_000, 100_000, 1_000_000, 5_000_000] {
            let mut both =
                Both::new(200, Timers::new(SHIFT, (Timer::Pace, 0), 1 << 20, Instant(0)));
            for id in 0..200u32 {
                both.arm(Wheel::Timeout, id, 1000, 0);
            }
            let mut seen = 0;
            for turn in 0..1000 {
                let now = pause + turn;
                for id in both.pop(Wheel::Timeout, 32, now) {
                    both.arm(Wheel::Timeout, id, 1 << 20, now);
                    seen += 1;
                }
            }
            assert!(seen <= 1200, "{seen} times after a pause of {pause}");
        }
    }

    /// What is armed while a wheel is emptied does not come out of it again at once, even if it is
    /// due: it would come for ever.
    #[test]
    fn what_is_due_at_once_comes_in_a_later_turn() {
        let mut both = Both::new(9, Timers::new(SHIFT, (Timer::Pace, 1000), 0, Instant(0)));
        (0..9).for_each(|id| both.arm(Wheel::Steady, id, 0, 0));
        for now in [500, 1000, 1500] {
            let mut all: Vec<u32> = Vec::new();
            loop {
                let few = both.pop(Wheel::Steady, 4, now);
                few.iter().for_each(|id| both.arm(Wheel::Steady, *id, 0, now));
                all.extend(&few);
                if few.is_empty() {
                    break;
                }
            }
            all.sort_unstable();
            assert_eq!(all, (0..9).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_entry_comes_out_once_whatever_the_order() {
        let slots = 5000;
        let mut both = Both::new(slots, Timers::new(SHIFT, (Timer::Pace, 1000), 2000, Instant(0)));
        let mut in_wheel = vec![[false; 2]; slots];
        let mut seed = 9u64;
        for now in 0..50_000u64 {
            for _ in 0..3 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                let id = (seed >> 33) as u32 % slots as u32;
                let wheel = if seed >> 63 == 0 { Wheel::Steady } else { Wheel::Timeout };
                if !core::mem::replace(&mut in_wheel[id as usize][wheel as usize], true) {
                    both.arm(wheel, id, (seed >> 40) as u32 % 4000, now);
                }
            }
            for (wheel, most) in [(Wheel::Steady, 64), (Wheel::Timeout, 7)] {
                for id in both.pop(wheel, most, now) {
                    assert!(core::mem::take(&mut in_wheel[id as usize][wheel as usize]));
                }
            }
        }
        let lying = in_wheel.iter().flatten().filter(|lies| **lies).count() as u64;
        assert!(both.timers.entries() == lying && lying > 0);
        for wheel in [Wheel::Steady, Wheel::Timeout] {
            for id in both.pop(wheel, usize::MAX, 60_000) {
                assert!(core::mem::take(&mut in_wheel[id as usize][wheel as usize]));
            }
        }
        assert!(in_wheel.iter().flatten().all(|lies| !lies) && both.timers.entries() == 0);
    }

    /// However often they come and go, slots that are armed together lie in all chains, so that as
    /// many come from memory at once.
    #[test]
    fn every_chain_has_its_share() {
        let slots = 10 * CHAINS;
        let mut both = Both::new(slots, Timers::new(SHIFT, (Timer::Pace, 1000), 1000, Instant(0)));
        (0..slots).for_each(|id| both.arm(Wheel::Steady, id as u32, 500, 0));
        for round in 1..10 {
            // One by one, and all that may come at once.
            for (now, most) in [(1200 * round, 1), (1200 * round + 600, slots)] {
                for _ in 0..slots / most.min(CHAINS) {
                    let row = both.timers.pop(Wheel::Steady, &mut both.slots, most, Instant(now));
                    assert_eq!(row.len(), most.min(CHAINS));
                    row.iter().for_each(|id| both.arm(Wheel::Steady, id.0, 500, now));
                }
            }
        }
    }

    #[test]
    fn what_lies_in_a_wheel_is_not_put_there_again() {
        let mut both = Both::new(2, Timers::new(SHIFT, (Timer::Pace, 1000), 1000, Instant(0)));
        for id in [0, 1, 0] {
            both.arm(Wheel::Steady, id, 100, 0);
            both.arm(Wheel::Timeout, id, 100, 0);
        }
        assert_eq!(both.timers.entries(), 4);
        for wheel in [Wheel::Steady, Wheel::Timeout] {
            let mut all = both.pop(wheel, usize::MAX, 200);
            all.sort_unstable();
            assert_eq!(all, [0, 1]);
        }
        assert!(both.slots.iter().all(|slot| slot.flags.is_empty()));
    }

    /// Who only waits for the peer's next word is not looked at as often as segments are sent
    /// again.
    #[test]
    fn a_timer_lies_in_the_wheel_of_waits_of_its_length() {
        let of = |steady, timer| {
            let mut both = Both::new(1, Timers::new(SHIFT, (steady, 100_000), 100, Instant(0)));
            both.slots[0].timer = timer;
            both.timers.arm_timer((SlotId(0), &mut both.slots[0]), 100_000, Instant(0));
            both.timers.next().map(|next| next.0)
        };
        for timer in [Timer::Pace, Timer::Idle] {
            assert!(of(timer, timer).is_some_and(|next| next >= 100_000));
        }
        for timer in [Timer::Retransmit, Timer::Persist, Timer::Idle] {
            assert!(of(Timer::Pace, timer).is_some_and(|next| next <= 101), "{timer:?}");
        }
        assert_eq!(of(Timer::Idle, Timer::None), None);
    }

    /// Slots that lie in one bucket of each wheel, in chains of every length.
    #[test]
    fn chains_of_any_length_come_out_whole() {
        for count in 0..40u32 {
            for most in 1..9 {
                let timers = Timers::new(SHIFT, (Timer::Pace, 1000), 1000, Instant(0));
                let mut both = Both::new(count as usize, timers);
                for wheel in [Wheel::Steady, Wheel::Timeout] {
                    (0..count).for_each(|id| both.arm(wheel, id, 100, 0));
                }
                for wheel in [Wheel::Steady, Wheel::Timeout] {
                    let mut all = Vec::new();
                    while all.len() < count as usize {
                        let few = both.pop(wheel, most, 200);
                        assert_eq!(few.len(), most.min(count as usize - all.len()));
                        all.extend(few);
                    }
                    all.sort_unstable();
                    assert_eq!(all, (0..count).collect::<Vec<_>>());
                }
                assert_eq!((both.timers.entries(), both.timers.next()), (0, None));
            }
        }
    }

    /// The last number that a slot can have.
    #[test]
    fn a_link_leads_to_every_slot_and_to_none() {
        for id in [0, 1, u32::MAX - 1] {
            assert_eq!(Link::to(SlotId(id)).id(), Some(SlotId(id)));
        }
        assert_eq!(Link::default().id(), None);
    }

    #[test]
    fn the_next_deadline_is_found_among_neighbours() {
        let mut both = Both::new(4, Timers::new(SHIFT, (Timer::Pace, 0), 500, Instant(0)));
        for id in 1..=3 {
            both.arm(Wheel::Timeout, id, 10 * id, 0);
        }
        for id in 1..=3 {
            let next = both.timers.next().expect("more wait");
            assert_eq!(next, Instant(u64::from(10 * id + 1)));
            assert_eq!(both.pop(Wheel::Timeout, 4, next.0), [id]);
        }
        assert_eq!(both.timers.next(), None);
    }

    #[test]
    fn the_next_deadline_is_the_end_of_the_bucket() {
        // Eight ticks are a unit, and a bucket is 4096 units wide.
        let mut both = Both::new(2, Timers::new(3, (Timer::Pace, 0), 1 << 20, Instant(0)));
        both.arm(Wheel::Timeout, 1, 5000, 800);
        let next = both.timers.next().unwrap();
        assert_eq!(next, Instant(2 * 4096 * 8), "100 and 5000 units lie in the second");
        assert_eq!(both.pop(Wheel::Timeout, 4, next.0 - 8), []);
        assert_eq!(both.pop(Wheel::Timeout, 4, next.0), [1]);
    }

    #[test]
    fn the_next_deadline_is_found_wherever_the_cursor_is() {
        let mut both = Both::new(3, Timers::new(SHIFT, (Timer::Pace, 0), 500, Instant(0)));
        let mut now = 0;
        for delay in (0..500).chain((0..500).rev()) {
            both.arm(Wheel::Timeout, 1, delay, now);
            both.arm(Wheel::Timeout, 2, 499, now);
            for id in [1, 2] {
                let next = both.timers.next().unwrap().0;
                assert_eq!(both.pop(Wheel::Timeout, 1, next - 1), []);
                let came = both.pop(Wheel::Timeout, 1, next);
                assert_eq!(came.len(), 1);
                assert!(delay == 499 || came == [id], "{id} after {delay} at {now}");
                now = next;
            }
        }
        assert_eq!(both.timers.next(), None);
    }
}
