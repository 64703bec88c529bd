//! Timers without a search: two wheels of buckets, each bucket a chain of chunks of slot numbers.
//!
//! A slot lies in each wheel at most once (a flag in the slot says so) and is never removed early:
//! when its bucket comes round, the owner looks at the slot's own `due` and either acts, arms again
//! or forgets. So arming an armed slot is one store, and a short connection costs one entry.
//!
//! *Coarse*: retransmission, silence, persist. An entry never lies further ahead than the shortest
//! coarse time-out, hence a later and shorter wait is never missed. *Fine*: the pace of requests on
//! kept connections, as exact as its interval needs.

use crate::time::Instant;

use super::table::SlotId;

/// Slot numbers in one chunk.
const IDS: usize = 30;
/// Buckets of one wheel.
const BUCKETS: usize = 1024;
/// The end of a chain.
const NONE: u32 = 0;

/// A piece of memory that holds slot numbers; zeroed memory is an empty chunk.
#[derive(Clone, Debug)]
#[repr(C, align(128))]
pub struct Chunk {
    next: u32,
    len: u32,
    ids: [u32; IDS],
}

const _: () = assert!(size_of::<Chunk>() == 128);

impl Chunk {
    /// An empty chunk.
    pub const EMPTY: Chunk = Chunk { next: NONE, len: 0, ids: [0; IDS] };
}

/// Chunks that are enough for `slots` slots, whatever happens.
pub const fn chunks_for(slots: u64) -> u64 {
    2 * (slots.div_ceil(IDS as u64) + BUCKETS as u64) + 2
}

/// Which wheel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wheel {
    /// Pace of requests.
    Fine = 0,
    /// Everything else.
    Coarse = 1,
}

#[derive(Debug)]
struct Ring {
    /// Number of the first chunk of each bucket.
    heads: [u32; BUCKETS],
    /// The bucket that is emptied next, counted from time zero.
    cursor: u64,
    /// Binary logarithm of a bucket's width in stamp units.
    width_shift: u32,
    /// Entries are never placed further ahead than this, in stamp units.
    reach: u64,
    entries: u64,
}

/// Both wheels and the chunks they share.
#[derive(Debug)]
pub struct Timers<'m> {
    chunks: &'m mut [Chunk],
    /// First chunk of the free list.
    free: u32,
    /// Chunks that were never used begin here; chunk 0 stands for the end of a chain.
    unused: u32,
    rings: [Ring; 2],
    tick_shift: u32,
}

