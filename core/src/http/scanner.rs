//! Finds the end of every message in a stream that comes in pieces of any size, with ten bytes of
//! memory between two pieces.
//!
//! Whatever the bytes, a call never panics and always makes progress, and how the stream was cut
//! never changes what is found. There is no limit on the length of a line or of a header section:
//! nothing of them is stored, so an endless one costs the peer its own bytes and us no memory.

use super::words::blank_run;
use super::{Event, Fault, Kind, Message, Method, Outcome};

/// What the scanner expects next.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// The first byte of a message.
    #[default]
    Start,
    /// The LF of an empty line before a request line.
    BlankLf,
    /// The rest of a method and the space after it.
    Method,
    /// The rest of a request target and the space after it.
    Target,
    /// The rest of `HTTP/1.x`.
    Version,
    /// What follows the version: a space in a response, the end of the line in a request.
    VersionEnd,
    /// The rest of the three digits of a status code.
    Status,
    /// What follows the status code.
    StatusEnd,
    /// The first byte of a header line.
    Field,
    /// The rest of a header name and its colon.
    Name,
    /// The rest of a line that does not matter.
    Skip,
    /// The LF of a header line.
    LineLf,
    /// The LF of the empty line that ends a section.
    HeadLf,
    /// An element of a comma list, or the commas and blanks before it.
    ListGap,
    /// The rest of an element of a comma list.
    ListToken,
    /// The blanks after an element of a comma list.
    ListTail,
    /// The first digit of a Content-Length, or the blanks before it.
    LengthGap,
    /// The rest of the first Content-Length.
    LengthFirst,
    /// The rest of a repeated Content-Length.
    LengthAgain,
    /// The blanks after a Content-Length.
    LengthTail,
    /// The body of a client that waits for a word before it sends any.
    Awaited,
    /// `left` bytes of a body.
    Body,
    /// A body that only the end of the connection ends.
    UntilClose,
    /// The first digit of a chunk size.
    ChunkStart,
    /// The rest of a chunk size.
    ChunkDigits,
    /// The blanks after a chunk size.
    ChunkGap,
    /// The rest of a chunk extension.
    ChunkExtension,
    /// The LF after a chunk size.
    ChunkSizeLf,
    /// `left` bytes of a chunk.
    ChunkData,
    /// The CR after a chunk.
    ChunkDataCr,
    /// The LF after a chunk.
    ChunkDataLf,
    /// Nothing any more: the message before was the last.
    Over,
    /// Nothing any more; `position` says why.
    Broken,
}

/// The memory of one connection between two pieces of its stream; all zero at a message start.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Scanner {
    /// A number of 48 bits, lowest part first: what is left of a body, or a number being read.
    left: [u16; 3],
    pub(super) phase: Phase,
    /// How much of a word or a number has been seen.
    pub(super) position: u8,
    /// What is known of the message: the status or method, and the flags below.
    pub(super) facts: u8,
    /// The words the current one may still become, and two flags of the header section.
    pub(super) candidates: u8,
}

const _: () = assert!(size_of::<Scanner>() == 10 && align_of::<Scanner>() == 2);

/// The largest number `left` holds.
pub(super) const LEFT_MAX: u64 = (1 << 48) - 1;

/// The bits of `facts` that hold an index into [`CLASSES`], in a response.
const SHAPE: u8 = 0b111;
/// The bits of `facts` that hold a [`Method`], in a request.
const METHOD: u8 = 0b011;
/// Expect was seen, in a request.
pub(super) const EXPECTS: u8 = 1 << 2;
/// The message is HTTP/1.0.
pub(super) const VERSION_1_0: u8 = 1 << 3;
/// `Connection: close` was seen, or the body runs until close.
pub(super) const CLOSE: u8 = 1 << 4;
/// `Connection: keep-alive` was seen.
pub(super) const KEEP_ALIVE: u8 = 1 << 5;
/// The bits of `facts` that hold one of the four framings; zero when no field tells.
pub(super) const FRAMING: u8 = 0b11 << 6;
/// Content-Length was seen.
pub(super) const LENGTH: u8 = 1 << 6;
/// Transfer-Encoding was seen, its last coding is not chunked.
pub(super) const CODED: u8 = 2 << 6;
/// Transfer-Encoding was seen, its last coding is chunked.
pub(super) const CHUNKED: u8 = 3 << 6;

