//! Leads all roles through their phases, second by second.

use std::time::Duration;

use anyhow::{Result, bail};
use dperf_core::plan::Role;
use dperf_core::stats::Count;
use dperf_core::sync::Phase;
use dperf_core::time::{Instant, Ticks};

use crate::clock::Clock;
use crate::report::Report;
use crate::signals::Signals;

use crate::role::{Mark, RoleRun, Stage};

use super::watchdog::Watchdog;

/// How long a gateway's MAC address may stay unknown (dperf: 60 rounds of one second).
const GATEWAY_WAIT: Duration = Duration::from_secs(60);
/// How long open connections may take until the next of them ends (dperf: 4 s for all).
const DRAIN_WAIT_NS: u64 = 4_000_000_000;
/// How long a worker's first turn is waited for.
const FIRST_TURN: Duration = Duration::from_secs(3);
/// How often the leading thread looks.
const LOOK: Duration = Duration::from_millis(2);

/// Leads `roles` until every one is over.
///
/// # Errors
/// A gateway was not found, or the run was stopped before it was.
pub(super) fn lead(
    roles: &mut [RoleRun],
    clock: &Clock,
    signals: &Signals,
    report: &mut Report,
) -> Result<()> {
    let mut watchdog = Watchdog::new(roles);
    let mut look = |roles: &[RoleRun], report: &Report| {
        for line in watchdog.look(roles) {
            report.warn(&line);
        }
    };
    find_gateways(roles, signals, || look(roles, report))?;
    await_workers(roles, || look(roles, report));
    // Servers first: whoever is called must be there.
    for wanted in [Role::Server, Role::Client] {
        for role in roles.iter().filter(|role| role.role() == wanted) {
            role.control.advance(Phase::Run);
        }
    }
    let start = clock.now();
    let lead = Lead { clock, signals, start };
    report.begin(start);
    let mut reported = start;
    loop {
        // Seconds that were missed, as by a process that was stopped, are one with the next.
        let second = (reported - start).0 / clock.rate().hz() + 1;
        let tick = start + Ticks(clock.rate().hz() * second);
        while clock.now() < tick && !over(roles) {
            std::thread::sleep(LOOK);
            look(roles, report);
            lead.step(roles);
        }
        let now = clock.now();
        // A last piece much shorter than a second says nothing.
        if !over(roles) || now - reported > Ticks(clock.rate().hz() / 2) {
            let among_others = roles.len() > 1;
            for role in roles.iter_mut() {
                miss_exception(role, report);
                miss_answers(role, report);
                if role.stage == Stage::Full {
                    role.gauge.read(role.total().open_connections());
                }
                report.interval(role, among_others, clock.rate(), reported, now)?;
            }
            reported = now;
        }
        if over(roles) {
            break;
        }
    }
    for port in roles.iter().filter_map(RoleRun::gone_port) {
        report.note(&format!("port {}: the device is gone; the run ended early", port.name));
    }
    Ok(())
}

/// Says once that answers come to workers that did not ask.
fn miss_answers(role: &mut RoleRun, report: &Report) {
    let count = role.total().get(Count::DropWrongQueue);
    if count > 0 && !role.answers_missed {
        role.answers_missed = true;
        report.note(&format!(
            "{}: {count} answers came to other queues than the device's hash says, so it hashes \
             otherwise: give its port one core",
            role.name()
        ));
    }
}

/// Says once that the kernel's interface has gone.
fn miss_exception(role: &mut RoleRun, report: &Report) {
    if role.exception_gone() && !role.exception_missed {
        role.exception_missed = true;
        report.note(&format!(
            "{}: the kernel's interface was deleted: the load goes on, the kernel gets nothing",
            role.name()
        ));
    }
}

fn over(roles: &[RoleRun]) -> bool {
    roles.iter().all(|role| role.stage == Stage::Over)
}

