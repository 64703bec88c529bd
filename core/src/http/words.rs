//! Bytes by the word: the search for a stop byte eight at a time, the token alphabet, and the
//! comparison of a word that arrives in pieces.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The offset of the first byte below `LIMIT` (at most 128), or the length when there is none.
#[inline]
pub(super) fn find_below<const LIMIT: u8>(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // A borrow can only spoil the bytes above the first hit.
        let hits = word.wrapping_sub(ONES * u64::from(LIMIT)) & !word & HIGH;
        if hits != 0 {
            return index * 8 + hits.trailing_zeros() as usize / 8;
        }
    }
    let past = tail.iter().position(|&byte| byte < LIMIT).unwrap_or(tail.len());
    words.len() * 8 + past
}

/// The offset of the first CR, LF or NUL, or the length when there is none.
#[inline]
pub(super) fn find_line_stop(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        at += find_below::<{ b'\r' + 1 }>(rest);
        match bytes.get(at) {
            Some(b'\r' | b'\n' | 0) | None => return at,
            Some(_) => at += 1,
        }
    }
    bytes.len()
}

/// How many bytes at the front are token characters (RFC 9110 section 5.6.2).
#[inline]
pub(super) fn token_run(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| !TOKEN[usize::from(byte)]).unwrap_or(bytes.len())
}

/// How many bytes at the front are SP or HTAB (RFC 9110 section 5.6.3).
#[inline]
pub(super) fn blank_run(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(bytes.len())
}

static TOKEN: [bool; 256] = token_table();

const fn token_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128u8 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.')
            || matches!(byte, b'^'..=b'`' | b'|' | b'~');
        byte += 1;
    }
    table
}

/// A word list: bit `i` of a set of candidates stands for word `i`.
pub(super) type Words = [&'static [u8]];

/// The candidates that still match once `run` has followed `position` bytes of the word.
#[inline]
pub(super) fn narrow(
    words: &Words,
    candidates: u8,
    position: u8,
    run: &[u8],
    same: impl Fn(&[u8], &[u8]) -> bool,
) -> u8 {
    let start = usize::from(position);
    let mut left = candidates;
    let mut unchecked = candidates;
    while unchecked != 0 {
        let bit = unchecked & unchecked.wrapping_neg();
        unchecked ^= bit;
        let word = words.get(bit.trailing_zeros() as usize);
        let piece = word.and_then(|word| word.get(start..start.saturating_add(run.len())));
        if !piece.is_some_and(|piece| same(piece, run)) {
            left ^= bit;
        }
    }
    left
}

/// The candidates that are complete after `position` bytes: none or one.
#[inline]
pub(super) fn whole(words: &Words, candidates: u8, position: u8) -> u8 {
    if candidates == 0 {
        return 0;
    }
    let ends = |index: usize, word: &&[u8]| {
        if word.len() == usize::from(position) { candidates & 1 << index } else { 0 }
    };
    words.iter().enumerate().fold(0, |found, (index, word)| found | ends(index, word))
}

/// The position after `run` more bytes; it stops counting beyond the longest word.
#[inline]
pub(super) fn advance(position: u8, run: usize) -> u8 {
    position.saturating_add(u8::try_from(run).unwrap_or(u8::MAX))
}
