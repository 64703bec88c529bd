//! Threads and their workers: each worker is built on the thread it stays on, from parts that may
//! travel, turned until the run says stop, and flushed.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dperf_core::conn::Slot;
use dperf_core::exception::{Closed, ExceptionPath};
use dperf_core::plan::CorePlan;
use dperf_core::port::{PacketQueue, PortState};
use dperf_core::stats::{Page, Reader, Writer};
use dperf_core::sync::atomic::{AtomicU32, Relaxed};
use dperf_core::sync::{Control, Gateway, Phase};
use dperf_core::time::{Instant, Ticks};
use dperf_core::worker::{Lent, Worker};

use crate::clock::Clock;
use crate::memory;

/// Without work, a thread goes on polling this long.
const SPIN_US: u64 = 1000;
/// The longest sleep between two looks at the port.
const NAP: Duration = Duration::from_micros(500);

/// How long a device may take for what waits when the run is over.
const FLUSH_US: u64 = 500_000;

/// How much later than asked a sleep may end (the kernel's default timer slack), in nanoseconds.
const SLACK_NS: u64 = 50_000;

/// Everything one worker is built from; it may still move to its thread.
pub struct Parts {
    /// What it does.
    pub plan: CorePlan<'static>,
    /// Its queue, owned by it alone from here on.
    pub queue: Box<dyn PacketQueue>,
    /// Its way to the kernel, if it has one; owned by it alone as well.
    pub exception: Option<Box<dyn ExceptionPath>>,
    /// Where its connections lie.
    pub slots: &'static mut [Slot],
    /// The pen of its statistics page.
    pub stats: Writer<'static>,
    /// Its port's gateway.
    pub gateway: &'static Gateway,
    /// Its run's phase.
    pub control: &'static Control,
    /// What others see of it.
    pub watch: Arc<Watch>,
}

/// What a worker shows while it turns.
#[derive(Debug, Default)]
pub struct Watch {
    port: AtomicU32,
    exception: AtomicU32,
}

impl Watch {
    /// What the worker's port is doing.
    pub fn port_state(&self) -> PortState {
        state(&self.port)
    }

    /// What the kernel's interface is doing.
    pub fn exception_state(&self) -> PortState {
        state(&self.exception)
    }

    fn show(&self, port: PortState, exception: PortState) {
        self.port.store(port as u32, Relaxed);
        self.exception.store(exception as u32, Relaxed);
    }
}

fn state(word: &AtomicU32) -> PortState {
    match word.load(Relaxed) {
        0 => PortState::Up,
        1 => PortState::Down,
        _ => PortState::Gone,
    }
}

/// A thread; it ends with the queues its workers had, so that no end of a link is cut while the
/// other still runs.
pub type Thread = JoinHandle<Result<Vec<Box<dyn PacketQueue>>>>;

/// A fresh statistics page that lives as long as the process.
pub fn page() -> (Writer<'static>, Reader<'static>) {
    Box::leak(Box::<Page>::default()).open()
}

/// A worker has 160 KB and moves over the stack into place, in a program without optimisation a
/// dozen times. What is not used is not there.
const STACK_BYTES: usize = 8 << 20;

/// Starts one thread for all workers of one core, tied to it.
///
/// # Errors
/// The system gives no thread.
pub fn start(cpu: u16, parts: Vec<Parts>, clock: &Clock) -> Result<Thread> {
    let clock = clock.clone();
    std::thread::Builder::new()
        .name(format!("worker-{cpu}"))
        .stack_size(STACK_BYTES)
        .spawn(move || {
            pin(cpu)?;
            // Unknown to DPDK, a thread has no buffer cache; without DPDK there is none to know.
            #[cfg(feature = "dpdk")]
            let _registered = crate::port::dpdk::register().ok();
            run(parts, &clock)
        })
        .context("the system refuses another thread: see ulimit -u")
}

/// Waits for the end of a thread. Returns the queues its workers had.
///
/// # Errors
/// What ended it early.
pub fn join(thread: Thread) -> Result<Vec<Box<dyn PacketQueue>>> {
    match thread.join() {
        Ok(ended) => ended,
        Err(_) => bail!("a worker thread panicked: this is a fault of the program"),
    }
}

/// The processors this process may use.
///
/// # Errors
/// The system does not say.
pub fn processors() -> Result<Vec<u16>> {
    let given = rustix::thread::sched_getaffinity(None).context("cannot ask for processors")?;
    let cpus = 0..rustix::thread::CpuSet::MAX_CPU;
    Ok(cpus.filter(|cpu| given.is_set(*cpu)).map(|cpu| cpu as u16).collect())
}

