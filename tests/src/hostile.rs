//! Frames that no honest station sends, each with the counter that it must show in: cut off, with
//! lengths that lie, in pieces, from nobody, to somebody else. None of them may be answered.
//! [`frames`] are those over IPv4, [`ipv6_frames`] those over IPv6, [`vxlan_frames`] those that a
//! tunnel gets.

use dperf_core::stats::{Count, Snapshot};
use smoltcp::wire::{
    EthernetAddress, EthernetProtocol, IpProtocol, Ipv4Address, Ipv6Address, NdiscNeighborFlags,
};

use crate::ipv4::Way;
use crate::ipv6;
use crate::reference::repair;

/// One hostile frame.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// What is wrong with it.
    pub name: String,
    /// All of it.
    pub frame: Vec<u8>,
    /// The counter, as records name it.
    pub counter: &'static str,
}

/// Where the IPv4 header lies, and the TCP or UDP header behind it.
const IP: usize = 14;
const UPPER: usize = 34;
/// A port on which nothing is.
const CLOSED: u16 = 22;
/// Where tunnels end.
const VXLAN_PORT: u16 = 4789;
/// Somebody else.
const OTHER: Ipv4Address = Ipv4Address::new(198, 51, 100, 9);
const OTHER_MAC: EthernetAddress = EthernetAddress([2, 9, 9, 9, 9, 9]);

/// The frames for a station: from whom to whom honest ones would go. They have [`PORT`] for their
/// source port.
#[must_use]
pub fn frames(way: &Way) -> Vec<Hostile> {
    let parts: [fn(&Way) -> Vec<Hostile>; 6] = [cut, lengths, options, pieces, strangers, sums];
    parts.iter().flat_map(|part| part(way)).chain(others(way)).collect()
}

/// What is wrong with a worker that counted `counts` of one hostile frame and gave so many
/// `answers`, if anything is.
///
/// # Panics
/// There is no such counter.
#[must_use]
pub fn misjudged(name: &str, counter: &str, counts: &Snapshot, answers: usize) -> Option<String> {
    let count = Count::ALL.iter().find(|count| count.name() == counter);
    let count = *count.unwrap_or_else(|| panic!("no counter {counter}"));
    let seen = Count::ALL.iter().filter(|it| counts.get(**it) > 0).map(|it| it.name());
    let seen = seen.filter(|name| name.starts_with("drop")).collect::<Vec<_>>();
    let right = counts.get(count) == 1 && answers == 0;
    (!right).then(|| format!("{name}: not {counter} but {seen:?}, {answers} answers"))
}

/// The source port of every hostile segment and datagram.
pub const PORT: u16 = 6666;

fn syn(way: &Way) -> Vec<u8> {
    way.segment([PORT, 80], "S", b"")
}

/// `frame` with `change`, its IPv4 checksum right again.
fn changed(mut frame: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut frame);
    sum_header(&mut frame);
    frame
}

fn sum_header(frame: &mut [u8]) {
    let end = (IP + usize::from(frame[IP] & 15) * 4).clamp(UPPER, frame.len().max(UPPER));
    let Some(header) = frame.get_mut(IP..end) else { return };
    header[10..12].fill(0);
    let words = header.chunks_exact(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1]));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn hostile(name: impl Into<String>, counter: &'static str, frame: Vec<u8>) -> Hostile {
    Hostile { name: name.into(), frame, counter }
}

/// Frames that end before what they announce.
fn cut(way: &Way) -> Vec<Hostile> {
    let whole = syn(way);
    let mut found: Vec<_> = (14..UPPER)
        .map(|len| hostile(format!("a runt of {len} bytes"), "dropTruncated", whole[..len].into()))
        .collect();
    found.extend((UPPER..whole.len()).map(|len| {
        hostile(format!("a segment cut to {len} bytes"), "dropTotalLength", whole[..len].into())
    }));
    // The IP header owns up to it.
    found.extend((UPPER..UPPER + 20).map(|len| {
        let frame = changed(whole[..len].into(), |frame| frame[IP + 3] = (len - IP) as u8);
        hostile(format!("{} bytes of a TCP header", len - UPPER), "dropTruncated", frame)
    }));
    let arp = way.frame(EthernetProtocol::Arp, &arp_request(way));
    found.extend(
        [14, 20, 41].map(|len| {
            hostile(format!("ARP cut to {len} bytes"), "dropTruncated", arp[..len].into())
        }),
    );
    found
}

