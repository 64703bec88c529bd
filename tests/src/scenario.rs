//! What a simulated run is made of: two sides, a load, a network, one seed. Every field is plain
//! data, so that a failing run is told in one line.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use dperf_core::http::{
    FILLER, Method, RequestSpec, ResponseSpec, write_request, write_response_header,
};
use dperf_core::plan::{
    AddressBlock, AddressList, CorePlan, Encap, Keepalive, Messages, PacePlan, Payload, PortRange,
    Role, Transport, Vlan, Vxlan, number,
};
use dperf_core::port::Offloads;
use dperf_core::steer::{Rss, Steering};
use dperf_core::time::TickRate;
use dperf_core::wire::ethernet::MacAddr;
use dperf_shell::port::rss;

use crate::conditions::Conditions;
use crate::random::Random;
use crate::slow_kernel::Ping;

/// One nanosecond is one tick.
pub const MICRO: u64 = 1_000;
/// A millisecond in nanoseconds.
pub const MILLI: u64 = 1_000_000;
/// A second in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;

/// What both sides do.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// All that is random comes from here.
    pub seed: u64,
    /// The network.
    pub network: Conditions,
    /// Pairs of a client and a server.
    pub pairs: usize,
    /// Cores of a client and of a server, each with a queue that the port chooses by a hash.
    pub cores: [u16; 2],
    /// Behind each worker is a kernel, slow and pinging; over IPv4 outside of tunnels.
    pub kernel: bool,
    /// IPv6 instead of IPv4.
    pub ipv6: bool,
    /// What frames travel in.
    pub travel: Travel,
    /// Client addresses, server addresses, client ports and server ports of one pair.
    pub space: [u32; 4],
    /// Connections a second of each client.
    pub cps: u64,
    /// Limit on open connections; 0: none.
    pub cc: u64,
    /// Connections opened at one instant.
    pub launch: u32,
    /// How long connections are opened, in nanoseconds.
    pub duration: u64,
    /// What carries the messages.
    pub transport: Transport,
    /// The client looks at nothing that comes.
    pub flood: bool,
    /// Datagrams at one instant.
    pub pipeline: u8,
    /// Client address and port change with every connection.
    pub client_hop: bool,
    /// A flood goes to so many addresses, instead of the servers'.
    pub destinations: u32,
    /// What the messages are.
    pub messages: Messages,
    /// Size of one request in bytes; 0: the default.
    pub request_bytes: u32,
    /// Size of one response in bytes; 0: the default.
    pub response_bytes: u32,
    /// Largest segment of the client and of the server.
    pub mss: [u16; 2],
    /// Segments in flight at most.
    pub send_window: u16,
    /// Requests on kept connections: interval in microseconds and number (0: no end).
    pub keepalive: Option<(u64, u16)>,
    /// First retransmission time-out in microseconds.
    pub retransmit_us: u32,
    /// Time-out of an answer and of silence in microseconds.
    pub idle_us: u64,
    /// Strangers are answered with RST.
    pub tcp_rst: bool,
    /// The client leaves with RST.
    pub fast_close: bool,
    /// The client acknowledges answers by its next request only.
    pub disable_ack: bool,
    /// Frames that a worker hands to its port at once, at most.
    pub tx_burst: u16,
    /// The gateway is known from the start; else it is asked for.
    pub gateway_known: bool,
    /// Work the devices take over.
    pub offloads: Offloads,
    /// Buffers of each queue.
    pub buffers: usize,
    /// Frames the transmit ring takes at once.
    pub ring: usize,
    /// Time one round of turns takes, in nanoseconds.
    pub turn: u64,
}

/// What frames travel in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Travel {
    /// Nothing.
    Plain,
    /// A VLAN.
    Vlan,
    /// A VLAN in a service VLAN.
    Qinq,
    /// A tunnel over IPv4.
    Vxlan,
}

impl Travel {
    /// All of them.
    pub const ALL: [Travel; 4] = [Travel::Plain, Travel::Vlan, Travel::Qinq, Travel::Vxlan];
}

impl Scenario {
    /// Short HTTP connections over a good cable.
    #[must_use]
    pub fn short(seed: u64) -> Scenario {
        Scenario {
            seed,
            network: Conditions::CABLE,
            pairs: 1,
            cores: [1, 1],
            kernel: false,
            ipv6: false,
            travel: Travel::Plain,
            space: [2, 2, 5000, 1],
            cps: 100_000,
            cc: 0,
            launch: 1,
            duration: 20 * MILLI,
            transport: Transport::Tcp,
            flood: false,
            pipeline: 1,
            client_hop: false,
            destinations: 0,
            messages: Messages::HttpGet,
            request_bytes: 0,
            response_bytes: 0,
            mss: [1460, 1460],
            send_window: 16,
            keepalive: None,
            retransmit_us: 200_000,
            idle_us: 5_000_000,
            tcp_rst: true,
            fast_close: false,
            disable_ack: false,
            tx_burst: 64,
            gateway_known: true,
            offloads: Offloads::empty(),
            buffers: 512,
            ring: 64,
            turn: 500,
        }
    }

