//! Text to a configuration in which nothing is left to doubt: every word is read exactly, every
//! rule is checked, and whatever is refused is refused at its line.
//!
//! There are two formats: dperf's language, widened (`words` tells how text becomes words), and
//! TOML (`toml` turns it into the same words). `keyword` is the table of all keywords, `check`
//! holds what must be true across keywords.

mod arguments;
mod check;
mod convert;
mod error;
mod exception;
mod keyword;
mod lenient;
mod manual;
mod number;
mod port_name;
mod read;
mod schema;
mod together;
mod toml;
mod value;
mod words;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use dperf_core::http::REQUEST_BYTES;
use dperf_core::plan::{PortRange, Role, Vlan};
use dperf_core::wire::ethernet::{MacAddr, VLAN_BYTES};

pub use convert::convert;
pub use error::{Complaint, ConfigError, Note, Place};

pub use exception::{Exception, ExceptionKind};
pub use manual::{manual, markdown};
pub use port_name::{Memif, PortName, Xdp};
pub use schema::schema;
pub use together::together;

/// A named piece of configuration text, usually a file.
#[derive(Clone, Debug)]
pub struct Source {
    /// What errors call it.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A configuration that passed every check.
#[derive(Clone, Debug)]
pub struct Read {
    /// What to do.
    pub config: Config,
    /// Whatever is ignored, or means something else than in dperf.
    pub notes: Vec<Note>,
}

/// Reads `sources` in order as one configuration.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn read(sources: &[Source]) -> Result<Read, ConfigError> {
    complete(read::words(sources)?)
}

/// Reads a file of its own: one configuration, or one for each of its roles if it is TOML.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn read_roles(source: &Source) -> Result<Vec<Read>, ConfigError> {
    if !toml::is_toml(source) {
        return Ok(vec![read(std::slice::from_ref(source))?]);
    }
    let roles = toml::roles(source)?.into_iter();
    roles.map(|lines| complete(read::lines(source, lines)?)).collect()
}

/// A rate on the command line, as `cps` has it.
///
/// # Errors
/// What is wrong with it.
pub fn rate(text: &str) -> Result<u64, String> {
    number::scaled(text, &(1..=u64::MAX)).map_err(|complaint| complaint.why)
}

/// A time on the command line, as `duration` has it, in seconds.
///
/// # Errors
/// What is wrong with it.
pub fn duration_s(text: &str) -> Result<u32, String> {
    let seconds = number::seconds(text, &(1..=u64::from(u32::MAX)));
    seconds.map(|seconds| seconds as u32).map_err(|complaint| complaint.why)
}

/// Checks what was read across keywords.
fn complete((mut config, mut notes): (Config, Vec<Note>)) -> Result<Read, ConfigError> {
    match check::all(&mut config, &mut notes) {
        Ok(()) => Ok(Read { config, notes }),
        Err(error) => Err(error.after(notes)),
    }
}

/// A port: one network device and our address on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// The device.
    pub name: PortName,
    /// Our address.
    pub local: IpAddr,
    /// The next hop of everything sent.
    pub gateway: IpAddr,
    /// The gateway's MAC address, if it need not be asked for.
    pub gateway_mac: Option<MacAddr>,
    /// Where it is configured.
    pub place: Place,
}

/// One line of addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// The addresses in the order of the line.
    pub list: Vec<IpAddr>,
    /// Where they are configured.
    pub place: Place,
}

/// What connections carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// TCP; messages are not looked into more than needed.
    Tcp,
    /// UDP.
    Udp,
    /// HTTP/1.1 over TCP: every message is followed to its end.
    Http,
}

/// Requests on a connection that stays open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keepalive {
    /// From one request to the next, in microseconds.
    pub interval_us: u64,
    /// Requests on one connection; 0: no end.
    pub requests: u16,
}

/// A tunnel of one port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vxlan {
    /// The network identifier.
    pub vni: u32,
    /// MAC addresses of the inner frames: source, destination.
    pub inner: (MacAddr, MacAddr),
    /// The tunnel's ends here.
    pub local: Vec<IpAddr>,
    /// The tunnel's ends there.
    pub remote: Vec<IpAddr>,
    /// Where it is configured.
    pub place: Place,
}

