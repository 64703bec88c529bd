//! Neighbour discovery (RFC 4861): answers for our addresses, and the gateway's answer to us.

use core::net::{IpAddr, Ipv6Addr};

use zerocopy::IntoBytes;

use crate::frame::{Frame, TxShape};
use crate::parse::reason;
use crate::stats::{Count, Writer};
use crate::wire::Malformed;
use crate::wire::ethernet::{ETHERNET_BYTES, EthernetHeader, MacAddr, ethertype};
use crate::wire::icmpv6::{
    FLAG_OVERRIDE, FLAG_SOLICITED, LINK_LAYER_OPTION_BYTES, LinkLayerOption, NEIGHBOR_BYTES,
    NEIGHBOR_HOP_LIMIT, NEIGHBOR_SOLICITATION, NeighborAdvertisement, NeighborSolicitation,
    checksum_of, checksum_ok,
};
use crate::wire::ipv4::protocol;
use crate::wire::ipv6::{ALL_NODES, IPV6_BYTES, Ipv6, Ipv6Header, solicited_node};

use super::{Host, Verdict, drop_bad, drop_frame, is_station};

const UNSPECIFIED: [u8; 16] = [0; 16];
/// Bytes of a message with its one option.
const MESSAGE_BYTES: usize = NEIGHBOR_BYTES + LINK_LAYER_OPTION_BYTES;

/// What a neighbour said, as far as it matters.
enum Heard {
    /// "Who has `target`?"
    Solicitation {
        /// Who asks; unspecified: whoever wants the address for itself.
        asker: [u8; 16],
        /// Where it can be reached.
        mac: MacAddr,
        /// It says so itself.
        stated: bool,
        target: [u8; 16],
    },
    /// "I have `target`."
    Advertisement { destination: [u8; 16], target: [u8; 16], mac: Option<MacAddr>, flags: u32 },
}

/// Writes the question "who has `target`?" in the name of `sender` into `frame`; false if it is too
/// small.
pub(super) fn solicit(frame: &mut Frame, mac: MacAddr, sender: Ipv6Addr, target: Ipv6Addr) -> bool {
    let message = NeighborSolicitation::new(target.octets());
    let to = solicited_node(&target.octets());
    let ip = header(sender.octets(), to);
    write(frame, (MacAddr::of_ipv6_group(&to), mac), ip, &message, LinkLayerOption::source(mac))
}

/// Writes "`address` is ours" to everybody into `frame` (RFC 4861 section 7.2.6); false if it is
/// too small.
pub(super) fn announce(frame: &mut Frame, mac: MacAddr, address: Ipv6Addr) -> bool {
    let message = NeighborAdvertisement::new(address.octets(), FLAG_OVERRIDE);
    let to = MacAddr::of_ipv6_group(&ALL_NODES);
    let ip = header(address.octets(), ALL_NODES);
    write(frame, (to, mac), ip, &message, LinkLayerOption::target(mac))
}

/// Answers a solicitation for one of our addresses; learns the gateway's address from what it says.
pub(super) fn answer(host: &mut Host<'_>, frame: &mut Frame, stats: &mut Writer<'_>) -> Verdict {
    match hear(frame.bytes()) {
        Err(why) => drop_bad(reason(why), stats),
        Ok(Heard::Advertisement { destination, target, mac, flags }) => {
            let to_us = destination[0] == 0xff || host.answers_for(IpAddr::from(destination));
            let known = host.gateway.load().is_some();
            let counts = flags & FLAG_OVERRIDE != 0 || !known;
            if let Some(mac) = mac
                && to_us
                && counts
                && is_station(mac)
                && IpAddr::from(target) == host.gateway_address
            {
                host.gateway.store(mac);
            }
            Verdict::Done
        }
        Ok(Heard::Solicitation { asker, mac, stated, target }) => {
            if !host.answers_for(IpAddr::from(target)) || !is_station(mac) {
                return Verdict::Done;
            }
            if stated && IpAddr::from(asker) == host.gateway_address {
                host.gateway.store(mac);
            }
            if !advertise(frame, host.mac, (mac, asker), target) {
                return drop_frame(Count::DropTruncated, stats);
            }
            stats.inc(Count::IcmpTx);
            Verdict::Send
        }
    }
}

