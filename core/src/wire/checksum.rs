//! The Internet checksum (RFC 1071): a sum here is right for any bytes, and quick for a packet.
//!
//! **Sums are kept in memory order.** Words are added as the machine loads them, without a swap:
//! the ones-complement sum does not care (RFC 1071 section 2(B)). So a folded value is no number
//! to compare with a host integer; it is two bytes, stored as they are with `to_ne_bytes`, and a
//! host value enters a sum only through [`be16`] or [`be32`].
//!
//! **Partial sums are added with plain `+`.** A partial sum is below 2^35, so half a billion of
//! them fit in the `u64`. Every part but the last must have an even number of bytes.

/// From here on lanes are quicker than a chain of additions with carry.
const LONG_BYTES: usize = 512;

/// The partial sum of `bytes`, in memory order. An odd last byte counts as if a zero followed.
#[inline]
#[must_use]
pub fn sum(bytes: &[u8]) -> u64 {
    if bytes.len() >= LONG_BYTES {
        return sum_long(bytes);
    }
    sum_words(bytes)
}

/// As [`sum`], word by word: quicker than [`sum_long`] for fewer than [`LONG_BYTES`].
#[inline]
fn sum_words(bytes: &[u8]) -> u64 {
    let Some(last) = bytes.last_chunk::<8>() else {
        return sum_short(bytes);
    };
    let (words, tail) = bytes.as_chunks::<8>();
    // The last 8 bytes are loaded whole, and those that belong to `words` are shifted out. Two
    // shifts, for a shift by 64 would be none.
    let tail_word = u64::from_le_bytes(*last) >> (8 * (7 - tail.len())) >> 8;
    let mut total = tail_word.to_le();
    let (eights, rest) = words.as_chunks::<8>();
    for eight in eights {
        total = add_words(total, eight.map(u64::from_ne_bytes));
    }
    // What is left is 0 to 7 words.
    let (fours, rest) = rest.as_chunks::<4>();
    if let [four] = fours {
        total = add_words(total, four.map(u64::from_ne_bytes));
    }
    let (twos, ones) = rest.as_chunks::<2>();
    if let [two] = twos {
        total = add_words(total, two.map(u64::from_ne_bytes));
    }
    if let [one] = ones {
        total = add_words(total, [u64::from_ne_bytes(*one)]);
    }
    halves(total)
}

/// As [`sum`], in lanes that a compiler puts into vector registers: no addition waits for a carry.
#[inline(never)]
fn sum_long(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut total = sum_words(rest);
    // As many 16-bit values as a lane of 32 bits holds.
    for blocks in blocks.chunks(1 << 15) {
        let mut lanes = [0_u32; 16];
        for block in blocks {
            let (pairs, _) = block.as_chunks::<2>();
            for (lane, pair) in lanes.iter_mut().zip(pairs) {
                *lane += u32::from(u16::from_ne_bytes(*pair));
            }
        }
        total += lanes.iter().map(|lane| u64::from(*lane)).sum::<u64>();
    }
    halves(total)
}

/// The partial sum of fewer than 8 bytes.
#[inline]
fn sum_short(bytes: &[u8]) -> u64 {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let last = odd.first().map_or(0, |&byte| u16::from_ne_bytes([byte, 0]));
    pairs.iter().fold(u64::from(last), |total, pair| total + u64::from(u16::from_ne_bytes(*pair)))
}

/// `N` words of a header: of 8 bytes each, the last one of 4 where the header ends with 4.
#[inline(always)]
#[must_use]
pub fn words<const N: usize>(header: &[u8]) -> [u64; N] {
    let (whole, rest) = header.as_chunks::<8>();
    let last = rest.first_chunk::<4>().map_or(0, |last| u64::from(u32::from_ne_bytes(*last)));
    core::array::from_fn(|at| whole.get(at).map_or(last, |word| u64::from_ne_bytes(*word)))
}

/// The ones-complement sum of words and partial sums in all 64 bits: one for [`fold`] and
/// [`is_valid`], too wide to be a partial sum itself.
#[inline(always)]
#[must_use]
pub fn total<const N: usize>(parts: [u64; N]) -> u64 {
    add_words(0, parts)
}

