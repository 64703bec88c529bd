//! The whole receive path: any frames come to a worker with live connections. Nothing panics, no
//! frame is lost, what goes out has right checksums, every connection ends, and the counters agree
//! with the network.
//!
//! The first two bytes name the load and what frames travel in, the third how far the conversation
//! has come. Then come throws of six bytes; where one picks frame 255, as many bytes as it says
//! follow and are the frame.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use dperf_core::conn::Slot;
use dperf_core::exception::{Delivered, ExceptionPath};
use dperf_core::frame::Frame;
use dperf_core::plan::CorePlan;
use dperf_core::stats::{Page, Reader};
use dperf_core::sync::{Control, Gateway, Phase};
use dperf_core::time::Instant;
use dperf_core::worker::{Lent, Worker};
use dperf_tests::laws;
use dperf_tests::queue::SimQueue;
use dperf_tests::scenario::{MICRO, SECOND, Side, mac, spread};
use dperf_tests::sim::{Book, Outcome, Report};
use dperf_tests::slow_kernel::Seen;
use dperf_tests::wire::SharedWire;

use crate::opening::{KINDS, Opening};
use crate::throw::Throw;

/// Throws in one run; more make it slow, not wiser.
const THROWS: usize = 64;
/// Frames that may come at once: twice what one turn takes in.
const CROWD: usize = 64;
/// A worker that still holds connections after this time keeps them for ever.
const LONGEST_DRAIN: u64 = 600 * SECOND;

thread_local! {
    /// What was recorded, by kind.
    static OPENINGS: RefCell<HashMap<usize, Rc<Opening>>> = RefCell::default();
}

/// A kernel that takes everything and now and then asks who somebody is.
struct Kernel {
    is_open: bool,
    question: Vec<u8>,
    /// Packets since the last question.
    since: usize,
    seen: Seen,
}

impl ExceptionPath for Kernel {
    fn is_open(&self) -> bool {
        self.is_open
    }

    fn deliver(&mut self, packets: &[Frame]) -> Delivered {
        let done = packets.len().min(3);
        let refused = done / 3;
        self.since += done;
        self.seen.taken += (done - refused) as u64;
        Delivered { done, refused }
    }

    fn collect(&mut self, blanks: &mut [Frame]) -> usize {
        let [blank, ..] = blanks else { return 0 };
        if self.since < 2 || !blank.set_len(self.question.len()) {
            return 0;
        }
        self.since = 0;
        self.seen.sent += 1;
        blank.bytes_mut().copy_from_slice(&self.question);
        1
    }
}

/// The worker and its surroundings.
struct Stage<'m> {
    worker: Worker<'m, &'m mut SimQueue, Kernel>,
    reader: Reader<'m>,
    control: &'m Control,
    wire: SharedWire,
    opening: &'m Opening,
    now: u64,
}

/// Runs the script.
pub fn holds(data: &[u8]) {
    let [kind, more, moment, script @ ..] = data else { return };
    let kind = (usize::from(*kind) | usize::from(*more) << 8) % KINDS;
    let opening = OPENINGS.with_borrow_mut(|all| {
        Rc::clone(all.entry(kind).or_insert_with(|| Rc::new(Opening::record(kind))))
    });
    play(&opening, *more, |stage| {
        stage.replay(1 + usize::from(*moment) % opening.turns.len());
        stage.throw(script);
    });
}

