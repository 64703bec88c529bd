//! Frames are wrapped as an independent implementation reads them, and stripped as it writes them;
//! what is not ours stays on.

extern crate std;

use core::net::{IpAddr, Ipv4Addr};
use std::vec;
use std::vec::Vec;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpAddress, IpProtocol,
    Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use super::*;
use crate::frame::testing::frame_of;
use crate::frame::{Frame, RxChecksum};
use crate::plan::{AddressList, Vlan, Vxlan};
use crate::wire::checksum::{finish, sum};

const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const GATEWAY: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const VNI: u32 = 0x0012_3456;

/// Two addresses, an ethertype, and something behind it.
fn plain() -> Vec<u8> {
    let mut frame: Vec<u8> = (0x10..0x1c).collect();
    frame.extend([0x08, 0x00]);
    frame.extend(0x80..0xb0);
    frame
}

fn tagged(tags: &[u8]) -> Vec<u8> {
    let plain = plain();
    [&plain[..12], tags, &plain[12..]].concat()
}

fn vlan(service: Option<u16>, customer: u16) -> Encapsulation<'static> {
    Encapsulation(Kind::Vlan(Tags::new(&Vlan { service, customer })))
}

/// The end of a tunnel at `local`, which knows its gateway.
fn tunnel(local: Ipv4Addr, remote: Ipv4Addr) -> Encapsulation<'static> {
    let mut tunnel = Tunnel::new(&vxlan(local, remote), MAC);
    tunnel.set_gateway(GATEWAY);
    Encapsulation(Kind::Vxlan(tunnel))
}

fn vxlan(local: Ipv4Addr, remote: Ipv4Addr) -> Vxlan<'static> {
    let (source, destination) = (MacAddr([4; 6]), MacAddr([6; 6]));
    let host = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let ends = AddressList::new(&[], &[]);
    Vxlan { vni: VNI, source, destination, host, local, remote, ends }
}

/// What a frame turns out to be, and its bytes then.
fn stripped(encapsulation: &Encapsulation, packet: &[u8]) -> (Stripped, Vec<u8>) {
    let mut frame = frame_of(packet, 0);
    let found = encapsulation.strip(&mut frame);
    (found, frame.bytes().to_vec())
}

fn wrapped(encapsulation: &Encapsulation, packet: &[u8]) -> Vec<u8> {
    let mut frame = frame_of(&[], packet.len() + 100);
    encapsulation.make_room(&mut frame);
    encapsulation.make_room(&mut frame);
    assert!(frame.set_len(packet.len()));
    frame.bytes_mut().copy_from_slice(packet);
    encapsulation.wrap(&mut frame);
    let once = frame.bytes().to_vec();
    encapsulation.wrap(&mut frame);
    assert_eq!(frame.bytes(), once, "what is wrapped stays as it is");
    once
}

#[test]
fn tags_lie_where_the_standard_puts_them() {
    let one = tagged(&[0x81, 0x00, 0x0a, 0xbc]);
    let two = tagged(&[0x88, 0xa8, 0x0f, 0xfe, 0x81, 0x00, 0x00, 0x01]);
    for (encapsulation, on_the_wire) in [(vlan(None, 0x0abc), one), (vlan(Some(0x0ffe), 1), two)] {
        assert_eq!(wrapped(&encapsulation, &plain()), on_the_wire);
        assert_eq!(stripped(&encapsulation, &on_the_wire), (Stripped::Inside, plain()));
        let mut frame = frame_of(&on_the_wire, 0);
        assert_eq!(encapsulation.strip(&mut frame), Stripped::Inside);
        encapsulation.wrap(&mut frame);
        assert_eq!(frame.bytes(), on_the_wire, "there and back");
    }
}

