//! A polite neighbour over IPv6: it answers for its own addresses and no other, as the RFCs say,
//! believes the gateway alone, and takes nothing that is not what it says it is. The frames are
//! smoltcp's.

use std::collections::HashSet;

use dperf_core::exception::Closed;
use dperf_core::plan::{CorePlan, Role};
use dperf_core::stats::{Count, Snapshot};
use dperf_core::sync::Gateway;
use dperf_core::wire::ethernet::MacAddr;
use dperf_tests::alone::{self, Said};
use dperf_tests::hostile;
use dperf_tests::ipv6::{Way, read_icmp, read_neighbor};
use dperf_tests::scenario::{SECOND, Scenario, Side, mac};
use smoltcp::wire::{
    EthernetAddress, Icmpv6Repr, IpProtocol, Ipv6Address, NdiscNeighborFlags as Flags,
};

fn ip(text: &str) -> Ipv6Address {
    text.parse().unwrap()
}

/// The server's own address, two of the load's, its gateway's, and somebody else's.
const HOST: &str = "fd00:4::ca";
const LOAD: &str = "fd00:2::2";
const GATEWAY: &str = "fd00:3::ca";
const OTHER: &str = "fd00:2::9";
/// Like an address of the load in its last 96 bits.
const ALMOST: &str = "fd00:aaaa:0:0:0:0:0:2";

const ALL_NODES: &str = "ff02::1";

fn us() -> EthernetAddress {
    EthernetAddress(mac(Role::Server, 0).0)
}

fn them() -> EthernetAddress {
    EthernetAddress([2, 0, 0, 0, 0, 1])
}

fn scenario() -> Scenario {
    Scenario { ipv6: true, gateway_known: false, ..Scenario::short(1) }
}

/// From the gateway, or whoever has its address, to `to`.
fn from_gateway(to: &str) -> Way {
    Way { macs: [them(), us()], addresses: [ip(GATEWAY), ip(to)], hops: 255 }
}

/// To the group in which whoever has `target` listens.
fn to_group(way: Way, target: &str) -> Way {
    let [.., a, b, c] = ip(target).octets();
    let group = format!("ff02::1:ff{a:02x}:{b:02x}{c:02x}");
    Way {
        macs: [way.macs[0], EthernetAddress([0x33, 0x33, 0xff, a, b, c])],
        addresses: [way.addresses[0], ip(&group)],
        ..way
    }
}

