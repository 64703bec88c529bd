//! Every rule with what keeps it and what breaks it, however the stream is cut.

use std::format;
use std::string::String;
use std::vec;

use super::*;

#[test]
fn status_lines() {
    for (line, class, close) in [
        ("HTTP/1.1 200 OK", 2, false),
        ("HTTP/1.1 200 ", 2, false),
        ("HTTP/1.1 200", 2, false),
        ("HTTP/1.9 200 all is well", 2, false),
        ("HTTP/1.0 200 OK", 2, true),
        ("HTTP/1.1 301 \u{e9}t\u{e9}", 3, false),
        ("HTTP/1.1 404 Not\tFound", 4, false),
        ("HTTP/1.1 503 No", 5, false),
        ("HTTP/1.1 999 Odd", 5, false),
        ("HTTP/1.1 000 Odd", 5, false),
    ] {
        let stream = format!("{line}\r\nContent-Length: 3\r\n\r\nabc");
        assert_whole(Kind::Response, &stream, response(class, close));
        assert_whole(Kind::Response, &stream.replace("\r\n", "\n"), response(class, close));
    }
    for (line, fault) in [
        ("HTTP/2.0 200 OK", Fault::Version),
        ("HTTP/1 200 OK", Fault::Version),
        ("HTTP/1.x 200 OK", Fault::Version),
        ("http/1.1 200 OK", Fault::Version),
        ("HTTP/1.12 200 OK", Fault::StartLine),
        ("HTTP/1.1  200 OK", Fault::StartLine),
        ("HTTP/1.1\t200 OK", Fault::StartLine),
        ("HTTP/1.1 20 OK", Fault::StartLine),
        ("HTTP/1.1 2000 OK", Fault::StartLine),
        ("HTTP/1.1 +20 OK", Fault::StartLine),
        ("HTTP/1.1 200 O\rK", Fault::BareCr),
        ("HTTP/1.1 200 O\0K", Fault::Nul),
        ("", Fault::Version),
    ] {
        assert_broken(Kind::Response, &format!("{line}\r\n\r\n"), fault);
    }
}

#[test]
fn request_lines() {
    for (line, method, close) in [
        ("GET / HTTP/1.1", Method::Get, false),
        ("\r\n\n\r\nGET / HTTP/1.1", Method::Get, false),
        ("GET /?a=b&c=%20 HTTP/1.0", Method::Get, true),
        ("POST /long/path/with/many/parts HTTP/1.1", Method::Post, false),
        ("HEAD * HTTP/1.1", Method::Head, false),
        ("GETS / HTTP/1.1", Method::Other, false),
        ("GE / HTTP/1.1", Method::Other, false),
        ("get / HTTP/1.1", Method::Other, false),
        ("M-SEARCH * HTTP/1.1", Method::Other, false),
    ] {
        let stream = format!("{line}\r\nHost: a\r\n\r\n");
        assert_whole(Kind::Request, &stream, request(method, close));
        assert_whole(Kind::Request, &stream.replace("\r\n", "\n"), request(method, close));
    }
    for (line, fault) in [
        ("GET /", Fault::StartLine),
        ("GET", Fault::StartLine),
        (" GET / HTTP/1.1", Fault::StartLine),
        ("GET  / HTTP/1.1", Fault::StartLine),
        ("GET /\0 HTTP/1.1", Fault::StartLine),
        ("GET / HTTP/1.1 ", Fault::StartLine),
        ("GET / HTTP/1.11", Fault::StartLine),
        ("GET / FTP/1.1", Fault::Version),
        ("GET / HTTP/2.0", Fault::Version),
        ("GET /\tHTTP/1.1", Fault::StartLine),
        ("G:T / HTTP/1.1", Fault::StartLine),
        ("GET / HTTP/1.1\rHost", Fault::BareCr),
        ("\rGET / HTTP/1.1", Fault::BareCr),
    ] {
        assert_broken(Kind::Request, &format!("{line}\r\n\r\n"), fault);
    }
}

#[test]
fn header_lines() {
    for field in [
        "A:",
        "A: \t ",
        "Content-Lengths: x",
        "Content-Lengt: x",
        "X-Content-Length: x",
        "Connection2: close",
        "C: close",
        "!#$%&'*+-.^_`|~09azAZ: any \u{e9} value: with; \"all\" \t kinds",
        "Server: \u{1}\u{b}\u{7f} odd but harmless",
    ] {
        let head = format!("GET / HTTP/1.1\r\n{field}\r\n\r\n");
        assert_whole(Kind::Request, &head, request(Method::Get, false));
    }
    for (field, fault) in [
        (" folded: at once", Fault::Fold),
        ("A: b\r\n folded", Fault::Fold),
        ("A: b\r\n\tfolded", Fault::Fold),
        ("Content-Length: 3\r\n\t4", Fault::Fold),
        ("A : b", Fault::Field),
        ("A\t: b", Fault::Field),
        ("A", Fault::Field),
        (": b", Fault::Field),
        ("A(: b", Fault::Field),
        ("\u{e9}: b", Fault::Field),
        ("A\0: b", Fault::Nul),
        ("A: \0", Fault::Nul),
        ("Connection: clo\0se", Fault::Nul),
        ("Connection: \0", Fault::Nul),
        ("Content-Length: 1\0", Fault::Nul),
        ("A: b\rc", Fault::BareCr),
        ("A: b\r\r", Fault::BareCr),
        ("Connection: close\rc", Fault::BareCr),
        ("Content-Length: 3\rc", Fault::BareCr),
        ("A: b\r\n\rc", Fault::BareCr),
    ] {
        assert_broken(Kind::Request, &format!("GET / HTTP/1.1\r\n{field}\r\n\r\n"), fault);
    }
}

