//! A line for each worker and each port: where the load is, and where something gets lost.

use std::fmt::Write;

use dperf_core::stats::{Count, Snapshot};

use super::{Sample, grouped};

/// What is told of each, and how wide its column is.
const COLUMNS: [(Count, usize); 10] = [
    (Count::PktRx, 14),
    (Count::PktTx, 14),
    (Count::BitsRx, 18),
    (Count::BitsTx, 18),
    (Count::SkOpen, 13),
    (Count::SkErr, 10),
    (Count::DropTx, 10),
    (Count::Imissed, 10),
    (Count::Ierrors, 10),
    (Count::RxNombuf, 10),
];

/// The table of one second, or of the whole run.
pub(super) fn table(sample: &Sample<'_>) -> String {
    let mut text = format!("{:<22} {:>5} {:>9}", "worker", "cpu", "cpuUsage");
    for (count, width) in COLUMNS {
        // Writing into a String cannot fail.
        let _ = write!(text, " {:>width$}", count.name());
    }
    let _ = writeln!(text, " {:>13}", "skCon");
    for (who, worker) in sample.role.workers.iter().zip(&sample.workers) {
        let usage = worker.cpu_usage;
        let _ = write!(text, "{:<22} {:>5} {usage:>9}", who.name, who.cpu);
        row(&mut text, &worker.counts, worker.open);
    }
    for (index, port) in sample.role.config().ports.iter().enumerate() {
        let (counts, open) = sample.port(index);
        let name = format!("port {index}");
        let device = port.name.to_string();
        let device = device.get(..15).unwrap_or(&device);
        let _ = write!(text, "{name:<22} {device:>15}");
        row(&mut text, &counts, open);
    }
    text
}

fn row(text: &mut String, counts: &Snapshot, open: u64) {
    for (count, width) in COLUMNS {
        let _ = write!(text, " {:>width$}", grouped(counts.get(count)));
    }
    let _ = writeln!(text, " {:>13}", grouped(open));
}