/// One chain of additions with carry, its last carry brought around to the lowest bit.
#[inline(always)]
fn add_words<const N: usize>(mut total: u64, words: [u64; N]) -> u64 {
    let mut carry = false;
    for word in words {
        (total, carry) = total.carrying_add(word, carry);
    }
    // This cannot overflow: total and carry together stay below 2^64, whatever the words.
    total + u64::from(carry)
}

/// The two 32-bit halves added: the same ones-complement value, below 2^33.
#[inline]
const fn halves(sum: u64) -> u64 {
    (sum >> 32) + (sum & 0xffff_ffff)
}

/// A sum folded to 16 bits, in memory order: store it with `to_ne_bytes`.
#[inline]
#[must_use]
pub const fn fold(sum: u64) -> u16 {
    // Added to its own rotation, a value has the sum of its halves, end-around carry included, in
    // its upper half: no branch, no second round.
    let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

/// The checksum field for a sum taken with that field zero: two bytes to store as they are.
#[inline]
#[must_use]
pub const fn finish(sum: u64) -> [u8; 2] {
    (!fold(sum)).to_ne_bytes()
}

/// The sum, taken with the checksum field in place, is that of undamaged bytes.
#[inline]
#[must_use]
pub const fn is_valid(sum: u64) -> bool {
    fold(sum) == 0xffff
}

/// The addend for a 16-bit host value that travels big-endian.
#[inline]
#[must_use]
pub fn be16(value: u16) -> u64 {
    u64::from(value.to_be())
}

/// The addend for a 32-bit host value that travels big-endian.
#[inline]
#[must_use]
pub fn be32(value: u32) -> u64 {
    u64::from(value.to_be())
}

/// The partial sum of the IPv4 pseudo-header; `length` is that of the upper layer, in bytes.
/// RFC 9293 section 3.1, RFC 768.
#[inline]
#[must_use]
pub fn pseudo_ipv4(src: [u8; 4], dst: [u8; 4], protocol: u8, length: u16) -> u64 {
    sum(&src) + sum(&dst) + be16(u16::from(protocol)) + be16(length)
}

/// The partial sum of the IPv6 pseudo-header; `length` is that of the upper layer, in bytes.
/// RFC 8200 section 8.1.
#[inline]
#[must_use]
pub fn pseudo_ipv6(src: &[u8; 16], dst: &[u8; 16], protocol: u8, length: u32) -> u64 {
    sum(src) + sum(dst) + be16(u16::from(protocol)) + be32(length)
}

/// The checksum field after the bytes `old` it covers became `new`: RFC 1624 equation 3,
/// `HC' = ~(~HC + ~m + m')`. Both begin at an even offset of the covered bytes and are equally
/// long.
#[inline]
#[must_use]
pub fn replace(checksum: [u8; 2], old: &[u8], new: &[u8]) -> [u8; 2] {
    let without_old = u64::from(!fold(sum(old)));
    finish(u64::from(!u16::from_ne_bytes(checksum)) + without_old + sum(new))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::net::{Ipv4Addr, Ipv6Addr};

    use smoltcp::wire::{IpProtocol, checksum as oracle};

    use super::super::testing::XorShift;
    use super::*;

    /// RFC 1071 section 1 as written, in network order.
    fn naive(bytes: &[u8]) -> u16 {
        let mut total = 0_u32;
        for pair in bytes.chunks(2) {
            total += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            total = (total & 0xffff) + (total >> 16);
        }
        total as u16
    }

    #[test]
    fn every_length_and_alignment_agrees_with_the_oracles() {
        let mut noise = XorShift::new();
        for length in (0..=300).chain([511, 512, 513, 543, 544, 1460, 1500, 9000, 65535]) {
            let bytes = noise.bytes(length + 8);
            for start in 0..8 {
                let bytes = &bytes[start..start + length];
                let folded = fold(sum(bytes)).to_be();
                assert_eq!(folded, naive(bytes), "{length} bytes from {start}");
                assert_eq!(folded, oracle::data(bytes), "{length} bytes from {start}");
            }
        }
    }

    #[test]
    fn the_longest_carries_are_kept() {
        let many = std::vec![0xff; 32 * 3 * (1 << 15)];
        assert_eq!(fold(sum(&many)), 0xffff);
        let ones = [0xff; 300];
        assert_eq!(sum(&[]), 0);
        for length in 1..=300 {
            assert_eq!(fold(sum(&ones[..length])).to_be(), naive(&ones[..length]), "{length}");
        }
        for mut sparse in [[0_u8; 72], [0xff; 72]] {
            for at in 0..72 {
                sparse[at] ^= 0xff;
                assert_eq!(fold(sum(&sparse)).to_be(), naive(&sparse), "{at}");
                sparse[at] ^= 0xff;
            }
        }
    }

    #[test]
    fn fold_is_the_remainder() {
        let mut noise = XorShift::new();
        assert_eq!(fold(0), 0);
        assert_eq!(fold(u64::MAX), 0xffff);
        for _ in 0..100_000 {
            let any = noise.next() >> noise.below(64);
            assert_eq!(u64::from(fold(any)) % 0xffff, any % 0xffff);
            assert_eq!(fold(any) == 0, any == 0);
        }
    }

    #[test]
    fn parts_of_even_length_add_up() {
        let bytes = XorShift::new().bytes(301);
        for split in (0..=301).step_by(2) {
            let (head, tail) = bytes.split_at(split);
            assert_eq!(fold(sum(head) + sum(tail)), fold(sum(&bytes)));
        }
    }

    #[test]
    fn host_values_enter_as_they_travel() {
        assert_eq!(fold(be16(0x1234)), fold(sum(&[0x12, 0x34])));
        assert_eq!(fold(be32(0x1234_5678)), fold(sum(&[0x12, 0x34, 0x56, 0x78])));
    }

    #[test]
    fn pseudo_headers_agree_with_the_oracle() {
        let (a, b) = (Ipv4Addr::new(10, 255, 3, 4), Ipv4Addr::new(192, 168, 255, 1));
        let ours = fold(pseudo_ipv4(a.octets(), b.octets(), 6, 1480)).to_be();
        let theirs = oracle::pseudo_header(&a.into(), &b.into(), IpProtocol::Tcp, 1480);
        assert_eq!(ours, theirs);
        let (a, b) = (Ipv6Addr::new(0xfe80, 0, 0, 1, 2, 3, 0xffff, 5), Ipv6Addr::LOCALHOST);
        let ours = fold(pseudo_ipv6(&a.octets(), &b.octets(), 17, 40_000)).to_be();
        let theirs = oracle::pseudo_header(&a.into(), &b.into(), IpProtocol::Udp, 40_000);
        assert_eq!(ours, theirs);
        // Beyond 16 bits, where the oracle cuts the length off, the RFC's drawing decides.
        let drawing = [&a.octets()[..], &b.octets(), &[0, 1, 0x11, 0x70], &[0, 0, 0, 17]].concat();
        let ours = fold(pseudo_ipv6(&a.octets(), &b.octets(), 17, 0x0001_1170)).to_be();
        assert_eq!(ours, naive(&drawing));
    }

    #[test]
    fn a_stored_checksum_is_valid_and_damage_is_not() {
        let mut noise = XorShift::new();
        for length in 4..200 {
            let mut bytes = noise.bytes(length);
            bytes[2..4].fill(0);
            let stored = finish(sum(&bytes));
            bytes[2..4].copy_from_slice(&stored);
            assert!(is_valid(sum(&bytes)));
            bytes[noise.below(length)] ^= 0x10;
            assert!(!is_valid(sum(&bytes)));
        }
    }

    #[test]
    fn replacing_equals_summing_again() {
        let mut noise = XorShift::new();
        for _ in 0..20_000 {
            let mut bytes = noise.bytes(40);
            bytes[0] = 0x45;
            let before = finish(sum(&bytes));
            let at = 2 + 2 * noise.below(18);
            let length = noise.below(40 - at);
            let new = noise.bytes(length);
            let after = replace(before, &bytes[at..at + length], &new);
            bytes[at..at + length].copy_from_slice(&new);
            assert_eq!(after, finish(sum(&bytes)));
        }
        // RFC 1624 section 4: equation 3 yields 0x0000 where equation 2 yielded 0xffff.
        assert_eq!(replace([0xdd, 0x2f], &[0x55, 0x55], &[0x32, 0x85]), [0x00, 0x00]);
    }
}
