//! XDP sockets on real interfaces: what comes to them, what stays with the kernel, what they leave
//! behind.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use dperf_core::plan::{PortRange, Role, Vlan};

use super::*;
use crate::port::bpf::IpRange;
use crate::port::packet_socket;
use crate::port::packet_socket::tests::namespace::{alone, cable, sh};

type Queue = Box<dyn PacketQueue>;

fn range(first: &str, last: &str) -> IpRange {
    IpRange { first: first.parse().unwrap(), last: last.parse().unwrap() }
}

/// A server of port 80 at ten addresses of either family, the first IPv4 one of which the kernel
/// has too.
fn traffic() -> Traffic {
    Traffic {
        role: Role::Server,
        vlan: None,
        vni: None,
        own: vec![range("192.0.2.10", "192.0.2.19"), range("2001:db8::10", "2001:db8::19")],
        ours_alone: vec![range("192.0.2.11", "192.0.2.19"), range("2001:db8::10", "2001:db8::19")],
        listen: PortRange { first: 80, count: 2 },
        client_ports: PortRange { first: 1, count: 65535 },
        udp: false,
    }
}

fn xdp(traffic: &Traffic) -> Queue {
    open(("va", None), 1, traffic).unwrap().queues.pop().unwrap()
}

/// The other end of the cable.
fn raw() -> Queue {
    packet_socket::open("vb", 1, packet_socket::tests::PLAIN).unwrap().queues.pop().unwrap()
}

fn mac_of(interface: &str) -> [u8; 6] {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    Interface::find(socket.as_fd(), interface).unwrap().mac.0
}

fn send(queue: &mut Queue, bytes: &[u8]) {
    let mut tray = Tray::new();
    assert_eq!(queue.take(1, &mut tray), 1);
    assert!(tray.frames_mut()[0].set_len(bytes.len()));
    tray.frames_mut()[0].bytes_mut().copy_from_slice(bytes);
    assert_eq!(queue.transmit(&mut tray), 1);
}

/// Everything that arrives until a frame that ends with `last`.
fn receive_until(queue: &mut Queue, last: &[u8]) -> Vec<Vec<u8>> {
    let (end, mut tray) = (Instant::now() + Duration::from_secs(5), Tray::new());
    let mut frames: Vec<Vec<u8>> = Vec::new();
    while Instant::now() < end {
        queue.receive(&mut tray);
        frames.extend(tray.frames().iter().map(|frame| frame.bytes().to_vec()));
        queue.give_back(&mut tray);
        if frames.last().is_some_and(|frame| frame.ends_with(last)) {
            return frames;
        }
    }
    panic!("{} frames came, and not the last", frames.len());
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = mac_of("va").to_vec();
    frame.extend(mac_of("vb"));
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

fn ipv4(protocol: u8, to: [u8; 4], port: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 46, 0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 99];
    packet.extend(to);
    packet.extend([0x9c, 0x40]);
    packet.extend(port.to_be_bytes());
    packet.extend([0; 22]);
    ethernet(0x0800, &packet)
}

fn ipv6(next: u8, to: &str, port: u16) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 24, next, 64];
    packet.extend("2001:db8::99".parse::<std::net::Ipv6Addr>().unwrap().octets());
    packet.extend(to.parse::<std::net::Ipv6Addr>().unwrap().octets());
    packet.extend([0x9c, 0x40]);
    packet.extend(port.to_be_bytes());
    packet.extend([0; 20]);
    ethernet(0x86dd, &packet)
}

fn arp(target: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, 1];
    packet.extend(mac_of("vb"));
    packet.extend([192, 0, 2, 99]);
    packet.extend([0; 6]);
    packet.extend(target);
    ethernet(0x0806, &packet)
}

/// A neighbour solicitation, to a multicast group.
fn solicitation(target: &str) -> Vec<u8> {
    let mut frame = ipv6(58, "ff02::1:ff00:10", 0);
    frame[54..58].copy_from_slice(&[135, 0, 0, 0]);
    frame.resize(78, 0);
    frame[62..78].copy_from_slice(&target.parse::<std::net::Ipv6Addr>().unwrap().octets());
    frame
}

