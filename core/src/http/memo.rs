//! A worker's memory of the last short message. A load test sees the same bytes millions of
//! times; recognising them costs a comparison instead of a scan, and never changes the outcome.

use super::{Event, Kind, Message, Outcome, Scanner};

/// The longest message remembered.
const MEMO_BYTES: usize = 256;

/// The last message that came whole, alone, and in one piece.
#[derive(Clone, Debug)]
pub struct Memo {
    /// How many bytes are remembered; zero when nothing is.
    len: usize,
    kind: Kind,
    message: Message,
    bytes: [u8; MEMO_BYTES],
}

impl Memo {
    /// A memory of nothing.
    #[must_use]
    pub const fn new() -> Self {
        let message = Message { class: 0, method: super::Method::Other, close: false };
        Self { len: 0, kind: Kind::Request, message, bytes: [0; MEMO_BYTES] }
    }

    #[inline]
    fn recalls(&self, kind: Kind, bytes: &[u8]) -> bool {
        bytes.len() == self.len
            && kind == self.kind
            && self.bytes.get(..self.len).is_some_and(|known| same(known, bytes))
    }

    fn remember(&mut self, kind: Kind, bytes: &[u8], message: Message) {
        if let Some(place) = self.bytes.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
            self.len = bytes.len();
            self.kind = kind;
            self.message = message;
        }
    }
}

impl Default for Memo {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// As [`Scanner::scan`], with the same outcome, but a message that is the whole of `bytes` and
    /// equals the one in `memo` is recognised without being scanned.
    #[inline]
    pub fn scan_with(&mut self, memo: &mut Memo, kind: Kind, bytes: &[u8]) -> Outcome {
        let alone = self.is_idle() && !bytes.is_empty();
        if alone && memo.recalls(kind, bytes) {
            return Outcome { consumed: bytes.len(), event: Event::Complete(memo.message) };
        }
        self.scan_and_remember(memo, kind, bytes, alone)
    }

    #[inline(never)]
    fn scan_and_remember(
        &mut self,
        memo: &mut Memo,
        kind: Kind,
        bytes: &[u8],
        alone: bool,
    ) -> Outcome {
        let outcome = self.scan(kind, bytes);
        if let Event::Complete(message) = outcome.event
            && alone
            && outcome.consumed == bytes.len()
        {
            memo.remember(kind, bytes, message);
        }
        outcome
    }
}

/// Whether two slices of one length are equal, compared inline in blocks; the last block overlaps
/// the one before it.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    const BLOCK: usize = 32;
    let (Some(one_end), Some(other_end)) = (one.last_chunk::<BLOCK>(), other.last_chunk::<BLOCK>())
    else {
        return one == other;
    };
    let (one_blocks, _) = one.as_chunks::<BLOCK>();
    let (other_blocks, _) = other.as_chunks::<BLOCK>();
    one_end == other_end && one_blocks.iter().zip(other_blocks).all(|(a, b)| a == b)
}
