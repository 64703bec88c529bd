//! Real interfaces: what a packet socket takes in, hands on and counts.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use self::namespace::{alone, cable, sh};
use super::*;
use crate::port::rss;

pub(crate) mod namespace;

/// The ethertype for local experiments: nothing else in the namespace sends it.
const EXPERIMENT: [u8; 2] = [0x88, 0xb5];
const A: [u8; 6] = [2, 0, 0, 0, 0, 0x0a];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0x0b];

/// Packets of IPv4 behind one tag at most.
pub(in crate::port) const PLAIN: Flows = Flows { ipv6: false, hidden_bytes: 0 };

type Queue = Box<dyn PacketQueue>;

fn one(interface: &str) -> Queue {
    open(interface, 1, PLAIN).unwrap().queues.pop().unwrap()
}

fn to_a(frame: &mut Frame, len: usize, behind: &[u8]) {
    assert!(frame.set_len(len));
    let bytes = frame.bytes_mut();
    bytes.fill(0);
    bytes[..6].copy_from_slice(&A);
    bytes[6..12].copy_from_slice(&B);
    bytes[12..12 + behind.len()].copy_from_slice(behind);
}

/// Sends one frame of `len` bytes to A: `behind` follows the addresses.
fn send(queue: &mut Queue, len: usize, behind: &[u8]) -> usize {
    let mut tray = Tray::new();
    assert_eq!(queue.take(1, &mut tray), 1);
    to_a(&mut tray.frames_mut()[0], len, behind);
    let sent = queue.transmit(&mut tray);
    queue.give_back(&mut tray);
    sent
}

/// What arrives within a while and `wanted` accepts, with the kernel's verdict.
fn await_frame(queue: &mut Queue, wanted: impl Fn(&[u8]) -> bool) -> Option<(Vec<u8>, RxChecksum)> {
    let (end, mut tray) = (Instant::now() + Duration::from_secs(2), Tray::new());
    while Instant::now() < end {
        queue.receive(&mut tray);
        let found = tray.frames().iter().find(|frame| wanted(frame.bytes()));
        let found = found.map(|frame| (frame.bytes().to_vec(), frame.rx_checksum()));
        queue.give_back(&mut tray);
        if found.is_some() {
            return found;
        }
    }
    None
}

fn number(bytes: &[u8]) -> Option<u64> {
    (bytes[12..14] == EXPERIMENT).then(|| u64::from_be_bytes(bytes[14..22].try_into().unwrap()))
}

fn len_of(number: u64) -> usize {
    60 + (number.wrapping_mul(2_654_435_761) % 1455) as usize
}

#[test]
fn a_hundred_thousand_frames_arrive_as_they_were() {
    alone("a_hundred_thousand_frames_arrive_as_they_were", || {
        const COUNT: u64 = 100_000;
        cable("va", "vb");
        let (mut a, mut b) = (one("va"), one("vb"));
        let (mut out, mut inbox, mut sent, mut seen) = (Tray::new(), Tray::new(), 0, 0);
        while seen < COUNT {
            let before = out.len();
            b.take(out.room().min((COUNT - sent) as usize).min(32), &mut out);
            for frame in &mut out.frames_mut()[before..] {
                to_a(frame, len_of(sent), &[]);
                frame.bytes_mut()[12..].fill(sent as u8);
                frame.bytes_mut()[12..14].copy_from_slice(&EXPERIMENT);
                frame.bytes_mut()[14..22].copy_from_slice(&sent.to_be_bytes());
                sent += 1;
            }
            b.transmit(&mut out);
            a.receive(&mut inbox);
            for frame in inbox.frames() {
                let bytes = frame.bytes();
                let Some(number) = number(bytes) else { continue };
                assert_eq!((number, bytes.len()), (seen, len_of(seen)));
                assert_eq!((&bytes[..6], &bytes[6..12]), (&A[..], &B[..]));
                assert!(bytes[22..].iter().all(|&byte| byte == seen as u8));
                seen += 1;
            }
            a.give_back(&mut inbox);
        }
        b.receive(&mut inbox);
        assert!(inbox.frames().iter().all(|frame| number(frame.bytes()).is_none()), "own frames");
        b.give_back(&mut inbox);
        assert_eq!((a.faults(), b.faults()), (Faults::default(), Faults::default()));
    });
}

