//! One line a second, and a short summary: for a first run, and for the verdict.

use dperf_core::plan::Role;
use dperf_core::stats::Count;

use crate::verdict::{Target, Verdict};

use super::{Sample, grouped};

/// One second of one role.
pub(super) fn interval(sample: &Sample<'_>) -> String {
    let per_second = |count| {
        (u128::from(sample.counts.get(count)) * 1_000_000_000 / u128::from(sample.span_ns.max(1)))
            as u64
    };
    let faults = [Count::SkErr, Count::HttpErr, Count::UdpRt];
    let errors: u64 = faults.map(|count| sample.counts.get(count)).iter().sum();
    let rtt = match (sample.role.role(), sample.rtt_us) {
        (Role::Client, Some(rtt)) => format!("   rtt {rtt:.1} us"),
        _ => String::new(),
    };
    format!(
        "{:>4} s  {:<6}  {:>9} connections/s  {:>9} responses/s  {:>10} packets/s in  {:>10} out  \
         {:>7} open  {errors} errors{rtt}\n",
        sample.second,
        sample.role.name(),
        grouped(per_second(Count::SkOpen)),
        grouped(answers(sample).into_iter().map(per_second).sum()),
        grouped(per_second(Count::PktRx)),
        grouped(per_second(Count::PktTx)),
        grouped(sample.open),
    )
}

/// What counts answers: received by a client, sent by a server.
fn answers(sample: &Sample<'_>) -> Vec<Count> {
    match (sample.role.config().is_udp(), sample.role.role()) {
        (false, _) => vec![Count::Http2xx, Count::TcpRsp],
        (true, Role::Client) => vec![Count::UdpRx],
        (true, Role::Server) => vec![Count::UdpTx],
    }
}

/// The totals of one role.
pub(super) fn last(sample: &Sample<'_>, target: Option<Target>) -> String {
    let n = |count| grouped(sample.counts.get(count));
    let met = target.map_or(String::new(), |target| {
        format!(", {} {:.0} of {} asked", target.name, target.reached, grouped(target.asked))
    });
    format!(
        "\n{} total: {} connections, {} responses, {} packets in, {} out, {} failed{met}\n",
        sample.role.name(),
        n(Count::SkOpen),
        grouped(answers(sample).into_iter().map(|count| sample.counts.get(count)).sum()),
        n(Count::PktRx),
        n(Count::PktTx),
        n(Count::SkErr),
    )
}

/// The verdict: one line, or one per fault.
pub(super) fn verdict(verdict: &Verdict) -> String {
    if verdict.passed() {
        return "\npassed: every target was met, nothing failed\n".to_string();
    }
    let faults: String = verdict.faults.iter().map(|fault| format!("  {fault}\n")).collect();
    format!("\nnot passed:\n{faults}")
}