#[test]
fn only_our_tags_are_taken_off() {
    let (single, double) = (vlan(None, 100), vlan(Some(200), 100));
    let drop = |encapsulation: &Encapsulation, tags: &[u8]| {
        let packet = tagged(tags);
        assert_eq!(stripped(encapsulation, &packet), (Stripped::Drop(Count::DropVlan), packet));
    };
    for tags in [
        &[][..],
        &[0x81, 0, 0, 101],
        &[0x81, 0, 1, 100],
        &[0x81, 0, 0, 0],
        &[0x88, 0xa8, 0, 100],
        &[0x88, 0xa8, 0, 200, 0x81, 0, 0, 100],
    ] {
        drop(&single, tags);
    }
    for tags in [
        &[][..],
        &[0x81, 0, 0, 100],
        &[0x88, 0xa8, 0, 200],
        &[0x81, 0, 0, 200, 0x81, 0, 0, 100],
        &[0x88, 0xa8, 0, 200, 0x88, 0xa8, 0, 100],
        &[0x88, 0xa8, 0, 201, 0x81, 0, 0, 100],
        &[0x88, 0xa8, 0, 200, 0x81, 0, 0, 101],
    ] {
        drop(&double, tags);
    }
    // Priority and the mark of what may be dropped first are not the identifier's.
    for high in 0..16 {
        let tags = [0x88, 0xa8, high << 4, 200, 0x81, 0, high << 4, 100];
        assert_eq!(stripped(&double, &tagged(&tags)), (Stripped::Inside, plain()));
        assert_eq!(stripped(&single, &tagged(&tags[4..])), (Stripped::Inside, plain()));
    }
}

#[test]
fn short_frames_have_no_tags() {
    let packet = tagged(&[0x81, 0, 0, 100]);
    for length in 0..packet.len() {
        let (found, _) = stripped(&vlan(None, 100), &packet[..length]);
        let inside = length >= 20;
        let expected = if inside { Stripped::Inside } else { Stripped::Drop(Count::DropTruncated) };
        assert_eq!(found, expected, "{length} bytes");
    }
}

/// The packet that another implementation makes of `frame` in a tunnel from `REMOTE` to `LOCAL`.
fn carried(frame: &[u8], vxlan: [u8; 8], checksum: bool) -> Vec<u8> {
    let payload = [&vxlan[..], frame].concat();
    let udp = UdpRepr { src_port: 50_000, dst_port: 4789 };
    let ip = Ipv4Repr {
        src_addr: REMOTE,
        dst_addr: LOCAL,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: 64,
    };
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress(GATEWAY.0),
        dst_addr: EthernetAddress(MAC.0),
        ethertype: EthernetProtocol::Ipv4,
    };
    let mut bytes = vec![0; 14 + 20 + ip.payload_len];
    ethernet.emit(&mut EthernetFrame::new_unchecked(&mut bytes));
    let mut caps = ChecksumCapabilities::default();
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[14..]), &caps);
    if !checksum {
        caps.udp = smoltcp::phy::Checksum::None;
    }
    let (from, to) = (IpAddress::Ipv4(REMOTE), IpAddress::Ipv4(LOCAL));
    let mut datagram = UdpPacket::new_unchecked(&mut bytes[34..]);
    udp.emit(
        &mut datagram,
        &from,
        &to,
        payload.len(),
        |room| room.copy_from_slice(&payload),
        &caps,
    );
    bytes
}

const HEADER: [u8; 8] = [8, 0, 0, 0, 0x12, 0x34, 0x56, 0];

#[test]
fn a_foreign_tunnel_packet_is_stripped_with_and_without_checksum() {
    for checksum in [false, true] {
        let packet = carried(&plain(), HEADER, checksum);
        assert_eq!(packet[40..42] == [0, 0], !checksum);
        let mut padded = packet.clone();
        padded.extend([0; 9]);
        for packet in [packet, padded] {
            let mut frame = frame_of(&packet, 0);
            frame.set_rx_checksum(RxChecksum::Good);
            let end = tunnel(LOCAL, REMOTE);
            assert_eq!(end.strip(&mut frame), Stripped::Inside);
            assert_eq!(frame.bytes(), plain());
            // The device spoke of the headers that are gone.
            assert_eq!(frame.rx_checksum(), RxChecksum::Unknown);
        }
    }
}