/// Length fields that lie.
fn lengths(way: &Way) -> Vec<Hostile> {
    let mut found = Vec::new();
    for total in [0u16, 19, 41, 1500, 65_535] {
        let frame =
            changed(syn(way), |it| it[IP + 2..IP + 4].copy_from_slice(&total.to_be_bytes()));
        found.push(hostile(format!("a total length of {total}"), "dropTotalLength", frame));
    }
    for words in (0..5).chain([11, 15]) {
        let frame = changed(syn(way), |frame| frame[IP] = 0x40 | words);
        found.push(hostile(format!("an IP header of {words} words"), "dropHeaderLength", frame));
    }
    for offset in (0..5).chain(6..=15) {
        let mut frame = syn(way);
        frame[UPPER + 12] = offset << 4;
        repair(&mut frame);
        found.push(hostile(format!("a data offset of {offset}"), "dropHeaderLength", frame));
    }
    for length in [0u16, 7, 13, 65_535] {
        let mut frame = way.datagram([PORT, 80], b"data");
        frame[UPPER + 4..UPPER + 6].copy_from_slice(&length.to_be_bytes());
        found.push(hostile(format!("a UDP length of {length}"), "dropTotalLength", frame));
    }
    for (at, name) in [(4, "hardware"), (5, "protocol")] {
        let mut arp = arp_request(way);
        arp[at] = 200;
        let frame = way.frame(EthernetProtocol::Arp, &arp);
        found.push(hostile(format!("ARP with {name} addresses of 200 bytes"), "dropValue", frame));
    }
    found
}

/// "Who has the address we go to?"
fn arp_request(way: &Way) -> Vec<u8> {
    let [from, to] = way.addresses.map(|address| address.octets());
    let zero = [0; 6];
    [&[0, 1, 8, 0, 6, 4, 0, 1][..], &way.macs[0].0, &from, &zero, &to].concat()
}

/// Options of a SYN that lead nowhere.
fn options(way: &Way) -> Vec<Hostile> {
    let bad: [(&str, [u8; 4]); 5] = [
        ("of no length", [2, 0, 5, 0xb4]),
        ("of length 1", [30, 1, 30, 1]),
        ("beyond the header", [2, 40, 5, 0xb4]),
        ("cut off", [1, 1, 1, 2]),
        ("of a wrong length", [2, 3, 5, 0]),
    ];
    let frame = |bytes: &[u8; 4]| {
        let mut frame = way.segment([PORT, 80], "S", bytes);
        frame[UPPER + 12] = 6 << 4;
        repair(&mut frame);
        frame
    };
    bad.iter()
        .map(|(name, bytes)| hostile(format!("an option {name}"), "dropOptions", frame(bytes)))
        .collect()
}

/// Fragments, and headers of the other version.
fn pieces(way: &Way) -> Vec<Hostile> {
    let mut found = Vec::new();
    for (name, word) in [("first", 0x2000u16), ("middle", 0x2010), ("last", 0x0010)] {
        let frame = changed(syn(way), |it| it[IP + 6..IP + 8].copy_from_slice(&word.to_be_bytes()));
        found.push(hostile(format!("the {name} fragment"), "dropFragment", frame));
    }
    for version in [0, 5, 6, 15] {
        let frame = changed(syn(way), |frame| frame[IP] = version << 4 | 5);
        found.push(hostile(format!("IP of version {version}"), "dropVersion", frame));
    }
    // A chain of extension headers, where nobody speaks IPv6.
    let chain: Vec<u8> = (0..8).flat_map(|_| [60, 255, 1, 4, 0, 0, 0, 0]).collect();
    let mut ipv6 = vec![0x60, 0, 0, 0, 0, chain.len() as u8, 60, 64];
    ipv6.extend([0xfd; 32]);
    ipv6.extend(chain);
    let frame = way.frame(EthernetProtocol::Ipv6, &ipv6);
    found.push(hostile("IPv6 extension headers without an end", "otherRx", frame));
    found
}

