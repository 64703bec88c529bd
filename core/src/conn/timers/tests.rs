//! The wheels: nothing rings early, late or twice, and nothing is forgotten.

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
        let mut both = Both::new(200, Timers::new(SHIFT, (Timer::Pace, 0), 1 << 20, Instant(0)));
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
        (both.slots[0].timer, both.slots[0].due) = (timer, Stamp(100_000));
        both.timers.arm_timer((SlotId(0), &mut both.slots[0]), (Stamp(0), Instant(0)));
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