impl<'m> Timers<'m> {
    /// Timers over at least [`chunks_for`] lent chunks, whatever they hold. `tick_shift` is
    /// [`crate::time::TickRate::shift`]; `pace_units` the interval of requests (0: none) and
    /// `timeout_units` the shortest coarse time-out, both in stamp units.
    pub fn new(
        chunks: &'m mut [Chunk],
        tick_shift: u32,
        pace_units: u32,
        timeout_units: u32,
        now: Instant,
    ) -> Timers<'m> {
        let units = now.0 >> tick_shift;
        Timers {
            chunks,
            free: NONE,
            unused: 1,
            rings: [Ring::new(pace_units, units), Ring::new(timeout_units, units)],
            tick_shift,
        }
    }

    /// Puts a slot into a wheel, `delay_units` from now or as far ahead as the wheel reaches.
    /// The caller knows that the slot does not lie in this wheel yet.
    #[inline]
    pub fn arm(&mut self, wheel: Wheel, id: SlotId, delay_units: u32, now: Instant) {
        let ring = &mut self.rings[wheel as usize];
        let due = (now.0 >> self.tick_shift) + u64::from(delay_units).min(ring.reach);
        // While the cursor lags behind the clock, the far end is short of the reach: beyond it lies
        // what is emptied next, and an entry put there would come round at once, for ever.
        let far = ring.cursor + (BUCKETS as u64 - 1);
        let bucket = (due >> ring.width_shift).clamp(ring.cursor, far);
        let head = &mut ring.heads[bucket as usize % BUCKETS];
        ring.entries += 1;
        let full = match self.chunks.get_mut(*head as usize) {
            Some(chunk) if *head != NONE && (chunk.len as usize) < IDS => {
                chunk.ids[chunk.len as usize] = id.0;
                chunk.len += 1;
                false
            }
            _ => true,
        };
        if full {
            let taken = if self.free != NONE { self.free } else { self.unused };
            let Some(chunk) = self.chunks.get_mut(taken as usize) else {
                debug_assert!(false, "chunks_for promises enough");
                return;
            };
            if self.free != NONE {
                self.free = chunk.next;
            } else {
                self.unused += 1;
            }
            chunk.next = *head;
            chunk.len = 1;
            chunk.ids[0] = id.0;
            *head = taken;
        }
    }

    /// Moves up to `out.len()` entries whose bucket has come round into `out`; returns how many.
    #[inline]
    pub fn expire(&mut self, wheel: Wheel, now: Instant, out: &mut [SlotId]) -> usize {
        let ring = &mut self.rings[wheel as usize];
        let current = (now.0 >> self.tick_shift) >> ring.width_shift;
        if ring.entries == 0 {
            ring.cursor = ring.cursor.max(current);
            return 0;
        }
        let mut count = 0;
        while ring.cursor < current && count < out.len() {
            let head = &mut ring.heads[ring.cursor as usize % BUCKETS];
            let Some(chunk) = self.chunks.get_mut(*head as usize).filter(|_| *head != NONE) else {
                ring.cursor += 1;
                continue;
            };
            let moved = (chunk.len as usize).min(out.len() - count);
            let rest = chunk.len as usize - moved;
            for (to, from) in out[count..count + moved].iter_mut().zip(&chunk.ids[rest..]) {
                *to = SlotId(*from);
            }
            count += moved;
            ring.entries -= moved as u64;
            chunk.len = rest as u32;
            if rest == 0 {
                let emptied = *head;
                *head = chunk.next;
                chunk.next = self.free;
                self.free = emptied;
            }
        }
        count
    }

    /// When the next bucket that holds anything comes round; looked up only when there is nothing
    /// else to do.
    pub fn next(&self) -> Option<Instant> {
        self.rings.iter().filter_map(|ring| ring.next(self.tick_shift)).min()
    }

    /// Entries lying in both wheels.
    pub fn entries(&self) -> u64 {
        self.rings.iter().map(|ring| ring.entries).sum()
    }
}

impl Ring {
    /// A wheel that reaches `reach_units` ahead with the finest buckets that allow it.
    fn new(reach_units: u32, now_units: u64) -> Ring {
        let reach = u64::from(reach_units.max(1));
        // The reach is half the round at most: a wheel that lags by the other half loses nothing.
        let width_shift = (reach / (BUCKETS as u64 / 2 - 2) + 1).next_power_of_two().ilog2();
        Ring {
            heads: [NONE; BUCKETS],
            cursor: now_units >> width_shift,
            width_shift,
            reach,
            entries: 0,
        }
    }

    fn next(&self, tick_shift: u32) -> Option<Instant> {
        if self.entries == 0 {
            return None;
        }
        // From the cursor round to the cursor, many buckets at a look.
        let (behind, from) = self.heads.split_at(self.cursor as usize % BUCKETS);
        let ahead = first_taken(from).or_else(|| Some(from.len() + first_taken(behind)?))?;
        Some(Instant((self.cursor + ahead as u64 + 1) << self.width_shift << tick_shift))
    }
}

