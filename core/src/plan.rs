//! What one core is to do: plain data, checked before it comes here, nothing optional that matters.
//!
//! A [`CorePlan`] is derived by whoever wires the core (the shell from a configuration file, a test
//! by hand). It borrows what is long (address lists, payloads) from memory that outlives the
//! worker.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::steer::Steering;
use crate::time::TickRate;
use crate::wire::ethernet::MacAddr;

/// Which side of a connection this core plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Opens connections and sends requests.
    Client,
    /// Accepts connections and answers.
    Server,
}

impl Role {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Server => "server",
        }
    }
}

/// A row of consecutive port numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// How many there are; `first + count` is at most 65536.
    pub count: u32,
}

impl PortRange {
    /// The place of `port` in the row.
    #[inline]
    pub fn find(self, port: u16) -> Option<u32> {
        // A port below the first wraps to a place behind the last: the row ends by 65536.
        let place = u32::from(port.wrapping_sub(self.first));
        (place < self.count).then_some(place)
    }

    /// The port at `place`.
    #[inline]
    pub fn at(self, place: u32) -> u16 {
        self.first.wrapping_add(place as u16)
    }
}

/// A run of consecutive addresses within a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressBlock {
    /// The lowest address, as a big number (IPv4 in the low 32 bits).
    pub first: u128,
    /// How many consecutive addresses follow, the first included.
    pub count: u32,
    /// The index of the lowest one in the list.
    pub base: u32,
}

/// Addresses of one family, found by arithmetic: index to address and address to index.
#[derive(Clone, Copy, Debug)]
pub struct AddressList<'m> {
    blocks: &'m [AddressBlock],
    addresses: &'m [IpAddr],
    /// Start and length of a list that is one run of IPv4 addresses; else the length is zero.
    run_ipv4: (u32, u32),
}

/// An address as the big number that [`AddressBlock`] counts in.
pub const fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits() as u128,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl<'m> AddressList<'m> {
    /// A list of `addresses` in walking order; `blocks` are the same addresses as runs, sorted by
    /// their first address and not overlapping, and at most 65536 in all.
    pub const fn new(blocks: &'m [AddressBlock], addresses: &'m [IpAddr]) -> AddressList<'m> {
        let run_ipv4 = match (blocks, addresses) {
            ([only], [IpAddr::V4(_), ..]) if only.base == 0 => (only.first as u32, only.count),
            _ => (0, 0),
        };
        AddressList { blocks, addresses, run_ipv4 }
    }

    /// How many addresses there are.
    #[inline]
    pub fn count(&self) -> u32 {
        self.addresses.len() as u32
    }

    /// First address and number of addresses of a list that is one run of IPv4 addresses; else that
    /// number is zero.
    #[inline]
    pub const fn run_ipv4(&self) -> (u32, u32) {
        self.run_ipv4
    }

    /// The address at `index`.
    #[inline]
    pub fn at(&self, index: u32) -> IpAddr {
        self.addresses.get(index as usize).copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    /// The octets of the IPv4 address at `index`.
    #[inline]
    pub fn octets_ipv4(&self, index: u32) -> [u8; 4] {
        let (first, count) = self.run_ipv4;
        if index < count {
            return (first.wrapping_add(index)).to_be_bytes();
        }
        match self.at(index) {
            IpAddr::V4(v4) => v4.octets(),
            IpAddr::V6(_) => [0; 4],
        }
    }

    /// The octets of the IPv6 address at `index`.
    #[inline]
    pub fn octets_ipv6(&self, index: u32) -> [u8; 16] {
        match self.at(index) {
            IpAddr::V6(v6) => v6.octets(),
            IpAddr::V4(_) => [0; 16],
        }
    }

    /// The index of `address`, a [`number`] of this list's family.
    #[inline]
    pub fn find(&self, address: u128) -> Option<u32> {
        let block = match self.blocks {
            [only] => only,
            many => {
                let after = many.partition_point(|block| block.first <= address);
                many.get(after.checked_sub(1)?)?
            }
        };
        let place = address.wrapping_sub(block.first);
        (address >= block.first && place < u128::from(block.count))
            .then(|| block.base + place as u32)
    }
}

/// One message as it is sent: `head`, then as much filler (`a`) as is missing from `total_bytes`.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'m> {
    /// The bytes that are not filler.
    pub head: &'m [u8],
    /// Length of the whole message in bytes, at least `head.len()`.
    pub total_bytes: u32,
}

/// What carries the messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// UDP: a message is one datagram.
    Udp,
}

/// What the messages are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Messages {
    /// HTTP/1.1 GET requests and their responses.
    HttpGet,
    /// HTTP/1.1 POST requests and their responses.
    HttpPost,
    /// Bytes without a form; the first data that arrives is the whole message.
    Raw,
}

