//! The rows of the table.

use std::fmt::Write;

use dperf_tests::record;

use crate::driver::Floor;
use crate::load::{Ask, Load};
use crate::run::{Run, Side, Tester};

/// The figures of one load: each tester's, and the driver's alone.
#[derive(Debug)]
pub(crate) struct Figures {
    head: String,
    /// Instructions per packet of our core, as they are recorded.
    instructions: Option<f64>,
    testers: Vec<Row>,
    /// The driver's in each round.
    floors: Vec<Floor>,
}

#[derive(Debug)]
struct Row {
    rate: Vec<f64>,
    unit: &'static str,
    ticks: [Vec<f64>; 2],
    waited: Vec<f64>,
    clean: Option<(usize, usize)>,
    bytes: Vec<f64>,
    bytes_per_connection: Vec<f64>,
}

/// The names of the columns.
pub(crate) fn headline() -> String {
    format!(
        "{:<18}{:<27}{:<9}{:>26} {:<15}{:>6}{:>20}{:>20}{:>7}{:>13}{:>6}{:>14}",
        "port",
        "load",
        "",
        "rate per second",
        "",
        "ratio",
        "client ticks",
        "server ticks",
        "instr.",
        "B/connection",
        "MB",
        "waited, %",
    )
}

impl Figures {
    pub(crate) fn of(load: &Load, runs: &[Vec<Run>], floors: Vec<Floor>, hz: f64) -> Figures {
        let ticks = |side: &Side| side.ticks_per_packet(hz, load.saturated);
        let row = |runs: &Vec<Run>| Row {
            rate: runs.iter().map(|run| run.client.per_second(load.counter)).collect(),
            unit: load.unit,
            ticks: [
                runs.iter().map(|run| ticks(&run.client)).collect(),
                runs.iter().map(|run| ticks(&run.server)).collect(),
            ],
            waited: runs.iter().map(|run| run.waited).collect(),
            clean: (load.ask != Ask::Fixed)
                .then(|| (runs.iter().filter(|run| run.clean).count(), runs.len())),
            bytes: runs.iter().map(|run| run.memory.bytes()).collect(),
            bytes_per_connection: runs
                .iter()
                .filter(|_| load.ask == Ask::Fixed)
                .filter_map(|run| run.memory.bytes_per_connection())
                .collect(),
        };
        let head = format!("{:<18}{:<27}", load.transport.name(), load.what);
        let instructions = load.scenario.and_then(recorded);
        Figures { head, instructions, testers: runs.iter().map(row).collect(), floors }
    }

    /// One row per tester and one for the driver.
    pub(crate) fn rows(&self, testers: &[Tester]) -> String {
        let mut text = String::new();
        let ours = median(&self.testers[0].rate);
        for (row, tester) in self.testers.iter().zip(testers) {
            let ratio = match tester.ours {
                true => String::new(),
                false => format!("{:.2}", ours / median(&row.rate)),
            };
            let clean =
                row.clean.map_or(String::new(), |(clean, all)| format!(", {clean}/{all} clean"));
            let [client, server] = &row.ticks;
            let instructions = self.instructions.filter(|_| tester.ours);
            // Who takes all memory when it starts takes none for a connection.
            let bytes = if tester.ours { &row.bytes_per_connection[..] } else { &[] };
            let _ = writeln!(
                text,
                "{}{:<9}{:>26} {:<15}{ratio:>6}{:>20}{:>20}{:>7}{:>13}{:>6.0}{:>14}{clean}",
                self.head,
                tester.name,
                rate(&row.rate),
                row.unit,
                spread(client, 1.0, 0),
                if median(server) > 0.0 { spread(server, 1.0, 0) } else { "-".into() },
                instructions.map_or("-".into(), |count| format!("{count:.0}")),
                if bytes.is_empty() { "-".into() } else { format!("{:.1}", median(bytes)) },
                median(&row.bytes) / 1e6,
                spread(&row.waited, 0.01, 0),
            );
        }
        if !self.floors.is_empty() {
            let all = |of: fn(&Floor) -> &Vec<f64>| -> Vec<f64> {
                self.floors.iter().flat_map(of).copied().collect()
            };
            let _ = writeln!(
                text,
                "{}{:<9}{:>26} {:<15}{:>6.2}{:>20}{:>20}",
                self.head,
                "driver",
                rate(&all(|floor| &floor.packets)),
                "packets",
                self.distance(),
                spread(&all(|floor| &floor.client_ticks), 1.0, 0),
                spread(&all(|floor| &floor.server_ticks), 1.0, 0),
            );
        }
        text
    }

    /// Our client's ticks, as a multiple of the driver's in the same round: the machine changes
    /// from round to round.
    fn distance(&self) -> f64 {
        let of_rounds = self.testers[0].ticks[0].iter().zip(&self.floors);
        let ratio = |(ours, floor): (&f64, &Floor)| ours / median(&floor.client_ticks);
        median(&of_rounds.map(ratio).collect::<Vec<_>>())
    }
}

/// What is recorded of the core's own benchmark `scenario`.
fn recorded(scenario: &str) -> Option<f64> {
    let entries = record::read(&std::fs::read_to_string(record::PATH).ok()?).ok()?;
    Some(entries.iter().find(|entry| entry.scenario == scenario)?.instructions)
}

/// The middle of some figures.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The median and, in brackets, the least and the most, in `unit`.
pub(crate) fn spread(values: &[f64], unit: f64, digits: usize) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.is_empty() {
        return "-".to_string();
    }
    let middle = median(values) / unit;
    format!("{middle:.digits$} [{:.digits$}..{:.digits$}]", least / unit, most / unit)
}

/// A rate with a prefix.
fn rate(values: &[f64]) -> String {
    let (unit, prefix) = match median(values) {
        rate if rate >= 1e9 => (1e9, "G"),
        rate if rate >= 1e6 => (1e6, "M"),
        _ => (1e3, "k"),
    };
    format!("{} {prefix}", spread(values, unit, 2))
}
