//! Messages as another reads them: where httparse ends a head, and where its fields, read plainly,
//! end the body, the scanner ends the message; and what one refuses the other refuses. Where they
//! differ, the difference is named here and is the whole of it.

use dperf_core::http::{Event, Fault, Kind, Method, Scanner};
use httparse::{Error, Header, Status};

/// Heads with more fields than this are left alone.
const FIELDS: usize = 32;
/// Lengths from here on are refused.
const TOO_LONG: u64 = 1 << 48;

/// What the other parser makes of a message.
enum Reading {
    /// It ends after so many bytes.
    Ends(usize),
    /// It goes on, as far as can be told; or we may know better already.
    Open,
    /// It is refused.
    Refused,
    /// We differ here, and may.
    Unknown,
}

/// A head that httparse has read, as far as it says where the message ends.
#[derive(Default)]
struct Head {
    bytes: usize,
    version: u8,
    code: u16,
    method: Method,
    lengths: Vec<u64>,
    codings: Option<String>,
    options: Vec<String>,
    /// A length that is no number, or a coding that may be taken apart in two ways.
    is_strange: bool,
}

/// The first byte says whose stream it is; the rest behind the second is the stream, as in
/// [`crate::http`].
pub fn holds(data: &[u8]) {
    let [kind, _, rest @ ..] = data else { return };
    let kind = if kind % 2 == 0 { Kind::Request } else { Kind::Response };
    let mut rest = rest;
    while !rest.is_empty() {
        let mut interim_bytes = 0;
        let (head, reading) = loop {
            let head = read_head(kind, &rest[interim_bytes..]);
            match head {
                Ok(head) if is_interim(kind, &head) && framing_holds(&head) => {
                    interim_bytes += head.bytes;
                }
                Ok(head) => {
                    let reading = read_body(kind, &head, &rest[interim_bytes..]);
                    break (head, reading);
                }
                Err(reading) => break (Head::default(), reading),
            }
        };
        let outcome = Scanner::default().scan(kind, rest);
        match (reading, outcome.event) {
            (Reading::Ends(end), Event::Complete(message)) => {
                let end = interim_bytes + end;
                assert_eq!(outcome.consumed, end, "{}", rest.escape_ascii());
                assert_eq!((message.class, message.method), (class(kind, &head), head.method));
                assert_eq!(message.close, closes(&head), "{}", rest.escape_ascii());
                rest = &rest[end..];
            }
            (Reading::Open, Event::More) => return,
            (Reading::Open, Event::Broken(why)) => {
                // Their head is not whole yet; our fields are read one by one.
                return assert!(matches!(why, Fault::Length | Fault::Framing | Fault::Version));
            }
            (Reading::Refused, Event::Broken(_)) | (Reading::Unknown, _) => return,
            (_, event) => panic!("{event:?}: {}", rest.escape_ascii()),
        }
    }
}

fn is_interim(kind: Kind, head: &Head) -> bool {
    kind == Kind::Response && (100..200).contains(&head.code) && head.code != 101
}

fn class(kind: Kind, head: &Head) -> u8 {
    match (kind, head.code) {
        (Kind::Request, _) => 0,
        (Kind::Response, 100..=599) => (head.code / 100) as u8,
        (Kind::Response, _) => 5,
    }
}

fn closes(head: &Head) -> bool {
    let said = |option: &str| head.options.iter().any(|said| said.eq_ignore_ascii_case(option));
    let until_close = head.method == Method::Other
        && head.code != 0
        && (head.code == 101
            || !matches!(head.code, 204 | 304) && head.lengths.is_empty() && !is_chunked(head));
    said("close") || until_close || head.version == 0 && !said("keep-alive")
}

fn read_head(kind: Kind, bytes: &[u8]) -> Result<Head, Reading> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    if kind == Kind::Response && matches!(bytes, [b'\r' | b'\n', ..]) {
        // httparse passes over empty lines here, too; RFC 9112 section 2.2 asks it of servers only.
        return Err(Reading::Unknown);
    }
    let (status, mut head) = match kind {
        Kind::Request => {
            let mut request = httparse::Request::new(&mut fields);
            let status = request.parse(bytes);
            let method = match request.method {
                Some("GET") => Method::Get,
                Some("POST") => Method::Post,
                Some("HEAD") => Method::Head,
                _ => Method::Other,
            };
            (status, Head { method, version: request.version.unwrap_or(0), ..Head::default() })
        }
        Kind::Response => {
            let mut response = httparse::Response::new(&mut fields);
            let status = response.parse(bytes);
            let (version, code) = (response.version.unwrap_or(0), response.code.unwrap_or(0));
            (status, Head { version, code, ..Head::default() })
        }
    };
    match status {
        Ok(Status::Complete(end)) => head.bytes = end,
        Ok(Status::Partial) => return Err(Reading::Open),
        Err(why) if may_differ(why, bytes) => return Err(Reading::Unknown),
        Err(_) => return Err(Reading::Refused),
    }
    for Header { name, value } in fields.iter().take_while(|field| !field.name.is_empty()) {
        head.note(name, value);
    }
    Ok(head)
}