/// Requests on a connection that stays open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keepalive {
    /// From one request to the next, in microseconds; 0: as soon as the answer is complete.
    pub interval_us: u64,
    /// Requests on one connection; 0: no end.
    pub requests: u16,
}

/// How many connections are opened when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacePlan {
    /// Connections opened a second by this core once the ramp is over.
    pub cps: u64,
    /// Connections that may be open at once; 0: no limit.
    pub cc: u64,
    /// Opened at one instant.
    pub launch: u32,
    /// Seconds of the ramp from 0 to `cps`.
    pub slow_start_s: u32,
    /// Seconds at the start of the ramp in which nothing is opened.
    pub wait_s: u32,
}

/// What every frame of the load travels in.
#[derive(Clone, Copy, Debug, Default)]
pub enum Encap<'m> {
    /// Nothing.
    #[default]
    None,
    /// VLAN tags.
    Vlan(Vlan),
    /// A tunnel.
    Vxlan(Vxlan<'m>),
}

impl Encap<'_> {
    /// There is a network outside of the load's.
    pub fn is_tunnel(&self) -> bool {
        matches!(self, Encap::Vxlan(_))
    }
}

/// The VLAN tags of every frame, with priority 0 (IEEE 802.1Q clause 9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vlan {
    /// The service VLAN around the other (QinQ), if there is one.
    pub service: Option<u16>,
    /// The customer VLAN.
    pub customer: u16,
}

/// One end of a VXLAN tunnel (RFC 7348). The port's own address and its gateway belong to the
/// network outside, all addresses of the load to the one inside.
#[derive(Clone, Copy, Debug)]
pub struct Vxlan<'m> {
    /// The network identifier, 24 bits.
    pub vni: u32,
    /// Our MAC address inside.
    pub source: MacAddr,
    /// The MAC address inside that everything is sent to.
    pub destination: MacAddr,
    /// Our own address inside: answers ping.
    pub host: IpAddr,
    /// This core's end of the tunnel.
    pub local: Ipv4Addr,
    /// The other end.
    pub remote: Ipv4Addr,
    /// The ends of all cores of the port: all answer ARP and ping.
    pub ends: AddressList<'m>,
}

/// Everything one core must know.
#[derive(Clone, Copy, Debug)]
pub struct CorePlan<'m> {
    /// Which side it plays.
    pub role: Role,
    /// The clock's speed.
    pub rate: TickRate,
    /// The port's MAC address.
    pub mac: MacAddr,
    /// The port's own address: answers ARP and ping.
    pub host: IpAddr,
    /// The next hop of everything sent.
    pub gateway: IpAddr,
    /// What every frame travels in.
    pub encap: Encap<'m>,
    /// This core resolves the gateway and announces the addresses (one core per port does).
    pub announces: bool,
    /// Client addresses of this core's connections, in walking order (slowest).
    pub clients: AddressList<'m>,
    /// Server addresses of this core's connections, in walking order (fastest).
    pub servers: AddressList<'m>,
    /// Addresses of our side that all cores of the port have together: each answers ARP and ping
    /// for all of them. Empty: this core has them all.
    pub port_addresses: AddressList<'m>,
    /// Client ports.
    pub client_ports: PortRange,
    /// Server ports.
    pub listen: PortRange,
    /// Which of these tuples are this core's own, if it is a client.
    pub steering: Steering<'m>,
    /// Addresses of the own side are neither announced nor answered for by ARP or ND.
    pub neigh_ignore: bool,
    /// Type of service (IPv4) or traffic class (IPv6).
    pub tos: u8,
    /// Largest segment we accept and send, in bytes of TCP payload.
    pub mss: u16,
    /// Segments in flight at most, towards one peer.
    pub send_window: u16,
    /// What carries the messages.
    pub transport: Transport,
    /// What we send: requests (client) or responses (server).
    pub payload: Payload<'m>,
    /// What the messages are.
    pub messages: Messages,
    /// Connections that stay open for several requests.
    pub keepalive: Option<Keepalive>,
    /// Pace of opening (client).
    pub pace: PacePlan,
    /// Client: sends and never looks at what comes back. TCP sends nothing but SYN.
    pub flood: bool,
    /// Client, UDP: datagrams sent at one instant, at least 1.
    pub pipeline: u8,
    /// Client: its address and port change with every connection.
    pub client_hop: bool,
    /// Client, flood: where packets go, one after the other; empty: to the server addresses.
    pub destinations: &'m [IpAddr],
    /// First retransmission time-out, in microseconds; it doubles with each retransmission.
    pub retransmit_timeout_us: u32,
    /// Time-out of an answer (client) or of a silent connection (server), in microseconds.
    pub idle_timeout_us: u64,
    /// Segments to our addresses without a connection are answered with RST.
    pub tcp_rst: bool,
    /// Client: closes with RST instead of FIN.
    pub fast_close: bool,
    /// Client: an answer's ACK waits for the next request, however far away that is.
    pub disable_ack: bool,
    /// Frames that a port is handed at once, at most.
    pub tx_burst: u16,
    /// Start of the pseudo-random sequence numbers; same seed, same packets.
    pub seed: u64,
}

