//! A polite neighbour over IPv4: it answers for its own addresses and those of its port's other
//! cores, believes the gateway alone, and says what a ping wants to hear. The frames are smoltcp's.

use std::net::{IpAddr, Ipv4Addr};

use dperf_core::exception::Closed;
use dperf_core::plan::{AddressBlock, AddressList, CorePlan, Role, number};
use dperf_core::stats::{Count, Snapshot};
use dperf_core::sync::Gateway;
use dperf_core::wire::ethernet::MacAddr;
use dperf_tests::alone;
use dperf_tests::ipv4::Way;
use dperf_tests::scenario::{SECOND, Scenario, Side, mac};
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetProtocol, Icmpv4Packet, IpProtocol,
    Ipv4Address, Ipv4Packet,
};

/// The server's own address, its only address of the load, one that another core of its port has,
/// its gateway's, and somebody else's.
const HOST: Ipv4Address = Ipv4Address::new(10, 4, 0, 202);
const LOAD: Ipv4Address = Ipv4Address::new(10, 2, 0, 2);
const BESIDE: Ipv4Address = Ipv4Address::new(10, 2, 0, 3);
const GATEWAY: Ipv4Address = Ipv4Address::new(10, 3, 0, 202);
const OTHER: Ipv4Address = Ipv4Address::new(10, 9, 9, 9);

fn us() -> EthernetAddress {
    EthernetAddress(mac(Role::Server, 0).0)
}

fn them() -> EthernetAddress {
    EthernetAddress([2, 0, 0, 0, 0, 1])
}

/// What one core of the server answers for: all that both of its port have.
fn of_both() -> AddressList<'static> {
    let block = AddressBlock { first: number(IpAddr::V4(LOAD)), count: 2, base: 0 };
    let addresses = [LOAD, BESIDE].map(|own| IpAddr::V4(Ipv4Addr::from(own.octets())));
    AddressList::new(Box::leak(Box::new([block])), Box::leak(Box::new(addresses)))
}

/// A server that shares its port hears `frames`; what it says.
fn says_as(
    frames: &[Vec<u8>],
    gateway: &Gateway,
    change: impl FnOnce(&mut CorePlan<'_>),
) -> (Snapshot, Vec<Vec<u8>>) {
    let scenario = Scenario { gateway_known: false, space: [1, 1, 1, 1], ..Scenario::short(1) };
    let side = Side::new(&scenario, Role::Server, 0);
    let mut plan = CorePlan { announces: false, port_addresses: of_both(), ..side.plan(&scenario) };
    change(&mut plan);
    let said = alone::hear(plan, gateway, frames);
    (said.counts, said.bytes())
}

fn says(frame: &[u8]) -> (Snapshot, Vec<Vec<u8>>) {
    says_as(&[frame.to_vec()], &Gateway::new(Some(MacAddr(them().0))), |_| ())
}

/// What a station says of itself, `sender`, and of `target`.
fn arp(
    operation: ArpOperation,
    (sender_mac, sender): (EthernetAddress, Ipv4Address),
    target: Ipv4Address,
) -> Vec<u8> {
    let said = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: sender_mac,
        source_protocol_addr: sender,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    let mut bytes = vec![0; said.buffer_len()];
    said.emit(&mut ArpPacket::new_unchecked(&mut bytes));
    let way = Way { macs: [them(), EthernetAddress::BROADCAST], addresses: [sender, target] };
    way.frame(EthernetProtocol::Arp, &bytes)
}

fn read(frame: &[u8]) -> ArpRepr {
    ArpRepr::parse(&ArpPacket::new_checked(&frame[14..]).expect("ARP")).expect("IPv4 and Ethernet")
}

#[test]
fn a_request_for_an_own_address_is_answered_by_any_core_of_the_port() {
    let ask = |target| arp(ArpOperation::Request, (them(), GATEWAY), target);
    for target in [HOST, LOAD, BESIDE] {
        let (counts, said) = says(&ask(target));
        let [answer] = &said[..] else { panic!("{} answers for {target}", said.len()) };
        assert_eq!(answer[..12], [them().0, us().0].concat());
        let expected = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: us(),
            source_protocol_addr: target,
            target_hardware_addr: them(),
            target_protocol_addr: GATEWAY,
        };
        assert_eq!((read(answer), counts.get(Count::ArpRx)), (expected, 1));
        let quiet = |plan: &mut CorePlan<'_>| plan.neigh_ignore = true;
        let (_, said) = says_as(&[ask(target)], &Gateway::new(None), quiet);
        assert_eq!(said.len(), usize::from(target == HOST), "{target}");
    }
    assert!(says(&ask(OTHER)).1.is_empty());
    for nowhere in [EthernetAddress([0; 6]), EthernetAddress([3; 6])] {
        assert!(says(&arp(ArpOperation::Request, (nowhere, GATEWAY), LOAD)).1.is_empty());
    }
    assert!(says(&arp(ArpOperation::Reply, (them(), GATEWAY), LOAD)).1.is_empty());
}

