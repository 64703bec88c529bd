//! ICMPv6 echo (RFC 4443 section 4): a request becomes its answer in place, without what extension
//! headers it came with.

use zerocopy::IntoBytes;

use crate::frame::{Frame, TxShape};
use crate::parse::reason;
use crate::stats::{Count, Writer};
use crate::wire::Malformed;
use crate::wire::checksum::replace;
use crate::wire::ethernet::{ETHERNET_BYTES, EthernetHeader, ethertype};
use crate::wire::icmpv6::{ECHO_REPLY, ECHO_REQUEST, Icmpv6Echo};
use crate::wire::ipv4::protocol;
use crate::wire::ipv6::{IPV6_BYTES, Ipv6, Ipv6Header};

use super::{HOP_LIMIT, Verdict, drop_bad, drop_frame};

/// Where the message lies in the answer.
const MESSAGE_AT: usize = ETHERNET_BYTES + IPV6_BYTES;

/// The frame, an ICMPv6 packet, asks for an echo.
pub(super) fn is_echo_request(frame: &Frame) -> bool {
    let ip = EthernetHeader::split(frame.bytes()).and_then(|(_, ip)| Ipv6::parse(ip));
    ip.is_ok_and(|ip| ip.payload.first() == Some(&ECHO_REQUEST))
}

/// Answers an echo request; everything else is only counted. The parser saw to it that the packet
/// is for one of our addresses, from a station, and undamaged.
pub(super) fn answer(frame: &mut Frame, stats: &mut Writer<'_>) -> Verdict {
    let (head, message_at, message_bytes) = match turned(frame.bytes()) {
        Ok(Some(turned)) => turned,
        Ok(None) => return Verdict::Done,
        Err(why) => return drop_bad(reason(why), stats),
    };
    frame.buffer_mut().copy_within(message_at..message_at + message_bytes, MESSAGE_AT);
    if !frame.set_packet(MESSAGE_AT + message_bytes, TxShape::Complete) {
        return drop_frame(Count::DropTruncated, stats);
    }
    let (room, message) = frame.bytes_mut().split_at_mut(MESSAGE_AT);
    room.copy_from_slice(&head);
    if let [kind, code, sum0, sum1, ..] = message {
        let old = [*kind, *code];
        *kind = ECHO_REPLY;
        // The addresses change places, and addition knows no order.
        [*sum0, *sum1] = replace([*sum0, *sum1], &old, &[ECHO_REPLY, *code]);
    }
    stats.inc(Count::IcmpTx);
    Verdict::Send
}

/// The headers of the answer to an echo request, and where the request's message begins and how
/// long it is. None if the message is another one.
type Turned = ([u8; MESSAGE_AT], usize, usize);

fn turned(bytes: &[u8]) -> Result<Option<Turned>, Malformed> {
    let (ethernet, rest) = EthernetHeader::split(bytes)?;
    let ip = Ipv6::parse(rest)?;
    let Ipv6Header { source, destination, .. } = *ip.header;
    if ip.payload.first() != Some(&ECHO_REQUEST) {
        return Ok(None);
    }
    Icmpv6Echo::parse(ip.payload)?;
    let message_bytes = ip.payload.len();
    let turned =
        EthernetHeader { dst: ethernet.src, src: ethernet.dst, ethertype: ethertype::IPV6.into() };
    let header = Ipv6Header {
        version_class_flow: ip.header.version_class_flow,
        payload_length: (message_bytes as u16).into(),
        ..Ipv6Header::new(protocol::ICMPV6, HOP_LIMIT, destination, source)
    };
    let mut head = [0; MESSAGE_AT];
    head[..ETHERNET_BYTES].copy_from_slice(turned.as_bytes());
    head[ETHERNET_BYTES..].copy_from_slice(header.as_bytes());
    Ok(Some((head, ETHERNET_BYTES + usize::from(ip.l4_offset), message_bytes)))
}