impl<'m> CorePlan<'m> {
    /// The longest span that a connection measures, in microseconds.
    pub fn longest_wait_us(&self) -> u64 {
        // A retransmission time-out doubles three times.
        let retransmit_us = 8 * u64::from(self.retransmit_timeout_us);
        let interval_us = self.keepalive.map_or(0, |kept| kept.interval_us);
        retransmit_us.max(self.idle_timeout_us).max(interval_us)
    }

    /// The addresses that ARP and ping are answered for, besides the port's own.
    pub const fn answered(&self) -> AddressList<'m> {
        match self.port_addresses.addresses {
            [] => self.own(),
            _ => self.port_addresses,
        }
    }

    /// The addresses of our side in this core's connections.
    pub const fn own(&self) -> AddressList<'m> {
        match self.role {
            Role::Client => self.clients,
            Role::Server => self.servers,
        }
    }

    /// Connections this core can tell apart: its part of the tuple space.
    pub fn tuples(&self) -> u64 {
        u64::from(self.clients.count())
            * u64::from(self.client_ports.count)
            * u64::from(self.listen.count)
            * u64::from(self.servers.count())
    }

    /// Something is remembered of a connection: not of a flood's that is over with its first
    /// packet.
    #[inline]
    pub fn keeps_connections(&self) -> bool {
        !(self.flood && self.keepalive.is_none() && self.role == Role::Client)
    }

    /// Connections that must have a slot.
    pub fn slots(&self) -> u64 {
        if self.keeps_connections() { self.tuples() } else { 0 }
    }

    /// Whom the load's frames are sent to, if the gateway's MAC address is `gateway`.
    pub fn destination(&self, gateway: MacAddr) -> MacAddr {
        match self.encap {
            Encap::Vxlan(tunnel) => tunnel.destination,
            Encap::None | Encap::Vlan(_) => gateway,
        }
    }

    /// What is to be done inside of the tunnel, if there is one. There is no gateway there: none is
    /// asked for, and no packet can name an address of the other family.
    #[must_use]
    pub fn inside(self) -> CorePlan<'m> {
        let Encap::Vxlan(tunnel) = self.encap else { return self };
        let gateway = match tunnel.host {
            IpAddr::V4(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        CorePlan { mac: tunnel.source, host: tunnel.host, gateway, announces: false, ..self }
    }

    /// What is to be done outside of `tunnel`: to be a host with the tunnel's ends for addresses,
    /// and no load.
    #[must_use]
    pub fn outside(self, tunnel: &Vxlan<'m>) -> CorePlan<'m> {
        let none = PortRange { first: 1, count: 0 };
        CorePlan {
            clients: tunnel.ends,
            servers: tunnel.ends,
            port_addresses: AddressList::new(&[], &[]),
            client_ports: none,
            listen: none,
            neigh_ignore: false,
            tos: 0,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_by_arithmetic() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let addresses = [ip("10.0.2.7"), ip("10.0.2.1"), ip("10.0.2.2"), ip("10.0.2.3")];
        let blocks = [
            AddressBlock { first: number(ip("10.0.2.1")), count: 3, base: 1 },
            AddressBlock { first: number(ip("10.0.2.7")), count: 1, base: 0 },
        ];
        let list = AddressList::new(&blocks, &addresses);
        for (index, address) in addresses.iter().enumerate() {
            assert_eq!(list.find(number(*address)), Some(index as u32));
            assert_eq!(list.at(index as u32), *address);
        }
        for stranger in ["10.0.2.0", "10.0.2.4", "10.0.2.6", "10.0.2.8", "255.255.255.255"] {
            assert_eq!(list.find(number(ip(stranger))), None, "{stranger}");
        }
        assert_eq!(AddressList::new(&[], &[]).find(0), None);
    }

    #[test]
    fn a_port_range_ends_where_it_ends() {
        let all = PortRange { first: 1, count: 65535 };
        assert_eq!((all.find(0), all.find(1), all.find(65535)), (None, Some(0), Some(65534)));
        assert_eq!(all.at(65534), 65535);
        let one = PortRange { first: 80, count: 1 };
        assert_eq!((one.find(79), one.find(80), one.find(81)), (None, Some(0), None));
    }
}
