//! Configuration and facts to work: what each worker is to do, complete and checked. Pure.
//!
//! Worker i drives port i / n with n workers per port, on that port's queue i % n. Rates are
//! divided without a remainder. A worker's part of the tuple space is told by one rule
//! ([`Split`]) and by what the port says of itself: client and server need not talk to each other.

mod assumed;
mod buffers;
mod encap;
mod exchange;
mod explain;
mod list;
mod load;
mod message;
mod own;
mod record;
mod settings;
mod share;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use dperf_core::plan::{
    AddressList, CorePlan, Encap, Keepalive, Messages, PacePlan, Payload, PortRange, Role,
    Transport,
};
use dperf_core::steer::Steering;
use dperf_core::time::TickRate;

use crate::config::{self, Complaint, Config, ConfigError, Note, Port, Protocol};
use crate::port::{Delivery, Facts, KernelSees};

pub use explain::explain;
pub use list::OwnedList;
pub use message::Message;
pub use record::PlanRecord;

/// Bytes of an Ethernet header.
const ETHERNET_BYTES: u16 = 14;
/// Bytes of a TCP header without options.
const TCP_BYTES: u16 = 20;
/// Bytes of a UDP header.
const UDP_BYTES: u16 = 8;
/// Connections one worker can number: ids are 32 bits, and 0 is none.
const MAX_SLOTS: u64 = u32::MAX as u64 - 1;

/// What everybody is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In the order of the configuration's cores.
    pub workers: Vec<Worker>,
    /// What we send: one message for all workers, or one for each.
    pub messages: Vec<Message>,
    /// Memory for the frames of each port in bytes, its way to the kernel included.
    pub buffer_bytes: Vec<u64>,
    /// No port was opened: facts are assumed.
    pub assumed: bool,
    /// What planning found worth saying.
    pub notes: Vec<Note>,
}

/// What one worker is to do.
#[derive(Clone, Debug)]
pub struct Worker {
    /// A name for its thread.
    pub name: String,
    /// Its core.
    pub cpu: u16,
    /// The index of its port.
    pub port: usize,
    /// Its queue of that port.
    pub queue: usize,
    /// Client addresses.
    pub clients: OwnedList,
    /// Server addresses.
    pub servers: OwnedList,
    /// What all workers of the port answer for, if this one has only a part.
    pub port_addresses: OwnedList,
    /// How it shares its port's tuples with the others.
    pub split: Split,
    /// Different connections it may have.
    pub tuples: u64,
    /// Where its packets go, if not there.
    pub destinations: Vec<IpAddr>,
    /// Our ends of the port's tunnel.
    pub ends: OwnedList,
    /// Everything else; its address lists and payload are empty until they are lent.
    pub core: CorePlan<'static>,
}

/// A worker's plan for as long as the process lives.
#[derive(Clone, Debug)]
pub struct WorkerPlan {
    /// A name for its thread.
    pub name: String,
    /// Its core.
    pub cpu: u16,
    /// The index of its port.
    pub port: usize,
    /// Its queue of that port.
    pub queue: usize,
    /// What the core is to do.
    pub core: CorePlan<'static>,
    /// Connections it must be able to hold.
    pub slots: u64,
}

/// How the workers of a port divide its tuples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Split {
    /// There is one worker.
    Whole,
    /// Worker q has the q-th server address.
    ByServer,
    /// A client's worker q has the q-th part of the client ports; a server's worker has all, since
    /// what queue q of the client sends arrives on queue q.
    ByClientPort,
    /// A client's worker has those whose answers the port hashes to its queue; a server's has all,
    /// since the port, by whatever rule, brings the packets of a flow to one queue.
    ByHash,
}

impl Plan {
    /// The plan for ports that turned out to be as `facts` say, one for each port.
    ///
    /// # Errors
    /// The configuration does not fit the ports, or one worker has too few or too many tuples.
    pub fn new(config: &Config, facts: &[Facts], rate: TickRate) -> Result<Plan, ConfigError> {
        if facts.len() != config.ports.len() {
            let why = format!("{} of {} ports are open", facts.len(), config.ports.len());
            return Err(config.refuse("port", why, ""));
        }
        let messages = message::build(config)?;
        let shares = share::Shares::new(config);
        let mut workers = Vec::with_capacity(config.cpus.len());
        for (index, cpu) in config.cpus.iter().enumerate() {
            let port = index / config.queues();
            let split = split(config, &facts[port], port)?;
            let queue = index % config.queues();
            let draft = Draft { config, facts: &facts[port], port, queue, split };
            let message = &messages[index.min(messages.len() - 1)];
            let mut core = draft.core(message, rate)?;
            core.pace = shares.pace(config, index);
            core.seed = share::scramble(config.seed, index as u64);
            let worker = draft.worker(*cpu, core, destinations(config, index));
            enough_tuples(config, &worker)?;
            workers.push(worker);
        }
        let notes = shares.notes(config);
        let of_port = |facts: &Facts| facts.buffer_bytes + buffers::to_kernel(config, facts);
        let buffer_bytes = facts.iter().map(of_port).collect();
        Ok(Plan { workers, messages, buffer_bytes, assumed: false, notes })
    }