    /// Short exchanges of datagrams over a good cable.
    #[must_use]
    pub fn datagrams(seed: u64) -> Scenario {
        Scenario {
            transport: Transport::Udp,
            messages: Messages::Raw,
            request_bytes: 64,
            response_bytes: 200,
            ..Scenario::short(seed)
        }
    }

    /// Anything that can be asked for, drawn from the seed; the network stays a good cable.
    #[must_use]
    pub fn drawn(seed: u64) -> Scenario {
        let mut random = Random::new(seed ^ 0x5ce0_a510);
        let mut pick = |choices: &[u32]| random.pick(choices);
        let interval = pick(&[0, 100, 1_000, 15_000, 30_000, 300_000]);
        let scenario = Scenario {
            pairs: pick(&[1, 1, 2]) as usize,
            ipv6: pick(&[0, 1]) == 1,
            space: [pick(&[1, 2, 5]), pick(&[1, 2]), pick(&[50, 1000, 5000]), pick(&[1, 3])],
            cps: u64::from(pick(&[500, 5_000, 50_000])),
            cc: u64::from(pick(&[0, 10, 200])),
            launch: pick(&[1, 4]),
            messages: [Messages::HttpGet, Messages::HttpPost][pick(&[0, 0, 1]) as usize],
            request_bytes: pick(&[0, 0, 300, 1400]),
            response_bytes: pick(&[0, 0, 100, 1400, 5_000, 60_000]),
            mss: [pick(&[1440, 536]) as u16, pick(&[1440, 700]) as u16],
            send_window: pick(&[1, 2, 16, 255]) as u16,
            keepalive: (pick(&[0, 1]) == 1).then_some((interval.into(), pick(&[1, 3, 10]) as u16)),
            tcp_rst: pick(&[0, 1]) == 1,
            offloads: [Offloads::empty(), Offloads::all(), Offloads::RX_CHECKSUM]
                [pick(&[0, 1, 2]) as usize],
            buffers: 512,
            ring: pick(&[7, 32, 64]) as usize,
            turn: u64::from(pick(&[100, 500, 20_000])),
            travel: Travel::ALL[pick(&[0, 0, 0, 1, 2, 3]) as usize],
            cores: [pick(&[1, 1, 2, 3]) as u16, pick(&[1, 1, 2, 4]) as u16],
            kernel: pick(&[0, 0, 1]) == 1,
            ..Scenario::short(seed)
        };
        scenario.fitted()
    }

    /// Kept to what can be asked for, and to a load that a simulation bears.
    #[must_use]
    pub fn fitted(mut self) -> Scenario {
        if self.response_bytes > 10_000 {
            self.cps = self.cps.min(2_000);
        }
        if self.travel == Travel::Vxlan {
            self.mss = self.mss.map(|mss| mss.min(1390));
            // The outer headers do not tell flows apart.
            self.cores = [1, 1];
        }
        if self.flood {
            self.cores[0] = 1;
        }
        if self.cc > 0 {
            self.cc = self.cc.max(self.cores[0].into());
        }
        self.kernel &= !self.ipv6 && self.travel != Travel::Vxlan;
        let most = u32::from(self.mss[0].min(self.mss[1]));
        self.request_bytes = self.request_bytes.min(most);
        // Where messages have no form the first segment is the answer.
        if self.messages == Messages::Raw {
            self.response_bytes = self.response_bytes.min(most);
        }
        self
    }

    /// Nobody waits so long that he repeats himself without need: what comes is acknowledged within
    /// the time-out, and the devices take what is sent.
    #[must_use]
    pub fn is_prompt(&self) -> bool {
        /// The longest that an ACK waits for something to go with, on any side.
        const ACK_WAIT: u64 = 40 * MILLI;
        /// Far more than any load here sends.
        const FRAMES_PER_SECOND: u64 = 300_000;
        let round_trip = 2 * (self.network.delay + self.network.jitter + 2 * self.turn);
        let request_wait = match self.keepalive {
            Some((interval_us, _)) if self.disable_ack => interval_us * MICRO,
            _ => ACK_WAIT,
        };
        let frames_per_second = self.ring as u64 * SECOND / self.turn;
        2 * (round_trip + request_wait) < u64::from(self.retransmit_us) * MICRO
            && frames_per_second >= FRAMES_PER_SECOND
    }

