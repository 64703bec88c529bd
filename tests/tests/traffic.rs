//! Loads other than short connections: datagrams, floods, hops and paces, each told by what crossed
//! a simulated wire and by the counters of both sides.

use std::collections::{BTreeMap, HashSet};

use dperf_core::http::RESPONSE_HEADER_BYTES;
use dperf_core::plan::{Messages, Role, Transport};
use dperf_core::port::Offloads;
use dperf_core::stats::Count;
use dperf_tests::conditions::Conditions;
use dperf_tests::scenario::{MICRO, MILLI, SECOND, Scenario, Travel, mac};
use dperf_tests::sim::{self, Report};
use dperf_tests::storm::Storm;
use dperf_tests::{laws, pcap, reference};

/// Runs the scenario, checks the laws, and keeps what crossed the wire.
fn run(scenario: &Scenario) -> Report {
    let report = sim::run_kept(scenario, true, |_| {});
    laws::hold(scenario, &report);
    report
}

fn client(report: &Report, count: Count) -> u64 {
    report.machines[0].counts.get(count)
}

fn server(report: &Report, count: Count) -> u64 {
    report.machines[1].counts.get(count)
}

/// The octets of an address, and a port.
type End = (Vec<u8>, u16);

/// A packet of load.
struct Seen {
    at: u64,
    /// Address and port of the sender.
    from: End,
    /// Address and port of its peer.
    to: End,
    payload: Vec<u8>,
    /// It is a segment, the last of its sender.
    fin: bool,
}

/// What the client sent, in order.
fn sent(report: &Report) -> Vec<Seen> {
    sent_by(Role::Client, report)
}

/// What one side sent, in order.
fn sent_by(role: Role, report: &Report) -> Vec<Seen> {
    let mut seen = Vec::new();
    for (at, frame) in pcap::frames(report.capture.as_deref().expect("kept")) {
        if frame[6..12] != mac(role, 0).0 {
            continue;
        }
        let Some((l4, end)) = reference::datagram_of(frame).or(reference::segment_of(frame)) else {
            continue;
        };
        let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let ips = if frame[12..14] == [8, 0] { (26..30, 30..34) } else { (22..38, 38..54) };
        let header = if reference::is_tcp(frame) { 20 } else { 8 };
        seen.push(Seen {
            at,
            from: (frame[ips.0].to_vec(), port(l4)),
            to: (frame[ips.1].to_vec(), port(l4 + 2)),
            payload: frame[l4 + header..end].to_vec(),
            fin: header == 20 && frame[l4 + 13] & 1 != 0,
        });
    }
    seen
}

fn lossy(loss: u32) -> Conditions {
    Conditions { loss, ..Conditions::CABLE }
}

#[test]
fn a_datagram_is_answered_by_one() {
    for ipv6 in [false, true] {
        for bytes in [0, 1, 64, 1452] {
            let scenario = Scenario {
                ipv6,
                request_bytes: bytes,
                response_bytes: 1452 - bytes,
                ..Scenario::datagrams(1)
            };
            let report = run(&scenario);
            let opened = client(&report, Count::SkOpen);
            assert!((1990..=2001).contains(&opened), "{opened}");
            assert_eq!(client(&report, Count::UdpTx), opened);
            assert_eq!(client(&report, Count::UdpRx), opened);
            assert_eq!(client(&report, Count::RttCount), opened);
            // The cable is 5 us long, each way; a turn takes half of one.
            let rtt = client(&report, Count::RttUnits) * 512 / opened;
            assert!((10_000..13_000).contains(&rtt), "{rtt} ns");
            assert!(sent(&report).iter().all(|seen| seen.payload.len() == bytes as usize));
        }
    }
}

/// Tags and tunnels carry datagrams as they carry segments.
#[test]
fn datagrams_travel_in_tags_and_tunnels() {
    for travel in [Travel::Vlan, Travel::Qinq, Travel::Vxlan] {
        for ipv6 in [false, true] {
            let scenario = Scenario { travel, ipv6, ..Scenario::datagrams(15) };
            let report = run(&scenario);
            let opened = client(&report, Count::SkOpen);
            assert!(opened > 1900 && client(&report, Count::RttCount) == opened);
        }
    }
}

