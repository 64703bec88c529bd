//! Notices workers that have stopped turning, by the turns that each of them counts anyway: a
//! worker needs neither a clock nor a lock for it.

use std::time::{Duration, Instant};

use dperf_core::stats::Count;

use crate::role::{RoleRun, Stage, Who};

/// A worker that has not turned for so long has stopped: one that is idle turns a thousand times a
/// second, and a busy machine lets everybody run sooner.
const PATIENCE: Duration = Duration::from_secs(3);

/// The longest time between two looks that counts: whoever was stopped himself, with the process or
/// the machine, knows nothing of others.
const MOST: Duration = Duration::from_millis(100);

/// What was seen of the workers of every role, and when.
pub(super) struct Watchdog {
    seen: Vec<Vec<Seen>>,
    looked: Instant,
}

/// What was seen of one worker.
#[derive(Clone, Default)]
struct Seen {
    turns: u64,
    /// How long it has not turned.
    still: Duration,
    /// It was said that it has stopped.
    stopped: bool,
}

/// What is to be said of a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum News {
    /// It has not turned for so long.
    Stopped(Duration),
    /// It turns again, after so long.
    Turns(Duration),
}

impl Seen {
    /// Looks at a worker that has made so many turns, some time after the last look.
    fn look(&mut self, turns: u64, later: Duration) -> Option<News> {
        if turns != self.turns {
            self.turns = turns;
            let still = std::mem::take(&mut self.still);
            return std::mem::take(&mut self.stopped).then_some(News::Turns(still));
        }
        self.still += later.min(MOST);
        let news = self.still >= PATIENCE && !self.stopped;
        self.stopped |= news;
        news.then_some(News::Stopped(self.still))
    }
}

impl Watchdog {
    /// Nothing was seen yet.
    pub(super) fn new(roles: &[RoleRun]) -> Watchdog {
        let unseen = |role: &RoleRun| vec![Seen::default(); role.workers.len()];
        Watchdog { seen: roles.iter().map(unseen).collect(), looked: Instant::now() }
    }

    /// Looks at every worker that is to turn; one line for each that has stopped, or turns again.
    pub(super) fn look(&mut self, roles: &[RoleRun]) -> Vec<String> {
        let now = Instant::now();
        let later = now - std::mem::replace(&mut self.looked, now);
        let mut lines = Vec::new();
        for (role, seen) in roles.iter().zip(&mut self.seen) {
            if role.stage == Stage::Over {
                continue;
            }
            for ((seen, reader), worker) in seen.iter_mut().zip(&role.readers).zip(&role.workers) {
                let news = seen.look(reader.get(Count::Turns), later);
                lines.extend(news.map(|news| say(role, worker, news)));
            }
        }
        lines
    }
}

/// The line for people.
fn say(role: &RoleRun, worker: &Who, news: News) -> String {
    let port = role.config().ports.get(worker.port);
    let port = port.map(|port| port.name.to_string()).unwrap_or_default();
    let who = format!("worker {} on cpu {}, port {port}", worker.name, worker.cpu);
    match news {
        News::Stopped(still) => {
            let seconds = still.as_secs_f64();
            format!("{who}: stopped turning {seconds:.1} s ago; the run goes on without it")
        }
        News::Turns(still) => format!("{who}: turns again, after {:.1} s", still.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(50);

    /// Looks `times` times at a worker that has made so many turns.
    fn look(seen: &mut Seen, turns: u64, times: u32) -> Vec<News> {
        (0..times).filter_map(|_| seen.look(turns, LOOK)).collect()
    }

    #[test]
    fn a_worker_that_stops_is_told_once_and_so_is_its_return() {
        let (mut seen, patience) = (Seen::default(), PATIENCE.as_millis() as u32 / 50);
        assert_eq!(look(&mut seen, 7, patience), [], "patience");
        assert_eq!(look(&mut seen, 7, 1), [News::Stopped(PATIENCE)]);
        assert_eq!(look(&mut seen, 7, patience), [], "once");
        assert_eq!(look(&mut seen, 8, 1), [News::Turns(2 * PATIENCE)]);
        assert_eq!(look(&mut seen, 9, patience), []);
        assert_eq!(look(&mut seen, 9, 1), [News::Stopped(PATIENCE)], "and again");
    }

    /// A process that was stopped, or a machine that slept, is no fault of its workers.
    #[test]
    fn who_slept_himself_accuses_nobody() {
        let mut seen = Seen::default();
        assert_eq!(seen.look(7, LOOK), None);
        assert_eq!(seen.look(7, Duration::from_secs(3600)), None);
        assert_eq!(seen.look(8, LOOK), None);
    }
}