/// httparse knows two versions and refuses control characters, which cost us nothing to pass over.
fn may_differ(why: Error, bytes: &[u8]) -> bool {
    let odd = |byte: &u8| matches!(byte, 1..=8 | 11 | 12 | 14..=31 | 127..);
    matches!(why, Error::TooManyHeaders | Error::Version) || bytes.iter().any(odd)
}

impl Head {
    fn note(&mut self, name: &str, value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        let blanks = |text: &str| text.trim_matches([' ', '\t']).to_owned();
        let mut elements = value.split(',').map(blanks);
        if name.eq_ignore_ascii_case("connection") {
            self.options.extend(elements);
        } else if name.eq_ignore_ascii_case("content-length") {
            for element in elements {
                let digits = element.bytes().all(|byte| byte.is_ascii_digit());
                match element.trim_start_matches('0') {
                    "" if digits && !element.is_empty() => self.lengths.push(0),
                    number if digits && !element.is_empty() => {
                        self.lengths.push(number.parse().unwrap_or(u64::MAX));
                    }
                    _ => self.is_strange = true,
                }
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            // The last of them counts; quotes are refused, since they may hide a comma.
            self.is_strange |= value.contains('"');
            let last = elements.rfind(|element| !element.is_empty());
            self.codings = last.or(self.codings.take()).or(Some(String::new()));
        }
    }
}

fn is_chunked(head: &Head) -> bool {
    head.codings.as_ref().is_some_and(|last| last.eq_ignore_ascii_case("chunked"))
}

/// The fields that say where a message ends do not contradict each other (RFC 9112 section 6.3).
fn framing_holds(head: &Head) -> bool {
    let [first, others @ ..] = &head.lengths[..] else {
        return !head.is_strange && (head.codings.is_none() || head.version == 1);
    };
    let same = others.iter().all(|other| other == first);
    !head.is_strange && same && *first < TOO_LONG && head.codings.is_none()
}

/// Where the message ends that begins with `head`.
fn read_body(kind: Kind, head: &Head, bytes: &[u8]) -> Reading {
    if head.is_strange && head.codings.is_some() {
        return Reading::Unknown;
    }
    if !framing_holds(head) {
        return Reading::Refused;
    }
    let response = kind == Kind::Response;
    if response && matches!(head.code, 101 | 204 | 304) {
        return Reading::Ends(head.bytes);
    }
    match (head.lengths.first(), &head.codings) {
        (Some(length), _) => match usize::try_from(*length) {
            Ok(length) if length <= bytes.len() - head.bytes => Reading::Ends(head.bytes + length),
            _ => Reading::Open,
        },
        (None, Some(_)) if is_chunked(head) => read_chunks(bytes, head.bytes),
        (None, Some(_)) if !response => Reading::Refused,
        (None, None) if !response => Reading::Ends(head.bytes),
        (None, _) => Reading::Open,
    }
}

/// Where the chunks end that begin at `at`, and the trailer behind them.
fn read_chunks(bytes: &[u8], mut at: usize) -> Reading {
    loop {
        let rest = &bytes[at..];
        let line = rest.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        // httparse takes no digits for zero and stops at sixteen of them; it minds no line feed or
        // NUL in an extension.
        let extended = line.contains(&b';') && !line.ends_with(b"\r\n");
        if digits == 0 && !rest.is_empty() {
            return Reading::Refused;
        }
        if digits > 12 || extended || line.contains(&0) {
            return Reading::Unknown;
        }
        let size = match httparse::parse_chunk_size(rest) {
            Ok(Status::Complete((used, size))) => {
                at += used;
                size as usize
            }
            Ok(Status::Partial) => return Reading::Open,
            Err(_) => return Reading::Refused,
        };
        if size == 0 {
            return read_trailer(bytes, at);
        }
        match bytes.get(at + size..) {
            None | Some([] | [b'\r']) => return Reading::Open,
            Some([b'\r', b'\n', ..]) => at += size + 2,
            Some(_) => return Reading::Refused,
        }
    }
}

fn read_trailer(bytes: &[u8], at: usize) -> Reading {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    match httparse::parse_headers(&bytes[at..], &mut fields) {
        Ok(Status::Complete((used, _))) => Reading::Ends(at + used),
        Ok(Status::Partial) => Reading::Open,
        Err(why) if may_differ(why, bytes) => Reading::Unknown,
        Err(_) => Reading::Refused,
    }
}
