//! Which queue of a port the answers to a client come to, where the device does not tell: found out
//! by connections that are made before the run, one at a time, each of which shows the queue of one
//! tuple.
//!
//! An answer may come back to the queue that asked: then any division will do. Or its queue follows
//! from addresses and ports by a sum over exclusive or, as with Toeplitz's hash: then as many
//! tuples as there are bits in which they differ tell about all others, and some more confirm it. A
//! device that does anything else is refused.

mod linear;

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dperf_core::exception::Closed;
use dperf_core::plan::Role;
use dperf_core::steer::Fields;
use dperf_core::sync::{Control, Gateway, Phase};
use dperf_core::time::Ticks;
use dperf_core::worker::{Lent, Worker};

use self::linear::Linear;
use crate::clock::Clock;
use crate::config::Config;
use crate::crew;
use crate::memory;
use crate::plan::{Plan, WorkerPlan};
use crate::port::together::Together;
use crate::port::{Delivery, Opened};

/// How long the gateway, and then an answer, may take.
const GATEWAY_S: u64 = 60;
const ANSWER_S: u64 = 10;
/// A rest when there is nothing to do: whoever answers may need this processor.
const NAP: Duration = Duration::from_micros(50);
/// Tuples that show whether answers come back to the queue that asked, and tuples that confirm a
/// hash.
const TRIALS: u64 = 16;
const PROOFS: u64 = 32;

/// A connection's addresses and ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tuple {
    client: IpAddr,
    client_port: u16,
    server: IpAddr,
    server_port: u16,
}

/// Learns of each of a role's ports how answers find their queue, if that is to be known and is
/// not. `with_server`: a server of this process is to answer, and does not run yet.
///
/// # Errors
/// Nobody can answer yet, no answer came, or the device follows no rule that could be reckoned
/// with; what to do about it.
pub fn learn(
    config: &Config,
    ports: &mut [Opened],
    clock: &Clock,
    stopped: &dyn Fn() -> bool,
    with_server: bool,
) -> Result<()> {
    let asks = config.role == Role::Client && config.queues() > 1 && !config.flood;
    for (index, opened) in ports.iter_mut().enumerate() {
        if !asks || !matches!(opened.facts.delivery, Delivery::Unknown) {
            continue;
        }
        let place = &config.ports[index].place;
        let name = &config.ports[index].name;
        ensure!(
            !with_server,
            "{place}: {name} does not tell which of its queues an answer comes to, and a server of \
             the same process cannot be asked before the run: run client and server in two \
             processes, or give the port one core"
        );
        let gateway = Gateway::new(config.ports[index].gateway_mac);
        let mut asker =
            Asker { config, index, opened, clock, stopped, gateway: &gateway, asked: 0 };
        let told = asker.delivery().with_context(|| {
            format!("{place}: which of its queues an answer comes to was asked of {name}")
        })?;
        let asked = asker.asked;
        opened.notes.push(format!(
            "{name}: {asked} connections before the run showed which of its queues answers come to"
        ));
        opened.facts.delivery = told;
    }
    Ok(())
}

/// Asks for one port.
struct Asker<'a> {
    config: &'a Config,
    index: usize,
    opened: &'a mut Opened,
    clock: &'a Clock,
    stopped: &'a dyn Fn() -> bool,
    gateway: &'a Gateway,
    /// Connections made.
    asked: u64,
}

