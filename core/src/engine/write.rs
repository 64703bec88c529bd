//! What is written behind the headers of a segment of ours, and how it is counted.

use crate::frame::Frame;
use crate::plan::Payload;
use crate::stats::{Count, Writer};
use crate::tcp::Reply;
use crate::template::Template;
use crate::wire::checksum::sum;
use crate::wire::tcp::TcpFlags;

/// Puts the reply's part of the message, whose sum is known, behind the headers; returns the
/// part's checksum addend.
#[inline]
pub(super) fn fill(
    frame: &mut Frame,
    (payload, message_sum): (&Payload<'_>, u64),
    template: &Template,
    reply: &Reply,
) -> u64 {
    let at = template.header_bytes();
    let len = usize::from(reply.payload_bytes);
    let Some(room) = frame.buffer_mut().get_mut(at..at + len) else { return 0 };
    if len == payload.head.len() && reply.payload_at == 0 {
        room.copy_from_slice(payload.head);
        return message_sum;
    }
    fill_part(room, payload.head, reply.payload_at)
}

/// Writes a part of a message, from byte `from` on, and adds it up.
#[inline(never)]
fn fill_part(room: &mut [u8], head: &[u8], from: u32) -> u64 {
    let from_head = head.get(from as usize..).unwrap_or_default();
    let from_head = &from_head[..from_head.len().min(room.len())];
    let (first, filler) = room.split_at_mut(from_head.len());
    first.copy_from_slice(from_head);
    filler.fill(b'a');
    sum(room)
}

/// Counts a segment that was sent.
#[inline]
pub(super) fn count_sent(reply: &Reply, stats: &mut Writer<'_>) {
    stats.inc(Count::TcpTx);
    let marked = TcpFlags::SYN.union(TcpFlags::FIN).union(TcpFlags::RST);
    if reply.flags.intersects(marked) {
        stats.add(Count::SynTx, u64::from(reply.flags.contains(TcpFlags::SYN)));
        stats.add(Count::FinTx, u64::from(reply.flags.contains(TcpFlags::FIN)));
        stats.add(Count::RstTx, u64::from(reply.flags.contains(TcpFlags::RST)));
    }
}