#[test]
fn every_datagram_is_answered_or_counted_as_lost() {
    for loss in [10_000, 200_000, 1_000_000] {
        let slow = Scenario { retransmit_us: 50_000, ..Scenario::datagrams(2) };
        let once = Scenario { network: lossy(loss), cps: 20_000, ..slow.clone() };
        let kept = Scenario { keepalive: Some((1_000, 20)), cps: 2_000, ..once.clone() };
        let row = Scenario {
            keepalive: Some((0, 0)),
            pipeline: 4,
            cc: 5,
            duration: 300 * MILLI,
            ..once.clone()
        };
        for scenario in [once, kept, row] {
            let report = run(&scenario);
            let lost = report.machines[0].fates.lost + report.machines[1].fates.lost;
            assert!(lost > 0 && client(&report, Count::UdpRt) == lost, "{loss}: {lost}");
        }
    }
}

/// A wire that damages: nothing damaged is taken for an answer, nothing is answered twice.
#[test]
fn damage_and_doubles_are_seen() {
    let network = Conditions { damage: 50_000, duplicate: 50_000, ..Conditions::CABLE };
    for ipv6 in [false, true] {
        let report = run(&Scenario { network, ipv6, ..Scenario::datagrams(3) });
        let [client, server] = [&report.machines[0], &report.machines[1]];
        let bad = |machine: &sim::Outcome| machine.counts.get(Count::BadRx);
        assert!(bad(client) > 20 && bad(server) > 20);
        assert!(client.counts.get(Count::UdpDrop) > 50);
        let answered = client.counts.get(Count::RttCount);
        assert_eq!(answered + client.counts.get(Count::UdpRt), client.counts.get(Count::UdpTx));
    }
}

/// Bad weather hurts nobody but the datagrams it hits: whatever was sent is answered or lost.
#[test]
fn a_storm_of_datagrams_is_counted() {
    for seed in 0..20 {
        let scenario = Scenario {
            // (A row that goes on with each answer would grow with each doubled one.)
            keepalive: [None, Some((2_000, 5)), Some((30_000, 3))][seed as usize % 3],
            ipv6: seed % 2 == 1,
            cps: 5_000,
            duration: 60 * MILLI,
            retransmit_us: 20_000,
            network: Conditions { delay: 20_000, ..Conditions::CABLE },
            ..Scenario::datagrams(seed)
        };
        let mut storm = Storm::new(seed);
        let report = sim::run_with(&scenario, |sim| {
            if sim.now() < scenario.duration && sim.steps() % 4 == 0 {
                storm.throw(&mut sim.wire());
            }
        });
        if let Err(broken) = laws::check(&scenario, &report) {
            panic!("seed {seed}: {scenario:?}\n{broken}");
        }
        let used = client(&report, Count::UdpRx) - client(&report, Count::UdpDrop);
        let lost = client(&report, Count::UdpRt);
        assert!(storm.thrown > 50 && used > 50, "{} thrown, {used} answered", storm.thrown);
        assert_eq!(client(&report, Count::UdpTx), used + lost, "seed {seed}");
    }
}

#[test]
fn kept_datagrams_go_out_in_every_interval_and_their_number_is_kept() {
    let scenario = Scenario {
        keepalive: Some((2_000, 7)),
        cps: 1_000,
        duration: 50 * MILLI,
        ..Scenario::datagrams(4)
    };
    let report = run(&scenario);
    let mut rows: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for seen in sent(&report) {
        rows.entry((seen.from, seen.to)).or_default().push(seen.at);
    }
    let whole = rows.values().filter(|row| row.len() == 7).count();
    assert!(whole >= 35 && rows.values().all(|row| row.len() <= 7));
    for row in rows.values() {
        for (place, at) in row.iter().enumerate() {
            let due = row[0] + place as u64 * 2_000 * MICRO;
            assert!(at.abs_diff(due) <= 12 * MICRO, "{place}: {at} {due}");
        }
    }
}

