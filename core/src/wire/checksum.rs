//! The Internet checksum (RFC 1071): a sum here is right for any bytes, and quick for a packet.
//!
//! **Sums are kept in memory order.** Words are added as the machine loads them, without a swap:
//! the ones-complement sum does not care (RFC 1071 section 2(B)). So a folded value is no number
//! to compare with a host integer; it is two bytes, stored as they are with `to_ne_bytes`, and a
//! host value enters a sum only through [`be16`] or [`be32`].
//!
//! **Partial sums are added with plain `+`.** A partial sum is below 2^35, so half a billion of them
//! fit in the `u64`. Every part but the last must have an even number of bytes.

/// The partial sum of `bytes`, in memory order. An odd last byte counts as if a zero followed.
#[inline]
#[must_use]
pub fn sum(bytes: &[u8]) -> u64 {
    let Some(last) = bytes.last_chunk::<8>() else {
        return sum_short(bytes);
    };
    let (words, tail) = bytes.as_chunks::<8>();
    // The last 8 bytes are loaded whole, and those that belong to `words` are shifted out. Two
    // shifts, for a shift by 64 would be none.
    let tail_word = u64::from_le_bytes(*last) >> (8 * (7 - tail.len())) >> 8;
    // Two chains of additions, for each waits for its own carries.
    let mut one = tail_word.to_le();
    let mut two = 0;
    let (blocks, rest) = words.as_chunks::<4>();
    let (pairs, block) = blocks.as_chunks::<2>();
    for [first, second] in pairs {
        one = add_words(one, *first);
        two = add_words(two, *second);
    }
    if let [block] = block {
        one = add_words(one, *block);
    }
    two = match *rest {
        [a, b, c] => add_words(two, [a, b, c]),
        [a, b] => add_words(two, [a, b]),
        [a] => add_words(two, [a]),
        _ => two,
    };
    halves(one) + halves(two)
}

/// The partial sum of fewer than 8 bytes.
#[inline]
fn sum_short(bytes: &[u8]) -> u64 {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let last = odd.first().map_or(0, |&byte| u16::from_ne_bytes([byte, 0]));
    pairs.iter().fold(u64::from(last), |total, pair| total + u64::from(u16::from_ne_bytes(*pair)))
}

/// One chain of additions with carry, its last carry brought around to the lowest bit.
#[inline]
fn add_words<const N: usize>(mut total: u64, words: [[u8; 8]; N]) -> u64 {
    let mut carry = false;
    for word in words {
        (total, carry) = total.carrying_add(u64::from_ne_bytes(word), carry);
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