/// The kernel on B's side, with an address, and a neighbour behind A that is us.
fn kernel_behind_b() -> UdpSocket {
    sh("ip addr add 192.0.2.1/24 dev vb && ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:0a dev vb");
    let socket = UdpSocket::bind("192.0.2.1:7000").unwrap();
    socket.connect("192.0.2.9:7000").unwrap();
    socket
}

fn is_udp(bytes: &[u8]) -> bool {
    bytes[12..14] == [8, 0] && bytes[23] == 17
}

#[test]
fn joined_segments_are_dropped_and_counted() {
    alone("joined_segments_are_dropped_and_counted", || {
        cable("va", "vb");
        let (mut a, kernel) = (one("va"), kernel_behind_b());
        let segment: libc::c_int = 1400;
        set(kernel.as_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, &segment).unwrap();
        kernel.send(&[7; 14_000]).unwrap();
        kernel.send(&[8; 1000]).unwrap();
        let (bytes, verdict) = await_frame(&mut a, is_udp).unwrap();
        assert_eq!((bytes.len(), bytes[42]), (1042, 8), "the whole one, and not a piece");
        assert_eq!(verdict, RxChecksum::Left, "the sum was left to a device");
        assert_eq!(a.faults().rx_errors, 1);
    });
}

#[test]
fn a_vlan_tag_is_where_it_was_on_the_wire() {
    alone("a_vlan_tag_is_where_it_was_on_the_wire", || {
        cable("va", "vb");
        let (mut a, mut b) = (one("va"), one("vb"));
        for tpid in [[0x81, 0x00], [0x88, 0xa8]] {
            let behind = [tpid[0], tpid[1], 0x60, 0x05, EXPERIMENT[0], EXPERIMENT[1], 1, 2, 3];
            for len in [64, 1518] {
                assert_eq!(send(&mut b, len, &behind), usize::from(len == 64 || tpid[0] == 0x81));
                if len == 64 || tpid[0] == 0x81 {
                    let (bytes, verdict) =
                        await_frame(&mut a, |bytes| bytes[16..18] == EXPERIMENT).unwrap();
                    assert_eq!((bytes.len(), &bytes[12..21]), (len, &behind[..]));
                    assert_eq!(verdict, RxChecksum::Unknown);
                }
            }
        }
    });
}

#[test]
fn a_frame_too_long_for_the_interface_does_not_block_the_others() {
    alone("a_frame_too_long_for_the_interface_does_not_block_the_others", || {
        cable("va", "vb");
        let (mut a, mut b) = (one("va"), one("vb"));
        assert_eq!((b.capabilities().frame_bytes, send(&mut b, 1518, &EXPERIMENT)), (1514, 0));
        assert_eq!(b.faults().tx_errors, 1);
        assert_eq!(send(&mut b, 1514, &EXPERIMENT), 1);
        assert!(await_frame(&mut a, |bytes| bytes[12..14] == EXPERIMENT).is_some());
    });
}

#[test]
fn the_ring_counts_what_it_had_no_room_for() {
    alone("the_ring_counts_what_it_had_no_room_for", || {
        cable("va", "vb");
        let (mut a, mut b) = (one("va"), one("vb"));
        let mut sent = 0;
        while sent < 4000 {
            sent += send(&mut b, 60, &EXPERIMENT) as u64;
        }
        let (mut tray, mut seen) = (Tray::new(), 0);
        loop {
            a.receive(&mut tray);
            if tray.is_empty() {
                break;
            }
            let ours = |frame: &&Frame| frame.bytes()[12..14] == EXPERIMENT;
            seen += tray.frames().iter().filter(ours).count() as u64;
            a.give_back(&mut tray);
        }
        // The kernel's own chatter takes places, and is missed, too.
        let missed = a.faults().rx_missed;
        assert!((2000..=2048).contains(&seen), "{seen}");
        assert!((4000 - seen..4040 - seen).contains(&missed), "{seen} + {missed}");
        assert_eq!(a.faults().rx_missed, missed, "counts do not vanish when read");
    });
}

/// A flow's tuple: addresses and ports, the source first.
type Flow = ([u8; 32], usize, [u8; 4]);

