//! The threads of a run: they start together and end together, and one that does not end is not
//! waited for for ever.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::clock::Clock;
use crate::crew::{self, Parts, Thread};

/// How long a thread may take to end once its workers were told to stop: a turn takes microseconds.
pub(super) const END_WAIT: Duration = Duration::from_secs(5);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(2);

/// One thread per core, each with its core's number.
#[derive(Default)]
pub(super) struct Threads(Vec<(u16, Thread)>);

impl Threads {
    /// Starts one for each core.
    ///
    /// # Errors
    /// The system gives no more; those that were started run.
    pub(super) fn start(&mut self, parts: BTreeMap<u16, Vec<Parts>>, clock: &Clock) -> Result<()> {
        for (cpu, parts) in parts {
            self.0.push((cpu, crew::start(cpu, parts, clock)?));
        }
        Ok(())
    }

    /// Waits until all have ended, whose workers were told to stop. Returns the cores of those that
    /// have not within [`END_WAIT`]: they go with the process.
    ///
    /// # Errors
    /// What ended one of them early.
    pub(super) fn end(self) -> Result<Vec<u16>> {
        let begun = Instant::now();
        let all_ended = || self.0.iter().all(|(_, thread)| thread.is_finished());
        while !all_ended() && begun.elapsed() < END_WAIT {
            std::thread::sleep(LOOK);
        }
        let (ended, stuck): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|(_, thread)| thread.is_finished());
        let mut queues = Vec::new();
        for (_, thread) in ended {
            match thread.join() {
                Ok(ended) => queues.extend(ended?),
                Err(_) => bail!("a worker thread panicked: this is a fault of the program"),
            }
        }
        if !stuck.is_empty() {
            // They may use the other ends of links.
            std::mem::forget(queues);
        }
        Ok(stuck.into_iter().map(|(cpu, _)| cpu).collect())
    }
}
