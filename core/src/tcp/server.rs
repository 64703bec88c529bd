//! The server's side of the exchange: read requests, answer each, close.

use crate::conn::{Slot, SlotFlags};
use crate::http::{Event, Kind, Message, Method, RESPONSE_HEADER_BYTES};
use crate::plan::Messages;
use crate::stats::Count;
use crate::time::Stamp;

use super::{LONGEST_QUEUE, Reply, Tcp};

impl Tcp<'_> {
    /// New bytes of requests; every complete one is answered, also several in one segment.
    #[inline(always)]
    pub(super) fn on_request_bytes(&mut self, slot: &mut Slot, bytes: &[u8], _now: Stamp) {
        // What does not look like HTTP is one request without a form.
        let formless = slot.http.is_idle() && bytes.first().is_some_and(|first| !begins(*first));
        if self.settings.messages == Messages::Raw || formless {
            // Our last word may be said.
            if slot.flags.contains(SlotFlags::FIN_QUEUED) || self.header_is_under_way(slot) {
                return;
            }
            self.stats.inc(Count::TcpReq);
            self.respond(slot, self.settings.message_bytes, false);
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() && !slot.flags.contains(SlotFlags::FIN_QUEUED) {
            let outcome = slot.http.scan_with(&mut self.memo, Kind::Request, rest);
            rest = rest.get(outcome.consumed..).unwrap_or_default();
            match outcome.event {
                Event::More => {
                    // Its answer says all there is to say, and spares the client its body.
                    if let Some(request) = slot.http.without_body() {
                        self.on_whole_request(slot, request);
                    }
                    break;
                }
                Event::Complete(request) => self.on_whole_request(slot, request),
                Event::Broken(_) => {
                    self.stats.inc(Count::HttpErr);
                    slot.flags.insert(SlotFlags::FIN_QUEUED);
                }
            }
        }
    }

    /// A whole request.
    #[inline(always)]
    pub(super) fn on_whole_request(&mut self, slot: &mut Slot, request: Message) {
        if self.header_is_under_way(slot) {
            return;
        }
        self.stats.inc(match (self.settings.messages, request.method) {
            (Messages::Raw, _) => Count::TcpReq,
            (_, Method::Post) => Count::HttpPost,
            _ => Count::HttpGet,
        });
        let bytes = match request.method {
            Method::Head => header_bytes(self.settings.message_bytes),
            _ => self.settings.message_bytes,
        };
        if self.respond(slot, bytes, request.close) && request.method == Method::Head {
            slot.flags.insert(SlotFlags::HEADER_LAST);
        }
    }

    /// A header without a body was queued last and has not arrived: a request behind HEAD is not
    /// answered then, for answers are told apart by their length from the queue's end, where only
    /// one may be shorter. The connection closes and the client asks again (RFC 9112, 9.3.2).
    #[inline(always)]
    fn header_is_under_way(&mut self, slot: &mut Slot) -> bool {
        slot.flags.contains(SlotFlags::HEADER_LAST) && !self.header_is_taken(slot)
    }

    #[cold]
    fn header_is_taken(&mut self, slot: &mut Slot) -> bool {
        let taken = slot.snd_una == slot.snd_end;
        slot.flags.set(SlotFlags::HEADER_LAST, !taken);
        slot.flags.set(SlotFlags::FIN_QUEUED, !taken);
        taken
    }

    /// Queues one response of `bytes`, and the FIN behind it where the connection is not kept.
    /// False if it finds no room.
    #[inline]
    fn respond(&mut self, slot: &mut Slot, bytes: u32, peer_closes: bool) -> bool {
        let queued = slot.snd_end.wrapping_sub(slot.snd_una);
        if queued.saturating_add(bytes) > LONGEST_QUEUE && queued > 0 {
            // Nobody asks for that much at once; the sequence space is finite.
            self.stats.inc(Count::HttpErr);
            slot.flags.insert(SlotFlags::FIN_QUEUED);
            return false;
        }
        slot.snd_end = slot.snd_end.wrapping_add(bytes);
        slot.flags.insert(SlotFlags::SERVED);
        if self.settings.keepalive.is_none() {
            slot.flags.insert(SlotFlags::FIN_QUEUED);
        } else if peer_closes || self.draining {
            slot.flags.insert(SlotFlags::FIN_QUEUED);
            slot.http.end();
        }
        self.stats.inc(match self.settings.messages {
            Messages::Raw => Count::TcpRsp,
            _ => Count::Http2xx,
        });
        true
    }

    /// The segment is part of a last answer that was known to be the last when it was queued: its
    /// header must not promise another (RFC 9112, 9.6).
    #[inline(always)]
    pub(crate) fn says_close(&self, slot: &Slot, reply: &Reply) -> bool {
        slot.http.is_over() && self.is_of_last(slot, reply)
    }

    #[cold]
    fn is_of_last(&self, slot: &Slot, reply: &Reply) -> bool {
        let whole = self.settings.message_bytes;
        let last = if self.ends_with_header(slot) { header_bytes(whole) } else { whole };
        slot.snd_end.wrapping_sub(reply.seq) <= last
    }

    /// The client has finished: so do we, behind what is still queued.
    pub(super) fn on_request_end(&mut self, slot: &mut Slot) {
        if !slot.http.is_idle() && !slot.flags.contains(SlotFlags::FIN_QUEUED) {
            self.stats.inc(Count::HttpErr);
        }
        slot.flags.insert(SlotFlags::FIN_QUEUED);
    }
}

/// How much of an answer of `message_bytes` is its header.
pub(super) fn header_bytes(message_bytes: u32) -> u32 {
    message_bytes.min(RESPONSE_HEADER_BYTES as u32)
}

/// An HTTP request may begin with this byte: a method, or an empty line (RFC 9112, 2.2).
const fn begins(first: u8) -> bool {
    first.is_ascii_uppercase() || matches!(first, b'\r' | b'\n')
}
