//! llhttp's own cases of requests and responses, put to our scanner: it finds the ends of the same
//! messages at the same bytes, of the same kind, and refuses what llhttp refuses.
//!
//! The cases are Markdown: a heading, the kind of stream in a comment, the stream, and the log of
//! what llhttp reports. `DPERF_LLHTTP` names the folder that holds `request/` and `response/`.

use std::fs;
use std::path::Path;

use dperf_core::http::{Event, Kind, Message, Method, Scanner};
use dperf_tests::judge::{Judge, folder};

use crate::escape::unescape;

/// What we say otherwise, and why.
const EXPECTED: &str = include_str!("../../data/judges/llhttp.txt");

/// One case.
#[derive(Default)]
struct Case {
    name: String,
    kind: String,
    skip_body: bool,
    stream: Vec<u8>,
    log: Vec<String>,
}

/// What was found in a stream: where messages ended and what they were, and whether it broke.
#[derive(Debug, PartialEq, Eq)]
struct Story {
    messages: Vec<(usize, Sort)>,
    broke: bool,
}

/// A response by its class, or a request by its method.
#[derive(Debug, PartialEq, Eq)]
enum Sort {
    Class(u8),
    Method(Method),
}

/// The place of a message that ended with its connection.
const END: usize = usize::MAX;

#[test]
fn llhttp_finds_no_fault() {
    let Some(folder) = folder("llhttp", "DPERF_LLHTTP") else { return };
    let mut judge = Judge::new("llhttp", EXPECTED);
    for side in ["request", "response"] {
        let entries = fs::read_dir(folder.join(side)).expect("DPERF_LLHTTP holds request/");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        for case in files.iter().flat_map(|file| cases(file, side)) {
            put(&mut judge, &case);
        }
    }
    judge.finish();
}

fn put(judge: &mut Judge<'_>, case: &Case) {
    let (kind, ends) = match &case.kind[..] {
        "request" => (Kind::Request, false),
        "request-finish" => (Kind::Request, true),
        "response" => (Kind::Response, false),
        "response-finish" => (Kind::Response, true),
        _ => return judge.skip("of leniencies that we do not have"),
    };
    if case.skip_body {
        return judge.skip("of answers whose body the caller knows to be none");
    }
    let (theirs, end) = told(&case.log, kind);
    let stream = &case.stream[..end.unwrap_or(case.stream.len())];
    let whole = follow(kind, [stream].into_iter(), ends);
    let bytes = follow(kind, stream.chunks(1), ends);
    let verdict = if whole == theirs && bytes == theirs {
        Ok(())
    } else {
        Err(format!("we: {whole:?}, by bytes: {bytes:?}\n  they: {theirs:?}"))
    };
    judge.case(&case.name, verdict);
}

/// The cases of one file.
fn cases(file: &Path, side: &str) -> Vec<Case> {
    let text = fs::read_to_string(file).expect("a file of cases");
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut cases: Vec<Case> = Vec::new();
    let (mut heading, mut meta) = ("", serde_json::Value::Null);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            heading = line.trim_start_matches('#').trim();
        } else if let Some(json) = line.strip_prefix("<!-- meta=") {
            meta = serde_json::from_str(json.trim_end_matches("-->")).expect("JSON");
        } else if line == "```http" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            cases.push(Case {
                name: format!("{side}/{name}: {heading}"),
                kind: meta["type"].as_str().unwrap_or_default().to_owned(),
                skip_body: meta["skipBody"] == true,
                stream: stream(&block.join("\n")),
                log: Vec::new(),
            });
        } else if line == "```log" {
            let block = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned);
            cases.last_mut().expect("a stream before its log").log = block.collect();
        }
    }
    cases
}

/// The stream that is meant: a line ends with CRLF, unless a backslash takes its end away.
fn stream(text: &str) -> Vec<u8> {
    unescape(&text.replace("\\\n", "").replace('\n', "\r\n"))
}

/// What llhttp's log tells, and where the stream ceases to be HTTP.
fn told(log: &[String], kind: Kind) -> (Story, Option<usize>) {
    let mut story = Story { messages: Vec::new(), broke: false };
    let mut shape = 0;
    for line in log {
        let at = line.strip_prefix("off=").and_then(|rest| rest.split(' ').next());
        let at = at.and_then(|number| number.parse().ok());
        if let Some((_, rest)) = line.split_once("headers complete ") {
            let number = rest.split(['=', ' ']).nth(1).and_then(|number| number.parse().ok());
            shape = number.expect("a method or a status");
        } else if line.ends_with("message complete") {
            // We say nothing of an interim response (RFC 9110, section 15.2).
            let interim = kind == Kind::Response && shape / 100 == 1 && shape != 101;
            story.messages.extend((!interim).then(|| (at.unwrap_or(END), sort(kind, shape))));
        } else if line.contains("error code=22 ") || line.contains("error code=23 ") {
            return (story, at);
        } else if line.contains("error code=") || line.ends_with("finish=2") {
            story.broke = true;
        } else if line.ends_with("finish=1") {
            story.messages.push((END, sort(kind, shape)));
        }
    }
    (story, None)
}

/// The class of a status, or a method as we know methods.
fn sort(kind: Kind, number: u32) -> Sort {
    match (kind, number) {
        (Kind::Response, status) => Sort::Class((status / 100) as u8),
        (_, 1) => Sort::Method(Method::Get),
        (_, 2) => Sort::Method(Method::Head),
        (_, 3) => Sort::Method(Method::Post),
        _ => Sort::Method(Method::Other),
    }
}

/// What we find in a stream that comes in pieces. Behind a message after which none may follow,
/// anything but empty lines is a fault of the peer's.
fn follow<'a>(kind: Kind, pieces: impl Iterator<Item = &'a [u8]>, ends: bool) -> Story {
    let mut scanner = Scanner::default();
    let mut story = Story { messages: Vec::new(), broke: false };
    let (mut at, mut closed) = (0, false);
    for mut piece in pieces {
        while !piece.is_empty() && !story.broke {
            if closed {
                story.broke = !matches!(piece[0], b'\r' | b'\n');
                piece = &piece[1..];
                continue;
            }
            let outcome = scanner.scan(kind, piece);
            at += outcome.consumed;
            piece = &piece[outcome.consumed..];
            match outcome.event {
                Event::More => {}
                Event::Complete(message) => {
                    story.messages.push((at, sort_of(kind, message)));
                    closed = message.close;
                }
                Event::Broken(_) => story.broke = true,
            }
        }
    }
    match if ends { scanner.finish(kind) } else { Event::More } {
        Event::Complete(message) => story.messages.push((END, sort_of(kind, message))),
        Event::Broken(_) => story.broke = true,
        Event::More => {}
    }
    story
}

fn sort_of(kind: Kind, message: Message) -> Sort {
    match kind {
        Kind::Response => Sort::Class(message.class),
        Kind::Request => Sort::Method(message.method),
    }
}
