//! The Internet checksum once more, written as plainly as RFC 1071 says it: the judge of what the
//! core sends, and the part of the device that fills in what the core left open.

use dperf_core::frame::TxShape;

const ETHERNET: usize = 14;
/// A TCP header without options.
const TCP: usize = 20;

/// One's complement sum of `bytes` as big-endian words, folded.
fn ones_sum(bytes: &[u8]) -> u32 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Where the TCP segment of a frame lies, and what its pseudo-header adds up to.
struct Place {
    at: usize,
    end: usize,
    pseudo: u32,
    ipv4: bool,
}

fn place(frame: &[u8]) -> Option<Place> {
    let kind = u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]);
    match kind {
        0x0800 => {
            let header = usize::from(frame.get(14)? & 15) * 4;
            let total = usize::from(u16::from_be_bytes([*frame.get(16)?, *frame.get(17)?]));
            let len = total.checked_sub(header).filter(|len| *len >= TCP)?;
            (frame.get(23)? == &6 && frame.len() >= ETHERNET + total).then(|| Place {
                at: ETHERNET + header,
                end: ETHERNET + total,
                pseudo: ones_sum(&frame[26..34]) + 6 + len as u32,
                ipv4: true,
            })
        }
        0x86dd => {
            let len = usize::from(u16::from_be_bytes([*frame.get(18)?, *frame.get(19)?]));
            (frame.get(20)? == &6 && len >= TCP && frame.len() >= 54 + len).then(|| Place {
                at: 54,
                end: 54 + len,
                pseudo: ones_sum(&frame[22..54]) + 6 + len as u32,
                ipv4: false,
            })
        }
        _ => None,
    }
}

/// The frame holds a TCP segment.
#[must_use]
pub fn is_tcp(frame: &[u8]) -> bool {
    place(frame).is_some()
}

/// Where the TCP header of a frame begins, and where its segment ends.
#[must_use]
pub fn segment_of(frame: &[u8]) -> Option<(usize, usize)> {
    place(frame).map(|place| (place.at, place.end))
}

/// Every checksum of the frame is right; frames without TCP pass.
#[must_use]
pub fn checksums_hold(frame: &[u8]) -> bool {
    let Some(place) = place(frame) else { return true };
    let header_holds = !place.ipv4 || fold(ones_sum(&frame[ETHERNET..place.at])) == 0xffff;
    header_holds && fold(place.pseudo + ones_sum(&frame[place.at..place.end])) == 0xffff
}

/// Does what a device does to a frame of this shape.
pub fn complete(frame: &mut [u8], shape: TxShape) {
    if shape == TxShape::Complete {
        return;
    }
    let Some(Place { at, end, ipv4, .. }) = place(frame) else { return };
    if ipv4 {
        frame[24..26].copy_from_slice(&[0, 0]);
        let sum = !fold(ones_sum(&frame[ETHERNET..at]));
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    let sum = !fold(ones_sum(&frame[at..end]));
    frame[at + 16..at + 18].copy_from_slice(&sum.to_be_bytes());
}

/// Makes every checksum of the frame right, whatever stood there.
pub fn repair(frame: &mut [u8]) {
    let Some(Place { at, end, pseudo, ipv4 }) = place(frame) else { return };
    if ipv4 {
        frame[24..26].copy_from_slice(&[0, 0]);
        let sum = !fold(ones_sum(&frame[ETHERNET..at]));
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    frame[at + 16..at + 18].copy_from_slice(&[0, 0]);
    let sum = !fold(pseudo + ones_sum(&frame[at..end]));
    frame[at + 16..at + 18].copy_from_slice(&sum.to_be_bytes());
}