/// The rate of a pace, to the packet, from one connection to many. What takes long to simulate is
/// looked at for a tenth of a second.
#[test]
fn a_pace_is_exact_to_the_packet() {
    for (interval_us, cc, pipeline, transport) in [
        (1, 1, 1, Transport::Udp),
        (3, 2, 1, Transport::Udp),
        (10, 2, 4, Transport::Udp),
        (1_000, 100, 1, Transport::Udp),
        (2, 1, 1, Transport::Tcp),
        (500, 90, 1, Transport::Tcp),
    ] {
        let span = if interval_us < 100 { SECOND / 10 } else { SECOND };
        let scenario = Scenario {
            transport,
            flood: true,
            pipeline,
            keepalive: Some((interval_us, 0)),
            cc,
            cps: 1_000_000,
            space: [1, 1, cc as u32 + 50, 1],
            duration: span + 2 * MILLI,
            ..Scenario::datagrams(5)
        };
        let report = sim::run_kept(&scenario, true, |_| {});
        // All are open after 2 ms.
        let packets = sent(&report);
        let begun = 2 * MILLI;
        let count = packets.iter().filter(|s| (begun..begun + span).contains(&s.at)).count();
        let asked = cc * u64::from(pipeline) * span / 1_000 / interval_us;
        // One turn's packets, and each connection's phase.
        let slack = 2 + cc * u64::from(pipeline);
        let what = format!("{interval_us} us, {cc} open, {transport:?}: {count} of {asked}");
        assert!((count as u64).abs_diff(asked) <= slack, "{what}");
        // And evenly: no tenth of the time has more than its part.
        for tenth in 0..10 {
            let from = begun + tenth * span / 10;
            let part = packets.iter().filter(|s| (from..from + span / 10).contains(&s.at));
            let part = part.count() as u64;
            assert!(part.abs_diff(asked / 10) <= slack + asked / 1_000, "{what}: {part}");
        }
    }
}

/// A flood that asks for more packets than frames may leave.
fn more_than_can_leave(seed: u64) -> Scenario {
    Scenario {
        flood: true,
        keepalive: Some((100, 0)),
        cps: 1_000_000,
        ring: 256,
        turn: MILLI / 10,
        duration: 100 * MILLI,
        ..Scenario::datagrams(seed)
    }
}

/// More timers ring than frames may leave: connections open all the same.
#[test]
fn timers_that_are_behind_leave_room_for_opens() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let scenario =
            Scenario { transport, cc: 600, space: [1, 1, 700, 1], ..more_than_can_leave(5) };
        let report = sim::run_kept(&scenario, true, |_| {});
        assert_eq!(client(&report, Count::SkOpen), scenario.cc, "{transport:?}");
    }
}

/// Where more is asked for than can leave, a connection sends up to four datagrams in a row, none
/// more than others in the long run, and what was counted is what left.
#[test]
fn late_datagrams_go_back_to_back_and_nobody_is_forgotten() {
    let scenario = Scenario {
        cc: 100,
        space: [1, 1, 100, 1],
        duration: 200 * MILLI,
        ..more_than_can_leave(6)
    };
    let report = sim::run_kept(&scenario, true, |_| {});
    let packets = sent(&report);
    assert_eq!(packets.len() as u64, client(&report, Count::UdpTx));
    let rows: Vec<usize> =
        packets.chunk_by(|one, other| one.from == other.from).map(<[Seen]>::len).collect();
    let [two, four] = [2, 4].map(|many| rows.iter().filter(|row| **row == many).count());
    let longest = rows.iter().max().expect("some");
    assert!(four > 100 && *longest <= 8, "{four} rows of 4, {longest} in the longest");
    // There is room for as many as each may send.
    assert!(two < four / 4, "{two} rows of 2, {four} of 4");
    let mut shares = BTreeMap::new();
    packets.iter().for_each(|seen| *shares.entry(&seen.from).or_insert(0) += 1);
    let (least, most) = (shares.values().min(), shares.values().max());
    let (least, most) = (*least.expect("some"), *most.expect("some"));
    assert!(shares.len() == 100 && most <= least + least / 5, "{least} to {most}");
}

/// Requests over TCP at an interval that is longer than a round trip: exactly as many as asked.
#[test]
fn requests_are_paced_exactly() {
    for (interval_us, cc) in [(50, 5), (1_000, 30), (9_900, 100)] {
        let scenario = Scenario {
            keepalive: Some((interval_us, 0)),
            cc,
            cps: 100_000,
            duration: SECOND + 10 * MILLI,
            ..Scenario::short(6)
        };
        let report = run(&scenario);
        let requests = client(&report, Count::HttpGet);
        // The first of each goes out as soon as it is open, within 1 ms.
        let least = cc * ((SECOND + 9 * MILLI) / (interval_us * MICRO));
        let most = cc * ((SECOND + 10 * MILLI) / (interval_us * MICRO) + 1);
        assert!((least..=most).contains(&requests), "{least} {requests} {most}");
    }
}

