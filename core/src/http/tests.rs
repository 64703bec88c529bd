//! What the tests share: streams cut into pieces, the story of what was found in them, and a
//! repeatable source of chance.

extern crate std;

mod chance;
mod messages;
mod rules;

use std::vec::Vec;

use super::*;

/// A small generator (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }

    fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// Everything found in a stream: the messages with the offsets of their ends, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Story {
    messages: Vec<(usize, Message)>,
    end: Event,
}

/// Follows a stream that comes in the given pieces, and then ends.
fn follow<'a>(kind: Kind, pieces: impl IntoIterator<Item = &'a [u8]>) -> Story {
    let mut scanner = Scanner::default();
    let mut memo = Memo::new();
    let mut messages = Vec::new();
    let mut offset = 0;
    for mut piece in pieces {
        while !piece.is_empty() {
            let outcome = scanner.scan_with(&mut memo, kind, piece);
            assert!(outcome.consumed > 0);
            offset += outcome.consumed;
            piece = &piece[outcome.consumed..];
            match outcome.event {
                Event::More => assert!(piece.is_empty()),
                Event::Complete(message) => {
                    assert_eq!(scanner, Scanner::default());
                    messages.push((offset, message));
                }
                broken @ Event::Broken(_) => {
                    assert!(piece.is_empty());
                    assert_eq!(scanner.scan(kind, b"GET"), Outcome { consumed: 3, event: broken });
                    assert_eq!(scanner.finish(kind), broken);
                    return Story { messages, end: broken };
                }
            }
        }
    }
    Story { messages, end: scanner.finish(kind) }
}

/// Cuts a stream at every place, into single bytes, and at random; the story is always the same.
fn story(kind: Kind, stream: &[u8]) -> Story {
    let whole = follow(kind, [stream]);
    for at in 0..=stream.len() {
        let (one, other) = stream.split_at(at);
        assert_eq!(follow(kind, [one, other]), whole, "cut at {at}");
    }
    assert_eq!(follow(kind, stream.chunks(1)), whole, "single bytes");
    let mut random = Random(stream.len() as u64 + 1);
    for _ in 0..100 {
        assert_eq!(follow(kind, random_pieces(&mut random, stream)), whole, "random pieces");
    }
    whole
}

fn random_pieces<'a>(random: &mut Random, mut stream: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let longest = 1 + random.below(40);
    while !stream.is_empty() {
        let (piece, rest) = stream.split_at((1 + random.below(longest)).min(stream.len()));
        pieces.push(piece);
        stream = rest;
    }
    pieces
}

fn response(class: u8, close: bool) -> Message {
    Message { class, method: Method::Other, close }
}

fn request(method: Method, close: bool) -> Message {
    Message { class: 0, method, close }
}

/// One message ends with the stream, or with its last byte.
fn assert_whole(kind: Kind, stream: &str, message: Message) {
    let story = story(kind, stream.as_bytes());
    let found = match story.end {
        Event::Complete(last) => (story.messages.is_empty(), last),
        _ => (story.messages == [(stream.len(), message)], message),
    };
    assert_eq!(found, (true, message), "{stream:?}: {story:?}");
}

fn assert_broken(kind: Kind, stream: &str, fault: Fault) {
    let story = story(kind, stream.as_bytes());
    let expected = Story { messages: Vec::new(), end: Event::Broken(fault) };
    assert_eq!(story, expected, "{stream:?}");
}
