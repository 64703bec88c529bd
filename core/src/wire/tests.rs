//! The storm: whatever bytes come, no parser panics, and every length it hands out adds up.

use zerocopy::IntoBytes;

use super::arp::ArpPacket;
use super::ethernet::{EthernetHeader, VlanTag};
use super::icmp::IcmpEcho;
use super::icmpv6::{Icmpv6Echo, NeighborAdvertisement, NeighborSolicitation};
use super::ipv4::Ipv4;
use super::ipv6::Ipv6;
use super::tcp::{Tcp, TcpOptions};
use super::testing::{XorShift, good_packets};
use super::udp::Udp;
use super::{checksum, icmp, icmpv6};

/// Shows `bytes` to every parser and checks what those that accept hand out.
fn weather(bytes: &[u8]) {
    if let Ok((header, rest)) = EthernetHeader::split(bytes) {
        assert_eq!(header.as_bytes().len() + rest.len(), bytes.len());
    }
    if let Ok((tag, rest)) = VlanTag::split(bytes) {
        assert!(tag.id() < 4096);
        assert_eq!(rest, &bytes[4..]);
    }
    if let Ok(packet) = ArpPacket::parse(bytes) {
        assert_eq!(packet.as_bytes(), &bytes[..28]);
    }
    weather_ip(bytes);
    weather_upper_layer(bytes);
    let _ = checksum::is_valid(checksum::sum(bytes));
}

fn weather_ip(bytes: &[u8]) {
    if let Ok(ip) = Ipv4::parse(bytes) {
        let total_length = usize::from(ip.header.total_length.get());
        assert!((20..=60).contains(&ip.header_bytes) && total_length <= bytes.len());
        assert_eq!(ip.payload, &bytes[usize::from(ip.header_bytes)..total_length]);
        assert_eq!(ip.options.len(), usize::from(ip.header_bytes) - 20);
        let _ = ip.checksum_ok();
    }
    if let Ok(ip) = Ipv6::parse(bytes) {
        let end = 40 + usize::from(ip.header.payload_length.get());
        assert_eq!(ip.payload, &bytes[usize::from(ip.l4_offset)..end]);
    }
}

fn weather_upper_layer(bytes: &[u8]) {
    if let Ok(tcp) = Tcp::parse(bytes) {
        assert!((20..=60).contains(&tcp.header_bytes));
        assert_eq!(tcp.options.len(), usize::from(tcp.header_bytes) - 20);
        assert_eq!(tcp.payload, &bytes[usize::from(tcp.header_bytes)..]);
        let _ = TcpOptions::parse(tcp.options);
    }
    if let Ok(found) = TcpOptions::parse(bytes) {
        assert!(found.window_scale.is_none_or(|shift| shift <= 14));
    }
    if let Ok(udp) = Udp::parse(bytes) {
        assert_eq!(udp.payload, &bytes[8..usize::from(udp.header.length.get())]);
    }
    let _ = IcmpEcho::parse(bytes);
    let _ = icmp::checksum_ok(bytes);
    let _ = Icmpv6Echo::parse(bytes);
    let _ = icmpv6::checksum_ok(&[0; 16], &[0; 16], bytes);
    let _ = NeighborSolicitation::parse(bytes, 255);
    let _ = NeighborAdvertisement::parse(bytes, 255);
}

#[test]
fn noise_is_weathered() {
    let mut noise = XorShift::new();
    for _ in 0..100_000 {
        let length = noise.below(129);
        weather(&noise.bytes(length));
    }
}

/// Noise with a right first byte gets further than noise.
#[test]
fn noise_with_an_ip_version_is_weathered() {
    let mut noise = XorShift::new();
    for round in 0..100_000 {
        let length = 1 + noise.below(128);
        let mut bytes = noise.bytes(length);
        bytes[0] = [0x45, 0x46, 0x60][round % 3];
        if let Some(high) = bytes.get_mut(4) {
            *high = 0;
        }
        if let Some(next_header) = bytes.get_mut(6) {
            *next_header = [0, 43, 44, 60][noise.below(4)];
        }
        weather(&bytes);
    }
}

/// Good packets with up to four bytes spoilt and the end cut get furthest.
#[test]
fn spoilt_packets_are_weathered() {
    let mut noise = XorShift::new();
    for packet in good_packets() {
        for _ in 0..10_000 {
            let mut bytes = packet.clone();
            for _ in 0..noise.below(5) {
                let at = noise.below(bytes.len());
                bytes[at] = noise.next() as u8;
            }
            bytes.truncate(packet.len() - noise.below(3) * noise.below(8));
            weather(&bytes);
        }
    }
}
