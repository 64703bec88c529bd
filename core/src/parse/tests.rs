//! The short way through the parser says what the long one says, or nothing.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::vec::Vec;

use super::*;
use crate::frame::testing::frame_of;
use crate::plan::{AddressBlock, PortRange};
use crate::tcp::tests::plan;
use crate::wire::checksum::{finish, pseudo_ipv4};
use crate::wire::headers::DatagramHeaders;
use crate::wire::udp::UDP_BYTES;

/// One segment from client to server with these options and this payload, and two bytes of padding.
fn segment(mac: MacAddr, flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut headers = Headers::new_zeroed();
    headers.ethernet.dst = mac;
    headers.ethernet.ethertype = ethertype::IPV4.into();
    let tcp_bytes = (TCP_BYTES + options.len() + payload.len()) as u16;
    headers.ip.version_ihl = VERSION_IHL;
    headers.ip.total_length = (IPV4_BYTES as u16 + tcp_bytes).into();
    headers.ip.flags_fragment = 0x4000.into();
    headers.ip.ttl = 64;
    headers.ip.protocol = protocol::TCP;
    headers.ip.source = [10, 0, 0, 2];
    headers.ip.destination = [10, 1, 0, 1];
    headers.ip.checksum = finish(sum(headers.ip.as_bytes())).into();
    headers.tcp.source_port = 1025.into();
    headers.tcp.destination_port = 80.into();
    headers.tcp.sequence = 0xfedc_ba98.into();
    headers.tcp.acknowledgment = 0x0123_4567.into();
    headers.tcp.offset_reserved = ((TCP_BYTES + options.len()) as u8 / 4) << 4;
    headers.tcp.flags = flags;
    headers.tcp.window = 58_400.into();
    let pseudo = pseudo_ipv4(headers.ip.source, headers.ip.destination, protocol::TCP, tcp_bytes);
    let parts = sum(headers.tcp.as_bytes()) + sum(options) + sum(payload);
    headers.tcp.checksum = finish(pseudo + parts).into();
    [headers.as_bytes(), options, payload, &[0x5a; 2]].concat()
}

/// One datagram from client to server with this payload, and two bytes of padding.
fn datagram(mac: MacAddr, payload: &[u8]) -> Vec<u8> {
    let mut headers = DatagramHeaders::new_zeroed();
    headers.ethernet.dst = mac;
    headers.ethernet.ethertype = ethertype::IPV4.into();
    let udp_bytes = (UDP_BYTES + payload.len()) as u16;
    headers.ip.version_ihl = VERSION_IHL;
    headers.ip.total_length = (IPV4_BYTES as u16 + udp_bytes).into();
    headers.ip.ttl = 64;
    headers.ip.protocol = protocol::UDP;
    headers.ip.source = [10, 0, 0, 2];
    headers.ip.destination = [10, 1, 0, 1];
    headers.ip.checksum = finish(sum(headers.ip.as_bytes())).into();
    headers.udp.source_port = 1025.into();
    headers.udp.destination_port = 80.into();
    headers.udp.length = udp_bytes.into();
    let pseudo = pseudo_ipv4(headers.ip.source, headers.ip.destination, protocol::UDP, udp_bytes);
    let parts = sum(headers.udp.as_bytes()) + sum(payload);
    headers.udp.checksum = finish(pseudo + parts).into();
    [headers.as_bytes(), payload, &[0x5a; 2]].concat()
}

/// Calls `check` with a server of two addresses on each side.
fn with_plan(transport: Transport, check: impl Fn(&CorePlan<'_>)) {
    let addresses = |net: u8| [1, 2].map(|host| IpAddr::from(Ipv4Addr::new(10, net, 0, host)));
    let (clients, servers) = (addresses(0), addresses(1));
    let block = |first: IpAddr| [AddressBlock { first: number(first), count: 2, base: 0 }];
    let (client_blocks, server_blocks) = (block(clients[0]), block(servers[0]));
    check(&CorePlan {
        clients: AddressList::new(&client_blocks, &clients),
        servers: AddressList::new(&server_blocks, &servers),
        client_ports: PortRange { first: 1024, count: 8 },
        listen: PortRange { first: 80, count: 1 },
        transport,
        ..plan(Role::Server)
    });
}

/// Whatever bit of `packet` is flipped and whatever the device says of it: if `short` says
/// something it is what the long way says. Of the packet itself, cut or not, it does if that is
/// whole.
fn agrees<'m>(
    plan: &CorePlan<'m>,
    packet: &[u8],
    short: impl Fn(&Parser<'m>, &Frame, &Space<'m>) -> Option<Parsed>,
) {
    let (parser, space) = (Parser::new(plan), Space::new(plan));
    for (at, bit) in (0..packet.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        for verdict in [RxChecksum::Unknown, RxChecksum::Good, RxChecksum::Bad] {
            let mut changed = packet.to_vec();
            changed[at] ^= 1 << bit;
            let mut frame = frame_of(&changed, 0);
            frame.set_rx_checksum(verdict);
            if let Some(parsed) = short(&parser, &frame, &space) {
                let (long, _) = parser.parse(&frame, &space);
                assert_eq!(long, parsed, "{verdict:?} {changed:x?}");
            }
        }
    }
    for len in 0..=packet.len() {
        let frame = frame_of(&packet[..len], 0);
        let whole = len >= packet.len() - 2;
        assert_eq!(short(&parser, &frame, &space).is_some(), whole, "{len} of {packet:x?}");
    }
}

