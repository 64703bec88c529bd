//! The plan in plain numbers: what `check` prints as JSON, and as text.

use std::collections::BTreeSet;

use dperf_core::conn::Slot;
use dperf_core::plan::Role;
use serde::{Serialize, Serializer};

use super::exchange::{FrameRecord, exchange};
use super::load::{LoadRecord, load};
use super::{OwnedList, Plan, Split, Worker, settings};
use crate::config::{Config, Note};

/// A plan in plain numbers.
#[derive(Clone, Debug, Serialize)]
pub struct PlanRecord {
    /// Always `plan`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `client` or `server`.
    pub role: &'static str,
    /// What is sent and how it is framed.
    pub message: MessageRecord,
    /// The ports.
    pub ports: Vec<PortRecord>,
    /// The workers.
    pub workers: Vec<WorkerRecord>,
    /// The frames of one connection.
    pub exchange: Vec<FrameRecord>,
    /// Different connections in all.
    pub tuples: u64,
    /// Bytes of address space for connections; but for the first of it touched as they open.
    pub memory_bytes: u64,
    /// Bytes for frames, set aside at the start.
    pub buffer_bytes: u64,
    /// When what happens.
    pub time: TimeRecord,
    /// A client's load once the ramp is over.
    pub load: Option<LoadRecord>,
    /// What every keyword comes to that is not told above.
    #[serde(serialize_with = "as_map")]
    pub settings: Vec<(&'static str, String)>,
    /// Those of them that were given.
    #[serde(skip)]
    pub given: Vec<(&'static str, String)>,
    /// Whether ports were opened for this plan.
    pub facts: &'static str,
    /// What is ignored, or different from dperf.
    pub notes: Vec<String>,
}

/// What is sent.
#[derive(Clone, Debug, Serialize)]
pub struct MessageRecord {
    /// `request`, `response` or `flood`.
    pub name: &'static str,
    /// `HTTP GET`, `HTTP POST`, `HTTP`, `UDP`, `SYN`, or `plain`: bytes without a form.
    pub form: &'static str,
    /// Its bytes, of the first worker if they differ.
    pub bytes: u32,
    /// Its bytes of each worker, if they differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bytes_per_worker: Vec<u32>,
}

/// A port.
#[derive(Clone, Debug, Serialize)]
pub struct PortRecord {
    /// The device.
    pub name: String,
    /// Its MAC address.
    pub mac: String,
    /// Our address.
    pub address: String,
    /// The next hop.
    pub gateway: String,
    /// Its MAC address, if it was given.
    pub gateway_mac: Option<String>,
    /// How its workers divide the tuples.
    pub split: &'static str,
    /// Bytes for its frames.
    pub buffer_bytes: u64,
    /// Its part of a client's load.
    pub load: Option<LoadRecord>,
    /// What its frames travel in, if they do not travel plain.
    pub encap: Option<String>,
}

/// A worker.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerRecord {
    /// Its name.
    pub name: String,
    /// Its core.
    pub cpu: u16,
    /// The index of its port.
    pub port: usize,
    /// Its queue.
    pub queue: usize,
    /// Client addresses.
    pub clients: String,
    /// Client ports: first and last.
    pub client_ports: (u16, u16),
    /// Server addresses.
    pub servers: String,
    /// Server ports: first and last.
    pub listen: (u16, u16),
    /// Where its packets go in turn, if not to the servers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destinations: String,
    /// Different connections.
    pub tuples: u64,
    /// Connections opened a second.
    pub cps: u64,
    /// Connections open at once; 0: no limit.
    pub cc: u64,
    /// Connections opened at one instant.
    pub launch: u32,
    /// Largest segment.
    pub mss: u16,
    /// Bytes of address space for its connections.
    pub memory_bytes: u64,
    /// Its part of a client's load.
    pub load: Option<LoadRecord>,
}

/// Seconds from the start.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TimeRecord {
    /// First traffic.
    pub first_traffic_s: u32,
    /// Full rate.
    pub full_rate_s: u32,
    /// All connections of `cc` open, at the earliest.
    pub all_open_s: Option<u64>,
    /// End of traffic.
    pub end_s: u64,
}

