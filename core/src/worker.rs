//! The room where one core works: frames come, the engine turns them, frames go.
//!
//! A [`Worker`] owns its queue, its connections, its timers and its counters; nothing of it is
//! shared but three words ([`crate::sync`]). [`Worker::run_once`] is one bounded turn: a burst is
//! received, parsed and its slots prefetched; then every frame is stepped and turned into its
//! answer in place; then timers ring, waiting data leaves, the kernel is served, new connections
//! open; then everything is transmitted and given back.
//!
//! The law it keeps: frames received + taken = sent + given back + lying in its trays.
//!
//! A worker stays where it was assembled:
//! ```
//! # use dperf_core::{exception::Closed, port::PacketQueue, worker::Worker};
//! fn moved<Q: PacketQueue>(worker: Worker<'static, Q, Closed>) {
//!     fn needs_send<T: Send>(_: T) {}
//!     needs_send(worker.port_state());
//! }
//! ```
//! ```compile_fail,E0277
//! # use dperf_core::{exception::Closed, port::PacketQueue, worker::Worker};
//! fn moved<Q: PacketQueue>(worker: Worker<'static, Q, Closed>) {
//!     fn needs_send<T: Send>(_: T) {}
//!     needs_send(worker);
//! }
//! ```
//! and turns for its owner alone:
//! ```
//! # use dperf_core::{exception::Closed, port::PacketQueue, time::Instant, worker::Worker};
//! fn turned<Q: PacketQueue>(worker: &mut Worker<'static, Q, Closed>) {
//!     worker.run_once(Instant(0));
//! }
//! ```
//! ```compile_fail,E0596
//! # use dperf_core::{exception::Closed, port::PacketQueue, time::Instant, worker::Worker};
//! fn turned<Q: PacketQueue>(worker: &Worker<'static, Q, Closed>) {
//!     worker.run_once(Instant(0));
//! }
//! ```

mod encap;
mod kernel;
mod transmit;

use crate::conn::{Slot, timers::Wheel};
use crate::engine::{Engine, Ways};
use crate::exception::ExceptionPath;
use crate::frame::{Frame, Tray};
use crate::pace::Pace;
use crate::parse::Parsed;
use crate::plan::{CorePlan, Role};
use crate::port::{BURST, Offloads, PacketQueue, PortState};
use crate::prefetch::prefetch;
use crate::stats::{Count, Writer};
use crate::sync::{Control, Gateway, Phase};
use crate::tcp::CHALLENGES_PER_SECOND;
use crate::time::{Instant, Ticks};

use self::encap::Wrapping;

/// Frames that timers take in one turn, at most.
const BUDGET: usize = 32;
/// Segments that waiting connections send in one turn, at most.
const READY_BUDGET: usize = 64;
/// Turns that timers wait at most for opens that are owed: a device that takes two frames in a turn
/// has room for those then.
const MOST_PUT_OFF: u32 = 32;
/// Connections opened in one turn, at most, while more waits than was received: each brings three
/// frames or more, so that fewer come than a burst takes.
const OPENS_BEHIND: usize = BURST / 4;
/// Bytes that the processor brings near at once.
const CACHE_LINE: usize = 64;
/// Slots looked at in one turn while the run ends.
const SWEEP: usize = 1024;
/// Looks at the port in a second.
const LOOKS_PER_SECOND: u64 = 8;

/// What one turn came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Load {
    /// Frames moved and timers rung; zero: nothing was to be done.
    pub work: u32,
}

/// Memory and words lent to a worker; all of it outlives the worker.
#[derive(Debug)]
pub struct Lent<'m> {
    /// Zeroed slots, at least as many as the plan has tuples.
    pub slots: &'m mut [Slot],
    /// The pen of this core's statistics page.
    pub stats: Writer<'m>,
    /// The port's gateway.
    pub gateway: &'m Gateway,
    /// The run's phase.
    pub control: &'m Control,
}

/// Frames in this worker's hands.
#[derive(Default)]
struct Trays {
    /// What came.
    rx: Tray,
    /// What waits to leave.
    tx: Tray,
    /// What goes back.
    done: Tray,
    /// Blank frames.
    stock: Tray,
    /// What waits for the kernel.
    kernel: Tray,
}