/// Changes bytes of a frame.
fn with(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

#[test]
fn only_the_load_comes_to_the_socket() {
    alone("only_the_load_comes_to_the_socket", || {
        cable("va", "vb");
        let (shared, own, other) = ([192, 0, 2, 10], [192, 0, 2, 15], [192, 0, 2, 20]);
        let table = [
            ("UDP to the load", ipv4(17, own, 80), true),
            ("TCP to its second port", ipv4(6, own, 81), true),
            ("TCP to an address the kernel has too", ipv4(6, shared, 80), true),
            ("TCP to the port below", ipv4(6, own, 79), false),
            ("TCP to the port above", ipv4(6, own, 82), false),
            ("TCP to another address", ipv4(6, other, 80), false),
            ("TCP to the address below", ipv4(6, [192, 0, 2, 9], 80), false),
            ("ICMP to the load", ipv4(1, own, 0), true),
            ("ICMP to an address the kernel has too", ipv4(1, shared, 0), false),
            ("OSPF to the load", ipv4(89, own, 80), false),
            ("a fragment", with(ipv4(17, own, 80), 20, &[0x20, 0]), false),
            ("a later fragment", with(ipv4(17, own, 80), 20, &[0, 9]), false),
            ("IPv4 options", with(ipv4(17, own, 80), 14, &[0x46]), false),
            ("ARP for the load", arp(own), true),
            ("ARP for an address the kernel has too", arp(shared), false),
            ("ARP for another address", arp(other), false),
            ("a VLAN tag", with(ipv4(17, own, 80), 12, &[0x81, 0]), false),
            ("IPv6 TCP to the load", ipv6(6, "2001:db8::10", 80), true),
            ("IPv6 UDP to its last address", ipv6(17, "2001:db8::19", 80), true),
            ("IPv6 TCP to another port", ipv6(6, "2001:db8::10", 22), false),
            ("IPv6 TCP to another address", ipv6(6, "2001:db8::1a", 80), false),
            ("IPv6 TCP to another network", ipv6(6, "2001:db8:0:1::10", 80), false),
            ("an IPv6 ping", ipv6(58, "2001:db8::11", 0), true),
            ("a solicitation for the load", solicitation("2001:db8::12"), true),
            ("a solicitation for another", solicitation("2001:db8::20"), false),
            ("an extension header", ipv6(0, "2001:db8::10", 80), false),
            ("nothing we know", ethernet(0x88b5, &[7; 46]), false),
        ];
        assert_told_apart(&traffic(), &table);
    });
}

/// What comes to the socket is what is said to be ours; the first frame is.
fn assert_told_apart(traffic: &Traffic, table: &[(&str, Vec<u8>, bool)]) {
    let (mut xdp, mut raw) = (xdp(traffic), raw());
    for (number, (what, frame, ours)) in table.iter().enumerate() {
        send(&mut raw, frame);
        let last = [0xaa, number as u8];
        let end = table[0].1.len() - 2;
        send(&mut raw, &with(table[0].1.clone(), end, &last));
        let came = receive_until(&mut xdp, &last);
        assert_eq!(came.contains(frame), *ours, "{what}");
    }
}

/// The frame with tags in it, each of an ethertype and control information.
fn tagged(frame: &[u8], tags: &[[u16; 2]]) -> Vec<u8> {
    let tags = tags.iter().flatten().flat_map(|half| half.to_be_bytes());
    [&frame[..12], &tags.collect::<Vec<u8>>(), &frame[12..]].concat()
}

#[test]
fn the_load_is_known_by_its_tags() {
    alone("the_load_is_known_by_its_tags", || {
        cable("va", "vb");
        let (own, shared) = ([192, 0, 2, 15], [192, 0, 2, 10]);
        let (load, kernels) = (ipv4(17, own, 80), ipv4(1, shared, 0));
        let one = |id: u16| [[0x8100, id]];
        let traffic =
            |service| Traffic { vlan: Some(Vlan { service, customer: 100 }), ..traffic() };
        let table = [
            ("the load", tagged(&load, &one(100)), true),
            ("of any priority", tagged(&load, &one(0xe064)), true),
            ("ARP", tagged(&arp(own), &one(100)), true),
            ("IPv6", tagged(&ipv6(6, "2001:db8::10", 80), &one(100)), true),
            ("a solicitation", tagged(&solicitation("2001:db8::12"), &one(100)), true),
            ("what is the kernel's", tagged(&kernels, &one(100)), false),
            ("another tag", tagged(&load, &one(101)), false),
            ("a tag of another kind", tagged(&load, &[[0x88a8, 100]]), false),
            ("no tag", load.clone(), false),
            ("two", tagged(&load, &[[0x8100, 100], [0x8100, 100]]), false),
        ];
        assert_told_apart(&traffic(None), &table);
        let table = [
            ("the load", tagged(&load, &[[0x88a8, 200], [0x8100, 100]]), true),
            ("IPv6", tagged(&ipv6(6, "2001:db8::10", 80), &[[0x88a8, 200], [0x8100, 100]]), true),
            ("another service", tagged(&load, &[[0x88a8, 201], [0x8100, 100]]), false),
            ("another customer", tagged(&load, &[[0x88a8, 200], [0x8100, 101]]), false),
            ("one", tagged(&load, &one(100)), false),
            ("no tag", load.clone(), false),
        ];
        assert_told_apart(&traffic(Some(200)), &table);
    });
}

/// A datagram of network `vni` to an end of the tunnel.
fn tunnelled(to: [u8; 4], vni: u32) -> Vec<u8> {
    with(ipv4(17, to, 4789), 46, &(vni << 8).to_be_bytes())
}

#[test]
fn the_load_is_known_by_its_tunnel() {
    alone("the_load_is_known_by_its_tunnel", || {
        cable("va", "vb");
        let (own, shared, other) = ([192, 0, 2, 15], [192, 0, 2, 10], [192, 0, 2, 20]);
        let table = [
            ("its network", tunnelled(own, 0x12_3456), true),
            ("at an end that the kernel has too", tunnelled(shared, 0x12_3456), true),
            ("another network", tunnelled(own, 0x12_3457), false),
            ("another end", tunnelled(other, 0x12_3456), false),
            ("another port", with(tunnelled(own, 0x12_3456), 36, &[0x12, 0xb4]), false),
            ("TCP", with(tunnelled(own, 0x12_3456), 23, &[6]), false),
            ("the load outside", ipv4(6, own, 80), false),
            ("ARP for an end", arp(own), true),
            ("a ping of an end", ipv4(1, own, 0), true),
            ("a ping of the kernel's", ipv4(1, shared, 0), false),
        ];
        assert_told_apart(&Traffic { vni: Some(0x12_3456), ..traffic() }, &table);
    });
}

#[test]
fn a_client_gets_answers_from_its_servers_ports() {
    alone("a_client_gets_answers_from_its_servers_ports", || {
        cable("va", "vb");
        let client_ports = PortRange { first: 1024, count: 1000 };
        let traffic = Traffic { role: Role::Client, client_ports, ..traffic() };
        let own = [192, 0, 2, 15];
        let answer = |from: u16, to: u16| with(ipv4(6, own, to), 34, &from.to_be_bytes());
        let (mut xdp, mut raw) = (xdp(&traffic), raw());
        for (from, to, ours) in [
            (80, 1024, true),
            (81, 2023, true),
            (82, 1024, false),
            (80, 1023, false),
            (80, 2024, false),
            (1024, 80, false),
        ] {
            send(&mut raw, &answer(from, to));
            let end = answer(80, 1024).len();
            send(&mut raw, &with(answer(80, 1024), end - 2, &[0xaa, 0xbb]));
            let came = receive_until(&mut xdp, &[0xaa, 0xbb]);
            assert_eq!(came.len() == 2, ours, "from {from} to {to}");
        }
    });
}

#[test]
fn frames_leave_whole_and_in_order_and_chunks_come_back() {
    alone("frames_leave_whole_and_in_order_and_chunks_come_back", || {
        const COUNT: u32 = 50_000;
        cable("va", "vb");
        let (mut xdp, mut raw) = (xdp(&traffic()), raw());
        let (mut out, mut inbox, mut next, mut seen) = (Tray::new(), Tray::new(), 0u32, 0u32);
        let len_of = |number: u32| 60 + (number.wrapping_mul(2_654_435_761) % 1455) as usize;
        let end = Instant::now() + Duration::from_secs(30);
        while seen < COUNT && Instant::now() < end {
            let before = out.len();
            xdp.take(out.room().min((COUNT - next) as usize).min(32), &mut out);
            for frame in &mut out.frames_mut()[before..] {
                let bytes = ethernet_head(next, len_of(next));
                assert!(frame.set_len(bytes.len()));
                frame.bytes_mut().copy_from_slice(&bytes);
                next += 1;
            }
            xdp.transmit(&mut out);
            raw.receive(&mut inbox);
            for frame in inbox.frames().iter().filter(|frame| frame.bytes()[12..14] == [0x88, 0xb5])
            {
                assert_eq!(frame.bytes(), ethernet_head(seen, len_of(seen)), "frame {seen}");
                seen += 1;
            }
            raw.give_back(&mut inbox);
        }
        assert_eq!(seen, COUNT, "{:?}", xdp.faults());
        assert_eq!(xdp.faults(), Faults::default());
    });
}

/// A frame of `len` bytes for nobody, told by its number.
fn ethernet_head(number: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![number as u8; len];
    bytes[..6].copy_from_slice(&[2, 0, 0, 0, 0, 0xb]);
    bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0xa]);
    bytes[12..14].copy_from_slice(&[0x88, 0xb5]);
    bytes[14..18].copy_from_slice(&number.to_be_bytes());
    bytes
}