/// Flag in `candidates`: the lines are trailer fields, after the last chunk.
pub(super) const TRAILER: u8 = 1 << 7;

/// The shapes a response can have, as indices into [`CLASSES`].
pub(super) const INTERIM: u8 = 0;
pub(super) const SWITCHING: u8 = 1;
pub(super) const NO_CONTENT: u8 = 3;
pub(super) const NOT_MODIFIED: u8 = 5;
/// The class of each shape: interim 1xx, 101, 2xx, 204, 3xx, 304, 4xx, 5xx.
const CLASSES: [u8; 8] = [1, 1, 2, 2, 3, 3, 4, 5];

/// The outcome of a step that cannot end a message.
pub(super) type Stepped = Result<(), Fault>;

impl Scanner {
    /// Follows the stream through `bytes`, up to the end of a message or the end of the input.
    ///
    /// When a message is complete the scanner stands at a message start again, and the bytes not
    /// consumed belong to the next message. A broken stream stays broken. Interim responses
    /// (1xx, except 101) are passed over in silence (RFC 9110 section 15.2).
    #[inline]
    pub fn scan(&mut self, kind: Kind, bytes: &[u8]) -> Outcome {
        // The outcome is put together where it is used; only the event comes back from afar.
        let mut rest = bytes;
        let event = self.run(kind, &mut rest);
        Outcome { consumed: bytes.len() - rest.len(), event }
    }

    fn run(&mut self, kind: Kind, rest: &mut &[u8]) -> Event {
        while !rest.is_empty() {
            match self.step(kind, rest) {
                Ok(None) => {}
                Ok(Some(message)) => {
                    *self = Self::default();
                    return Event::Complete(message);
                }
                Err(fault) => {
                    self.phase = Phase::Broken;
                    self.position = fault as u8;
                    *rest = &[];
                    return Event::Broken(fault);
                }
            }
        }
        Event::More
    }

    /// Takes note that the peer closed: the end of a body that runs until close (RFC 9112 section
    /// 6.3, rule 8), [`Fault::Truncated`] inside any other message, nothing between two. The
    /// scanner then stands at a message start, ready for another connection.
    pub fn finish(&mut self, kind: Kind) -> Event {
        let event = match self.phase {
            Phase::Start | Phase::Over => Event::More,
            Phase::UntilClose => Event::Complete(self.message(kind)),
            Phase::Broken => Event::Broken(self.fault()),
            _ => Event::Broken(Fault::Truncated),
        };
        *self = Self::default();
        event
    }