/// Packets that are usual.
fn usual_packets(mac: MacAddr) -> [Vec<u8>; 5] {
    [
        segment(mac, 2, &[2, 4, 5, 0xb4, 1, 3, 3, 4], b""),
        segment(mac, 2, &[1, 1, 2, 4, 5, 0xb4, 3, 3, 30, 0, 0, 0], b""),
        segment(mac, 16, b"", b""),
        segment(mac, 24, b"", b"GET / HTTP/1.1\r\n\r\n"),
        segment(mac, 17, &[1, 1, 1, 1], b"odd"),
    ]
}

#[test]
fn a_segment_with_one_wrong_bit_is_dropped() {
    with_plan(Transport::Tcp, |plan| {
        let (parser, space) = (Parser::new(plan), Space::new(plan));
        for packet in usual_packets(plan.mac) {
            let inside = ETHERNET_BYTES..packet.len() - 2;
            for (at, bit) in inside.flat_map(|at| (0..8).map(move |bit| (at, bit))) {
                let mut changed = packet.clone();
                changed[at] ^= 1 << bit;
                let (parsed, _) = parser.parse(&frame_of(&changed, 0), &space);
                assert!(matches!(parsed, Parsed::Drop(_)), "{parsed:?} {changed:x?}");
            }
        }
    });
}

#[test]
fn the_short_way_says_what_the_long_one_says_or_nothing() {
    with_plan(Transport::Tcp, |plan| {
        for packet in usual_packets(plan.mac) {
            agrees(plan, &packet, |parser, frame, space| {
                parser.usual(frame, space, |_| None).map(|(id, segment)| Parsed::Tcp(id, segment))
            });
        }
    });
}

#[test]
fn the_short_way_of_datagrams_says_what_the_long_one_says_or_nothing() {
    with_plan(Transport::Udp, |plan| {
        for payload in [&b""[..], b"odd", b"eighteen bytes of 1"] {
            agrees(plan, &datagram(plan.mac, payload), |parser, frame, space| {
                parser.usual_datagram(frame, space).map(Parsed::Udp)
            });
        }
        // Without a checksum it is right, too, but not usual.
        let mut unsummed = datagram(plan.mac, b"x");
        unsummed[40..42].fill(0);
        let (parser, space) = (Parser::new(plan), Space::new(plan));
        assert_eq!(parser.usual_datagram(&frame_of(&unsummed, 0), &space), None);
        let (long, _) = parser.parse(&frame_of(&unsummed, 0), &space);
        assert!(matches!(long, Parsed::Udp(_)), "{long:?}");
    });
}

/// The lowest IPv6 addresses are numbers that IPv4 addresses are as well.
#[test]
fn an_ipv6_plan_knows_no_ipv4_packets() {
    for transport in [Transport::Tcp, Transport::Udp] {
        with_plan(transport, |v4| {
            let lists = [v4.clients, v4.servers].map(|list| {
                [0, 1].map(|at| IpAddr::from(Ipv6Addr::from_bits(number(list.at(at)))))
            });
            let block = |first: IpAddr| [AddressBlock { first: number(first), count: 2, base: 0 }];
            let blocks = [block(lists[0][0]), block(lists[1][0])];
            let v6 = CorePlan {
                host: lists[1][0],
                clients: AddressList::new(&blocks[0], &lists[0]),
                servers: AddressList::new(&blocks[1], &lists[1]),
                ..*v4
            };
            let packet = match transport {
                Transport::Tcp => segment(v4.mac, 16, b"", b""),
                Transport::Udp => datagram(v4.mac, b"odd"),
            };
            let frame = frame_of(&packet, 0);
            let told = |plan: &CorePlan<'_>| {
                let (parser, space) = (Parser::new(plan), Space::new(plan));
                let usual = match transport {
                    Transport::Tcp => parser.usual(&frame, &space, |_| None).is_some(),
                    Transport::Udp => parser.usual_datagram(&frame, &space).is_some(),
                };
                (usual, parser.parse(&frame, &space).0 == Parsed::Other)
            };
            assert_eq!((told(v4), told(&v6)), ((true, false), (false, true)));
        });
    }
}
