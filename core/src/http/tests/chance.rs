//! Chance: random bytes never break the scanner, and on random messages it agrees with an
//! independent parser and an independent reading of the fields.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::wire::checksum::sum;

/// Pieces of messages, and what spoils them.
const SCRAPS: [&str; 30] = [
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 304 \n",
    "HTTP/1.1 100 Go on\r\n\r\n",
    "GET / HTTP/1.1\r\n",
    "POST / HTTP/1.0\r\n",
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ",",
    "0",
    "1",
    "a",
    "Content-Length",
    "Content-Length: 5\r\n",
    "Transfer-Encoding",
    "Transfer-Encoding: chunked\r\n",
    "Connection",
    "Connection: close\r\n",
    "keep-alive",
    "close",
    "chunked",
    "gzip",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "ffffffffffff",
    "\u{e9}",
];

#[test]
fn random_streams_are_survived_and_cuts_do_not_matter() {
    let mut random = Random(0x5eed);
    for round in 0..20_000 {
        let mut stream = Vec::new();
        for _ in 0..random.below(30) {
            if round % 4 == 0 {
                stream.push(random.next() as u8);
            } else {
                stream.extend_from_slice(random.pick(&SCRAPS).as_bytes());
            }
        }
        for kind in [Kind::Request, Kind::Response] {
            let whole = follow(kind, [stream.as_slice()]);
            let pieces = random_pieces(&mut random, &stream);
            assert_eq!(follow(kind, pieces), whole, "{}", stream.escape_ascii());
            assert_eq!(follow(kind, stream.chunks(1)), whole, "{}", stream.escape_ascii());
        }
    }
}

/// A header section with what an independent reading makes of its fields.
struct Sample {
    head: String,
    body_bytes: usize,
    close: bool,
}

fn random_text(random: &mut Random, alphabet: &str, most: usize) -> String {
    let letters: Vec<char> = alphabet.chars().collect();
    (0..random.below(most)).map(|_| letters[random.below(letters.len())]).collect()
}

fn random_case(random: &mut Random, text: &str) -> String {
    let turn = |letter: char| match random.below(2) {
        0 => letter.to_ascii_uppercase(),
        _ => letter.to_ascii_lowercase(),
    };
    text.chars().map(turn).collect()
}

fn random_response(random: &mut Random) -> Sample {
    let version = random.below(2);
    let code = random.pick(&["200", "206", "301", "404", "500", "503"]);
    let reason = random.pick(&["OK", "", "Not Found", "a\tb c"]);
    let mut options = Vec::new();
    let mut lines = Vec::new();
    for _ in 0..random.below(6) {
        let name = random_text(random, "cCtTonNECTent-Lgh!#$%&'*+.^_`|~019", 20);
        let value = random_text(random, "close, keep-alive;:=\"()<>@\\/?[]{}\t \u{e9}", 40);
        lines.push(format!("X{name}:{value}"));
    }
    for _ in 0..random.below(3) {
        let option = random.pick(&["close", "keep-alive", "upgrade", "closed"]);
        options.push(option);
        let blank = random.pick(&["", " ", " \t "]);
        let before = random.pick(&["", "te,", " , x-y ,\t"]);
        let name = random_case(random, "Connection");
        let value = random_case(random, option);
        lines.insert(random.below(lines.len() + 1), format!("{name}:{before}{value}{blank}"));
    }
    let body_bytes = random.below(2000);
    let name = random_case(random, "Content-Length");
    let line = format!("{name}:{body_bytes:>0$}", random.below(12));
    lines.insert(random.below(lines.len() + 1), line);
    let mut head = format!("HTTP/1.{version} {code} {reason}\r\n");
    for line in lines {
        head.push_str(&line);
        head.push_str(random.pick(&["\r\n", "\r\n", "\n"]));
    }
    head.push_str("\r\n");
    let kept = version == 1 || options.contains(&"keep-alive");
    Sample { head, body_bytes, close: options.contains(&"close") || !kept }
}

