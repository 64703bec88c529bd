//! The Internet checksum once more, written as plainly as RFC 1071 says it: the judge of what the
//! core sends, and the part of the device that fills in what the core left open.

use dperf_core::frame::TxShape;

const ETHERNET: usize = 14;
/// A TCP header without options, and its protocol's number.
const TCP: (usize, u8) = (20, 6);
/// The same of UDP.
const UDP: (usize, u8) = (8, 17);

/// One's complement sum of `bytes` as big-endian words, folded.
fn ones_sum(bytes: &[u8]) -> u32 {
    let (words, odd) = bytes.as_chunks();
    let whole: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    // The 32,768 words of the longest packet fit.
    let sum = whole + odd.first().map_or(0, |last| u32::from(*last) << 8);
    (sum & 0xffff) + (sum >> 16)
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Bytes of the headers around a frame in a VXLAN tunnel over IPv4.
const VXLAN: usize = 50;

/// What lies before the ethertype of the innermost frame, that ethertype, and all behind it: VLAN
/// tags and tunnels are skipped.
#[must_use]
pub fn innermost(frame: &[u8]) -> &[u8] {
    match frame.get(12..14) {
        Some([0x81, 0x00] | [0x88, 0xa8]) => innermost(&frame[4..]),
        Some([0x08, 0x00]) if is_vxlan(frame) => innermost(&frame[VXLAN..]),
        _ => frame,
    }
}

/// UDP over IPv4 without options to the port of VXLAN, with a frame in it.
fn is_vxlan(frame: &[u8]) -> bool {
    frame.len() >= VXLAN + ETHERNET
        && (frame[14], frame[23]) == (0x45, 17)
        && frame[36..38] == 4789u16.to_be_bytes()
}

/// Where the TCP segment or the UDP datagram of a frame lies, and what its pseudo-header adds up
/// to.
struct Place {
    /// Where the IP header begins.
    ip: usize,
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

fn place(whole: &[u8]) -> Option<Place> {
    let frame = innermost(whole);
    let before = whole.len() - frame.len();
    let kind = u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]);
    let (at, len, number, addresses) = match kind {
        0x0800 => {
            let header = usize::from(frame.get(14)? & 15) * 4;
            let total = usize::from(u16::from_be_bytes([*frame.get(16)?, *frame.get(17)?]));
            let len = total.checked_sub(header)?;
            (ETHERNET + header, len, *frame.get(23)?, ones_sum(frame.get(26..34)?))
        }
        0x86dd => {
            let len = usize::from(u16::from_be_bytes([*frame.get(18)?, *frame.get(19)?]));
            (54, len, *frame.get(20)?, ones_sum(frame.get(22..54)?))
        }
        _ => return None,
    };
    let (header, _) = [TCP, UDP].into_iter().find(|(_, known)| *known == number)?;
    (len >= header && frame.len() >= at + len).then(|| Place {
        ip: before + ETHERNET,
        at: before + at,
        end: before + at + len,
        pseudo: addresses + u32::from(number) + len as u32,
        ipv4: kind == 0x0800,
        udp: number == UDP.1,
    })
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

/// Every checksum of the frame is right, a tunnel's included; frames without TCP and UDP pass.
#[must_use]
pub fn checksums_hold(frame: &[u8]) -> bool {
    let outer_holds = !is_vxlan(frame) || fold(ones_sum(&frame[14..34])) == 0xffff;
    let Some(place) = place(frame) else { return outer_holds };
    let header_holds = !place.ipv4 || fold(ones_sum(&frame[place.ip..place.at])) == 0xffff;
    let segment = fold(place.pseudo + ones_sum(&frame[place.at..place.end]));
    // A datagram may go without a checksum; ours do not.
    let made = !place.udp || frame[place.checksum_at()..][..2] != [0, 0];
    outer_holds && header_holds && made && segment == 0xffff
}

/// A receiver may take the frame for load: every checksum is right, or it is a datagram over IPv4
/// that says it has none.
#[must_use]
pub fn may_be_load(frame: &[u8]) -> bool {
    let none =
        |place: Place| place.udp && place.ipv4 && frame[place.checksum_at()..][..2] == [0, 0];
    is_load(frame) && (checksums_hold(frame) || place(frame).is_some_and(none))
}

/// Does what a device does to a frame of this shape.
pub fn complete(frame: &mut [u8], shape: TxShape) {
    if shape == TxShape::Complete {
        return;
    }
    let Some(place) = place(frame) else { return };
    let Place { ip, at, end, ipv4, .. } = place;
    if ipv4 {
        fill(frame, ip, at, ip + 10);
    }
    let sum = !fold(ones_sum(&frame[at..end]));
    frame[place.checksum_at()..][..2].copy_from_slice(&sum.to_be_bytes());
}

/// Makes the checksum, which lies at `sum_at`, of the bytes from `from` to `end`.
pub(crate) fn fill(frame: &mut [u8], from: usize, end: usize, sum_at: usize) {
    frame[sum_at..sum_at + 2].copy_from_slice(&[0, 0]);
    let sum = !fold(ones_sum(&frame[from..end]));
    frame[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Makes every checksum of the frame right, whatever stood there.
pub fn repair(frame: &mut [u8]) {
    if is_vxlan(frame) {
        fill(frame, 14, 34, 24);
    }
    let Some(place) = place(frame) else { return };
    let Place { ip, at, end, pseudo, ipv4, .. } = place;
    if ipv4 {
        fill(frame, ip, at, ip + 10);
    }
    let checksum_at = place.checksum_at();
    frame[checksum_at..][..2].copy_from_slice(&[0, 0]);
    let sum = !fold(pseudo + ones_sum(&frame[at..end]));
    frame[checksum_at..][..2].copy_from_slice(&sum.to_be_bytes());
}
