//! What a worker hands to the kernel, what it keeps, and how it bears a kernel that is slow, full
//! or gone. The kernel here is two rows of packets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use dperf_core::exception::{Delivered, ExceptionPath, Shared};
use dperf_core::frame::Frame;
use dperf_core::plan::Role;
use dperf_core::port::PortState;
use dperf_core::stats::{Count, Snapshot};
use dperf_core::sync::Gateway;
use dperf_tests::alone;
use dperf_tests::cable::Pipe;
use dperf_tests::scenario::{MILLI, Scenario, Side, mac};
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4Message, Icmpv4Packet, IpAddress,
    IpProtocol, Ipv4Address, Ipv4Packet, TcpPacket, UdpPacket,
};

/// The server's own address, one of the load's, and somebody else's.
const HOST: Ipv4Address = Ipv4Address::new(10, 4, 0, 202);
const LOAD: Ipv4Address = Ipv4Address::new(10, 2, 0, 2);
const OTHER: Ipv4Address = Ipv4Address::new(10, 9, 9, 9);
const PEER: Ipv4Address = Ipv4Address::new(10, 3, 0, 202);

/// The kernel's side.
#[derive(Debug, Default)]
struct Kernel {
    /// What it was given.
    given: Vec<Vec<u8>>,
    /// What it wants sent.
    wants: VecDeque<Vec<u8>>,
    /// Packets it takes before it is full; none: any number.
    room: Option<usize>,
    /// Its interface is down: it refuses everything.
    refuses: bool,
    /// How often it was asked for packets.
    asked: u64,
}

#[derive(Clone, Default)]
struct Path(Arc<Mutex<Kernel>>);

impl ExceptionPath for Path {
    fn deliver(&mut self, packets: &[Frame]) -> Delivered {
        let mut kernel = self.0.lock().unwrap();
        if kernel.refuses {
            return Delivered { done: packets.len(), refused: packets.len() };
        }
        let done = packets.len().min(kernel.room.unwrap_or(usize::MAX));
        kernel.room = kernel.room.map(|room| room - done);
        kernel.given.extend(packets[..done].iter().map(|packet| packet.bytes().to_vec()));
        Delivered { done, refused: 0 }
    }

    fn collect(&mut self, blanks: &mut [Frame]) -> usize {
        let mut kernel = self.0.lock().unwrap();
        kernel.asked += 1;
        let mut filled = 0;
        while filled < blanks.len() {
            let Some(packet) = kernel.wants.pop_front() else { break };
            assert!(blanks[filled].set_len(packet.len()));
            blanks[filled].bytes_mut().copy_from_slice(&packet);
            filled += 1;
        }
        filled
    }

    fn state(&mut self) -> PortState {
        if self.0.lock().unwrap().refuses { PortState::Gone } else { PortState::Up }
    }
}

/// A server with a kernel behind it, for a number of turns, each a microsecond apart: `before` each
/// turn something may happen. Returns its counters and what it sent.
fn serve<X: ExceptionPath>(
    path: X,
    turns: u64,
    before: impl FnMut(u64, &Pipe),
) -> (Snapshot, Vec<Vec<u8>>) {
    serve_scenario(&Scenario { duration: MILLI, ..Scenario::short(1) }, path, turns, before)
}

fn serve_scenario<X: ExceptionPath>(
    scenario: &Scenario,
    path: X,
    turns: u64,
    mut before: impl FnMut(u64, &Pipe),
) -> (Snapshot, Vec<Vec<u8>>) {
    let side = Side::new(scenario, Role::Server, 0);
    let gateway = Gateway::new(Some(side.peer_mac()));
    let times = (0..turns).map(|turn| turn * 1000);
    let before = |now, wire: &Pipe| before(now / 1000, wire);
    let said = alone::serve(side.plan(scenario), &gateway, path, times, before);
    (said.counts, said.bytes())
}

/// An Ethernet frame to the server.
fn ethernet(to: EthernetAddress, protocol: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14 + payload.len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_dst_addr(to);
    frame.set_src_addr(EthernetAddress(mac(Role::Client, 0).0));
    frame.set_ethertype(protocol);
    frame.payload_mut().copy_from_slice(payload);
    bytes
}

fn to_us() -> EthernetAddress {
    EthernetAddress(mac(Role::Server, 0).0)
}

fn ipv4(to: Ipv4Address, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 20 + payload.len()];
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes);
    packet.set_version(4);
    packet.set_header_len(20);
    packet.set_total_len(20 + payload.len() as u16);
    packet.set_hop_limit(64);
    packet.set_next_header(protocol);
    packet.set_src_addr(PEER);
    packet.set_dst_addr(to);
    packet.payload_mut().copy_from_slice(payload);
    packet.fill_checksum();
    ethernet(to_us(), EthernetProtocol::Ipv4, &bytes)
}

