//! What a server says to those it has nothing to do with, over IPv4: as little as the RFCs allow,
//! from its own addresses only, and never twice. The frames are smoltcp's.

use dperf_core::exception::Closed;
use dperf_core::plan::{CorePlan, Encap, Role};
use dperf_core::stats::{Count, Snapshot};
use dperf_core::sync::Gateway;
use dperf_tests::alone;
use dperf_tests::hostile;
use dperf_tests::ipv4::Way;
use dperf_tests::reference;
use dperf_tests::scenario::{Scenario, Side, Travel, mac};
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, Icmpv4Message, Icmpv4Packet, IpAddress, IpProtocol,
    Ipv4Address, Ipv4Packet, TcpPacket,
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

/// The peer's way to `to`.
fn way(to: Ipv4Address) -> Way {
    Way { macs: [them(), us()], addresses: [PEER, to] }
}

/// A segment of a connection that nobody knows.
fn segment(to: Ipv4Address, flags: &str, payload: &[u8]) -> Vec<u8> {
    way(to).segment([40_000, CLOSED], flags, payload)
}

fn ping(to: Ipv4Address) -> Vec<u8> {
    way(to).ping(0)
}

/// What a server counts and says when `frames` come.
fn says_as(frames: &[Vec<u8>], change: impl FnOnce(&mut CorePlan<'_>)) -> (Snapshot, Vec<Vec<u8>>) {
    let scenario = Scenario::short(1);
    let side = Side::new(&scenario, Role::Server, 0);
    let gateway = Gateway::new(Some(side.peer_mac()));
    let mut plan = side.plan(&scenario);
    plan.announces = false;
    change(&mut plan);
    let said = alone::hear(plan, &gateway, frames);
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
    let client = Way { addresses: [Ipv4Address::new(10, 1, 0, 2), LOAD], ..way(LOAD) };
    let syn = client.segment([1024, 80], "S", b"");
    let syn_ack = says(syn.clone()).1.remove(0);
    let kinds = (0..6).map(|code| (3, code)).chain([(4, 0), (11, 0), (12, 0)]);
    for (kind, code) in kinds {
        let mut error = [&[kind, code, 0, 0, 0, 0, 0, 0], &syn_ack[14..42]].concat();
        Icmpv4Packet::new_unchecked(&mut error[..]).fill_checksum();
        let frames = [syn.clone(), way(LOAD).packet(0, IpProtocol::Icmp, &error)];
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
    let pings = [(LOAD, 0x68), (LOAD, 0), (HOST, 0x68)].map(|(to, tos)| way(to).ping(tos));
    let frames = [&pings[..], &[segment(LOAD, "S", b"")]].concat();
    let (counts, said) = says_as(&frames, |plan| plan.tos = 0x68);
    assert_eq!(counts.get(Count::TosRx), 2);
    assert_eq!(said.iter().map(|frame| frame[15]).collect::<Vec<_>>(), [0x68, 0, 0x68, 0x68]);
    assert_eq!(says_as(&frames, |_| ()).0.get(Count::TosRx), 0);
}

#[test]
fn a_hostile_frame_is_counted_for_what_it_is_and_not_answered() {
    let mut wrong = Vec::new();
    for to in [HOST, LOAD] {
        for hostile in hostile::frames(&way(to)) {
            let (counts, said) = says(hostile.frame);
            wrong.extend(hostile::misjudged(&hostile.name, hostile.counter, &counts, said.len()));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_hostile_frame_in_a_tunnel_is_counted_for_what_it_is_and_not_answered() {
    let scenario = Scenario { travel: Travel::Vxlan, ..Scenario::short(1) };
    let side = Side::new(&scenario, Role::Server, 0);
    let plan = CorePlan { announces: false, ..side.plan(&scenario) };
    let Encap::Vxlan(tunnel) = plan.encap else { panic!("a tunnel") };
    let way = Way { macs: [them(), us()], addresses: [tunnel.remote, tunnel.local] };
    let macs = [tunnel.destination, tunnel.source].map(|mac| EthernetAddress(mac.0));
    let inside = Way { macs, addresses: [Ipv4Address::new(10, 1, 0, 2), LOAD] };
    let mut wrong = Vec::new();
    for hostile in hostile::vxlan_frames(&way, tunnel.vni, &inside) {
        let gateway = Gateway::new(Some(side.peer_mac()));
        let said = alone::hear(plan, &gateway, std::slice::from_ref(&hostile.frame));
        let (counts, answers) = (said.counts, said.frames.len());
        wrong.extend(hostile::misjudged(&hostile.name, hostile.counter, &counts, answers));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Many that knock and never come in keep the timers behind; who came in and fell silent is given
/// up nevertheless.
#[test]
fn a_silent_connection_is_given_up_however_many_knock() {
    const TURNS: u64 = 400;
    let side = Side::new(&Scenario::short(1), Role::Server, 0);
    let plan = CorePlan {
        announces: false,
        retransmit_timeout_us: 2_000,
        idle_timeout_us: 10_000,
        ..side.plan(&Scenario::short(1))
    };
    let tuple = |number: u16, flags: &str| {
        let [client, server] = [number / 5000 % 2, number / 10_000].map(|place| place as u8);
        let addresses = [[10, 1, 0, 2 + client], [10, 2, 0, 2 + server]].map(Ipv4Address::from);
        let way = Way { macs: [them(), us()], addresses };
        way.segment([1024 + number % 5000, 80], flags, b"")
    };
    let serve = |mut before: Box<dyn FnMut(u64) -> Vec<Vec<u8>>>| {
        let gateway = Gateway::new(Some(side.peer_mac()));
        let times = (0..TURNS).map(|turn| turn * 64_000);
        alone::serve(plan, &gateway, Closed, times, |now, wire| {
            wire.lock().unwrap().extend(before(now / 64_000));
        })
    };
    let first = |turn, frame: Vec<u8>| if turn == 0 { vec![frame] } else { Vec::new() };
    let said = serve(Box::new(move |turn| first(turn, tuple(0, "S")))).bytes();
    let (tcp, _) = reference::segment_of(&said[0]).expect("a SYN-ACK");
    let mut ack = tuple(0, "A");
    // Behind its SYN and ours.
    ack[tcp + 4..tcp + 8].copy_from_slice(&1001u32.to_be_bytes());
    let seq = u32::from_be_bytes(said[0][tcp + 4..tcp + 8].try_into().unwrap());
    ack[tcp + 8..tcp + 12].copy_from_slice(&seq.wrapping_add(1).to_be_bytes());
    reference::repair(&mut ack);
    let knocks = 32;
    let said = serve(Box::new(move |turn| match turn {
        0 => vec![tuple(0, "S")],
        1 => vec![ack.clone()],
        _ => (0..knocks).map(|knock| tuple((turn * knocks + knock) as u16, "S")).collect(),
    }));
    assert!(said.counts.get(Count::SynRt) > 1_000, "{}", said.counts.get(Count::SynRt));
    assert_eq!(said.counts.get(Count::SkErrIdle), 1);
}