#[test]
fn agrees_with_an_independent_parser() {
    let mut random = Random(0xd1ff);
    for _ in 0..10_000 {
        let sample = random_response(&mut random);
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Response::new(&mut fields);
        let status = parsed.parse(sample.head.as_bytes());
        assert_eq!(status, Ok(httparse::Status::Complete(sample.head.len())), "{:?}", sample.head);
        let lengths =
            parsed.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("content-length"));
        for field in lengths {
            let value = std::str::from_utf8(field.value).unwrap().trim();
            assert_eq!(value.parse(), Ok(sample.body_bytes));
        }
        let mut stream = sample.head.as_bytes().to_vec();
        stream.resize(stream.len() + sample.body_bytes, b'\r');
        let class = (parsed.code.unwrap() / 100) as u8;
        let expected = Story {
            messages: std::vec![(stream.len(), response(class, sample.close))],
            end: Event::More,
        };
        assert_eq!(follow(Kind::Response, [stream.as_slice()]), expected);
        assert_eq!(follow(Kind::Response, random_pieces(&mut random, &stream)), expected);
    }
}

/// One byte of a good header is replaced; the two parsers accept and refuse the same results, as
/// far as both know the rule.
#[test]
fn refuses_what_an_independent_parser_refuses() {
    let mut random = Random(0xbad);
    for _ in 0..20_000 {
        let mut head = random_response(&mut random).head.into_bytes();
        let at = random.below(head.len());
        head[at] = *b" \t:\r\n,;aZ0(\0/\x80".get(random.below(14)).unwrap();
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let theirs = httparse::Response::new(&mut fields).parse(&head);
        let ours = Scanner::default().scan(Kind::Response, &head).event;
        let accepted = match ours {
            // Its parser does not look into these.
            Event::Broken(Fault::Length | Fault::Framing) => continue,
            Event::Broken(_) => false,
            Event::Complete(_) | Event::More => true,
        };
        assert_eq!(accepted, theirs.is_ok(), "{ours:?} {theirs:?} {}", head.escape_ascii());
    }
}

/// What was known when a burst was looked at is not taken for another that came within it.
#[test]
fn what_is_known_has_a_number_and_a_sum() {
    let mut memo = Memo::new();
    assert_eq!(memo.numbered(0), None);
    let message = |status: u16| format!("HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n");
    let mut before = None;
    for turn in 0..600 {
        let text = message(200 + turn);
        assert!(memo.recall(Kind::Response, text.as_bytes()).is_none());
        let Event::Complete(read) =
            Scanner::default().scan_with(&mut memo, Kind::Response, text.as_bytes()).event
        else {
            panic!("{text} is whole");
        };
        let known = memo.recall(Kind::Response, text.as_bytes()).expect("it was remembered");
        assert!(memo.recall(Kind::Request, text.as_bytes()).is_none());
        assert_eq!((known.sum, known.number > 0), (sum(text.as_bytes()), true));
        assert_eq!(memo.numbered(known.number), Some(read));
        if let Some(before) = before.replace(known.number) {
            assert_eq!(memo.numbered(before), None, "another came since");
        }
    }
}

#[test]
fn a_memo_never_changes_the_outcome() {
    let mut random = Random(0x3e30);
    let mut memo = Memo::new();
    let mut samples: Vec<Vec<u8>> =
        (0..4).map(|_| random_response(&mut random).head.into_bytes()).collect();
    samples.push(b"HTTP/1.1 204 None\r\n\r\n".to_vec());
    samples.push(b"HTTP/1.1 204 Nope\r\n\r\n".to_vec());
    samples.push(b"HTTP/1.0 204 Nope\r\n\r\n".to_vec());
    samples.push(b"GET / HTTP/1.1\r\n\r\n".to_vec());
    samples.push(b"GET / HTTP/1.1\r\n\r\nPUT / HTTP/1.1\r\n\r\n".to_vec());
    samples.push([b"GET / HTTP/1.1\r\nA: ".as_slice(), &[b'a'; 300], b"\r\n\r\n"].concat());
    let mut scanners = [(Scanner::default(), Scanner::default()); 2];
    for _ in 0..20_000 {
        let sample = &samples[random.below(samples.len())];
        let end = if random.below(4) == 0 { random.below(sample.len() + 1) } else { sample.len() };
        let (kind, (plain, helped)) = match random.below(2) {
            0 => (Kind::Request, &mut scanners[0]),
            _ => (Kind::Response, &mut scanners[1]),
        };
        let expected = plain.scan(kind, &sample[..end]);
        assert_eq!(helped.scan_with(&mut memo, kind, &sample[..end]), expected);
        assert_eq!(helped, plain);
        if random.below(3) == 0 || matches!(expected.event, Event::Broken(_)) {
            (*plain, *helped) = Default::default();
        }
    }
}
