//! The messages we send, to the byte: every size a configuration asks for is met exactly, and a
//! header is as long with one setting as with the other, so that load is comparable.

use core::fmt::{self, Write};

use super::Method;

/// The path asked for when none is configured.
pub const DEFAULT_PATH: &str = "/";
/// The host asked when none is configured.
pub const DEFAULT_HOST: &str = "dperf";
/// The body sent when no size is configured.
pub const DEFAULT_BODY: &[u8] = b"hello dperf!\r\n";
/// The size of a GET with the default path and host; a smaller payload is no HTTP.
pub const REQUEST_BYTES: usize = 85;
/// The size of a response header, for every body below 10^11 bytes; a smaller payload is no HTTP.
pub const RESPONSE_HEADER_BYTES: usize = 85;

/// What padding and bodies are made of, unless they are asked for.
pub const FILLER: u8 = b'a';

/// How many bytes of padding the default GET carries.
const DEFAULT_PAD: usize = 15;
/// The columns a Content-Length takes in a request, at least.
const REQUEST_COLUMNS: usize = 4;

/// The request to write.
#[derive(Clone, Copy, Debug)]
pub struct RequestSpec<'a> {
    /// POST, which carries a body; any other method is written as GET.
    pub method: Method,
    /// The request target: no blanks, no control characters (RFC 9112 section 3.2).
    pub path: &'a str,
    /// The value of the Host field (RFC 9110 section 7.2).
    pub host: &'a str,
    /// The size of the whole message; 0 for the default. Fewer than [`REQUEST_BYTES`] bytes are
    /// no HTTP. When path and host leave no room the message is longer than asked for.
    pub payload_size: usize,
}

impl Default for RequestSpec<'_> {
    fn default() -> Self {
        Self { method: Method::Get, path: DEFAULT_PATH, host: DEFAULT_HOST, payload_size: 0 }
    }
}

/// The response header to write.
#[derive(Clone, Copy, Debug)]
pub struct ResponseSpec {
    /// The size of the body that follows.
    pub body_bytes: u64,
    /// The server closes the connection after this response.
    pub close: bool,
}

impl ResponseSpec {
    /// The header of a response of `payload_size` bytes in all: 0 for [`DEFAULT_BODY`]. `None`
    /// when the size is too small for HTTP.
    #[must_use]
    pub const fn of_size(payload_size: u64, close: bool) -> Option<Self> {
        let body_bytes = match payload_size {
            0 => Some(DEFAULT_BODY.len() as u64),
            _ => payload_size.checked_sub(RESPONSE_HEADER_BYTES as u64),
        };
        match body_bytes {
            Some(body_bytes) => Some(Self { body_bytes, close }),
            None => None,
        }
    }
}

/// Writes a request; its size, or `None` when it does not fit into `buffer`.
pub fn write_request(buffer: &mut [u8], spec: &RequestSpec) -> Option<usize> {
    if (1..REQUEST_BYTES).contains(&spec.payload_size) {
        return write_filler(buffer, spec.payload_size);
    }
    let mut out = Out { buffer, len: 0 };
    match spec.method {
        Method::Post => out.post(spec)?,
        _ => out.get(spec)?,
    }
    Some(out.len)
}

/// Writes a response header; its size, or `None` when it does not fit into `buffer`. Closing or
/// not, it is [`RESPONSE_HEADER_BYTES`] long.
pub fn write_response_header(buffer: &mut [u8], spec: &ResponseSpec) -> Option<usize> {
    let mut out = Out { buffer, len: 0 };
    out.text(format_args!(
        "HTTP/1.1 200 OK\r\nContent-Length:{:>11}\r\nServer: dperf\r\nConnection:{:<10}\r\n\r\n",
        spec.body_bytes,
        if spec.close { "close" } else { "keep-alive" },
    ))?;
    Some(out.len)
}

/// Makes `part` of a response whose whole header is `header`, from its byte `from` on, say that the
/// connection closes, if it says that it is kept.
pub fn say_close(header: &[u8], part: &mut [u8], from: usize) {
    const AT: usize = RESPONSE_HEADER_BYTES - b"keep-alive\r\n\r\n".len();
    if header.get(AT..RESPONSE_HEADER_BYTES) != Some(b"keep-alive\r\n\r\n") {
        return;
    }
    for (at, byte) in (AT..).zip(b"close     ") {
        if let Some(place) = at.checked_sub(from).and_then(|at| part.get_mut(at)) {
            *place = *byte;
        }
    }
}

