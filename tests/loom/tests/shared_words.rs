//! The lock, the statistics page, the gateway and the phase: each in every order, and beside each
//! what it would be without the one thing that it does right, which loom must find.
#![cfg(loom)]

use dperf_core::stats::{Count, Page};
use dperf_core::sync::atomic::{Acquire, AtomicU32, AtomicU64, Relaxed, Release, UnsafeCell};
use dperf_core::sync::{Control, Gateway, Lock, Phase};
use dperf_core::wire::ethernet::MacAddr;
use loom::sync::Arc;
use loom_models::{both, until};

/// Something that several threads use in turn.
trait InTurn: Send + Sync + 'static {
    fn try_with(&self, act: fn(&mut u32)) -> Option<()>;
    /// The value, once nobody else is there.
    fn end(&self) -> u32;
}

impl InTurn for Lock<u32> {
    fn try_with(&self, act: fn(&mut u32)) -> Option<()> {
        Lock::try_with(self, act)
    }
    fn end(&self) -> u32 {
        until(|| Lock::try_with(self, |value| *value))
    }
}

/// Two threads, each of which takes its turn once.
fn each_takes_a_turn<L: InTurn>(new: fn() -> L) {
    loom::model(move || {
        let lock = Arc::new(new());
        let turn = |lock: Arc<L>| move || until(|| lock.try_with(|value| *value += 1));
        both(turn(Arc::clone(&lock)), turn(Arc::clone(&lock)));
        assert_eq!(lock.end(), 2, "both turns count");
    });
}

#[test]
fn the_lock_gives_its_value_to_one_thread_at_a_time() {
    each_takes_a_turn(|| Lock::new(0));
}

/// A thread that finds it taken goes on, and the value is whole.
#[test]
fn nobody_waits_for_the_lock() {
    loom::model(|| {
        let lock = Arc::new(Lock::new((0, 0)));
        let other = Arc::clone(&lock);
        let act = |both: &mut (u32, u32)| {
            assert_eq!(both.0, both.1, "nobody is half-way");
            both.0 += 1;
            both.1 += 1;
        };
        let thread = loom::thread::spawn(move || u32::from(other.try_with(act).is_some()));
        let ours = u32::from(lock.try_with(act).is_some());
        let theirs = thread.join().expect("a thread");
        assert!(ours + theirs >= 1, "one of them finds it free");
        assert_eq!(lock.try_with(|both| *both), Some((ours + theirs, ours + theirs)));
    });
}

/// The lock with one thing wrong.
struct Broken {
    word: AtomicU32,
    value: UnsafeCell<u32>,
    fault: Fault,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// There is no lock.
    Absent,
    /// It looks, and then takes.
    TwoSteps,
    /// Who takes it may see the value of before.
    TakenRelaxed,
    /// Who frees it may not have written yet.
    FreedRelaxed,
}

// SAFETY: it is not: that is what loom must find.
unsafe impl Sync for Broken {}
// SAFETY: as above.
unsafe impl Send for Broken {}

impl Broken {
    fn new(fault: Fault) -> Broken {
        Broken { word: AtomicU32::new(0), value: UnsafeCell::new(0), fault }
    }
}