    /// The plan without opening a port: facts are assumed.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn assumed(config: &Config) -> Result<Plan, ConfigError> {
        let ports = 0..config.ports.len();
        let facts: Vec<Facts> = ports.map(|port| Facts::assumed(config, port)).collect();
        let plan = Plan::new(config, &facts, TickRate::NANOSECONDS)?;
        Ok(Plan { assumed: true, ..plan })
    }

    /// Lends the lists and the messages for ever, and hands out one plan per worker.
    pub fn lend(self) -> Vec<WorkerPlan> {
        let lend = |Message { head, total_bytes }| Payload { head: Vec::leak(head), total_bytes };
        let payloads: Vec<_> = self.messages.into_iter().map(lend).collect();
        let lend = |(index, worker): (usize, Worker)| WorkerPlan {
            slots: worker.slots(),
            core: CorePlan {
                clients: worker.clients.lend(),
                servers: worker.servers.lend(),
                port_addresses: worker.port_addresses.lend(),
                destinations: Vec::leak(worker.destinations),
                payload: payloads[index.min(payloads.len() - 1)],
                encap: encap::lend(worker.core.encap, worker.ends),
                ..worker.core
            },
            name: worker.name,
            cpu: worker.cpu,
            port: worker.port,
            queue: worker.queue,
        };
        self.workers.into_iter().enumerate().map(lend).collect()
    }
}

impl Worker {
    /// Connections that it must have a slot for.
    pub fn slots(&self) -> u64 {
        if self.core.keeps_connections() { self.all_tuples() } else { 0 }
    }

    /// Tuples of its addresses and ports, be they its own or other workers'.
    fn all_tuples(&self) -> u64 {
        let ports = u64::from(self.core.client_ports.count) * u64::from(self.core.listen.count);
        let addresses = u64::from(self.clients.count()) * u64::from(self.servers.count());
        ports.saturating_mul(addresses)
    }
}

/// One worker while it is being planned.
struct Draft<'c> {
    config: &'c Config,
    facts: &'c Facts,
    port: usize,
    queue: usize,
    split: Split,
}

