//! The pen of one core: it writes our segments and datagrams, headers and what lies behind them,
//! and counts them.

use core::net::IpAddr;

use super::ends::{turned, usual_ends};
use crate::conn::{SlotId, Space};
use crate::frame::{Frame, Tray};
use crate::http::{FILLER, say_close};
use crate::plan::{CorePlan, Payload};
use crate::port::Offloads;
use crate::stats::{Count, Writer};
use crate::tcp::Reply;
use crate::template::{DatagramTemplate, Endpoints, Flow, Pair, Template};
use crate::wire::checksum::sum;
use crate::wire::ethernet::MacAddr;
use crate::wire::tcp::TcpFlags;

/// What a frame holds that a segment is written into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Holds {
    /// What it answers.
    Segment,
    /// Nothing.
    Nothing,
}

/// Writes the packets of one core.
#[derive(Debug)]
pub(super) struct Pen<'m> {
    template: Template,
    datagrams: DatagramTemplate,
    /// The message of whoever sends one.
    payload: Payload<'m>,
    /// What the whole message adds to a checksum.
    message_sum: u64,
    destinations: Destinations<'m>,
}

impl<'m> Pen<'m> {
    /// A pen for `plan`, whose packets leave through a device that can do `offloads`.
    pub(super) fn new(plan: &CorePlan<'m>, offloads: Offloads) -> Pen<'m> {
        let (head, bytes) = (plan.payload.head, plan.payload.total_bytes as usize);
        let carried = &head[..head.len().min(bytes)];
        let datagram_sum = sum(carried) + sum_of_filler(carried.len(), bytes - carried.len());
        Pen {
            template: Template::new(plan, offloads),
            datagrams: DatagramTemplate::new(plan, bytes, datagram_sum),
            payload: plan.payload,
            message_sum: sum(head),
            destinations: Destinations { all: plan.destinations, next: 0 },
        }
    }

    /// The next hop, once it is known.
    pub(super) fn set_gateway(&mut self, mac: MacAddr) {
        self.template.set_gateway(mac);
        self.datagrams.set_gateway(mac);
    }

    /// Writes the segment of connection `of`; its part of the message says that it is the last, if
    /// it `closes`. False if it does not fit.
    #[inline(always)]
    pub(super) fn segment(
        &mut self,
        (frame, holds): (&mut Frame, Holds),
        of: (&Space<'_>, SlotId),
        (reply, closes): (&Reply, bool),
        stats: &mut Writer<'_>,
    ) -> bool {
        // Ends turned round cost less than ends computed.
        let ends = if holds == Holds::Segment { usual_ends(frame) } else { None };
        let at = self.template.header_bytes();
        let room = frame.buffer_mut().get_mut(at..at + usize::from(reply.payload_bytes));
        let payload_sum = match room {
            None | Some([]) => 0,
            Some(room) if closes => fill_last(room, self.payload.head, reply.payload_at),
            Some(room) => fill(room, (&self.payload, self.message_sum), reply.payload_at),
        };
        let written = match ends {
            Some(ends) => self.template.stamp_ipv4(frame, &ends, reply, payload_sum),
            None => self.template.stamp(frame, of, reply, payload_sum),
        };
        if written {
            count_sent(reply, stats);
        }
        written
    }

    /// Writes a segment without payload between any two ends. False if it does not fit.
    pub(super) fn segment_between(
        &mut self,
        frame: &mut Frame,
        ends: &Endpoints,
        reply: &Reply,
        stats: &mut Writer<'_>,
    ) -> bool {
        let written = self.template.stamp_between(ends, frame, reply);
        if written {
            count_sent(reply, stats);
        }
        written
    }

    /// Writes a SYN of the flood's connection `of`. False if it does not fit.
    #[inline(always)]
    pub(super) fn flood_syn(
        &mut self,
        frame: &mut Frame,
        of: (&Space<'_>, SlotId),
        syn: &Reply,
        stats: &mut Writer<'_>,
    ) -> bool {
        if self.destinations.all.is_empty() {
            return self.segment((frame, Holds::Nothing), of, (syn, false), stats);
        }
        let ends = self.destinations.redirect(Endpoints::of(of));
        self.segment_between(frame, &ends, syn, stats)
    }

    /// Writes a datagram of connection `of`. False if it does not fit.
    #[inline(always)]
    pub(super) fn datagram(
        &mut self,
        frame: &mut Frame,
        of: (&Space<'_>, SlotId),
        stats: &mut Writer<'_>,
    ) -> bool {
        if self.destinations.all.is_empty() {
            let head = self.payload.head;
            let written = self.datagrams.stamp(frame, of, |room| fill_whole(room, head));
            return count_datagram(written, stats);
        }
        let ends = self.destinations.redirect(Endpoints::of(of));
        self.datagram_between(frame, &ends, stats)
    }

    /// Writes `count` datagrams of connection `of` into frames of `stock`, and lays them on `tx`.
    #[inline(always)]
    pub(super) fn datagram_row(
        &mut self,
        count: u32,
        of: (&Space<'_>, SlotId),
        (stock, tx): (&mut Tray, &mut Tray),
        stats: &mut Writer<'_>,
    ) {
        let flow = self.datagrams.flow_ipv4(of).filter(|_| self.destinations.all.is_empty());
        for _ in 0..count {
            stock.offer(tx, |frame| match &flow {
                Some(flow) => self.datagram_ipv4(frame, flow, stats),
                None => self.datagram(frame, of, stats),
            });
        }
    }

    /// Writes the answer to the datagram in `frame` over it. False if it does not fit.
    #[inline(always)]
    pub(super) fn answer(&mut self, frame: &mut Frame, stats: &mut Writer<'_>) -> bool {
        let Some(ends) = usual_ends(frame) else {
            return turned(frame).is_some_and(|ends| self.datagram_between(frame, &ends, stats));
        };
        self.datagram_ipv4(frame, &self.datagrams.flow_between(ends), stats)
    }

    /// Writes a datagram of a flow. False if it does not fit.
    #[inline(always)]
    fn datagram_ipv4(&mut self, frame: &mut Frame, flow: &Flow, stats: &mut Writer<'_>) -> bool {
        let head = self.payload.head;
        let written = self.datagrams.stamp_ipv4(frame, flow, |room| fill_whole(room, head));
        count_datagram(written, stats)
    }

    /// Writes a datagram between any two ends. False if it does not fit.
    #[inline(never)]
    fn datagram_between(
        &mut self,
        frame: &mut Frame,
        ends: &Endpoints,
        stats: &mut Writer<'_>,
    ) -> bool {
        let head = self.payload.head;
        let written = self.datagrams.stamp_between(frame, ends, |room| fill_whole(room, head));
        count_datagram(written, stats)
    }
}

/// Where a flood's packets go, one after the other; none: to their connections' servers.
#[derive(Debug)]
struct Destinations<'m> {
    all: &'m [IpAddr],
    next: usize,
}

impl Destinations<'_> {
    /// The ends of the next packet, which would go between `ends`.
    #[inline(never)]
    fn redirect(&mut self, ends: Endpoints) -> Endpoints {
        let to = self.all.get(self.next).copied();
        self.next += 1;
        if self.next >= self.all.len() {
            self.next = 0;
        }
        match (ends, to) {
            (Endpoints::V4(ends), Some(IpAddr::V4(to))) => {
                Endpoints::V4(Pair { remote: (to.octets(), ends.remote.1), ..ends })
            }
            (Endpoints::V6(ends), Some(IpAddr::V6(to))) => {
                Endpoints::V6(Pair { remote: (to.octets(), ends.remote.1), ..ends })
            }
            (ends, _) => ends,
        }
    }
}

/// Writes a part of the message, whose sum is known, from its byte `from` on; returns the part's
/// checksum addend.
#[inline]
fn fill(room: &mut [u8], (payload, message_sum): (&Payload<'_>, u64), from: u32) -> u64 {
    if room.len() == payload.head.len() && from == 0 {
        room.copy_from_slice(payload.head);
        return message_sum;
    }
    fill_part(room, payload.head, from)
}

/// Writes the whole message, as a datagram carries it. What fills an Ethernet frame of the least
/// length, 18 bytes, is copied without a call.
#[inline(always)]
fn fill_whole(room: &mut [u8], head: &[u8]) {
    /// Two halves overlap where the message is shorter than both.
    const HALF: usize = 16;
    if room.len() != head.len() || !(HALF..=2 * HALF).contains(&head.len()) {
        fill_any(room, head);
        return;
    }
    if let (Some(to), Some(from)) = (room.first_chunk_mut::<HALF>(), head.first_chunk()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (room.last_chunk_mut::<HALF>(), head.last_chunk()) {
        *to = *from;
    }
}

/// As [`fill_whole`], for a message of any length. Returns how many bytes are of its head.
#[inline(never)]
fn fill_any(room: &mut [u8], head: &[u8]) -> usize {
    let (first, filler) = room.split_at_mut(head.len().min(room.len()));
    first.copy_from_slice(&head[..first.len()]);
    filler.fill(FILLER);
    first.len()
}

/// As [`fill`], for a part of an answer that is the connection's last.
#[cold]
fn fill_last(room: &mut [u8], head: &[u8], from: u32) -> u64 {
    fill_part(room, head, from);
    say_close(head, room, from as usize);
    sum(room)
}

/// Writes a part of a message, from byte `from` on, and adds it up.
#[inline(never)]
fn fill_part(room: &mut [u8], head: &[u8], from: u32) -> u64 {
    let from_head = head.get(from as usize..).unwrap_or_default();
    let head_bytes = fill_any(room, from_head);
    let (first, filler) = room.split_at(head_bytes);
    sum(first) + sum_of_filler(first.len(), filler.len())
}

/// The addend of `len` bytes of filler behind `before` others, without a look at them: an odd byte
/// is the first of a pair if an even number stands before it.
fn sum_of_filler(before: usize, len: usize) -> u64 {
    let pairs = (len / 2) as u64 * u64::from(u16::from_ne_bytes([FILLER; 2]));
    let odd = if before.is_multiple_of(2) { [FILLER, 0] } else { [0, FILLER] };
    pairs + u64::from(u16::from_ne_bytes(odd)) * (len as u64 % 2)
}

/// Counts a datagram, if it was written; hands on whether it was.
#[inline(always)]
fn count_datagram(written: bool, stats: &mut Writer<'_>) -> bool {
    stats.add(Count::UdpTx, u64::from(written));
    written
}

/// Counts a segment that was sent.
#[inline]
fn count_sent(reply: &Reply, stats: &mut Writer<'_>) {
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
    fn a_datagram_carries_the_whole_message() {
        let text: [u8; 40] = core::array::from_fn(|at| at as u8 + 1);
        for len in 0..text.len() {
            let mut room = [0; 40];
            fill_whole(&mut room[..len], &text[..len]);
            assert_eq!((&room[..len], &room[len..]), (&text[..len], &[0; 40][len..]));
            fill_whole(&mut room, &text[..len]);
            assert_eq!((&room[..len], &room[len..]), (&text[..len], &[FILLER; 40][len..]));
        }
    }

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