#[test]
fn every_chunk_can_be_taken_and_comes_back() {
    alone("every_chunk_can_be_taken_and_comes_back", || {
        cable("va", "vb");
        let mut xdp = xdp(&traffic());
        let all = |xdp: &mut Queue| {
            let mut trays = Vec::new();
            loop {
                let mut tray = Tray::new();
                if xdp.take(64, &mut tray) == 0 {
                    break;
                }
                trays.push(tray);
            }
            let count: usize = trays.iter().map(Tray::len).sum();
            trays.iter_mut().for_each(|tray| xdp.give_back(tray));
            count
        };
        // Two of three are the kernel's, to receive into.
        let first = all(&mut xdp);
        assert_eq!(first, 2048);
        assert_eq!(all(&mut xdp), first);
    });
}

#[test]
fn a_strange_frame_is_counted_and_not_used() {
    alone("a_strange_frame_is_counted_and_not_used", || {
        cable("va", "vb");
        let (mut xdp, mut raw) = (xdp(&traffic()), raw());
        let mut tray = Tray::new();
        raw.take(3, &mut tray);
        xdp.give_back(&mut tray);
        assert_eq!(xdp.faults().tx_errors, 3);
        raw.take(1, &mut tray);
        assert!(tray.frames_mut()[0].set_len(60));
        assert_eq!(xdp.transmit(&mut tray), 0);
        assert!(tray.is_empty(), "it would block the others for ever");
        assert_eq!(xdp.faults().tx_errors, 5);
    });
}

