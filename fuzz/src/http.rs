//! The HTTP scanner: however a stream is cut into pieces, the same messages end at the same bytes.

use dperf_core::http::{Event, Kind, Memo, Outcome, Scanner};

/// The first byte says whose stream it is, the second how it is cut; the rest is the stream.
pub fn holds(data: &[u8]) {
    let [kind, cut, stream @ ..] = data else { return };
    let kind = if kind % 2 == 0 { Kind::Request } else { Kind::Response };
    let whole = follow(stream, stream.len(), |scanner, piece| scanner.scan(kind, piece));
    let pieces = follow(stream, usize::from(*cut), |scanner, piece| scanner.scan(kind, piece));
    assert_eq!(whole, pieces, "the cuts made a difference");
    let mut memo = Memo::new();
    let recalled = follow(stream, usize::from(*cut), |scanner, piece| {
        scanner.scan_with(&mut memo, kind, piece)
    });
    assert_eq!(pieces, recalled, "the memory made a difference");
}

/// Where messages ended, or the stream broke, and how; and what the end of the stream said.
fn follow(
    stream: &[u8],
    piece_bytes: usize,
    mut scan: impl FnMut(&mut Scanner, &[u8]) -> Outcome,
) -> Vec<(usize, Event)> {
    let mut scanner = Scanner::default();
    let mut events = Vec::new();
    let mut at = 0;
    for piece in stream.chunks(piece_bytes.max(1)) {
        let mut rest = piece;
        while !rest.is_empty() {
            let Outcome { consumed, event } = scan(&mut scanner, rest);
            assert!((1..=rest.len()).contains(&consumed), "{consumed} of {}", rest.len());
            rest = &rest[consumed..];
            at += consumed;
            match event {
                Event::More => assert!(rest.is_empty(), "it stopped too early"),
                Event::Complete(_) => {
                    assert!(scanner.is_idle());
                    events.push((at, event));
                }
                Event::Broken(_) => {
                    let again = scan(&mut scanner, b"GET / HTTP/1.1\r\n\r\n").event;
                    assert_eq!(again, event, "a broken stream stays broken");
                    // How far it was looked at depends on the pieces.
                    events.push((stream.len(), event));
                    return events;
                }
            }
        }
    }
    events
}
