//! Notices workers that have stopped turning, by the turns that each of them counts anyway: a
//! worker needs neither a clock nor a lock for it.

use std::time::{Duration, Instant};

use dperf_core::stats::Count;

use crate::role::{RoleRun, Stage};

/// A worker that has not turned for so long has stopped: one that is idle turns a thousand times a
/// second, and a busy machine lets everybody run sooner.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was seen of the workers of every role.
pub(super) struct Watchdog(Vec<Vec<Seen>>);

/// What was seen of one worker.
struct Seen {
    turns: u64,
    /// When it turned last, as far as anybody saw.
    at: Instant,
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
    /// Looks at a worker that has made so many turns by now.
    fn look(&mut self, turns: u64, now: Instant) -> Option<News> {
        let still = now - self.at;
        if turns != self.turns {
            (self.turns, self.at) = (turns, now);
            return std::mem::take(&mut self.stopped).then_some(News::Turns(still));
        }
        let news = still >= PATIENCE && !self.stopped;
        self.stopped |= news;
        news.then_some(News::Stopped(still))
    }
}

impl Watchdog {
    /// Nothing was seen yet.
    pub(super) fn new(roles: &[RoleRun]) -> Watchdog {
        let at = Instant::now();
        let unseen = |_| Seen { turns: 0, at, stopped: false };
        Watchdog(roles.iter().map(|role| role.workers.iter().map(unseen).collect()).collect())
    }

    /// Looks at every worker that is to turn; one line for each that has stopped, or turns again.
    pub(super) fn look(&mut self, roles: &[RoleRun]) -> Vec<String> {
        let now = Instant::now();
        let mut lines = Vec::new();
        for (role, seen) in roles.iter().zip(&mut self.0) {
            if role.stage == Stage::Over {
                continue;
            }
            for ((seen, reader), worker) in seen.iter_mut().zip(&role.readers).zip(&role.workers) {
                let Some(news) = seen.look(reader.get(Count::Turns), now) else { continue };
                let port = role.config().ports.get(worker.port);
                let port = port.map(|port| port.name.to_string()).unwrap_or_default();
                let who = format!("worker {} on cpu {}, port {port}", worker.name, worker.cpu);
                lines.push(match news {
                    News::Stopped(still) => format!(
                        "{who}: stopped turning {:.1} s ago; the run goes on without it",
                        still.as_secs_f64()
                    ),
                    News::Turns(still) => {
                        format!("{who}: turns again, after {:.1} s", still.as_secs_f64())
                    }
                });
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_stops_is_told_once_and_so_is_its_return() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut seen = Seen { turns: 0, at: start, stopped: false };
        assert_eq!(seen.look(7, at(10)), None);
        assert_eq!(seen.look(7, at(3_009)), None, "patience");
        assert_eq!(seen.look(7, at(3_010)), Some(News::Stopped(PATIENCE)));
        assert_eq!(seen.look(7, at(9_000)), None, "once");
        assert_eq!(seen.look(8, at(9_010)), Some(News::Turns(Duration::from_secs(9))));
        assert_eq!(seen.look(9, at(11_000)), None);
        assert_eq!(seen.look(9, at(13_000)), None);
        assert_eq!(seen.look(9, at(14_000)), Some(News::Stopped(PATIENCE)), "and again");
    }
}