/// Writes "I have `target`" into `frame`, to whoever asked: somebody, or, where that is nobody yet,
/// everybody (RFC 4861 section 7.2.4).
fn advertise(
    frame: &mut Frame,
    own: MacAddr,
    (mac, asker): (MacAddr, [u8; 16]),
    target: [u8; 16],
) -> bool {
    let (mac, to, flags) = if asker == UNSPECIFIED {
        (MacAddr::of_ipv6_group(&ALL_NODES), ALL_NODES, FLAG_OVERRIDE)
    } else {
        (mac, asker, FLAG_SOLICITED | FLAG_OVERRIDE)
    };
    let message = NeighborAdvertisement::new(target, flags);
    write(frame, (mac, own), header(target, to), &message, LinkLayerOption::target(own))
}

/// A neighbour message is what it says it is (RFC 4861 section 7.1).
fn hear(bytes: &[u8]) -> Result<Heard, Malformed> {
    let (ethernet, rest) = EthernetHeader::split(bytes)?;
    let ip = Ipv6::parse(rest)?;
    if ip.is_atomic_fragment {
        return Err(Malformed::Fragment); // RFC 6980 section 5
    }
    let Ipv6Header { source, destination, hop_limit, .. } = *ip.header;
    if !checksum_ok(&source, &destination, ip.payload) {
        return Err(Malformed::Checksum);
    }
    if ip.payload.first() != Some(&NEIGHBOR_SOLICITATION) {
        let (said, mac) = NeighborAdvertisement::parse(ip.payload, hop_limit)?;
        let flags = said.flags.get();
        if flags & FLAG_SOLICITED != 0 && destination[0] == 0xff {
            return Err(Malformed::Value);
        }
        return Ok(Heard::Advertisement { destination, target: said.target, mac, flags });
    }
    let (asked, mac) = NeighborSolicitation::parse(ip.payload, hop_limit)?;
    let nobody = source == UNSPECIFIED;
    // Who has no address yet asks in a group, and names no hardware address.
    let to_group = destination == solicited_node(&destination);
    if source[0] == 0xff || nobody && (mac.is_some() || !to_group) {
        return Err(Malformed::Value);
    }
    Ok(Heard::Solicitation {
        asker: source,
        mac: mac.unwrap_or(ethernet.src),
        stated: mac.is_some(),
        target: asked.target,
    })
}

fn header(source: [u8; 16], destination: [u8; 16]) -> Ipv6Header {
    Ipv6Header {
        payload_length: (MESSAGE_BYTES as u16).into(),
        ..Ipv6Header::new(protocol::ICMPV6, NEIGHBOR_HOP_LIMIT, source, destination)
    }
}

/// Writes a whole frame: destination and source, and a message with its option.
fn write(
    frame: &mut Frame,
    (dst, src): (MacAddr, MacAddr),
    ip: Ipv6Header,
    message: &(impl IntoBytes + zerocopy::Immutable),
    option: LinkLayerOption,
) -> bool {
    const MESSAGE_AT: usize = ETHERNET_BYTES + IPV6_BYTES;
    if !frame.set_packet(MESSAGE_AT + MESSAGE_BYTES, TxShape::Complete) {
        return false;
    }
    let (head, body) = frame.bytes_mut().split_at_mut(MESSAGE_AT);
    let ethernet = EthernetHeader { dst, src, ethertype: ethertype::IPV6.into() };
    head[..ETHERNET_BYTES].copy_from_slice(ethernet.as_bytes());
    head[ETHERNET_BYTES..].copy_from_slice(ip.as_bytes());
    let (text, end) = body.split_at_mut(NEIGHBOR_BYTES);
    text.copy_from_slice(message.as_bytes());
    end.copy_from_slice(option.as_bytes());
    let checksum = checksum_of(&ip.source, &ip.destination, body);
    body[2..4].copy_from_slice(&checksum);
    true
}
