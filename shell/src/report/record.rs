//! JSON records: `interval` and `final`. Counters are integers under their own names.

use dperf_core::stats::{Count, Snapshot};
use serde_json::{Map, Value, json};

use crate::config::Port;
use crate::role::Who;
use crate::verdict::{Target, Verdict};

use super::sample::{Sample, WorkerSample};

/// One second of one role.
pub(super) fn interval(sample: &Sample<'_>) -> Value {
    Value::Object(counters("interval", sample))
}

/// The whole run of one role.
pub(super) fn last(sample: &Sample<'_>, target: Option<Target>, verdict: &Verdict) -> Value {
    let mut record = counters("final", sample);
    if let Some(target) = target {
        let reached = (target.reached * 1000.0).round() / 1000.0;
        record.insert(
            "target".into(),
            json!({"name": target.name, "asked": target.asked, "reached": reached}),
        );
    }
    record.insert("passed".into(), json!(verdict.passed()));
    record.insert("faults".into(), json!(verdict.faults));
    Value::Object(record)
}

fn counters(kind: &str, sample: &Sample<'_>) -> Map<String, Value> {
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| record.insert(name.to_string(), value);
    let usage: Vec<u64> = sample.workers.iter().map(|worker| worker.cpu_usage).collect();
    put("type", json!(kind));
    put("role", json!(sample.role.name()));
    put("t_ns", json!(sample.t_ns));
    put("span_ns", json!(sample.span_ns));
    put("cpuUsage", json!(usage));
    put("skCon", json!(sample.open));
    put("rtt_us", json!(sample.rtt_us.map(|rtt| (rtt * 1000.0).round() / 1000.0)));
    put("workers", json!(workers(sample)));
    put("ports", json!(ports(sample)));
    put_counts(&mut record, &sample.counts);
    record
}

fn workers(sample: &Sample<'_>) -> Vec<Value> {
    let record = |(who, worker): (&Who, &WorkerSample)| {
        let mut record = Map::new();
        record.insert("name".into(), json!(who.name));
        record.insert("cpu".into(), json!(who.cpu));
        record.insert("port".into(), json!(who.port));
        record.insert("cpuUsage".into(), json!(worker.cpu_usage));
        record.insert("skCon".into(), json!(worker.open));
        put_counts(&mut record, &worker.counts);
        Value::Object(record)
    };
    sample.role.workers.iter().zip(&sample.workers).map(record).collect()
}

fn ports(sample: &Sample<'_>) -> Vec<Value> {
    let record = |(index, port): (usize, &Port)| {
        let (counts, open) = sample.port(index);
        let mut record = Map::new();
        record.insert("name".into(), json!(port.name.to_string()));
        record.insert("skCon".into(), json!(open));
        put_counts(&mut record, &counts);
        Value::Object(record)
    };
    sample.role.config().ports.iter().enumerate().map(record).collect()
}

/// The sums behind `rtt_us` are in the clock's own units: of no use outside.
fn put_counts(record: &mut Map<String, Value>, counts: &Snapshot) {
    for count in Count::ALL.iter().filter(|count| **count != Count::RttUnits) {
        record.insert(count.name().to_owned(), json!(counts.get(*count)));
    }
}
