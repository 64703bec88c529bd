//! What a server says to those it has nothing to do with, over IPv4: as little as the RFCs allow,
//! from its own addresses only, and never twice. The frames are smoltcp's.

use dperf_core::exception::Closed;
use dperf_core::plan::{CorePlan, Role};
use dperf_core::stats::{Count, Snapshot};
use dperf_core::sync::Gateway;
use dperf_tests::alone;
use dperf_tests::scenario::{Scenario, Side, mac};
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4Message, Icmpv4Packet, IpAddress,
    IpProtocol, Ipv4Address, Ipv4Packet, TcpPacket, TcpSeqNumber,
};

/// The server's own address, one of the load's, somebody else's, and the gateway's.
const HOST: Ipv4Address = Ipv4Address::new(10, 4, 0, 202);
const LOAD: Ipv4Address = Ipv4Address::new(10, 2, 0, 2);
const OTHER: Ipv4Address = Ipv4Address::new(10, 9, 9, 9);
const PEER: Ipv4Address = Ipv4Address::new(10, 3, 0, 202);
/// Nobody listens there.
const CLOSED: u16 = 22;

fn us() -> EthernetAddress {
    EthernetAddress(mac(Role::Server, 0).0)
}

fn them() -> EthernetAddress {
    EthernetAddress(mac(Role::Client, 0).0)
}

fn ipv4(to: Ipv4Address, tos: u8, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    ipv4_between(PEER, to, tos, protocol, payload)
}

fn ipv4_between(
    from: Ipv4Address,
    to: Ipv4Address,
    tos: u8,
    protocol: IpProtocol,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0; 34 + payload.len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    frame.set_dst_addr(us());
    frame.set_src_addr(them());
    frame.set_ethertype(EthernetProtocol::Ipv4);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    packet.set_version(4);
    packet.set_header_len(20);
    packet.set_dscp(tos >> 2);
    packet.set_ecn(tos & 3);
    packet.set_total_len(20 + payload.len() as u16);
    packet.set_hop_limit(64);
    packet.set_next_header(protocol);
    packet.set_src_addr(from);
    packet.set_dst_addr(to);
    packet.payload_mut().copy_from_slice(payload);
    packet.fill_checksum();
    bytes
}

/// A segment of a connection that nobody knows.
fn segment(to: Ipv4Address, flags: &str, payload: &[u8]) -> Vec<u8> {
    segment_between((PEER, 40_000), (to, CLOSED), flags, payload)
}

fn segment_between(
    (from, from_port): (Ipv4Address, u16),
    (to, to_port): (Ipv4Address, u16),
    flags: &str,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0; 20 + payload.len()];
    let mut segment = TcpPacket::new_unchecked(&mut bytes[..]);
    segment.set_src_port(from_port);
    segment.set_dst_port(to_port);
    segment.set_seq_number(TcpSeqNumber(1000));
    segment.set_header_len(20);
    segment.set_window_len(1000);
    segment.set_syn(flags.contains('S'));
    segment.set_fin(flags.contains('F'));
    segment.set_rst(flags.contains('R'));
    segment.set_ack(flags.contains('A'));
    if flags.contains('A') {
        segment.set_ack_number(TcpSeqNumber(5000));
    }
    segment.payload_mut().copy_from_slice(payload);
    segment.fill_checksum(&IpAddress::Ipv4(from), &IpAddress::Ipv4(to));
    ipv4_between(from, to, 0, IpProtocol::Tcp, &bytes)
}

fn ping(to: Ipv4Address) -> Vec<u8> {
    // A sum that carries all the way round when the type changes.
    let mut bytes = [0, 0, 0, 0, 0xff, 0xff, 0xf7, 0xff];
    let mut packet = Icmpv4Packet::new_unchecked(&mut bytes[..]);
    packet.set_msg_type(Icmpv4Message::EchoRequest);
    packet.fill_checksum();
    ipv4(to, 0, IpProtocol::Icmp, &bytes)
}

