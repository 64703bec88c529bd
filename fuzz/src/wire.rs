//! Views of headers: a parser says no, or shows parts that lie in the bytes it was given.

use dperf_core::wire::arp::ArpPacket;
use dperf_core::wire::checksum::{is_valid, pseudo_ipv4, sum};
use dperf_core::wire::ethernet::{EthernetHeader, MacAddr, VlanTag};
use dperf_core::wire::headers::{DatagramHeaders, Headers};
use dperf_core::wire::icmp::{self, IcmpEcho};
use dperf_core::wire::icmpv6::{self, Icmpv6Echo, NeighborAdvertisement, NeighborSolicitation};
use dperf_core::wire::ipv4::{IPV4_BYTES, Ipv4, protocol};
use dperf_core::wire::ipv6::{IPV6_BYTES, Ipv6};
use dperf_core::wire::tcp::{TCP_BYTES, Tcp, TcpOptions};
use dperf_core::wire::udp::{UDP_BYTES, Udp};
use dperf_core::wire::vxlan::VxlanHeader;
use zerocopy::FromBytes;

/// Every parser, at the places where a frame has its headers and at the front.
pub fn holds(data: &[u8]) {
    all(data);
    let Ok((_, packet)) = EthernetHeader::split(data) else { return };
    inside(data, packet);
    all(packet);
    if let Ok((tag, tagged)) = VlanTag::split(packet) {
        assert!(tag.id() < 4096);
        inside(packet, tagged);
    }
    if let Ok(ip) = Ipv4::parse(packet) {
        all(ip.payload);
        usual(data, &ip);
    }
    if let Ok(ip) = Ipv6::parse(packet) {
        all(ip.payload);
    }
}

/// Every parser that takes bytes, on the same bytes.
fn all(bytes: &[u8]) {
    ipv4(bytes);
    ipv6(bytes);
    tcp(bytes);
    if let Ok(datagram) = Udp::parse(bytes) {
        inside(bytes, datagram.payload);
    }
    if let Ok((header, frame)) = VxlanHeader::split(bytes) {
        inside(bytes, frame);
        assert!(header.vni().is_none_or(|vni| vni < 1 << 24));
    }
    if let Ok(packet) = ArpPacket::parse(bytes) {
        assert!(!packet.reply_to(MacAddr([2; 6])).is_request());
    }
    for hop_limit in [0, 64, 255] {
        let asked = NeighborSolicitation::parse(bytes, hop_limit).is_ok();
        let told = NeighborAdvertisement::parse(bytes, hop_limit).is_ok();
        assert!(!(asked && told), "a message is one or the other");
        assert!(hop_limit == 255 || !(asked || told), "it crossed a router (RFC 4861)");
    }
    let _ = (IcmpEcho::parse(bytes), icmp::checksum_ok(bytes));
    let _ = (Icmpv6Echo::parse(bytes), icmpv6::checksum_ok(&[1; 16], &[2; 16], bytes));
    if let Ok(text) = str::from_utf8(bytes)
        && let Some(mac) = MacAddr::parse(text)
    {
        assert_eq!(MacAddr::parse(&mac.to_string()), Some(mac));
    }
}

/// The views of a usual frame's headers say of both sums what the headers one by one say.
fn usual(frame: &[u8], ip: &Ipv4<'_>) {
    let (source, destination) = (ip.header.source, ip.header.destination);
    let right = |number| {
        let pseudo = pseudo_ipv4(source, destination, number, ip.payload.len() as u16);
        ip.checksum_ok() && is_valid(pseudo + sum(ip.payload))
    };
    if !ip.options.is_empty() {
        return;
    }
    if let (Ok((headers, _)), Some(behind)) =
        (Headers::ref_from_prefix(frame), ip.payload.get(TCP_BYTES..))
    {
        assert_eq!(headers.are_undamaged(behind.len(), sum(behind)), right(protocol::TCP));
    }
    if let (Ok((headers, _)), Some(payload)) =
        (DatagramHeaders::ref_from_prefix(frame), ip.payload.get(UDP_BYTES..))
    {
        let made = headers.udp.checksum.get() != 0;
        assert_eq!(headers.are_undamaged(payload), made && right(protocol::UDP));
    }
}

fn ipv4(bytes: &[u8]) {
    let Ok(ip) = Ipv4::parse(bytes) else { return };
    inside(bytes, ip.options);
    inside(bytes, ip.payload);
    let header = usize::from(ip.header_bytes);
    assert_eq!(IPV4_BYTES + ip.options.len(), header);
    assert_eq!(header + ip.payload.len(), usize::from(ip.header.total_length.get()));
    let _ = (ip.checksum_ok(), ip.header.is_fragment());
}

fn ipv6(bytes: &[u8]) {
    let Ok(ip) = Ipv6::parse(bytes) else { return };
    inside(bytes, ip.payload);
    let l4 = usize::from(ip.l4_offset);
    assert!(l4 >= IPV6_BYTES);
    assert_eq!(&bytes[l4..l4 + ip.payload.len()], ip.payload);
    let _ = (ip.header.traffic_class(), ip.header.flow_label());
}

fn tcp(bytes: &[u8]) {
    let _ = TcpOptions::parse(bytes);
    let Ok(segment) = Tcp::parse(bytes) else { return };
    inside(bytes, segment.options);
    inside(bytes, segment.payload);
    let header = usize::from(segment.header_bytes);
    assert_eq!(TCP_BYTES + segment.options.len(), header);
    assert_eq!(header + segment.payload.len(), bytes.len());
    let _ = TcpOptions::parse(segment.options);
}

/// `part` lies within `whole`.
fn inside(whole: &[u8], part: &[u8]) {
    let (whole, part) = (whole.as_ptr_range(), part.as_ptr_range());
    assert!(part.is_empty() || whole.start <= part.start && part.end <= whole.end);
}