/// A server that hears `frames`, and says nothing unasked; what it says.
fn says_as(
    frames: &[Vec<u8>],
    gateway: &Gateway,
    change: impl FnOnce(&mut CorePlan<'_>),
) -> (Snapshot, Vec<Vec<u8>>) {
    let scenario = scenario();
    let side = Side::new(&scenario, Role::Server, 0);
    let mut plan = side.plan(&scenario);
    plan.announces = false;
    change(&mut plan);
    let said = alone::hear(plan, gateway, frames);
    (said.counts, said.bytes())
}

fn says(frame: &[u8]) -> Vec<Vec<u8>> {
    says_as(&[frame.to_vec()], &Gateway::new(None), |_| ()).1
}

#[test]
fn a_solicitation_for_an_own_address_is_answered() {
    for target in [HOST, LOAD] {
        for stated in [true, false] {
            for way in [from_gateway(target), to_group(from_gateway(target), target)] {
                let said = says(&way.solicitation(ip(target), stated));
                let [answer] = &said[..] else { panic!("{} answers", said.len()) };
                let (way, told, mac, flags) = read_neighbor(answer);
                assert_eq!((way.macs, way.hops), ([us(), them()], 255));
                assert_eq!(way.addresses, [ip(target), ip(GATEWAY)]);
                assert_eq!((told, mac), (ip(target), Some(us())));
                assert_eq!(flags, Some(Flags::SOLICITED | Flags::OVERRIDE));
            }
        }
    }
}

/// Who looks whether an address is free has none to be answered at (RFC 4862 section 5.4.3).
#[test]
fn who_has_no_address_yet_is_answered_in_the_group() {
    let nobody = Way { addresses: [ip("::"), ip(LOAD)], ..from_gateway(LOAD) };
    let said = says(&to_group(nobody, LOAD).solicitation(ip(LOAD), false));
    let [answer] = &said[..] else { panic!("{} answers", said.len()) };
    let (way, told, mac, flags) = read_neighbor(answer);
    assert_eq!(way.macs, [us(), EthernetAddress([0x33, 0x33, 0, 0, 0, 1])]);
    assert_eq!(way.addresses, [ip(LOAD), ip(ALL_NODES)]);
    assert_eq!((told, mac, flags), (ip(LOAD), Some(us()), Some(Flags::OVERRIDE)));
    for wrong in [nobody.solicitation(ip(LOAD), false), {
        to_group(nobody, LOAD).solicitation(ip(LOAD), true)
    }] {
        let (counts, said) = says_as(&[wrong], &Gateway::new(None), |_| ());
        assert_eq!((said.len(), counts.get(Count::DropValue)), (0, 1));
    }
}

#[test]
fn nobody_elses_address_is_answered_for() {
    for target in [OTHER, ALMOST, GATEWAY] {
        let way = to_group(from_gateway(target), target);
        assert_eq!(says(&way.solicitation(ip(target), true)), [[0; 0]; 0], "{target}");
    }
}

#[test]
fn ignored_addresses_stay_silent_and_the_own_one_does_not() {
    for (target, answers) in [(HOST, 1), (LOAD, 0)] {
        let frame = to_group(from_gateway(target), target).solicitation(ip(target), true);
        let quiet = |plan: &mut CorePlan<'_>| plan.neigh_ignore = true;
        let (counts, said) = says_as(&[frame], &Gateway::new(None), quiet);
        assert_eq!((said.len(), counts.get(Count::IcmpTx)), (answers, answers as u64), "{target}");
    }
}

/// What `frame` teaches about an unknown gateway, and about one that was learnt.
fn learnt(frame: &[u8]) -> [Option<MacAddr>; 2] {
    [None, Some(MacAddr([6; 6]))].map(|before| {
        let gateway = Gateway::new(None);
        before.into_iter().for_each(|mac| gateway.store(mac));
        says_as(&[frame.to_vec()], &gateway, |_| ());
        gateway.load()
    })
}

#[test]
fn only_the_gateways_own_word_is_taken_for_it() {
    let old = Some(MacAddr([6; 6]));
    let new = Some(MacAddr(them().0));
    let (to_us, to_all) = (from_gateway(HOST), from_gateway(ALL_NODES));
    let solicited = Flags::SOLICITED | Flags::OVERRIDE;
    let table = [
        ("an answer", to_us.advertisement(ip(GATEWAY), solicited), [new, new]),
        (
            "an answer that overrides nothing",
            { to_us.advertisement(ip(GATEWAY), Flags::SOLICITED) },
            [new, old],
        ),
        ("news for everybody", to_all.advertisement(ip(GATEWAY), Flags::OVERRIDE), [new, new]),
        ("an answer to everybody", to_all.advertisement(ip(GATEWAY), solicited), [None, old]),
        (
            "an answer to somebody",
            { from_gateway(OTHER).advertisement(ip(GATEWAY), solicited) },
            [None, old],
        ),
        ("another's address", to_us.advertisement(ip(OTHER), solicited), [None, old]),
        (
            "a routed answer",
            { Way { hops: 254, ..to_us }.advertisement(ip(GATEWAY), solicited) },
            [None, old],
        ),
        ("its question", to_us.solicitation(ip(HOST), true), [new, new]),
        ("a question without its address", to_us.solicitation(ip(HOST), false), [None, old]),
    ];
    for (what, frame, expected) in table {
        assert_eq!(learnt(&frame), expected, "{what}");
    }
    let group = Way { macs: [EthernetAddress([3; 6]), us()], ..to_us };
    assert_eq!(learnt(&group.advertisement(ip(GATEWAY), solicited)), [None, old]);
}

#[test]
fn a_configured_gateway_stays_where_it_is() {
    let gateway = Gateway::new(Some(MacAddr([6; 6])));
    let frame = from_gateway(HOST).advertisement(ip(GATEWAY), Flags::OVERRIDE);
    says_as(&[frame], &gateway, |_| ());
    assert_eq!(gateway.load(), Some(MacAddr([6; 6])));
}

#[test]
fn every_message_is_counted_once() {
    let solicitation = to_group(from_gateway(HOST), HOST).solicitation(ip(HOST), true);
    let frames = [
        solicitation.clone(),
        from_gateway(HOST).advertisement(ip(GATEWAY), Flags::SOLICITED),
        from_gateway(HOST).echo(b"data"),
        from_gateway(ALL_NODES).echo(b"data"),
    ];
    let (counts, said) = says_as(&frames, &Gateway::new(None), |_| ());
    assert_eq!((counts.get(Count::IcmpRx), counts.get(Count::IcmpTx), said.len()), (4, 2, 2));
    assert_eq!((counts.get(Count::BadRx), counts.get(Count::OtherRx)), (0, 0));
}

#[test]
fn no_lie_is_answered() {
    let neighbour = from_gateway(HOST).solicitation(ip(HOST), true);
    let echo = from_gateway(HOST).echo(b"some data");
    for good in [&neighbour, &echo] {
        assert_eq!(says(good).len(), 1);
        for length in 0..good.len() {
            assert_eq!(says(&good[..length]).len(), 0, "{length} bytes");
        }
        // Behind the addresses everything is covered by the checksum.
        for at in 54..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            let (counts, said) = says_as(&[bad], &Gateway::new(None), |_| ());
            let of = [Count::BadRx, Count::IcmpRx].map(|count| counts.get(count));
            assert_eq!((said.len(), of), (0, [1, 0]), "byte {at}");
        }
    }
    for hops in [0, 1, 64, 254] {
        let far = Way { hops, ..from_gateway(HOST) }.solicitation(ip(HOST), true);
        let (counts, said) = says_as(&[far], &Gateway::new(None), |_| ());
        assert_eq!((said.len(), counts.get(Count::DropValue)), (0, 1), "{hops} hops");
    }
}

