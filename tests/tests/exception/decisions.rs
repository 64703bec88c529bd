//! What a worker hands to the kernel, what it keeps, and how it bears a kernel that is slow, full
//! or gone. The kernel here is two rows of packets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use dperf_core::exception::{Closed, Delivered, ExceptionPath, Shared};
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
pub(crate) const HOST: Ipv4Address = Ipv4Address::new(10, 4, 0, 202);
pub(crate) const LOAD: Ipv4Address = Ipv4Address::new(10, 2, 0, 2);
pub(crate) const OTHER: Ipv4Address = Ipv4Address::new(10, 9, 9, 9);
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
pub(crate) struct Path(Arc<Mutex<Kernel>>);

impl Path {
    /// A kernel that wants `packets` sent.
    pub(crate) fn that_sends(packets: &[Vec<u8>]) -> Path {
        let path = Path::default();
        path.0.lock().unwrap().wants.extend(packets.iter().cloned());
        path
    }
}

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

/// As [`serve`], in a run like `scenario`.
pub(crate) fn serve_scenario<X: ExceptionPath>(
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
pub(crate) fn ethernet(to: EthernetAddress, protocol: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14 + payload.len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_dst_addr(to);
    frame.set_src_addr(EthernetAddress(mac(Role::Client, 0).0));
    frame.set_ethertype(protocol);
    frame.payload_mut().copy_from_slice(payload);
    bytes
}

pub(crate) fn to_us() -> EthernetAddress {
    EthernetAddress(mac(Role::Server, 0).0)
}

pub(crate) fn ipv4(to: Ipv4Address, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
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

pub(crate) fn tcp(to: Ipv4Address, port: u16) -> Vec<u8> {
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

pub(crate) fn udp(to: Ipv4Address) -> Vec<u8> {
    let mut bytes = [0; 12];
    let mut datagram = UdpPacket::new_unchecked(&mut bytes[..]);
    datagram.set_src_port(40_000);
    datagram.set_dst_port(53);
    datagram.set_len(12);
    datagram.fill_checksum(&IpAddress::Ipv4(PEER), &IpAddress::Ipv4(to));
    ipv4(to, IpProtocol::Udp, &bytes)
}

pub(crate) fn icmp(to: Ipv4Address, message: Icmpv4Message) -> Vec<u8> {
    let mut bytes = [0; 8];
    let mut packet = Icmpv4Packet::new_unchecked(&mut bytes[..]);
    packet.set_msg_type(message);
    packet.fill_checksum();
    ipv4(to, IpProtocol::Icmp, &bytes)
}

pub(crate) fn arp(operation: u8, target: Ipv4Address) -> Vec<u8> {
    let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, operation];
    bytes.extend(mac(Role::Client, 0).0);
    bytes.extend(PEER.octets());
    bytes.extend([0; 6]);
    bytes.extend(target.octets());
    ethernet(EthernetAddress::BROADCAST, EthernetProtocol::Arp, &bytes)
}

/// `frame` with another last byte, which its sum does not know of.
fn damaged(mut frame: Vec<u8>) -> Vec<u8> {
    if let Some(last) = frame.last_mut() {
        *last ^= 0x10;
    }
    frame
}

/// `frame`, an IPv4 packet, as if `source` had sent it.
fn from(source: Ipv4Address, mut frame: Vec<u8>) -> Vec<u8> {
    let mut packet = Ipv4Packet::new_unchecked(&mut frame[14..]);
    packet.set_src_addr(source);
    packet.fill_checksum();
    let (to, protocol) = (packet.dst_addr(), packet.next_header());
    let ends = (IpAddress::Ipv4(source), IpAddress::Ipv4(to));
    match protocol {
        IpProtocol::Tcp => {
            TcpPacket::new_unchecked(packet.payload_mut()).fill_checksum(&ends.0, &ends.1);
        }
        IpProtocol::Udp => {
            UdpPacket::new_unchecked(packet.payload_mut()).fill_checksum(&ends.0, &ends.1);
        }
        _ => {}
    }
    frame
}

/// What becomes of a frame: given to the kernel, answered by us.
pub(crate) type Fate = (bool, bool);
pub(crate) const KERNEL: Fate = (true, false);
pub(crate) const ANSWERED: Fate = (false, true);
pub(crate) const DROPPED: Fate = (false, false);
/// The kernel has a copy of what we answer.
pub(crate) const BOTH: Fate = (true, true);

/// What becomes of `frame`.
pub(crate) fn fate(ipv6: bool, frame: Vec<u8>) -> Fate {
    let scenario = Scenario { ipv6, duration: MILLI, ..Scenario::short(1) };
    let (given, sent) = became(&scenario, frame.clone());
    assert!(given.len() <= 1 && given.iter().all(|packet| *packet == frame), "byte for byte, once");
    (!given.is_empty(), !sent.is_empty())
}

/// What the kernel is given and what is sent when `frame` comes.
pub(crate) fn became(scenario: &Scenario, frame: Vec<u8>) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let path = Path::default();
    let (_, sent) = serve_scenario(scenario, path.clone(), 3, |turn, wire| {
        if turn == 0 {
            wire.lock().unwrap().push_back(frame.clone());
        }
    });
    let given = std::mem::take(&mut path.0.lock().unwrap().given);
    (given, sent)
}

/// Frames, and what becomes of each.
pub(crate) fn decisions() -> Vec<(&'static str, Vec<u8>, Fate)> {
    let any = |n| EthernetProtocol::from(n);
    vec![
        ("a segment of somebody unknown to the load", tcp(LOAD, 80), ANSWERED),
        ("a segment to a closed port of the load", tcp(LOAD, 22), ANSWERED),
        ("a segment to our own address", tcp(HOST, 22), KERNEL),
        ("a datagram to our own address", udp(HOST), KERNEL),
        ("a datagram to an address of the load", udp(LOAD), DROPPED),
        ("a fragment to our own address", fragment(HOST), KERNEL),
        ("a fragment to an address of the load", fragment(LOAD), DROPPED),
        ("a fragment to an address behind us", fragment(OTHER), KERNEL),
        ("a fragment to a group", fragment(Ipv4Address::new(224, 0, 0, 5)), KERNEL),
        ("an echo request to our own address", icmp(HOST, Icmpv4Message::EchoRequest), ANSWERED),
        ("an echo reply to our own address", icmp(HOST, Icmpv4Message::EchoReply), KERNEL),
        ("a redirect to our own address", icmp(HOST, Icmpv4Message::Redirect), KERNEL),
        ("a damaged redirect", damaged(icmp(HOST, Icmpv4Message::Redirect)), DROPPED),
        ("an echo reply to an address of the load", icmp(LOAD, Icmpv4Message::EchoReply), DROPPED),
        ("a packet for an address behind us", udp(OTHER), KERNEL),
        (
            "a packet of a station without address",
            from(Ipv4Address::UNSPECIFIED, udp(OTHER)),
            KERNEL,
        ),
        ("another protocol to our own address", ipv4(HOST, IpProtocol::from(89), &[1; 24]), KERNEL),
        ("ARP: who has our own address", arp(1, HOST), BOTH),
        ("ARP: who has an address of the load", arp(1, LOAD), BOTH),
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
    ]
}

#[test]
fn the_kernel_gets_what_the_load_has_no_use_for() {
    for (what, frame, expected) in decisions() {
        assert_eq!(fate(false, frame), expected, "{what}");
    }
}

/// An answer to nobody, to everybody or to ourselves helps an attacker only (RFC 1122, 3.2.1.3).
#[test]
fn who_cannot_be_answered_is_not() {
    let sources = [
        Ipv4Address::BROADCAST,
        Ipv4Address::UNSPECIFIED,
        Ipv4Address::LOCALHOST,
        Ipv4Address::new(224, 0, 0, 1),
        HOST,
        LOAD,
    ];
    for source in sources {
        for asked in [icmp(LOAD, Icmpv4Message::EchoRequest), tcp(LOAD, 80), tcp(LOAD, 22)] {
            let (counts, sent) = serve(Closed, 3, |turn, wire| {
                if turn == 0 {
                    wire.lock().unwrap().push_back(from(source, asked.clone()));
                }
            });
            assert!(sent.is_empty(), "{source}: {sent:x?}");
            assert_eq!((counts.get(Count::DropValue), counts.get(Count::BadRx)), (1, 1));
        }
    }
}

#[test]
fn an_echo_travels_as_far_as_any_packet() {
    let mut asked = icmp(HOST, Icmpv4Message::EchoRequest);
    let mut packet = Ipv4Packet::new_unchecked(&mut asked[14..]);
    packet.set_hop_limit(1);
    packet.fill_checksum();
    let (_, sent) = serve(Closed, 3, |turn, wire| {
        if turn == 0 {
            wire.lock().unwrap().push_back(asked.clone());
        }
    });
    let answer = Ipv4Packet::new_checked(&sent[0][14..]).expect("a packet");
    assert_eq!((answer.hop_limit(), answer.verify_checksum()), (64, true));
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
    let packets: Vec<Vec<u8>> =
        (0..300u32).map(|n| [&[7; 60][..], &n.to_be_bytes()].concat()).collect();
    let (counts, sent) = serve(Path::that_sends(&packets), 400, |_, _| ());
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
    let shared = Shared::new(Path::that_sends(&[vec![7; 60]]));
    let (counts, sent) = serve(&shared, 5, |turn, wire| {
        if turn == 0 {
            wire.lock().unwrap().push_back(udp(HOST));
        }
    });
    assert_eq!((counts.get(Count::KniRx), counts.get(Count::KniTx), sent.len()), (1, 1, 1));
}