#[test]
fn nothing_stays_at_the_interface() {
    alone("nothing_stays_at_the_interface", || {
        cable("va", "vb");
        let attached = || sh_out("ip -details link show va").contains("prog/xdp");
        let first = xdp(&traffic());
        assert!(attached());
        let second = open(("va", None), 1, &traffic()).map(|_| ()).unwrap_err().to_string();
        assert!(second.contains("another XDP program or socket has it"), "{second}");
        assert!(second.contains("'ip link set va xdp off'"), "{second}");
        assert!(attached(), "the first goes on");
        drop(first);
        assert!(!attached());
        drop(xdp(&traffic()));
        assert!(!attached());
    });
}

fn sh_out(command: &str) -> String {
    let output = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_is_wrong_with_an_interface_is_said() {
    alone("what_is_wrong_with_an_interface_is_said", || {
        cable("va", "vb");
        let refusal = |name: &str, queues| {
            let opened = open((name, None), queues, &traffic());
            opened.map(|_| ()).unwrap_err().to_string()
        };
        assert!(refusal("absent", 1).contains("there is no interface 'absent'"));
        assert!(refusal("lo", 1).contains("is the loopback"));
        let queues = refusal("va", 2);
        assert!(queues.contains("1 receive queues for 2 workers: 'ethtool -L va"), "{queues}");
        sh("ip link set va mtu 9000");
        assert!(refusal("va", 1).contains("'ip link set va mtu 1500'"));
        sh("ip link set va mtu 1500 down");
        assert!(refusal("va", 1).contains("'ip link set va up'"));
    });
}

#[test]
fn an_interface_that_goes_is_noticed() {
    alone("an_interface_that_goes_is_noticed", || {
        cable("va", "vb");
        let mut xdp = xdp(&traffic());
        assert_eq!(xdp.state(), PortState::Up);
        sh("ip link set va down");
        assert_eq!(xdp.state(), PortState::Down);
        sh("ip link set va up");
        sh("ip link delete va");
        assert_eq!(xdp.state(), PortState::Gone);
        let mut tray = Tray::new();
        xdp.receive(&mut tray);
        xdp.take(1, &mut tray);
        assert!(tray.frames_mut()[0].set_len(60));
        xdp.transmit(&mut tray);
        xdp.give_back(&mut tray);
    });
}
