//! The messages we send: their bytes, their sizes, and that both parsers accept them.

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::*;

fn written(write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Vec<u8> {
    let mut buffer = vec![0; 70_000];
    let len = write(&mut buffer).unwrap();
    buffer.truncate(len);
    buffer
}

fn written_request(spec: &RequestSpec) -> Vec<u8> {
    let bytes = written(|buffer| write_request(buffer, spec));
    let mut exact = vec![0; bytes.len()];
    assert_eq!(write_request(&mut exact, spec), Some(bytes.len()));
    assert_eq!(write_request(&mut exact[1..], spec), None);
    bytes
}

/// The one message that all the bytes are.
fn only_message(kind: Kind, bytes: &[u8]) -> Message {
    match follow(kind, [bytes]).messages.as_slice() {
        [(end, message)] if *end == bytes.len() => *message,
        other => panic!("{other:?} in {}", bytes.escape_ascii()),
    }
}

#[test]
fn the_default_messages() {
    let get = written_request(&RequestSpec::default());
    let text = "GET / HTTP/1.1\r\nUser-Agent: dperf\r\nHost: dperf\r\nAccept: */*\r\n\
                Pad: aaaaaaaaaaaaaaa\r\n\r\n";
    assert_eq!((String::from_utf8(get).unwrap().as_str(), text.len()), (text, REQUEST_BYTES));

    let post = written_request(&RequestSpec { method: Method::Post, ..Default::default() });
    let text = "POST / HTTP/1.1\r\nContent-Length:   0\r\nUser-Agent: dperf\r\nHost: dperf\r\n\
                Accept: */*\r\n\r\n";
    assert_eq!((String::from_utf8(post).unwrap().as_str(), text.len()), (text, REQUEST_BYTES));

    for (close, option) in [(false, "keep-alive"), (true, "close     ")] {
        let bytes = written(|buffer| write_response(buffer, 0, close));
        let text = format!(
            "HTTP/1.1 200 OK\r\nContent-Length:         14\r\nServer: dperf\r\n\
             Connection:{option}\r\n\r\nhello dperf!\r\n"
        );
        assert_eq!(only_message(Kind::Response, &bytes), response(2, close));
        assert_eq!((String::from_utf8(bytes).unwrap(), text.len()), (text, 99));
    }
}

#[test]
fn every_request_size_is_met() {
    for method in [Method::Get, Method::Post] {
        for (path, host) in [("/", "dperf"), ("/a/longer/path?and=query", "www.example.org")] {
            let least = REQUEST_BYTES + path.len() + host.len() - 6;
            let sizes = (REQUEST_BYTES..1600).chain(10_000..10_300).chain([1 << 16]);
            for payload_size in sizes {
                let bytes = written_request(&RequestSpec { method, path, host, payload_size });
                let room = if method == Method::Get { least - 15 } else { least };
                assert_eq!(bytes.len(), payload_size.max(room), "{}", bytes.escape_ascii());
                assert_eq!(only_message(Kind::Request, &bytes), request(method, false));
                let mut fields = [httparse::EMPTY_HEADER; 8];
                let mut parsed = httparse::Request::new(&mut fields);
                assert!(parsed.parse(&bytes).unwrap().is_complete());
                assert_eq!(parsed.path, Some(path));
            }
        }
    }
}

#[test]
fn every_response_size_is_met() {
    for payload_size in (RESPONSE_HEADER_BYTES..1600).chain([10_000, 1 << 16]) {
        for close in [false, true] {
            let bytes = written(|buffer| write_response(buffer, payload_size, close));
            assert_eq!(bytes.len(), payload_size);
            assert_eq!(only_message(Kind::Response, &bytes), response(2, close));
            let mut fields = [httparse::EMPTY_HEADER; 8];
            let parsed = httparse::Response::new(&mut fields).parse(&bytes);
            assert_eq!(parsed, Ok(httparse::Status::Complete(RESPONSE_HEADER_BYTES)));
        }
    }
    for body_bytes in [0, 1, 99_999_999_999] {
        let spec = ResponseSpec { body_bytes, close: true };
        let header = written(|buffer| write_response_header(buffer, &spec));
        assert_eq!(header.len(), RESPONSE_HEADER_BYTES);
    }
    assert_eq!(write_response(&mut [0; 98], 0, false), None);
    assert_eq!(write_response(&mut [0; 999], 1000, false), None);
}

/// Cut anywhere, the parts make the header that closes; what promises nothing stays as it is.
#[test]
fn a_kept_header_can_be_made_to_close() {
    let kept = written(|buffer| write_response(buffer, 100, false));
    let closing = written(|buffer| write_response(buffer, 100, true));
    let raw = written(|buffer| write_filler(buffer, 100));
    for (message, said) in [(&kept, &closing), (&closing, &closing), (&raw, &raw)] {
        for cut in 0..=message.len() {
            let mut parts = message.clone();
            let (head, tail) = parts.split_at_mut(cut);
            say_close(message, head, 0);
            say_close(message, tail, cut);
            assert_eq!(&parts, said, "cut at {cut}");
        }
    }
}

#[test]
fn small_payloads_are_no_http() {
    for payload_size in 1..REQUEST_BYTES {
        let mut text = vec![b'a'; payload_size];
        if let [_, .., last] = text.as_mut_slice() {
            *last = b'\n';
        }
        assert_eq!(written(|buffer| write_filler(buffer, payload_size)), text);
        assert_eq!(written(|buffer| write_response(buffer, payload_size, false)), text);
        assert_eq!(written_request(&RequestSpec { payload_size, ..Default::default() }), text);
    }
}
