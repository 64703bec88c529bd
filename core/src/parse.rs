//! One pass over a received frame: every length checked once, and at the end one word on what it
//! is.

#[cfg(test)]
mod tests;
mod udp;

use core::net::{Ipv4Addr, Ipv6Addr};

use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::conn::{Locator, SlotId, table::Space, table::Tuple};
use crate::frame::{Frame, RxChecksum};
use crate::http::Known;
use crate::plan::{AddressList, CorePlan, Role, Transport, number};
use crate::stats::Count;
use crate::tcp::Segment;
use crate::wire::Malformed;
use crate::wire::checksum::{is_valid, pseudo_ipv4, pseudo_ipv6, sum};
use crate::wire::ethernet::{ETHERNET_BYTES, EthernetHeader, MacAddr, ethertype};
use crate::wire::headers::{HEADERS_BYTES, Headers};
use crate::wire::icmp;
use crate::wire::icmpv6::{NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION};
use crate::wire::ipv4::{FRAGMENT_MASK, IPV4_BYTES, Ipv4, Ipv4Header, VERSION_IHL, protocol};
use crate::wire::ipv6::Ipv6;
use crate::wire::tcp::{TCP_BYTES, Tcp, TcpFlags, TcpOptions};

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// A segment of a tuple in the table.
    Tcp(SlotId, Segment),
    /// A segment to one of our addresses that no tuple fits.
    Stranger(Segment),
    /// An ARP packet, not looked into yet.
    Arp,
    /// A neighbour solicitation or advertisement, not looked into yet.
    Neighbor,
    /// ICMP or ICMPv6 to one of our addresses, not looked into yet.
    Icmp,
    /// Any other ICMPv6 to a group.
    Icmpv6,
    /// A datagram of a tuple in the table.
    Udp(SlotId),
    /// A datagram to one of our addresses that no tuple fits.
    UdpStranger,
    /// A protocol nobody here speaks.
    Other,
    /// Not for us, or not what it says it is.
    Drop(Count),
}

/// What the parser must know of the core it works for.
#[derive(Clone, Copy, Debug)]
pub struct Parser<'m> {
    mac: MacAddr,
    host: u128,
    /// Addresses of our side in this core's connections.
    own: AddressList<'m>,
    /// Those of all cores of the port.
    answered: AddressList<'m>,
    role: Role,
    ipv4: bool,
    transport: Transport,
    tos: u8,
    shape: Shape,
    locator: Locator,
}

/// What the usual frame's headers begin with, and which of these bits must be so.
#[derive(Clone, Copy, Debug)]
struct Shape {
    wanted: [u64; 3],
    mask: [u64; 3],
}

impl Shape {
    /// To `mac`, IPv4 without options, no fragment, this protocol.
    fn of(mac: MacAddr, transport: Transport) -> Shape {
        let transport = match transport {
            Transport::Tcp => protocol::TCP,
            Transport::Udp => protocol::UDP,
        };
        let (mut wanted, mut mask) = (Headers::new_zeroed(), Headers::new_zeroed());
        (wanted.ethernet.dst, mask.ethernet.dst) = (mac, MacAddr::BROADCAST);
        (wanted.ethernet.ethertype, mask.ethernet.ethertype) =
            (ethertype::IPV4.into(), u16::MAX.into());
        (wanted.ip.version_ihl, mask.ip.version_ihl) = (VERSION_IHL, u8::MAX);
        mask.ip.flags_fragment = FRAGMENT_MASK.into();
        (wanted.ip.protocol, mask.ip.protocol) = (transport, u8::MAX);
        Shape { wanted: Shape::words(wanted.as_bytes()), mask: Shape::words(mask.as_bytes()) }
    }

    /// The first 24 bytes of the headers.
    #[inline(always)]
    fn words(headers: &[u8]) -> [u64; 3] {
        let (words, _) = headers.as_chunks::<8>();
        core::array::from_fn(|at| words.get(at).map_or(0, |word| u64::from_ne_bytes(*word)))
    }

    #[inline(always)]
    fn fits(&self, headers: &[u8]) -> bool {
        let [a, b, c] = Shape::words(headers);
        let [x, y, z] = self.wanted;
        let [l, m, n] = self.mask;
        ((a ^ x) & l) | ((b ^ y) & m) | ((c ^ z) & n) == 0
    }
}

/// An IP packet whose lengths are checked.
struct Ip<'a> {
    source: u128,
    destination: u128,
    protocol: u8,
    tos: u8,
    payload: &'a [u8],
    /// Where the payload begins in the frame.
    payload_at: usize,
    /// What the pseudo-header adds to a checksum.
    pseudo_sum: u64,
}

