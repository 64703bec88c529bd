//! dperf's block of counters, to the column: scripts scrape it.

use dperf_tests::process::Folder;

use crate::in_turn;
use crate::run::{code, pair, run};

/// Replaces every number by `#` and as many spaces as keep the columns.
fn masked(line: &str) -> String {
    let mut text = String::new();
    let mut words = line.char_indices().peekable();
    let mut boundary = true;
    while let Some((at, letter)) = words.next() {
        if boundary && letter.is_ascii_digit() {
            let rest = &line[at..];
            let len = rest.find(' ').unwrap_or(rest.len());
            text.push('#');
            text.extend(std::iter::repeat_n(' ', len - 1));
            (1..len).for_each(|_| {
                words.next();
            });
            boundary = false;
        } else {
            text.push(letter);
            boundary = letter == ' ';
        }
    }
    text.trim_end().to_string()
}

/// The first block of `role`, with the blank lines around it.
fn block(out: &str, role: &str) -> Vec<String> {
    let lines: Vec<&str> = out.lines().collect();
    let begins = |line: &&str| line.starts_with("seconds ") && line.trim_end().ends_with(role);
    let first = lines.iter().position(begins).unwrap_or_else(|| panic!("no block in\n{out}"));
    let last = first + lines[first..].iter().position(|line| line.is_empty()).expect("its end");
    lines[first - 1..last + 2].iter().map(|line| masked(line)).collect()
}

/// A client's block, numbers masked.
const SHORT: &str = include_str!("../../data/block.txt");

#[test]
fn the_block_keeps_its_columns() {
    let _turn = in_turn();
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 2s", "", "cps 12345");
    let ended = run(&["run", &server, &client, "--target", "90"]);
    assert_eq!(code(&ended), Some(0), "{}{}", ended.out, ended.err);
    assert_eq!(block(&ended.out, "client").join("\n"), SHORT);
    // Only a client that keeps no connection times its handshakes for all to see.
    let server = block(&ended.out, "server").join("\n");
    let expected = SHORT.replace("   client", "   server");
    assert_eq!(server, expected.replace("                  rtt(us) #", ""));
    assert!(ended.out.contains("\nskOpen  1"), "{}", ended.out);
}

#[test]
fn messages_without_a_form_have_their_own_row() {
    let _turn = in_turn();
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 1s", "", "cps 1k").map(|file| {
        let text = std::fs::read_to_string(&file).expect("just written");
        let text = text.replacen("protocol http\n", "protocol tcp\npayload_size 1\n", 1);
        std::fs::write(&file, text).expect("a file");
        file
    });
    let ended = run(&["run", &server, &client, "--target", "90"]);
    assert_eq!(code(&ended), Some(0), "{}{}", ended.out, ended.err);
    for role in ["client", "server"] {
        let block = block(&ended.out, role);
        assert_eq!(block[10], "tcpReq  #                  tcpRsp   #", "{block:?}");
    }
}
