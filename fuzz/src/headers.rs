//! Headers as others read them: etherparse and smoltcp accept and refuse the same bytes as we do,
//! and see the same fields in them. Where they differ, the difference is named here and is the
//! whole of it. Sums are compared and not what smoltcp says of them: while it is fuzzed it finds
//! all of them right.

use dperf_core::wire::Malformed;
use dperf_core::wire::arp::ArpPacket;
use dperf_core::wire::checksum;
use dperf_core::wire::ethernet::{EthernetHeader, VlanTag};
use dperf_core::wire::icmp::{self, IcmpEcho};
use dperf_core::wire::icmpv6::{self, Icmpv6Echo, NeighborAdvertisement, NeighborSolicitation};
use dperf_core::wire::ipv4::Ipv4;
use dperf_core::wire::ipv6::{Ipv6, MAX_EXTENSIONS};
use dperf_core::wire::tcp::{MAX_WINDOW_SCALE, Tcp, TcpOptions};
use dperf_core::wire::udp::Udp;
use etherparse as theirs;
use smoltcp::wire as smol;

/// Every header at the front, and where a frame has it.
pub fn holds(data: &[u8]) {
    all(data);
    ethernet(data);
    let Ok((_, packet)) = EthernetHeader::split(data) else { return };
    tag(packet);
    network(packet);
    if let Ok((_, tagged)) = VlanTag::split(packet) {
        network(tagged);
    }
}

/// An ARP or IP packet, and what is in it.
fn network(packet: &[u8]) {
    all(packet);
    if let Ok(ip) = Ipv4::parse(packet) {
        all(ip.payload);
    }
    if let Ok(ip) = Ipv6::parse(packet) {
        all(ip.payload);
        messages(ip.header.source, ip.header.destination, ip.payload);
    }
}

fn all(bytes: &[u8]) {
    arp(bytes);
    ipv4(bytes);
    ipv6(bytes);
    tcp(bytes);
    options(bytes);
    udp(bytes);
    echo(bytes);
    messages([1; 16], [2; 16], bytes);
    assert_eq!(finished(checksum::sum(bytes)), !smol::checksum::data(bytes));
}

fn ethernet(bytes: &[u8]) {
    let ours = EthernetHeader::split(bytes);
    let etherparse = theirs::Ethernet2HeaderSlice::from_slice(bytes);
    let smoltcp = smol::EthernetFrame::new_checked(bytes);
    assert_eq!((ours.is_ok(), ours.is_ok()), (etherparse.is_ok(), smoltcp.is_ok()));
    let (Ok((ours, payload)), Ok(etherparse), Ok(smoltcp)) = (ours, etherparse, smoltcp) else {
        return;
    };
    let seen = (ours.dst.0, ours.src.0, ours.ethertype.get());
    let kind = etherparse.ether_type().0;
    assert_eq!(seen, (etherparse.destination(), etherparse.source(), kind));
    assert_eq!(seen, (smoltcp.dst_addr().0, smoltcp.src_addr().0, smoltcp.ethertype().into()));
    assert_eq!(payload, smoltcp.payload());
}

fn tag(bytes: &[u8]) {
    let (ours, theirs) = (VlanTag::split(bytes), theirs::SingleVlanHeaderSlice::from_slice(bytes));
    assert_eq!(ours.is_ok(), theirs.is_ok());
    let (Ok((ours, _)), Ok(theirs)) = (ours, theirs) else { return };
    let seen = (ours.id(), ours.ethertype.get());
    assert_eq!(seen, (theirs.vlan_identifier().value(), theirs.ether_type().0));
    assert_eq!(ours.tci.get() >> 13, u16::from(theirs.priority_code_point().value()));
}

/// etherparse reads any ARP, smoltcp any operation.
fn arp(bytes: &[u8]) {
    let ours = ArpPacket::parse(bytes);
    let etherparse = theirs::ArpPacketSlice::from_slice(bytes).ok().filter(|packet| {
        (packet.hw_addr_type().0, packet.hw_addr_size()) == (1, 6)
            && (packet.proto_addr_type().0, packet.proto_addr_size()) == (0x0800, 4)
            && matches!(packet.operation().0, 1 | 2)
    });
    assert_eq!(ours.is_ok(), etherparse.is_some());
    let (Ok(ours), Some(etherparse)) = (ours, etherparse) else { return };
    assert_eq!(ours.op.get(), etherparse.operation().0);
    assert_eq!((&ours.sha.0[..], &ours.spa[..]), from(&etherparse));
    let target = (etherparse.target_hw_addr(), etherparse.target_protocol_addr());
    assert_eq!((&ours.tha.0[..], &ours.tpa[..]), target);
    let packet = smol::ArpPacket::new_checked(bytes).expect("smoltcp accepts it");
    let repr = smol::ArpRepr::parse(&packet).expect("smoltcp accepts it");
    let smol::ArpRepr::EthernetIpv4 { operation, source_protocol_addr, .. } = repr else {
        panic!("smoltcp knows no other");
    };
    let seen = (u16::from(operation), source_protocol_addr.octets());
    assert_eq!((ours.op.get(), ours.spa), seen);
}

