//! Opens the ports of every role: the one place that knows which back end a name stands for.

#[cfg(feature = "dpdk")]
mod rules;

#[cfg(feature = "dpdk")]
mod dpdk_ports;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

#[cfg(not(feature = "dpdk"))]
use anyhow::bail;
use anyhow::{Context, Result};
use dperf_core::plan::Role;
use dperf_core::wire::ethernet::VLAN_BYTES;

use crate::config::{Config, Memif, PortName, Xdp};
use crate::exception;
use crate::port::af_xdp::program::Traffic;
use crate::port::bpf::IpRange;
use crate::port::ifreq::addresses_of;
use crate::port::kernel_silence::{Silence, silence};
use crate::port::{Facts, KernelSees, Opened, af_xdp, link, memif, packet_socket, rss, undo};

/// How long a peer and then the link to it may take to come: it may be started by hand.
const PEER_WAIT: Duration = Duration::from_secs(60);

/// Opened ports, the roles in their order and each role's ports in theirs, and what must be kept
/// for as long as they are used.
pub struct Ports {
    /// One list per role.
    pub of_role: Vec<Vec<Opened>>,
    /// The ways to the kernel, in the order of the ports; a role may have none.
    pub exceptions: Vec<Vec<exception::Opened>>,
    /// There is a command to run for each of the kernel's interfaces, and no interface.
    idle_hook: bool,
    /// Keeps the kernel from answering for the addresses of the load.
    silences: Vec<Silence>,
    #[cfg(feature = "dpdk")]
    dpdk: Option<dpdk_ports::Running>,
}

impl Ports {
    /// Opens every port of every role.
    ///
    /// # Errors
    /// The first port that cannot be opened, in one sentence with the fix. What was opened before
    /// is closed again.
    pub fn open(roles: &[&Config], stopped: &dyn Fn() -> bool) -> Result<Ports> {
        let mut links = Links::join(roles);
        let mut listening = listening(roles, stopped)?;
        #[cfg(feature = "dpdk")]
        let dpdk = dpdk_ports::start(roles)?;
        let mut silences = Vec::new();
        let mut of_role: Vec<Vec<Opened>> = roles.iter().map(|_| Vec::new()).collect();
        for (config, opened) in servers_first(roles, &mut of_role) {
            for (index, port) in config.ports.iter().enumerate() {
                let device = match &port.name {
                    PortName::Link(name) => links.take_end(name)?,
                    PortName::AfPacket(interface) => {
                        let queues = config.queues() as u16;
                        packet_socket::open(interface, queues, flows(config))
                            .with_context(|| port.place.to_string())?
                    }
                    PortName::Memif(name) => match listening.remove(&port.place.to_string()) {
                        Some(end) => end,
                        None => shared_memory(config, name, stopped)
                            .with_context(|| port.place.to_string())?,
                    },
                    PortName::AfXdp(xdp) => {
                        xdp_sockets(config, index, xdp).with_context(|| port.place.to_string())?
                    }
                    #[cfg(feature = "dpdk")]
                    _ => dpdk_ports::open(config, index, stopped)
                        .with_context(|| port.place.to_string())?,
                    #[cfg(not(feature = "dpdk"))]
                    name => bail!(
                        "{}: port {name} needs DPDK, and this program was built without it: build \
                         with `cargo build --release --features dpdk`, or use af_packet:IFNAME",
                        port.place
                    ),
                };
                if let (KernelSees::Copy, PortName::AfPacket(interface)) =
                    (device.facts.kernel_sees, &port.name)
                {
                    silences.push(
                        silence(interface, &own_ranges(config, index))
                            .with_context(|| port.place.to_string())?,
                    );
                }
                opened.push(device);
            }
        }
        for (config, opened) in roles.iter().zip(&mut of_role) {
            for (port, device) in config.ports.iter().zip(opened) {
                if matches!(port.name, PortName::Memif(_)) {
                    device
                        .wait_for_link(&port.name.to_string(), PEER_WAIT, stopped)
                        .with_context(|| port.place.to_string())?;
                }
            }
        }
        #[cfg(feature = "dpdk")]
        dpdk_ports::wait_for_links(roles, &mut of_role, stopped)?;
        let both = roles.iter().zip(&of_role);
        let exceptions: Vec<Vec<exception::Opened>> =
            both.map(|(config, opened)| ways(config, opened, stopped)).collect::<Result<_>>()?;
        let has_hook = roles.iter().any(|config| config.exception_up.is_some());
        let has_interface = exceptions.iter().flatten().any(|way| !way.interfaces.is_empty());
        Ok(Ports {
            exceptions,
            idle_hook: has_hook && !has_interface,
            of_role,
            silences,
            #[cfg(feature = "dpdk")]
            dpdk,
        })
    }

