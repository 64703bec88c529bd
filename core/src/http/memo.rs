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

    /// The message that `bytes` are, if they are the remembered ones.
    #[inline]
    pub fn recall(&self, kind: Kind, bytes: &[u8]) -> Option<Message> {
        let same =
            !bytes.is_empty() && kind == self.kind && self.bytes.get(..self.len) == Some(bytes);
        same.then_some(self.message)
    }

    #[inline(never)]
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
        if alone && let Some(message) = memo.recall(kind, bytes) {
            return Outcome { consumed: bytes.len(), event: Event::Complete(message) };
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