/// Puts a fresh worker on the stage, lets something happen to it, and holds it to the laws.
fn play(opening: &Opening, more: u8, happen: impl FnOnce(&mut Stage<'_>)) {
    let Opening { scenario, role, .. } = opening;
    let side = Side::new(scenario, *role, 0);
    let tuples = scenario.tuples();
    let mut slots = vec![Slot::default(); tuples];
    let wire = SharedWire::new(scenario.seed, scenario.network, false);
    let own = mac(*role, 0).0;
    wire.get().attach(own, 1, spread(scenario.ipv6, 1));
    let mut queue = SimQueue::new(wire.clone(), (0, 0), scenario);
    let gateway = Gateway::new(scenario.gateway_known.then(|| side.peer_mac()));
    let control = Control::new();
    let mut page = Page::new();
    let (stats, reader) = page.open();
    let lent = Lent { slots: &mut slots, stats, gateway: &gateway, control: &control };
    let plan = CorePlan { tcp_rst: more & 4 == 0, ..side.plan(scenario) };
    let question = [&[0xff; 6][..], &own, &[8, 6], &[0; 46]].concat();
    let kernel = Kernel { is_open: more & 2 != 0, question, since: 0, seen: Seen::default() };
    let worker = Worker::new(plan, &mut queue, kernel, lent, Instant(0));
    let worker = worker.expect("the memory fits the plan");
    let mut stage = Stage { worker, reader, control: &control, wire, opening, now: 0 };
    control.advance(Phase::Run);
    happen(&mut stage);
    let report = stage.end();
    assert_eq!(queue.outstanding(), 0, "a dropped worker keeps no frame");
    // The peer fell silent, which is as good as losing all that it would have said.
    let mut silent = scenario.clone();
    silent.network.loss = 1_000_000;
    if let Err(broken) = laws::check(&silent, &report) {
        panic!("{broken}\n{role:?} {scenario:?}");
    }
}

impl Stage<'_> {
    /// The first turns of the conversation.
    fn replay(&mut self, turns: usize) {
        let mut frames = self.opening.frames.iter().peekable();
        for now in &self.opening.turns[..turns] {
            self.go_on(*now);
            while let Some((_, frame)) = frames.next_if(|(at, _)| at <= now) {
                self.wire.get().inject(0, frame);
            }
            self.turn();
        }
    }

    fn go_on(&mut self, now: u64) {
        self.now = now;
        self.wire.get().set_now(now);
    }

    fn turn(&mut self) -> bool {
        self.worker.run_once(Instant(self.now)).work > 0
    }

    /// What is to come, and no time between two that come at once.
    fn throw(&mut self, mut script: &[u8]) {
        let mut crowd = 0;
        for _ in 0..THROWS {
            let Some(throw) = Throw::next(&mut script) else { break };
            crowd += 1;
            if throw.wait > 0 || crowd == CROWD {
                crowd = 0;
                self.turn();
                self.wait(throw.wait);
            }
            let frame = if throw.pick == u8::MAX {
                let bytes = usize::from(throw.at).min(script.len());
                script.split_off(..bytes).map(<[u8]>::to_vec)
            } else {
                self.pick(&throw)
            };
            if let Some(frame) = frame {
                self.wire.get().inject(0, &frame);
            }
        }
        self.turn();
    }

    /// Microseconds; from 200 on until something is due.
    fn wait(&mut self, wait: u8) {
        let soon = self.now + u64::from(wait) * MICRO;
        let due = self.worker.next_deadline().map_or(soon, |due| due.0);
        self.go_on(if wait < 200 { soon } else { due.max(soon) });
    }

    /// A frame of the conversation, changed.
    fn pick(&self, throw: &Throw) -> Option<Vec<u8>> {
        let frames = &self.opening.frames;
        let (_, frame) = frames.get(usize::from(throw.pick).checked_rem(frames.len())?)?;
        let mut frame = frame.clone();
        throw.apply(&mut frame);
        Some(frame)
    }

    /// The run ends: nothing comes any more, and every connection must close.
    fn end(mut self) -> Report {
        self.control.advance(Phase::Drain);
        let limit = self.now + LONGEST_DRAIN;
        loop {
            let busy = self.turn();
            if self.worker.open_connections() == 0 && !busy {
                break;
            }
            assert!(self.now < limit, "connections never end: {:?}", self.worker.slots());
            let soon = self.now + self.opening.scenario.turn;
            let due = if busy { None } else { self.worker.next_deadline() };
            self.go_on(due.map_or(soon, |due| due.0.max(soon)));
        }
        self.control.advance(Phase::Stop);
        self.turn();
        self.report()
    }

    fn report(self) -> Report {
        let Stage { worker, reader, wire, opening, now, .. } = self;
        let (tally, kernel) = (worker.queue().tally(), worker.exception().seen);
        let open = worker.slots().iter().filter(|slot| !slot.is_closed()).count() as u64;
        let held = worker.frames_held() as u64;
        drop(worker);
        let (counts, wire) = (reader.snapshot(), wire.get());
        let book = Book { counts, tally, kernel, held, open };
        let outcome = Outcome {
            role: opening.role,
            counts,
            cores: vec![book],
            fates: wire.fates(0),
            ledger: wire.ledger(0),
        };
        Report {
            machines: vec![outcome],
            hash: wire.capture.hash(),
            frames: wire.capture.frames(),
            steps: 0,
            end: now,
            capture: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use dperf_core::plan::{Role, Transport};
    use dperf_tests::scenario::Scenario;
    use dperf_tests::sim;

    use super::*;
    use crate::opening::scenario;

    #[test]
    fn a_replay_is_what_happened_and_connections_are_live() {
        for kind in 0..KINDS {
            let opening = Opening::record(kind);
            let machine = kind & 1;
            let (mut counts, mut most_live) = (Vec::new(), 0);
            let report = sim::run_with(&scenario(kind), |sim| {
                counts.push(sim.counts(machine));
                let live = sim.slots(machine).iter().filter(|slot| !slot.is_closed()).count();
                most_live = most_live.max(live);
            });
            assert!(report.frames > 8);
            let Opening { scenario: Scenario { transport, flood, .. }, role, turns, .. } = &opening;
            let keeps = !flood && (*role == Role::Client || *transport == Transport::Tcp);
            assert!(!keeps || most_live >= 2, "{most_live} of {kind}: {opening:?}");
            for moment in [1, turns.len() / 2, turns.len()] {
                play(&opening, 0, |stage| {
                    stage.replay(moment);
                    assert_eq!(stage.reader.snapshot(), counts[moment], "{kind} at {moment}");
                });
            }
        }
    }
}