#[test]
fn pings_of_own_addresses_alone_are_answered() {
    let data = [7; 1000];
    for to in [HOST, LOAD] {
        let mut ping = Way { hops: 3, ..from_gateway(to) }.echo(&data);
        // Its traffic class comes back.
        ping[14] |= 0x0b;
        ping[15] |= 0x80;
        let said = says(&ping);
        let [answer] = &said[..] else { panic!("{} answers", said.len()) };
        let (way, ()) = read_icmp(answer, |repr| {
            assert_eq!(*repr, Icmpv6Repr::EchoReply { ident: 7, seq_no: 9, data: &data });
        });
        assert_eq!((way.macs, way.hops), ([us(), them()], 64));
        assert_eq!(way.addresses, [ip(to), ip(GATEWAY)]);
        assert_eq!(answer[14..16], [0x6b, 0x80]);
    }
    let everybody = EthernetAddress([0x33, 0x33, 0, 0, 0, 1]);
    let to_all = Way { macs: [them(), everybody], ..from_gateway(ALL_NODES) };
    let from = |who: &str| Way { addresses: [ip(who), ip(HOST)], ..from_gateway(HOST) };
    let to_group = Way { macs: [them(), everybody], ..from_gateway(HOST) };
    let ways =
        [to_all, to_group, from_gateway(OTHER), from_gateway(ALMOST), from("::"), from("ff02::5")];
    for way in ways {
        assert_eq!(says(&way.echo(&data)).len(), 0, "{way:?}");
    }
}