/// Everything one core owns.
pub struct Worker<'m, Q: PacketQueue, X: ExceptionPath> {
    queue: Q,
    exception: X,
    trays: Trays,
    /// What the frames of the burst at hand are.
    parsed: [Parsed; BURST],
    engine: Engine<'m>,
    /// What frames travel in, if they do not travel plain.
    wrapping: Option<Wrapping<'m>>,
    control: &'m Control,
    pace: Option<Pace>,
    /// Opens that are due and not made yet.
    owed: u32,
    /// The next slot to be swept while the run ends.
    swept: usize,
    /// When the port was looked at last.
    last_look: Instant,
    state: PortState,
    exception_state: PortState,
    /// When a silent kernel is asked next.
    kernel_look: Instant,
    kernel_look_ticks: Ticks,
    /// The device did not take all in the last turn: what can wait does, or its frames would take
    /// the places that answers need, and two full devices would wait for each other.
    congested: bool,
    /// So much waits to be transmitted that nothing was received in this turn.
    full: bool,
    /// Turns in a row in which timers waited for opens that are owed.
    put_off: u32,
    /// The last burst was full: more waits to be received, and few connections more are opened
    /// until it was, or a queue that is once long never becomes short again.
    behind: bool,
    /// Since when nothing could be transmitted.
    stuck_since: Option<Instant>,
    last_turn: Instant,
    last_worked: bool,
}

impl<'m, Q: PacketQueue, X: ExceptionPath> Worker<'m, Q, X> {
    /// Assembles a worker; `None` if the lent memory is too small for the plan.
    pub fn new(
        plan: CorePlan<'m>,
        queue: Q,
        exception: X,
        lent: Lent<'m>,
        now: Instant,
    ) -> Option<Self> {
        let Lent { slots, stats, gateway, control } = lent;
        let wrapping = Wrapping::new(&plan, gateway, exception.is_open());
        let plan = plan.inside();
        let offloads = match wrapping {
            None => queue.capabilities().offloads,
            // A device would look for headers at the wrong place.
            Some(_) => Offloads::empty(),
        };
        let mut engine = Engine::new(plan, slots, stats, gateway, offloads, now)?;
        engine.kernel_listens = exception.is_open() && !plan.encap.is_tunnel();
        Some(Worker {
            kernel_look: now,
            kernel_look_ticks: plan.rate.ticks_from_us(kernel::LOOK_US),
            engine,
            wrapping,
            queue,
            exception,
            exception_state: PortState::Up,
            trays: Trays::default(),
            parsed: [Parsed::Other; BURST],
            control,
            pace: None,
            owed: 0,
            swept: 0,
            last_look: now,
            state: PortState::Up,
            congested: false,
            full: false,
            put_off: 0,
            behind: false,
            stuck_since: None,
            last_turn: now,
            last_worked: false,
        })
    }

    /// One bounded turn of work.
    pub fn run_once(&mut self, now: Instant) -> Load {
        let phase = self.control.phase();
        self.account_turn(now);
        if now - self.last_look >= self.between_looks() {
            self.eighth(now);
        }
        if !self.engine.gateway_known {
            // A server must not answer its first SYN to nobody.
            self.engine.learn_gateway();
        }
        self.refill();
        let mut work = self.receive(now);
        work += self.ring(now);
        work += self.serve_ready(now);
        work += self.serve_kernel(now);
        match phase {
            Phase::Run => work += self.open(now),
            Phase::Drain => work += self.drain(now),
            Phase::Resolve | Phase::Stop => {}
        }
        work += self.chores(now);
        work += self.transmit(now);
        self.last_worked = work > 0;
        Load { work }
    }

    /// When the worker has something to do even if nothing comes; worth asking only after a turn
    /// without work.
    pub fn next_deadline(&self) -> Option<Instant> {
        let pace = self.pace.as_ref().filter(|_| self.control.phase() == Phase::Run);
        let look = self.last_look + self.between_looks();
        let chore = self.host().next().map(|due| if self.is_up() { due } else { due.max(look) });
        let deadlines = [self.engine.next_timer(), chore, pace.and_then(Pace::next)];
        deadlines.into_iter().flatten().min()
    }

    /// What the port is doing, as of the last look.
    pub fn port_state(&self) -> PortState {
        self.state
    }

    /// What the kernel's interface is doing, as of the last look.
    pub fn exception_state(&self) -> PortState {
        self.exception_state
    }

    /// Connections open now.
    pub fn open_connections(&self) -> u64 {
        self.engine.open_connections()
    }

    /// Every slot, to be inspected between turns.
    pub fn slots(&self) -> &[Slot] {
        self.engine.table.slots()
    }

    /// Frames in the worker's hands.
    pub fn frames_held(&self) -> usize {
        let Trays { rx, tx, done, stock, kernel } = &self.trays;
        rx.len() + tx.len() + done.len() + stock.len() + kernel.len()
    }

    /// The worker's queue.
    pub fn queue(&self) -> &Q {
        &self.queue
    }

    /// The worker's way to the kernel.
    pub fn exception(&self) -> &X {
        &self.exception
    }

    /// Time since the last turn was busy if that turn moved something.
    #[inline]
    fn account_turn(&mut self, now: Instant) {
        let stats = &mut self.engine.tcp.stats;
        stats.inc(Count::Turns);
        if self.last_worked {
            stats.add(Count::BusyTicks, (now - self.last_turn).0);
        } else {
            stats.inc(Count::IdleTurns);
        }
        self.last_turn = now;
    }

