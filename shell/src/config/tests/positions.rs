//! Every refusal and every note points at the word or line concerned.

use super::{CLIENT, client, refusal, text};
use crate::config::error::LONGEST_WORD;
use crate::config::{Source, read};

fn bytes(bytes: &[u8]) -> String {
    refusal(read(&[Source { name: "b.conf".to_owned(), bytes: bytes.to_vec() }]))
}

#[test]
fn words_carry_line_and_column() {
    let table = [
        ("cps 1k x", "t.conf:1:8: cps: 'x' is one argument too many"),
        ("\n\n  \tcps\tzz", "t.conf:3:8: cps: 'zz' is not a number"),
        ("cps", "t.conf:1:1: cps: its argument is missing"),
        ("port link:a 10.0.1.1", "t.conf:1:1: port: 2 of at least 3 arguments are there"),
        ("# é\nqiet # ü", "t.conf:2:1: unknown keyword 'qiet'"),
        ("é\u{e9}é zz", "t.conf:1:1: unknown keyword 'ééé'"),
        ("http_path é", "t.conf:1:11: http_path: 'é' does not begin with a slash"),
        (
            "quiet\u{3000}x",
            "t.conf:1:1: 'quiet\u{3000}x' contains \\u{3000}, which separates no words",
        ),
        ("quiet\nquiet", "t.conf:2:1: quiet: 'quiet' is given twice"),
        ("listen 80 65457", "t.conf:1:11: listen: '65457' is more than 65456, the most possible"),
        (
            "payload_size 0 9999999999",
            "t.conf:1:16: payload_size: '9999999999' is more than 1073741824, the most possible",
        ),
    ];
    for (lines, expected) in table {
        assert_eq!(refusal(text(lines)), expected, "{lines}");
    }
}

#[test]
fn bytes_that_are_no_text_are_named() {
    assert_eq!(
        bytes(b"quiet\ncps 1\x00k"),
        "b.conf:2:6: the control byte 0x00 has no place in a configuration"
    );
    assert_eq!(
        bytes(b"\x1b[1m"),
        "b.conf:1:1: the control byte 0x1b has no place in a configuration"
    );
    assert_eq!(bytes(b"cps \xff\xfe"), "b.conf:1:5: '\\xff\\xfe' is not UTF-8 text");
    let utf16: Vec<u8> = "cps 1".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(bytes(&utf16).contains("0x00"));
}

#[test]
fn comments_are_free_and_lines_are_lenient() {
    let config = CLIENT.replace('\n', " # trailing \r\n");
    let config = format!("\u{feff}#x\n  # ünïcode\n{config}\u{b}quiet\u{c}#");
    assert!(text(&config).unwrap().config.quiet);
    let mut gbk = CLIENT.as_bytes().to_vec();
    gbk.extend_from_slice(b"# \xd6\xd0\xce\xc4\nquiet # \xd6\xd0");
    assert!(read(&[Source { name: "gbk".to_owned(), bytes: gbk }]).unwrap().config.quiet);
    let path = client("protocol http\nhttp_path /a#b").unwrap().config.http_path;
    assert_eq!(path, "/a#b");
}

#[test]
fn lines_and_lists_are_of_any_length() {
    let cores: Vec<String> = (0..100).map(|core| core.to_string()).collect();
    let ports = "rss\n";
    let config = CLIENT.replace("cpu 0", &format!("cpu {}", cores.join(" ")));
    assert_eq!(text(&format!("{config}{ports}")).unwrap().config.cpus.len(), 100);
    let long = format!("quiet #{}", "x".repeat(5000));
    assert!(client(&long).unwrap().config.quiet);
}

#[test]
fn a_word_without_end_is_cut_where_it_is_told() {
    let long = "x".repeat(10_000);
    for (line, place) in
        [(long.clone(), "t.conf:1:1: "), (format!("cps {long}"), "t.conf:1:5: cps: ")]
    {
        let said = text(&line).unwrap_err().to_string();
        let cut = format!("'{}...' (10000 characters)", "x".repeat(LONGEST_WORD - 1));
        assert!(said.starts_with(place) && said.contains(&cut) && said.len() < 500, "{said}");
    }
    let name = "y".repeat(60);
    assert!(text(&name).unwrap_err().to_string().contains(&format!("'{name}'")));
}

#[test]
fn hints_help() {
    let hint = |lines: &str| text(lines).unwrap_err().complaint.hint;
    assert_eq!(hint("duraton 5"), "did you mean 'duration'?");
    assert_eq!(hint("Mode client"), "did you mean 'mode'?");
    assert_eq!(hint("xyzzy"), "'dperf-shell keywords' lists all of them");
    assert_eq!(hint("quiet\nquiet"), "'quiet' stands at t.conf:1:1 already; keep one of them");
    assert_eq!(hint("keepalive"), "write: keepalive INTERVAL [REQUESTS]");
    let whole = text("cps 1\nslow_start 10ms").unwrap_err().to_string();
    let expected = "t.conf:2:12: slow_start: '10ms' ends with 'ms', which is not s, m (minutes), \
                    h or d\n  hint: ";
    assert!(whole.starts_with(expected), "{whole}");
}

#[test]
fn several_sources_are_one_configuration() {
    let source = |name: &str, text: &str| Source { name: name.to_owned(), bytes: text.into() };
    let more = source("more.conf", "quiet\nduration 5s\n");
    let config = read(&[source("a.conf", CLIENT), more]).unwrap().config;
    assert!(config.quiet && config.duration_s == 5);
    let again = read(&[source("a.conf", CLIENT), source("b.conf", "\n cps 5")]).unwrap_err();
    assert_eq!(again.to_string().lines().next(), Some("b.conf:2:2: cps: 'cps' is given twice"));
    let missing = read(&[source("a.conf", "quiet\n"), source("b.conf", "cps 1\n\n")]).unwrap_err();
    assert_eq!(missing.to_string().lines().next(), Some("b.conf:2:1: port: there is no port"));
    assert!(read(&[]).is_err());
}

#[test]
fn notes_point_at_their_line() {
    let notes: Vec<String> =
        client("packet_size 64\nrss l3\ntx_burst 512\nkeepalive 1ms 5\nsend_window 8")
            .unwrap()
            .notes
            .iter()
            .map(ToString::to_string)
            .collect();
    let expected = [
        "t.conf:7: packet_size is ignored, as in dperf; use payload_size",
        "t.conf:11: send_window is ignored: it is for the server",
        "t.conf:8: 'l3' of older dperf versions is ignored",
        "t.conf:8: rss is ignored: each port has one worker",
        "t.conf:9: tx_burst 512 is taken as 64: a worker writes no more at once",
        "t.conf:10: requests on each connection: 5; dperf sends 6",
    ];
    assert_eq!(notes, expected);
}