fn from<'a>(packet: &'a theirs::ArpPacketSlice<'a>) -> (&'a [u8], &'a [u8]) {
    (packet.sender_hw_addr(), packet.sender_protocol_addr())
}

/// etherparse's header says nothing of the whole packet, smoltcp nothing of the version; both leave
/// fragments to the caller.
fn ipv4(bytes: &[u8]) {
    let ours = Ipv4::parse(bytes);
    let header = theirs::Ipv4HeaderSlice::from_slice(bytes).ok();
    let smoltcp = smol::Ipv4Packet::new_checked(bytes).ok();
    let whole = header.filter(|header| {
        let total = usize::from(header.total_len());
        (header.slice().len()..=bytes.len()).contains(&total)
    });
    let fragment = whole.as_ref().is_some_and(theirs::Ipv4HeaderSlice::is_fragmenting_payload);
    assert_eq!(ours.is_ok(), whole.is_some() && !fragment);
    assert_eq!(ours == Err(Malformed::Fragment), fragment);
    assert_eq!(whole.is_some(), smoltcp.as_ref().is_some_and(|packet| packet.version() == 4));
    let (Ok(ours), Some(header), Some(smoltcp)) = (ours, whole, smoltcp) else { return };
    let plain = ours.header;
    let addresses = (plain.source, plain.destination);
    assert_eq!(addresses, (header.source(), header.destination()));
    assert_eq!(addresses, (smoltcp.src_addr().octets(), smoltcp.dst_addr().octets()));
    let numbers = (plain.protocol, plain.ttl, plain.id.get(), plain.total_length.get());
    let (total, hops) = (header.total_len(), header.ttl());
    assert_eq!(numbers, (header.protocol().0, hops, header.identification(), total));
    let next = u8::from(smoltcp.next_header());
    assert_eq!(numbers, (next, smoltcp.hop_limit(), smoltcp.ident(), smoltcp.total_len()));
    assert_eq!(plain.tos, header.dcp().value() << 2 | header.ecn().value());
    assert_eq!((ours.options, ours.payload), (header.options(), smoltcp.payload()));
    assert_eq!(ours.checksum_ok(), smol::checksum::data(&bytes[..header.slice().len()]) == !0);
}

/// A packet without payload may be a jumbogram to etherparse. It takes any number of extension
/// headers, those that lead on to others as well, and looks behind the one for authentication,
/// which is a protocol like any other to us.
fn ipv6(bytes: &[u8]) {
    let ours = Ipv6::parse(bytes);
    let header = theirs::Ipv6HeaderSlice::from_slice(bytes);
    let whole = header.ok().and_then(|header| {
        Some((header.to_header(), bytes.get(40..)?.get(..usize::from(header.payload_length()))?))
    });
    let smoltcp = smol::Ipv6Packet::new_checked(bytes).ok();
    assert_eq!(whole.is_some(), smoltcp.as_ref().is_some_and(|packet| packet.version() == 6));
    let (Some((header, payload)), Some(smoltcp)) = (whole, smoltcp) else {
        return assert!(ours.is_err());
    };
    if ours.is_ok_and(|ours| ours.protocol == theirs::ip_number::AUTH.0) {
        return;
    }
    let walked = theirs::Ipv6ExtensionsSlice::from_slice(header.next_header, payload);
    let (extensions, protocol, upper) = match (walked, ours) {
        (Ok(walked), Ok(_)) => walked,
        (Ok((extensions, ..)), Err(Malformed::Fragment)) => {
            return assert!(extensions.is_fragmenting_payload());
        }
        (Ok(walked), Err(why)) => {
            let (extensions, ..) = walked;
            let onward = leads_on(&extensions);
            let many = extensions.into_iter().count() > MAX_EXTENSIONS;
            assert_eq!(why, Malformed::ExtensionChain);
            return assert!(onward || many);
        }
        // A fragment is refused before what follows is looked at.
        (Err(_), Err(why)) => {
            return assert!(matches!(why, Malformed::ExtensionChain | Malformed::Fragment));
        }
        (Err(why), Ok(_)) => panic!("etherparse refuses: {why}"),
    };
    let Ok(ours) = ours else { return };
    assert!(!extensions.is_fragmenting_payload());
    assert_eq!((ours.protocol, ours.payload), (protocol.0, upper));
    assert_eq!(usize::from(ours.l4_offset), 40 + extensions.slice().len());
    let plain = ours.header;
    assert_eq!((plain.source, plain.destination), (header.source, header.destination));
    let sides = (smoltcp.src_addr().octets(), smoltcp.dst_addr().octets());
    assert_eq!((plain.source, plain.destination), sides);
    assert_eq!((plain.hop_limit, plain.hop_limit), (header.hop_limit, smoltcp.hop_limit()));
    let labels = (plain.traffic_class(), plain.flow_label());
    assert_eq!(labels, (header.traffic_class, header.flow_label.value()));
    assert_eq!(labels, (smoltcp.traffic_class(), smoltcp.flow_label()));
}

