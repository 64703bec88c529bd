//! Whether a run met its targets: the exit status follows from this alone.

use std::collections::BTreeMap;

use dperf_core::plan::Role;
use dperf_core::stats::{Count, Snapshot};
use dperf_core::time::TickRate;

use crate::config::PortName;

use crate::role::RoleRun;

/// Counters that must stay zero, unless a limit allows more.
const FAULTS: [Count; 4] = [Count::SkErr, Count::HttpErr, Count::UdpRt, Count::DropTx];

/// What a run must meet.
#[derive(Clone, PartialEq, Debug)]
pub struct Limits {
    /// Percent of the asked rate or number of connections that must be reached.
    pub target_percent: f64,
    /// Most that these counters may come to, by name; the others of dperf's fault counters may
    /// not count anything.
    pub allow: BTreeMap<String, u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { target_percent: 99.0, allow: BTreeMap::new() }
    }
}

impl Limits {
    /// Allows `text`, a `NAME=COUNT`.
    ///
    /// # Errors
    /// There is no such counter, or no number.
    pub fn allow(&mut self, text: &str) -> anyhow::Result<()> {
        let parts = text.split_once('=').and_then(|(name, most)| Some((name, most.parse().ok()?)));
        let Some((name, most)) = parts else {
            anyhow::bail!("'{text}' is no limit: write COUNTER=NUMBER, for example skErr=10");
        };
        // As dperf's block calls it.
        let name = if name == "kniErr" { Count::KniErrors.name() } else { name };
        if !Count::ALL.iter().any(|count| count.name() == name) {
            anyhow::bail!("there is no counter '{name}': see docs/COUNTERS.md");
        }
        self.allow.insert(name.to_string(), most);
        Ok(())
    }
}

/// What a client was asked for and came to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Target {
    /// `cps` or `cc`.
    pub name: &'static str,
    /// What was asked for.
    pub asked: u64,
    /// What was reached: the mean at full rate, of `cc` once all were open or should have been.
    pub reached: f64,
    /// What one launch more would have added: the last may be due when the run ends.
    pub grain: f64,
}

/// How a run went.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Verdict {
    /// One sentence for each thing that went wrong.
    pub faults: Vec<String>,
    /// The target of each role; servers have none.
    pub targets: Vec<Option<Target>>,
}

impl Verdict {
    /// Judges the roles of a run.
    pub fn of(roles: &[RoleRun], rate: TickRate, limits: &Limits) -> Verdict {
        let mut verdict = Verdict::default();
        for role in roles {
            let target = target(role, rate);
            verdict.faults.extend(short(role, target, limits));
            verdict.faults.extend(faults(role, limits));
            if let Some(port) = role.gone_port() {
                verdict.faults.push(format!("{}: port {} is gone", role.name(), port.name));
            }
            verdict.targets.push(target);
        }
        verdict.faults.extend(disagreement(roles));
        verdict
    }

    /// Every target was met and nothing failed.
    pub fn passed(&self) -> bool {
        self.faults.is_empty()
    }
}

/// A client's mean at full rate.
fn target(role: &RoleRun, rate: TickRate) -> Option<Target> {
    let config = role.config();
    if role.role() != Role::Client {
        return None;
    }
    if config.cc > 0 {
        let reached = role.gauge.mean();
        return Some(Target { name: "cc", asked: config.cc, reached, grain: 0.0 });
    }
    let end = role.end?;
    let Some(full) = role.full else {
        return Some(Target { name: "cps", asked: config.cps, reached: 0.0, grain: 0.0 });
    };
    let seconds = rate.ns_from_ticks(end.at - full.at) as f64 / 1e9;
    let opened = end.total.since(&full.total).get(Count::SkOpen);
    let per_second = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
    let (reached, grain) = (per_second(opened as f64), per_second(f64::from(role.launch)));
    Some(Target { name: "cps", asked: config.cps, reached, grain })
}

fn short(role: &RoleRun, target: Option<Target>, limits: &Limits) -> Option<String> {
    let target = target?;
    if role.full.is_none() {
        return Some(format!(
            "{}: ended before the full rate, which comes after {} s (slow_start)",
            role.name(),
            role.config().ramp_s()
        ));
    }
    let percent = 100.0 * target.reached / target.asked.max(1) as f64;
    let with_last = 100.0 * (target.reached + target.grain) / target.asked.max(1) as f64;
    (with_last < limits.target_percent).then(|| {
        format!(
            "{}: {} reached {:.*} of {} ({percent:.1} %, asked for at least {} %)",
            role.name(),
            target.name,
            usize::from(target.asked < 1000),
            target.reached,
            target.asked,
            limits.target_percent
        )
    })
}

fn faults(role: &RoleRun, limits: &Limits) -> Vec<String> {
    let total = role.total();
    let limited =
        |count: &&Count| FAULTS.contains(count) || limits.allow.contains_key(count.name());
    let over = |count: &Count| {
        let most = limits.allow.get(count.name()).copied().unwrap_or(0);
        // A connection that a client had to leave open has failed as well: nobody knows that it
        // was answered.
        let left = match (role.role(), count) {
            (Role::Client, Count::SkErr) => total.open_connections(),
            _ => 0,
        };
        let is = total.get(*count);
        let besides = match left {
            0 => String::new(),
            left => format!(" and {left} connections did not end"),
        };
        (is + left > most)
            .then(|| format!("{}: {} is {is}{besides}, allowed {most}", role.name(), count.name()))
    };
    Count::ALL.iter().filter(limited).filter_map(over).collect()
}

/// Where all ports are links within this process nothing can get lost: what one side sent the
/// other has received. A flood ends with packets under way.
fn disagreement(roles: &[RoleRun]) -> Vec<String> {
    let linked = |role: &RoleRun| {
        role.config().ports.iter().all(|port| matches!(port.name, PortName::Link(_)))
    };
    if !roles.iter().all(linked) || roles.iter().any(|role| role.config().flood) {
        return Vec::new();
    }
    let side = |wanted: Role| {
        let roles = roles.iter().filter(|role| role.role() == wanted);
        roles.fold(Snapshot::default(), |sum, role| sum.plus(&role.total()))
    };
    let (client, server) = (side(Role::Client), side(Role::Server));
    let mut pairs = vec![
        (Count::TcpTx, Count::TcpRx),
        (Count::TcpRx, Count::TcpTx),
        (Count::UdpTx, Count::UdpRx),
        (Count::UdpRx, Count::UdpTx),
        (Count::Http2xx, Count::Http2xx),
    ];
    if !roles.iter().any(|role| role.config().is_udp()) {
        pairs.push((Count::SkOpen, Count::SkOpen));
    }
    let differs = |(one, other): &(Count, Count)| client.get(*one) != server.get(*other);
    let say = |(one, other): &(Count, Count)| {
        let (ours, theirs) = (client.get(*one), server.get(*other));
        format!("the client's {} is {ours}, the server's {} {theirs}", one.name(), other.name())
    };
    pairs.iter().filter(|pair| differs(pair)).map(say).collect()
}
