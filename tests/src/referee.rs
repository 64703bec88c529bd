//! Reads a capture again, frame by frame, and judges both sides by what anybody on the wire could
//! see: the bytes of every stream are the messages that were asked for, also when they are sent
//! again, and what arrives is acknowledged in time.

use std::collections::{HashMap, VecDeque};

use dperf_core::plan::Role;

use crate::pcap::frames;
use crate::scenario::{Scenario, Side};

/// One direction of one connection: addresses and ports, as they lie in the frame.
type Way = [u8; 12];

#[derive(Debug, Default)]
struct Stream {
    /// Sequence number of the first byte.
    first: u32,
    /// Everything below this was sent, counted from `first`.
    sent: u32,
    /// Segments that are not acknowledged: where each ends and when it left.
    waiting: VecDeque<(u32, u64)>,
    /// Since when two or more of them wait without any ACK.
    pair_since: u64,
    /// The segment that was sent last, and how often.
    again: (u32, u32),
    ended: bool,
}

/// What the referee saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Streams that carried data.
    pub streams: u64,
    /// Bytes of messages, sent again or not.
    pub bytes: u64,
    /// The longest time, in nanoseconds, that a segment waited for its ACK.
    pub longest_wait: u64,
    /// Streams in which one segment was sent four times and more: all that may fail.
    pub desperate: u64,
    /// The longest time that two or more segments waited for any ACK.
    pub longest_pair_wait: u64,
}

/// A TCP/IPv4 frame of a capture.
struct Seen<'a> {
    way: Way,
    seq: u32,
    ack: u32,
    flags: u8,
    payload: &'a [u8],
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

fn see(frame: &[u8]) -> Option<Seen<'_>> {
    let frame = crate::reference::innermost(frame);
    let (at, end) = crate::reference::segment_of(frame)?;
    if frame[12..14] != [8, 0] {
        return None;
    }
    let mut way = [0; 12];
    way[..8].copy_from_slice(&frame[26..34]);
    way[8..].copy_from_slice(&frame[at..at + 4]);
    let payload_at = at + usize::from(frame[at + 12] >> 4) * 4;
    Some(Seen {
        way,
        seq: word(&frame[at + 4..at + 8]),
        ack: word(&frame[at + 8..at + 12]),
        flags: frame[at + 13],
        payload: frame.get(payload_at..end)?,
    })
}

/// The same connection, seen from the other side.
fn back(way: Way) -> Way {
    let mut back = way;
    back[..8].rotate_left(4);
    back[8..].rotate_left(2);
    back
}

/// Judges the capture of an IPv4 run of one pair.
///
/// # Panics
/// When a byte on the wire is not the one it should be.
#[must_use]
pub fn judge(scenario: &Scenario, capture: &[u8]) -> Verdict {
    let messages =
        [Role::Client, Role::Server].map(|role| Side::new(scenario, role, 0).whole_message());
    let mut streams: HashMap<Way, Stream> = HashMap::new();
    let mut verdict = Verdict::default();
    for (now, frame) in frames(capture) {
        let Some(seen) = see(frame) else { continue };
        let message = &messages[usize::from(seen.way[1] == 2)];
        acknowledge(&mut streams, &seen, now, &mut verdict);
        send(&mut streams, &seen, now, message, &mut verdict);
    }
    verdict
}

fn send(
    streams: &mut HashMap<Way, Stream>,
    seen: &Seen<'_>,
    now: u64,
    message: &[u8],
    verdict: &mut Verdict,
) {
    let stream = streams.entry(seen.way).or_default();
    let first = seen.seq.wrapping_add(1);
    if seen.flags & 2 != 0 && first != stream.first {
        *stream = Stream { first, ..Stream::default() };
    }
    if seen.flags & 3 != 0 || !seen.payload.is_empty() {
        let (seq, times) = stream.again;
        stream.again = (seen.seq, if seq == seen.seq { times + 1 } else { 1 });
        verdict.desperate += u64::from(stream.again.1 == 4);
    }
    if seen.flags & 2 != 0 {
        return;
    }
    stream.ended |= seen.flags & 4 != 0;
    if seen.payload.is_empty() {
        return;
    }
    let offset = seen.seq.wrapping_sub(stream.first);
    for (index, byte) in seen.payload.iter().enumerate() {
        let at = (offset as usize + index) % message.len();
        assert_eq!(*byte, message[at], "byte {} of a stream", offset as usize + index);
    }
    verdict.streams += u64::from(stream.sent == 0);
    verdict.bytes += seen.payload.len() as u64;
    let end = offset + seen.payload.len() as u32;
    if end > stream.sent {
        stream.sent = end;
        stream.waiting.push_back((end, now));
        if stream.waiting.len() == 2 {
            stream.pair_since = now;
        }
    }
}

fn acknowledge(
    streams: &mut HashMap<Way, Stream>,
    seen: &Seen<'_>,
    now: u64,
    verdict: &mut Verdict,
) {
    let Some(stream) = streams.get_mut(&back(seen.way)) else { return };
    if seen.flags & 0x16 != 0x10 || stream.ended {
        return;
    }
    let acked = seen.ack.wrapping_sub(stream.first).min(stream.sent);
    if stream.waiting.len() >= 2 {
        verdict.longest_pair_wait = verdict.longest_pair_wait.max(now - stream.pair_since);
        stream.pair_since = now;
    }
    while let Some((_, since)) = stream.waiting.pop_front_if(|(end, _)| *end <= acked) {
        verdict.longest_wait = verdict.longest_wait.max(now - since);
    }
}