    /// The facts of one role's ports.
    pub fn facts(&self, role: usize) -> Vec<Facts> {
        self.of_role[role].iter().map(|port| port.facts).collect()
    }

    /// What the user should know, one line each: what was opened otherwise than asked, and how to
    /// undo a silence if this process is killed.
    pub fn notes(&self) -> Vec<String> {
        let ports = self.of_role.iter().flatten().flat_map(|port| port.notes.iter().cloned());
        let ways = self.exceptions.iter().flatten().flat_map(|way| way.notes.iter().cloned());
        let hook = "--exception-up is not run: no file makes an interface of the kernel's \
                    (exception tap, tap-per-core or vhost-net)";
        ports
            .chain(ways)
            .chain(self.idle_hook.then(|| hook.to_owned()))
            .chain(self.silences.iter().filter_map(Silence::remedy).map(|remedy| undo(&remedy)))
            .collect()
    }

    /// A thread that does not end still uses DPDK: it is not stopped by [`Ports::close`] but goes
    /// with the process.
    pub fn leave_running(&mut self) {
        #[cfg(feature = "dpdk")]
        {
            self.dpdk = None;
        }
    }

    /// Ends what must end in order, after every queue was dropped.
    ///
    /// # Errors
    /// DPDK did not stop cleanly.
    pub fn close(self) -> Result<()> {
        drop(self.exceptions);
        drop(self.of_role);
        drop(self.silences);
        #[cfg(feature = "dpdk")]
        if let Some(running) = self.dpdk {
            running.stop()?;
        }
        Ok(())
    }
}

/// The ways to the kernel of a role's opened ports.
fn ways(
    config: &Config,
    opened: &[Opened],
    stopped: &dyn Fn() -> bool,
) -> Result<Vec<exception::Opened>> {
    let Some(wanted) = &config.exception else { return Ok(Vec::new()) };
    let mut ways = Vec::new();
    for (index, (port, device)) in config.ports.iter().zip(opened).enumerate() {
        let way = match device.facts.kernel_sees {
            KernelSees::Nothing => {
                exception::open(wanted, config.role, index, &device.facts, config.queues())
                    .with_context(|| wanted.place.to_string())?
            }
            KernelSees::Copy | KernelSees::Rest => exception::Opened::none(),
        };
        for name in &way.interfaces {
            let Some(command) = &config.exception_up else { continue };
            exception::bring_up(command, (config.role, port, &device.facts), name, stopped)?;
        }
        ways.push(way);
    }
    Ok(ways)
}

/// What tells the flows of a load apart.
fn flows(config: &Config) -> packet_socket::Flows {
    let hidden_bytes = match config.vxlans.is_empty() {
        true => config.added_to_frames().saturating_sub(VLAN_BYTES as u16),
        false => config.added_to_frames(),
    };
    packet_socket::Flows { ipv6: config.is_ipv6(), hidden_bytes }
}

/// Our ends of shared memory that listen, by the places of their ports: all of them are there
/// before any end connects, which may be in this process as well.
fn listening(roles: &[&Config], stopped: &dyn Fn() -> bool) -> Result<HashMap<String, Opened>> {
    let mut ends = HashMap::new();
    for config in roles {
        for port in &config.ports {
            let PortName::Memif(name) = &port.name else { continue };
            if name.listens(config.role) {
                let place = port.place.to_string();
                let end = shared_memory(config, name, stopped).with_context(|| place.clone())?;
                ends.insert(place, end);
            }
        }
    }
    Ok(ends)
}

/// Our end of a memif.
fn shared_memory(config: &Config, name: &Memif, stopped: &dyn Fn() -> bool) -> Result<Opened> {
    let interface = memif::Interface {
        socket: name.socket().into(),
        id: name.id,
        listens: name.listens(config.role),
    };
    let (queues, frame_bytes) = (config.queues() as u16, config.mtu + 14);
    memif::open(&interface, (queues, frame_bytes), PEER_WAIT, stopped)
}

