//! The threads of a run: they start together and end together, and one that does not end is not
//! waited for for ever.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::clock::Clock;
use crate::crew::{self, Parts, Thread};

/// How long a thread may take to end once its workers were told to stop: a turn takes
/// microseconds, and what waits for a device is flushed for half a second at most.
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
    /// have not within [`END_WAIT`], which go with the process, and what ended one of the others
    /// early.
    pub(super) fn end(self) -> (Vec<u16>, Result<()>) {
        let begun = Instant::now();
        let all_ended = || self.0.iter().all(|(_, thread)| thread.is_finished());
        while !all_ended() && begun.elapsed() < END_WAIT {
            std::thread::sleep(LOOK);
        }
        let (ended, stuck): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|(_, thread)| thread.is_finished());
        let queues: Result<Vec<_>> =
            ended.into_iter().map(|(_, thread)| crew::join(thread)).collect();
        let ended = match queues {
            Ok(queues) if !stuck.is_empty() => {
                // They may use the other ends of links.
                std::mem::forget(queues);
                Ok(())
            }
            queues => queues.map(drop),
        };
        (stuck.into_iter().map(|(cpu, _)| cpu).collect(), ended)
    }
}