#[test]
fn lengths() {
    for field in [
        "Content-Length: 12",
        "content-length:12",
        "CONTENT-LENGTH: \t 12 \t ",
        "Content-Length:         12",
        "Content-Length: 000000000000000000000000000000000012",
        "Content-Length: 12\r\nContent-Length: 12",
        "Content-Length: 12\r\nContent-Length: 0012",
        "Content-Length: 12, 12 ,012",
    ] {
        let stream = format!("HTTP/1.1 200 OK\r\n{field}\r\nA: b\r\n\r\nhello dperf!");
        assert_whole(Kind::Response, &stream, response(2, false));
    }
    for field in ["Content-Length: 0", "Content-Length: 00, 0\r\nContent-Length: 000"] {
        let stream = format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n");
        assert_whole(Kind::Response, &stream, response(2, false));
    }
    for value in [
        "",
        " ",
        "x",
        "-1",
        "+1",
        "1x",
        "0x10",
        "1 2",
        "1,",
        ",1",
        "1,,1",
        "1, 2",
        "12, 1",
        "1, 12",
        "12, 21",
        "0, 1",
        "1, 0",
        "12, 120",
        "\"1\"",
        "281474976710656",
        "18446744073709551617",
    ] {
        let stream = format!("HTTP/1.1 200 OK\r\nContent-Length:{value}\r\n\r\n");
        assert_broken(Kind::Response, &stream, Fault::Length);
        let again = value.replace(',', "\r\nContent-Length:");
        let stream = format!("POST / HTTP/1.1\r\nContent-Length:{again}\r\n\r\n");
        assert_broken(Kind::Request, &stream, Fault::Length);
    }
    let longest = "HTTP/1.1 200 OK\r\nContent-Length: 281474976710655, 281474976710655\r\n\r\n";
    assert_broken(Kind::Response, longest, Fault::Truncated);
}

#[test]
fn codings() {
    for value in [
        "chunked",
        "Chunked",
        " \tCHUNKED \t",
        "gzip, chunked",
        "gzip,chunked,",
        ",, gzip;q=1 , chunked , ,",
        "gzip\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding:",
    ] {
        let stream =
            format!("POST / HTTP/1.1\r\nTransfer-Encoding:{value}\r\n\r\n1\r\na\r\n0\r\n\r\n");
        assert_whole(Kind::Request, &stream, request(Method::Post, false));
    }
    for value in [
        "",
        "gzip",
        "chunked, gzip",
        "chunkedx",
        "xchunked",
        "chunke",
        "chunked;a=b",
        "chunked a",
        "chunked ;",
        "chunked\r\nTransfer-Encoding: gzip",
        "identity",
        "\u{e9}",
        "(chunked)",
    ] {
        let stream = format!("POST / HTTP/1.1\r\nTransfer-Encoding: {value}\r\n\r\n");
        assert_broken(Kind::Request, &stream, Fault::Framing);
        let stream = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {value}\r\n\r\n1\r\na\r\n0");
        assert_whole(Kind::Response, &stream, response(2, true));
    }
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Transfer-Encoding: gzip\r\nContent-Length: 3",
        "Transfer-Encoding:\r\nA: b\r\nContent-Length: 3",
        "Transfer-Encoding: a;b=\"c, chunked",
    ] {
        let stream = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        assert_broken(Kind::Response, &stream, Fault::Framing);
    }
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_broken(Kind::Response, old, Fault::Framing);
}

