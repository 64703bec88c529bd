//! One run from its first port to its last line: open, plan, wire, lead through the phases, stop in
//! order, judge.

mod lead;
mod threads;
mod watchdog;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use dperf_core::plan::Role;
use dperf_core::sync::{Control, Gateway, Phase};

use crate::clock::Clock;
use crate::config::{Config, Read};
use crate::crew::{self, Parts, Watch};
use crate::exception;
use crate::learn::learn;
use crate::memory;
use crate::plan::Plan;
use crate::port::Opened;
use crate::ports::Ports;
use crate::report::Report;
use crate::role::{RoleRun, Who};
use crate::signals::Signals;
use crate::verdict::{Limits, Verdict};

use threads::{END_WAIT, Threads};

/// Runs every role to its end. Returns how it went.
///
/// # Errors
/// Nothing could be started: bad plan, missing device, missing privilege, too little memory, no
/// gateway. Nothing is left behind.
pub fn run(reads: Vec<Read>, limits: &Limits, report: &mut Report) -> Result<Verdict> {
    let signals = Signals::catch()?;
    let configs: Vec<&Config> = reads.iter().map(|read| &read.config).collect();
    check_cpus(&configs)?;
    let clock = Clock::start();
    let mut ports = Ports::open(&configs, &|| signals.stop_asked())?;
    let with_server = configs.iter().any(|config| config.role == Role::Server);
    let mut of_role = configs.iter().zip(&mut ports.of_role);
    let learned = of_role.try_for_each(|(config, opened)| {
        learn(config, opened, &clock, &|| signals.stop_asked(), with_server)
    });
    if let Err(why) = learned {
        ports.close()?;
        return Err(why);
    }
    for note in ports.notes() {
        report.note(&note);
    }
    let outcome = run_on(reads, &mut ports, &clock, &signals, limits, report);
    let closed = ports.close();
    let verdict = outcome?;
    closed?;
    Ok(verdict)
}

fn run_on(
    reads: Vec<Read>,
    ports: &mut Ports,
    clock: &Clock,
    signals: &Signals,
    limits: &Limits,
    report: &mut Report,
) -> Result<Verdict> {
    let mut roles = Vec::new();
    let mut parts = BTreeMap::new();
    for (index, read) in reads.into_iter().enumerate() {
        let plan = Plan::new(&read.config, &ports.facts(index), clock.rate())?;
        report.plan(&read, &plan)?;
        let devices = (&mut ports.of_role[index][..], &mut ports.exceptions[index][..]);
        roles.push(wire(read, plan, devices, &mut parts)?);
    }
    let mut threads = Threads::default();
    let led =
        threads.start(parts, clock).and_then(|()| lead::lead(&mut roles, clock, signals, report));
    for role in &roles {
        role.control.advance(Phase::Stop);
    }
    let (stuck, ended) = threads.end();
    if !stuck.is_empty() {
        ports.leave_running();
    }
    ended?;
    led?;
    let mut verdict = Verdict::of(&roles, clock.rate(), limits);
    verdict.faults.extend(roles.iter().flat_map(|role| unstopped(role, &stuck)));
    verdict.faults.extend(report.missing());
    report.end(&roles, clock, &verdict)?;
    Ok(verdict)
}

/// The processors this process may use must include those the configuration names.
fn check_cpus(configs: &[&Config]) -> Result<()> {
    let given = crew::processors()?;
    for config in configs {
        if let Some(cpu) = config.cpus.iter().find(|cpu| !given.contains(cpu)) {
            let have: Vec<String> = given.iter().map(u16::to_string).collect();
            let why = format!("this process has no cpu {cpu}");
            return Err(config
                .refuse("cpu", why, format!("it may use: {}", have.join(" ")))
                .into());
        }
    }
    Ok(())
}

/// Turns one role's plan into parts for the threads of its cores.
fn wire(
    read: Read,
    plan: Plan,
    (opened, ways): (&mut [Opened], &mut [exception::Opened]),
    parts: &mut BTreeMap<u16, Vec<Parts>>,
) -> Result<RoleRun> {
    let gateway = |mac| &*Box::leak(Box::new(Gateway::new(mac)));
    let gateways: Vec<&'static Gateway> =
        read.config.ports.iter().map(|port| gateway(port.gateway_mac)).collect();
    let control: &'static Control = Box::leak(Box::default());
    let mut role = RoleRun::new(read, gateways, control);
    let mut queues: Vec<_> =
        opened.iter_mut().map(|port| std::mem::take(&mut port.queues).into_iter()).collect();
    let mut paths: Vec<_> =
        ways.iter_mut().map(|way| std::mem::take(&mut way.paths).into_iter()).collect();
    for worker in plan.lend() {
        let queue = queues[worker.port].next().context("a port minted too few queues")?;
        let (stats, reader) = crew::page();
        let watch = Arc::new(Watch::default());
        role.messages = worker.core.messages;
        role.launch += worker.core.pace.launch;
        role.readers.push(reader);
        role.workers.push(Who { name: worker.name, cpu: worker.cpu, port: worker.port });
        role.watches.push(Arc::clone(&watch));
        parts.entry(worker.cpu).or_default().push(Parts {
            plan: worker.core,
            queue,
            exception: paths.get_mut(worker.port).and_then(Iterator::next),
            slots: memory::slots(worker.slots)?,
            stats,
            gateway: role.gateways[worker.port],
            control,
            watch,
        });
    }
    Ok(role)
}

/// The workers of a role whose cores are among those that are `stuck`, a sentence each.
fn unstopped(role: &RoleRun, stuck: &[u16]) -> Vec<String> {
    let workers = role.workers.iter().filter(|worker| stuck.contains(&worker.cpu));
    let say = |worker: &Who| {
        let (name, cpu, seconds) = (&worker.name, worker.cpu, END_WAIT.as_secs());
        format!("worker {name} on cpu {cpu} did not stop within {seconds} s")
    };
    workers.map(say).collect()
}