    /// From one look at the port to the next.
    #[inline]
    fn between_looks(&self) -> Ticks {
        Ticks(self.engine.plan.rate.hz() / LOOKS_PER_SECOND)
    }

    /// So many times a second: budgets, the gateway, the port.
    #[cold]
    #[inline(never)]
    fn eighth(&mut self, now: Instant) {
        self.last_look = now;
        self.engine.tcp.challenges_left = CHALLENGES_PER_SECOND / LOOKS_PER_SECOND as u32;
        self.engine.learn_gateway();
        self.state = self.queue.state();
        self.exception_state = self.exception.state();
        self.count_faults();
    }

    /// What the device and the kernel's interface lost so far, as they tell.
    fn count_faults(&mut self) {
        let (faults, oversized) = (self.queue.faults(), self.exception.oversized());
        let stats = &mut self.engine.tcp.stats;
        stats.add(Count::KniErrors, oversized);
        stats.set(Count::Imissed, faults.rx_missed);
        stats.set(Count::Ierrors, faults.rx_errors);
        stats.set(Count::Oerrors, faults.tx_errors);
        stats.set(Count::RxNombuf, faults.rx_no_buffer);
    }

    /// Keeps blank frames at hand: frames first, then state.
    #[inline]
    fn refill(&mut self) {
        if self.trays.stock.len() < BURST {
            self.queue.take(BURST, &mut self.trays.stock);
            if let Some(wrapping) = &self.wrapping {
                wrapping.make_room(&mut self.trays.stock);
            }
        }
    }

    /// Takes a burst in, unless the answers could find no place: what is not taken in stays in the
    /// device's ring.
    #[inline]
    fn receive(&mut self, now: Instant) -> u32 {
        self.full = self.trays.tx.room() < BURST;
        if self.full {
            return 0;
        }
        self.queue.receive(&mut self.trays.rx);
        let outside = if self.wrapping.is_some() { self.strip() } else { 0 };
        let Trays { rx, tx, done, stock, kernel } = &mut self.trays;
        let count = rx.len();
        self.behind = count == BURST;
        if count == 0 {
            return outside;
        }
        let engine = &mut self.engine;
        let mut bytes = 0;
        for frame in rx.frames() {
            bytes += frame.len() as u64;
            prefetch_packet(frame.bytes());
        }
        let parsed = &mut self.parsed;
        engine.look(rx.frames(), parsed);
        engine.tcp.stats.add(Count::PktRx, count as u64);
        engine.tcp.stats.add(Count::BitsRx, 8 * bytes);
        if self.exception.is_open() && engine.kernel_listens && engine.neighbor_seen {
            engine.neighbor_seen = false;
            kernel::copy_neighbors(rx.frames(), parsed, (stock, kernel), &mut engine.tcp.stats);
        }
        engine.step(rx, parsed, Ways { tx, done, kernel, stock }, now);
        // A burst fits: there was room for all of it in any of them.
        debug_assert!(rx.is_empty());
        count as u32 + outside
    }