/// A routing header has segments left.
fn leads_on(extensions: &theirs::Ipv6ExtensionsSlice<'_>) -> bool {
    extensions.clone().into_iter().any(|extension| match extension {
        theirs::Ipv6ExtensionSlice::Routing(routing) => {
            routing.payload().get(1).is_some_and(|left| *left > 0)
        }
        _ => false,
    })
}

fn tcp(bytes: &[u8]) {
    let ours = Tcp::parse(bytes);
    let etherparse = theirs::TcpSlice::from_slice(bytes);
    let smoltcp = smol::TcpPacket::new_checked(bytes);
    assert_eq!((ours.is_ok(), ours.is_ok()), (etherparse.is_ok(), smoltcp.is_ok()));
    let (Ok(ours), Ok(etherparse), Ok(smoltcp)) = (ours, etherparse, smoltcp) else { return };
    let plain = ours.header;
    let ports = (plain.source_port.get(), plain.destination_port.get());
    assert_eq!(ports, (etherparse.source_port(), etherparse.destination_port()));
    assert_eq!(ports, (smoltcp.src_port(), smoltcp.dst_port()));
    let numbers = (plain.sequence.get(), plain.acknowledgment.get());
    assert_eq!(numbers, (etherparse.sequence_number(), etherparse.acknowledgment_number()));
    assert_eq!(numbers, (smoltcp.seq_number().0 as u32, smoltcp.ack_number().0 as u32));
    let words = (plain.window.get(), plain.checksum.get(), plain.urgent.get());
    let (window, sum) = (etherparse.window_size(), etherparse.checksum());
    assert_eq!(words, (window, sum, etherparse.urgent_pointer()));
    assert_eq!(words, (smoltcp.window_len(), smoltcp.checksum(), smoltcp.urgent_at()));
    assert_eq!((ours.options, ours.payload), (etherparse.options(), etherparse.payload()));
    assert_eq!((ours.options, ours.payload), (smoltcp.options(), smoltcp.payload()));
    let flags = [
        smoltcp.fin(),
        smoltcp.syn(),
        smoltcp.rst(),
        smoltcp.psh(),
        smoltcp.ack(),
        smoltcp.urg(),
        smoltcp.ece(),
        smoltcp.cwr(),
    ];
    let flags = flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag));
    assert_eq!(ours.flags().bits(), flags);
    options(ours.options);
}

/// smoltcp reads selective acknowledgments and leaves alone a time stamp of a wrong length.
fn options(bytes: &[u8]) {
    let mut theirs = Some(TcpOptions::default());
    let (mut rest, mut selective) = (bytes, false);
    while let (Some(found), [kind, ..]) = (&mut theirs, rest) {
        let Ok((next, option)) = smol::TcpOption::parse(rest) else {
            // What smoltcp refuses for its ranges is an option like any other to us.
            selective = *kind == 5 && rest.get(1).is_some_and(|length| *length >= 2);
            theirs = None;
            break;
        };
        match option {
            smol::TcpOption::EndOfList => break,
            smol::TcpOption::MaxSegmentSize(mss) => found.mss = Some(mss),
            smol::TcpOption::WindowScale(shift) => {
                found.window_scale = Some(shift.min(MAX_WINDOW_SCALE));
            }
            smol::TcpOption::SackPermitted => found.sack_permitted = true,
            smol::TcpOption::TimeStamp { tsval, tsecr } => {
                found.timestamps = Some((tsval, tsecr));
            }
            smol::TcpOption::Unknown { kind: 8, .. } => theirs = None,
            _ => {}
        }
        rest = next;
    }
    if !selective {
        assert_eq!(TcpOptions::parse(bytes).ok(), theirs);
    }
}