#[test]
fn chunks() {
    for body in [
        "0\r\n\r\n",
        "000000000000000000000\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        "3\r\n\r\n\r\r\n0\r\n\r\n",
        "a\r\n0123456789\r\nA\r\n0123456789\r\n1f\r\n0123456789012345678901234567890\r\n0\r\n\r\n",
        "1;a\r\na\r\n1 ; a = \"b;c\" \r\na\r\n1\t\r\na\r\n0;last\r\n\r\n",
        "1\r\na\r\n0\r\nTrailer: b\r\nContent-Length: 7\r\nTransfer-Encoding: x\r\n\r\n",
        "1\r\na\r\n0\r\nConnection: close\r\nC: d\n\n",
    ] {
        let stream = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_whole(Kind::Response, &stream, response(2, false));
    }
    for (body, fault) in [
        ("\r\n", Fault::Chunk),
        ("g\r\n", Fault::Chunk),
        (" 1\r\n", Fault::Chunk),
        (";a\r\n", Fault::Chunk),
        ("1 a\r\n", Fault::Chunk),
        ("-1\r\n", Fault::Chunk),
        ("0x1\r\n", Fault::Chunk),
        ("1\na\r\n", Fault::Chunk),
        ("1;a\na\r\n", Fault::Chunk),
        ("1;a\0\r\n", Fault::Chunk),
        ("1\r\rn", Fault::Chunk),
        ("1\r\nab\r\n", Fault::Chunk),
        ("1\r\na\n0\r\n\r\n", Fault::Chunk),
        ("1\r\na\r0\r\n\r\n", Fault::Chunk),
        ("1000000000000\r\n", Fault::Chunk),
        ("ffffffffffffffffffff\r\n", Fault::Chunk),
        ("ffffffffffff\r\n", Fault::Truncated),
        ("3\r\nab", Fault::Truncated),
        ("0\r\n", Fault::Truncated),
        ("0\r\n folded\r\n\r\n", Fault::Fold),
        ("0\r\nno colon\r\n\r\n", Fault::Field),
        ("0\r\nA: \0\r\n\r\n", Fault::Nul),
    ] {
        let stream = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_broken(Kind::Response, &stream, fault);
    }
}

#[test]
fn connection_options() {
    for (version, fields, close) in [
        ("1.1", "Connection: close", true),
        ("1.1", "CONNECTION:CLOSE", true),
        ("1.1", "Connection: upgrade , Close\t", true),
        ("1.1", "Connection: close, keep-alive", true),
        ("1.1", "Connection: keep-alive\r\nConnection: close", true),
        ("1.1", "Connection: keep-alive", false),
        ("1.1", "Connection: close2, xclose, clos, clo se, close close, \"close\", close;", false),
        ("1.1", "Connection:\r\nConnection: ,, ,", false),
        ("1.1", "Proxy-Connection: close", false),
        ("1.0", "Connection: Keep-Alive", false),
        ("1.0", "Connection: upgrade,KEEP-ALIVE,", false),
        ("1.0", "Connection: keep-alive, close", true),
        ("1.0", "Connection: keep alive", true),
    ] {
        let stream = format!("GET / HTTP/{version}\r\n{fields}\r\n\r\n");
        assert_whole(Kind::Request, &stream, request(Method::Get, close));
        let stream = format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{fields}\r\n\r\n");
        assert_whole(Kind::Response, &stream, response(2, close));
    }
}

#[test]
fn bodies() {
    let until_close = "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_whole(Kind::Response, until_close, response(2, true));
    for (code, class, close) in [(204, 2, false), (304, 3, false), (101, 1, true)] {
        for field in ["A: b", "Content-Length: 7", "Transfer-Encoding: chunked"] {
            let stream = format!("HTTP/1.1 {code} X\r\n{field}\r\n\r\n");
            assert_whole(Kind::Response, &stream, response(class, close));
        }
    }
    let interim = "HTTP/1.1 100 Continue\r\nConnection: close\r\nContent-Length: 5\r\n\r\n\
                   HTTP/1.0 103 Early\n\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!";
    assert_whole(Kind::Response, interim, response(2, false));
    assert_eq!(story(Kind::Response, b"HTTP/1.1 100 Go on\r\n\r\n").end, Event::More);
    assert_eq!(story(Kind::Response, b"").end, Event::More);
    assert_broken(Kind::Request, "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n1", Fault::Truncated);
}

#[test]
fn pipelining() {
    let parts = [
        ("GET / HTTP/1.1\r\n\r\n", request(Method::Get, false)),
        (
            "POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\n",
            request(Method::Post, false),
        ),
        (
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\r\n\r\n0\r\n\r\n",
            request(Method::Other, false),
        ),
        ("\r\nGET / HTTP/1.0\r\nConnection: close\r\n\r\n", request(Method::Get, true)),
    ];
    let stream: String = parts.iter().map(|(text, _)| *text).collect();
    let mut end = 0;
    let expected = parts.map(|(text, message)| {
        end += text.len();
        (end, message)
    });
    let story = story(Kind::Request, stream.as_bytes());
    assert_eq!((story.messages.as_slice(), story.end), (expected.as_slice(), Event::More));
}

#[test]
fn a_body_is_passed_over_at_once() {
    let mut scanner = Scanner::default();
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 281474976710655\r\n\r\n";
    assert_eq!(scanner.scan(Kind::Response, head).event, Event::More);
    let piece = vec![b'a'; 1 << 20];
    for _ in 0..1000 {
        let outcome = scanner.scan(Kind::Response, &piece);
        assert_eq!(outcome, Outcome { consumed: 1 << 20, event: Event::More });
    }
    assert!(!scanner.is_idle());
    assert_eq!(scanner.finish(Kind::Response), Event::Broken(Fault::Truncated));
}