/// An answer with a FIN is the last of its connection and says so, no other does; the sums of all
/// are right. (RFC 9112, 9.6)
#[test]
fn who_closes_a_kept_connection_says_so() {
    for offloads in [Offloads::empty(), Offloads::all()] {
        let scenario = Scenario {
            keepalive: Some((1_000, 0)),
            cc: 100,
            cps: 100_000,
            offloads,
            // Requests are under way when the run ends.
            network: Conditions { delay: 100_000, ..Conditions::CABLE },
            duration: 20 * MILLI,
            ..Scenario::short(8)
        };
        let report = run(&scenario);
        let answers: Vec<_> = sent_by(Role::Server, &report)
            .into_iter()
            .filter(|answer| answer.payload.starts_with(b"HTTP/1.1 200 OK\r\n"))
            .collect();
        let says = |answer: &Seen, word: &[u8]| {
            answer.payload[..RESPONSE_HEADER_BYTES].trim_ascii().ends_with(word)
        };
        for answer in &answers {
            assert_eq!(says(answer, b"\r\nConnection:close"), answer.fin);
            assert_eq!(says(answer, b"\r\nConnection:keep-alive"), !answer.fin);
        }
        let last = answers.iter().filter(|answer| answer.fin).count();
        assert!(last > 0 && answers.len() - last > 0, "{last} of {}", answers.len());
        assert_eq!(client(&report, Count::BadRx), 0);
    }
}

#[test]
fn each_socket_of_a_batch_begins_with_its_pipeline() {
    let scenario = Scenario {
        keepalive: Some((0, 0)),
        pipeline: 4,
        launch: 8,
        cc: 8,
        duration: MILLI,
        ..Scenario::datagrams(7)
    };
    let report = run(&scenario);
    let mut first: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for seen in sent(&report) {
        first.entry((seen.from, seen.to)).or_default().push(seen.at);
    }
    assert_eq!(first.len(), 8);
    for row in first.values() {
        // The first answer cannot be there before 10 us.
        assert!(row.len() > 4 && row[3] - row[0] < 10 * MICRO && row[4] - row[0] >= 10 * MICRO);
    }
    // Equally many are under way until the end.
    let answered = client(&report, Count::UdpRx);
    assert!(answered > 8 * 4 * 50, "{answered}");
}

#[test]
fn a_flood_hears_nothing_and_completes_nothing() {
    for transport in [Transport::Tcp, Transport::Udp] {
        for keepalive in [None, Some((100, 0)), Some((100, 5))] {
            let scenario = Scenario {
                transport,
                flood: true,
                keepalive,
                cps: 10_000,
                // A server gives its half-open connections up at last.
                idle_us: 1_000_000,
                ..Scenario::datagrams(8)
            };
            let report = sim::run_kept(&scenario, true, |_| {});
            let opened = client(&report, Count::SkOpen);
            let packets = sent(&report);
            let syn = client(&report, Count::SynTx);
            let went = client(&report, Count::TcpTx) + client(&report, Count::UdpTx);
            assert!(packets.len() as u64 == went && went > 100);
            match transport {
                Transport::Tcp => {
                    assert_eq!((went, server(&report, Count::SynRx)), (syn, syn));
                    assert!(client(&report, Count::TcpDrop) > 0, "answers are dropped");
                    assert_eq!(client(&report, Count::RstTx), 0, "and not answered");
                }
                Transport::Udp => {
                    assert_eq!(client(&report, Count::UdpRx), went);
                    assert_eq!(client(&report, Count::UdpDrop), 0);
                }
            }
            match keepalive {
                None => assert_eq!(went, opened),
                Some((_, 5)) => assert!(went > 4 * opened && went <= 5 * opened),
                Some(_) => assert!(went > 20 * opened),
            }
            assert_eq!(client(&report, Count::SkClose), opened);
            assert_eq!(client(&report, Count::SkErr) + client(&report, Count::UdpRt), 0);
        }
    }
}

