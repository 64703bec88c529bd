//! ICMP echo (RFC 792, RFC 1122 3.2.2.6): a request becomes its answer in place.

use crate::frame::{Frame, TxShape};
use crate::parse::reason;
use crate::stats::{Count, Writer};
use crate::wire::checksum::{finish, replace, sum};
use crate::wire::ethernet::{ETHERNET_BYTES, EthernetHeader};
use crate::wire::icmp::{ECHO_REPLY, ECHO_REQUEST, IcmpEcho};
use crate::wire::ipv4::Ipv4;

use super::{Verdict, drop_bad, drop_frame};

/// Hops that an answer may take.
const TTL: u8 = 64;

/// The frame, an ICMP packet, asks for an echo.
pub(super) fn is_echo_request(frame: &Frame) -> bool {
    let ip = EthernetHeader::split(frame.bytes()).and_then(|(_, ip)| Ipv4::parse(ip));
    ip.is_ok_and(|ip| ip.payload.first() == Some(&ECHO_REQUEST))
}

/// Answers an echo request; everything else is only counted. The parser saw to it that the packet
/// is for one of our addresses, and undamaged.
pub(super) fn answer(frame: &mut Frame, stats: &mut Writer<'_>) -> Verdict {
    let ip = match EthernetHeader::split(frame.bytes()).and_then(|(_, ip)| Ipv4::parse(ip)) {
        Ok(ip) => ip,
        Err(why) => return drop_bad(reason(why), stats),
    };
    if ip.payload.first() != Some(&ECHO_REQUEST) {
        return Verdict::Done;
    }
    if let Err(why) = IcmpEcho::parse(ip.payload) {
        return drop_bad(reason(why), stats);
    }
    let icmp_at = ETHERNET_BYTES + usize::from(ip.header_bytes);
    let frame_bytes = icmp_at + ip.payload.len();
    if !frame.set_packet(frame_bytes, TxShape::Complete) {
        return drop_frame(Count::DropTruncated, stats);
    }
    turn_round(frame.bytes_mut(), icmp_at);
    stats.inc(Count::IcmpTx);
    Verdict::Send
}

/// Swaps who sends and who receives, which leaves the IP checksum right, since addition knows no
/// order; the way back begins with the first hop. Checksums follow.
fn turn_round(bytes: &mut [u8], icmp_at: usize) {
    let (head, icmp) = bytes.split_at_mut(icmp_at);
    if let Some(macs) = head.first_chunk_mut::<12>() {
        macs.rotate_left(6);
    }
    if let Some([ttl, protocol, sum0, sum1]) = head.get_mut(ETHERNET_BYTES + 8..ETHERNET_BYTES + 12)
    {
        let new = [TTL, *protocol];
        [*sum0, *sum1] = replace([*sum0, *sum1], &[*ttl, *protocol], &new);
        *ttl = TTL;
    }
    if let Some(addresses) = head.get_mut(ETHERNET_BYTES + 12..ETHERNET_BYTES + 20) {
        addresses.rotate_left(4);
    }
    if let [kind, _, sum0, sum1, ..] = icmp {
        *kind = ECHO_REPLY;
        (*sum0, *sum1) = (0, 0);
    }
    // Added up anew: of an answer of nothing but zeros no change to the old sum tells the new one.
    let checksum = finish(sum(icmp));
    if let Some(place) = icmp.get_mut(2..4) {
        place.copy_from_slice(&checksum);
    }
}
