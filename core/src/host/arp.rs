//! ARP (RFC 826): answers for our addresses, and the gateway's answer to us.

use core::net::{IpAddr, Ipv4Addr};

use zerocopy::IntoBytes;

use crate::frame::Frame;
use crate::parse::reason;
use crate::stats::{Count, Writer};
use crate::wire::arp::ArpPacket;
use crate::wire::ethernet::{ETHERNET_BYTES, EthernetHeader, MacAddr, ethertype};

use super::{Host, Verdict, drop_bad, drop_frame, is_station};

/// Writes the request "who has `target`? tell `sender`" into `frame`; false if it is too small.
pub(super) fn request(frame: &mut Frame, mac: MacAddr, sender: Ipv4Addr, target: Ipv4Addr) -> bool {
    let packet = ArpPacket::request(mac, sender.octets(), target.octets());
    write(frame, MacAddr::BROADCAST, mac, &packet)
}

/// Answers a request for one of our addresses; learns the gateway's address from what it says.
pub(super) fn answer(host: &mut Host<'_>, frame: &mut Frame, stats: &mut Writer<'_>) -> Verdict {
    let packet =
        match EthernetHeader::split(frame.bytes()).and_then(|(_, arp)| ArpPacket::parse(arp)) {
            Ok(packet) => *packet,
            Err(why) => return drop_bad(reason(why), stats),
        };
    let from_gateway = IpAddr::from(packet.spa) == host.gateway_address;
    let usable = is_station(packet.sha);
    // To us, or to everybody: a gateway that moved says so (RFC 5227 section 2.3).
    let to_us = host.answers_for(IpAddr::from(packet.tpa)) || packet.tpa == packet.spa;
    if from_gateway && usable && to_us {
        host.gateway.store(packet.sha);
    }
    if !packet.is_request() || !usable || !host.answers_for(IpAddr::from(packet.tpa)) {
        return Verdict::Done;
    }
    let reply = packet.reply_to(host.mac);
    if !write(frame, packet.sha, host.mac, &reply) {
        return drop_frame(Count::DropTruncated, stats);
    }
    stats.inc(Count::ArpTx);
    Verdict::Send
}

fn write(frame: &mut Frame, dst: MacAddr, src: MacAddr, packet: &ArpPacket) -> bool {
    let header = EthernetHeader { dst, src, ethertype: ethertype::ARP.into() };
    let len = ETHERNET_BYTES + packet.as_bytes().len();
    if !frame.set_packet(len, crate::frame::TxShape::Complete) {
        return false;
    }
    let (head, body) = frame.bytes_mut().split_at_mut(ETHERNET_BYTES);
    head.copy_from_slice(header.as_bytes());
    body.copy_from_slice(packet.as_bytes());
    true
}