fn as_map<S: Serializer>(
    settings: &[(&'static str, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(settings.iter().map(|(name, value)| (name, value)))
}

impl PlanRecord {
    /// The numbers of `plan`, which was made from `config`; `notes` came with the configuration.
    pub fn new(config: &Config, plan: &Plan, notes: &[Note]) -> PlanRecord {
        let load = load(config, plan);
        let workers: Vec<WorkerRecord> =
            plan.workers.iter().map(|one| worker(config, one, load)).collect();
        let client = config.role == Role::Client;
        let ports: Vec<PortRecord> =
            (0..config.ports.len()).map(|index| port(config, plan, &workers, index)).collect();
        PlanRecord {
            kind: "plan",
            role: if client { "client" } else { "server" },
            message: message(config, plan),
            buffer_bytes: ports.iter().map(|port| port.buffer_bytes).sum(),
            ports,
            exchange: exchange(config, plan),
            tuples: tuples(config, plan),
            memory_bytes: workers.iter().map(|worker| worker.memory_bytes).sum(),
            workers,
            time: TimeRecord {
                first_traffic_s: if client { config.wait_s } else { 0 },
                full_rate_s: config.ramp_s(),
                all_open_s: config.all_open_s(),
                end_s: config.end_s(),
            },
            load,
            settings: settings::all(config),
            given: settings::given(config),
            facts: if plan.assumed { "assumed" } else { "opened" },
            notes: notes.iter().chain(&plan.notes).map(Note::to_string).collect(),
        }
    }
}

/// Different connections in all; workers that share tuples are counted once.
fn tuples(config: &Config, plan: &Plan) -> u64 {
    let shared = |worker: &Worker| {
        config.role == Role::Server
            && worker.queue > 0
            && matches!(worker.split, Split::ByClientPort | Split::ByHash)
    };
    plan.workers.iter().filter(|worker| !shared(worker)).map(|worker| worker.tuples).sum()
}

fn message(config: &Config, plan: &Plan) -> MessageRecord {
    let (name, http) = match (config.role, config.http_post) {
        (Role::Client, false) => ("request", "HTTP GET"),
        (Role::Client, true) => ("request", "HTTP POST"),
        (Role::Server, _) => ("response", "HTTP"),
    };
    let mut sizes: Vec<u32> = plan.messages.iter().map(|message| message.total_bytes).collect();
    let (name, form) = match (config.is_udp(), config.flood) {
        (false, true) => {
            sizes = vec![0];
            ("flood", "SYN")
        }
        (true, true) => ("flood", "UDP"),
        (true, false) => (name, "UDP"),
        (false, false) => (name, if config.is_plain() { "plain" } else { http }),
    };
    let bytes = sizes[0];
    if sizes.len() == 1 {
        sizes.clear();
    }
    MessageRecord { name, form, bytes, bytes_per_worker: sizes }
}

/// Bytes of address space for so many connections.
fn memory_bytes(slots: u64) -> u64 {
    slots * size_of::<Slot>() as u64
}

fn port(config: &Config, plan: &Plan, workers: &[WorkerRecord], index: usize) -> PortRecord {
    let port = &config.ports[index];
    let worker = plan.workers.iter().find(|worker| worker.port == index);
    PortRecord {
        name: port.name.to_string(),
        mac: worker.map_or(String::new(), |worker| worker.core.mac.to_string()),
        address: port.local.to_string(),
        gateway: port.gateway.to_string(),
        gateway_mac: port.gateway_mac.map(|mac| mac.to_string()),
        split: match worker.map_or(Split::Whole, |worker| worker.split) {
            Split::Whole => "one worker",
            Split::ByServer => "by server address",
            Split::ByClientPort => "by client port",
            Split::ByHash => "by hash",
        },
        buffer_bytes: plan.buffer_bytes[index],
        load: workers
            .iter()
            .filter(|worker| worker.port == index)
            .filter_map(|worker| worker.load)
            .reduce(LoadRecord::plus),
        encap: encap(config, index),
    }
}

/// What the frames of a port travel in.
fn encap(config: &Config, port: usize) -> Option<String> {
    let tunnel = config.vxlans.get(port).map(|tunnel| {
        let ends = |ends: &[std::net::IpAddr]| OwnedList::new(ends.to_vec()).ranges();
        let (local, remote) = (ends(&tunnel.local), ends(&tunnel.remote));
        let (source, destination) = tunnel.inner;
        format!("VXLAN {} from {local} to {remote}, inside {source} to {destination}", tunnel.vni)
    });
    let tags = config.vlan.map(|vlan| match vlan.service {
        None => format!("VLAN {}", vlan.customer),
        Some(service) => format!("VLAN {} in service VLAN {service}", vlan.customer),
    });
    tunnel.or(tags)
}

fn worker(config: &Config, worker: &Worker, load: Option<LoadRecord>) -> WorkerRecord {
    let ends =
        |ports: dperf_core::plan::PortRange| (ports.first, ports.at(ports.count.saturating_sub(1)));
    WorkerRecord {
        name: worker.name.clone(),
        cpu: worker.cpu,
        port: worker.port,
        queue: worker.queue,
        clients: worker.clients.ranges(),
        client_ports: ends(worker.core.client_ports),
        servers: worker.servers.ranges(),
        listen: ends(worker.core.listen),
        destinations: OwnedList::new(worker.destinations.clone()).ranges(),
        tuples: worker.tuples,
        cps: worker.core.pace.cps,
        cc: worker.core.pace.cc,
        launch: worker.core.pace.launch,
        mss: worker.core.mss,
        memory_bytes: memory_bytes(worker.slots()),
        load: load.map(|load| load.part(share(config, worker))),
    }
}

/// A worker's share of the load.
fn share(config: &Config, worker: &Worker) -> f64 {
    let pace = &worker.core.pace;
    match config.cc {
        0 => pace.cps as f64 / config.cps.max(1) as f64,
        cc => pace.cc as f64 / cc as f64,
    }
}

/// Cores that have a worker, each once.
pub(super) fn distinct_cores(record: &PlanRecord) -> usize {
    record.workers.iter().map(|worker| worker.cpu).collect::<BTreeSet<_>>().len()
}