#[test]
fn sums_left_out_on_this_machine_are_not_asked_for() {
    let mut packet = carried(&plain(), HEADER, true);
    packet[40] ^= 1;
    let mut frame = frame_of(&packet, 0);
    let end = tunnel(LOCAL, REMOTE);
    assert_eq!(end.strip(&mut frame), Stripped::Drop(Count::DropChecksum));
    frame.set_rx_checksum(RxChecksum::Left);
    assert_eq!(end.strip(&mut frame), Stripped::Inside);
    assert_eq!((frame.bytes(), frame.rx_checksum()), (&plain()[..], RxChecksum::Left));
}

#[test]
fn no_prefix_of_a_tunnel_packet_is_one() {
    let packet = carried(&plain(), HEADER, false);
    for length in 0..packet.len() {
        let (found, bytes) = stripped(&tunnel(LOCAL, REMOTE), &packet[..length]);
        assert_ne!(found, Stripped::Inside, "{length} bytes");
        assert_eq!(bytes, packet[..length]);
    }
    for (carried_bytes, expected) in [
        (0, Stripped::Drop(Count::DropTruncated)),
        (13, Stripped::Drop(Count::DropTruncated)),
        (14, Stripped::Inside),
    ] {
        let packet = carried(&plain()[..carried_bytes], HEADER, false);
        assert_eq!(stripped(&tunnel(LOCAL, REMOTE), &packet).0, expected, "{carried_bytes} bytes");
    }
}

/// What becomes of a packet with one changed bit in byte `at` of its outer headers.
fn one_bit_off(at: usize) -> Stripped {
    match at {
        // Who sent it, the source port, and what VXLAN reserves.
        6..=11 | 34..=35 | 43..=45 | 49 => Stripped::Inside,
        // To another station, of another protocol, with a wrong header checksum, to another port.
        0..=5 | 12..=33 | 36..=37 => Stripped::Outside,
        38..=39 => Stripped::Drop(Count::DropTotalLength),
        40..=41 => Stripped::Drop(Count::DropChecksum),
        _ => Stripped::Drop(Count::DropVxlan),
    }
}

#[test]
fn every_outer_field_is_held_to_its_word() {
    let packet = carried(&plain(), HEADER, false);
    for at in 0..50 {
        let mut packet = packet.clone();
        packet[at] ^= if at == 38 { 0x01 } else { 0x08 };
        if at == 39 {
            packet[39] = 255;
        }
        let (found, _) = stripped(&tunnel(LOCAL, REMOTE), &packet);
        assert_eq!(found, one_bit_off(at), "byte {at}");
    }
    let mut damaged = carried(&plain(), HEADER, true);
    *damaged.last_mut().unwrap() ^= 1;
    let (found, _) = stripped(&tunnel(LOCAL, REMOTE), &damaged);
    assert_eq!(found, Stripped::Drop(Count::DropChecksum));
    let (found, _) = stripped(&tunnel(REMOTE, LOCAL), &packet);
    assert_eq!(found, Stripped::Outside, "to another end");
}

#[test]
fn fragments_are_outside_and_options_are_read_over() {
    let mut fragment = carried(&plain(), HEADER, false);
    fragment[20] |= 0x20;
    renew(&mut fragment, 34);
    assert_eq!(stripped(&tunnel(LOCAL, REMOTE), &fragment).0, Stripped::Outside);
    let packet = carried(&plain(), HEADER, false);
    let mut optional = [&packet[..34], &[1; 40], &packet[34..]].concat();
    optional[14] = 0x4f;
    let total_bytes = (optional.len() - 14) as u16;
    optional[16..18].copy_from_slice(&total_bytes.to_be_bytes());
    renew(&mut optional, 74);
    let mut frame = frame_of(&optional, 0);
    let end = tunnel(LOCAL, REMOTE);
    assert_eq!(end.strip(&mut frame), Stripped::Inside);
    assert_eq!(frame.bytes(), plain());
    end.wrap(&mut frame);
    assert_eq!(frame.len(), 50 + plain().len());
}