impl InTurn for Broken {
    fn try_with(&self, act: fn(&mut u32)) -> Option<()> {
        match self.fault {
            Fault::Absent => {}
            Fault::TwoSteps if self.word.load(Acquire) == 1 => return None,
            Fault::TwoSteps => self.word.store(1, Relaxed),
            Fault::TakenRelaxed => drop(self.word.compare_exchange(0, 1, Relaxed, Relaxed).ok()?),
            Fault::FreedRelaxed => drop(self.word.compare_exchange(0, 1, Acquire, Relaxed).ok()?),
        }
        // SAFETY: it is not safe: that is what loom must find.
        act(unsafe { &mut *self.value.get() });
        let freed = if self.fault == Fault::FreedRelaxed { Relaxed } else { Release };
        self.word.store(0, freed);
        Some(())
    }
    fn end(&self) -> u32 {
        // SAFETY: as above.
        unsafe { *self.value.get() }
    }
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_the_lock_two_threads_have_the_value() {
    each_takes_a_turn(|| Broken::new(Fault::Absent));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_lock_that_looks_and_then_takes_is_none() {
    each_takes_a_turn(|| Broken::new(Fault::TwoSteps));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_lock_taken_without_acquire_is_none() {
    each_takes_a_turn(|| Broken::new(Fault::TakenRelaxed));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_lock_freed_without_release_is_none() {
    each_takes_a_turn(|| Broken::new(Fault::FreedRelaxed));
}

/// Readers see what was counted, never less than they saw, and nothing that nobody counted.
#[test]
fn a_page_is_read_while_it_is_written() {
    loom::model(|| {
        // Loom's memory goes with the model, and so must this: it is freed below.
        let page = Box::into_raw(Box::new(Page::new()));
        // SAFETY: the page is freed when both the pen and the glass are gone.
        let (mut pen, glass) = unsafe { &mut *page }.open();
        // The reader gets the new thread: of a load and a store in a row loom compares the load
        // alone with what other threads loaded before, and would try one order only.
        let reader = loom::thread::spawn(move || {
            let (first, second) = (glass.snapshot(), glass.snapshot());
            assert!([0, 2, 4].contains(&first.get(Count::PktRx)), "nothing is invented");
            for count in [Count::PktRx, Count::PktTx] {
                assert!(first.get(count) <= second.get(count), "nothing goes back");
            }
        });
        pen.add(Count::PktRx, 2);
        pen.inc(Count::PktTx);
        pen.add(Count::PktRx, 2);
        reader.join().expect("the reader");
        let end = glass.snapshot();
        assert_eq!((end.get(Count::PktRx), end.get(Count::PktTx)), (4, 1));
        // SAFETY: made by `into_raw`; neither the pen nor the glass is used again.
        drop(unsafe { Box::from_raw(page) });
    });
}

/// Why there is one pen: adding is a load and a store.
#[test]
#[should_panic(expected = "everything counts")]
fn two_pens_for_one_counter_lose_counts() {
    loom::model(|| {
        let counter = Arc::new(AtomicU64::new(0));
        let add =
            |counter: Arc<AtomicU64>| move || counter.store(counter.load(Relaxed) + 1, Relaxed);
        both(add(Arc::clone(&counter)), add(Arc::clone(&counter)));
        assert_eq!(counter.load(Relaxed), 2, "everything counts");
    });
}

const ONE: MacAddr = MacAddr([1; 6]);
const OTHER: MacAddr = MacAddr([2; 6]);

/// Two workers hear of the gateway, a third asks: it knows nothing or a whole address, and does not
/// forget.
#[test]
fn a_gateway_is_known_as_a_whole() {
    loom::model(|| {
        let gateway = Arc::new(Gateway::new(None));
        let hear = |mac| {
            let gateway = Arc::clone(&gateway);
            loom::thread::spawn(move || gateway.store(mac))
        };
        let workers = [hear(ONE), hear(OTHER)];
        let (before, after) = (gateway.load(), gateway.load());
        for seen in [before, after] {
            assert!([None, Some(ONE), Some(OTHER)].contains(&seen), "half an address: {seen:?}");
        }
        assert!(before.is_none() || after.is_some(), "nothing is forgotten");
        for worker in workers {
            worker.join().expect("a worker");
        }
        assert!(gateway.load().is_some());
    });
}

/// What a worker wrote before it told the address is there for whoever knows the address.
#[test]
fn who_knows_the_gateway_knows_what_was_before() {
    loom::model(|| {
        let shared = Arc::new((Gateway::new(None), loom::cell::UnsafeCell::new(0)));
        let teller = Arc::clone(&shared);
        let thread = loom::thread::spawn(move || {
            // SAFETY: nobody reads before the address is known.
            teller.1.with_mut(|value| unsafe { *value = 1 });
            teller.0.store(ONE);
        });
        if shared.0.load().is_some() {
            // SAFETY: the writer is through with it.
            assert_eq!(shared.1.with(|value| unsafe { *value }), 1);
        }
        thread.join().expect("the teller");
    });
}

/// Why the address is one word.
#[test]
#[should_panic(expected = "half an address")]
fn a_gateway_in_two_words_is_torn() {
    loom::model(|| {
        let gateway = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let hear = |mac: u32| {
            let gateway = Arc::clone(&gateway);
            move || {
                gateway[0].store(mac, Release);
                gateway[1].store(mac, Release);
            }
        };
        both(hear(1), hear(2));
        let [first, second] = [0, 1].map(|word: usize| gateway[word].load(Acquire));
        assert_eq!(first, second, "half an address");
    });
}

/// The end of a run is not taken back, whoever says what.
#[test]
fn phases_go_forward_only() {
    loom::model(|| {
        let control = Arc::new(Control::new());
        let say = |phase| {
            let control = Arc::clone(&control);
            loom::thread::spawn(move || control.advance(phase))
        };
        let threads = [say(Phase::Stop), say(Phase::Run)];
        let (before, after) = (control.phase(), control.phase());
        assert!(before <= after, "{before:?}, then {after:?}");
        for thread in threads {
            thread.join().expect("a thread");
        }
        assert_eq!(control.phase(), Phase::Stop, "the end is kept");
    });
}

/// A worker hears that the run is over.
#[test]
fn a_worker_hears_the_end() {
    loom::model(|| {
        let control = Arc::new(Control::new());
        let said = Arc::clone(&control);
        let worker = loom::thread::spawn(move || {
            until(|| (said.phase() == Phase::Stop).then_some(()));
        });
        control.advance(Phase::Stop);
        worker.join().expect("a worker");
    });
}

/// Why going on is one step.
#[test]
#[should_panic(expected = "the end is kept")]
fn a_phase_that_is_stored_goes_back() {
    loom::model(|| {
        let phase = Arc::new(AtomicU32::new(0));
        let say = |next: Phase| {
            let phase = Arc::clone(&phase);
            move || {
                if phase.load(Acquire) < next as u32 {
                    phase.store(next as u32, Release);
                }
            }
        };
        both(say(Phase::Stop), say(Phase::Run));
        assert_eq!(phase.load(Relaxed), Phase::Stop as u32, "the end is kept");
    });
}
