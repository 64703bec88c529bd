//! HTTP/1.x as a load tester needs it: where one message ends and the next begins, told from an
//! in-order byte stream in pieces of any size, with ten bytes of memory per connection; and the
//! exact bytes of the messages we send.
//!
//! Nothing here allocates, copies a header or looks at the bytes of a body. The rules are those of
//! RFC 9112 (message syntax and framing) and RFC 9110 (fields and status codes).

mod chunk;
mod fields;
mod memo;
mod message;
mod scanner;
mod start_line;
mod words;

#[cfg(test)]
mod tests;

pub use memo::{Known, Memo};
pub use message::{
    DEFAULT_BODY, DEFAULT_HOST, DEFAULT_PATH, FILLER, REQUEST_BYTES, RESPONSE_HEADER_BYTES,
    RequestSpec, ResponseSpec, say_close, write_filler, write_request, write_response,
    write_response_header,
};
pub use scanner::Scanner;

/// What kind of message the stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Requests, as a server receives them.
    Request,
    /// Responses, as a client receives them.
    Response,
}

/// The request methods worth telling apart (RFC 9110 section 9.3).
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum Method {
    /// Any other method; also what a response carries here.
    #[default]
    Other,
    /// GET.
    Get,
    /// POST.
    Post,
    /// HEAD: the answer is a header without its body.
    Head,
}

/// What a whole message turned out to be.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Message {
    /// The class of the status code, 1 to 5 (RFC 9110 section 15); 0 for a request.
    pub class: u8,
    /// The method of a request.
    pub method: Method,
    /// No further message follows on this connection (RFC 9112 section 9.3).
    pub close: bool,
}

/// Why a stream is no HTTP/1.x that can be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// The request line or status line is malformed (RFC 9112 sections 3 and 4).
    StartLine,
    /// The version is not `HTTP/1.x` (RFC 9112 section 2.3).
    Version,
    /// A header line has no name, no colon, or whitespace around its name (RFC 9112 section 5.1).
    Field,
    /// A header line goes on in the next line: the obsolete folding (RFC 9112 section 5.2).
    Fold,
    /// A NUL byte stands in the header section (RFC 9110 section 5.5).
    Nul,
    /// A CR is not followed by LF (RFC 9112 section 2.2).
    BareCr,
    /// Content-Length is no number below 2^48, or two of them differ (RFC 9112 section 6.3).
    Length,
    /// The framing fields contradict each other or leave a request without an end (RFC 9112
    /// section 6.3).
    Framing,
    /// A chunk has a malformed size or does not end where its size says (RFC 9112 section 7.1).
    Chunk,
    /// The peer closed in the middle of a message (RFC 9112 section 8).
    Truncated,
}

/// What a stretch of bytes amounted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The message goes on; more bytes are needed.
    More,
    /// A whole message ended exactly after the consumed bytes.
    Complete(Message),
    /// The stream cannot be followed; the connection is of no further use.
    Broken(Fault),
}

/// What one call found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many bytes of the input are dealt with: all of them, unless a message is complete.
    pub consumed: usize,
    /// What they amounted to.
    pub event: Event,
}