/// Senders that nobody can be.
fn strangers(way: &Way) -> Vec<Hostile> {
    let [_, us] = way.addresses;
    let nobodies = [
        ("ourselves", us),
        ("everybody", Ipv4Address::BROADCAST),
        ("a group", Ipv4Address::new(224, 0, 0, 1)),
        ("nobody", Ipv4Address::UNSPECIFIED),
        ("the loopback", Ipv4Address::new(127, 0, 0, 1)),
    ];
    let mut found = Vec::new();
    for (name, from) in nobodies {
        let way = Way { addresses: [from, us], ..*way };
        found.push(hostile(format!("a SYN from {name}"), "dropValue", syn(&way)));
        let land = way.segment([80, 80], "S", b"");
        found.push(hostile(format!("a SYN from {name}, port 80"), "dropValue", land));
        found.push(hostile(format!("a ping from {name}"), "dropValue", way.ping(0)));
    }
    for mac in [EthernetAddress::BROADCAST, EthernetAddress([0; 6])] {
        let way = Way { macs: [mac, way.macs[1]], ..*way };
        found.push(hostile(format!("a ping from MAC address {mac}"), "dropValue", way.ping(0)));
    }
    found
}

/// Wrong checksums.
fn sums(way: &Way) -> Vec<Hostile> {
    let damaged = |mut frame: Vec<u8>, at: usize| {
        frame[at] ^= 0x10;
        frame
    };
    let datagram = way.datagram([PORT, 80], b"data");
    // Its length and its sum are those of four bytes less than IP's.
    let shorter = changed([&datagram[..], b"more"].concat(), |frame| frame[IP + 3] += 4);
    [
        ("a datagram shorter than its packet", damaged(shorter, UPPER + 9)),
        ("an IP header", damaged(syn(way), IP + 8)),
        ("a segment", damaged(syn(way), UPPER + 4)),
        ("a datagram", damaged(datagram, UPPER + 9)),
        ("a ping", damaged(way.ping(0), UPPER + 6)),
    ]
    .into_iter()
    .map(|(name, frame)| hostile(format!("a wrong checksum of {name}"), "dropChecksum", frame))
    .collect()
}

/// What is for others, what no tuple fits, and what was never a question.
fn others(way: &Way) -> Vec<Hostile> {
    let [from, _] = way.addresses;
    let foreign = Way { addresses: [from, OTHER], ..*way };
    let flooded = Way { macs: [way.macs[0], OTHER_MAC], ..*way };
    let mut found = Vec::new();
    for (who, way, counter) in [
        ("an address not ours", foreign, "dropForeignAddress"),
        ("a MAC address not ours", flooded, "dropForeignMac"),
    ] {
        let ports = [PORT, 443];
        for (what, frame) in [
            ("a SYN", way.segment(ports, "S", b"")),
            ("data", way.segment(ports, "A", b"data")),
            ("a RST", way.segment(ports, "R", b"")),
            ("a ping", way.ping(0)),
            ("a datagram", way.datagram(ports, b"data")),
        ] {
            found.push(hostile(format!("{what} to {who}"), counter, frame));
        }
    }
    for flags in ["R", "RA", "RS", "RSA", "RF"] {
        let frame = way.segment([PORT, CLOSED], flags, b"");
        found.push(hostile(format!("{flags} to a closed port"), "dropNoConnection", frame));
    }
    // Stubs of a tunnel, where there is none.
    for len in [0, 7, 8, 21] {
        let stub = vec![8; len];
        let frame = way.datagram([PORT, 4789], &stub);
        found.push(hostile(format!("{len} bytes of VXLAN"), "udpDrop", frame));
    }
    let frame = way.packet(0, IpProtocol::Unknown(99), b"data");
    found.push(hostile("an unknown protocol", "otherRx", frame));
    found
}