/// A length of zero is a jumbogram to etherparse.
fn udp(bytes: &[u8]) {
    let ours = Udp::parse(bytes);
    let smoltcp = smol::UdpPacket::new_checked(bytes);
    let etherparse = theirs::UdpSlice::from_slice(bytes).ok().filter(|udp| udp.length() != 0);
    assert_eq!((ours.is_ok(), ours.is_ok()), (etherparse.is_some(), smoltcp.is_ok()));
    let (Ok(ours), Some(etherparse), Ok(smoltcp)) = (ours, etherparse, smoltcp) else { return };
    let ports = (ours.header.source_port.get(), ours.header.destination_port.get());
    assert_eq!(ports, (etherparse.source_port(), etherparse.destination_port()));
    assert_eq!(ports, (smoltcp.src_port(), smoltcp.dst_port()));
    assert_eq!((ours.payload, ours.payload), (etherparse.payload(), smoltcp.payload()));
    assert_eq!(ours.header.checksum.get(), etherparse.checksum());
}

/// smoltcp reads every ICMP message.
fn echo(bytes: &[u8]) {
    let ours = IcmpEcho::parse(bytes);
    let theirs = smol::Icmpv4Packet::new_checked(bytes).ok().filter(|message| {
        matches!(
            message.msg_type(),
            smol::Icmpv4Message::EchoRequest | smol::Icmpv4Message::EchoReply
        ) && message.msg_code() == 0
    });
    assert_eq!(ours.is_ok(), theirs.is_some());
    let (Ok(ours), Some(theirs)) = (ours, theirs) else { return };
    assert_eq!((ours.ident.get(), ours.seq.get()), (theirs.echo_ident(), theirs.echo_seq_no()));
    assert_eq!(icmp::checksum_ok(bytes), smol::checksum::data(bytes) == !0);
}

/// What we accept, smoltcp accepts and reads so. It does not look at code, hop limit and target,
/// takes the last of several addresses, and one that is too long; and it looks into options that
/// mean nothing here.
fn messages(source: [u8; 16], destination: [u8; 16], bytes: &[u8]) {
    let theirs = smol::Icmpv6Packet::new_checked(bytes).ok();
    let right = icmpv6::checksum_ok(&source, &destination, bytes);
    let sums = [pseudo(source, destination, bytes.len()), smol::checksum::data(bytes)];
    assert_eq!(right, smol::checksum::combine(&sums) == !0);
    if let Ok(ours) = Icmpv6Echo::parse(bytes) {
        let theirs = theirs.as_ref().expect("smoltcp accepts it");
        assert_eq!((ours.ident.get(), ours.seq.get()), (theirs.echo_ident(), theirs.echo_seq_no()));
    }
    let asked = NeighborSolicitation::parse(bytes, 255).map(|(asked, mac)| (asked.target, mac));
    let told = NeighborAdvertisement::parse(bytes, 255).map(|(told, mac)| (told.target, mac));
    let Ok((target, mac)) = asked.or(told) else { return };
    let theirs = theirs.expect("smoltcp accepts it");
    assert_eq!(target, theirs.target_addr().octets());
    let lladdr = match smol::NdiscRepr::parse(&theirs) {
        Ok(
            smol::NdiscRepr::NeighborSolicit { lladdr, .. }
            | smol::NdiscRepr::NeighborAdvert { lladdr, .. },
        ) => lladdr,
        Ok(other) => panic!("smoltcp takes it for {other:?}"),
        // Prefixes, redirections and MTUs belong to other messages.
        Err(_) => return assert!(bytes[24..].chunks(8).any(|unit| matches!(unit[0], 3..=5))),
    };
    assert_eq!(mac.is_some(), lladdr.is_some());
    let alone = bytes.len() == 32;
    if let (true, Some(mac), Some(lladdr)) = (alone, mac, lladdr) {
        assert_eq!(mac.0, lladdr.as_bytes());
    }
}

fn pseudo(source: [u8; 16], destination: [u8; 16], bytes: usize) -> u16 {
    let (from, to) = (source.into(), destination.into());
    smol::checksum::pseudo_header_v6(&from, &to, smol::IpProtocol::Icmpv6, bytes as u32)
}

/// The sum that a checksum of our making stands for, as a number.
fn finished(sum: u64) -> u16 {
    u16::from_be_bytes(checksum::finish(sum))
}