impl Draft<'_> {
    fn configured(&self) -> &Port {
        &self.config.ports[self.port]
    }

    fn refuse_port(&self, why: String, hint: &str) -> ConfigError {
        ConfigError::new(&self.configured().place, "port", Complaint::new(why, hint))
    }

    fn worker(&self, cpu: u16, core: CorePlan<'static>, destinations: Vec<IpAddr>) -> Worker {
        let config = self.config;
        let clients = match config.role {
            Role::Client => config.clients[self.port].list.clone(),
            Role::Server => config.clients.iter().flat_map(|line| line.list.clone()).collect(),
        };
        let all = &config.servers[self.port].list;
        let (servers, port_addresses) = match self.split {
            Split::ByServer if config.role == Role::Server => (vec![all[self.queue]], all.clone()),
            Split::ByServer => (vec![all[self.queue]], Vec::new()),
            Split::Whole | Split::ByClientPort | Split::ByHash => (all.clone(), Vec::new()),
        };
        let role = config.role.name();
        let mut worker = Worker {
            name: format!("{role}-{}.{}", self.port, self.queue),
            cpu,
            port: self.port,
            queue: self.queue,
            ends: OwnedList::new(encap::own_ends(config, self.port)),
            core: CorePlan { encap: self.encap(&clients, &servers), ..core },
            clients: OwnedList::new(clients),
            servers: OwnedList::new(servers),
            port_addresses: OwnedList::new(port_addresses),
            destinations,
            split: self.split,
            tuples: 0,
        };
        worker.tuples = match worker.core.steering {
            Steering::Whole => worker.all_tuples(),
            Steering::Hashed { rss, queue } => own::Tuples {
                clients: worker.clients.addresses(),
                servers: worker.servers.addresses(),
                client_ports: worker.core.client_ports,
                listen: worker.core.listen,
            }
            .of_queue(&rss, queue),
        };
        worker
    }

    fn core(&self, message: &Message, rate: TickRate) -> Result<CorePlan<'static>, ConfigError> {
        let config = self.config;
        let none = AddressList::new(&[], &[]);
        Ok(CorePlan {
            role: config.role,
            rate,
            mac: self.facts.mac,
            host: self.host(),
            gateway: self.configured().gateway,
            encap: Encap::None,
            announces: self.queue == 0,
            clients: none,
            servers: none,
            client_ports: self.client_ports()?,
            listen: config.listen,
            steering: self.steering(),
            neigh_ignore: config.neigh_ignore,
            tos: config.tos,
            mss: self.mss(message)?,
            send_window: config.send_window,
            transport: if config.is_udp() { Transport::Udp } else { Transport::Tcp },
            payload: Payload { head: &[], total_bytes: message.total_bytes },
            messages: messages(config),
            keepalive: keepalive(config),
            pace: PacePlan { cps: 0, cc: 0, launch: 0, slow_start_s: 0, wait_s: 0 },
            flood: config.flood,
            pipeline: config.pipeline.max(1),
            client_hop: config.client_hop,
            destinations: &[],
            port_addresses: none,
            retransmit_timeout_us: config.retransmit_timeout_s * 1_000_000,
            idle_timeout_us: idle_timeout_us(config),
            tcp_rst: config.tcp_rst,
            fast_close: config.fast_close,
            disable_ack: config.disable_ack,
            tx_burst: config.tx_burst,
            seed: 0,
        })
    }

    /// The address we are known by: the port's own, or, where that is the kernel's, one of the
    /// load's. (Behind tags the kernel has none.)
    fn host(&self) -> IpAddr {
        let of_load = self.config.outer_addresses(self.port).first();
        match self.facts.kernel_sees {
            KernelSees::Rest if self.config.vlan.is_none() => {
                of_load.copied().unwrap_or(self.configured().local)
            }
            _ => self.configured().local,
        }
    }

    /// Largest segment: as configured, or else the most that the device can send.
    fn mss(&self, message: &Message) -> Result<u16, ConfigError> {
        let config = self.config;
        let device = self.facts.frame_bytes;
        if config.given("jumbo").is_some() && device < config.mtu + ETHERNET_BYTES {
            let mtu = device.saturating_sub(ETHERNET_BYTES);
            let why = format!("{} sends packets of {mtu} bytes at most", self.configured().name);
            return Err(config.refuse("jumbo", why, "lower the MTU here or raise the device's"));
        }
        let headers = ETHERNET_BYTES + ip_bytes(config) + TCP_BYTES;
        let most = device.saturating_sub(config.taken_from_mtu() + headers);
        if config.given("mss").is_some() && config.mss > most {
            let why = format!("{} sends segments of {most} bytes at most", self.configured().name);
            return Err(config.refuse("mss", why, "lower it"));
        }
        let mss = config.mss.min(most);
        if mss == 0 {
            let why = format!("{} has no room for a segment", self.configured().name);
            return Err(self.refuse_port(why, "raise the device's MTU"));
        }
        let size = message.total_bytes;
        let most_of_datagram = u32::from(most + TCP_BYTES - UDP_BYTES);
        let (most, what) = match config.is_udp() {
            true => (most_of_datagram, "datagram"),
            false if config.role == Role::Client => (u32::from(mss), "segment"),
            false => (u32::MAX, ""),
        };
        if size > most {
            let role = if config.role == Role::Client { "request" } else { "response" };
            let why = format!("a {role} of {size} bytes does not fit one {what}, {most}");
            let keyword = if config.given("payload_file").is_some() {
                "payload_file"
            } else if config.given("payload_size").is_some() {
                "payload_size"
            } else {
                "mss"
            };
            return Err(config.refuse(keyword, why, format!("shorten the {role} or raise mss")));
        }
        Ok(mss)
    }

    /// Which tuples of its lists are a client's own.
    fn steering(&self) -> Steering<'static> {
        match (self.config.role, self.split, self.facts.delivery) {
            (Role::Client, Split::ByHash, Delivery::Hashed(rss)) => {
                Steering::Hashed { rss, queue: self.queue as u16 }
            }
            _ => Steering::Whole,
        }
    }

    fn client_ports(&self) -> Result<PortRange, ConfigError> {
        let config = self.config;
        let (all, queues) = (config.client_ports, config.queues());
        if config.role == Role::Server || self.split != Split::ByClientPort {
            return Ok(all);
        }
        if (all.count as usize) < queues {
            let why = format!("{} ports are too few for {queues} workers", all.count);
            return Err(config.refuse("client_port_range", why, "each worker needs one"));
        }
        let from = |queue: usize| share::before(queue as u64, u64::from(all.count), queues as u64);
        let (first, end) = (from(self.queue) as u32, from(self.queue + 1) as u32);
        Ok(PortRange { first: all.at(first), count: end - first })
    }
}