    /// Whether the scanner stands at a message start.
    #[inline]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Start
    }

    /// No message follows, whatever comes: the peer said so, or was told.
    #[inline]
    pub fn end(&mut self) {
        *self = Self { phase: Phase::Over, ..Self::default() };
    }

    /// Whether [`Scanner::end`] was called.
    #[inline(always)]
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// The request whose client waits for a word before it sends the body, if nothing of that has
    /// come (RFC 9110 section 10.1.1). It is complete without, and the last one: the scanner stands
    /// at a message start again, whatever comes.
    #[inline]
    pub fn without_body(&mut self) -> Option<Message> {
        let awaited = self.phase == Phase::Awaited;
        awaited.then(|| Message { close: true, ..core::mem::take(self).message(Kind::Request) })
    }

    /// Does what the phase asks for: eats from `rest`, which is not empty, or changes the phase.
    fn step(&mut self, kind: Kind, rest: &mut &[u8]) -> Result<Option<Message>, Fault> {
        let unended = match self.phase {
            Phase::HeadLf => return self.head_lf(kind, rest),
            Phase::Field => return self.field(kind, rest),
            Phase::Body => return Ok(self.body(kind, rest)),
            Phase::Start => self.start(kind, rest),
            Phase::BlankLf => self.expect(b'\n', Phase::Start, Fault::BareCr, rest),
            Phase::Method => self.method(rest),
            Phase::Target => self.target(rest),
            Phase::Version => self.version(rest),
            Phase::VersionEnd => self.version_end(kind, rest),
            Phase::Status => self.status(rest),
            Phase::StatusEnd => self.status_end(rest),
            Phase::Name => self.name(kind, rest),
            Phase::Skip => self.skip(rest),
            Phase::LineLf => self.expect(b'\n', Phase::Field, Fault::BareCr, rest),
            Phase::ListGap => self.list_gap(rest),
            Phase::ListToken => self.list_token(rest),
            Phase::ListTail => self.list_tail(rest),
            Phase::LengthGap => self.length_gap(rest),
            Phase::LengthFirst => self.length_first(rest),
            Phase::LengthAgain => self.length_again(rest),
            Phase::LengthTail => self.length_tail(rest),
            Phase::Awaited => {
                let chunked = self.facts & FRAMING == CHUNKED;
                self.phase = if chunked { Phase::ChunkStart } else { Phase::Body };
                Ok(())
            }
            Phase::UntilClose | Phase::Over => {
                *rest = &[];
                Ok(())
            }
            Phase::ChunkStart => self.chunk_start(rest),
            Phase::ChunkDigits => self.chunk_digits(rest),
            Phase::ChunkGap => self.chunk_gap(rest),
            Phase::ChunkExtension => self.chunk_extension(rest),
            Phase::ChunkSizeLf => self.chunk_size_lf(rest),
            Phase::ChunkData => self.chunk_data(rest),
            Phase::ChunkDataCr => self.expect(b'\r', Phase::ChunkDataLf, Fault::Chunk, rest),
            Phase::ChunkDataLf => self.expect(b'\n', Phase::ChunkStart, Fault::Chunk, rest),
            Phase::Broken => Err(self.fault()),
        };
        unended.map(|()| None)
    }

    fn head_lf(&mut self, kind: Kind, rest: &mut &[u8]) -> Result<Option<Message>, Fault> {
        self.expect(b'\n', Phase::Field, Fault::BareCr, rest)?;
        self.section_ends(kind)
    }

    /// The empty line was seen: of the trailer section, or of the header section, whose fields
    /// now tell how long the body is (RFC 9112 section 6.3).
    pub(super) fn section_ends(&mut self, kind: Kind) -> Result<Option<Message>, Fault> {
        let bodyless = match (kind, self.facts & SHAPE) {
            (Kind::Response, INTERIM) => {
                *self = Self::default();
                return Ok(None);
            }
            (Kind::Response, SWITCHING) => {
                // What follows is no HTTP any more.
                self.facts |= CLOSE;
                true
            }
            (Kind::Response, NO_CONTENT | NOT_MODIFIED) => true,
            _ => self.candidates & TRAILER != 0,
        };
        self.phase = match (kind, self.facts & FRAMING) {
            _ if bodyless => return Ok(Some(self.message(kind))),
            (_, LENGTH) if self.left() == 0 => return Ok(Some(self.message(kind))),
            (Kind::Request, LENGTH | CHUNKED) if self.expects() => Phase::Awaited,
            (_, LENGTH) => Phase::Body,
            (_, CHUNKED) => Phase::ChunkStart,
            (Kind::Request, CODED) => return Err(Fault::Framing),
            (Kind::Request, _) => return Ok(Some(self.message(kind))),
            (Kind::Response, _) => {
                self.facts |= CLOSE;
                Phase::UntilClose
            }
        };
        Ok(None)
    }

    /// An expectation in HTTP/1.0 does not count (RFC 9110 section 10.1.1).
    fn expects(&self) -> bool {
        self.facts & (EXPECTS | VERSION_1_0) == EXPECTS
    }

    fn body(&mut self, kind: Kind, rest: &mut &[u8]) -> Option<Message> {
        self.pass(rest);
        (self.left() == 0).then(|| self.message(kind))
    }

    /// What the facts say of the message (for `close`: RFC 9112 section 9.3).
    fn message(&self, kind: Kind) -> Message {
        let (shape, method) = (self.facts & SHAPE, self.facts & METHOD);
        let (class, method) = match kind {
            Kind::Response => (CLASSES[usize::from(shape)], Method::Other),
            Kind::Request => (0, METHOD_SHAPES[usize::from(method)]),
        };
        let kept = self.facts & (VERSION_1_0 | KEEP_ALIVE) != VERSION_1_0;
        Message { class, method, close: self.facts & CLOSE != 0 || !kept }
    }

    fn fault(&self) -> Fault {
        FAULTS.get(usize::from(self.position)).copied().unwrap_or(Fault::Truncated)
    }

    /// Passes over as many of the `left` bytes as there are.
    #[inline]
    pub(super) fn pass(&mut self, rest: &mut &[u8]) {
        let here = usize::try_from(self.left()).map_or(rest.len(), |left| left.min(rest.len()));
        take(rest, here);
        self.set_left(self.left() - here as u64);
    }

    /// Takes the first byte, which must be `wanted`, and goes on to `next`.
    #[inline]
    pub(super) fn expect(
        &mut self,
        wanted: u8,
        next: Phase,
        fault: Fault,
        rest: &mut &[u8],
    ) -> Stepped {
        if rest.first() != Some(&wanted) {
            return Err(fault);
        }
        self.eat(1, next, rest);
        Ok(())
    }

    /// Takes the end of a header line, CRLF or LF alone (RFC 9112 section 2.2).
    #[inline]
    pub(super) fn line_end(&mut self, fault: Fault, rest: &mut &[u8]) -> Stepped {
        match **rest {
            [b'\r', b'\n', ..] => self.eat(2, Phase::Field, rest),
            [b'\r'] => self.eat(1, Phase::LineLf, rest),
            [b'\n', ..] => self.eat(1, Phase::Field, rest),
            [b'\r', ..] => return Err(Fault::BareCr),
            [0, ..] => return Err(Fault::Nul),
            _ => return Err(fault),
        }
        Ok(())
    }

    /// Eats `count` bytes and goes on to `next`.
    #[inline]
    pub(super) fn eat(&mut self, count: usize, next: Phase, rest: &mut &[u8]) {
        take(rest, count);
        self.phase = next;
    }

    /// Passes over blanks; the byte after them, or nothing when the input ends first.
    #[inline]
    pub(super) fn after_blanks(rest: &mut &[u8]) -> Option<u8> {
        take(rest, blank_run(rest));
        rest.first().copied()
    }

    #[inline]
    pub(super) fn left(&self) -> u64 {
        let [low, middle, high] = self.left.map(u64::from);
        low | middle << 16 | high << 32
    }

    #[inline]
    pub(super) fn set_left(&mut self, left: u64) {
        self.left = [left as u16, (left >> 16) as u16, (left >> 32) as u16];
    }
}

/// The methods by their number in `facts`.
const METHOD_SHAPES: [Method; 4] = {
    let mut methods = [Method::Other; 4];
    methods[Method::Get as usize] = Method::Get;
    methods[Method::Post as usize] = Method::Post;
    methods[Method::Head as usize] = Method::Head;
    methods
};

/// The faults by their number in `position`.
const FAULTS: [Fault; 10] = [
    Fault::StartLine,
    Fault::Version,
    Fault::Field,
    Fault::Fold,
    Fault::Nul,
    Fault::BareCr,
    Fault::Length,
    Fault::Framing,
    Fault::Chunk,
    Fault::Truncated,
];

/// Takes up to `count` bytes off the front.
#[inline]
pub(super) fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(count.min(rest.len()));
    *rest = left;
    taken
}
