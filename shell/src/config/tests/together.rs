//! Roles of one process are held against each other.

use super::{CLIENT, SERVER, client, refusal, server, text};
use crate::config::{Read, together};

/// What is said of a client and a server together.
fn said(client: &str, server: &str) -> Result<Vec<String>, String> {
    let mut reads: Vec<Read> =
        [server, client].map(|of_role| text(of_role).expect("a sound role")).into();
    match together(&mut reads) {
        Ok(()) => Ok(reads[1].notes.iter().map(|note| note.text.clone()).collect()),
        Err(error) => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

/// A server on a core of its own.
fn apart() -> String {
    SERVER.replace("cpu 0", "cpu 1")
}

#[test]
fn a_link_joins_a_client_and_a_server() {
    assert_eq!(said(CLIENT, &apart()), Ok(vec![]));
    let twice = said(CLIENT, CLIENT).expect_err("two clients");
    assert_eq!(twice, "t.conf:3:1: port: link:a has a client on both ends");
    let alone = said(CLIENT, &SERVER.replace("link:a", "link:b")).expect_err("two links");
    assert_eq!(alone, "t.conf:3:1: port: link:b has 1 end(s) in this process, it needs two");
}

#[test]
fn a_device_has_one_owner() {
    for device in ["0000:01:00.0", "af_packet:eth0", "net_null0"] {
        let on = |config: &str| config.replace("link:a", device);
        let why = said(&on(CLIENT), &on(&apart())).expect_err("one device");
        assert!(why.ends_with("is the other role's, at t.conf:3:1"), "{why}");
    }
    let shared = |config: &str| config.replace("link:a", "memif:/tmp/s");
    assert_eq!(said(&shared(CLIENT), &shared(&(apart() + "duration 90s\n"))), Ok(vec![]));
}

/// Two machines face each other, perhaps with a balancer in between.
#[test]
fn files_of_two_machines_are_held_against_each_other() {
    let client = CLIENT.replace("link:a", "0000:01:00.0") + "duration 20s\n";
    let server = apart().replace("link:a", "0000:02:00.0") + "duration 60s\n";
    assert_eq!(said(&client, &server), Ok(vec![]));
    let unless = "the other end will not answer, unless something in between translates: ";
    for (lines, why) in [
        ("server 10.0.9.1 1\n", "the server has no address 10.0.2.1"),
        ("client 10.0.9.1 10\n", "the server knows no client 10.0.1.1"),
        (
            "client_port_range 7 9\n",
            "the server knows client ports 7 to 9, the client has 1 to 65535",
        ),
    ] {
        let keyword = lines.split(' ').next().unwrap();
        let kept = server.lines().filter(|line| !line.starts_with(&format!("{keyword} ")));
        let server = kept.collect::<Vec<_>>().join("\n") + "\n" + lines;
        assert_eq!(said(&client, &server), Ok(vec![format!("{unless}{why}")]), "{lines}");
    }
    let told = said(&(client.clone() + "keepalive 1s\n"), &server).expect("a note");
    assert!(told[0].starts_with("the server closes after each answer"), "{told:?}");
    let early = server.replace("duration 60s", "duration 49s");
    let told = said(&client, &early).expect("a note");
    let both = "the server ends at 49 s, the client's load at 50 s";
    assert_eq!(told, [format!("{both}, unless both run in one process")]);
    let link =
        |config: &str| config.replace("0000:01:00.0", "link:a").replace("0000:02:00.0", "link:a");
    let told = said(&link(&client), &link(&early)).expect("a note");
    assert_eq!(told, [format!("{both}, and in one process both end then")]);
}

#[test]
fn who_will_not_answer_is_told() {
    let apart = apart();
    for (lines, why) in [
        ("protocol udp\nkeepalive 1s\n", "one side speaks UDP, the other TCP"),
        ("listen 8080\n", "the server listens on 80 to 80, the client asks 8080 to 8080"),
        ("listen 80 2\n", "the server listens on 80 to 80, the client asks 80 to 81"),
    ] {
        let told = said(&format!("{CLIENT}{lines}"), &apart).expect("a note");
        let note = format!("the other end will not answer: {why}");
        assert_eq!(told.last(), Some(&note), "{told:?}");
    }
    let other = CLIENT.replace("server 10.0.2.1 1", "server 10.0.2.1 2");
    let told = said(&other, &apart).expect("a note");
    assert_eq!(told, ["the other end will not answer: the server has no address 10.0.2.2"]);
    let told = said(CLIENT, SERVER).expect("a note");
    assert_eq!(told, ["in one run both roles have workers on cpu 0: rates will suffer"]);
}

/// What was to be said of the lines before an error may be its cause.
#[test]
fn an_error_brings_the_notes_before_it() {
    let error = client("retransmit_timeout 200ms\nmss 9999").expect_err("a segment too long");
    let notes: Vec<String> = error.notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("'200ms' is read as 200"), "{notes:?}");
    assert_eq!(refusal(server("tos 0x")), "accepted");
    let error = server("listen 80x").expect_err("no port");
    assert!(error.notes.is_empty());
}