fn fragment(to: Ipv4Address) -> Vec<u8> {
    let mut frame = ipv4(to, IpProtocol::Udp, &[0; 64]);
    let mut packet = Ipv4Packet::new_unchecked(&mut frame[14..]);
    packet.set_more_frags(true);
    packet.fill_checksum();
    frame
}

fn tcp(to: Ipv4Address, port: u16) -> Vec<u8> {
    let mut bytes = [0; 20];
    let mut segment = TcpPacket::new_unchecked(&mut bytes[..]);
    segment.set_src_port(40_000);
    segment.set_dst_port(port);
    segment.set_header_len(20);
    segment.set_syn(true);
    segment.set_window_len(1000);
    segment.fill_checksum(&IpAddress::Ipv4(PEER), &IpAddress::Ipv4(to));
    ipv4(to, IpProtocol::Tcp, &bytes)
}

fn udp(to: Ipv4Address) -> Vec<u8> {
    let mut bytes = [0; 12];
    let mut datagram = UdpPacket::new_unchecked(&mut bytes[..]);
    datagram.set_src_port(40_000);
    datagram.set_dst_port(53);
    datagram.set_len(12);
    datagram.fill_checksum(&IpAddress::Ipv4(PEER), &IpAddress::Ipv4(to));
    ipv4(to, IpProtocol::Udp, &bytes)
}

fn icmp(to: Ipv4Address, message: Icmpv4Message) -> Vec<u8> {
    let mut bytes = [0; 8];
    let mut packet = Icmpv4Packet::new_unchecked(&mut bytes[..]);
    packet.set_msg_type(message);
    packet.fill_checksum();
    ipv4(to, IpProtocol::Icmp, &bytes)
}

fn arp(operation: u8, target: Ipv4Address) -> Vec<u8> {
    let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, operation];
    bytes.extend(mac(Role::Client, 0).0);
    bytes.extend(PEER.octets());
    bytes.extend([0; 6]);
    bytes.extend(target.octets());
    ethernet(EthernetAddress::BROADCAST, EthernetProtocol::Arp, &bytes)
}

/// What becomes of `frame`: given to the kernel, answered by us.
pub(crate) fn fate(ipv6: bool, frame: Vec<u8>) -> (bool, bool) {
    let path = Path::default();
    let scenario = Scenario { ipv6, duration: MILLI, ..Scenario::short(1) };
    let (_, sent) = serve_scenario(&scenario, path.clone(), 3, |turn, wire| {
        if turn == 0 {
            wire.lock().unwrap().push_back(frame.clone());
        }
    });
    let given = &path.0.lock().unwrap().given;
    assert!(given.len() <= 1 && given.iter().all(|packet| *packet == frame), "byte for byte, once");
    (!given.is_empty(), !sent.is_empty())
}

#[test]
fn the_kernel_gets_what_the_load_has_no_use_for() {
    const KERNEL: (bool, bool) = (true, false);
    const ANSWERED: (bool, bool) = (false, true);
    const DROPPED: (bool, bool) = (false, false);
    let any = |n| EthernetProtocol::from(n);
    let table = [
        ("a segment of somebody unknown to the load", tcp(LOAD, 80), ANSWERED),
        ("a segment to a closed port of the load", tcp(LOAD, 22), ANSWERED),
        ("a segment to our own address", tcp(HOST, 22), KERNEL),
        ("a datagram to our own address", udp(HOST), KERNEL),
        ("a datagram to an address of the load", udp(LOAD), DROPPED),
        ("a fragment to our own address", fragment(HOST), KERNEL),
        ("a fragment to an address of the load", fragment(LOAD), DROPPED),
        ("an echo request to our own address", icmp(HOST, Icmpv4Message::EchoRequest), ANSWERED),
        ("an echo reply to our own address", icmp(HOST, Icmpv4Message::EchoReply), KERNEL),
        ("a redirect to our own address", icmp(HOST, Icmpv4Message::Redirect), KERNEL),
        ("an echo reply to an address of the load", icmp(LOAD, Icmpv4Message::EchoReply), DROPPED),
        ("a packet for an address behind us", udp(OTHER), KERNEL),
        ("another protocol to our own address", ipv4(HOST, IpProtocol::from(89), &[1; 24]), KERNEL),
        ("ARP: who has our own address", arp(1, HOST), (true, true)),
        ("ARP: who has an address of the load", arp(1, LOAD), (true, true)),
        ("ARP: who has somebody's address", arp(1, OTHER), KERNEL),
        ("ARP: an answer", arp(2, HOST), KERNEL),
        ("IPv6 on an IPv4 port", ethernet(to_us(), EthernetProtocol::Ipv6, &[0x60; 60]), KERNEL),
        ("LLDP", ethernet(to_us(), any(0x88cc), &[2; 50]), KERNEL),
        ("a VLAN tag", ethernet(to_us(), any(0x8100), &[0, 5, 8, 0, 0x45]), KERNEL),
        (
            "a frame to a foreign MAC address",
            ethernet(EthernetAddress([4; 6]), any(0x800), &[0x45; 60]),
            DROPPED,
        ),
        ("half an IPv4 header", ethernet(to_us(), EthernetProtocol::Ipv4, &[0x45; 10]), DROPPED),
    ];
    for (what, frame, expected) in table {
        assert_eq!(fate(false, frame), expected, "{what}");
    }
}