    /// Offers one blank frame to `write`; it goes out if that says true. `None` without a frame or
    /// a place.
    #[inline]
    fn send_one(
        &mut self,
        write: impl FnOnce(&mut Engine<'m>, &mut Frame) -> bool,
    ) -> Option<bool> {
        let Trays { tx, stock, .. } = &mut self.trays;
        stock.offer(tx, |frame| write(&mut self.engine, frame))
    }

    /// Frames and places for segments of our own in this turn.
    #[inline]
    fn room(&self) -> usize {
        self.trays.tx.room().min(self.trays.stock.len())
    }

    /// As [`Worker::room`], for what comes before connections are opened: a quarter stays for
    /// those that are owed, or timers that are behind would keep them waiting for ever.
    #[inline]
    fn share(&self) -> usize {
        let room = self.room();
        if self.owed > 0 { room - room / 4 } else { room }
    }

    /// Rings the timers that are due, within a budget. Time-outs first, but for an eighth: where
    /// they are always behind, connections that fell silent would never be given up.
    ///
    /// Where the device is full they wait until a burst was received, and a while for opens that
    /// are owed: what rings by the clock would take every place that comes free, for ever.
    #[inline]
    fn ring(&mut self, now: Instant) -> u32 {
        if self.full {
            return 0;
        }
        if self.congested && self.owed > 0 && self.put_off < MOST_PUT_OFF {
            self.put_off += 1;
            return 0;
        }
        self.put_off = 0;
        let (mut rung, before) = (0, self.trays.tx.len());
        let share = self.share().min(BUDGET);
        let spared = (share / 8).max(usize::from(share > 1));
        for (wheel, most) in [(Wheel::Timeout, share - spared), (Wheel::Steady, share)] {
            // What sends nothing, as a time-out of what was answered, takes no frame from the rest.
            let mut looks = BUDGET;
            loop {
                let sent = self.trays.tx.len() - before;
                let budget = self.room().min(most.saturating_sub(sent)).min(looks);
                let Trays { tx, stock, .. } = &mut self.trays;
                let taken = self.engine.ring(wheel, budget, (stock, tx), now);
                rung += taken;
                looks -= taken;
                if taken < budget || budget == 0 {
                    break;
                }
            }
        }
        rung as u32
    }

    /// Lets waiting connections send, round robin, as long as there are frames and places.
    #[inline]
    fn serve_ready(&mut self, now: Instant) -> u32 {
        let mut served = 0;
        let most = self.share().min(READY_BUDGET);
        while !self.congested && self.engine.ready_len() > 0 && self.room() > 0 && served < most {
            self.send_one(|engine, frame| engine.serve_ready(frame, now));
            served += 1;
        }
        served as u32
    }

    /// Opens what is due, as far as frames, places, free tuples and the limit allow.
    #[inline]
    fn open(&mut self, now: Instant) -> u32 {
        if self.engine.plan.role != Role::Client {
            return 0;
        }
        if self.pace.is_none() && !self.engine.learn_gateway() {
            return 0;
        }
        let plan = &self.engine.plan;
        let pace = self.pace.get_or_insert_with(|| Pace::new(plan.pace, plan.rate, now));
        let allowed = match plan.pace.cc {
            0 => u64::MAX,
            limit => limit.saturating_sub(self.engine.open_connections()),
        };
        if allowed == 0 {
            pace.hold();
            self.owed = 0;
            return 0;
        }
        self.owed += pace.due(now, (BURST as u32).saturating_sub(self.owed));
        if self.owed == 0 {
            return 0;
        }
        let most = match (self.congested, self.behind) {
            (true, _) => 0,
            (false, true) => OPENS_BEHIND,
            (false, false) => BURST,
        };
        let wanted = u64::from(self.owed).min(allowed).min(most as u64) as u32;
        let Trays { tx, stock, .. } = &mut self.trays;
        let opened = self.engine.open(wanted as usize, (stock, tx), now) as u32;
        self.owed -= opened;
        if opened < wanted || self.congested {
            self.engine.tcp.stats.inc(Count::Deferred);
        }
        opened
    }

    /// The run ends: no new request, and waiting connections are closed a few at a time.
    #[cold]
    #[inline(never)]
    fn drain(&mut self, now: Instant) -> u32 {
        self.engine.tcp.draining = true;
        let slots = self.engine.table.len();
        let mut sent = 0;
        for _ in 0..SWEEP.min(slots.saturating_sub(self.swept)) {
            if sent >= 8 || self.room() == 0 {
                break;
            }
            let index = self.swept;
            self.swept += 1;
            if self.send_one(|engine, frame| engine.drain(index, frame, now)) == Some(true) {
                sent += 1;
            }
        }
        u32::from(self.swept < slots) + sent
    }

    /// The port has its link, as of the last look.
    #[inline]
    fn is_up(&self) -> bool {
        self.state == PortState::Up
    }

    /// Questions and announcements of the host. Without a link they wait: nobody would hear them,
    /// and they would count as lost when a peer has only ended first.
    #[inline]
    fn chores(&mut self, now: Instant) -> u32 {
        if self.is_up() && self.host().has_chore(now) {
            // The last look may be a while ago, and before the first turn there is none.
            self.state = self.queue.state();
        }
        let mut sent = 0;
        while sent < 8 && self.is_up() && self.host().has_chore(now) {
            if self.chore(now) != Some(true) {
                break;
            }
            sent += 1;
        }
        sent
    }
}

/// Brings the lines of a packet near that hold its headers and the start of its payload.
#[inline]
fn prefetch_packet(packet: &[u8]) {
    if let [first, .., last] = packet {
        prefetch(first);
        prefetch(packet.get(CACHE_LINE).unwrap_or(last));
    }
}

/// Lets every frame begin where it began when it came.
fn unwind(tray: &mut Tray) {
    tray.frames_mut().iter_mut().for_each(Frame::retreat);
}

impl<Q: PacketQueue, X: ExceptionPath> Drop for Worker<'_, Q, X> {
    fn drop(&mut self) {
        self.count_faults();
        let Trays { rx, tx, done, stock, kernel } = &mut self.trays;
        self.engine.tcp.stats.add(Count::KniFull, kernel.len() as u64);
        self.engine.tcp.stats.add(Count::DropTx, tx.len() as u64);
        for tray in [rx, tx, done, stock, kernel] {
            unwind(tray);
            self.queue.give_back(tray);
        }
    }
}
