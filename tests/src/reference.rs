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

/// Where the TCP segment of a frame lies, and what its pseudo-header adds up to.
struct Place {
    /// Where the IP header begins.
    ip: usize,
    at: usize,
    end: usize,
    pseudo: u32,
    ipv4: bool,
}

fn place(whole: &[u8]) -> Option<Place> {
    let frame = innermost(whole);
    let before = whole.len() - frame.len();
    let kind = u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]);
    let (at, len, pseudo) = match kind {
        0x0800 => {
            let header = usize::from(frame.get(14)? & 15) * 4;
            let total = usize::from(u16::from_be_bytes([*frame.get(16)?, *frame.get(17)?]));
            let len = total.checked_sub(header)?;
            (frame.get(23)? == &6).then_some(())?;
            (ETHERNET + header, len, ones_sum(frame.get(26..34)?))
        }
        0x86dd => {
            let len = usize::from(u16::from_be_bytes([*frame.get(18)?, *frame.get(19)?]));
            (frame.get(20)? == &6).then_some(())?;
            (54, len, ones_sum(frame.get(22..54)?))
        }
        _ => return None,
    };
    (len >= TCP && frame.len() >= at + len).then(|| Place {
        ip: before + ETHERNET,
        at: before + at,
        end: before + at + len,
        pseudo: pseudo + 6 + len as u32,
        ipv4: kind == 0x0800,
    })
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

/// Every checksum of the frame is right, a tunnel's included; other frames than TCP pass.
#[must_use]
pub fn checksums_hold(frame: &[u8]) -> bool {
    let outer_holds = !is_vxlan(frame) || fold(ones_sum(&frame[14..34])) == 0xffff;
    let Some(place) = place(frame) else { return outer_holds };
    let header_holds = !place.ipv4 || fold(ones_sum(&frame[place.ip..place.at])) == 0xffff;
    let segment = fold(place.pseudo + ones_sum(&frame[place.at..place.end]));
    outer_holds && header_holds && segment == 0xffff
}

/// Does what a device does to a frame of this shape.
pub fn complete(frame: &mut [u8], shape: TxShape) {
    if shape == TxShape::Complete {
        return;
    }
    let Some(Place { ip, at, end, ipv4, .. }) = place(frame) else { return };
    if ipv4 {
        fill(frame, ip, at);
    }
    let sum = !fold(ones_sum(&frame[at..end]));
    frame[at + 16..at + 18].copy_from_slice(&sum.to_be_bytes());
}

/// Makes the checksum of the IPv4 header from `ip` to `end`.
fn fill(frame: &mut [u8], ip: usize, end: usize) {
    frame[ip + 10..ip + 12].copy_from_slice(&[0, 0]);
    let sum = !fold(ones_sum(&frame[ip..end]));
    frame[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
}

/// Makes every checksum of the frame right, whatever stood there.
pub fn repair(frame: &mut [u8]) {
    if is_vxlan(frame) {
        fill(frame, 14, 34);
    }
    let Some(Place { ip, at, end, pseudo, ipv4 }) = place(frame) else { return };
    if ipv4 {
        fill(frame, ip, at);
    }
    frame[at + 16..at + 18].copy_from_slice(&[0, 0]);
    let sum = !fold(pseudo + ones_sum(&frame[at..end]));
    frame[at + 16..at + 18].copy_from_slice(&sum.to_be_bytes());
}
