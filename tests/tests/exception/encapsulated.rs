//! The kernel beside tags and tunnels: in a VLAN it gets frames without their tags and what it
//! sends is tagged; of a tunnel it sees the network outside and nothing of what is inside.

use dperf_core::stats::Count;
use dperf_tests::scenario::{MILLI, Scenario, Travel};
use smoltcp::wire::{
    EthernetAddress, EthernetProtocol, Icmpv4Message, IpProtocol, Ipv4Address, UdpPacket,
};

use crate::decisions::{
    ANSWERED, BOTH, DROPPED, Fate, HOST, KERNEL, LOAD, OTHER, Path, arp, became, decisions,
    ethernet, icmp, ipv4, serve_scenario, tcp, to_us, udp,
};

const TAGS: [(Travel, &[u8]); 2] = [
    (Travel::Vlan, &[0x81, 0x00, 0, 100]),
    (Travel::Qinq, &[0x88, 0xa8, 0, 200, 0x81, 0x00, 0, 100]),
];

/// Our end of the tunnel; our MAC address inside.
const END: Ipv4Address = Ipv4Address::new(10, 6, 0, 2);
const INSIDE: EthernetAddress = EthernetAddress([2, 0, 0, 1, 0, 0]);
const VNI: u32 = 0x0010_0200;

/// A run whose frames travel so.
fn in_a(travel: Travel) -> Scenario {
    Scenario { travel, duration: MILLI, ..Scenario::short(1) }
}

fn tagged(frame: &[u8], tags: &[u8]) -> Vec<u8> {
    [&frame[..12], tags, &frame[12..]].concat()
}

#[test]
fn in_a_vlan_the_same_is_decided_and_the_kernel_sees_no_tag() {
    for (travel, tags) in TAGS {
        for (what, frame, expected) in decisions() {
            let (given, sent) = became(&in_a(travel), tagged(&frame, tags));
            assert_eq!((!given.is_empty(), !sent.is_empty()), expected, "{travel:?}: {what}");
            assert!(given.iter().all(|packet| *packet == frame), "{travel:?}: {what}");
            assert!(sent.iter().all(|packet| packet[12..].starts_with(tags)), "{what}");
            let (given, sent) = became(&in_a(travel), frame);
            assert!(given.is_empty() && sent.is_empty(), "{travel:?}, without a tag: {what}");
        }
    }
}

#[test]
fn in_a_vlan_what_the_kernel_sends_is_tagged() {
    let packets: Vec<Vec<u8>> =
        (0..100u32).map(|n| [&[7; 60][..], &n.to_be_bytes()].concat()).collect();
    for (travel, tags) in TAGS {
        let (counts, sent) =
            serve_scenario(&in_a(travel), Path::that_sends(&packets), 100, |_, _| ());
        assert_eq!(sent, packets.iter().map(|p| tagged(p, tags)).collect::<Vec<_>>());
        assert_eq!((counts.get(Count::KniTx), counts.get(Count::PktTx)), (100, 100));
    }
}

/// `frame` in the tunnel, of network `vni`.
fn carried(vni: u32, frame: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 8 + 8 + frame.len()];
    let length = bytes.len() as u16;
    let mut datagram = UdpPacket::new_unchecked(&mut bytes);
    datagram.set_src_port(50_000);
    datagram.set_dst_port(4789);
    datagram.set_len(length);
    let payload = datagram.payload_mut();
    payload[0] = 8;
    payload[4..8].copy_from_slice(&(vni << 8).to_be_bytes());
    payload[8..].copy_from_slice(frame);
    ipv4(END, IpProtocol::Udp, &bytes)
}

/// What becomes of `frame`, and that nothing is changed on the way to the kernel.
fn fate(frame: &[u8]) -> (Fate, Vec<Vec<u8>>) {
    let (given, sent) = became(&in_a(Travel::Vxlan), frame.to_vec());
    assert!(given.len() <= 1 && given.iter().all(|packet| packet == frame));
    ((!given.is_empty(), !sent.is_empty()), sent)
}