/// Flows of every kind: addresses and ports vary, headers are of several lengths.
fn flows(ipv6: bool, count: u32) -> Vec<Flow> {
    let address_bytes = if ipv6 { 16 } else { 4 };
    let flow = |number: u32| {
        let chance = number.wrapping_mul(2_654_435_761).to_be_bytes();
        let mut addresses = [0; 32];
        for side in [0, 1] {
            // Of no group, and nobody's.
            let address = &mut addresses[side * address_bytes..][..address_bytes];
            address[0] = if ipv6 { 0x20 } else { 192 };
            address[address_bytes - 1] = chance[side];
            address[address_bytes - 2] = chance[side + 1];
        }
        (addresses, number as usize % 3, [chance[3], number as u8, chance[2], 80])
    };
    (0..count).map(flow).collect()
}

/// A datagram of that flow, `words` of options in an IPv4 header.
fn datagram(ipv6: bool, (addresses, words, ports): &Flow) -> Vec<u8> {
    let mut packet = Vec::new();
    if ipv6 {
        packet.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64]);
        packet.extend(addresses);
    } else {
        let version = 0x45 + *words as u8;
        packet.extend([8, 0, version, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0]);
        packet.extend(&addresses[..8]);
        packet.extend(vec![1; 4 * words]);
    }
    packet.extend(ports);
    packet.extend([0, 8, 0, 0]);
    packet
}

/// What hides a packet, as the kernel counts it, and lies before its ethertype.
fn hidden(bytes: u16) -> Vec<u8> {
    const SERVICE_TAG: [u8; 4] = [0x88, 0xa8, 0, 200];
    match bytes {
        0 => Vec::new(),
        4 => [SERVICE_TAG, [0x81, 0, 0, 100]].concat(),
        // IPv4, UDP, VXLAN and Ethernet's addresses: of no interest, and the same for all.
        _ => [&[8, 0, 0x45][..], &[7; 47]].concat(),
    }
}

/// Sends each flow twice, and says on which queue both came.
fn queues_of(told: Flows, count: u16, flows: &[Flow]) -> Vec<u16> {
    cable("va", "vb");
    let opened = open("va", count, told).unwrap();
    let Delivery::Hashed(rss) = opened.facts.delivery else { panic!("{:?}", opened.facts) };
    let (mut queues, mut b) = (opened.queues, one("vb"));
    assert_eq!((rss::queues(&rss), queues.len()), (count, usize::from(count)));
    let mut came = Vec::new();
    let mut tray = Tray::new();
    for flow in flows {
        let packet = [hidden(told.hidden_bytes), datagram(told.ipv6, flow)].concat();
        for _ in 0..2 {
            assert_eq!(send(&mut b, 150, &packet), 1);
        }
        let mut seen = Vec::new();
        let end = Instant::now() + Duration::from_secs(2);
        while seen.len() < 2 && Instant::now() < end {
            for (index, queue) in queues.iter_mut().enumerate() {
                queue.receive(&mut tray);
                let ours = |frame: &&Frame| frame.bytes()[12..].starts_with(&packet);
                seen.extend(tray.frames().iter().filter(ours).map(|frame| {
                    let inside = if told.hidden_bytes == 50 { 50 } else { 0 };
                    assert_eq!(rss.queue_of_frame(&frame.bytes()[inside..]), index as u16);
                    index as u16
                }));
                queue.give_back(&mut tray);
            }
        }
        assert!(seen.len() == 2 && seen[0] == seen[1], "{flow:?}: {seen:?}");
        came.push(seen[0]);
    }
    came
}

#[test]
fn the_kernel_spreads_flows_as_the_plan_reckons() {
    for (ipv6, hidden_bytes, count) in [
        (false, 0, 2),
        (false, 0, 3),
        (true, 0, 4),
        (false, 4, 3),
        (true, 4, 2),
        (false, 50, 2),
        (true, 50, 3),
    ] {
        alone("the_kernel_spreads_flows_as_the_plan_reckons", || {
            let flows = flows(ipv6, 120);
            let came = queues_of(Flows { ipv6, hidden_bytes }, count, &flows);
            let choice = spread::choice(ipv6, count);
            for ((addresses, _, ports), queue) in flows.iter().zip(&came) {
                let (source, rest) = addresses.split_at(if ipv6 { 16 } else { 4 });
                let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
                let to = (&rest[..source.len()], port(2));
                assert_eq!(choice.queue_of((source, port(0)), to), *queue);
            }
            let on = |queue| came.iter().filter(|came| **came == queue).count();
            assert!((0..count).all(|queue| on(queue) > 15), "{count} queues: {came:?}");
        });
    }
}