/// How the workers of `port` divide its tuples.
fn split(config: &Config, facts: &Facts, port: usize) -> Result<Split, ConfigError> {
    if config.queues() == 1 {
        return Ok(Split::Whole);
    }
    if config.flood {
        // It hears nothing: nothing need be brought to its workers.
        let each = config.has_server_each(port);
        return Ok(if each { Split::ByServer } else { Split::ByClientPort });
    }
    let (place, name) = (&config.ports[port].place, &config.ports[port].name);
    let refuse = |why: &str| {
        let complaint = Complaint::new(format!("{name} {why}"), "give it one core");
        Err(ConfigError::new(place, "port", complaint))
    };
    // Rules are about a tunnel's ends; a card sees through one tag, which is none of the MTU.
    let hidden = config.taken_from_mtu() > 0 && !name.looks_inside();
    let told_apart = match facts.delivery {
        Delivery::Hashed(_) | Delivery::Unknown => !hidden,
        Delivery::ByServer => !hidden || !config.vxlans.is_empty(),
        Delivery::Paired => true,
    };
    if !told_apart {
        return refuse("chooses queues by the outer headers, which do not tell flows apart");
    }
    match facts.delivery {
        Delivery::Paired | Delivery::ByServer if config.has_server_each(port) => {
            Ok(Split::ByServer)
        }
        Delivery::Paired => Ok(Split::ByClientPort),
        Delivery::Hashed(_) => Ok(Split::ByHash),
        Delivery::ByServer => refuse("has no server address for each worker"),
        // It answers where it is asked.
        Delivery::Unknown if config.role == Role::Server => Ok(Split::ByHash),
        Delivery::Unknown => refuse("does not say which of its queues a flow comes to"),
    }
}

/// What messages are: the plain text `a...a` has no form, everything else is HTTP. (An HTTP server
/// still takes what does not look like HTTP for a request, as dperf's does.)
fn messages(config: &Config) -> Messages {
    match (config.protocol, config.role, config.http_post) {
        (Protocol::Udp, ..) => Messages::Raw,
        (Protocol::Tcp, ..) if config.is_plain() => Messages::Raw,
        (_, Role::Client, true) => Messages::HttpPost,
        (_, _, _) => Messages::HttpGet,
    }
}

fn keepalive(config: &Config) -> Option<Keepalive> {
    let config::Keepalive { interval_us, requests } = config.keepalive?;
    Some(Keepalive { interval_us, requests })
}

/// Where the packets of the worker of that index go: the addresses are dealt in turn.
fn destinations(config: &Config, index: usize) -> Vec<IpAddr> {
    let all = config.change_dips.iter().flat_map(|dips| &dips.list);
    all.skip(index).step_by(config.cpus.len()).copied().collect()
}

/// Four retransmission time-outs and a keepalive interval: a client's patience with an answer, a
/// server's with a silent connection.
fn idle_timeout_us(config: &Config) -> u64 {
    let interval_us = config.keepalive.map_or(0, |keepalive| keepalive.interval_us);
    interval_us + 4_000_000 * u64::from(config.retransmit_timeout_s)
}

fn ip_bytes(config: &Config) -> u16 {
    if config.is_ipv6() { 40 } else { 20 }
}

/// A worker's tuples can be numbered, and last for its share of the load.
fn enough_tuples(config: &Config, worker: &Worker) -> Result<(), ConfigError> {
    let tuples = worker.all_tuples();
    if tuples > MAX_SLOTS {
        let why = format!("{} has {tuples} tuples, more than {MAX_SLOTS}", worker.name);
        let hint = "fewer client addresses, client ports or listen ports";
        return Err(config.refuse("listen", why, hint));
    }
    if config.role == Role::Server {
        return Ok(());
    }
    let hint = "more client addresses, client ports or listen ports; or less load";
    let tuples = worker.tuples;
    if worker.core.pace.cc > tuples {
        let why = format!("{} has {tuples} tuples for {} open", worker.name, worker.core.pace.cc);
        return Err(config.refuse("cc", why, hint));
    }
    // Of a flood that keeps nothing a tuple may come again at any time.
    let needed = match worker.core.keeps_connections() {
        true => worker.core.pace.cps.saturating_mul(u64::from(config.retransmit_timeout_s)),
        false => 1,
    };
    if needed > tuples {
        let why = format!(
            "{} has {tuples} tuples, but {} connections a second may take {needed}",
            worker.name, worker.core.pace.cps
        );
        return Err(config.refuse("cps", why, hint));
    }
    Ok(())
}