/// The same over IPv6, as far as that differs: extension headers above all.
#[must_use]
pub fn ipv6_frames(way: &ipv6::Way) -> Vec<Hostile> {
    let whole = way.syn(PORT, 80);
    let mut found: Vec<_> = (14..54)
        .map(|len| hostile(format!("a runt of {len} bytes"), "dropTruncated", whole[..len].into()))
        .collect();
    for length in [21u16, 1500, 65_535] {
        let mut frame = whole.clone();
        frame[18..20].copy_from_slice(&length.to_be_bytes());
        found.push(hostile(format!("a payload length of {length}"), "dropTotalLength", frame));
    }
    for version in [0, 4, 5, 15] {
        let mut frame = whole.clone();
        frame[14] = version << 4;
        found.push(hostile(format!("IP of version {version}"), "dropVersion", frame));
    }
    let chain = |first: u8, headers: &[u8]| {
        let behind = [headers, &whole[54..]].concat();
        way.packet(IpProtocol::from(first), &behind)
    };
    let options = |next: u8, length: u8| [next, length, 1, 4, 0, 0, 0, 0];
    for (name, counter, first, headers) in [
        ("destination options of 2048 bytes", "dropExtension", 60, options(6, 255).to_vec()),
        ("hop-by-hop options of 2048 bytes", "dropExtension", 0, options(6, 255).to_vec()),
        ("a routing header of 2048 bytes", "dropExtension", 43, options(6, 255).to_vec()),
        ("ten options in a row", "dropExtension", 60, [options(60, 0); 10].concat()),
        ("a chain that never ends", "dropExtension", 60, [options(60, 0); 100].concat()),
        ("hop-by-hop options behind others", "dropExtension", 60, {
            [options(0, 0), options(6, 0)].concat()
        }),
        ("an encrypted payload", "otherRx", 50, options(6, 0).to_vec()),
        ("an authentication header", "otherRx", 51, options(6, 0).to_vec()),
        ("the first fragment", "dropFragment", 44, vec![6, 0, 0, 1, 0, 0, 0, 7]),
        ("the last fragment", "dropFragment", 44, vec![6, 0, 0, 8, 0, 0, 0, 7]),
    ] {
        found.push(hostile(name, counter, chain(first, &headers)));
    }
    let cut = way.packet(IpProtocol::from(60), &[6, 0, 1]);
    found.push(hostile("options cut off", "dropExtension", cut));
    let mut damaged = whole;
    damaged[58] ^= 0x10;
    found.push(hostile("a wrong checksum of a segment", "dropChecksum", damaged));
    found.extend(ipv6_lies(way));
    found.extend(ipv6_others(way));
    found
}

/// What a neighbour must not say (RFC 4861, 7.1), and what nobody believes: whoever is known has
/// moved, it says, without an order to forget the old place.
fn ipv6_lies(way: &ipv6::Way) -> Vec<Hostile> {
    let [from, to] = way.addresses;
    let routed = ipv6::Way { hops: 64, ..*way };
    let everybody = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let group = ipv6::Way { addresses: [from, everybody], ..*way };
    let cut = |mut frame: Vec<u8>, payload_bytes: u8| {
        frame.truncate(54 + usize::from(payload_bytes));
        frame[19] = payload_bytes;
        frame
    };
    let question = || way.solicitation(to, true);
    let mut summed = question();
    summed[70] ^= 0x10;
    let solicited = NdiscNeighborFlags::SOLICITED;
    // Whole, but with a Fragment header (RFC 6980).
    let asked = question();
    let fragment = [&[58, 0, 0, 0, 0, 0, 0, 7], &asked[54..]].concat();
    let atomic = way.packet(IpProtocol::from(44), &fragment);
    vec![
        hostile("a question in a fragment", "dropFragment", atomic),
        hostile("a question from afar", "dropValue", routed.solicitation(to, true)),
        hostile("an answer from afar", "dropValue", routed.advertisement(from, solicited)),
        hostile("an answer to all", "dropValue", group.advertisement(from, solicited)),
        hostile("a question about a group", "dropValue", way.solicitation(everybody, true)),
        hostile("a wrong checksum of a question", "dropChecksum", summed),
        hostile("a question cut off", "dropChecksum", cut(question(), 20)),
        hostile("a lie without an order", "icmpRx", way.advertisement(from, solicited)),
    ]
}