#[test]
fn outside_of_a_tunnel_we_are_a_host_and_the_kernel_another() {
    let table = [
        ("a segment to our own address", tcp(HOST, 22), KERNEL),
        ("a datagram to our own address", udp(HOST), KERNEL),
        ("an echo request to our own address", icmp(HOST, Icmpv4Message::EchoRequest), ANSWERED),
        ("an echo reply to our own address", icmp(HOST, Icmpv4Message::EchoReply), KERNEL),
        ("an echo request to our end", icmp(END, Icmpv4Message::EchoRequest), ANSWERED),
        ("a datagram to our end", udp(END), DROPPED),
        ("a segment to our end, to the port of the load", tcp(END, 80), DROPPED),
        ("a segment to an address that is inside", tcp(LOAD, 80), KERNEL),
        ("a packet for an address behind us", udp(OTHER), KERNEL),
        ("ARP: who has our own address", arp(1, HOST), BOTH),
        ("ARP: who has our end", arp(1, END), BOTH),
        ("ARP: who has an address that is inside", arp(1, LOAD), KERNEL),
        ("ARP: an answer", arp(2, HOST), KERNEL),
        ("LLDP", ethernet(to_us(), EthernetProtocol::from(0x88cc), &[2; 50]), KERNEL),
        ("a tunnel's packet to a foreign MAC", foreign(&carried(VNI, &arp(1, LOAD))), DROPPED),
        ("a packet of another network", carried(VNI + 1, &arp(1, LOAD)), DROPPED),
    ];
    for (what, frame, expected) in table {
        let (fate, sent) = fate(&frame);
        assert_eq!(fate, expected, "{what}");
        let wrapped = |packet: &Vec<u8>| packet.len() > 38 && packet[36..38] == [0x12, 0xb5];
        assert!(!sent.iter().any(wrapped), "{what}: answered outside");
    }
}

fn foreign(frame: &[u8]) -> Vec<u8> {
    [&[4; 6], &frame[6..]].concat()
}

/// A frame to us inside.
fn to_inside(frame: &[u8]) -> Vec<u8> {
    [&INSIDE.0, &frame[6..]].concat()
}

#[test]
fn inside_of_a_tunnel_there_is_no_kernel() {
    let table = [
        ("ARP: who has an address of the load", arp(1, LOAD), ANSWERED),
        ("ARP: who has our own address outside", arp(1, HOST), DROPPED),
        ("an echo request", to_inside(&icmp(LOAD, Icmpv4Message::EchoRequest)), ANSWERED),
        ("a segment to the load", to_inside(&tcp(LOAD, 80)), ANSWERED),
        ("a segment to a closed port", to_inside(&tcp(LOAD, 22)), ANSWERED),
        ("a segment to our own address outside", to_inside(&tcp(HOST, 22)), DROPPED),
        ("a datagram to the load", to_inside(&udp(LOAD)), DROPPED),
        ("a datagram for somebody", to_inside(&udp(OTHER)), DROPPED),
        ("to the port's MAC address", tcp(LOAD, 80), DROPPED),
        ("LLDP", ethernet(INSIDE, EthernetProtocol::from(0x88cc), &[2; 50]), DROPPED),
        ("a tunnel in the tunnel", to_inside(&carried(VNI, &arp(1, LOAD))), DROPPED),
    ];
    for (what, frame, expected) in table {
        let (fate, sent) = fate(&carried(VNI, &frame));
        assert_eq!(fate, expected, "{what}");
        for packet in sent {
            // From our end to the other, of the same network, from us inside.
            assert_eq!(
                (&packet[26..30], &packet[30..34]),
                (&[10, 6, 0, 2][..], &[10, 5, 0, 2][..])
            );
            assert_eq!(packet[42..50], [8, 0, 0, 0, 0x10, 0x02, 0x00, 0], "{what}");
            assert_eq!(packet[56..62], INSIDE.0, "{what}");
        }
    }
}

#[test]
fn what_the_kernel_sends_stays_outside() {
    let packets: Vec<Vec<u8>> =
        (0..100u32).map(|n| [&[7; 1510][..], &n.to_be_bytes()].concat()).collect();
    let (counts, sent) =
        serve_scenario(&in_a(Travel::Vxlan), Path::that_sends(&packets), 100, |_, _| ());
    assert_eq!(sent, packets);
    assert_eq!((counts.get(Count::KniTx), counts.get(Count::PktTx)), (100, 100));
}