/// Makes the outer IP header, which ends at `end`, add up again.
fn renew(packet: &mut [u8], end: usize) {
    packet[24..26].fill(0);
    let checksum = finish(sum(&packet[14..end]));
    packet[24..26].copy_from_slice(&checksum);
}

#[test]
fn nothing_comes_out_of_a_tunnel_that_cannot_answer() {
    let silent = Encapsulation(Kind::Vxlan(Tunnel::new(&vxlan(LOCAL, REMOTE), MAC)));
    let (found, _) = stripped(&silent, &carried(&plain(), HEADER, false));
    assert_eq!(found, Stripped::Drop(Count::DropVxlan));
}

#[test]
fn the_oracle_reads_what_is_wrapped() {
    let packet = wrapped(&tunnel(LOCAL, REMOTE), &plain());
    let ethernet = EthernetFrame::new_checked(&packet[..]).unwrap();
    assert_eq!(ethernet.src_addr().0, MAC.0);
    assert_eq!(ethernet.dst_addr().0, GATEWAY.0);
    let ip = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
    assert!(ip.verify_checksum() && ip.dont_frag());
    assert_eq!((ip.src_addr(), ip.dst_addr(), ip.hop_limit(), ip.ident()), (LOCAL, REMOTE, 64, 0));
    assert_eq!(usize::from(ip.total_len()), packet.len() - 14);
    let udp = UdpPacket::new_checked(ip.payload()).unwrap();
    assert_eq!((udp.dst_port(), udp.checksum()), (4789, 0));
    assert_eq!(usize::from(udp.len()), packet.len() - 34);
    assert!(udp.src_port() >= 0xc000);
    assert_eq!(udp.payload()[..8], HEADER);
    assert_eq!(udp.payload()[8..], plain());
    let mut other = tunnel(REMOTE, LOCAL);
    other.set_gateway(MAC);
    let mut there = packet;
    there[..6].copy_from_slice(&MAC.0);
    assert_eq!(stripped(&other, &there), (Stripped::Inside, plain()));
}

/// A frame of one flow, by its ethertype, protocol, addresses and ports.
fn flow(ipv6: bool, protocol: u8, turned: bool, port: u16) -> Vec<u8> {
    let mut frame = vec![0; 90];
    let (addresses, protocol_at, kind) =
        if ipv6 { (22..54, 20, [0x86, 0xdd]) } else { (26..34, 23, [0x08, 0x00]) };
    frame[12..14].copy_from_slice(&kind);
    frame[protocol_at] = protocol;
    let ports_at = addresses.end;
    for (byte, value) in frame[addresses.clone()].iter_mut().zip(1..) {
        *byte = value;
    }
    frame[ports_at..ports_at + 4].copy_from_slice(&[0, 80, (port >> 8) as u8, port as u8]);
    if turned {
        let half = addresses.len() / 2;
        frame[addresses].rotate_left(half);
        frame[ports_at..ports_at + 4].rotate_left(2);
    }
    frame
}

#[test]
fn a_flow_has_one_source_port_both_ways() {
    let port_of = |frame: Vec<u8>| {
        let packet = wrapped(&tunnel(LOCAL, REMOTE), &frame);
        u16::from_be_bytes([packet[34], packet[35]])
    };
    for ipv6 in [false, true] {
        for protocol in [6, 17] {
            let mut seen = Vec::new();
            for port in 1000..1064 {
                let there = port_of(flow(ipv6, protocol, false, port));
                assert_eq!(there, port_of(flow(ipv6, protocol, true, port)));
                seen.push(there);
            }
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 64, "flows are told apart");
        }
        // An ICMP checksum is no port.
        assert_eq!(port_of(flow(ipv6, 1, false, 1)), port_of(flow(ipv6, 1, false, 2)));
    }
    assert!(port_of(vec![0xff; 14]) >= 0xc000);
}

#[test]
fn a_frame_too_small_stays_as_it_is() {
    let mut frame: Frame = frame_of(&[1, 2, 3], 0);
    tunnel(LOCAL, REMOTE).wrap(&mut frame);
    assert_eq!(frame.bytes(), [1, 2, 3]);
}