/// Everything the configuration says, with defaults filled in. Lists are in the order of the file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which side we play.
    pub role: Role,
    /// One core per worker.
    pub cpus: Vec<u16>,
    /// The ports.
    pub ports: Vec<Port>,
    /// Client addresses: on a client one line per port, on a server any number of lines.
    pub clients: Vec<Addresses>,
    /// Server addresses: one line per port.
    pub servers: Vec<Addresses>,
    /// Server ports.
    pub listen: PortRange,
    /// Client ports.
    pub client_ports: PortRange,
    /// Seconds at full rate.
    pub duration_s: u32,
    /// Connections opened a second, by all workers.
    pub cps: u64,
    /// Connections open at once, by all workers; 0: no limit.
    pub cc: u64,
    /// Connections that stay open.
    pub keepalive: Option<Keepalive>,
    /// Connections opened at one instant; 0: chosen per worker.
    pub launch_num: u32,
    /// Seconds of the ramp.
    pub slow_start_s: u32,
    /// Seconds without traffic at its start.
    pub wait_s: u32,
    /// What connections carry.
    pub protocol: Protocol,
    /// Bytes of a message; several: one per worker; 0: the default message.
    pub payload_sizes: Vec<u32>,
    /// The message itself, from `payload_file`; empty if there is none.
    pub payload_file: Vec<u8>,
    /// Filler is random letters.
    pub payload_random: bool,
    /// Largest segment in bytes of TCP payload.
    pub mss: u16,
    /// Segments in flight.
    pub send_window: u16,
    /// Longest IP packet in bytes: 1500 or what `jumbo` says.
    pub mtu: u16,
    /// The Host header field.
    pub http_host: String,
    /// The request target.
    pub http_path: String,
    /// POST instead of GET.
    pub http_post: bool,
    /// Close with RST.
    pub fast_close: bool,
    /// An answer is acknowledged by the next request only.
    pub disable_ack: bool,
    /// Frames handed to a port at once, at most.
    pub tx_burst: u16,
    /// First retransmission time-out.
    pub retransmit_timeout_s: u32,
    /// Answer stray segments to our addresses with RST.
    pub tcp_rst: bool,
    /// Type of service or traffic class.
    pub tos: u8,
    /// The way to the kernel, if there is one.
    pub exception: Option<Exception>,
    /// What to run for each interface of that way once it is up (from the command line).
    pub exception_up: Option<String>,
    /// Workers of a port share its flows by their hash.
    pub rss: bool,
    /// The device passes on nothing but the load.
    pub flow_isolate: bool,
    /// Do not answer for the addresses of the load.
    pub neigh_ignore: bool,
    /// DPDK's memory per NUMA node, as DPDK reads it; empty: DPDK's default.
    pub socket_mem: String,
    /// DPDK may use 512-bit vectors.
    pub simd512: bool,
    /// DPDK's log level: 4 error, 5 warning, 7 info, 8 debug.
    pub dpdk_log_level: u8,
    /// Further arguments of DPDK's EAL.
    pub eal: Vec<String>,
    /// No output each second.
    pub quiet: bool,
    /// Clear the screen before each output.
    pub clear_screen: bool,
    /// A line for each worker and port in each output.
    pub per_worker: bool,
    /// In the background, with its output in a log file.
    pub daemon: bool,
    /// Start of everything random.
    pub seed: u64,
    /// Nothing that comes is looked at.
    pub flood: bool,
    /// Datagrams per instant; 0: one.
    pub pipeline: u8,
    /// Client address and port change with every connection.
    pub client_hop: bool,
    /// VLAN tags of every frame.
    pub vlan: Option<Vlan>,
    /// Tunnels: none, or one for each port.
    pub vxlans: Vec<Vxlan>,
    /// Where the packets of a flood go, one after the other.
    pub change_dips: Vec<Addresses>,
    /// The file that `payload_file` names.
    payload_path: String,
    /// What older dperf versions say behind `rss`.
    rss_words: Vec<String>,
    /// What is odd about the words of the line that is being read.
    remarks: Vec<Note>,
    /// Which keywords were given, and where first.
    given: Vec<(&'static str, Place)>,
    /// The end of the last source: where something missing is reported.
    end: Place,
}

impl Config {
    /// Messages are datagrams.
    pub fn is_udp(&self) -> bool {
        self.protocol == Protocol::Udp
    }

    /// Messages are filler without a form.
    pub fn is_plain(&self) -> bool {
        let is_short = |size: &u32| (1..REQUEST_BYTES as u32).contains(size);
        let is_written = !self.payload_file.is_empty();
        self.is_udp() || is_written || self.payload_sizes.iter().all(is_short)
    }

    /// Where `keyword` was given first.
    pub fn given(&self, keyword: &str) -> Option<&Place> {
        self.given.iter().find(|(name, _)| *name == keyword).map(|(_, place)| place)
    }

    /// When full rate comes, in seconds from the start.
    pub fn ramp_s(&self) -> u32 {
        if self.role == Role::Client { self.slow_start_s } else { 0 }
    }

    /// When the load ends, in seconds from the start.
    pub fn end_s(&self) -> u64 {
        u64::from(self.ramp_s()) + u64::from(self.duration_s)
    }

    /// When as many connections have been opened as `cc` asks for, in seconds from the start.
    pub fn all_open_s(&self) -> Option<u64> {
        if self.role == Role::Server || self.cc == 0 {
            return None;
        }
        let (cps, ramp) = (self.cps, u64::from(self.slow_start_s));
        let mut opened: u64 = 0;
        for second in 0..ramp {
            let waiting = second < u64::from(self.wait_s);
            let rate =
                if waiting { 0 } else { second.saturating_mul((cps / ramp).max(1)).min(cps) };
            opened = opened.saturating_add(rate);
            if opened >= self.cc {
                return Some(second + 1);
            }
        }
        Some(ramp + (self.cc - opened).div_ceil(cps))
    }