/// Ties the calling thread to one processor.
fn pin(cpu: u16) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(usize::from(cpu));
    rustix::thread::sched_setaffinity(None, &set)
        .with_context(|| format!("cpu {cpu} is not given to this process"))
}

/// Wires the parts with a way to the kernel if any of them has one; else nothing of it is compiled
/// in.
fn run(parts: Vec<Parts>, clock: &Clock) -> Result<Vec<Box<dyn PacketQueue>>> {
    let (mut queues, mut paths, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        queues.push(part.queue);
        paths.push(part.exception);
        rest.push((part.plan, part.slots, part.stats, part.gateway, part.control, part.watch));
    }
    if paths.iter().all(Option::is_none) {
        turn(queues.iter_mut().zip(rest).map(|(queue, rest)| (queue, Closed, rest)), clock)?;
    } else {
        let mut paths: Vec<Box<dyn ExceptionPath>> =
            paths.into_iter().map(|path| path.unwrap_or_else(|| Box::new(Closed))).collect();
        let paths = paths.iter_mut().map(|path| &mut **path);
        let wired = queues.iter_mut().zip(paths).zip(rest);
        turn(wired.map(|((queue, path), rest)| (queue, path, rest)), clock)?;
    }
    Ok(queues)
}

/// What a worker is built from beside its queue and its way to the kernel.
type Rest = (
    CorePlan<'static>,
    &'static mut [Slot],
    Writer<'static>,
    &'static Gateway,
    &'static Control,
    Arc<Watch>,
);

/// Builds the workers, turns them until every one's run says stop, and lets leave what waits.
fn turn<'q, X: ExceptionPath>(
    wired: impl Iterator<Item = (&'q mut Box<dyn PacketQueue>, X, Rest)>,
    clock: &Clock,
) -> Result<()> {
    let mut crew = Vec::new();
    for (queue, exception, (plan, slots, stats, gateway, control, watch)) in wired {
        memory::touch_first(slots);
        let lent = Lent { slots, stats, gateway, control };
        let worker = Worker::new(plan, &mut **queue, exception, lent, clock.now()).context(
            "a worker's memory is smaller than its plan: this is a fault of the program",
        )?;
        crew.push((worker, control, watch));
    }
    let mut idle = Idle::new(clock);
    while crew.iter().any(|(_, control, _)| control.phase() != Phase::Stop) {
        let now = clock.now();
        let mut work = 0;
        for (worker, control, watch) in &mut crew {
            if control.phase() != Phase::Stop {
                work += worker.run_once(now).work;
            } else {
                // Others of this core go on, and may wait for what lies here.
                worker.flush(now);
            }
            watch.show(worker.port_state(), worker.exception_state());
        }
        if work > 0 {
            idle.since = None;
        } else {
            let deadline = || crew.iter().filter_map(|(worker, ..)| worker.next_deadline()).min();
            idle.rest(clock, now, deadline);
        }
    }
    let end = clock.now() + clock.rate().ticks_from_us(FLUSH_US);
    let mut flush = |now| crew.iter_mut().fold(true, |all, (worker, ..)| worker.flush(now) & all);
    while !flush(clock.now()) && clock.now() < end {
        std::thread::yield_now();
    }
    Ok(())
}

/// What a thread does when there is nothing to do: polls on for a while, then sleeps until the next
/// deadline, at most a nap at a time.
struct Idle {
    since: Option<Instant>,
    spin: Ticks,
    nap: Ticks,
}

impl Idle {
    fn new(clock: &Clock) -> Idle {
        Idle {
            since: None,
            spin: clock.rate().ticks_from_us(SPIN_US),
            nap: clock.rate().ticks_from_us(NAP.as_micros() as u64),
        }
    }

    fn rest(&mut self, clock: &Clock, now: Instant, deadline: impl Fn() -> Option<Instant>) {
        let since = *self.since.get_or_insert(now);
        if now - since < self.spin {
            std::hint::spin_loop();
            return;
        }
        let until = match deadline() {
            // What is due could not be done: it waits for somebody else, who may need this core.
            Some(past) if past <= now => self.nap,
            Some(soon) => (soon - now).min(self.nap),
            None => self.nap,
        };
        let nanos = clock.rate().ns_from_ticks(until);
        // Below the kernel's timer slack a sleep only makes late.
        if nanos > 2 * SLACK_NS {
            std::thread::sleep(Duration::from_nanos(nanos - SLACK_NS));
        } else {
            std::thread::yield_now();
        }
    }
}