    /// Tuples of one pair.
    #[must_use]
    pub fn tuples(&self) -> usize {
        self.space.iter().map(|n| *n as usize).product()
    }

    /// The bytes of one side's messages that are not filler, and their whole length.
    fn message(&self, role: Role) -> (Vec<u8>, u32) {
        let mut buffer = vec![0; 4096];
        if self.messages == Messages::Raw {
            let total = if role == Role::Client { self.request_bytes } else { self.response_bytes };
            let least = u32::from(self.transport == Transport::Tcp);
            return (Vec::new(), total.max(least));
        }
        if role == Role::Client {
            let post = self.messages == Messages::HttpPost;
            let method = if post { Method::Post } else { Method::Get };
            let payload_size = self.request_bytes as usize;
            let spec = RequestSpec { method, payload_size, ..RequestSpec::default() };
            let len = write_request(&mut buffer, &spec).expect("4 KiB are enough");
            buffer.truncate(len);
            return (buffer, len as u32);
        }
        let body_bytes = match self.response_bytes {
            0 => 14,
            total => u64::from(total.max(85) - 85),
        };
        let spec = ResponseSpec { body_bytes, close: self.keepalive.is_none() };
        let len = write_response_header(&mut buffer, &spec).expect("4 KiB are enough");
        buffer.truncate(len);
        (buffer, len as u32 + body_bytes as u32)
    }
}

/// The part of `total` that falls to `core` of `cores`; all parts together are `total`.
fn part(total: u64, core: u16, cores: u16) -> u64 {
    let (core, cores) = (u64::from(core), u64::from(cores));
    total / cores + u64::from(core < total % cores)
}

/// How a port with so many queues chooses among them; made once, since it lasts for ever.
#[must_use]
pub fn spread(ipv6: bool, queues: u16) -> Rss<'static> {
    static MADE: Mutex<BTreeMap<(bool, u16), Rss<'static>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    *made.entry((ipv6, queues)).or_insert_with(|| rss::even(ipv6, queues))
}

/// The memory one side's plan borrows from.
#[derive(Debug)]
pub struct Side {
    role: Role,
    pair: usize,
    clients: (Vec<AddressBlock>, Vec<IpAddr>),
    servers: (Vec<AddressBlock>, Vec<IpAddr>),
    destinations: Vec<IpAddr>,
    ends: (Vec<AddressBlock>, Vec<IpAddr>),
    head: Vec<u8>,
    total_bytes: u32,
}

/// The place of a port's own address in its net.
const HOST: u32 = 200;

/// The nets of a tunnel's ends: the client's, the server's.
const END_NETS: [u8; 2] = [5, 6];

fn address(ipv6: bool, net: u8, pair: usize, place: u32) -> IpAddr {
    let last = u16::try_from(place + 2).expect("a place in a net");
    if ipv6 {
        Ipv6Addr::new(0xfd00, net.into(), pair as u16, 0, 0, 0, 0, last).into()
    } else {
        let last = u8::try_from(last).expect("a place in a small net");
        Ipv4Addr::new(10, net, pair as u8, last).into()
    }
}

fn list(ipv6: bool, net: u8, pair: usize, count: u32) -> (Vec<AddressBlock>, Vec<IpAddr>) {
    let addresses: Vec<_> = (0..count).map(|place| address(ipv6, net, pair, place)).collect();
    (vec![AddressBlock { first: number(addresses[0]), count, base: 0 }], addresses)
}

/// The MAC address of one side of a pair.
#[must_use]
pub fn mac(role: Role, pair: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, if role == Role::Client { 1 } else { 2 }, pair as u8])
}

impl Side {
    /// One side of pair number `pair`.
    #[must_use]
    pub fn new(scenario: &Scenario, role: Role, pair: usize) -> Side {
        let (head, total_bytes) = scenario.message(role);
        Side {
            role,
            pair,
            clients: list(scenario.ipv6, 1, pair, scenario.space[0]),
            servers: list(scenario.ipv6, 2, pair, scenario.space[1]),
            destinations: (0..scenario.destinations)
                .map(|place| address(scenario.ipv6, 9, pair, place))
                .collect(),
            ends: list(false, END_NETS[usize::from(role == Role::Server)], pair, 1),
            head,
            total_bytes,
        }
    }

    /// The other side's MAC address.
    #[must_use]
    pub fn peer_mac(&self) -> MacAddr {
        mac(if self.role == Role::Client { Role::Server } else { Role::Client }, self.pair)
    }

    /// Cores of this side.
    #[must_use]
    pub fn cores(&self, scenario: &Scenario) -> u16 {
        scenario.cores[usize::from(self.role == Role::Server)]
    }