/// XDP sockets for the load of a port.
fn xdp_sockets(config: &Config, port: usize, xdp: &Xdp) -> Result<Opened> {
    let interface = &xdp.interface;
    let own = ranges(config.outer_addresses(port).to_vec());
    // What it has on the interface itself it has not where frames are tagged.
    let (answered, kernels) = match config.vlan {
        None => (own.clone(), addresses_of(interface)),
        Some(_) => (own_ranges(config, port), Vec::new()),
    };
    let alone = |range: &IpRange| !kernels.iter().any(|address| holds(range, *address));
    let traffic = Traffic {
        role: config.role,
        vlan: config.vlan,
        vni: config.vxlans.get(port).map(|tunnel| tunnel.vni),
        ours_alone: answered.into_iter().filter(alone).collect(),
        own,
        listen: config.listen,
        client_ports: config.client_ports,
        udp: config.is_udp(),
    };
    let gateway_known = config.ports[port].gateway_mac.is_some();
    af_xdp::check_resolvable(interface, &traffic, gateway_known)?;
    af_xdp::open((interface, xdp.defer_us), config.queues() as u16, &traffic)
}

fn holds(range: &IpRange, address: IpAddr) -> bool {
    range.first.is_ipv4() == address.is_ipv4() && range.first <= address && address <= range.last
}

/// Each role with its list of ports, servers before clients: who is called must listen.
fn servers_first<'a>(
    roles: &[&'a Config],
    of_role: &'a mut [Vec<Opened>],
) -> Vec<(&'a Config, &'a mut Vec<Opened>)> {
    let mut pairs: Vec<_> = roles.iter().copied().zip(of_role).collect();
    pairs.sort_by_key(|(config, _)| config.role == Role::Client);
    pairs
}

/// The addresses for which we answer on a port's own network, as ranges: the port's and the load's.
fn own_ranges(config: &Config, port: usize) -> Vec<IpRange> {
    ranges([config.outer_addresses(port), &[config.ports[port].local]].concat())
}

/// Addresses as ranges.
fn ranges(mut own: Vec<IpAddr>) -> Vec<IpRange> {
    own.sort_unstable();
    let mut ranges: Vec<IpRange> = Vec::new();
    for address in own {
        match ranges.last_mut() {
            Some(range) if address == range.last || follows(range.last, address) => {
                range.last = address;
            }
            _ => ranges.push(IpRange { first: address, last: address }),
        }
    }
    ranges
}

fn follows(before: IpAddr, address: IpAddr) -> bool {
    use dperf_core::plan::number;
    before.is_ipv4() == address.is_ipv4() && number(before).checked_add(1) == Some(number(address))
}

/// In-process links: both ends are opened together, whoever is opened first gets the first end.
struct Links(HashMap<String, Vec<Opened>>);

impl Links {
    /// Both ends of every link; that there are two was checked (`config::together`).
    fn join(roles: &[&Config]) -> Links {
        let mut open: HashMap<&str, &Config> = HashMap::new();
        let mut links = HashMap::new();
        let ends = roles.iter().flat_map(|config| {
            config.ports.iter().filter_map(move |port| match &port.name {
                PortName::Link(name) => Some((name.as_str(), *config)),
                _ => None,
            })
        });
        for (name, there) in ends {
            if let Some(here) = open.insert(name, there) {
                let (first, second) = joined(here, there);
                links.insert(name.to_owned(), vec![second, first]);
            }
        }
        Links(links)
    }

    fn take_end(&mut self, name: &str) -> Result<Opened> {
        self.0
            .get_mut(name)
            .and_then(Vec::pop)
            .with_context(|| format!("link:{name} has no end left"))
    }
}

/// A link between two roles: queue by queue where that is enough, else by a hash.
fn joined(one: &Config, other: &Config) -> (Opened, Opened) {
    let frame_bytes = one.mtu.max(other.mtu) + 14;
    let [queues, other_queues] = [one, other].map(|config| config.queues() as u16);
    if queues == other_queues && (queues == 1 || !(one.rss || other.rss)) {
        return link::open(queues, frame_bytes, link::FRAMES);
    }
    let choices = [queues, other_queues].map(|queues| rss::even(one.is_ipv6(), queues));
    link::open_hashed(choices, frame_bytes, link::FRAMES)
}
