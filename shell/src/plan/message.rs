//! The bytes of what we send, made once.

use dperf_core::http::{
    FILLER, Method, RESPONSE_HEADER_BYTES, RequestSpec, ResponseSpec, write_request,
    write_response, write_response_header,
};
use dperf_core::plan::Role;

use super::share::scramble;
use crate::config::{Config, ConfigError};

/// Room for the longest message that is written out in full; longer ones end in filler.
const WRITTEN_BYTES: usize = 64 << 10;

/// A message: `head`, then filler up to `total_bytes`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The bytes that are not filler.
    pub head: Vec<u8>,
    /// Length of the whole message.
    pub total_bytes: u32,
}

impl Message {
    fn whole(bytes: Vec<u8>) -> Message {
        let total_bytes = bytes.len() as u32;
        Message { head: bytes, total_bytes }
    }
}

/// The messages that `config` asks for: one for all workers, or one for each.
pub(super) fn build(config: &Config) -> Result<Vec<Message>, ConfigError> {
    if !config.payload_file.is_empty() {
        return Ok(vec![Message::whole(config.payload_file.clone())]);
    }
    config.payload_sizes.iter().map(|size| of_size(config, *size as usize)).collect()
}

fn of_size(config: &Config, size: usize) -> Result<Message, ConfigError> {
    let mut message = match config.role {
        _ if config.is_udp() => Message::whole(filler_of(size)),
        Role::Client => request(config, size)?,
        Role::Server => response(config, size)?,
    };
    if config.payload_random {
        message.head.resize(message.total_bytes as usize, FILLER);
        randomise(&mut message.head, config.seed);
    }
    Ok(message)
}

/// Letters, and a newline at the end of more than one byte.
fn filler_of(size: usize) -> Vec<u8> {
    let mut bytes = vec![FILLER; size];
    if let [_, .., last] = &mut bytes[..] {
        *last = b'\n';
    }
    bytes
}

fn request(config: &Config, size: usize) -> Result<Message, ConfigError> {
    let spec = RequestSpec {
        method: if config.http_post { Method::Post } else { Method::Get },
        path: &config.http_path,
        host: &config.http_host,
        payload_size: size,
    };
    let mut bytes = vec![0; WRITTEN_BYTES];
    let written = write_request(&mut bytes, &spec).unwrap_or(WRITTEN_BYTES);
    bytes.truncate(written);
    if spec.payload_size != 0 && written > spec.payload_size {
        let why = format!("the request with this path and host has {written} bytes already");
        return Err(config.refuse("payload_size", why, "raise it, or shorten path or host"));
    }
    Ok(Message::whole(bytes))
}

fn response(config: &Config, size: usize) -> Result<Message, ConfigError> {
    let close = config.keepalive.is_none();
    let mut bytes = vec![0; WRITTEN_BYTES];
    if let Some(written) = write_response(&mut bytes, size, close) {
        bytes.truncate(written);
        return Ok(Message::whole(bytes));
    }
    bytes.truncate(RESPONSE_HEADER_BYTES);
    ResponseSpec::of_size(size as u64, close)
        .and_then(|spec| write_response_header(&mut bytes, &spec))
        .map(|_| Message { head: bytes, total_bytes: size as u32 })
        .ok_or_else(|| config.refuse("payload_size", format!("{size} bytes are too many"), ""))
}

/// Replaces filler, but not its closing newline, by letters that depend on the seed alone.
fn randomise(message: &mut [u8], seed: u64) {
    let (start, end) = filler(message);
    let mut state = seed;
    for letter in message[start..end].iter_mut().filter(|letter| **letter == FILLER) {
        state = scramble(state, 0);
        *letter = b'a' + (state % 26) as u8;
    }
}

/// Where filler lies: behind `Pad: `, behind the header, or everywhere.
fn filler(message: &[u8]) -> (usize, usize) {
    let find = |what: &[u8]| {
        message.windows(what.len()).position(|window| window == what).map(|at| at + what.len())
    };
    match (find(b"\r\nPad: "), find(b"\r\n\r\n")) {
        (Some(pad), Some(end)) if pad < end => (pad, end - 4),
        (_, Some(body)) => (body, message.len()),
        (_, None) => (0, message.len()),
    }
}