impl Asker<'_> {
    fn delivery(&mut self) -> Result<Delivery> {
        let queues = self.opened.queues.len();
        let (mut linear, mut follows, mut fits) = (Linear::default(), true, true);
        for number in 0..TRIALS {
            let (tuple, asking) = (self.by_chance(number), number as usize % queues);
            let came = self.ask(&tuple, asking)?;
            follows &= came == asking;
            fits &= linear.note(&tuple, came as u16);
        }
        if follows {
            return Ok(Delivery::Paired);
        }
        ensure!(
            fits && queues.is_power_of_two(),
            "it follows no rule of addresses and ports: give it one core"
        );
        for tuple in self.each_part_varied() {
            if linear.queue_of(&tuple).is_none() {
                let came = self.ask(&tuple, 0)?;
                ensure!(linear.note(&tuple, came as u16), "it changes: give it one core");
            }
        }
        for number in 0..PROOFS {
            let tuple = self.by_chance(TRIALS + number);
            let came = self.ask(&tuple, number as usize % queues)?;
            ensure!(
                linear.queue_of(&tuple) == Some(came as u16),
                "it is no sum of what addresses and ports add: give it one core"
            );
        }
        Ok(Delivery::Hashed(linear.choice(self.config.is_ipv6(), queues as u16)))
    }

    /// Tuples that differ from a first one in one part only, in every way there is.
    fn each_part_varied(&self) -> Vec<Tuple> {
        let Config { clients, servers, client_ports, listen, .. } = self.config;
        let (clients, servers) = (&clients[self.index].list, &servers[self.index].list);
        let first = Tuple {
            client: clients[0],
            client_port: client_ports.first,
            server: servers[0],
            server_port: listen.first,
        };
        let mut all = vec![first];
        all.extend(clients.iter().map(|client| Tuple { client: *client, ..first }));
        all.extend(servers.iter().map(|server| Tuple { server: *server, ..first }));
        let ports = 0..client_ports.count;
        all.extend(ports.map(|at| Tuple { client_port: client_ports.at(at), ..first }));
        let ports = 0..listen.count;
        all.extend(ports.map(|at| Tuple { server_port: listen.at(at), ..first }));
        all
    }

    /// Some tuple of the load: every number another.
    fn by_chance(&self, number: u64) -> Tuple {
        let Config { clients, servers, client_ports, listen, seed, .. } = self.config;
        let (clients, servers) = (&clients[self.index].list, &servers[self.index].list);
        let mut state = seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = |count: usize| {
            state = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (state >> 32) as usize % count.max(1)
        };
        Tuple {
            client: clients[below(clients.len())],
            client_port: client_ports.at(below(client_ports.count as usize) as u32),
            server: servers[below(servers.len())],
            server_port: listen.at(below(listen.count as usize) as u32),
        }
    }

    /// A plan for nothing but this connection.
    fn plan(&self, tuple: &Tuple) -> Result<WorkerPlan> {
        let mut config = self.config.clone();
        config.cpus.truncate(1);
        config.ports = vec![config.ports[self.index].clone()];
        config.clients = vec![config.clients[self.index].clone()];
        config.servers = vec![config.servers[self.index].clone()];
        config.clients[0].list = vec![tuple.client];
        config.servers[0].list = vec![tuple.server];
        config.vxlans = config.vxlans.get(self.index).cloned().into_iter().collect();
        (config.client_ports.first, config.client_ports.count) = (tuple.client_port, 1);
        (config.listen.first, config.listen.count) = (tuple.server_port, 1);
        (config.cps, config.cc, config.keepalive, config.pipeline) = (1, 0, None, 1);
        (config.slow_start_s, config.wait_s, config.launch_num) = (0, 0, 0);
        config.retransmit_timeout_s = 1;
        config.change_dips.clear();
        let plan = Plan::new(&config, &[self.opened.facts], self.clock.rate())?;
        let mut worker = plan.lend().pop().context("a plan without a worker")?;
        // At once, not within a second.
        worker.core.pace.cps = 1000;
        Ok(worker)
    }

    /// Makes one connection, asking from queue `asking`. Returns the queue of its first answer.
    fn ask(&mut self, tuple: &Tuple, asking: usize) -> Result<usize> {
        let WorkerPlan { core, slots, .. } = self.plan(tuple)?;
        let (control, clock, slots) = (Control::new(), self.clock, memory::slots(slots)?);
        let octets = |address| match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let (source, destination) = (octets(tuple.server), octets(tuple.client));
        let ports = Some((tuple.server_port, tuple.client_port));
        let answer = Fields { source: &source, destination: &destination, ports };
        let mut queues = Together::new(&mut self.opened.queues, asking, answer);
        let (stats, _) = crew::page();
        let lent = Lent { slots, stats, gateway: self.gateway, control: &control };
        let mut worker = Worker::new(core, &mut queues, Closed, lent, clock.now())
            .context("a worker's memory is smaller than its plan: a fault of the program")?;
        self.asked += 1;
        let seconds = |count| Ticks(clock.rate().ticks_from_us(count * 1_000_000).0);
        let (mut since, mut patience) = (clock.now(), seconds(GATEWAY_S));
        let mut came = None;
        loop {
            let now = clock.now();
            let work = worker.run_once(now).work;
            match control.phase() {
                Phase::Resolve if self.gateway.load().is_some() => {
                    control.advance(Phase::Run);
                    (since, patience) = (now, seconds(ANSWER_S));
                }
                Phase::Run if worker.queue().came().is_some() => {
                    came = worker.queue().came();
                    control.advance(Phase::Drain);
                    (since, patience) = (now, seconds(ANSWER_S));
                }
                Phase::Drain if worker.open_connections() == 0 => break,
                _ => {}
            }
            if now - since > patience {
                break;
            }
            if (self.stopped)() {
                bail!("stopped");
            }
            if work == 0 {
                std::thread::sleep(NAP);
            }
        }
        let server = tuple.server;
        came.with_context(|| match self.gateway.load() {
            None => format!("its gateway does not answer within {GATEWAY_S} s"),
            Some(_) => format!(
                "{server} does not answer within {ANSWER_S} s: start the server first, or give the \
                 port one core"
            ),
        })
    }
}
