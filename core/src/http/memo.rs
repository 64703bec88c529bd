//! A worker's memory of the last short message. A load test sees the same bytes millions of
//! times; recognising them costs a comparison instead of a scan, and never changes the outcome.

use crate::wire::checksum::sum;

use super::{Event, Kind, Message, Outcome, Scanner};

/// The longest message remembered.
const MEMO_BYTES: usize = 256;

/// A message that is known by heart.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Which of those that were remembered, counted from 1 to 255 and again.
    pub number: u8,
    /// What its bytes add to a checksum.
    pub sum: u64,
}

/// The last message that came whole, alone, and in one piece.
#[derive(Clone, Debug)]
pub struct Memo {
    /// How many bytes are remembered; zero when nothing is.
    len: usize,
    kind: Kind,
    known: Known,
    message: Message,
    bytes: [u8; MEMO_BYTES],
}

impl Memo {
    /// A memory of nothing.
    #[must_use]
    pub const fn new() -> Self {
        let message = Message { class: 0, method: super::Method::Other, close: false };
        let known = Known { number: 0, sum: 0 };
        Self { len: 0, kind: Kind::Request, known, message, bytes: [0; MEMO_BYTES] }
    }

    /// What is known of `bytes`, if they are the remembered ones.
    #[inline(always)]
    #[must_use]
    pub fn recall(&self, kind: Kind, bytes: &[u8]) -> Option<Known> {
        let same =
            !bytes.is_empty() && kind == self.kind && self.bytes.get(..self.len) == Some(bytes);
        same.then_some(self.known)
    }

    /// The message of this [`Known::number`], unless another was remembered since (fewer than 255).
    #[inline(always)]
    #[must_use]
    pub fn numbered(&self, number: u8) -> Option<Message> {
        (number != 0 && number == self.known.number).then_some(self.message)
    }

    #[inline(never)]
    fn remember(&mut self, kind: Kind, bytes: &[u8], message: Message) {
        if let Some(place) = self.bytes.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
            self.len = bytes.len();
            self.kind = kind;
            self.message = message;
            let number = self.known.number.checked_add(1).unwrap_or(1);
            self.known = Known { number, sum: sum(bytes) };
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
        if alone && memo.recall(kind, bytes).is_some() {
            return Outcome { consumed: bytes.len(), event: Event::Complete(memo.message) };
        }
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