/// Extension headers are the request's: none of them comes back.
#[test]
fn an_answer_has_no_extension_headers() {
    let way = from_gateway(HOST);
    let ping = way.echo(b"data");
    let plain = says(&ping);
    let mut payload = vec![60, 0, 1, 4, 0, 0, 0, 0];
    payload.extend([58, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    payload.extend(&ping[54..]);
    assert_eq!(says(&way.packet(IpProtocol::HopByHop, &payload)), plain);
    assert_eq!(plain.len(), 1);
    let solicitation = way.solicitation(ip(HOST), true);
    payload.splice(24.., solicitation[54..].iter().copied());
    assert_eq!(says(&way.packet(IpProtocol::HopByHop, &payload)), says(&solicitation));
}

/// Two ends that agree in their last 32 bits, or 96, are not the same.
#[test]
fn every_bit_of_an_address_counts() {
    let gateway = Gateway::new(Some(MacAddr(them().0)));
    let answers = |from: &str, to: &str| {
        let way = Way { addresses: [ip(from), ip(to)], ..from_gateway(to) };
        let quiet = |plan: &mut CorePlan<'_>| plan.tcp_rst = false;
        says_as(&[way.syn(2000, 80)], &gateway, quiet).1.len()
    };
    assert_eq!(answers("fd00:1::2", LOAD), 1);
    for bit in 0..128 {
        let flip = |text: &str| Ipv6Address::from_bits(ip(text).to_bits() ^ 1 << bit).to_string();
        // There are two of each: ::2 and ::3.
        let own = usize::from(bit == 0);
        assert_eq!(answers("fd00:1::2", &flip(LOAD)), own, "bit {bit} of the server");
        assert_eq!(answers(&flip("fd00:1::2"), LOAD), own, "bit {bit} of the client");
    }
}

/// A reset goes to stations alone: not to a group, nor to nobody, nor to ourselves.
#[test]
fn only_a_station_is_reset() {
    let gateway = Gateway::new(Some(MacAddr(them().0)));
    for (from, resets) in [("fd00:1::2", 1), ("ff02::1", 0), ("::", 0), ("::1", 0), (LOAD, 0)] {
        let way = Way { addresses: [ip(from), ip(LOAD)], ..from_gateway(LOAD) };
        let (counts, _) = says_as(&[way.syn(2000, 22)], &gateway, |_| ());
        assert_eq!(counts.get(Count::RstTx), resets, "{from}");
    }
}

#[test]
fn the_traffic_class_is_counted_and_sent() {
    let gateway = Gateway::new(Some(MacAddr(them().0)));
    let way = Way { addresses: [ip("fd00:1::2"), ip(LOAD)], ..from_gateway(LOAD) };
    for (class, counted) in [(0xb9, 1), (0xb8, 0), (0x09, 0), (0, 0)] {
        let mut syn = way.syn(2000, 80);
        syn[14] |= class >> 4;
        syn[15] |= class << 4;
        let marked = |plan: &mut CorePlan<'_>| plan.tos = 0xb9;
        let (counts, said) = says_as(&[syn], &gateway, marked);
        assert_eq!(counts.get(Count::TosRx), counted, "class {class:#x}");
        assert_eq!(said[0][14..16], [0x6b, 0x90]);
    }
}

/// Addresses of the load: fewer than ten times thirty, or more.
fn addresses(ipv6: bool) -> u32 {
    if ipv6 { 400 } else { 200 }
}

/// What a server says unasked within `seconds`; it hears an answer of the gateway at second
/// `answered`.
fn unasked(ipv6: bool, seconds: u64, answered: Option<u64>, neigh_ignore: bool) -> Said {
    let scenario = Scenario { ipv6, space: [1, addresses(ipv6), 1, 1], ..scenario() };
    let side = Side::new(&scenario, Role::Server, 0);
    let plan = CorePlan { neigh_ignore, ..side.plan(&scenario) };
    let gateway = Gateway::new(None);
    let times = (0..seconds * 1000).map(|milli| milli * SECOND / 1000);
    alone::serve(plan, &gateway, Closed, times, |now, _| {
        if Some(now) == answered.map(|second| second * SECOND) {
            gateway.store(MacAddr(them().0));
        }
    })
}

/// Of each frame: when it was sent, in whose name, and for whom it asks.
fn told(said: &Said, ipv6: bool) -> Vec<(u64, String, String)> {
    let octets = |bytes: &[u8]| match <[u8; 4]>::try_from(bytes) {
        Ok(four) => std::net::Ipv4Addr::from(four).to_string(),
        Err(_) => Ipv6Address::from_octets(bytes.try_into().unwrap()).to_string(),
    };
    let read = |(now, frame): &(u64, Vec<u8>)| {
        let (own, asked) =
            if ipv6 { (&frame[22..38], &frame[62..78]) } else { (&frame[28..32], &frame[38..42]) };
        (*now, octets(own), octets(asked))
    };
    said.frames.iter().map(read).collect()
}

#[test]
fn the_gateway_is_asked_for_until_it_is_known_and_now_and_then_again() {
    for ipv6 in [true, false] {
        let said = unasked(ipv6, 100, Some(7), true);
        let (host, gateway) = if ipv6 { (HOST, GATEWAY) } else { ("10.4.0.202", "10.3.0.202") };
        let told = told(&said, ipv6);
        let asked = told.iter().filter(|(.., asked)| asked == gateway);
        let times: Vec<u64> = asked.map(|(now, ..)| now / SECOND).collect();
        assert_eq!(times, [0, 1, 2, 3, 4, 5, 6, 37, 67, 97]);
        assert!(told.iter().all(|(_, own, _)| own == host), "only the port's own address");
        let announced: Vec<_> = told.iter().filter(|(.., asked)| asked == host).collect();
        assert_eq!(announced.len(), 3);
        let count = if ipv6 { Count::IcmpTx } else { Count::ArpTx };
        assert_eq!(said.counts.get(count), told.len() as u64);
        if ipv6 {
            let [ask, .., announcement] = &said.frames[..] else { panic!() };
            let (way, target, mac, flags) = read_neighbor(&ask.1);
            assert_eq!(
                (way, target),
                (Way { macs: [us(), way.macs[1]], ..to_group(from_host(), GATEWAY) }, ip(GATEWAY))
            );
            assert_eq!((mac, flags), (Some(us()), None));
            let (_, _, mac, flags) = read_neighbor(&announcement.1);
            assert_eq!(
                (mac, flags.is_none() || flags == Some(Flags::OVERRIDE)),
                (Some(us()), true)
            );
        }
    }
}

/// From our own address to anybody.
fn from_host() -> Way {
    Way { macs: [us(), us()], addresses: [ip(HOST), ip(HOST)], hops: 255 }
}

/// Every address is introduced at once, and announced again for as long as the run lasts: evenly,
/// each within half a minute, but no more than ten a second.
#[test]
fn no_address_is_forgotten() {
    for ipv6 in [true, false] {
        let said = unasked(ipv6, 100, Some(0), false);
        let told = told(&said, ipv6);
        let gateway = if ipv6 { GATEWAY } else { "10.3.0.202" };
        let count = addresses(ipv6) as usize;
        let introduced: HashSet<_> =
            told.iter().take_while(|(.., asked)| asked == gateway).map(|(_, own, _)| own).collect();
        assert!(introduced.len() == count && told[count - 1].0 < SECOND);
        let again: Vec<_> = told.iter().filter(|(_, own, asked)| own == asked).collect();
        let spacing = (30 * SECOND / (count as u64 + 1)).max(SECOND / 10);
        for pair in again.windows(2) {
            let apart = pair[1].0 - pair[0].0;
            assert!((spacing..spacing + SECOND / 500).contains(&apart), "{apart} ns");
        }
        let names: HashSet<_> = again[..=count].iter().map(|(_, own, _)| own).collect();
        assert_eq!(names.len(), count + 1, "all of the load's, and the port's own");
        assert!(again[count + 1..].iter().zip(&again).all(|(later, first)| later.1 == first.1));
        assert!(again.len() > 2 * count);
    }
}

#[test]
fn a_hostile_frame_is_counted_for_what_it_is_and_not_answered() {
    let mut wrong = Vec::new();
    for to in [HOST, LOAD] {
        for hostile in hostile::ipv6_frames(&from_gateway(to)) {
            let gateway = Gateway::new(None);
            let (counts, said) = says_as(&[hostile.frame], &gateway, |_| ());
            wrong.extend(hostile::misjudged(&hostile.name, hostile.counter, &counts, said.len()));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