impl<'m> Parser<'m> {
    /// A parser for `plan`.
    pub fn new(plan: &CorePlan<'m>) -> Parser<'m> {
        Parser {
            mac: plan.mac,
            host: number(plan.host),
            own: plan.own(),
            answered: plan.answered(),
            role: plan.role,
            ipv4: plan.host.is_ipv4(),
            transport: plan.transport,
            tos: plan.tos,
            shape: Shape::of(plan.mac, plan.transport),
            locator: Locator::new(plan),
        }
    }

    /// The address is one of ours: the port's own, or one of our side's.
    #[inline]
    fn is_own(&self, address: u128) -> bool {
        address == self.host || self.answered.find(address).is_some()
    }

    /// As [`Parser::is_own`], but none that only other cores of the port have connections with.
    #[inline]
    fn is_served(&self, address: u128) -> bool {
        address == self.host || self.own.find(address).is_some()
    }

    /// One station, which is not us, may send from this address and be answered (RFC 1122 3.2.1.3,
    /// RFC 4291 2.5 and 2.7).
    fn is_station(&self, source: u128) -> bool {
        let nobody = if self.ipv4 {
            let v4 = Ipv4Addr::from(source as u32);
            v4.is_multicast() || v4.is_broadcast() || v4.is_loopback() || v4.is_unspecified()
        } else {
            let v6 = Ipv6Addr::from_bits(source);
            v6.is_multicast() || v6.is_loopback() || v6.is_unspecified()
        };
        !nobody && !self.is_own(source)
    }

    /// An IP packet to the port's own address, as far as its headers can be read at all.
    pub fn is_to_host(&self, frame: &Frame) -> bool {
        destination(frame) == Some(self.host)
    }

    /// An IP packet to an address of the load's, as far as its headers can be read at all.
    pub fn is_to_load(&self, frame: &Frame) -> bool {
        destination(frame).is_some_and(|address| self.answered.find(address).is_some())
    }

    /// The usual frame, told with few branches: to us, IPv4 without options and TCP, whole,
    /// undamaged, of a known tuple. Everything else is left to [`Parser::parse`], which says why.
    /// Not to be asked where the load is UDP. `recall` tells whether what lies behind the headers
    /// is a message that is known.
    #[inline(always)]
    pub fn usual(
        &self,
        frame: &Frame,
        space: &Space<'m>,
        recall: impl FnOnce(&[u8]) -> Option<Known>,
    ) -> Option<(SlotId, Segment)> {
        let (headers, rest) = Headers::ref_from_prefix(frame.bytes()).ok()?;
        let Headers { ip, tcp, .. } = headers;
        if !self.shape.fits(headers.as_bytes()) {
            return None;
        }
        // Options and payload; what lies behind them is the link's padding.
        let behind_bytes =
            usize::from(ip.total_length.get()).checked_sub(IPV4_BYTES + TCP_BYTES)?;
        let behind = rest.get(..behind_bytes)?;
        // Of a message that is known the sum is known as well.
        let known = if behind.is_empty() { None } else { recall(behind) };
        let behind_sum = || match known {
            Some(known) => known.sum,
            None if behind.is_empty() => 0,
            None => sum(behind),
        };
        if !is_undamaged(frame, || headers.are_undamaged(behind_bytes, behind_sum())) {
            return None;
        }
        let id = self.locate(ip, (tcp.source_port.get(), tcp.destination_port.get()), space)?;
        let option_bytes = usize::from(tcp.claimed_bytes()).checked_sub(TCP_BYTES)?;
        let payload_bytes = behind_bytes.checked_sub(option_bytes)?;
        let mut segment = Segment {
            seq: tcp.sequence.get(),
            ack: tcp.acknowledgment.get(),
            window: tcp.window.get(),
            flags: tcp.flags(),
            payload_at: (HEADERS_BYTES + option_bytes) as u16,
            payload_bytes: payload_bytes as u16,
            mss: 0,
            wscale: None,
            known: known.filter(|_| option_bytes == 0).map_or(0, |known| known.number),
        };
        if segment.flags.contains(TcpFlags::SYN) && option_bytes > 0 {
            let options = TcpOptions::parse(behind.get(..option_bytes)?).ok()?;
            segment.mss = options.mss.unwrap_or(0);
            segment.wscale = options.window_scale;
        }
        Some((id, segment))
    }

    /// The slot of a usual frame with these ports, source and destination.
    #[inline(always)]
    fn locate(&self, ip: &Ipv4Header, ports: (u16, u16), space: &Space<'m>) -> Option<SlotId> {
        let from = (u32::from_be_bytes(ip.source), ports.0);
        let to = (u32::from_be_bytes(ip.destination), ports.1);
        match self.locator.find(from, to) {
            Some(id) => Some(id),
            None => self.find_in_runs(from, to, space),
        }
    }

    /// A type of service is configured, and packets that carry it are counted.
    #[inline(always)]
    pub fn counts_tos(&self) -> bool {
        self.tos != 0
    }

    /// A usual frame carries the configured type of service.
    #[cold]
    #[inline(never)]
    pub fn has_tos(&self, frame: &Frame) -> bool {
        frame.bytes().get(ETHERNET_BYTES + 1) == Some(&self.tos)
    }

    /// As [`Locator::find`], where the addresses of a side are not a single run. None is an IPv6
    /// plan's, whose lowest addresses are numbers that IPv4's are as well.
    #[inline(never)]
    fn find_in_runs(&self, from: (u32, u16), to: (u32, u16), space: &Space<'m>) -> Option<SlotId> {
        if !self.ipv4 {
            return None;
        }
        let (client, server) = if self.role == Role::Client { (to, from) } else { (from, to) };
        space.find(&Tuple {
            client: u128::from(client.0),
            server: u128::from(server.0),
            client_port: client.1,
            server_port: server.1,
        })
    }

    /// Says what any frame is, and whether it carries the configured type of service.
    #[inline(never)]
    pub fn parse(&self, frame: &Frame, space: &Space<'m>) -> (Parsed, bool) {
        let (ethernet, rest) = match EthernetHeader::split(frame.bytes()) {
            Ok(split) => split,
            Err(why) => return (Parsed::Drop(reason(why)), false),
        };
        let to_us = ethernet.dst == self.mac;
        if !to_us && !ethernet.dst.is_multicast() {
            return (Parsed::Drop(Count::DropForeignMac), false);
        }
        let unknown = frame.rx_checksum() == RxChecksum::Unknown;
        let ip = match ethernet.ethertype.get() {
            ethertype::IPV4 if self.ipv4 => ipv4(rest, unknown),
            ethertype::IPV6 if !self.ipv4 => ipv6(rest),
            ethertype::ARP if self.ipv4 => return (Parsed::Arp, false),
            _ => return (Parsed::Other, false),
        };
        let ip = match ip {
            Ok(ip) => ip,
            Err(why) => return (Parsed::Drop(reason(why)), false),
        };
        if frame.rx_checksum() == RxChecksum::Bad {
            return (Parsed::Drop(Count::DropChecksum), false);
        }
        let tos = self.tos != 0 && ip.tos == self.tos;
        let parsed = match ip.protocol {
            protocol::TCP if to_us => self.tcp(&ip, unknown, space),
            protocol::UDP if to_us => self.udp(&ip, unknown, space),
            protocol::ICMPV6 if !self.ipv4 => self.icmpv6(&ip, to_us),
            _ if !to_us || !self.is_own(ip.destination) => Parsed::Drop(Count::DropForeignAddress),
            protocol::ICMP if !self.is_station(ip.source) => Parsed::Drop(Count::DropValue),
            protocol::ICMP if self.ipv4 && !icmp::checksum_ok(ip.payload) => {
                Parsed::Drop(Count::DropChecksum)
            }
            protocol::ICMP if self.ipv4 => Parsed::Icmp,
            _ => Parsed::Other,
        };
        (parsed, tos)
    }

    fn icmpv6(&self, ip: &Ip<'_>, to_us: bool) -> Parsed {
        let is_ours = to_us && self.is_own(ip.destination);
        let is_group = ip.destination >> 120 == 0xff;
        match ip.payload.first() {
            Some(&(NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT)) => Parsed::Neighbor,
            _ if is_ours && !self.is_station(ip.source) => Parsed::Drop(Count::DropValue),
            _ if !is_ours && !is_group => Parsed::Drop(Count::DropForeignAddress),
            _ if !is_valid(ip.pseudo_sum + sum(ip.payload)) => Parsed::Drop(Count::DropChecksum),
            _ if is_ours => Parsed::Icmp,
            _ => Parsed::Icmpv6,
        }
    }

    #[inline]
    fn tcp(&self, ip: &Ip<'_>, verify: bool, space: &Space<'m>) -> Parsed {
        let tcp = match Tcp::parse(ip.payload) {
            Ok(tcp) => tcp,
            Err(why) => return Parsed::Drop(reason(why)),
        };
        if verify && !is_valid(ip.pseudo_sum + sum(ip.payload)) {
            return Parsed::Drop(Count::DropChecksum);
        }
        let ports = (tcp.header.source_port.get(), tcp.header.destination_port.get());
        let segment = match segment(&tcp, ip.payload_at) {
            Ok(segment) => segment,
            Err(why) => return Parsed::Drop(reason(why)),
        };
        match space.find(&self.tuple(ip, ports)) {
            Some(id) if self.transport == Transport::Tcp => Parsed::Tcp(id, segment),
            _ if !self.is_station(ip.source) => Parsed::Drop(Count::DropValue),
            _ if self.is_served(ip.destination) => Parsed::Stranger(segment),
            _ => Parsed::Drop(Count::DropForeignAddress),
        }
    }

    /// The tuple of a packet with these ports, source and destination.
    #[inline]
    fn tuple(&self, ip: &Ip<'_>, (source_port, destination_port): (u16, u16)) -> Tuple {
        match self.role {
            Role::Client => Tuple {
                client: ip.destination,
                server: ip.source,
                client_port: destination_port,
                server_port: source_port,
            },
            Role::Server => Tuple {
                client: ip.source,
                server: ip.destination,
                client_port: source_port,
                server_port: destination_port,
            },
        }
    }
}

/// Where an IP packet goes, as far as its headers can be read at all.
fn destination(frame: &Frame) -> Option<u128> {
    let (ethernet, ip) = EthernetHeader::split(frame.bytes()).ok()?;
    let octets = match ethernet.ethertype.get() {
        ethertype::IPV4 => ip.get(16..20),
        ethertype::IPV6 => ip.get(24..40),
        _ => None,
    };
    octets.map(|octets| octets.iter().fold(0, |high, low| high << 8 | u128::from(*low)))
}

/// The device says so, or `computed` does.
#[inline(always)]
fn is_undamaged(frame: &Frame, computed: impl FnOnce() -> bool) -> bool {
    match frame.rx_checksum() {
        RxChecksum::Good | RxChecksum::Left => true,
        RxChecksum::Bad => false,
        RxChecksum::Unknown => computed(),
    }
}

/// The values of a segment whose payload begins `at` bytes into the frame, headers included.
#[inline]
fn segment(tcp: &Tcp<'_>, at: usize) -> Result<Segment, Malformed> {
    let flags = tcp.flags();
    let options = if flags.contains(TcpFlags::SYN) && !tcp.options.is_empty() {
        TcpOptions::parse(tcp.options)?
    } else {
        TcpOptions::default()
    };
    Ok(Segment {
        seq: tcp.header.sequence.get(),
        ack: tcp.header.acknowledgment.get(),
        window: tcp.header.window.get(),
        flags,
        payload_at: (at + TCP_BYTES + tcp.options.len()) as u16,
        payload_bytes: tcp.payload.len() as u16,
        mss: options.mss.unwrap_or(0),
        wscale: options.window_scale,
        known: 0,
    })
}

#[inline]
fn ipv4(bytes: &[u8], verify: bool) -> Result<Ip<'_>, Malformed> {
    let ip = Ipv4::parse(bytes)?;
    if verify && !ip.checksum_ok() {
        return Err(Malformed::Checksum);
    }
    let (source, destination) = (ip.header.source, ip.header.destination);
    let payload_bytes = ip.payload.len() as u16;
    Ok(Ip {
        source: u128::from(u32::from_be_bytes(source)),
        destination: u128::from(u32::from_be_bytes(destination)),
        protocol: ip.header.protocol,
        tos: ip.header.tos,
        payload: ip.payload,
        payload_at: ETHERNET_BYTES + usize::from(ip.header_bytes),
        pseudo_sum: pseudo_ipv4(source, destination, ip.header.protocol, payload_bytes),
    })
}