    /// Workers of each port.
    pub fn queues(&self) -> usize {
        self.cpus.len() / self.ports.len().max(1)
    }

    /// The kernel is reached by DPDK beside this port: it asks for that (vhost-net), and its back
    /// end is not the kernel's own.
    pub fn reaches_kernel_by_dpdk(&self, port: &Port) -> bool {
        let is_vhost = |way: &Exception| way.kind == ExceptionKind::VhostNet;
        let is_kernels = matches!(port.name, PortName::AfPacket(_) | PortName::AfXdp(_));
        !is_kernels && self.exception.as_ref().is_some_and(is_vhost)
    }

    /// Each worker of the port of that index has a server address to itself, if the port can tell
    /// them apart.
    pub fn has_server_each(&self, port: usize) -> bool {
        let servers = self.servers.get(port).map_or(0, |line| line.list.len());
        !self.rss && servers == self.queues()
    }

    /// The addresses of our side of the load on the port of that index.
    pub fn own_addresses(&self, port: usize) -> &[IpAddr] {
        let lists = match self.role {
            Role::Client => &self.clients,
            Role::Server => &self.servers,
        };
        lists.get(port).map_or(&[], |line| &line.list)
    }

    /// The addresses of our side of the load that its frames have on the network of the port of
    /// that index: its own, or the ends of the tunnel that hides those.
    pub fn outer_addresses(&self, port: usize) -> &[IpAddr] {
        match self.vxlans.get(port) {
            None => self.own_addresses(port),
            Some(tunnel) => &tunnel.local,
        }
    }

    /// Some address of the load is an IPv6 address.
    pub fn is_ipv6(&self) -> bool {
        self.servers.iter().any(|servers| servers.list.iter().any(IpAddr::is_ipv6))
    }

    /// Bytes that every packet loses to what frames travel in: a tunnel, or two tags. A single tag
    /// comes on top of the MTU, as everywhere.
    pub fn taken_from_mtu(&self) -> u16 {
        const VXLAN_BYTES: u16 = 50;
        match (&self.vlan, self.vxlans.is_empty()) {
            (_, false) => VXLAN_BYTES,
            (Some(Vlan { service: Some(_), .. }), true) => 2 * VLAN_BYTES as u16,
            _ => 0,
        }
    }

    /// Bytes that are added to every frame.
    pub fn added_to_frames(&self) -> u16 {
        let single_tag = self.vlan.is_some_and(|vlan| vlan.service.is_none());
        if single_tag { VLAN_BYTES as u16 } else { self.taken_from_mtu() }
    }

    /// The refusal of `keyword`, at its line if it was given and else at the end.
    pub fn refuse(
        &self,
        keyword: &'static str,
        why: impl Into<String>,
        hint: impl Into<String>,
    ) -> ConfigError {
        let place = self.given(keyword).unwrap_or(&self.end);
        ConfigError::new(place, keyword, Complaint::new(why, hint))
    }

    /// What is true before the first word is read.
    fn new(end: Place) -> Config {
        Config {
            role: Role::Client,
            cpus: Vec::new(),
            ports: Vec::new(),
            clients: Vec::new(),
            servers: Vec::new(),
            listen: PortRange { first: 80, count: 1 },
            client_ports: PortRange { first: 1, count: 65535 },
            duration_s: 60,
            cps: 0,
            cc: 0,
            keepalive: None,
            launch_num: 0,
            slow_start_s: 30,
            wait_s: 3,
            protocol: Protocol::Tcp,
            payload_sizes: vec![0],
            payload_file: Vec::new(),
            payload_random: false,
            mss: 0,
            send_window: 4,
            mtu: MTU,
            http_host: dperf_core::http::DEFAULT_HOST.to_owned(),
            http_path: dperf_core::http::DEFAULT_PATH.to_owned(),
            http_post: false,
            fast_close: false,
            disable_ack: false,
            tx_burst: MOST_TX_BURST,
            retransmit_timeout_s: 2,
            tcp_rst: true,
            tos: 0,
            exception: None,
            exception_up: None,
            rss: false,
            flow_isolate: false,
            neigh_ignore: false,
            socket_mem: String::new(),
            simd512: false,
            dpdk_log_level: 4,
            eal: Vec::new(),
            quiet: false,
            clear_screen: false,
            per_worker: false,
            daemon: false,
            seed: 1,
            flood: false,
            pipeline: 0,
            client_hop: false,
            vlan: None,
            vxlans: Vec::new(),
            change_dips: Vec::new(),
            payload_path: String::new(),
            rss_words: Vec::new(),
            remarks: Vec::new(),
            given: Vec::new(),
            end,
        }
    }
}

/// Bytes of the longest IP packet on plain Ethernet.
const MTU: u16 = 1500;
/// What one turn of a worker writes at most, in frames.
const MOST_TX_BURST: u16 = dperf_core::frame::TRAY_PLACES as u16;