/// What a server counts and says when `frames` come.
fn says_as(frames: &[Vec<u8>], change: impl FnOnce(&mut CorePlan<'_>)) -> (Snapshot, Vec<Vec<u8>>) {
    let scenario = Scenario::short(1);
    let side = Side::new(&scenario, Role::Server, 0);
    let gateway = Gateway::new(Some(side.peer_mac()));
    let mut plan = side.plan(&scenario);
    plan.announces = false;
    change(&mut plan);
    let said = alone::serve(plan, &gateway, Closed, [0, 1000, 2000], |now, wire| {
        if now == 0 {
            wire.lock().unwrap().extend(frames.iter().cloned());
        }
    });
    (said.counts, said.bytes())
}

fn says(frame: Vec<u8>) -> (Snapshot, Vec<Vec<u8>>) {
    says_as(&[frame], |_| ())
}

/// Sequence number, acknowledgment number if there is one, and who answers, of a whole RST.
fn read_reset(frame: &[u8]) -> (i32, Option<i32>, Ipv4Address) {
    let frame = EthernetFrame::new_checked(frame).unwrap();
    assert_eq!((frame.src_addr(), frame.dst_addr()), (us(), them()));
    let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
    assert!(packet.verify_checksum() && packet.dst_addr() == PEER);
    let (from, to) = (IpAddress::Ipv4(packet.src_addr()), IpAddress::Ipv4(packet.dst_addr()));
    let segment = TcpPacket::new_checked(packet.payload()).unwrap();
    assert!(segment.verify_checksum(&from, &to) && segment.rst() && !segment.syn());
    assert_eq!((segment.src_port(), segment.dst_port()), (CLOSED, 40_000));
    let ack = segment.ack().then(|| segment.ack_number().0);
    (segment.seq_number().0, ack, packet.src_addr())
}

/// RFC 9293, 3.10.7.1: what the peer sent is acknowledged whole, or what it expects is used.
#[test]
fn a_segment_of_no_connection_gets_a_reset_that_counts() {
    for (flags, payload, seq, ack) in [
        ("S", &b""[..], 0, Some(1001)),
        ("", b"abc", 0, Some(1003)),
        ("F", b"abc", 0, Some(1004)),
        ("A", b"", 5000, None),
        ("A", b"abc", 5000, None),
        ("SA", b"", 5000, None),
    ] {
        for to in [HOST, LOAD] {
            let (counts, said) = says(segment(to, flags, payload));
            let [answer] = &said[..] else { panic!("{} answers to {flags}", said.len()) };
            assert_eq!(read_reset(answer), (seq, ack, to), "{flags} {payload:?}");
            assert_eq!((counts.get(Count::RstTx), counts.get(Count::DropNoConnection)), (1, 1));
        }
    }
}

#[test]
fn a_reset_is_never_answered() {
    for flags in ["R", "RA", "RSA"] {
        let (counts, said) = says(segment(LOAD, flags, b""));
        assert_eq!((said.len(), counts.get(Count::RstTx)), (0, 0), "{flags}");
    }
}

#[test]
fn strangers_get_no_reset_where_none_is_wanted() {
    let frames = [segment(LOAD, "S", b""), segment(HOST, "A", b"x")];
    let (counts, said) = says_as(&frames, |plan| plan.tcp_rst = false);
    assert_eq!((said.len(), counts.get(Count::DropNoConnection)), (0, 2));
}

/// What a switch floods is others' business, whatever it is.
#[test]
fn what_is_not_for_us_is_not_answered() {
    for mut frame in [segment(LOAD, "S", b""), segment(LOAD, "A", b"x"), ping(LOAD), ping(HOST)] {
        frame[..6].copy_from_slice(&[2, 9, 9, 9, 9, 9]);
        let (counts, said) = says(frame);
        assert_eq!((said.len(), counts.get(Count::DropForeignMac)), (0, 1));
        assert_eq!(counts.get(Count::RstTx), 0);
    }
    for frame in [segment(OTHER, "S", b""), segment(OTHER, "A", b"x"), ping(OTHER)] {
        let (counts, said) = says(frame);
        assert_eq!((said.len(), counts.get(Count::DropForeignAddress)), (0, 1));
    }
}

/// RFC 9293, 3.9.2.3: a segment for many, or from many, is nobody's.
#[test]
fn a_segment_for_a_group_is_not_answered() {
    for to in [Ipv4Address::BROADCAST, Ipv4Address::new(224, 0, 0, 1), Ipv4Address::UNSPECIFIED] {
        for mac in [us(), EthernetAddress::BROADCAST, EthernetAddress([1, 0, 0x5e, 0, 0, 1])] {
            for flags in ["S", "A", "FA"] {
                let mut frame = segment(to, flags, b"");
                frame[..6].copy_from_slice(&mac.0);
                let (counts, said) = says(frame);
                let dropped = counts.get(Count::DropForeignAddress);
                assert_eq!((said.len(), dropped), (0, 1), "{flags} {to} by {mac}");
            }
        }
    }
}

/// RFC 9293, 3.9.2.2: unreachable (0 to 5), source quench, time exceeded and parameter problem end
/// no connection here, not even those (2 to 4) that may.
#[test]
fn an_icmp_error_ends_no_connection() {
    let client = (Ipv4Address::new(10, 1, 0, 2), 1024);
    let syn = segment_between(client, (LOAD, 80), "S", b"");
    let syn_ack = says(syn.clone()).1.remove(0);
    let kinds = (0..6).map(|code| (3, code)).chain([(4, 0), (11, 0), (12, 0)]);
    for (kind, code) in kinds {
        let mut error = [&[kind, code, 0, 0, 0, 0, 0, 0], &syn_ack[14..42]].concat();
        Icmpv4Packet::new_unchecked(&mut error[..]).fill_checksum();
        let frames = [syn.clone(), ipv4(LOAD, 0, IpProtocol::Icmp, &error)];
        let (counts, said) = says_as(&frames, |_| ());
        assert_eq!((said.len(), counts.get(Count::IcmpRx)), (1, 1), "{kind} {code}");
        assert_eq!((counts.get(Count::SkOpen), counts.get(Count::SkClose)), (1, 0));
    }
}

#[test]
fn a_ping_is_answered_by_who_was_asked_and_by_no_group() {
    for to in [HOST, LOAD] {
        let (counts, said) = says(ping(to));
        let [answer] = &said[..] else { panic!("{} answers", said.len()) };
        let frame = EthernetFrame::new_checked(&answer[..]).unwrap();
        assert_eq!((frame.src_addr(), frame.dst_addr()), (us(), them()));
        let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
        assert!(packet.verify_checksum());
        assert_eq!((packet.src_addr(), packet.dst_addr()), (to, PEER));
        let echo = Icmpv4Packet::new_checked(packet.payload()).unwrap();
        assert!(echo.verify_checksum() && echo.msg_type() == Icmpv4Message::EchoReply);
        assert_eq!((counts.get(Count::IcmpRx), counts.get(Count::IcmpTx)), (1, 1));
    }
    for to in [Ipv4Address::BROADCAST, Ipv4Address::new(224, 0, 0, 1), Ipv4Address::UNSPECIFIED] {
        for mac in [us(), EthernetAddress::BROADCAST, EthernetAddress([1, 0, 0x5e, 0, 0, 1])] {
            let mut frame = ping(to);
            frame[..6].copy_from_slice(&mac.0);
            assert_eq!(says(frame).1.len(), 0, "{to} by {mac}");
        }
    }
}

/// An answer to a ping has the ping's (RFC 1349, section 5.1), what we send by ourselves has ours.
#[test]
fn the_type_of_service_is_counted_and_sent() {
    let pings = [(LOAD, 0x68), (LOAD, 0), (HOST, 0x68)].map(|(to, tos)| {
        let ping = ping(to);
        ipv4(to, tos, IpProtocol::Icmp, &ping[34..])
    });
    let frames = [&pings[..], &[segment(LOAD, "S", b"")]].concat();
    let (counts, said) = says_as(&frames, |plan| plan.tos = 0x68);
    assert_eq!(counts.get(Count::TosRx), 2);
    assert_eq!(said.iter().map(|frame| frame[15]).collect::<Vec<_>>(), [0x68, 0, 0x68, 0x68]);
    assert_eq!(says_as(&frames, |_| ()).0.get(Count::TosRx), 0);
}