#[test]
fn an_interface_that_goes_down_or_away_is_named() {
    alone("an_interface_that_goes_down_or_away_is_named", || {
        cable("va", "vb");
        let (mut a, mut b) = (one("va"), one("vb"));
        let both_are = |a: &mut Queue, b: &mut Queue, state| {
            // The kernel tells a change of carrier to the other end a little later.
            let end = Instant::now() + Duration::from_secs(5);
            while (a.state(), b.state()) != (state, state) && Instant::now() < end {}
            assert_eq!((a.state(), b.state()), (state, state));
        };
        both_are(&mut a, &mut b, PortState::Up);
        sh("ip link set vb down");
        both_are(&mut a, &mut b, PortState::Down);
        assert_eq!(send(&mut b, 60, &EXPERIMENT), 0);
        sh("ip link set vb up");
        both_are(&mut a, &mut b, PortState::Up);
        assert_eq!(send(&mut b, 60, &EXPERIMENT), 1);
        assert!(await_frame(&mut a, |bytes| bytes[12..14] == EXPERIMENT).is_some());
        sh("ip link del vb");
        both_are(&mut a, &mut b, PortState::Gone);
        assert_eq!(send(&mut b, 60, &EXPERIMENT), 0);
        a.receive(&mut Tray::new());
    });
}

#[test]
fn an_interface_that_joins_segments_is_named() {
    alone("an_interface_that_joins_segments_is_named", || {
        cable("va", "vb");
        assert_eq!(advice("va"), None);
        // On by default where packets are not forwarded as they are.
        assert!(advice("lo").unwrap().contains("'ethtool -K lo gro off"));
        assert_eq!(advice("absent"), None);
    });
}

#[test]
fn what_cannot_be_opened_is_explained() {
    alone("what_cannot_be_opened_is_explained", || {
        cable("va", "vb");
        sh("ip link set va down; ip link set lo up");
        let why = |name| format!("{:#}", open(name, 1, PLAIN).err().unwrap());
        let absent = why("eth7");
        assert!(absent.contains("no interface 'eth7'") && absent.contains("lo, "), "{absent}");
        assert!(why("va").contains("ip link set va up"));
        assert!(why("lo").contains("loopback"));
        assert!(why("a name that is too long").contains("not an interface name"));
    });
}

/// What a frame costs this process, both sockets in one thread.
#[test]
#[ignore = "a measurement: run it alone, in release"]
fn cost_of_one_frame() {
    alone("cost_of_one_frame", || {
        cable("va", "vb");
        let (mut a, mut b) = (one("va"), one("vb"));
        for len in [60, 1514] {
            let (mut out, mut inbox) = (Tray::new(), Tray::new());
            let (mut sending, mut receiving, mut idle) = (0, 0, 0);
            let (mut sent, mut seen, mut idles) = (0, 0, 0);
            let end = Instant::now() + Duration::from_secs(2);
            while Instant::now() < end {
                b.take(32 - out.len(), &mut out);
                out.frames_mut().iter_mut().for_each(|frame| to_a(frame, len, &EXPERIMENT));
                let began = Instant::now();
                sent += b.transmit(&mut out);
                sending += began.elapsed().as_nanos();
                loop {
                    let began = Instant::now();
                    a.receive(&mut inbox);
                    let got = inbox.len();
                    a.give_back(&mut inbox);
                    if got == 0 {
                        idle += began.elapsed().as_nanos();
                        idles += 1;
                        break;
                    }
                    receiving += began.elapsed().as_nanos();
                    seen += got;
                }
            }
            println!(
                "{len} bytes: transmit {} ns (the receiver's interrupt included), receive {} ns, \
                 an empty receive {} ns; {sent} sent, {seen} received",
                sending / sent as u128,
                receiving / seen as u128,
                idle / idles
            );
        }
    });
}
