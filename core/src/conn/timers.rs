//! Timers without a search and without memory of their own: two wheels of buckets, each bucket a
//! few chains of slots that lie behind one another.
//!
//! A slot lies in each wheel at most once (a flag in the slot says so) and is never removed early:
//! when its bucket comes round, the owner looks at the slot's own `due` and either acts, arms again
//! or forgets. So arming an armed slot is one store, and a short connection costs one entry.
//!
//! *Steady*: waits of one length: the pace of a client's requests, the silence that a server bears;
//! what is left of one ends no earlier than the one before. *Timeout*: the rest, retransmission
//! above all. An entry never lies further ahead than the shortest wait of its wheel, hence a later
//! and shorter one is never missed; and a connection that only waits for its peer is not looked at
//! as often as segments are sent again. A wait ends up to 1/255 of its wheel's reach late.

use crate::prefetch::prefetch_at;
use crate::time::{Instant, Stamp};

use super::slot::{Slot, SlotFlags, Timer};
use super::table::SlotId;

/// Buckets of one wheel.
const BUCKETS: usize = 1024;
/// From one bucket of a wheel to the last one of its round.
const ROUND: u64 = BUCKETS as u64 - 1;
/// Chains of one bucket, whose heads are one line of the cache. Where a chain goes on is known when
/// its first slot has come from memory, and wanted when those of the others were dealt with.
const CHAINS: usize = 16;

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

/// Where the chains of a bucket begin.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Heads([Link; CHAINS]);

const _: () = assert!(size_of::<Heads>() == 64, "one line of the cache");

#[derive(Debug)]
struct Ring {
    buckets: [Heads; BUCKETS],
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

    /// Puts a slot into the wheel of its timer, if it has one, where that is due or as far ahead as
    /// the wheel reaches; not if it lies there already. It is `now`, and `stamp` says the same.
    #[inline(always)]
    pub fn arm_timer(&mut self, entry: (SlotId, &mut Slot), (stamp, now): (Stamp, Instant)) {
        let delay_units = stamp.until(entry.1.due);
        match entry.1.timer {
            Timer::None => {}
            timer if timer == self.steady => self.arm(Wheel::Steady, entry, delay_units, now),
            _ => self.arm(Wheel::Timeout, entry, delay_units, now),
        }
    }

    /// As [`Timers::arm_timer`], for a wheel and a delay that are known.
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
        let head = &mut ring.buckets[bucket].0[ring.chain];
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
            buckets: [Heads([Link(0); CHAINS]); BUCKETS],
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
        for head in &mut self.buckets[bucket].0 {
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
mod tests;