#[test]
fn only_the_gateways_own_word_is_taken_for_it() {
    use ArpOperation::{Reply, Request};
    let group = EthernetAddress([3; 6]);
    for (what, frame, learns) in [
        ("its answer", arp(Reply, (them(), GATEWAY), HOST), true),
        ("its question", arp(Request, (them(), GATEWAY), LOAD), true),
        ("its question for another core's", arp(Request, (them(), GATEWAY), BESIDE), true),
        ("its word to everybody", arp(Request, (them(), GATEWAY), GATEWAY), true),
        ("the same as an answer", arp(Reply, (them(), GATEWAY), GATEWAY), true),
        ("its question for another", arp(Request, (them(), GATEWAY), OTHER), false),
        ("its answer to another", arp(Reply, (them(), GATEWAY), OTHER), false),
        ("another's question", arp(Request, (them(), OTHER), HOST), false),
        ("another's answer", arp(Reply, (them(), OTHER), HOST), false),
        ("a group's address", arp(Reply, (group, GATEWAY), HOST), false),
        ("no address", arp(Reply, (EthernetAddress([0; 6]), GATEWAY), HOST), false),
    ] {
        for before in [None, Some(MacAddr([6; 6]))] {
            let gateway = Gateway::new(None);
            before.into_iter().for_each(|mac| gateway.store(mac));
            says_as(std::slice::from_ref(&frame), &gateway, |_| ());
            let after = if learns { Some(MacAddr(them().0)) } else { before };
            assert_eq!(gateway.load(), after, "{what}");
        }
    }
}

/// The first core introduces and announces the others' addresses as its own.
#[test]
fn one_core_speaks_for_all() {
    let scenario = Scenario { gateway_known: false, space: [1, 1, 1, 1], ..Scenario::short(1) };
    let side = Side::new(&scenario, Role::Server, 0);
    let plan = CorePlan { port_addresses: of_both(), ..side.plan(&scenario) };
    let times = (0..40_000).map(|milli| milli * SECOND / 1000);
    let said = alone::serve(plan, &Gateway::new(None), Closed, times, |_, _| ()).bytes();
    let told: Vec<_> = said
        .iter()
        .map(|frame| match read(frame) {
            ArpRepr::EthernetIpv4 { source_protocol_addr, target_protocol_addr, .. } => {
                (source_protocol_addr, target_protocol_addr)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    for own in [LOAD, BESIDE] {
        assert!(told.contains(&(own, GATEWAY)) && told.contains(&(own, own)), "{own}: {told:?}");
    }
}

/// An address that another core serves is pinged at any core, but its segments and datagrams are
/// that core's: they are neither answered nor reset.
#[test]
fn what_is_another_cores_is_left_to_it() {
    let to =
        |target| Way { macs: [them(), us()], addresses: [Ipv4Address::new(10, 1, 0, 2), target] };
    for (target, resets) in [(LOAD, 1), (BESIDE, 0)] {
        assert_eq!(says(&to(target).ping(0)).1.len(), 1, "{target}");
        let (counts, said) = says(&to(target).segment([2000, 22], "S", b""));
        assert_eq!((said.len(), counts.get(Count::RstTx)), (resets, resets as u64));
        assert_eq!(counts.get(Count::DropForeignAddress), 1 - resets as u64);
        let (counts, said) = says(&to(target).datagram([2000, 22], b"data"));
        assert_eq!((said.len(), counts.get(Count::UdpDrop)), (0, resets as u64));
    }
    // Nobody is answered who pretends to be us.
    let ourselves = Way { addresses: [BESIDE, LOAD], ..to(LOAD) };
    assert_eq!(says(&ourselves.ping(0)).0.get(Count::DropValue), 1);
}

/// Sums that end around, and the answer of nothing but zeros, whose sum no change of the old tells.
#[test]
fn a_ping_is_answered_with_a_right_sum() {
    let way = Way { macs: [them(), us()], addresses: [GATEWAY, LOAD] };
    for data in [&[0; 4][..], &[0; 9], &[0xff, 0xff, 0xf7, 0xff], &[0, 7, 0, 1, b'd', b'a']] {
        let mut bytes = [&[8, 0, 0, 0][..], data].concat();
        Icmpv4Packet::new_unchecked(&mut bytes[..]).fill_checksum();
        let (counts, said) = says(&way.packet(0, IpProtocol::Icmp, &bytes));
        let [answer] = &said[..] else { panic!("{} answers", said.len()) };
        let packet = Ipv4Packet::new_checked(&answer[14..]).expect("IPv4");
        assert!(packet.verify_checksum());
        assert_eq!((packet.src_addr(), packet.dst_addr()), (LOAD, GATEWAY));
        let icmp = Icmpv4Packet::new_checked(packet.payload()).expect("ICMP");
        assert!(icmp.verify_checksum(), "{data:x?}: {:x?}", packet.payload());
        assert_eq!((packet.payload()[0], &packet.payload()[4..]), (0, data));
        assert_eq!((counts.get(Count::IcmpRx), counts.get(Count::IcmpTx)), (1, 1));
    }
}

/// A datagram may be shorter than the packet that brings it: its own length counts.
#[test]
fn a_datagram_shorter_than_its_packet_is_read_by_its_own_length() {
    let way = Way { macs: [them(), us()], addresses: [Ipv4Address::new(10, 1, 0, 2), LOAD] };
    let datagram = way.datagram([2000, 22], b"data");
    let frame = way.packet(0, IpProtocol::Udp, &[&datagram[34..], b"odd"].concat());
    let (counts, _) = says(&frame);
    assert_eq!((counts.get(Count::UdpDrop), counts.get(Count::DropChecksum)), (1, 0));
}