    /// How the kernel of this side pings the other, if there is one.
    #[must_use]
    pub fn ping(&self, scenario: &Scenario) -> Option<Ping> {
        let octets = |net| match address(false, net, self.pair, HOST) {
            IpAddr::V4(host) => host.octets(),
            IpAddr::V6(_) => unreachable!("an IPv4 address was asked for"),
        };
        let [ours, theirs] = if self.role == Role::Client { [3, 4] } else { [4, 3] };
        scenario.kernel.then(|| Ping {
            macs: [mac(self.role, self.pair).0, self.peer_mac().0],
            addresses: [octets(ours), octets(theirs)],
        })
    }

    /// What this side's only core is to do.
    #[must_use]
    pub fn plan(&self, scenario: &Scenario) -> CorePlan<'_> {
        self.plan_of(scenario, 0)
    }

    /// What one core of this side is to do.
    #[must_use]
    pub fn plan_of(&self, scenario: &Scenario, core: u16) -> CorePlan<'_> {
        let cores = self.cores(scenario);
        let client = self.role == Role::Client;
        let ipv6 = scenario.ipv6 && scenario.travel != Travel::Vxlan;
        let host = |net| address(ipv6, net, self.pair, HOST);
        CorePlan {
            role: self.role,
            rate: TickRate::NANOSECONDS,
            mac: mac(self.role, self.pair),
            host: host(if client { 3 } else { 4 }),
            gateway: host(if client { 4 } else { 3 }),
            encap: self.encap(scenario),
            announces: !scenario.gateway_known && core == 0,
            clients: AddressList::new(&self.clients.0, &self.clients.1),
            servers: AddressList::new(&self.servers.0, &self.servers.1),
            port_addresses: AddressList::new(&[], &[]),
            client_ports: PortRange { first: 1024, count: scenario.space[2] },
            listen: PortRange { first: 80, count: scenario.space[3] },
            steering: match client && cores > 1 {
                true => Steering::Hashed { rss: spread(ipv6, cores), queue: core },
                false => Steering::Whole,
            },
            neigh_ignore: false,
            tos: 0,
            mss: scenario.mss[usize::from(!client)],
            send_window: scenario.send_window,
            transport: scenario.transport,
            payload: Payload { head: &self.head, total_bytes: self.total_bytes },
            messages: scenario.messages,
            keepalive: scenario
                .keepalive
                .map(|(interval_us, requests)| Keepalive { interval_us, requests }),
            pace: PacePlan {
                cps: part(scenario.cps, core, cores),
                cc: part(scenario.cc, core, cores),
                launch: scenario.launch,
                slow_start_s: 0,
                wait_s: 0,
            },
            flood: scenario.flood,
            pipeline: scenario.pipeline,
            client_hop: scenario.client_hop,
            destinations: if client { &self.destinations } else { &[] },
            retransmit_timeout_us: scenario.retransmit_us,
            idle_timeout_us: scenario.idle_us,
            tcp_rst: scenario.tcp_rst,
            fast_close: scenario.fast_close,
            disable_ack: scenario.disable_ack,
            tx_burst: scenario.tx_burst,
            seed: scenario.seed ^ u64::from(core),
        }
    }

    /// What this side's frames travel in.
    fn encap(&self, scenario: &Scenario) -> Encap<'_> {
        let client = self.role == Role::Client;
        let end = |net| match address(false, net, self.pair, 0) {
            IpAddr::V4(end) => end,
            IpAddr::V6(_) => unreachable!("an IPv4 address was asked for"),
        };
        let [ours, theirs] = if client { END_NETS } else { [END_NETS[1], END_NETS[0]] };
        let inside = |client| MacAddr([2, 0, 0, 1, u8::from(client), self.pair as u8]);
        match scenario.travel {
            Travel::Plain => Encap::None,
            Travel::Vlan => Encap::Vlan(Vlan { service: None, customer: 100 }),
            Travel::Qinq => Encap::Vlan(Vlan { service: Some(200), customer: 100 }),
            Travel::Vxlan => Encap::Vxlan(Vxlan {
                vni: 0x0010_0200 + self.pair as u32,
                source: inside(client),
                destination: inside(!client),
                host: address(scenario.ipv6, if client { 1 } else { 2 }, self.pair, 0),
                local: end(ours),
                remote: end(theirs),
                ends: AddressList::new(&self.ends.0, &self.ends.1),
            }),
        }
    }

    /// One whole message of this side, as it shall cross the wire.
    #[must_use]
    pub fn whole_message(&self) -> Vec<u8> {
        let mut message = self.head.clone();
        message.resize(self.total_bytes as usize, FILLER);
        message
    }
}
