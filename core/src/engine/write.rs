//! What is written behind the headers of our segments and datagrams, and how a segment is counted.

use crate::http::{FILLER, say_close};
use crate::plan::Payload;
use crate::stats::{Count, Writer};
use crate::tcp::Reply;
use crate::wire::checksum::sum;
use crate::wire::tcp::TcpFlags;

/// Writes a part of the message, whose sum is known, from its byte `from` on; returns the part's
/// checksum addend.
#[inline]
pub(super) fn fill(room: &mut [u8], (payload, message_sum): (&Payload<'_>, u64), from: u32) -> u64 {
    if room.len() == payload.head.len() && from == 0 {
        room.copy_from_slice(payload.head);
        return message_sum;
    }
    fill_part(room, payload.head, from)
}

/// As [`fill`], for a part of an answer that is the connection's last.
#[cold]
pub(super) fn fill_last(room: &mut [u8], head: &[u8], from: u32) -> u64 {
    fill_part(room, head, from);
    say_close(head, room, from as usize);
    sum(room)
}

/// Writes a part of a message, from byte `from` on, and adds it up.
#[inline(never)]
fn fill_part(room: &mut [u8], head: &[u8], from: u32) -> u64 {
    let from_head = head.get(from as usize..).unwrap_or_default();
    let from_head = &from_head[..from_head.len().min(room.len())];
    let (first, filler) = room.split_at_mut(from_head.len());
    first.copy_from_slice(from_head);
    filler.fill(FILLER);
    sum(first) + sum_of_filler(first.len(), filler.len())
}

/// The addend of `len` bytes of filler behind `before` others, without a look at them: an odd byte
/// is the first of a pair if an even number stands before it.
fn sum_of_filler(before: usize, len: usize) -> u64 {
    let pairs = (len / 2) as u64 * u64::from(u16::from_ne_bytes([FILLER; 2]));
    let odd = if before.is_multiple_of(2) { [FILLER, 0] } else { [0, FILLER] };
    pairs + u64::from(u16::from_ne_bytes(odd)) * (len as u64 % 2)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::checksum::fold;

    #[test]
    fn a_part_is_added_up_as_any_bytes_are() {
        let head = [7; 11];
        for (from, len) in (0..13).flat_map(|from| (0..20).map(move |len| (from, len))) {
            let mut room = [0; 20];
            let part = fill_part(&mut room[..len], &head, from);
            let text: [u8; 33] = core::array::from_fn(|at| head.get(at).copied().unwrap_or(FILLER));
            assert_eq!(room[..len], text[from as usize..][..len]);
            assert_eq!(fold(part), fold(sum(&room[..len])), "{len} bytes from {from} on");
        }
    }
}