#[inline]
fn ipv6(bytes: &[u8]) -> Result<Ip<'_>, Malformed> {
    let ip = Ipv6::parse(bytes)?;
    let (source, destination) = (&ip.header.source, &ip.header.destination);
    let payload_bytes = ip.payload.len() as u32;
    Ok(Ip {
        source: u128::from_be_bytes(*source),
        destination: u128::from_be_bytes(*destination),
        protocol: ip.protocol,
        tos: ip.header.traffic_class(),
        payload: ip.payload,
        payload_at: ETHERNET_BYTES + usize::from(ip.l4_offset),
        pseudo_sum: pseudo_ipv6(source, destination, ip.protocol, payload_bytes),
    })
}

/// The counter of a malformed packet.
pub(crate) fn reason(why: Malformed) -> Count {
    match why {
        Malformed::Truncated => Count::DropTruncated,
        Malformed::Version => Count::DropVersion,
        Malformed::HeaderLength => Count::DropHeaderLength,
        Malformed::TotalLength => Count::DropTotalLength,
        Malformed::Options => Count::DropOptions,
        Malformed::Fragment => Count::DropFragment,
        Malformed::ExtensionChain => Count::DropExtension,
        Malformed::Checksum => Count::DropChecksum,
        Malformed::HopLimit | Malformed::Value => Count::DropValue,
    }
}
