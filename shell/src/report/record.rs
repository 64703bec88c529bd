//! JSON records: `interval` and `final`. Counters are integers under their own names.

use dperf_core::stats::Count;
use serde_json::{Map, Value, json};

use crate::verdict::{Target, Verdict};

use super::Sample;

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
    put("type", json!(kind));
    put("role", json!(sample.role.name()));
    put("t_ns", json!(sample.t_ns));
    put("span_ns", json!(sample.span_ns));
    put("cpuUsage", json!(sample.cpu_usage));
    put("skCon", json!(sample.open));
    put("rtt_us", json!(sample.rtt_us.map(|rtt| (rtt * 1000.0).round() / 1000.0)));
    // The sums behind `rtt_us` are in the clock's own units: of no use outside.
    for count in Count::ALL.iter().filter(|count| **count != Count::RttUnits) {
        put(count.name(), json!(sample.counts.get(*count)));
    }
    record
}
