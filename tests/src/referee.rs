//! Reads a capture again, frame by frame, and judges both sides by what anybody on the wire could
//! see: the bytes of every stream are the messages that were asked for, also when they are sent
//! again; whoever is told that a message is the last gets no other; and what arrives is
//! acknowledged in time.

use std::collections::{HashMap, VecDeque};

use dperf_core::http::{RESPONSE_HEADER_BYTES, say_close};
use dperf_core::plan::Role;

use crate::pcap::frames;
use crate::reference;
use crate::replay;
use crate::scenario::{Scenario, Side};
use crate::sim::Report;

/// One direction of one connection: addresses and ports, as they lie in the frame, then zeros.
type Way = [u8; 36];

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
    /// Messages up to this one do not say that they are the last.
    kept: u32,
    /// The message that says it is.
    last: Option<u32>,
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

/// A segment of a capture.
struct Seen<'a> {
    way: Way,
    back: Way,
    /// A client sent it.
    from_client: bool,
    seq: u32,
    ack: u32,
    flags: u8,
    payload: &'a [u8],
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// Where addresses lie in a frame that is not wrapped: from, to, and the byte that names the net.
fn addresses(frame: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    match frame.get(12..14)? {
        [8, 0] => Some((frame.get(26..30)?, frame.get(30..34)?, 1)),
        [0x86, 0xdd] => Some((frame.get(22..38)?, frame.get(38..54)?, 3)),
        _ => None,
    }
}

/// The net that the scenarios give to clients.
const CLIENTS: u8 = 1;

fn see(frame: &[u8]) -> Option<Seen<'_>> {
    let (at, end) = reference::segment_of(frame)?;
    let (from, to, net) = addresses(frame)?;
    let (source, destination) = (&frame[at..at + 2], &frame[at + 2..at + 4]);
    let way = |parts: [&[u8]; 4]| {
        let mut way = [0; 36];
        let bytes = parts.concat();
        way[..bytes.len()].copy_from_slice(&bytes);
        way
    };
    let payload_at = at + usize::from(frame[at + 12] >> 4) * 4;
    Some(Seen {
        way: way([from, to, source, destination]),
        back: way([to, from, destination, source]),
        from_client: from[net] == CLIENTS,
        seq: word(&frame[at + 4..at + 8]),
        ack: word(&frame[at + 8..at + 12]),
        flags: frame[at + 13],
        payload: frame.get(payload_at..end)?,
    })
}

/// Judges what crossed the wire of a run that was kept.
///
/// # Panics
/// A byte on the wire is not the one it should be; how the run is found again was told.
pub fn hold(scenario: &Scenario, report: &Report) -> Verdict {
    let capture = report.capture.as_deref().expect("it was asked for");
    judge(scenario, capture).unwrap_or_else(|wrong| {
        replay::tell(scenario, (report.steps, report.end), Some(capture));
        panic!("{wrong}");
    })
}

/// Judges a capture.
///
/// # Errors
/// A byte on the wire is not the one it should be.
pub fn judge(scenario: &Scenario, capture: &[u8]) -> Result<Verdict, String> {
    let messages =
        [Role::Client, Role::Server].map(|role| Side::new(scenario, role, 0).whole_message());
    let mut streams: HashMap<Way, Stream> = HashMap::new();
    let mut verdict = Verdict::default();
    for (now, frame) in frames(capture) {
        let frame = reference::innermost(frame);
        if let Some(seen) = see(frame) {
            let message = &messages[usize::from(!seen.from_client)];
            acknowledge(&mut streams, &seen, now, &mut verdict);
            send(&mut streams, &seen, now, message, &mut verdict)?;
        } else if let Some((at, end)) = reference::datagram_of(frame) {
            let client = addresses(frame).is_some_and(|(from, _, net)| from[net] == CLIENTS);
            let payload = &frame[at + 8..end];
            if payload != messages[usize::from(!client)] {
                return Err(format!("a datagram at {now} ns: {payload:02x?}"));
            }
            verdict.bytes += payload.len() as u64;
        }
    }
    Ok(verdict)
}

fn send(
    streams: &mut HashMap<Way, Stream>,
    seen: &Seen<'_>,
    now: u64,
    message: &[u8],
    verdict: &mut Verdict,
) -> Result<(), String> {
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
        return Ok(());
    }
    stream.ended |= seen.flags & 4 != 0;
    if seen.payload.is_empty() {
        return Ok(());
    }
    let offset = seen.seq.wrapping_sub(stream.first);
    let number = offset / message.len() as u32;
    if let Some(index) = difference(seen.payload, message, offset) {
        let mut closing = message.to_vec();
        say_close(message, &mut closing, 0);
        if difference(seen.payload, &closing, offset).is_some() {
            let (place, byte) = (offset as usize + index, seen.payload[index]);
            return Err(format!("byte {place} of a stream, at {now} ns: {byte:02x}"));
        }
        stream.last.get_or_insert(number);
    } else if (offset as usize).is_multiple_of(message.len())
        && seen.payload.len() >= RESPONSE_HEADER_BYTES
    {
        stream.kept = stream.kept.max(number + 1);
    }
    if stream.last.is_some_and(|last| number > last || stream.kept > last) {
        return Err(format!("at {now} ns a message follows the last, or promises another"));
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
    Ok(())
}

/// The first byte of `payload` that is not its place's in a row of messages.
fn difference(payload: &[u8], message: &[u8], offset: u32) -> Option<usize> {
    let place = |index| (offset as usize + index) % message.len();
    (0..payload.len()).find(|index| payload[*index] != message[place(*index)])
}

fn acknowledge(
    streams: &mut HashMap<Way, Stream>,
    seen: &Seen<'_>,
    now: u64,
    verdict: &mut Verdict,
) {
    let Some(stream) = streams.get_mut(&seen.back) else { return };
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
