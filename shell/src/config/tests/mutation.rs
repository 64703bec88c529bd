//! Ten thousand damaged configurations: each is accepted, or refused with a line; none panics.

use super::{CLIENT, SERVER};
use crate::config::{Source, keyword, read};
use crate::plan::Plan;

/// A small generator of chance (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

const PIECES: &[&str] = &[
    "0",
    "1",
    "-1",
    "99999999999999999999",
    "4g",
    ".5k",
    "1.2.3",
    "0x",
    "10ms",
    "0us",
    "900s",
    "\0",
    "é",
    "#",
    "\n",
    "\r\n",
    " ",
    "\t",
    "link:b",
    "10.0.1.1",
    "10.0.2.1",
    "255.255.255.255",
    "::1",
    "mode server",
    "mode client",
    "keepalive 1ms 3",
    "cc 5",
    "payload_size 85",
    "payload_size 1g",
    "payload_random",
    "protocol http",
    "http_method POST",
    "jumbo",
    "mss 1",
    "rss",
    "cpu 0 1",
    "client_port_range 1 1",
    "listen 1 65535",
    "cps 18446744073709551615",
    "slow_start 0",
];

fn damage(bytes: &mut Vec<u8>, chance: &mut Chance) {
    let at = chance.below(bytes.len());
    match chance.below(6) {
        0 if !bytes.is_empty() => {
            let bit = 1 << chance.below(8);
            bytes[at] ^= bit;
        }
        1 if !bytes.is_empty() => {
            bytes.remove(at);
        }
        2 => {
            let end = (at + chance.below(20)).min(bytes.len());
            let piece: Vec<u8> = bytes[at..end].to_vec();
            let to = chance.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        3 => {
            let end = (at + chance.below(10)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 => {
            let examples: Vec<&str> = keyword::all().map(|keyword| keyword.example).collect();
            let line = format!("\n{}\n", examples[chance.below(examples.len())]);
            let at = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(0, |end| at + end);
            bytes.splice(at..at, line.into_bytes());
        }
        _ => {
            let piece = PIECES[chance.below(PIECES.len())];
            bytes.splice(at..at, piece.bytes());
        }
    }
}

#[test]
fn damaged_configurations_never_panic() {
    let mut chance = Chance(0x5eed_cafe);
    let mut accepted = 0;
    for round in 0..10_000 {
        let base = if round % 2 == 0 { CLIENT } else { SERVER };
        let mut bytes = base.as_bytes().to_vec();
        for _ in 0..=chance.below(3) {
            damage(&mut bytes, &mut chance);
        }
        let source = Source { name: "m.conf".to_owned(), bytes: bytes.clone() };
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
        let outcome = read(&[source]).and_then(|read| Plan::assumed(&read.config));
        match outcome {
            Ok(_) => accepted += 1,
            Err(error) => {
                assert!((1..=lines).contains(&error.place.line), "{error}");
                assert!(error.place.column >= 1 && !error.complaint.why.is_empty(), "{error}");
            }
        }
    }
    assert!((500..9_500).contains(&accepted), "{accepted} accepted");
}