/// Packets for others over IPv6, from nobodies, and resets of what is closed.
fn ipv6_others(way: &ipv6::Way) -> Vec<Hostile> {
    let [from, to] = way.addresses;
    let other = Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
    let mut found = Vec::new();
    for (who, way, counter) in [
        (
            "an address not ours",
            ipv6::Way { addresses: [from, other], ..*way },
            "dropForeignAddress",
        ),
        (
            "a MAC address not ours",
            ipv6::Way { macs: [way.macs[0], OTHER_MAC], ..*way },
            "dropForeignMac",
        ),
    ] {
        for (what, frame) in [
            ("a SYN", way.syn(PORT, 443)),
            ("a RST", way.segment([PORT, 443], "R")),
            ("a ping", way.echo(b"data")),
            ("a datagram", way.udp()),
        ] {
            found.push(hostile(format!("{what} to {who}"), counter, frame));
        }
    }
    for (name, from) in [
        ("ourselves", to),
        ("a group", Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1)),
        ("nobody", Ipv6Address::UNSPECIFIED),
        ("the loopback", Ipv6Address::LOCALHOST),
    ] {
        let way = ipv6::Way { addresses: [from, to], ..*way };
        found.push(hostile(format!("a SYN from {name}"), "dropValue", way.syn(PORT, 80)));
        found.push(hostile(format!("a ping from {name}"), "dropValue", way.echo(b"data")));
    }
    for mac in [EthernetAddress::BROADCAST, EthernetAddress([0; 6])] {
        let way = ipv6::Way { macs: [mac, way.macs[1]], ..*way };
        found.push(hostile(format!("a ping from MAC address {mac}"), "dropValue", way.echo(b"")));
    }
    let frame = way.segment([PORT, CLOSED], "R");
    found.push(hostile("a RST to a closed port", "dropNoConnection", frame));
    found
}

/// `inside` in a tunnel of network `vni` from one end to the other.
#[must_use]
pub fn in_tunnel(way: &Way, vni: u32, inside: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = vni.to_be_bytes();
    way.datagram([PORT, VXLAN_PORT], &[&[8, 0, 0, 0, a, b, c, 0][..], inside].concat())
}

/// What a tunnel of network `vni` gets: stubs of it, and in it all of [`frames`] for `inside`.
#[must_use]
pub fn vxlan_frames(way: &Way, vni: u32, inside: &Way) -> Vec<Hostile> {
    let honest = in_tunnel(way, vni, &syn(inside));
    let mut found = Vec::new();
    for bytes in 0..8 + 14 {
        let stub = way.datagram([PORT, VXLAN_PORT], &honest[42..42 + bytes]);
        found.push(hostile(format!("{bytes} bytes of a tunnel"), "dropTruncated", stub));
    }
    let other = in_tunnel(way, vni ^ 1, &syn(inside));
    found.push(hostile("another tunnel", "dropVxlan", other));
    let mut payload = honest[42..].to_vec();
    payload[0] = 0;
    let unnamed = way.datagram([PORT, VXLAN_PORT], &payload);
    found.push(hostile("a tunnel that is not named", "dropVxlan", unnamed));
    let mut damaged = honest.clone();
    damaged[60] ^= 0x10;
    found.push(hostile("a wrong checksum of a tunnel", "dropChecksum", damaged));
    for length in [0u16, 7, 65_535] {
        let mut frame = honest.clone();
        frame[UPPER + 4..UPPER + 6].copy_from_slice(&length.to_be_bytes());
        found.push(hostile(format!("a tunnel's length of {length}"), "dropTotalLength", frame));
    }
    found.extend(frames(inside).into_iter().map(|Hostile { name, frame, counter }| {
        hostile(format!("{name}, in a tunnel"), counter, in_tunnel(way, vni, &frame))
    }));
    found
}
