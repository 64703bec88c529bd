//! What people and programs read: dperf's blocks or one line a second for people, one JSON object
//! per line for programs. People's text goes to stdout, or to stderr when JSON has stdout.

mod block;
mod line;
mod record;

use std::cell::OnceCell;
use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use dperf_core::stats::{Count, Snapshot};
use dperf_core::time::{Instant, TickRate};

use crate::clock::Clock;
use crate::config::Read;
use crate::plan::{Plan, PlanRecord, explain};
use crate::role::RoleRun;
use crate::verdict::Verdict;

/// How the seconds are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// dperf's block of counters.
    Blocks,
    /// One line.
    Lines,
}

/// The reporter of one run.
#[derive(Debug)]
pub struct Report {
    style: Style,
    json: bool,
    color: bool,
    start: Instant,
    /// Why something could not be written to stdout.
    broken: OnceCell<io::Error>,
}

/// One role's second, or its whole run.
#[derive(Clone, Copy)]
struct Sample<'a> {
    role: &'a RoleRun,
    /// What was counted in it.
    counts: Snapshot,
    /// Percent of the time each worker was busy.
    cpu_usage: &'a [u64],
    /// Seconds since the run began.
    second: u64,
    /// Nanoseconds since the run began.
    t_ns: u64,
    /// Nanoseconds it took.
    span_ns: u64,
    /// Mean handshake time in microseconds, if any was timed.
    rtt_us: Option<f64>,
    /// Connections open at its end.
    open: u64,
}

impl Report {
    /// A reporter in `style`; `json` adds records on stdout.
    pub fn new(style: Style, json: bool) -> Report {
        let terminal = if json { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
        Report { style, json, color: terminal, start: Instant::default(), broken: OnceCell::new() }
    }

    /// Says one line to people.
    pub fn note(&self, text: &str) {
        self.say(&format!("{text}\n"));
    }

    /// What is going to happen.
    ///
    /// # Errors
    /// The reader of the records has gone.
    pub fn plan(&self, read: &Read, plan: &Plan) -> Result<()> {
        match self.style {
            Style::Blocks => self.say(&explain(&read.config, plan, &read.notes)),
            Style::Lines => {}
        }
        self.record(&PlanRecord::new(&read.config, plan, &read.notes))
    }

    /// The load begins.
    pub(crate) fn begin(&mut self, start: Instant) {
        self.start = start;
    }

    /// One second of one role is over.
    ///
    /// # Errors
    /// The reader of the records has gone.
    pub(crate) fn interval(
        &mut self,
        role: &mut RoleRun,
        rate: TickRate,
        since: Instant,
        now: Instant,
    ) -> Result<()> {
        let (total, busy) = (role.total(), role.busy_ticks());
        let (last, last_busy) = std::mem::replace(&mut role.reported, (total, busy.clone()));
        let span = now - since;
        let before = last_busy.iter().copied().chain(std::iter::repeat(0));
        let percent = |(now, before): (&u64, u64)| (now - before) * 100 / span.0.max(1);
        let cpu_usage: Vec<u64> = busy.iter().zip(before).map(percent).collect();
        let counts = total.since(&last);
        let sample = Sample {
            role,
            counts,
            cpu_usage: &cpu_usage,
            second: (rate.ns_from_ticks(now - self.start) + 500_000_000) / 1_000_000_000,
            t_ns: rate.ns_from_ticks(now - self.start),
            span_ns: rate.ns_from_ticks(span),
            rtt_us: rtt_us(&counts, rate),
            open: total.open_connections(),
        };
        if !role.config().quiet {
            let clear = if role.config().clear_screen && self.color { "\x1b[H\x1b[2J" } else { "" };
            let text = match self.style {
                Style::Blocks => block::interval(&sample, self.color),
                Style::Lines => line::interval(&sample),
            };
            self.say(&format!("{clear}{text}"));
        }
        self.record(&record::interval(&sample))
    }

    /// The run is over: totals and verdict.
    ///
    /// # Errors
    /// The reader of the records has gone.
    pub(crate) fn end(&self, roles: &[RoleRun], clock: &Clock, verdict: &Verdict) -> Result<()> {
        let rate = clock.rate();
        let t_ns = rate.ns_from_ticks(clock.now() - self.start);
        for (role, target) in roles.iter().zip(&verdict.targets) {
            let counts = role.total();
            let ticks = rate.ticks_from_ns(t_ns).0.max(1);
            let cpu_usage: Vec<u64> =
                role.busy_ticks().iter().map(|busy| busy * 100 / ticks).collect();
            let sample = Sample {
                role,
                counts,
                cpu_usage: &cpu_usage,
                second: (t_ns + 500_000_000) / 1_000_000_000,
                t_ns,
                span_ns: t_ns,
                rtt_us: rtt_us(&counts, rate),
                open: counts.open_connections(),
            };
            self.say(&match self.style {
                Style::Blocks => block::last(&sample, self.color),
                Style::Lines => line::last(&sample, *target),
            });
            self.record(&record::last(&sample, *target, verdict))?;
        }
        self.say(&line::verdict(verdict));
        Ok(())
    }

    /// What is missing on stdout, and why, in one sentence.
    pub(crate) fn missing(&self) -> Option<String> {
        let why = self.broken.get()?;
        Some(format!("stdout: {why}: what was written there is not whole"))
    }

    /// Text for people.
    fn say(&self, text: &str) {
        if self.json {
            let _ = io::stderr().write_all(text.as_bytes());
        } else {
            self.put(text);
        }
    }

    /// Writes to stdout. Whoever stops listening does not stop the run; a disk that is full does
    /// not either, but is remembered.
    fn put(&self, text: &str) {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if let Err(why) = written
            && why.kind() != io::ErrorKind::BrokenPipe
        {
            let _ = self.broken.set(why);
        }
    }

    /// A record for programs.
    fn record(&self, record: &impl serde::Serialize) -> Result<()> {
        if self.json {
            let mut text = serde_json::to_string(record)?;
            text.push('\n');
            self.put(&text);
        }
        Ok(())
    }
}

/// The mean handshake time.
fn rtt_us(counts: &Snapshot, rate: TickRate) -> Option<f64> {
    let timed = counts.get(Count::RttCount);
    (timed > 0).then(|| rate.us_from_units(counts.get(Count::RttUnits)) / timed as f64)
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")]
        {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }
}