/// Ports and sequence number of each segment that the client sends, all of them SYN.
fn flooded_with(scenario: &Scenario) -> Vec<([u8; 4], u32)> {
    let report = sim::run_kept(scenario, true, |_| {});
    let mut seen = Vec::new();
    for (_, frame) in pcap::frames(report.capture.as_deref().expect("kept")) {
        if let (1, Some((at, _))) = (frame[10], reference::segment_of(frame)) {
            assert_eq!(frame[at + 13], 2, "a SYN");
            let word = |at: usize| frame[at..at + 4].try_into().expect("4 bytes");
            seen.push((word(at), u32::from_be_bytes(word(at + 4))));
        }
    }
    seen
}

/// The SYN of one socket are told apart by their sequence numbers.
#[test]
fn a_flood_of_syn_counts_on() {
    let scenario = Scenario {
        flood: true,
        keepalive: Some((100, 0)),
        cc: 1,
        duration: 5 * MILLI,
        ..Scenario::short(9)
    };
    let numbers: Vec<u32> = flooded_with(&scenario).into_iter().map(|(_, number)| number).collect();
    assert!(numbers.len() >= 50);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
}

/// So are those of connections that one tuple has one after the other, though nothing is kept.
#[test]
fn a_flood_that_keeps_nothing_counts_on() {
    let scenario = Scenario { flood: true, space: [1, 1, 7, 1], ..Scenario::short(9) };
    let mut numbers: BTreeMap<[u8; 4], Vec<u32>> = BTreeMap::new();
    for (ports, number) in flooded_with(&scenario) {
        numbers.entry(ports).or_default().push(number);
    }
    assert_eq!(numbers.len(), 7, "every tuple");
    for numbers in numbers.values() {
        assert!(numbers.len() > 10);
        let steps = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
        assert_eq!(steps.collect::<HashSet<_>>(), HashSet::from([7]));
    }
}

/// Each packet of a flood goes to the next address, also where several of a connection are due at
/// once; the simulated wire judges every checksum.
#[test]
fn destinations_take_turns() {
    for (transport, ipv6) in [
        (Transport::Tcp, false),
        (Transport::Tcp, true),
        (Transport::Udp, false),
        (Transport::Udp, true),
    ] {
        for late in [false, true] {
            let usual = Scenario { flood: true, ..Scenario::datagrams(10) };
            let scenario = Scenario {
                transport,
                ipv6,
                destinations: 7,
                keepalive: Some((100, 0)),
                ..if late { more_than_can_leave(10) } else { usual }
            };
            let report = sim::run_kept(&scenario, true, |_| {});
            let packets = sent(&report);
            assert!(packets.len() > 1000);
            let turn: Vec<_> = packets[..7].iter().map(|seen| seen.to.0.clone()).collect();
            assert_eq!(turn.iter().collect::<HashSet<_>>().len(), 7);
            for (place, seen) in packets.iter().enumerate() {
                assert_eq!(seen.to.0, turn[place % 7], "{place}");
            }
        }
    }
}

#[test]
fn hops_change_address_and_port_and_reach_every_tuple() {
    for transport in [Transport::Tcp, Transport::Udp] {
        let scenario = Scenario {
            transport,
            messages: Messages::Raw,
            client_hop: true,
            space: [4, 3, 20, 2],
            cps: 24_000,
            ..Scenario::datagrams(11)
        };
        let report = run(&scenario);
        let mut opened: Vec<(End, End)> = Vec::new();
        for seen in sent(&report).into_iter().filter(|seen| {
            transport == Transport::Udp || seen.payload.len() == 8 // the options of a SYN
        }) {
            opened.push((seen.from, seen.to));
        }
        assert_eq!(opened.len() as u64, client(&report, Count::SkOpen));
        assert!(opened.len() >= 479);
        let first: HashSet<_> = opened[..479].iter().collect();
        assert_eq!(first.len(), 479, "all are different");
        let changes =
            |pair: &[(End, End)]| (pair[0].0.0 != pair[1].0.0, pair[0].0.1 != pair[1].0.1);
        let both = opened[..479].windows(2).filter(|pair| changes(pair) == (true, true)).count();
        assert!(both >= 478 - 12, "{both}");
    }
}

#[test]
fn launches_come_together() {
    for launch in [1, 5] {
        let scenario = Scenario { launch, cps: 10_000, ..Scenario::datagrams(12) };
        let times: Vec<u64> = sent(&run(&scenario)).iter().map(|seen| seen.at).collect();
        let together = times.chunk_by(|one, other| other - one < 5 * MICRO).map(<[u64]>::len);
        let together: HashSet<usize> = together.collect();
        assert_eq!(together, HashSet::from([launch as usize]));
    }
}

