//! The hash is the one that Microsoft published with numbers to check it by ("Verifying the RSS
//! Hash Calculation").

use core::net::IpAddr;
use std::vec;
use std::vec::Vec;

use super::*;

const KEY: [u8; KEY_BYTES] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// Source, destination, hash of the addresses, hash of addresses and ports.
type Vector = ((&'static str, u16), (&'static str, u16), u32, u32);

const VECTORS: &[Vector] = &[
    (("66.9.149.187", 2794), ("161.142.100.80", 1766), 0x323e_8fc2, 0x51cc_c178),
    (("199.92.111.2", 14230), ("65.69.140.83", 4739), 0xd718_262a, 0xc626_b0ea),
    (("24.19.198.95", 12898), ("12.22.207.184", 38024), 0xd2d0_a5de, 0x5c2b_394a),
    (("38.27.205.30", 48228), ("209.142.163.6", 2217), 0x8298_9176, 0xafc7_327f),
    (("153.39.163.191", 44251), ("202.188.127.2", 1303), 0x5d18_09c5, 0x10e8_28a2),
    (("3ffe:2501:200:1fff::7", 2794), ("3ffe:2501:200:3::1", 1766), 0x2cc1_8cd5, 0x4020_7d3d),
    (("3ffe:501:8::260:97ff:fe40:efab", 14230), ("ff02::1", 4739), 0x0f0c_461c, 0xdde5_1bbf),
    (
        ("3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251),
        ("fe80::200:f8ff:fe21:67cf", 38024),
        0x4b61_e985,
        0x02d1_feef,
    ),
];

fn octets(text: &str) -> Vec<u8> {
    match text.parse().unwrap() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn whole(hash: &Hash, from: (&str, u16), to: (&str, u16)) -> u32 {
    hash.of_source(&octets(from.0))
        ^ hash.of_destination(&octets(to.0))
        ^ hash.of_ports(from.1, to.1)
}

#[test]
fn the_published_numbers_come_out() {
    for &(from, to, addresses, with_ports) in VECTORS {
        let ipv6 = from.0.contains(':');
        assert_eq!(whole(&Hash::toeplitz(&KEY, ipv6, false), from, to), addresses, "{from:?}");
        assert_eq!(whole(&Hash::toeplitz(&KEY, ipv6, true), from, to), with_ports, "{from:?}");
    }
}

/// A frame of `transport`, as long as its headers.
fn frame(
    tags: &[u16],
    from: (&str, u16),
    to: (&str, u16),
    transport: u8,
    options: usize,
) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    for tag in tags {
        bytes.extend([tag.to_be_bytes(), [0, 5]].concat());
    }
    let (source, destination) = (octets(from.0), octets(to.0));
    if source.len() == 4 {
        bytes.extend([8, 0, 0x45 + options as u8, 0, 0, 40, 0, 0, 0x40, 0, 64, transport, 0, 0]);
    } else {
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, transport, 64]);
    }
    bytes.extend([source, destination, vec![1; 4 * options]].concat());
    bytes.extend([from.1.to_be_bytes(), to.1.to_be_bytes()].concat());
    bytes
}

#[test]
fn a_frame_is_hashed_as_a_network_card_would() {
    let table: Vec<u16> = (0..1 << 12).collect();
    for &(from, to, addresses, with_ports) in VECTORS {
        let ipv6 = from.0.contains(':');
        let hash = Hash::toeplitz(&KEY, ipv6, true);
        let rss = Rss::new(&hash, &table);
        let queue = |hash: u32| hash as u16 & 0xfff;
        let at = |frame: Vec<u8>| rss.queue_of_frame(&frame);
        for transport in [protocol::TCP, protocol::UDP] {
            assert_eq!(at(frame(&[], from, to, transport, 0)), queue(with_ports));
            let tags = [ethertype::QINQ, ethertype::VLAN];
            assert_eq!(at(frame(&tags, from, to, transport, 0)), queue(with_ports));
            assert_eq!(at(frame(&[], from, to, transport, 0)[..13].to_vec()), 0, "cut short");
        }
        assert_eq!(at(frame(&[], from, to, protocol::ICMP, 0)), queue(addresses));
        if !ipv6 {
            assert_eq!(at(frame(&[], from, to, protocol::TCP, 3)), queue(with_ports), "options");
            let mut fragment = frame(&[], from, to, protocol::TCP, 0);
            fragment[14 + 6] = 0x20;
            assert_eq!(at(fragment), queue(addresses), "a fragment has no ports");
        }
        let queue = rss.queue_of((&octets(from.0), from.1), (&octets(to.0), to.1));
        assert_eq!(queue, with_ports as u16 & 0xfff);
        let other = Hash::toeplitz(&KEY, !ipv6, true);
        let other = Rss::new(&other, &table);
        assert_eq!(other.queue_of_frame(&frame(&[], from, to, protocol::TCP, 0)), 0, "a family");
    }
    let hash = Hash::toeplitz(&KEY, false, true);
    let rss = Rss::new(&hash, &[7, 3]);
    assert_eq!((rss.queue_of_frame(&[]), rss.queue_of_frame(&[0xff; 60])), (7, 7));
    assert_eq!(Rss::new(&hash, &[0, 1, 2]).table(), [0, 1]);
    assert_eq!(Rss::new(&hash, &[]).queue(9), 0);
}

#[test]
fn any_linear_hash_can_be_told() {
    // The tuple's 32-bit words, added up.
    let folded = Hash::new(false, |bit| 1 << (31 - bit % 32));
    let sum = whole(&folded, ("10.0.0.1", 1000), ("192.0.2.9", 80));
    assert_eq!(sum, 0x0a00_0001 ^ 0xc000_0209 ^ (1000 << 16 | 80));
}