#[test]
fn load_does_not_count_what_the_kernel_gets() {
    let path = Path::default();
    let (counts, _) = serve(path, 5, |turn, wire| {
        if turn == 0 {
            wire.lock().unwrap().extend([tcp(HOST, 22), udp(HOST), arp(2, HOST)]);
        }
    });
    let of = |count| counts.get(count);
    assert_eq!((of(Count::PktRx), of(Count::KniRx), of(Count::ArpRx)), (3, 3, 1));
    assert_eq!((of(Count::TcpRx), of(Count::UdpRx), of(Count::TcpDrop)), (0, 0, 0));
}

#[test]
fn what_the_kernel_sends_leaves_unchanged_and_in_order() {
    let path = Path::default();
    let packets: Vec<Vec<u8>> =
        (0..300u32).map(|n| [&[7; 60][..], &n.to_be_bytes()].concat()).collect();
    path.0.lock().unwrap().wants.extend(packets.iter().cloned());
    let (counts, sent) = serve(path, 400, |_, _| ());
    assert_eq!(sent, packets);
    assert_eq!((counts.get(Count::KniTx), counts.get(Count::PktTx)), (300, 300));
}

/// Asking costs a system call: ten thousand times a second is enough for nothing.
#[test]
fn a_silent_kernel_is_asked_now_and_then() {
    let path = Path::default();
    let microseconds = 10_000;
    serve(path.clone(), microseconds, |_, _| ());
    let asked = path.0.lock().unwrap().asked;
    assert!((95..=101).contains(&asked), "{asked} times in {microseconds} us");
}

#[test]
fn a_turn_gives_the_kernel_no_more_than_its_budget() {
    let path = Path::default();
    let kernel = path.0.clone();
    let mut before = 0;
    serve(path, 50, |turn, wire| {
        if turn == 0 {
            wire.lock().unwrap().extend((0..32).map(|_| udp(HOST)));
        }
        let given = kernel.lock().unwrap().given.len();
        assert!(given - before <= 32, "{} in one turn", given - before);
        before = given;
    });
    assert_eq!(before, 32);
}

#[test]
fn a_full_kernel_loses_nothing_uncounted() {
    let path = Path::default();
    path.0.lock().unwrap().room = Some(20);
    let kernel = path.0.clone();
    let (counts, _) = serve(path, 50, |turn, wire| {
        if turn < 10 {
            wire.lock().unwrap().extend((0..32).map(|_| udp(HOST)));
        }
        if turn == 40 {
            kernel.lock().unwrap().room = Some(30);
        }
    });
    let of = |count| counts.get(count);
    // 20 at once, 30 of the 64 that wait, and the rest found no place or was never taken.
    assert_eq!((of(Count::PktRx), of(Count::KniRx), of(Count::KniErrors)), (320, 50, 0));
    assert_eq!(of(Count::KniFull), 270);
}

#[test]
fn an_interface_that_is_gone_is_an_error_for_each_packet_and_no_more() {
    let path = Path::default();
    path.0.lock().unwrap().refuses = true;
    let (counts, sent) = serve(path, 50, |turn, wire| {
        if turn == 0 {
            wire.lock().unwrap().extend([udp(HOST), arp(1, HOST), tcp(LOAD, 22)]);
        }
    });
    assert_eq!((counts.get(Count::KniRx), counts.get(Count::KniErrors)), (0, 2));
    assert_eq!(sent.len(), 2, "ARP and the load are answered all the same");
}

#[test]
fn a_shared_path_is_a_path() {
    let path = Path::default();
    path.0.lock().unwrap().wants.push_back(vec![7; 60]);
    let shared = Shared::new(path.clone());
    let (counts, sent) = serve(&shared, 5, |turn, wire| {
        if turn == 0 {
            wire.lock().unwrap().push_back(udp(HOST));
        }
    });
    assert_eq!((counts.get(Count::KniRx), counts.get(Count::KniTx), sent.len()), (1, 1, 1));
}