/// Writes a whole response of `payload_size` bytes: with [`DEFAULT_BODY`] when that is 0, and no
/// HTTP when it is below [`RESPONSE_HEADER_BYTES`]. `None` when it does not fit into `buffer`.
pub fn write_response(buffer: &mut [u8], payload_size: usize, close: bool) -> Option<usize> {
    let Some(spec) = ResponseSpec::of_size(payload_size as u64, close) else {
        return write_filler(buffer, payload_size);
    };
    let header = write_response_header(buffer, &spec)?;
    let mut out = Out { buffer, len: header };
    match payload_size {
        0 => out.bytes(DEFAULT_BODY)?,
        _ => out.filler(payload_size.checked_sub(header)?)?,
    }
    Some(out.len)
}

/// Writes `count` bytes that mean nothing: [`FILLER`], and a newline last when there are two
/// or more. A payload too small for HTTP, or a body. `None` when they do not fit into `buffer`.
pub fn write_filler(buffer: &mut [u8], count: usize) -> Option<usize> {
    let mut out = Out { buffer, len: 0 };
    out.filler(count)?;
    Some(out.len)
}

/// A caller's buffer and how much of it is written.
struct Out<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl Out<'_> {
    fn get(&mut self, spec: &RequestSpec) -> Option<()> {
        self.text(format_args!("GET {} HTTP/1.1\r\n", spec.path))?;
        self.common_fields(spec)?;
        self.text(format_args!("Pad: "))?;
        let end = b"\r\n\r\n";
        let pad = match spec.payload_size {
            0 => DEFAULT_PAD,
            size => size.saturating_sub(self.len + end.len()),
        };
        self.run(pad)?.fill(FILLER);
        self.bytes(end)
    }

    fn post(&mut self, spec: &RequestSpec) -> Option<()> {
        let body = post_body_bytes(spec);
        self.text(format_args!("POST {} HTTP/1.1\r\n", spec.path))?;
        self.text(format_args!("Content-Length:{0:>1$}\r\n", body.count, body.columns))?;
        self.common_fields(spec)?;
        self.bytes(b"\r\n")?;
        self.filler(body.count)
    }

    fn common_fields(&mut self, spec: &RequestSpec) -> Option<()> {
        let host = spec.host;
        self.text(format_args!("User-Agent: dperf\r\nHost: {host}\r\nAccept: */*\r\n"))
    }

    fn filler(&mut self, count: usize) -> Option<()> {
        let run = self.run(count)?;
        run.fill(FILLER);
        if let [_, .., last] = run {
            *last = b'\n';
        }
        Some(())
    }

    fn text(&mut self, text: fmt::Arguments) -> Option<()> {
        self.write_fmt(text).ok()
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.run(bytes.len())?.copy_from_slice(bytes);
        Some(())
    }

    /// The next `count` bytes of the buffer, to be written.
    fn run(&mut self, count: usize) -> Option<&mut [u8]> {
        let end = self.len.checked_add(count)?;
        let run = self.buffer.get_mut(self.len..end)?;
        self.len = end;
        Some(run)
    }
}

impl Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes()).ok_or(fmt::Error)
    }
}

/// The body of a POST: its size, and the columns its Content-Length takes.
struct PostBody {
    count: usize,
    columns: usize,
}

/// The body that brings a POST to its size. Its length is part of the header, so one column more
/// is one byte of body less; the padding on the left lets every size be met.
fn post_body_bytes(spec: &RequestSpec) -> PostBody {
    if spec.payload_size == 0 {
        return PostBody { count: 0, columns: REQUEST_COLUMNS };
    }
    // The default header of a POST happens to be as long as the default GET.
    let texts = spec.path.len() + spec.host.len();
    let header = REQUEST_BYTES - DEFAULT_PATH.len() - DEFAULT_HOST.len() + texts;
    let room = spec.payload_size.saturating_sub(header);
    let mut columns = REQUEST_COLUMNS;
    loop {
        let count = room.saturating_sub(columns - REQUEST_COLUMNS);
        if count.checked_ilog10().is_none_or(|log| (log as usize) < columns) {
            return PostBody { count, columns };
        }
        columns += 1;
    }
}
