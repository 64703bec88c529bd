//! The Internet checksum once more, written as plainly as RFC 1071 says it: the judge of what the
//! core sends, and the part of the device that fills in what the core left open.

use dperf_core::frame::TxShape;

const ETHERNET: usize = 14;
/// A TCP header without options.
const TCP: usize = 20;
/// A UDP header.
const UDP: usize = 8;

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

/// Protocol numbers.
const TCP_NUMBER: u8 = 6;
const UDP_NUMBER: u8 = 17;

/// Where the TCP segment or the UDP datagram of a frame lies, and what its pseudo-header adds up
/// to.
struct Place {
    at: usize,
    end: usize,
    pseudo: u32,
    ipv4: bool,
    udp: bool,
}

impl Place {
    /// Where the checksum lies.
    fn checksum_at(&self) -> usize {
        self.at + if self.udp { 6 } else { 16 }
    }
}

fn place(frame: &[u8]) -> Option<Place> {
    let kind = u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]);
    match kind {
        0x0800 => {
            let header = usize::from(frame.get(14)? & 15) * 4;
            let total = usize::from(u16::from_be_bytes([*frame.get(16)?, *frame.get(17)?]));
            let number = *frame.get(23)?;
            let len = total.checked_sub(header).filter(|len| holds(number, *len))?;
            (frame.len() >= ETHERNET + total).then(|| Place {
                at: ETHERNET + header,
                end: ETHERNET + total,
                pseudo: ones_sum(&frame[26..34]) + u32::from(number) + len as u32,
                ipv4: true,
                udp: number == UDP_NUMBER,
            })
        }
        0x86dd => {
            let len = usize::from(u16::from_be_bytes([*frame.get(18)?, *frame.get(19)?]));
            let number = *frame.get(20)?;
            (holds(number, len) && frame.len() >= 54 + len).then(|| Place {
                at: 54,
                end: 54 + len,
                pseudo: ones_sum(&frame[22..54]) + u32::from(number) + len as u32,
                ipv4: false,
                udp: number == UDP_NUMBER,
            })
        }
        _ => None,
    }
}

/// `bytes` are enough for a header of the protocol of that number.
fn holds(number: u8, bytes: usize) -> bool {
    number == TCP_NUMBER && bytes >= TCP || number == UDP_NUMBER && bytes >= UDP
}

/// The frame holds a TCP segment.
#[must_use]
pub fn is_tcp(frame: &[u8]) -> bool {
    place(frame).is_some_and(|place| !place.udp)
}

/// The frame is load: a TCP segment or a UDP datagram.
#[must_use]
pub fn is_load(frame: &[u8]) -> bool {
    place(frame).is_some()
}

/// Where the TCP header of a frame begins, and where its segment ends.
#[must_use]
pub fn segment_of(frame: &[u8]) -> Option<(usize, usize)> {
    place(frame).filter(|place| !place.udp).map(|place| (place.at, place.end))
}

/// Where the UDP header of a frame begins, and where its datagram ends.
#[must_use]
pub fn datagram_of(frame: &[u8]) -> Option<(usize, usize)> {
    place(frame).filter(|place| place.udp).map(|place| (place.at, place.end))
}

/// Every checksum of the frame is right; frames without TCP and UDP pass.
#[must_use]
pub fn checksums_hold(frame: &[u8]) -> bool {
    let Some(place) = place(frame) else { return true };
    let header_holds = !place.ipv4 || fold(ones_sum(&frame[ETHERNET..place.at])) == 0xffff;
    let made = !place.udp || frame[place.checksum_at()..][..2] != [0, 0];
    header_holds && made && fold(place.pseudo + ones_sum(&frame[place.at..place.end])) == 0xffff
}

/// Does what a device does to a frame of this shape.
pub fn complete(frame: &mut [u8], shape: TxShape) {
    if shape == TxShape::Complete {
        return;
    }
    let Some(place) = place(frame) else { return };
    let Place { at, end, ipv4, .. } = place;
    if ipv4 {
        frame[24..26].copy_from_slice(&[0, 0]);
        let sum = !fold(ones_sum(&frame[ETHERNET..at]));
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    let sum = !fold(ones_sum(&frame[at..end]));
    frame[place.checksum_at()..][..2].copy_from_slice(&sum.to_be_bytes());
}

/// Makes every checksum of the frame right, whatever stood there.
pub fn repair(frame: &mut [u8]) {
    let Some(place) = place(frame) else { return };
    let Place { at, end, pseudo, ipv4, .. } = place;
    if ipv4 {
        frame[24..26].copy_from_slice(&[0, 0]);
        let sum = !fold(ones_sum(&frame[ETHERNET..at]));
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    let checksum_at = place.checksum_at();
    frame[checksum_at..][..2].copy_from_slice(&[0, 0]);
    let sum = !fold(pseudo + ones_sum(&frame[at..end]));
    frame[checksum_at..][..2].copy_from_slice(&sum.to_be_bytes());
}