/// Waits until every port knows its gateway; calls `look` meanwhile.
fn find_gateways(roles: &[RoleRun], signals: &Signals, mut look: impl FnMut()) -> Result<()> {
    let begun = std::time::Instant::now();
    while let Some(port) = roles.iter().find_map(RoleRun::lost_port) {
        if signals.stop_asked() {
            bail!("stopped before the gateway {} was found", port.gateway);
        }
        if begun.elapsed() > GATEWAY_WAIT {
            bail!(
                "{}: the gateway {} does not answer on port {} within {} s: check address and \
                 cabling, or give its MAC address as the last word of the `port` line",
                port.place,
                port.gateway,
                port.name,
                GATEWAY_WAIT.as_secs()
            );
        }
        std::thread::sleep(LOOK);
        look();
    }
    Ok(())
}

/// Waits until every worker turns: each touches memory before, and time in which nothing can be
/// sent is not the load's.
fn await_workers(roles: &[RoleRun], mut look: impl FnMut()) {
    let begun = std::time::Instant::now();
    while !roles.iter().all(RoleRun::turns) && begun.elapsed() < FIRST_TURN {
        std::thread::sleep(LOOK);
        look();
    }
}

struct Lead<'a> {
    clock: &'a Clock,
    signals: &'a Signals,
    start: Instant,
}

impl Lead<'_> {
    /// Moves each role on that has reached the end of its stage.
    fn step(&self, roles: &mut [RoleRun]) {
        let mut clients = roles.iter().filter(|role| role.role() == Role::Client).peekable();
        let clients_over =
            clients.peek().is_some().then(|| clients.all(|role| role.stage == Stage::Over));
        let now = self.clock.now();
        // What its clients waited for in vain, or never meant, a server need not wait for again.
        let gave_up = |role: &RoleRun| role.total().open_connections() > 0 || role.config().flood;
        let clients_gave_up = roles.iter().any(|role| role.role() == Role::Client && gave_up(role));
        for role in roles {
            self.watch_gauge(role, now);
            let gone = role.gone_port().is_some();
            let stop = self.signals.stop_asked() || gone;
            let mark = || Mark { at: now, total: role.total() };
            match role.stage {
                Stage::Ramp if self.elapsed(now, u64::from(role.config().ramp_s())) => {
                    role.full = Some(mark());
                    role.stage = Stage::Full;
                }
                Stage::Ramp | Stage::Full if self.full_ends(role, now, stop, clients_over) => {
                    let end = mark();
                    let open = end.total.open_connections();
                    role.gauge.read(open);
                    role.end = Some(end);
                    role.control.advance(Phase::Drain);
                    role.stage = Stage::Drain { since: now, ended: 0, fewest: open };
                }
                Stage::Drain { since, ended, fewest } => {
                    let total = role.total();
                    let open = total.open_connections();
                    let in_vain = clients_over == Some(true) && clients_gave_up;
                    let late = now - since > self.clock.rate().ticks_from_ns(DRAIN_WAIT_NS);
                    // Millions take their time, but each that fails is no reason to wait longer.
                    let sound = total.get(Count::SkClose).saturating_sub(total.get(Count::SkErr));
                    if open == 0 || gone || in_vain || late {
                        role.control.advance(Phase::Stop);
                        role.stage = Stage::Over;
                    } else if sound > ended && open < fewest {
                        // What a server opens meanwhile is no reason either.
                        role.stage = Stage::Drain { since: now, ended: sound, fewest: open };
                    }
                }
                _ => {}
            }
        }
    }

    /// Open connections count from when all were open, or should have been.
    fn watch_gauge(&self, role: &mut RoleRun, now: Instant) {
        if role.gauge.counts {
            return;
        }
        let Some(all_open_s) = role.config().all_open_s() else { return };
        let all_open = role.total().open_connections() >= role.config().cc;
        role.gauge.counts = all_open || self.elapsed(now, all_open_s + 1);
    }

    /// A client ends on time; a server next to clients in one process ends after them.
    fn full_ends(
        &self,
        role: &RoleRun,
        now: Instant,
        stop: bool,
        clients_over: Option<bool>,
    ) -> bool {
        match (role.role(), clients_over) {
            (Role::Server, Some(over)) => over,
            _ => stop || self.elapsed(now, role.config().end_s()),
        }
    }

    fn elapsed(&self, now: Instant, seconds: u64) -> bool {
        now - self.start >= Ticks(self.clock.rate().hz().saturating_mul(seconds))
    }
}
