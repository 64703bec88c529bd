//! What people and programs read: dperf's blocks or one line a second for people, one JSON object
//! per line for programs. People's text goes to stdout, or to stderr when JSON has stdout, or into
//! log files when the program is in the background.

mod block;
mod details;
mod line;
mod output;
mod reasons;
mod record;
mod sample;

#[cfg(test)]
mod tests;

use anyhow::Result;
use dperf_core::plan::Role;
use dperf_core::time::{Instant, TickRate};

use crate::clock::Clock;
use crate::config::{Config, Read};
use crate::plan::{Plan, PlanRecord, explain};
use crate::role::RoleRun;
use crate::verdict::Verdict;

use output::Output;
use sample::{Sample, Span};

pub use output::log_path;

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
    output: Output,
    color: bool,
    start: Instant,
}

impl Report {
    /// A reporter in `style`; `json` adds records on stdout.
    pub fn new(style: Style, json: bool) -> Report {
        Report::on(Output::new(json), style)
    }

    /// A reporter that writes blocks into the log of each of `roles`.
    ///
    /// # Errors
    /// A log cannot be opened.
    pub fn logged(roles: impl Iterator<Item = Role>, json: bool) -> Result<Report> {
        Ok(Report::on(Output::logs(roles, json)?, Style::Blocks))
    }

    fn on(output: Output, style: Style) -> Report {
        Report { style, color: output.is_terminal(), output, start: Instant::default() }
    }

    /// What of the output was lost, and why, in one sentence.
    pub(crate) fn missing(&self) -> Option<String> {
        self.output.missing()
    }

    /// Says one line to people.
    pub fn note(&self, text: &str) {
        self.output.say(None, &format!("{text}\n"));
    }

    /// Says one line about a fault to people, on stderr where others would go to stdout.
    pub fn warn(&self, text: &str) {
        self.output.warn(&format!("dperf-shell: {text}\n"));
    }

    /// What is going to happen.
    ///
    /// # Errors
    /// The record cannot be written as JSON.
    pub fn plan(&self, read: &Read, plan: &Plan) -> Result<()> {
        match self.style {
            Style::Blocks => {
                let text = explain(&read.config, plan, &read.notes);
                self.output.say(Some(read.config.role), &text);
            }
            Style::Lines => {}
        }
        self.record(&PlanRecord::new(&read.config, plan, &read.notes))
    }

    /// The load begins.
    pub(crate) fn begin(&mut self, start: Instant) {
        self.start = start;
    }

    /// One second of one role is over; `among_others`: the process has other roles as well.
    ///
    /// # Errors
    /// The record cannot be written as JSON.
    pub(crate) fn interval(
        &mut self,
        role: &mut RoleRun,
        among_others: bool,
        rate: TickRate,
        since: Instant,
        now: Instant,
    ) -> Result<()> {
        let pages = role.pages();
        let before = std::mem::replace(&mut role.reported, pages.clone());
        let span = Span { start: self.start, since, now, rate };
        let sample = Sample::new(role, among_others, &before, &pages, span);
        let config = role.config();
        if !config.quiet {
            let clear = if config.clear_screen && self.color { "\x1b[H\x1b[J" } else { "" };
            let text = match self.style {
                Style::Blocks => block::interval(&sample, self.color, &details(config, &sample)),
                Style::Lines => line::interval(&sample) + &details(config, &sample),
            };
            self.output.say(Some(config.role), &format!("{clear}{text}"));
        }
        self.record(&record::interval(&sample))
    }

    /// The run is over: totals and verdict.
    ///
    /// # Errors
    /// The record cannot be written as JSON.
    pub(crate) fn end(&self, roles: &[RoleRun], clock: &Clock, verdict: &Verdict) -> Result<()> {
        let span =
            Span { start: self.start, since: self.start, now: clock.now(), rate: clock.rate() };
        for (role, target) in roles.iter().zip(&verdict.targets) {
            let sample = Sample::new(role, roles.len() > 1, &[], &role.pages(), span);
            let reasons = if verdict.passed() { String::new() } else { reasons::line(&sample) };
            let details = details(role.config(), &sample) + &reasons;
            let text = match self.style {
                Style::Blocks => block::last(&sample, self.color, &details),
                Style::Lines => line::last(&sample, *target) + &details,
            };
            self.output.say(Some(role.role()), &text);
            self.record(&record::last(&sample, *target, verdict))?;
        }
        self.output.say(None, &line::verdict(verdict));
        self.output.end();
        Ok(())
    }

    /// A record for programs.
    fn record(&self, record: &impl serde::Serialize) -> Result<()> {
        if self.output.has_records() {
            self.output.record(&format!("{}\n", serde_json::to_string(record)?));
        }
        Ok(())
    }
}

/// A line for each worker and port, if that was asked for.
fn details(config: &Config, sample: &Sample<'_>) -> String {
    if config.per_worker { details::table(sample) } else { String::new() }
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
