//! What is behind `skErr`, the drops and a rate that was missed: the counters that name a reason,
//! as far as they counted. They have no place in dperf's block.

use dperf_core::stats::Count;

use super::{Sample, grouped};

/// One line with them, or nothing.
pub(super) fn line(sample: &Sample<'_>) -> String {
    let counted = Count::ALL.iter().filter(|count| names_reason(**count));
    let told: Vec<String> = counted
        .filter(|count| sample.counts.get(**count) > 0)
        .map(|count| format!("{} {}", count.name(), grouped(sample.counts.get(*count))))
        .collect();
    match told.is_empty() {
        true => String::new(),
        false => format!("reasons: {}\n", told.join(", ")),
    }
}

fn names_reason(count: Count) -> bool {
    let is_part = |of: Count, prefix: &str| count != of && count.name().starts_with(prefix);
    is_part(Count::SkErr, "skErr")
        || is_part(Count::DropTx, "drop")
        || matches!(count, Count::Deferred | Count::ChallengeAck)
}