/// Every tuple begins with a sequence number of its own.
#[test]
fn sequence_numbers_begin_anywhere() {
    let report = run(&Scenario { duration: 20 * MILLI, ..Scenario::short(21) });
    let file = report.capture.expect("kept");
    let segments = pcap::frames(&file).filter_map(|(_, frame)| {
        let (l4, _) = reference::segment_of(frame)?;
        frame.get(l4..)
    });
    // Of a SYN.
    let number = |segment: &[u8]| u32::from_be_bytes(segment[4..8].try_into().expect("four bytes"));
    let begins: Vec<u32> = segments.filter(|tcp| tcp[13] == 2).map(number).collect();
    let all: HashSet<u32> = begins.iter().copied().collect();
    assert!(all.len() > 100 && all.len() == begins.len(), "{} {}", all.len(), begins.len());
    let high = all.iter().filter(|number| **number >> 31 == 1).count();
    assert!(high > all.len() / 3 && high < all.len() * 2 / 3, "{high} of {}", all.len());
}

/// Without `disable_ack`, an answer is acknowledged alone if the next request is far away.
#[test]
fn answers_are_acknowledged_alone_unless_told_otherwise() {
    for disable_ack in [false, true] {
        let scenario = Scenario {
            keepalive: Some((50_000, 4)),
            disable_ack,
            cps: 100,
            duration: 400 * MILLI,
            ..Scenario::short(13)
        };
        let report = run(&scenario);
        let opened = client(&report, Count::SkOpen);
        let (requests, segments) = (client(&report, Count::HttpGet), client(&report, Count::TcpTx));
        // SYN, requests, FIN with the last answer's ACK, and the ACK of the server's FIN.
        let alone = segments - (opened + requests + 2 * opened);
        if disable_ack {
            assert_eq!(alone, 0);
        } else {
            assert!(alone >= requests - opened && alone <= requests, "{alone} of {requests}");
        }
    }
}

/// Segments of a large answer come back to back, and one ACK answers several of them.
#[test]
fn large_answers_cost_few_acknowledgments() {
    let scenario = Scenario {
        response_bytes: 500_000,
        cps: 1_000,
        duration: 50 * MILLI,
        ..Scenario::short(14)
    };
    let report = run(&scenario);
    let [asks, answers] = [client(&report, Count::TcpTx), server(&report, Count::TcpTx)];
    assert!(asks * 4 < answers, "{asks} segments for {answers}");
}

/// Connections that wait for their next request wake neither side: not as often as segments would
/// be sent again, nor as often as connections would be opened if more were allowed.
#[test]
fn idle_connections_let_both_sides_rest() {
    let scenario = Scenario {
        keepalive: Some((60_000_000, 0)),
        idle_us: 600_000_000,
        cps: 1,
        duration: 300 * SECOND,
        cc: 3,
        ..Scenario::short(21)
    };
    let report = run(&scenario);
    let asked = client(&report, Count::HttpGet);
    assert!((12..=18).contains(&asked), "{asked}");
    assert!(report.steps < 1000, "{} steps for {asked} requests", report.steps);
}

/// Waits that no 32-bit count of microseconds holds: a request an hour, a time-out of 5 minutes.
#[test]
fn long_waits_are_waited() {
    let scenario = Scenario {
        keepalive: Some((3_600_000_000, 2)),
        retransmit_us: 300_000_000,
        idle_us: 4_800_000_000,
        cps: 10,
        duration: 7_300 * SECOND,
        cc: 3,
        turn: MILLI,
        ..Scenario::short(14)
    };
    let report = run(&scenario);
    assert!(client(&report, Count::SkOpen) >= 6);
    let rows = sent(&report);
    let mut asked: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for seen in rows.into_iter().filter(|seen| seen.payload.len() > 20) {
        asked.entry((seen.from, seen.to)).or_default().push(seen.at);
    }
    let pairs: Vec<_> = asked.values().filter(|row| row.len() == 2).collect();
    assert!(pairs.len() >= 3);
    for pair in pairs {
        let waited = pair[1] - pair[0];
        assert!(waited.abs_diff(3_600 * SECOND) <= 15 * SECOND, "{} s", waited / SECOND);
    }
}