/// The first bucket that holds anything.
fn first_taken(heads: &[u32]) -> Option<usize> {
    /// Looked at without a branch in between.
    const LOOK: usize = 32;
    let look =
        heads.chunks(LOOK).position(|look| look.iter().fold(NONE, |all, it| all | it) != NONE)?;
    let within = heads[look * LOOK..].iter().position(|head| *head != NONE)?;
    Some(look * LOOK + within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// One tick is one unit in these tests.
    const SHIFT: u32 = 0;

    #[test]
    fn nothing_fires_early_or_later_than_a_bucket() {
        // What chunks held before is nothing to their wheels.
        let used = Chunk { next: 5, len: 77, ids: [9; IDS] };
        let mut chunks = vec![used; chunks_for(10_000) as usize];
        let mut timers = Timers::new(&mut chunks, SHIFT, 100_000, 1 << 20, Instant(77));
        let mut seed = 1u64;
        let mut due = Vec::new();
        for id in 0..10_000u32 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            let delay = (seed >> 33) as u32 % 100_000;
            timers.arm(Wheel::Fine, SlotId(id), delay, Instant(77));
            due.push(77 + u64::from(delay));
        }
        let mut out = [SlotId(0); 7];
        let mut fired = vec![false; 10_000];
        for now in (77..101_000u64).step_by(13) {
            loop {
                let count = timers.expire(Wheel::Fine, Instant(now), &mut out);
                for id in &out[..count] {
                    let due = due[id.0 as usize];
                    assert!(due <= now && now - due <= 256 + 13, "due {due} fired at {now}");
                    assert!(!core::mem::replace(&mut fired[id.0 as usize], true));
                }
                if count < out.len() {
                    break;
                }
            }
        }
        assert!(fired.iter().all(|fired| *fired));
        assert_eq!((timers.entries(), timers.next()), (0, None));
    }

    /// Entries armed while the wheel lags behind must not come round before it has caught up: the
    /// same ones would come in every turn.
    #[test]
    fn a_wheel_that_was_not_turned_catches_up() {
        for pause in [10_000, 100_000, 1_000_000, 5_000_000] {
            let mut chunks = vec![Chunk::EMPTY; chunks_for(200) as usize];
            let mut timers = Timers::new(&mut chunks, SHIFT, 0, 1 << 20, Instant(0));
            for id in 0..200u32 {
                timers.arm(Wheel::Coarse, SlotId(id), 1000, Instant(0));
            }
            let mut out = [SlotId(0); 32];
            let mut seen = 0;
            for turn in 0..1000 {
                let now = Instant(pause + turn);
                let count = timers.expire(Wheel::Coarse, now, &mut out);
                for id in &out[..count] {
                    timers.arm(Wheel::Coarse, *id, 1 << 20, now);
                }
                seen += count;
            }
            assert!(seen <= 1200, "{seen} times after a pause of {pause}");
        }
    }

    #[test]
    fn memory_suffices_whatever_the_order() {
        let slots = 5000;
        let mut chunks = vec![Chunk::EMPTY; chunks_for(slots) as usize];
        let mut timers = Timers::new(&mut chunks, SHIFT, 1000, 2000, Instant(0));
        let mut out = [SlotId(0); 64];
        let mut in_wheel = vec![[false; 2]; slots as usize];
        let mut seed = 9u64;
        for now in 0..50_000u64 {
            for _ in 0..3 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                let id = (seed >> 33) as u32 % slots as u32;
                let wheel = if seed >> 63 == 0 { Wheel::Fine } else { Wheel::Coarse };
                if !core::mem::replace(&mut in_wheel[id as usize][wheel as usize], true) {
                    timers.arm(wheel, SlotId(id), (seed >> 40) as u32 % 4000, Instant(now));
                }
            }
            for wheel in [Wheel::Fine, Wheel::Coarse] {
                let count = timers.expire(wheel, Instant(now), &mut out);
                for id in &out[..count] {
                    assert!(core::mem::take(&mut in_wheel[id.0 as usize][wheel as usize]));
                }
            }
        }
        let lying = in_wheel.iter().flatten().filter(|lies| **lies).count();
        assert_eq!(timers.entries(), lying as u64);
    }

    /// Most are needed when every bucket of both wheels holds one slot more than a chunk does.
    #[test]
    fn memory_suffices_when_every_bucket_needs_another_chunk() {
        let (buckets, width) = (BUCKETS as u32 / 2 - 2, 4);
        let reach = buckets * width - 1;
        let slots = buckets * (IDS as u32 + 1);
        let mut chunks = vec![Chunk::EMPTY; chunks_for(u64::from(slots)) as usize];
        let mut timers = Timers::new(&mut chunks, SHIFT, reach, reach, Instant(0));
        for wheel in [Wheel::Fine, Wheel::Coarse] {
            for id in 0..slots {
                timers.arm(wheel, SlotId(id), id % buckets * width, Instant(0));
            }
        }
        assert_eq!(timers.entries(), 2 * u64::from(slots));
        let mut out = vec![SlotId(0); slots as usize];
        for wheel in [Wheel::Fine, Wheel::Coarse] {
            let now = Instant(u64::from(reach + width));
            assert_eq!(timers.expire(wheel, now, &mut out), slots as usize);
            out.sort_unstable_by_key(|id| id.0);
            assert!((0..slots).all(|id| out[id as usize] == SlotId(id)));
        }
    }

    #[test]
    fn the_next_deadline_is_found_among_neighbours() {
        let mut chunks = vec![Chunk::EMPTY; chunks_for(3) as usize];
        let mut timers = Timers::new(&mut chunks, SHIFT, 0, 500, Instant(0));
        let mut out = [SlotId(0); 4];
        for id in 1..=3 {
            timers.arm(Wheel::Coarse, SlotId(id), 10 * id, Instant(0));
        }
        for id in 1..=3 {
            let next = timers.next().expect("more wait");
            assert_eq!(timers.expire(Wheel::Coarse, next, &mut out), 1);
            assert_eq!((next, out[0]), (Instant(u64::from(10 * id + 1)), SlotId(id)));
        }
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn the_next_deadline_is_the_end_of_the_bucket() {
        let mut chunks = vec![Chunk::EMPTY; chunks_for(4) as usize];
        // Eight ticks are a unit, and a bucket is 4096 units wide.
        let mut timers = Timers::new(&mut chunks, 3, 0, 1 << 20, Instant(0));
        timers.arm(Wheel::Coarse, SlotId(1), 5000, Instant(800));
        let next = timers.next().unwrap();
        assert_eq!(next, Instant(2 * 4096 * 8), "100 and 5000 units lie in the second");
        let mut out = [SlotId(0); 4];
        assert_eq!(timers.expire(Wheel::Coarse, Instant(next.0 - 8), &mut out), 0);
        assert_eq!(timers.expire(Wheel::Coarse, next, &mut out), 1);
        assert_eq!(out[0], SlotId(1));
    }

    #[test]
    fn the_next_deadline_is_found_wherever_the_cursor_is() {
        let mut chunks = vec![Chunk::EMPTY; chunks_for(2) as usize];
        let mut timers = Timers::new(&mut chunks, SHIFT, 0, 500, Instant(0));
        let (mut out, mut now) = ([SlotId(0); 4], 0);
        for delay in (0..500).chain((0..500).rev()) {
            timers.arm(Wheel::Coarse, SlotId(1), delay, Instant(now));
            timers.arm(Wheel::Coarse, SlotId(2), 499, Instant(now));
            for id in [1, 2] {
                let next = timers.next().unwrap();
                assert_eq!(timers.expire(Wheel::Coarse, Instant(next.0 - 1), &mut out[..1]), 0);
                assert_eq!(timers.expire(Wheel::Coarse, next, &mut out[..1]), 1);
                assert!(delay == 499 || out[0] == SlotId(id), "{id} after {delay} at {now}");
                now = next.0;
            }
        }
        assert_eq!(timers.next(), None);
    }
}
