//! Our client, served by nginx over the kernel's TCP: it asks as often as told, gets every answer,
//! and each side sends everything once.

use dperf_tests::kernel::{Counters, RESETS};
use dperf_tests::namespace::alone;

use crate::net::{Checksums, Net, Nginx, seconds};

/// One run against nginx.
struct Load {
    checksums: Checksums,
    /// Of the client's configuration.
    words: &'static str,
    /// At least this many answers a second; where answers are waited for, half of what is asked.
    answers: u64,
}

fn run(test: &str, loads: &[Load]) {
    let Some(_alone) = alone(test, &["nginx", "ss"]) else { return };
    for load in loads {
        let net = Net::new(load.checksums);
        let nginx = Nginx::start(&net.there, &net.folder);
        let before = Counters::of(&net.there);
        let outcome = net.client(seconds(), load.words).end(seconds());
        net.assert_clean(&outcome, &[], &before, RESETS);
        let (opened, answers) = (outcome.count("skOpen"), outcome.count("http2XX"));
        println!("nginx, {:?}: {opened} connections, {answers} answers", load.words);
        assert!(answers >= load.answers * seconds(), "{}: {answers}", load.words);
        assert_eq!(outcome.count("httpGet"), answers);
        assert_eq!(outcome.count("skClose"), opened);
        let accepted = Counters::of(&net.there).since(&before).get("TcpPassiveOpens");
        assert_eq!(accepted, opened as i64);
        nginx.stop(&net.folder);
    }
}

#[test]
fn nginx_answers_every_short_connection() {
    let loads = [
        Load { checksums: Checksums::Made, words: "cps 2k\nhttp_path /1k", answers: 1980 },
        Load { checksums: Checksums::Left, words: "cps 200\nhttp_path /100k", answers: 198 },
    ];
    run("nginx_answers_every_short_connection", &loads);
}

#[test]
fn nginx_answers_on_kept_connections() {
    let loads = [
        Load {
            checksums: Checksums::Left,
            words: "cps 1k\ncc 200\nkeepalive 10ms\nhttp_path /1k",
            answers: 2_000,
        },
        Load {
            checksums: Checksums::Made,
            words: "cps 100\ncc 20\nkeepalive 50ms\nhttp_path /100k",
            answers: 200,
        },
    ];
    run("nginx_answers_on_kept_connections", &loads);
}

/// The kernel remembers a closed connection for a minute; one that comes again meanwhile must look
/// like a new one.
#[test]
fn nginx_takes_a_port_that_comes_again() {
    let words = "cps 2k\nhttp_path /1k\nclient_port_range 20000 20999";
    let loads = [Load { checksums: Checksums::Made, words, answers: 1980 }];
    run("nginx_takes_a_port_that_comes_again", &loads);
}
